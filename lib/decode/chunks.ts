import type { Chunk } from '../chunk/fields.js'
import { defaultDeliveryTimeout, deliveryTimeout } from '../fail-in-order.js'
import { checkBoolean, checkIndex, checkLimit, checkOneOf, settled } from '../options.js'
import { markReader } from '../reader.js'
import type { Bytes, Stage } from '../stage.js'
import { ChunkParser } from './chunk-parser.js'
import { defaultMaxEventSize } from './events.js'
import { recall, splitter } from './splitter.js'
import type { ServerSentEvent } from './sse/event-parser.js'

export type { Chunk } from '../chunk/fields.js'

/** The options of `toChunks`. */
export interface ChunksOptions {
  /**
   * What becomes of a payload that is no chunk, such as malformed JSON: the stage fails, or it leaves the
   * payload out and counts it in `skipped`. Default: `fail`.
   */
  onInvalid?: 'fail' | 'skip'
  /**
   * What becomes of an answer that the model itself did not end: by `length`, a content filter, or a refusal. It ends in
   * good order, so by default it passes; with `fail`, it is a `CS_ERR_TRUNCATED` with `finishReason`, after its text.
   * Default: `pass`.
   */
  onCut?: 'pass' | 'fail'
  /**
   * How many choices each completion has (`n` of the request): one that ends with fewer is truncated. The source
   * `requestCompletion` says it by itself. Default: as many as come.
   */
  choices?: number
  /** How many choices a completion may have at the most. Default: 10000. */
  maxChoices?: number
  /** Whether an input that ends before the completion is complete is a failure. Default: true. */
  requireEnd?: boolean
  /** The largest event, in bytes of its lines; `Infinity` for no limit. Default: 67108864 (64 MiB). */
  maxEventSize?: number
  /**
   * How long a failure waits, in milliseconds, for a reader that takes nothing of what came before it. Then the stage fails
   * anyway, and `undelivered` says how much was not taken. Default: 30000.
   */
  deliveryTimeout?: number
}

const defaults: Required<ChunksOptions> = {
  onInvalid: 'fail',
  onCut: 'pass',
  requireEnd: true,
  choices: 0,
  maxChoices: 10_000,
  maxEventSize: defaultMaxEventSize,
  deliveryTimeout: defaultDeliveryTimeout
}

/** The stage that `toChunks` returns. */
export interface ChunkStage<Emitted extends Chunk = Chunk>
  extends Stage<Bytes | ServerSentEvent | Chunk, Emitted> {
  /** How many invalid payloads were left out so far; always 0 with `onInvalid: 'fail'`. */
  readonly skipped: number
}

/**
 * Reads bytes, events or chunk objects and emits the completion chunks in them, as the provider sent them: those of chat
 * completions, of legacy completions or of the Responses API. The end mark `[DONE]`, comments and keep-alive events are no
 * chunks. An input may hold many completions, one behind the other.
 *
 * A completion is complete when every choice that was seen has a finish reason, or a Responses terminal has come, or its
 * end mark, unless only some of the choices have a finish reason. A response that was cancelled is not.
 *
 * Fails, after its reader has taken all chunks that came before, with `CS_ERR_TRUNCATED` when the input ends earlier than
 * that; `CS_ERR_PROVIDER` when the provider reports an error in the stream, in whatever shape, or by a finish reason such
 * as `network_error`; `CS_ERR_INVALID_CHUNK` for a payload that is not a JSON object, for a body that is no event stream,
 * and for one in which nothing is a chunk; `CS_ERR_EVENT_TOO_LARGE` for an event larger than `maxEventSize`, or whose
 * values would take that much memory. Usage that comes after an error is emitted first: the failure waits for it, at most
 * a quarter of a second.
 *
 * With a type (`toChunks<OpenAI.ChatCompletionChunk>()`) the caller says which API was asked.
 *
 * @example
 * await pipeline(requestCompletion(client, params), toChunks({ onCut: 'fail' }), toText(), createWriteStream('answer.txt'))
 */
export function toChunks<Emitted extends Chunk = Chunk>(given?: ChunksOptions): ChunkStage<Emitted> {
  const options = settled('toChunks', given, defaults)
  checkOneOf('onInvalid', options.onInvalid, ['fail', 'skip'])
  checkOneOf('onCut', options.onCut, ['pass', 'fail'])
  checkBoolean('requireEnd', options.requireEnd)
  checkIndex('choices', options.choices)
  checkLimit('maxChoices', options.maxChoices)
  checkLimit('maxEventSize', options.maxEventSize)
  checkLimit('deliveryTimeout', options.deliveryTimeout)

  const onSkip = () => {
    counted.skipped++
  }
  let parser!: ChunkParser
  const stage = splitter<Bytes | ServerSentEvent | Chunk, Emitted>('toChunks', options.maxEventSize, emit => {
    // Which API was asked, and so what its chunks are, is the caller's word.
    const onChunk = emit as (chunk: Chunk) => void
    parser = new ChunkParser(options, { onChunk, onSkip })
    return parser
  })
  markReader(stage, Object.assign(parser, { recall: stage[recall] }))
  Object.assign(stage, { [deliveryTimeout]: options.deliveryTimeout })
  // A field, not a getter: V8 gives each object that has a getter of its own a hidden class of its own, and after a
  // few of them all that is done with streams takes longer.
  const counted = Object.assign(stage, { skipped: 0 })
  return counted
}

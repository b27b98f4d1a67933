import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { TextKind, Usage } from '../chunk/fields.js'
import { toChunks } from '../decode/chunks.js'
import { type TextOptions, toText } from '../decode/text.js'
import { CompletionError } from '../errors.js'
import { settled } from '../options.js'
import { noSource } from '../source/body/no-body.js'
import { stage } from '../stage.js'
import { type Summary, tapSummary } from '../tap/summary.js'
import { toCompletion, type WholeCompletion } from './completion.js'
import { JoinedText } from './joined-text.js'

/** Where a completion comes from: a source of bytes or of chunks, such as `requestCompletion`, a composed one, a file. */
export type CompletionSource = Readable | AsyncIterable<unknown>

/** What `readCompletion` resolves to. */
export interface ReadCompletion<Whole extends WholeCompletion = WholeCompletion> {
  /** The text of the answer, of choice 0. */
  text: string
  /** The completion, as without `stream: true`. */
  completion: Whole
  /** What the provider reported, if it did. */
  usage: Usage | undefined
  /** How it came: times, counts and finish reasons. */
  summary: Summary
}

/**
 * Reads a source of bytes or chunks to its end, and gives the text of the answer: for who wants no sink. Rejects as the same
 * pipeline would; what had come by then is lost.
 *
 * @example
 * const text = await readText(requestCompletion(client, params))
 */
export async function readText(source: CompletionSource, options?: TextOptions): Promise<string> {
  const { choice, from } = settled('readText', options, { choice: 0, from: 'content' as TextKind })
  const text = new JoinedText()
  const join = stage<string, never>({ transform: piece => text.add(piece) })
  await pipeline(checked(source), toChunks(), toText({ choice, from }), join.resume())
  return text.value
}

/**
 * Reads a source of bytes or chunks to its end, and gives the whole completion, with its text, its usage and a summary.
 * Rejects as the same pipeline would, and with `CS_ERR_INVALID_CHUNK` where the input holds more than one completion: those
 * are for `toCompletion`. With a type the caller says which API was asked.
 *
 * @example
 * const { text, usage, summary } = await readCompletion(requestCompletion(client, params))
 */
export async function readCompletion<Whole extends WholeCompletion = WholeCompletion>(
  source: CompletionSource
): Promise<ReadCompletion<Whole>> {
  let told: Summary | undefined
  const completions: Whole[] = []
  const tap = tapSummary(
    summary => {
      told = summary
    },
    { text: true }
  )
  const keep = stage<Whole, never>({
    transform(completion) {
      completions.push(completion)
      if (completions.length === 2)
        throw new CompletionError(
          'CS_ERR_INVALID_CHUNK',
          'there is more than one completion: use toCompletion()'
        )
    }
  })
  await pipeline(checked(source), toChunks(), tap, toCompletion<Whole>(), keep.resume())
  // A whole input holds a completion, and the tap has told of it at its end.
  const { text = '', ...summary } = told as Summary
  return { text, completion: completions[0] as Whole, usage: summary.usage, summary }
}

function checked(source: CompletionSource): AsyncIterable<unknown> {
  if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source))
    throw noSource('source', source, 'a stream of bytes or chunks, such as requestCompletion(client, params)')
  return source
}

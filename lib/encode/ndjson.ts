import { CompletionError } from '../errors.js'
import { type NoOptions, settled, show } from '../options.js'
import { type Bytes, type Stage, stage } from '../stage.js'

/**
 * Reads objects and emits each as a line of JSON (NDJSON, JSON lines): chunks, tool calls, elements, records, texts. Reading
 * the lines with `JSON.parse` gives the same values; `toChunks` reads the chunks back.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` for bytes, and for what JSON cannot hold: functions, `undefined`, circles.
 *
 * @example
 * await pipeline(request, toChunks(), toToolCalls(), toNDJSON(), createWriteStream('calls.ndjson'))
 */
export function toNDJSON(options?: NoOptions): Stage<unknown, Bytes> {
  settled('toNDJSON', options, {})
  return stage<unknown, Bytes>({
    name: 'toNDJSON',
    transform: (item, push) => push(Buffer.from(lineOf('toNDJSON', item)))
  })
}

/** A value as a line of JSON, with its line end. */
export function lineOf(taker: string, item: unknown): string {
  if (ArrayBuffer.isView(item)) throw notJson(taker, 'bytes: put toChunks() before it')
  let json: string | undefined
  try {
    json = JSON.stringify(item)
    if (json?.includes('"logprob":0')) json = withNegativeZeros(item)
  } catch (cause) {
    throw notJson(taker, 'what JSON cannot hold', cause)
  }
  if (json === undefined) throw notJson(taker, show(item))
  return `${json}\n`
}

/** What stands for a negative zero: no text of a chunk is this. Made when it is needed, since that loads Node's crypto. */
let negativeZero: string | undefined

/**
 * `JSON.stringify` writes a negative zero as 0, and `JSON.parse` knows it: OpenAI sends it for the logarithm of a token that
 * was certain.
 */
function withNegativeZeros(item: unknown): string {
  negativeZero ??= crypto.randomUUID()
  const text = JSON.stringify(item, (_name, value) => (Object.is(value, -0) ? negativeZero : value))
  return text.replaceAll(`"${negativeZero}"`, '-0')
}

function notJson(taker: string, what: string, cause?: unknown): CompletionError {
  return new CompletionError('CS_ERR_INVALID_CHUNK', `${taker} takes objects, not ${what}`, { cause })
}

import { isDeepStrictEqual } from 'node:util'
import type * as Library from 'completion-streams'
import { readBody } from './bodies.js'
import { type Choice, randomPieces } from './choice.js'

const texts = [
  'a',
  ' the',
  '\n',
  '"',
  '\\',
  '\ud83d\ude00',
  'é',
  '\u2028',
  '',
  'data: ',
  '[DONE]',
  '\u0000',
  'x'.repeat(70)
]
const numbers = [
  '0',
  '-0',
  '1',
  '12',
  '1e3',
  '1.5',
  '-2.25e-7',
  '123456789012345678901234567890',
  '1234567.890123456',
  '12345678901.2345678',
  '0.123456789012345',
  '5e-324',
  '1E400'
]

/** Any JSON text, of so many levels at most. */
function jsonText(choice: Choice, depth: number): string {
  const kind = choice.below(depth > 0 ? 8 : 5)
  if (kind === 0) return choice.of(['null', 'true', 'false'])
  if (kind === 1) return choice.percent(50) ? choice.of(numbers) : numberText(choice)
  if (kind < 5) return JSON.stringify(choice.of(texts) + choice.of(texts))
  const size = choice.below(4)
  if (kind === 5)
    return `[${Array.from({ length: size }, () => jsonText(choice, depth - 1)).join(spaceOf(choice, ','))}]`
  return `{${Array.from({ length: size }, () => `${JSON.stringify(choice.of(['a', 'b', '__proto__', 'é', 'x y', '1']))}:${jsonText(choice, depth - 1)}`).join(',')}}`
}

/** A number with so many digits that a double only just holds it, or not. */
export function numberText(choice: Choice): string {
  const digits = Array.from({ length: 14 + choice.below(6) }, () => choice.below(10)).join('')
  const point = choice.below(digits.length)
  const whole = digits.slice(0, point).replace(/^0+(?=.)/, '')
  return `${whole === '' ? '0' : whole}.${digits.slice(point)}`
}

function spaceOf(choice: Choice, text: string): string {
  return choice.percent(5) ? `${text} ` : text
}

/** The payloads of one stream: alike for a while, as those of a provider are, then of another form. */
function payloadsOf(choice: Choice): string[] {
  const payloads: string[] = []
  for (let group = 0; group < 4; group++) {
    const extra = Array.from({ length: choice.below(4) }, (_, n) => [`"k${n}"`, choice.percent(50)] as const)
    const values = extra.map(() => jsonText(choice, 2))
    const count = 1 + choice.below(12)
    for (let place = 0; place < count; place++) {
      const content = JSON.stringify(choice.of(texts) + choice.of(texts))
      const members = [
        `"id":"c${group}"`,
        `"object":"chat.completion.chunk"`,
        ...extra.map(([name, isSteady], n) => `${name}:${isSteady ? values[n] : jsonText(choice, 2)}`),
        `"choices":[{"index":0,"delta":{"content":${content}},"finish_reason":null}]`
      ]
      // Data may be on several lines, each with its field name.
      payloads.push(`{${members.join(choice.percent(3) ? ',\n' : spaceOf(choice, ','))}}`)
    }
  }
  payloads.push('{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
  return payloads
}

/**
 * Reads a random stream of events by the library and by `JSON.parse`. Returns what is wrong, or undefined where both say the
 * same. The reference is as plain as can be: a payload on a line is an event.
 */
export async function compareOne(library: typeof Library, choice: Choice): Promise<string | undefined> {
  const payloads = payloadsOf(choice)
  const end = choice.of(['\n', '\r\n', '\r'])
  const space = choice.of([' ', ''])
  const comment = choice.percent(10) ? `: keep-alive${end}${end}` : ''
  const body = `${payloads.map(payload => `${comment}data:${space}${payload.replaceAll('\n', `${end}data:${space}`)}${end}${end}`).join('')}data: [DONE]${end}${end}`
  const wanted = payloads.map(payload => JSON.parse(payload))
  const text = wanted.map(({ choices }) => choices[0].delta.content ?? '').join('')
  const bytes = Buffer.from(body)
  const pieces = choice.of<() => (Buffer | string)[]>([
    () => [bytes],
    () => randomPieces(choice, bytes, 400),
    () => body.split(/(?<=(?:\n\n|\r\n\r\n|\r\r(?!\n)))/).map(event => Buffer.from(event)),
    () => randomPieces(choice, body, 100)
  ])()
  const read = await readBody(library, pieces)
  const isText = pieces.every(piece => typeof piece === 'string')
  if (read.code !== undefined) return `fails with ${read.code}: ${body.slice(0, 300)}`
  // Strings are cut within surrogate pairs, which bytes are not; both halves are in one text again.
  if (!isDeepStrictEqual(read.chunks, wanted)) {
    const place = read.chunks.findIndex((chunk, n) => !isDeepStrictEqual(chunk, wanted[n]))
    return `chunk ${place} of ${wanted.length}${isText ? ', as text' : ''}: ${payloads[place]}`
  }
  return read.text === text.toWellFormed() || read.text === text
    ? undefined
    : `the text: ${body.slice(0, 300)}`
}

/** Compares so many streams, or until one is read wrongly. */
export async function compare(
  library: typeof Library,
  choice: Choice,
  count: number
): Promise<string | undefined> {
  for (let n = 0; n < count; n++) {
    const wrong = await compareOne(library, choice)
    if (wrong !== undefined) return `stream ${n}, ${wrong}`
  }
  return undefined
}

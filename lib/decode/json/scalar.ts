import type { ByteWindow } from '../bytes/byte-window.js'
import { decimal, headDigits } from './decimal.js'
import type { Json } from './mold.js'

/** No template is for longer ones. */
const maxStringLength = 4096
/** Up to so many characters are put together here in less time than a call into node takes. */
const fewCharacters = 16
/** The characters that escapes of two stand for, by the second one. */
const escapes: ReadonlyMap<number, number> = new Map(
  [...'"\\/bfnrt'].map(letter => [letter.charCodeAt(0), JSON.parse(`"\\${letter}"`).charCodeAt(0)])
)

/**
 * Puts the scalar that starts here into `values` and returns where it ends, or -1 if none does before the limit. Places
 * are those of the view.
 */
export function readScalar(
  bytes: ByteWindow,
  start: number,
  limit: number,
  values: Json[],
  hole: number
): number {
  if (start >= limit) return -1
  const first = bytes.view.getUint8(start)
  if (first === 0x22) return readString(bytes, start, limit, values, hole)
  if (isDigit(first)) return readNumber(bytes, start, limit, values, hole)
  return readToken(bytes, start, limit, values, hole)
}

function readString(bytes: ByteWindow, start: number, limit: number, values: Json[], hole: number): number {
  const { view, offset } = bytes
  const last = Math.min(limit, start + maxStringLength + 1)
  let end = start + 1
  let hasEscape = false
  let bits = 0
  for (; ; end++) {
    if (end >= last) return -1
    const byte = view.getUint8(end)
    if (byte === 0x22) break
    if (byte < 0x20) return -1
    bits |= byte
    if (byte === 0x5c) {
      // What follows has not been looked at.
      hasEscape = true
      end++
    }
  }
  const isAscii = bits < 0x80
  const isShort = end - start - 1 <= fewCharacters
  if (hasEscape) {
    const text = isAscii && isShort ? unescaped(view, start + 1, end) : undefined
    if (text === undefined) return parseToken(bytes, start, end + 1, values, hole)
    values[hole] = text
  } else if (isAscii && isShort) values[hole] = asciiText(view, start + 1, end)
  else values[hole] = bytes.read(start + 1 - offset, end - offset)
  return end + 1
}

/** To make eight characters takes as long as to make one. */
function asciiText(view: DataView, start: number, end: number): string {
  let text = ''
  let at = start
  for (; end - at >= 8; at += 8) {
    text += String.fromCharCode(
      view.getUint8(at),
      view.getUint8(at + 1),
      view.getUint8(at + 2),
      view.getUint8(at + 3),
      view.getUint8(at + 4),
      view.getUint8(at + 5),
      view.getUint8(at + 6),
      view.getUint8(at + 7)
    )
  }
  if (end - at >= 4) {
    text += String.fromCharCode(
      view.getUint8(at),
      view.getUint8(at + 1),
      view.getUint8(at + 2),
      view.getUint8(at + 3)
    )
    at += 4
  }
  if (end - at >= 2) {
    text += String.fromCharCode(view.getUint8(at), view.getUint8(at + 1))
    at += 2
  }
  return at < end ? text + String.fromCharCode(view.getUint8(at)) : text
}

/** A text with escapes of two characters, such as most line ends and quotes are; undefined if it has others. */
function unescaped(view: DataView, start: number, end: number): string | undefined {
  let text = ''
  for (let at = start; at < end; at++) {
    const byte = view.getUint8(at)
    const character = byte === 0x5c ? escapes.get(view.getUint8(++at)) : byte
    if (character === undefined) return undefined
    text += String.fromCharCode(character)
  }
  return text
}

/** A number from zero up; one with an exponent is left to JSON. */
function readNumber(bytes: ByteWindow, start: number, limit: number, values: Json[], hole: number): number {
  const { view } = bytes
  const first = view.getUint8(start)
  let head = 0
  let tail = 0
  let digits = 0
  let point = -1
  let end = start
  let byte = first
  for (; isDigit(byte) || (byte === 0x2e && point === -1); byte = ++end < limit ? view.getUint8(end) : 0) {
    if (byte === 0x2e) point = end
    else if (digits++ < headDigits) head = head * 10 + byte - 0x30
    else tail = tail * 10 + byte - 0x30
  }
  const decimals = point === -1 ? 0 : end - point - 1
  if (point !== -1 && decimals === 0) return -1
  const hasLeadingZero = digits - decimals > 1 && first === 0x30
  if (hasLeadingZero) return -1
  if (byte === 0x45 || byte === 0x65) return readToken(bytes, start, limit, values, hole)
  const number = decimal(head, tail, digits, decimals)
  if (number === undefined) return parseToken(bytes, start, end, values, hole)
  values[hole] = number
  return end
}

/** Any other number, or a word. */
function readToken(bytes: ByteWindow, start: number, limit: number, values: Json[], hole: number): number {
  let end = start
  while (end < limit && isOfToken(bytes.view.getUint8(end))) end++
  return end === start ? -1 : parseToken(bytes, start, end, values, hole)
}

function parseToken(bytes: ByteWindow, start: number, end: number, values: Json[], hole: number): number {
  try {
    values[hole] = JSON.parse(bytes.read(start - bytes.offset, end - bytes.offset))
    return end
  } catch {
    return -1
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Whether a byte may be part of a number or a word: a digit, a small letter, `E`, `+`, `-` or `.`. */
function isOfToken(byte: number): boolean {
  const isLetter = (byte >= 0x61 && byte <= 0x7a) || byte === 0x45
  return isDigit(byte) || isLetter || byte === 0x2b || byte === 0x2d || byte === 0x2e
}

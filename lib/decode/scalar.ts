import type { ByteWindow } from './byte-window.js'
import { decimal, headDigits } from './decimal.js'
import type { Json } from './mold.js'

/** No template is for longer ones. */
const maxStringLength = 4096
/** Up to so many characters are put together here in less time than a call into node takes. */
const fewCharacters = 16

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
  let end = start + 1
  let hasEscape = false
  let isAscii = true
  for (; ; end++) {
    if (end >= limit || end - start > maxStringLength) return -1
    const byte = view.getUint8(end)
    if (byte === 0x22) break
    if (byte < 0x20) return -1
    if (byte >= 0x80) isAscii = false
    else if (byte === 0x5c) {
      // What follows has not been looked at.
      hasEscape = true
      end++
    }
  }
  if (hasEscape) return parseToken(bytes, start, end + 1, values, hole)
  values[hole] =
    isAscii && end - start - 1 <= fewCharacters
      ? asciiText(view, start + 1, end)
      : bytes.read(start + 1 - offset, end - offset)
  return end + 1
}

/** To make one character takes as long as eight. */
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
  for (; at < end; at++) text += String.fromCharCode(view.getUint8(at))
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

import { decimal, headDigits } from './decimal.js'
import type { Json } from './mold.js'

/** What a payload stands in. */
export interface PayloadSource {
  /** The text; any character of it that is not ASCII may be a byte of a longer one instead. */
  readonly text: string
  /** Part of it, decoded; may be a view of all of it. */
  read(start: number, end: number): string
  /** Part of it, decoded, and no view. */
  copy(start: number, end: number): string
}

/**
 * V8 copies up to 12 characters out of a string, but makes a longer slice a view, which would keep the payload alive,
 * and the read that it was cut from, for as long as the delta. To join two copies takes a quarter of the time that it
 * takes to decode the bytes.
 */
const maxSlice = 12
/** No template is for longer ones. */
const maxStringLength = 4096

/** A token of JSON: a string, in which quotes, backslashes and control characters stand as escapes only; a number; a word. */
export const scalar: RegExp =
  /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Puts the scalar that starts here into `values` and returns where it ends, or -1 if there is none. */
export function readScalar(source: PayloadSource, start: number, values: Json[], hole: number): number {
  const first = source.text.charCodeAt(start)
  if (first === 0x22) return readString(source, start, values, hole)
  if (isDigit(first)) return readNumber(source.text, start, values, hole)
  return readToken(source.text, start, values, hole)
}

function readString(source: PayloadSource, start: number, values: Json[], hole: number): number {
  const { text } = source
  let end = start + 1
  let hasEscape = false
  let isAscii = true
  for (let code = text.charCodeAt(end); code !== 0x22; code = text.charCodeAt(++end)) {
    // A control character, or NaN at the end of the text; or too much.
    if (!(code >= 0x20) || end - start > maxStringLength) return -1
    if (code >= 0x80) isAscii = false
    else if (code === 0x5c) {
      hasEscape = true
      end++
    }
  }
  if (hasEscape) {
    try {
      // What follows a backslash has not been looked at, but if it is not ASCII, it is not JSON either.
      values[hole] = JSON.parse(isAscii ? text.slice(start, end + 1) : source.read(start, end + 1))
    } catch {
      return -1
    }
  } else if (!isAscii || end - start > 2 * maxSlice) values[hole] = source.copy(start + 1, end)
  else if (end - start <= maxSlice) values[hole] = text.slice(start + 1, end)
  else values[hole] = text.slice(start + 1, start + 1 + maxSlice) + text.slice(start + 1 + maxSlice, end)
  return end + 1
}

/** A number from zero up; one with an exponent is left to JSON. */
function readNumber(text: string, start: number, values: Json[], hole: number): number {
  let head = 0
  let tail = 0
  let digits = 0
  let point = -1
  let end = start
  let code = text.charCodeAt(end)
  for (; isDigit(code) || (code === 0x2e && point === -1); code = text.charCodeAt(++end)) {
    if (code === 0x2e) point = end
    else if (digits++ < headDigits) head = head * 10 + code - 0x30
    else tail = tail * 10 + code - 0x30
  }
  const decimals = point === -1 ? 0 : end - point - 1
  if (point !== -1 && decimals === 0) return -1
  const hasLeadingZero = digits - decimals > 1 && text.charCodeAt(start) === 0x30
  if (hasLeadingZero) return -1
  if (code === 0x45 || code === 0x65) return readToken(text, start, values, hole)
  values[hole] = decimal(head, tail, digits, decimals) ?? Number(text.slice(start, end))
  return end
}

function readToken(text: string, start: number, values: Json[], hole: number): number {
  const end = tokenEnd(scalar, text, start)
  if (end === start) return -1
  values[hole] = JSON.parse(text.slice(start, end))
  return end
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Where the token that starts here ends; the same place if there is none. */
export function tokenEnd(token: RegExp, text: string, start: number): number {
  token.lastIndex = start
  return token.test(text) ? token.lastIndex : start
}

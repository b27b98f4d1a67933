import { CompletionError } from '../../errors.js'

/** A text of fewer characters cannot take much, whatever it holds. */
const leastChecked = 2 ** 21
/** What any JSON text may take, in bytes of memory. */
const alwaysAllowed = 2 ** 26

/** What an object or a list takes at least, and what another member of it does, in bytes of memory. */
const containerSize = 56
const memberSize = 16

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openBrace = 0x7b
const openBracket = 0x5b

/**
 * Throws `CS_ERR_EVENT_TOO_LARGE` for a JSON text whose values would take more memory than the text itself may: a text
 * of a million choices, or of `[[[[`, takes up to twenty times its size. Costs nothing for a text below 2 MB.
 */
export function checkDensity(text: string, maxEventSize: number): void {
  if (text.length < leastChecked || maxEventSize === Number.POSITIVE_INFINITY) return
  const limit = Math.max(maxEventSize, alwaysAllowed)
  let size = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) at = stringEnd(text, at)
    else if (unit === comma) size += memberSize
    else if (unit === openBrace || unit === openBracket) size += containerSize
    if (size > limit) throw tooDense(limit)
  }
}

function tooDense(limit: number): CompletionError {
  const message = `the values in an event would take more than ${limit} bytes of memory: raise maxEventSize if so many are expected`
  return new CompletionError('CS_ERR_EVENT_TOO_LARGE', message, { limit })
}

/** Where the string ends that begins at a place; the end of the text if it does not. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

import { withoutKeys } from './access-keys.js'

/**
 * What ends a line, moves a cursor or turns the direction of writing: a text from outside that holds it could forge
 * lines of a log.
 */
const control = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** How much is shown of a body that is no completion, in characters. */
const shownText = 200

/** Longer than all keys that are looked for in a message, in characters. */
export const longestKey = 8192

/** A text from outside as it may stand in a message: with a space for each control character, and without keys. */
export function printable(text: string): string {
  return withoutKeys(text.replace(control, ' '))
}

/** The beginning of a body that is no completion, as it may stand in a message. */
export function beginningOf(text: string): string {
  // What is cut may be the half of a key, which is none to be recognized.
  return printable(text.slice(0, shownText + longestKey)).slice(0, shownText)
}

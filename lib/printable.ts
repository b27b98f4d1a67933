/**
 * What ends a line, moves a cursor or turns the direction of writing: a text from outside that holds it could forge
 * lines of a log.
 */
const control = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** How much is shown of a body that is no completion, in characters. */
const shownText = 200

/** A text from outside as it may stand in a message: with a space for each control character. */
export function printable(text: string): string {
  return text.replace(control, ' ')
}

/** The beginning of a body that is no completion, as it may stand in a message. */
export function beginningOf(text: string): string {
  return printable(text.slice(0, shownText))
}

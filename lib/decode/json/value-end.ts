/**
 * Finds the end of one JSON value in text that comes in pieces, by its brackets and quotes alone. Whether it is JSON in
 * between is for `JSON.parse` to say; brackets are counted, not matched, so that a wrong one does not swallow what follows.
 */
export class ValueEnd {
  #depth = 0
  #isInString = false
  #isEscaped = false
  #isScalar = false

  /** Begins a value with its first character, which `find` is to be given too. */
  begin(first: string): void {
    this.#depth = 0
    this.#isInString = false
    this.#isEscaped = false
    this.#isScalar = first !== '{' && first !== '[' && first !== '"'
  }

  /** The place behind the value's last character; -1 when it goes on behind this text. */
  find(text: string, from: number): number {
    if (this.#isScalar) return scalarEnd(text, from)
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false
        else if (code === backslash) this.#isEscaped = true
        else if (code === quote) {
          this.#isInString = false
          if (this.#depth === 0) return at + 1
        }
      } else if (code === quote) this.#isInString = true
      else if (code === openBrace || code === openBracket) this.#depth++
      else if ((code === closeBrace || code === closeBracket) && --this.#depth <= 0) return at + 1
    }
    return -1
  }
}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/** A number, or a word, ends before what may stand behind a value. */
function scalarEnd(text: string, from: number): number {
  const behind = /[\s,\]}]/g
  behind.lastIndex = from
  return behind.exec(text)?.index ?? -1
}

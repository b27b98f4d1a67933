import { JsonStart, proseLength } from './json-start.js'

/** Finds the first object or array in a text that comes in pieces. */
export class StartFinder {
  #isLineStart: boolean
  /** Whether the text so far was white space and fences only. */
  #isPure: boolean
  /** Whether nothing but white space and commas stands between a value and here. */
  #isBehindJson: boolean
  #isFence = false
  /** What the bracket begins that the held text begins with. */
  #start: JsonStart | undefined
  #held = ''

  /** A text that stands behind a value has another beginning. */
  constructor(isBehindJson: boolean) {
    this.#isBehindJson = isBehindJson
    this.#isLineStart = !isBehindJson
    this.#isPure = !isBehindJson
  }

  /** The text from the bracket on that begins JSON; undefined as long as none does. */
  feed(piece: string): string | undefined {
    let text = piece
    for (;;) {
      if (!this.#start) {
        text = text.slice(this.#skipProse(text))
        if (text === '') return undefined
        this.#start = this.#startOf(text)
      }
      const start = this.#start.read(text)
      text = this.#held + text
      if (start === 'unknown') {
        this.#held = text
        return undefined
      }
      this.#held = ''
      this.#start = undefined
      if (start === 'json') return text
      text = text.slice(this.#takeProse(text))
    }
  }

  /** Decides what waited for more text than there is. */
  end(): string | undefined {
    while (this.#start) {
      const start = this.#start.end()
      if (start === 'unknown') return undefined
      const text = this.#held
      this.#held = ''
      this.#start = undefined
      if (start === 'json') return text
      const found = this.feed(text.slice(this.#takeProse(text)))
      if (found !== undefined) return found
    }
    return undefined
  }

  #startOf(text: string): JsonStart {
    return new JsonStart(text[0] as string, {
      isLineStart: this.#isLineStart,
      isPure: this.#isPure,
      isBehindJson: this.#isBehindJson
    })
  }

  /** How much of the text stands before a bracket. */
  #skipProse(text: string): number {
    for (let at = 0; at < text.length; at++) {
      const character = text[at] as string
      if (character === '{' || character === '[') return at
      if (character === '\n') {
        this.#isLineStart = true
        this.#isFence = false
      } else if (!/\s/.test(character)) {
        // Behind the marks of a fence and its tag stands a line end.
        this.#isFence = this.#isFence
          ? /[`~\w+.-]/.test(character)
          : this.#isLineStart && /[`~]/.test(character)
        this.#isPure &&= this.#isFence
        this.#isBehindJson &&= character === ','
        this.#isLineStart = false
      }
    }
    return text.length
  }

  /** How much of a text is prose that begins with a bracket. */
  #takeProse(text: string): number {
    const length = proseLength(text, this.#isLineStart)
    this.#isLineStart = false
    this.#isPure = false
    this.#isBehindJson = false
    return length
  }
}

import { JoinedLines } from './joined-lines.js'
import { checkDensity } from './json/density.js'
import { eventTooLarge } from './sse/event-parser.js'
import { LineSplitter } from './sse/lines.js'

/** What a JSON body calls back for. */
export interface JsonHandlers {
  /** A value, and its text. */
  onValue(value: unknown, text: string): void
  /** What is no JSON, and why. */
  onInvalid(text: string, cause: unknown): void
  /** What the input broke off in. */
  onResidue(residue: string): void
}

/**
 * Reads a body that is JSON where an event stream was expected: one JSON text per line (NDJSON), each given
 * as soon as its line has ended, or one JSON text over many lines. Which of the two it is, its first line tells.
 */
export class JsonBody {
  readonly #maxSize: number
  readonly #handlers: JsonHandlers
  readonly #lines = new LineSplitter(line => this.#takeLine(line))
  /** The lines of a single text, when the first line was not whole. */
  readonly #document = new JoinedLines()
  #documentBytes = 0
  #isLineByLine = false

  constructor(maxSize: number, handlers: JsonHandlers) {
    this.#maxSize = maxSize
    this.#handlers = handlers
  }

  feed(text: string): void {
    this.#lines.feed(text)
    this.#check(this.#lines.carriedBytes)
  }

  end(): void {
    const line = this.#lines.end()
    if (this.#document.count === 0) return this.#takeLast(line)
    this.#document.add(line)
    this.#takeLast(this.#document.take())
  }

  #takeLast(text: string): void {
    if (text.trim() !== '') this.#parse(text, true)
  }

  #takeLine(line: string): void {
    const bytes = Buffer.byteLength(line)
    this.#check(bytes)
    if (this.#document.count === 0) {
      if (line.trim() === '' || this.#parse(line, false)) return
    }
    this.#document.add(line)
    this.#documentBytes += bytes + 1
  }

  /** False when the text may be the beginning of a longer one. */
  #parse(text: string, isLast: boolean): boolean {
    checkDensity(text, this.#maxSize)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      // A line of many breaks off at the end of the input only.
      const isBeginning = (isLast || !this.#isLineByLine) && isCutOff(text)
      if (isBeginning && !isLast) return false
      this.#isLineByLine = true
      if (isBeginning) this.#handlers.onResidue(text)
      else this.#handlers.onInvalid(text, cause)
      return true
    }
    this.#isLineByLine = true
    this.#handlers.onValue(value, text)
    return true
  }

  #check(bytes: number): void {
    if (this.#documentBytes + bytes > this.#maxSize) throw eventTooLarge(this.#maxSize)
  }
}

/** Whether a text is JSON that ends before its outermost bracket is closed. */
export function isCutOff(text: string): boolean {
  let depth = 0
  let isInString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (isInString && character === '\\') at++
    else if (character === '"') isInString = !isInString
    else if (isInString) continue
    else if (character === '{' || character === '[') depth++
    else if ((character === '}' || character === ']') && --depth === 0) return false
  }
  return true
}

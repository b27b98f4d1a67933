import { parsed } from './event-data.js'
import { JoinedText } from './joined-text.js'
import { checkDensity } from './json/density.js'
import { eventTooLarge } from './sse/event-parser.js'
import { bytesBehind, LineSplitter } from './sse/lines.js'

/** How far from its end a text is looked at for its last bracket, in characters. */
const longestBlankEnd = 16

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
  /** A single text, when the first line was not whole. */
  readonly #document = new JoinedText('')
  #documentBytes = 0
  #isLineByLine = false
  #skipsLineFeed = false
  #lastUnit = 0

  constructor(maxSize: number, handlers: JsonHandlers) {
    this.#maxSize = maxSize
    this.#handlers = handlers
  }

  /** Whether all that comes is a part of one JSON text. */
  get isDocument(): boolean {
    return this.#document.count > 0
  }

  feed(text: string): void {
    if (text === '') return
    if (this.isDocument) this.#addToDocument(text)
    else {
      this.#skipsLineFeed = false
      this.#lines.feed(text)
      if (this.isDocument) this.#addToDocument(this.#lines.end())
      else this.#check(this.#lines.carriedBytes)
    }
    this.#skipsLineFeed = text.endsWith('\r')
  }

  /** Takes what is whole, though its input has broken off. */
  takeHeld(): void {
    const text = this.isDocument ? this.#document.take() : this.#lines.end()
    const value = parsed(text)
    if (value !== undefined) this.#handlers.onValue(value, text)
  }

  /**
   * Takes the text at hand where it is JSON that is wanted, though neither its line nor the input has ended. False where there
   * is none: behind the end of a line more lines may come, however late.
   */
  takeWhole(isWanted: (value: unknown) => boolean): boolean {
    const { isDocument } = this
    const text = isDocument ? this.#document.take() : this.#lines.end()
    const value = this.#wholeValue(text)
    if (value !== undefined && isWanted(value)) {
      this.#documentBytes = 0
      this.#isLineByLine = true
      this.#handlers.onValue(value, text)
      return true
    }
    if (isDocument) this.#document.add(text)
    else this.#lines.feed(text)
    return false
  }

  end(): void {
    const text = this.isDocument ? this.#document.take() : this.#lines.end()
    if (text.trim() !== '') this.#parse(text, true)
  }

  /** Costs nothing for a text that does not end as JSON does. */
  #wholeValue(text: string): unknown {
    if (!/\}\s*$/.test(text.slice(-longestBlankEnd))) return undefined
    checkDensity(text, this.#maxSize)
    return parsed(text)
  }

  #takeLine(line: string): void {
    if (!this.isDocument) {
      this.#check(Buffer.byteLength(line))
      if (line.trim() === '' || this.#parse(line, false)) return
    }
    this.#addToDocument(`${line}\n`)
  }

  /** Each line end becomes a LF, so that the text is the same however it is cut. */
  #addToDocument(text: string): void {
    const start = this.#skipsLineFeed && text.startsWith('\n') ? 1 : 0
    const part = text.slice(start).replace(/\r\n?/g, '\n')
    if (part === '') return
    const bytes = bytesBehind(this.#lastUnit, part)
    this.#check(part.endsWith('\n') ? bytes - 1 : bytes)
    this.#document.add(part)
    this.#documentBytes += bytes
    this.#lastUnit = part.charCodeAt(part.length - 1)
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

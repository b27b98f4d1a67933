/** As many bytes of a line as can tell that it ends a completion; a line may have megabytes. */
const longestHead = 64

const lineFeed = 0x0a
const carriageReturn = 0x0d

const endMark = /^data: *\[DONE\] *$/
const terminal = /^(event: ?|data: ?\{"type": ?")response\.(completed|incomplete|failed)(?![\w.])/

/** The end of a completion. */
export interface CompletionEnd {
  /** How many of the newest bytes belong to the completion. */
  length: number
  /** The line ends that the end mark lacks: to wait for them could take for ever, and without them it is no event. */
  missing: '' | '\n' | '\n\n'
}

/**
 * Tells from the bytes of an event stream when a completion is over, since servers may hold the connection open
 * behind it: at the end mark `[DONE]`, or at the blank line behind the terminal event of a Responses stream.
 */
export class EndMark {
  readonly #head: Buffer = Buffer.alloc(longestHead)
  #length = 0
  #previous = lineFeed
  #isTerminal = false
  #isMarked = false

  /** Takes the next bytes. Gives the end of the completion once it is there. */
  find(bytes: Uint8Array): CompletionEnd | undefined {
    let length = 0
    for (const byte of bytes) {
      length++
      const isLineEnd = byte === lineFeed || byte === carriageReturn
      if (!isLineEnd) {
        if (this.#length < longestHead) this.#head[this.#length] = byte
        this.#length++
      } else if (byte === carriageReturn || this.#previous !== carriageReturn) {
        if (this.#endLine()) {
          const isCutInTwo = byte === carriageReturn && bytes[length] === lineFeed
          return { length: isCutInTwo ? length + 1 : length, missing: '' }
        }
      }
      this.#previous = byte
    }
    // A line feed alone would only make the carriage return before it a line end of two bytes.
    if (this.#isMarked) return { length, missing: this.#previous === carriageReturn ? '\n\n' : '\n' }
    return this.#isEndMark() ? { length, missing: '\n\n' } : undefined
  }

  /** Whether this line end, being a blank line, closes the last event of a completion. */
  #endLine(): boolean {
    const isBlank = this.#length === 0
    if (isBlank && (this.#isMarked || this.#isTerminal)) return true
    if (this.#isEndMark()) this.#isMarked = true
    else if (terminal.test(this.#text())) this.#isTerminal = true
    this.#length = 0
    return false
  }

  #isEndMark(): boolean {
    return this.#length <= longestHead && endMark.test(this.#text())
  }

  #text(): string {
    return this.#head.toString('latin1', 0, Math.min(this.#length, longestHead))
  }
}

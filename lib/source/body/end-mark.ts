import { ValueEnd } from '../../decode/json/value-end.js'

/** How much of a line is kept between two reads, in characters: as much as a mark, cut anywhere, can need. */
const longestTail = 64

/** Stands before what is kept of a longer line, so that it is not taken for the beginning of one. */
const cut = '\0'

/** The longest line that is an end mark. */
const longestMark = 32

const dataStart = /^data: *(?=\{)/
const endMark = /^data: *\[DONE\] *$/
const terminalName = /response\.(?:completed|incomplete|failed|done|cancell?ed)(?![\w.])/
/** The type of a terminal, wherever it stands in its event; in a text it would have backslashes before its quotes. */
const terminal =
  /(?:^event: ?|"type" ?: ?")response\.(?:completed|incomplete|failed|done|cancell?ed)(?![\w.])/

/** What a chunk has that says what the completion took, and opens no other. */
const afterword = /"(?:usage|choices)"/
const openers = /\[DONE\]|"(?:delta|text|message)"/
const blankLineAtEnd = /(?:\n|\r\n?)(?:\n|\r\n?)$/

/**
 * Where what belongs to a completion ends that is over at a place: some servers send usage, or a cost, behind the mark, and
 * in the same read as a rule.
 */
function withAfterword(text: string, end: number): number {
  const rest = text.slice(end)
  const isAfterword = blankLineAtEnd.test(rest) && afterword.test(rest) && !openers.test(rest)
  return isAfterword ? text.length : end
}

/** The end of a completion. */
export interface CompletionEnd {
  /** How many of the newest bytes belong to the completion. */
  length: number
  /** The line ends that the end mark lacks: to wait for them could take for ever, and without them it is no event. */
  missing: '' | '\n' | '\n\n'
}

/**
 * Tells from the bytes of an event stream when a completion is over, since servers may hold the connection open behind it:
 * at the end mark `[DONE]`, or behind the terminal event of a Responses stream, which is over at its blank line or, where that
 * does not come, at the last bracket of its data.
 *
 * What nearly all reads hold, neither of the two, is told by two searches. Only where one of them finds something are lines
 * looked at.
 */
export class EndMark {
  /** The line at hand, as far as it has come. */
  #line = ''
  #endsWithCarriageReturn = false
  /** Whether the event at hand is the last one. */
  #isLast = false
  /** Whether its data begins in the line that shows that it is the last, or behind. */
  #isBeginningKnown = true
  /** Where the JSON ends that the last event has as its data. */
  #valueEnd: ValueEnd | undefined

  /** Takes the next bytes. Gives the end of the completion once it is there. */
  find(bytes: Uint8Array): CompletionEnd | undefined {
    if (bytes.length === 0) return undefined
    // Latin-1 has a character for each byte, so that places in the text are places in the bytes. Of a read of one event, a
    // copy as text and searches in it take half as long as searches in the bytes.
    const read = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const text = read.toString('latin1')
    const end = this.#isLast || this.#mayEnd(text) ? this.#endIn(text) : this.#pass(text, read)
    this.#endsWithCarriageReturn = text.endsWith('\r')
    return end
  }

  /** Whether a read, with the line that it goes on with, holds what may be a mark. */
  #mayEnd(text: string): boolean {
    if (text.includes('[DONE]')) return true
    if (text.includes('response.') && terminalName.test(text)) return true
    if (this.#line === '') return false
    const seam = this.#line + text.slice(0, longestTail)
    return seam.includes('[DONE]') || terminalName.test(seam)
  }

  #pass(text: string, read: Buffer): undefined {
    // Nearly all reads end where an event does.
    if (text.endsWith('\n')) {
      this.#line = ''
      return
    }
    const lineStart = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1
    const before = lineStart > 0 ? '' : this.#line
    const from = Math.max(lineStart, text.length - longestTail)
    // From the bytes: a part of the text would keep all of it in memory.
    this.#keep((from > lineStart ? cut : before) + read.toString('latin1', from))
  }

  #keep(line: string): void {
    this.#line = line.length > longestTail + cut.length ? cut + line.slice(-longestTail) : line
  }

  #endIn(text: string): CompletionEnd | undefined {
    const lineEnds = /\r\n|\r|\n/g
    // The second half of a line end that was cut in two.
    let at = this.#endsWithCarriageReturn && text[0] === '\n' ? 1 : 0
    let line = this.#line
    let isWhole = false
    lineEnds.lastIndex = at
    for (let found = lineEnds.exec(text); found; found = lineEnds.exec(text)) {
      const added = text.slice(at, found.index)
      line += added
      at = found.index + found[0].length
      if (line === '' && this.#isLast) return { length: withAfterword(text, at), missing: '' }
      isWhole = this.#look(line, added)
      line = ''
    }
    const added = text.slice(at)
    line += added
    // The line ends that are missing may never come. A line feed alone would only make the carriage return before it a
    // line end of two bytes.
    if (line === '') {
      if (isWhole) return { length: text.length, missing: text.endsWith('\r') ? '\n\n' : '\n' }
    } else if (this.#look(line, added)) return { length: text.length, missing: '\n\n' }
    this.#keep(line)
    return undefined
  }

  /**
   * Whether a line is an end mark, or ends where the data of a terminal does. Takes notice of a terminal, too. `added` is what
   * of the line is new.
   */
  #look(line: string, added: string): boolean {
    if (line.length <= longestMark && endMark.test(line)) {
      this.#isLast = true
      return true
    }
    if (!this.#isLast && terminal.test(line)) {
      this.#isLast = true
      // Where the data began lines before, its end is not told by its brackets, but by the blank line.
      this.#isBeginningKnown = !line.startsWith('data:') || dataStart.test(line)
    }
    return this.#isLast && this.#isBeginningKnown && this.#endsValue(line, added)
  }

  /** Whether a line of the last event ends where its JSON does, which may have begun some lines before. */
  #endsValue(line: string, added: string): boolean {
    if (this.#valueEnd) return isEndOf(this.#valueEnd.find(added, 0), added)
    const start = dataStart.exec(line)?.[0].length
    if (start === undefined) return false
    this.#valueEnd = new ValueEnd()
    this.#valueEnd.begin('{')
    return isEndOf(this.#valueEnd.find(line, start), line)
  }
}

/** Whether a place is the end of a line, but for spaces. */
function isEndOf(place: number, line: string): boolean {
  return place !== -1 && line.slice(place).trim() === ''
}

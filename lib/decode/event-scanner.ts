import { isAscii } from 'node:buffer'

const none: Buffer = Buffer.alloc(0)

/**
 * Finds, in bytes, the events that need no parser: those that stand there whole, in the form that nearly all have,
 * which is a line `event: …` or none, one line `data: {…}`, and a blank line. LF and CRLF end a line.
 *
 * It looks at the bytes as Latin-1, in which each byte is a character at its own place. Events are ASCII but for the
 * text in them, and to decode UTF-8 that is not takes longer than all that is done here. The caller decodes what it
 * hands on, and asks whether there is a CR within the data: that ends a line too, and is white space to `JSON.parse`.
 */
export class EventScanner {
  /** The bytes as Latin-1. */
  text = ''
  /** Where the next event begins. */
  at = 0
  /** Of the event that was found: its name, or '', and where its data begins and ends. */
  event = ''
  start = 0
  end = 0

  /**
   * So many bytes of an event, or fewer, cannot be more than `maxEventSize` when they are decoded: a byte that is no
   * UTF-8 becomes a character of three. Larger events are neither found nor waited for, so that the parser may measure
   * them.
   */
  readonly safeSize: number

  #buffer: Buffer = none
  #isAscii: boolean | undefined
  #next = 0

  constructor(maxEventSize: number) {
    this.safeSize = maxEventSize / 3
  }

  /** Takes the first bytes of a buffer, where a character begins. */
  load(buffer: Buffer, length: number): void {
    this.#buffer = buffer
    this.text = buffer.toString('latin1', 0, length)
    this.at = 0
    this.#isAscii = undefined
  }

  /** Lets go of the bytes. */
  unload(): void {
    this.#buffer = none
    this.text = ''
    // Part of a text keeps all of it.
    this.event = ''
  }

  /** Whether an event of that form begins here. */
  find(): boolean {
    const { text, at } = this
    if (at === text.length) return false
    let line = at
    let lineFeed = text.indexOf('\n', at)
    if (lineFeed !== -1 && text.charCodeAt(at) === 0x65 && text.slice(at, at + 7) === 'event: ') {
      this.event = text.slice(at + 7, this.#lineEnd(lineFeed))
      if (this.event.includes('\r')) return false
      line = lineFeed + 1
      lineFeed = text.indexOf('\n', line)
    } else this.event = ''
    if (lineFeed === -1 || text.slice(line, line + 7) !== 'data: {') return false
    this.#next = this.#blankLineEnd(lineFeed)
    if (this.#next === -1) return false
    this.start = line + 6
    this.end = this.#lineEnd(lineFeed)
    return this.#next - at <= this.safeSize
  }

  /** The name of the event that was found, decoded. */
  eventName(): string {
    return Buffer.from(this.event, 'latin1').toString()
  }

  /** Whether there is a CR within the data of the event that was found. */
  hasCarriageReturn(): boolean {
    return this.text.slice(this.start, this.end).includes('\r')
  }

  /** What stands before the data of the event that was found. */
  before(): string {
    return this.text.slice(this.at, this.start)
  }

  /** What stands behind it. */
  behind(): string {
    return this.text.slice(this.end, this.#next)
  }

  /** Moves behind the event that was found. */
  take(): void {
    this.at = this.#next
  }

  /** Some of the bytes, decoded; may be a view of all of them. */
  read(start: number, end: number): string {
    this.#isAscii ??= isAscii(this.#buffer.subarray(0, this.text.length))
    return this.#isAscii ? this.text.slice(start, end) : this.copy(start, end)
  }

  /** Some of the bytes, decoded, and no view. */
  copy(start: number, end: number): string {
    return this.#buffer.toString('utf8', start, end)
  }

  /** Moves behind the next blank line, or to the end if there is none, and returns the bytes up to there. */
  takeToBlankLine(): Buffer {
    const { text, at } = this
    this.at = text.length
    for (
      let lineFeed = text.indexOf('\n', at);
      lineFeed !== -1;
      lineFeed = text.indexOf('\n', lineFeed + 1)
    ) {
      const end = this.#blankLineEnd(lineFeed)
      if (end === -1) continue
      this.at = end
      break
    }
    return this.#buffer.subarray(at, this.at)
  }

  /**
   * Whether what is left is the beginning of an event of that form with LF, and is worth to wait for what follows: no
   * line of it says anything before its end.
   */
  isBeginning(): boolean {
    const { text, at } = this
    if (text.length - at > this.safeSize) return false
    const lineFeed = text.indexOf('\n', at)
    const line = lineFeed === -1 ? at : lineFeed + 1
    const isFirst = line === at
    if (!isFirst && text.slice(at, at + 7) !== 'event: ') return false
    if (text.indexOf('\n', line) !== -1 || text.indexOf('\r', at) !== -1) return false
    return text[line] === 'd' || (isFirst && text.slice(at, at + 2) === 'ev')
  }

  #lineEnd(lineFeed: number): number {
    return this.text.charCodeAt(lineFeed - 1) === 0x0d ? lineFeed - 1 : lineFeed
  }

  /** Where the blank line behind a line ends, or -1 if none follows it. */
  #blankLineEnd(lineFeed: number): number {
    const blank = this.text.charCodeAt(lineFeed + 1) === 0x0d ? lineFeed + 2 : lineFeed + 1
    return this.text.charCodeAt(blank) === 0x0a ? blank + 1 : -1
  }
}

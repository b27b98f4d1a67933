import { ByteWindow, Piece } from '../bytes/byte-window.js'

const lineFeed = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a
const nameField: Piece = new Piece('event: ')
const dataField: Piece = new Piece('data: {')

/**
 * Finds, in bytes, the events that need no parser: those that stand there whole, in the form that nearly all have,
 * which is a line `event: …` or none, one line `data: {…}`, and a blank line. LF and CRLF end a line.
 *
 * The caller decodes what it needs of them, and asks whether there is a CR within the data: that ends a line too, and
 * is white space to `JSON.parse`.
 */
export class EventScanner {
  readonly bytes: ByteWindow = new ByteWindow()
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

  /** Whether any of the bytes is a CR. */
  #hasCarriageReturn: boolean | undefined
  #next = 0
  /** Where the line begins that the bytes end within, if `find` came upon it; or -1. */
  #openLine = -1

  constructor(maxEventSize: number) {
    this.safeSize = maxEventSize / 3
  }

  /** Takes the first bytes of a buffer, where a character begins, and a view of its memory if there is one. */
  load(buffer: Buffer, length: number, view?: DataView): void {
    this.bytes.load(buffer, length, view)
    this.at = 0
    this.#hasCarriageReturn = undefined
  }

  /** Lets go of the bytes. */
  unload(): void {
    this.bytes.unload()
    this.at = 0
  }

  /** Whether all was taken. */
  get isDone(): boolean {
    return this.at === this.bytes.length
  }

  /** Whether an event of that form begins here. */
  find(): boolean {
    const { bytes, at } = this
    const isNamed = bytes.holds(nameField, at)
    let line = at
    this.#openLine = at
    if (isNamed) {
      line = bytes.indexOf(lineFeed, at) + 1
      if (line === 0) return false
      this.#openLine = line
    }
    const end = bytes.indexOf(lineFeed, line)
    if (end === -1) return false
    this.#openLine = -1
    if (!bytes.holds(dataField, line)) return false
    this.#next = this.#blankLineEnd(end)
    if (this.#next === -1) return false
    this.event = isNamed ? bytes.read(at + nameField.length, this.#lineEnd(line - 1)) : ''
    this.start = line + dataField.length - 1
    this.end = this.#lineEnd(end)
    return !this.event.includes('\r') && this.#next - at <= this.safeSize
  }

  /** Whether there is a CR within the data of the event that was found. */
  hasCarriageReturn(): boolean {
    const { buffer } = this.bytes
    this.#hasCarriageReturn ??= buffer.includes(carriageReturn)
    return this.#hasCarriageReturn && buffer.subarray(this.start, this.end).includes(carriageReturn)
  }

  /** The data of the event that was found. */
  data(): string {
    return this.bytes.read(this.start, this.end)
  }

  /** What stands before the data of the event that was found. */
  before(): string {
    return this.bytes.read(this.at, this.start)
  }

  /** What stands behind it. */
  behind(): string {
    return this.bytes.read(this.end, this.#next)
  }

  /** Moves behind the event that was found. */
  take(): void {
    this.at = this.#next
  }

  /**
   * Moves behind blank lines and comments, which say nothing between events. False where there is none that ends here, or
   * none that LF or CRLF ends.
   */
  skipIdle(): boolean {
    const { bytes } = this
    const { buffer, length } = bytes
    let at = this.at
    // No byte behind the last one is asked for: V8 reads an array slowly from then on.
    while (at < length) {
      let end = at
      if (buffer[end] === colon) {
        while (end < length && buffer[end] !== lineFeed && buffer[end] !== carriageReturn) end++
        if (end - at > this.safeSize) break
      }
      if (end < length && buffer[end] === carriageReturn) end++
      if (end >= length || buffer[end] !== lineFeed) break
      at = end + 1
    }
    const isMoved = at > this.at
    this.at = at
    return isMoved
  }

  /**
   * Moves behind the next blank line, or if there is none, behind the last line, and returns the bytes up to there.
   * Undefined if no line ends.
   */
  takeLines(): Buffer | undefined {
    const { bytes, at } = this
    const end = this.#blankLine(at) ?? this.#lastLineEnd(at)
    if (end === at) return undefined
    this.at = end
    return bytes.buffer.subarray(at, end)
  }

  /**
   * Whether what is left, where no event was found, is the beginning of one of that form with LF, and is worth to wait
   * for what follows: no line of it says anything before its end.
   */
  isBeginning(): boolean {
    const { bytes, at } = this
    const line = this.#openLine
    if (line === -1 || bytes.length - at > this.safeSize || bytes.indexOf(carriageReturn, at) !== -1)
      return false
    const mayBeData = bytes.byteAt(line) === 0x64
    const mayBeName = line === at && bytes.byteAt(at) === 0x65 && bytes.byteAt(at + 1) === 0x76
    return mayBeData || mayBeName
  }

  /** Where the next blank line ends. */
  #blankLine(start: number): number | undefined {
    const { bytes } = this
    for (let end = bytes.indexOf(lineFeed, start); end !== -1; end = bytes.indexOf(lineFeed, end + 1)) {
      const next = this.#blankLineEnd(end)
      if (next !== -1) return next
    }
    return undefined
  }

  /** Where the last line ends that ends behind a place; the same place if none does. */
  #lastLineEnd(start: number): number {
    const { buffer, length } = this.bytes
    const lineFeedAt = buffer.lastIndexOf(lineFeed, length - 1)
    const carriageReturnAt = buffer.lastIndexOf(carriageReturn, length - 1)
    return Math.max(start, lineFeedAt + 1, carriageReturnAt + 1)
  }

  #lineEnd(end: number): number {
    return this.bytes.byteAt(end - 1) === carriageReturn ? end - 1 : end
  }

  /** Where the blank line behind a line ends, or -1 if none follows it. */
  #blankLineEnd(end: number): number {
    const blank = this.bytes.byteAt(end + 1) === carriageReturn ? end + 2 : end + 1
    return this.bytes.byteAt(blank) === lineFeed ? blank + 1 : -1
  }
}

/** Pieces of an unfinished line are joined in groups of this many: a read may bring one character only. */
const groupSize = 1024

/** A longer comment, in characters, is read as a line, so that it is measured. */
export const longestIdleComment = 1024

/**
 * Cuts text into lines that end in LF, CRLF or CR, however the text comes in pieces. A CR ends its line at
 * once, and a LF that begins the next piece belongs to it. One leading byte order mark is dropped (HTML
 * standard, 9.2.6).
 *
 * Every piece is searched once and joined once. Splitting what is carried over again with each piece that
 * comes, as line splitters do, takes half a minute for a line of 16 MB.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void
  readonly #isIdle: () => boolean
  readonly #groups: string[] = []
  readonly #pieces: string[] = []
  #isFirst = true
  #skipsLineFeed = false
  #lastUnit = 0

  /** How many bytes the line has that has not ended yet. */
  carriedBytes = 0

  /** While `isIdle` is true, blank lines and comments say nothing, and are skipped instead of called back for. */
  constructor(onLine: (line: string) => void, isIdle: () => boolean = () => false) {
    this.#onLine = onLine
    this.#isIdle = isIdle
  }

  /** Whether what comes next begins a line. */
  get isBetweenLines(): boolean {
    return this.carriedBytes === 0 && !this.#skipsLineFeed
  }

  /** Says that what comes next is not the beginning of the input: a byte order mark there is text. */
  begin(): void {
    this.#isFirst = false
  }

  /** Takes the next piece, and calls back for each line that ends in it, without its line end. */
  feed(text: string): void {
    if (text === '') return
    let start = this.#prefixLength(text)
    if (this.carriedBytes === 0) start = this.#skipIdle(text, start)
    let lineFeed = text.indexOf('\n', start)
    let carriageReturn = text.indexOf('\r', start)
    while (lineFeed !== -1 || carriageReturn !== -1) {
      const isLineFeed = carriageReturn === -1 || (lineFeed !== -1 && lineFeed < carriageReturn)
      const end = isLineFeed ? lineFeed : carriageReturn
      const rest = text.slice(start, end)
      this.#onLine(this.carriedBytes === 0 ? rest : this.#join(rest))
      start = end + 1
      if (!isLineFeed) start = this.#behindLineFeed(text, start)
      start = this.#skipIdle(text, this.#takeBlankLines(text, start))
      // Each is searched for again only when it lies behind: a text with one kind is not read once per line.
      if (lineFeed !== -1 && lineFeed < start) lineFeed = text.indexOf('\n', start)
      if (carriageReturn !== -1 && carriageReturn < start) carriageReturn = text.indexOf('\r', start)
    }
    if (start < text.length) this.#carry(start === 0 ? text : text.slice(start))
  }

  /** The last line, when it has no line end. */
  end(): string {
    return this.#join('')
  }

  /** Takes the blank lines that stand here: nothing has to be searched for them. */
  #takeBlankLines(text: string, start: number): number {
    for (;;) {
      const unit = text.charCodeAt(start)
      if ((unit !== 0x0a && unit !== 0x0d) || this.#isIdle()) return start
      if (unit === 0x0a) start++
      else start = this.#behindLineFeed(text, start + 1)
      this.#onLine('')
    }
  }

  /** Where the first line begins that says something. A server that keeps a connection alive may send nothing else for hours. */
  #skipIdle(text: string, start: number): number {
    const { length } = text
    if (start === length || !isIdleUnit(text.charCodeAt(start)) || !this.#isIdle()) return start
    let at = start
    while (at < length) {
      let end = at
      let unit = text.charCodeAt(end)
      if (unit === 0x3a) {
        const most = Math.min(length, at + longestIdleComment)
        while (end < most && unit !== 0x0a && unit !== 0x0d) unit = text.charCodeAt(++end)
        if (end >= most) break
      } else if (unit !== 0x0a && unit !== 0x0d) break
      at = end + 1
    }
    if (at > start && text.charCodeAt(at - 1) === 0x0d) return this.#behindLineFeed(text, at)
    return at
  }

  /** Where the line begins behind a CR, which may be the first half of a line end. */
  #behindLineFeed(text: string, start: number): number {
    if (text.charCodeAt(start) === 0x0a) return start + 1
    if (start === text.length) this.#skipsLineFeed = true
    return start
  }

  #prefixLength(text: string): number {
    const first = text.charCodeAt(0)
    const skips = (this.#isFirst && first === 0xfeff) || (this.#skipsLineFeed && first === 0x0a)
    this.#isFirst = false
    this.#skipsLineFeed = false
    return skips ? 1 : 0
  }

  #carry(piece: string): void {
    this.carriedBytes += Buffer.byteLength(piece)
    // Text, unlike bytes, may be cut within a surrogate pair: its halves count three bytes each, the pair four.
    if (isHighSurrogate(this.#lastUnit) && isLowSurrogate(piece.charCodeAt(0))) this.carriedBytes -= 2
    this.#lastUnit = piece.charCodeAt(piece.length - 1)
    this.#pieces.push(piece)
    if (this.#pieces.length === groupSize) this.#groups.push(this.#pieces.splice(0).join(''))
  }

  #join(rest: string): string {
    this.carriedBytes = 0
    this.#lastUnit = 0
    // At once: texts that are added are copied again by whoever looks into them first.
    return [...this.#groups.splice(0), ...this.#pieces.splice(0), rest].join('')
  }
}

function isIdleUnit(unit: number): boolean {
  return unit === 0x0a || unit === 0x0d || unit === 0x3a
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

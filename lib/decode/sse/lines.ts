import { JoinedText } from '../joined-text.js'

/** A longer comment, in characters, is read as a line, so that it is measured. */
export const longestIdleComment = 1024

/** So many characters of lines that say nothing are compared with what follows, at least: a comparison has its price. */
const leastBlock = 64
/** So many of them are looked at, at the most, to find where they come again. */
const mostUnits = 256

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
  /** What there is of a line that has not ended. */
  readonly #carried = new JoinedText('')
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
    if (start === text.length || !isIdleUnit(text.charCodeAt(start)) || !this.#isIdle()) return start
    const end = idleLinesEnd(text, start)
    return end > start && text.charCodeAt(end - 1) === 0x0d ? this.#behindLineFeed(text, end) : end
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
    this.carriedBytes += bytesBehind(this.#lastUnit, piece)
    this.#lastUnit = piece.charCodeAt(piece.length - 1)
    this.#carried.add(piece)
  }

  #join(rest: string): string {
    this.carriedBytes = 0
    this.#lastUnit = 0
    // At once: texts that are added are copied again by whoever looks into them first.
    if (rest !== '') this.#carried.add(rest)
    return this.#carried.take()
  }
}

/**
 * Where the blank lines and comments end that begin at a place. To look at each unit of them takes several times as long
 * as to read an event of that length, so that is done for a few lines only. A server sends the same ones over and
 * over: those are compared in blocks. Others are searched for the line that is neither.
 */
function idleLinesEnd(text: string, start: number): number {
  let at = start
  while (at < text.length && (at - start < leastBlock || !isAlike(text, start, at))) {
    const end = idleLineEnd(text, at)
    if (end === at) return at
    at = end
    if (at - start > mostUnits) return searchedIdleEnd(text, at)
  }
  return searchedIdleEnd(text, repeatsEnd(text, start, at))
}

/** Where the blank line or the comment ends that begins at a place; the same place if none does. */
function idleLineEnd(text: string, start: number): number {
  let at = start
  let unit = text.charCodeAt(at)
  if (unit === 0x3a) {
    const most = Math.min(text.length, start + longestIdleComment)
    while (at < most && !isLineEnd(unit)) unit = text.charCodeAt(++at)
    return at < most ? at + 1 : start
  }
  return isLineEnd(unit) ? at + 1 : start
}

/** Whether two lines begin alike, so that what is between them may come again. */
function isAlike(text: string, first: number, second: number): boolean {
  return (
    text.charCodeAt(first) === text.charCodeAt(second) &&
    text.charCodeAt(first + 1) === text.charCodeAt(second + 1)
  )
}

/** Where a text stops to repeat what stands between two places. Blocks are compared, which double as long as they are equal. */
function repeatsEnd(text: string, start: number, end: number): number {
  let at = end
  let size = end - start
  const isRepeated = () => text.slice(at - size, at) === text.slice(at, at + size)
  for (; isRepeated(); size *= 2) at += size
  while (size > end - start) {
    size /= 2
    if (isRepeated()) at += size
  }
  return at
}

/** The same as `idleLineEnd`, of all that stand there: an expression looks for a line that begins with something else. */
function searchedIdleEnd(text: string, start: number): number {
  let at = start
  while (at < text.length && isIdleUnit(text.charCodeAt(at))) {
    const part = text.slice(at, at + longestIdleComment)
    const lineEnd = part.search(/[\n\r][^\n\r:]/)
    if (lineEnd !== -1) return at + lineEnd + 1
    let end = part.length
    while (end > 0 && !isLineEnd(part.charCodeAt(end - 1))) end--
    if (end === 0) return at
    at += end
  }
  return at
}

/** Whether a character, or a byte, ends a line: LF or CR. */
export function isLineEnd(unit: number): boolean {
  return unit === 0x0a || unit === 0x0d
}

function isIdleUnit(unit: number): boolean {
  return isLineEnd(unit) || unit === 0x3a
}

/**
 * How many bytes a text adds to one that ends with a unit. Text, unlike bytes, may be cut within a surrogate pair: its
 * halves count three bytes each, the pair four.
 */
export function bytesBehind(lastUnit: number, text: string): number {
  const isPairCut = isHighSurrogate(lastUnit) && isLowSurrogate(text.charCodeAt(0))
  return Buffer.byteLength(text) - (isPairCut ? 2 : 0)
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

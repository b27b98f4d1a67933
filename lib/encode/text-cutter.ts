import { halfCharacter } from './cut-end.js'

/** Where a text is cut. */
export type CutBy = 'word' | 'line' | 'sentence' | RegExp

/**
 * Finds where the first piece of a text ends that is still coming, or gives -1 where that is not known yet. What it has found
 * more text does not change, so the pieces are the same wherever the text was cut on its way. Expressions of the caller
 * alone may not keep to that.
 */
type FindEnd = (text: string, isLast: boolean) => number

interface Way {
  findEnd: FindEnd
  /**
   * A text that is longer, without an end in it, is looked at again only when it has grown by an eighth: to look at all of it
   * for each short piece of it would take the square of its length.
   */
  patience: number
}

/** No writing has a longer cluster; one that is goes on in parts. */
const longestCluster = 1000

/** So many words are waited for, where no space shows the end of the first. */
const wordsAhead = 4

/** So much of a text a segmenter is given at once, unless one segment is longer. */
const partSize = 256

/** In so many characters those words are looked for first. */
const charactersAhead = 12

// The quotes „, “ and « are escapes, because the package's files are ASCII: others take more time and memory to load.
/** A point behind which a sentence often goes on: titles, initials and other single letters, small numbers, and what is shortened within one. */
const noEnd =
  /(?:^|[\s"'([{\u201e\u201c\u00ab])(?:(?:Mrs?|Ms|Dr|Drs|Prof|Rev|Hon|Gen|Col|Capt|Lt|Sgt|Sen|Gov|St|Mt|Hr|Fr|Mme|Sra?|Srta|vs|cf|approx|Fig|Nr|No|Nos|Vol|pp?|ca|bzw|vgl|[A-Za-z]|\d{1,3})\.|(?:e\.\s?g|i\.\s?e|z\.\s?B|d\.\s?h|u\.\s?a|p\.\s?ej)\.)\s*$/u

/** What ends a sentence, or a paragraph. */
const terminal = /[\p{Sentence_Terminal}\n\r\u0085\u2029]/u

/** What shows that the sentence before it has ended. */
const shown = /[\p{L}\p{Sentence_Terminal}\n]/u

/** What `noEnd` matches is shorter, in characters. */
const longestNoEnd = 24

/**
 * Cuts a text that is still coming into pieces, so that all of them joined are the text: nothing is added, nothing lost. A
 * piece is given as soon as more text cannot change its end. No piece ends within a grapheme cluster, which is what a reader
 * takes for one character.
 */
export class TextCutter {
  readonly #way: Way
  readonly #longest: number
  #text = ''
  /** How long the text has to be until it is looked at again. */
  #enough = 0
  /** The first half of a surrogate pair, which is no character yet. */
  #half = ''

  constructor(by: CutBy, longest: number) {
    this.#way = typeof by === 'string' ? ways[by]() : { findEnd: endOfMatch(by), patience: 1000 }
    this.#longest = longest
  }

  /** How much is held, in UTF-16 units. */
  get held(): number {
    return this.#text.length + this.#half.length
  }

  /** Takes more text, and gives the pieces that are whole with it. */
  add(text: string): string[] {
    const all = this.#half + text
    this.#half = halfCharacter.exec(all)?.[0] ?? ''
    this.#text += this.#half === '' ? all : all.slice(0, -1)
    return this.#text.length > Math.min(this.#enough, this.#longest) ? this.#cut(false) : []
  }

  /** Gives what is left. */
  end(): string[] {
    this.#text += this.#half
    this.#half = ''
    const pieces = this.#cut(true)
    const rest = this.#text
    this.#text = ''
    return rest === '' ? pieces : [...pieces, rest]
  }

  #cut(isLast: boolean): string[] {
    const text = this.#text
    const pieces: string[] = []
    let at = 0
    for (;;) {
      const length = this.#pieceLength(text, at, isLast)
      if (length <= 0) break
      pieces.push(text.slice(at, at + length))
      at += length
    }
    this.#text = text.slice(at)
    const { length } = this.#text
    this.#enough = length > this.#way.patience ? length + length / 8 : 0
    return pieces
  }

  /**
   * How long the piece is that begins at a place; -1 where that is not known yet. Of a text that is too long for one piece
   * only the part is looked at that shows it: what comes behind may have come with it, or not.
   */
  #pieceLength(text: string, at: number, isLast: boolean): number {
    const isTooLong = text.length - at > this.#longest
    const part = isTooLong ? beginning(text, at, this.#longest + 1) : text.slice(at)
    const isAll = isLast && !isTooLong
    const found = this.#way.findEnd(part, isAll)
    const end = found > 0 ? clusterEnd(part, found, isAll) : -1
    if (end > 0 && end <= this.#longest) return end
    return isTooLong ? lastEndBefore(part, this.#longest) || this.#clusterLength(text, at) : -1
  }

  /** How much goes out where a cluster is longer than a piece may be: all of it, when its end is known. */
  #clusterLength(text: string, at: number): number {
    const most = this.#longest + longestCluster
    const part = beginning(text, at, most + 1)
    const length = clusterEnd(part, 1, false)
    if (length !== -1) return length
    return part.length > most ? withoutHalf(part, this.#longest) : -1
  }
}

/** So much of a text from a place on, and no half of a surrogate pair at its end. */
function beginning(text: string, at: number, length: number): string {
  const isWithinPair = isHigh(text.charCodeAt(at + length - 1)) && isLow(text.charCodeAt(at + length))
  return text.slice(at, at + length + (isWithinPair ? 1 : 0))
}

const ways: Record<Exclude<CutBy, RegExp>, () => Way> = {
  line: () => ({
    patience: 1000,
    findEnd(text) {
      const found = /\r\n|\r(?!$)|[\n\u2028\u2029\u0085]/.exec(text)
      return found ? found.index + found[0].length : -1
    }
  }),
  word() {
    const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })
    return { patience: 64, findEnd: (text, isLast) => wordEnd(segmenter, text, isLast) }
  },
  sentence() {
    const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' })
    return { patience: 1000, findEnd: (text, isLast) => sentenceEnd(segmenter, text, isLast) }
  }
}

/**
 * The end of a word with the spaces and marks behind it. Where none are between words, as in Chinese, those that follow have
 * a say in where the first one ends. So it is asked for with a certain number of characters, which are the same wherever the
 * text is cut: those that would do, and then twice as many, until they hold enough words.
 */
function wordEnd(segmenter: Intl.Segmenter, text: string, isLast: boolean): number {
  for (let length = charactersAhead; length < text.length; length *= 2) {
    const end = secondWord(segmenter, beginning(text, 0, length), wordsAhead)
    if (end !== -1) return end
  }
  return secondWord(segmenter, text, isLast ? 1 : Number.POSITIVE_INFINITY)
}

/** Where the second word begins, if a space or mark before it shows that, or so many words behind the first. */
function secondWord(segmenter: Intl.Segmenter, text: string, ahead: number): number {
  let second = -1
  let count = 0
  for (const index of wordsOf(segmenter, text)) {
    if (count++ === 0) continue
    if (second === -1) {
      if (/[\s\p{P}]$/u.test(text.slice(0, index))) return index
      second = index
    }
    if (count > ahead) return second
  }
  return -1
}

/**
 * Where the words of a text begin. `Intl.Segmenter` takes for each segment a time that grows with the text, so it is given
 * the text in parts, of which the last characters are left to the next one.
 */
function* wordsOf(segmenter: Intl.Segmenter, text: string): Generator<number> {
  let at = 0
  let size = partSize
  for (;;) {
    const isRest = at + size >= text.length
    let sureEnd = 0
    for (const { segment, index, isWordLike } of segmenter.segment(text.slice(at, at + size))) {
      const end = index + segment.length
      if (!isRest && end > size / 2) break
      if (isWordLike) yield at + index
      sureEnd = end
    }
    if (isRest) return
    at += sureEnd
    size = sureEnd > 0 ? partSize : size * 2
  }
}

/**
 * The end of a sentence. Of a long text one part after the other is looked at, each from the last place on that is sure to
 * end what `Intl.Segmenter` takes for a sentence, though it is none.
 */
function sentenceEnd(segmenter: Intl.Segmenter, text: string, isLast: boolean): number {
  if (!terminal.test(text)) return -1
  let at = 0
  let size = partSize
  for (;;) {
    const part = text.slice(at, at + size)
    const isRest = at + size >= text.length
    let sureEnd = 0
    for (const { segment, index } of segmenter.segment(part)) {
      const end = index + segment.length
      if (end === part.length) break
      const isLine = /\n\s*$/.test(segment)
      // Behind other marks than those of an end, a small letter may yet come, and with it the rest of the sentence.
      if (!isLine && !(isLast && isRest) && !shown.test(part.slice(end))) break
      if (isLine || !isNoEnd(text.slice(0, at + end))) return at + end
      sureEnd = end
    }
    if (isRest) return -1
    at += sureEnd
    size = sureEnd > 0 ? partSize : size * 2
  }
}

function isNoEnd(text: string): boolean {
  const written = text.trimEnd()
  return noEnd.test(written.slice(-longestNoEnd))
}

/** A piece ends with each match of an expression. One at the end of the text may still grow. */
function endOfMatch(by: RegExp): FindEnd {
  const expression = new RegExp(by.source, by.flags.replace(/[gy]/g, ''))
  return (text, isLast) => {
    const found = expression.exec(text)
    if (!found || found[0] === '') return -1
    const end = found.index + found[0].length
    return end < text.length || isLast ? end : -1
  }
}

let graphemes: Intl.Segmenter | undefined

/** The end of the cluster that a place is in or at the end of; -1 where more text could make it longer. */
function clusterEnd(text: string, place: number, isLast: boolean): number {
  if (place >= text.length) return isLast ? text.length : -1
  // Most places are between two characters of ASCII, of which no cluster but CR LF is made.
  const [before, behind] = [text.charCodeAt(place - 1), text.charCodeAt(place)]
  if (before < 0x80 && behind < 0x80) return before === 0x0d && behind === 0x0a ? place + 1 : place
  const { start, end } = clusterAt(text, place)
  if (start === place) return place
  return end < text.length || isLast ? end : -1
}

/** The last place up to `longest` at which a cluster ends, behind a space if there is one in the second half; 0 if none. */
function lastEndBefore(text: string, longest: number): number {
  const half = Math.floor(longest / 2)
  const space = text.slice(half, longest).search(/\s\S*$/)
  if (space !== -1) {
    const end = clusterEnd(text, half + space + 1, false)
    if (end > 0 && end <= longest) return end
  }
  return clusterAt(text, longest).start
}

/**
 * The cluster that the character at a place is in. They are counted from the beginning of the text, which is one: flags are
 * pairs of letters, and emoji may be joined to a long row.
 */
function clusterAt(text: string, place: number): { start: number; end: number } {
  graphemes ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  const near = text.slice(0, place + longestCluster)
  const found = graphemes.segment(near).containing(place)
  const start = found?.index ?? place
  const end = start + (found?.segment.length ?? 0)
  if (end < near.length || near.length === text.length) return { start, end }
  // It goes on behind what was looked at.
  return { start, end: start + (graphemes.segment(text.slice(start)).containing(0)?.segment.length ?? 0) }
}

/** The end, or one beside it where that is within a surrogate pair. */
function withoutHalf(text: string, end: number): number {
  if (!isHigh(text.charCodeAt(end - 1)) || !isLow(text.charCodeAt(end))) return end
  return end > 1 ? end - 1 : end + 1
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff
}

import { halfCharacter } from './cut-end.js'

/** Where a text is cut. */
export type CutBy = 'word' | 'line' | 'sentence' | RegExp

/** Where a piece of a text that is still coming ends, or -1 where that is not known yet. */
type FindEnd = (text: string, isLast: boolean) => number

/** No writing has a longer cluster; one that is goes on in parts. */
const longestCluster = 1000

/** How much of a text is looked at to find the cluster that a place is in. */
const nearby = 2 * longestCluster

/** So many words are waited for, where no space shows the end of the first. */
const wordsAhead = 4

// The quotes „, “ and « are escapes, because the package's files are ASCII: others take more time and memory to load.
/** A point behind which a sentence often goes on: titles, initials and other single letters, small numbers, and what is shortened within one. */
const noEnd =
  /(?:^|[\s"'([{\u201e\u201c\u00ab])(?:(?:Mrs?|Ms|Dr|Drs|Prof|Rev|Hon|Gen|Col|Capt|Lt|Sgt|Sen|Gov|St|Mt|Hr|Fr|Mme|Sra?|Srta|vs|cf|approx|Fig|Nr|No|Nos|Vol|pp?|ca|bzw|vgl|[A-Za-z]|\d{1,3})\.|(?:e\.\s?g|i\.\s?e|z\.\s?B|d\.\s?h|u\.\s?a|p\.\s?ej)\.)\s*$/u

/** What ends a sentence, or a paragraph. */
const terminal = /[\p{Sentence_Terminal}\n\r\u0085\u2029]/u

/**
 * Cuts a text that is still coming into pieces, so that all of them joined are the text: nothing is added, nothing lost. A
 * piece is given as soon as more text cannot change its end. No piece ends within a grapheme cluster, which is what a reader
 * takes for one character.
 */
export class TextCutter {
  readonly #findEnd: FindEnd
  readonly #longest: number
  #text = ''
  /** The first half of a surrogate pair, which is no character yet. */
  #half = ''

  constructor(by: CutBy, longest: number) {
    this.#findEnd = typeof by === 'string' ? ends[by]() : endOfMatch(by)
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
    return this.#cut(false)
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
    const pieces: string[] = []
    for (;;) {
      const found = this.#findEnd(this.#text, isLast)
      let end = found > 0 ? clusterEnd(this.#text, found, isLast) : -1
      if ((end === -1 || end > this.#longest) && this.#text.length > this.#longest)
        end = lastEndBefore(this.#text, this.#longest)
      if (end <= 0 || (end === this.#text.length && !isLast)) return pieces
      pieces.push(this.#text.slice(0, end))
      this.#text = this.#text.slice(end)
    }
  }
}

const ends: Record<Exclude<CutBy, RegExp>, () => FindEnd> = {
  line: () => text => {
    const found = /\r\n|\r(?!$)|[\n\u2028\u2029\u0085]/.exec(text)
    return found ? found.index + found[0].length : -1
  },
  word() {
    const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })
    // A word with the spaces and marks behind it. Where none are between words, as in Chinese, those that follow have a say
    // in where the first one ends.
    return (text, isLast) => {
      const starts: number[] = []
      for (const { index, isWordLike } of segmenter.segment(text)) {
        if (!isWordLike) continue
        starts.push(index)
        if (starts.length > wordsAhead) break
      }
      const next = starts[1]
      if (next === undefined) return -1
      return isLast || starts.length > wordsAhead || /[\s\p{P}]$/u.test(text.slice(0, next)) ? next : -1
    }
  },
  sentence() {
    const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' })
    return (text, isLast) => {
      if (!terminal.test(text)) return -1
      for (const { segment, index } of segmenter.segment(text)) {
        const end = index + segment.length
        if (end === text.length) return -1
        // Behind marks alone, a small letter may yet come, and with it the rest of the sentence.
        const isSure = isLast || /\p{L}|\n/u.test(text.slice(end)) || /\n\s*$/.test(segment)
        if (!isSure) return -1
        if (!noEnd.test(text.slice(0, end)) || /\n\s*$/.test(segment)) return end
      }
      return -1
    }
  }
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
  graphemes ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  const start = Math.max(0, place - longestCluster)
  const near = graphemes.segment(text.slice(start, start + nearby)).containing(place - start)
  if (!near || start + near.index === place) return place
  const end = start + near.index + near.segment.length
  return end < text.length || isLast ? end : -1
}

/** The last place up to `longest` at which a cluster ends, behind a space if there is one in the second half. */
function lastEndBefore(text: string, longest: number): number {
  const space = text.slice(Math.floor(longest / 2), longest).search(/\s\S*$/)
  if (space !== -1) {
    const end = clusterEnd(text, Math.floor(longest / 2) + space + 1, false)
    if (end > 0 && end <= longest) return end
  }
  graphemes ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  const start = Math.max(0, longest - longestCluster)
  const near = graphemes.segment(text.slice(start, start + nearby)).containing(longest - start)
  const end = near ? start + near.index : longest
  if (end > 0) return end
  // A cluster that is longer than a piece may be: it goes out whole when its end is known.
  const whole = near ? near.segment.length : 0
  if (whole > 0 && whole < text.length) return whole
  return text.length > longest + longestCluster ? withoutHalf(text, longest) : -1
}

function withoutHalf(text: string, end: number): number {
  return halfCharacter.test(text.slice(0, end)) ? end - 1 : end
}

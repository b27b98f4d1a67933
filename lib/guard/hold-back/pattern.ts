import { compiled, partialOf } from './partial-expression.js'

/** What a rule looks for. */
export interface PatternOptions {
  match: string | RegExp
  /** The longest match, in characters (UTF-16 code units). */
  longest: number
  /** How many characters of what was found are a match; 0 for none. Default: all. */
  measure?: ((found: string) => number) | undefined
}

/** A match at a place of the text. */
export interface Found {
  text: string
  /** What the groups of a regular expression matched. */
  groups: readonly (string | undefined)[]
}

/** What an assertion at the edge of a match may look at: one character, which may take two code units. */
const edge = 2

/**
 * A string or a regular expression that is looked for in a text of which more may come.
 *
 * At each place, it sees `longest` characters; a lookahead, `longest` more, and a lookbehind as many before; and the
 * edges of all these. That makes the work at each place bounded, and what is found the same wherever the text was cut. Of a
 * match that is longer, only the first `longest` characters are seen, as if the text ended there.
 */
export class Pattern {
  readonly longest: number
  readonly #literal: string | undefined
  readonly #whole: RegExp
  readonly #partial: RegExp
  /** Finds the characters that a match can begin with. */
  readonly #first: RegExp | undefined
  readonly #behind: number
  readonly #ahead: number
  readonly #isUnicode: boolean
  readonly #measure: ((found: string) => number) | undefined

  constructor({ match, longest, measure }: PatternOptions) {
    const isLiteral = typeof match === 'string'
    const expression = isLiteral ? new RegExp(escaped(match)) : match
    // Where to match, and that once, is said at each call.
    const flags = expression.flags.replace(/[gyd]/g, '')
    const { source, first, looksAhead, looksBehind } = partialOf(expression)
    this.longest = longest
    this.#literal = isLiteral ? match : undefined
    this.#whole = new RegExp(expression.source, `${flags}y`)
    this.#partial = compiled(source, `${flags}y`) ?? /.*/sy
    this.#first = first === undefined ? undefined : compiled(first, `${flags}g`)
    this.#behind = looksBehind ? longest + edge : edge
    this.#ahead = isLiteral ? 0 : looksAhead ? longest + edge : edge
    this.#isUnicode = /[uv]/.test(flags)
    this.#measure = measure
  }

  /** How many characters before a place bear on what is found there. */
  get behind(): number {
    return this.#behind
  }

  /** The first place from `place` on where a match may begin; the end of the text where there is none. */
  next(text: string, place: number): number {
    if (!this.#first) return place
    // There, an expression with the flag `u` would go back to the beginning of the pair.
    this.#first.lastIndex = this.#isUnicode && isWithinPair(text, place) ? place + 1 : place
    return this.#first.exec(text)?.index ?? text.length
  }

  /**
   * What matches at a place: undefined for nothing, and `open` where that depends on what comes next. `isEnd` says
   * that nothing does.
   */
  at(text: string, place: number, isEnd: boolean): Found | 'open' | undefined {
    if (this.#literal !== undefined) return this.#literalAt(text, place, isEnd)
    if (this.#isUnicode && isWithinPair(text, place)) return undefined
    const start = Math.max(0, place - this.#behind)
    const end = place + this.longest + this.#ahead
    const seen = text.slice(start, end)
    if (!isEnd && end > text.length) {
      this.#partial.lastIndex = place - start
      if (!this.#partial.test(seen)) return undefined
      if (this.#partial.lastIndex === seen.length) return 'open'
    }
    return this.#measured(this.#match(seen, place - start))
  }

  #literalAt(text: string, place: number, isEnd: boolean): Found | 'open' | undefined {
    const literal = this.#literal as string
    if (text.startsWith(literal, place)) return this.#measured([literal])
    const rest = text.length - place
    return !isEnd && rest < literal.length && text.endsWith(literal.slice(0, rest)) ? 'open' : undefined
  }

  #match(seen: string, place: number): readonly (string | undefined)[] | null {
    this.#whole.lastIndex = place
    const found = this.#whole.exec(seen)
    if (!found || found[0].length <= this.longest) return found
    this.#whole.lastIndex = place
    return this.#whole.exec(seen.slice(0, place + this.longest))
  }

  #measured(match: readonly (string | undefined)[] | null): Found | undefined {
    if (!match) return undefined
    const [whole = '', ...groups] = match
    const length = this.#measure ? this.#measure(whole) : whole.length
    return length > 0 ? { text: whole.slice(0, length), groups } : undefined
  }
}

/** Whether a place is in the middle of a surrogate pair. */
function isWithinPair(text: string, place: number): boolean {
  const last = text.charCodeAt(place - 1)
  const next = text.charCodeAt(place)
  return last >= 0xd800 && last <= 0xdbff && next >= 0xdc00 && next <= 0xdfff
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

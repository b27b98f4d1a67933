import type { Found, Pattern } from './pattern.js'

/** A stretch of the text: free to go, or a match of one of the rules. */
export interface Stretch {
  text: string
  /** The place of the rule in the list; undefined for text that matches none. */
  rule: number | undefined
  /** What the groups of the rule's expression matched. */
  groups: readonly (string | undefined)[]
}

const noGroups: readonly undefined[] = []

/**
 * Says of each piece of a text which part of it may go, and holds what may still become part of a match: everything
 * before that goes at once.
 *
 * The leftmost match counts; of several at one place that of the first rule. The next is looked for behind it. What is
 * found does not depend on where the text is cut. What is held is never longer than the longest match, what a lookahead
 * sees behind it, and the edge of these. Time is linear in the length of the text.
 */
export class HoldBack {
  readonly #rules: readonly Pattern[]
  readonly #memory: number
  /** For each rule, before which place of `#text` it has no match. */
  readonly #next: number[]
  /** What is held, behind as much of what went before as a rule may look at. */
  #text = ''
  #place = 0
  /** The first half of a surrogate pair, which is no character yet. */
  #half = ''

  constructor(rules: readonly Pattern[]) {
    this.#rules = rules
    this.#memory = Math.max(0, ...rules.map(rule => rule.behind))
    this.#next = rules.map(() => 0)
  }

  /** How many characters are held. */
  get held(): number {
    return this.#text.length - this.#place + this.#half.length
  }

  /** Takes the next piece, and gives what is decided by it. */
  add(piece: string): Stretch[] {
    const text = this.#half + piece
    this.#half = endsInHalf(text) ? text.slice(-1) : ''
    this.#text += this.#half === '' ? text : text.slice(0, -1)
    return this.#decide(false)
  }

  /** Gives what was held, now that nothing follows. The next piece begins another text. */
  end(): Stretch[] {
    this.#text += this.#half
    this.#half = ''
    const rest = this.#decide(true)
    this.#text = ''
    this.#place = 0
    this.#next.fill(0)
    return rest
  }

  #decide(isEnd: boolean): Stretch[] {
    const stretches: Stretch[] = []
    const text = this.#text
    let free = this.#place
    let place = this.#place
    while (place < text.length) {
      place = this.#nextPlace(place)
      if (place >= text.length) break
      const match = this.#matchAt(place, isEnd)
      if (match === 'open') break
      if (!match) place++
      else {
        if (place > free) stretches.push(freeStretch(text.slice(free, place)))
        stretches.push(match)
        place += match.text.length
        free = place
      }
    }
    if (place > free) stretches.push(freeStretch(text.slice(free, place)))
    this.#forget(place)
    return stretches
  }

  /** The first place at which any rule may match. */
  #nextPlace(place: number): number {
    let nearest = this.#text.length
    for (const [rule, pattern] of this.#rules.entries()) {
      let next = this.#next[rule] as number
      if (next < place) {
        next = pattern.next(this.#text, place)
        this.#next[rule] = next
      }
      if (next < nearest) nearest = next
    }
    return nearest
  }

  #matchAt(place: number, isEnd: boolean): Stretch | 'open' | undefined {
    for (const [rule, pattern] of this.#rules.entries()) {
      if ((this.#next[rule] as number) > place) continue
      const found: Found | 'open' | undefined = pattern.at(this.#text, place, isEnd)
      if (found === 'open') return found
      if (found) return { ...found, rule }
    }
    return undefined
  }

  /** Drops what no rule looks at any more. */
  #forget(place: number): void {
    const start = Math.max(0, place - this.#memory)
    this.#text = this.#text.slice(start)
    this.#place = place - start
    // What was the end of the text is not, once more comes: it is looked at again from there.
    for (const [rule, next] of this.#next.entries()) this.#next[rule] = Math.max(0, next - start)
  }
}

function freeStretch(text: string): Stretch {
  return { text, rule: undefined, groups: noGroups }
}

/** Whether a text ends with the first half of a surrogate pair. */
export function endsInHalf(text: string): boolean {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last <= 0xdbff
}

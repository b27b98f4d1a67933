import { endsInHalf, HoldBack, type Stretch } from '../hold-back/hold-back.js'
import { Pattern } from '../hold-back/pattern.js'

/** A run of text of one kind. */
export interface Run {
  kind: 'content' | 'reasoning'
  text: string
}

/** What is open where the prompt has opened it: any tag closes it. */
const anyTag = Symbol('any tag')

/** How many blanks may stand before the end of a tag. */
const mostBlanks = 4

/** What finds the tags of these names, in whatever case: some models write `<Think>`, or `<think >`. */
export function tagPattern(names: readonly string[]): Pattern {
  const longest = Math.max(...names.map(name => name.length)) + '</>'.length + mostBlanks
  // The first name that fits counts, and the end of the tag must follow.
  return new Pattern({ match: new RegExp(`<(/?)(${names.join('|')})\\s{0,${mostBlanks}}>`, 'i'), longest })
}

/**
 * Parts one text into what the model thinks, between tags, and what it answers. The tags themselves are of neither.
 *
 * Tags may be nested: then the outermost counts. A tag that is never closed holds to the end. A closing tag closes the
 * innermost open tag of its name, with all that was opened within; one that closes nothing is text.
 */
export class ThinkingText {
  readonly #tags: HoldBack
  readonly #open: (string | symbol)[] = []
  #isFresh = true
  #startsOpen: boolean

  constructor(pattern: Pattern, startsOpen: boolean) {
    this.#tags = new HoldBack([pattern])
    this.#startsOpen = startsOpen
    if (startsOpen) this.#open.push(anyTag)
  }

  /** How many characters are held. */
  get held(): number {
    return this.#tags.held
  }

  /** Whether the text begins within a tag, as far as it is known. */
  get startsOpen(): boolean {
    return this.#startsOpen
  }

  /** Takes what the provider itself has called reasoning: then the answer does not begin with any. */
  addReasoning(): void {
    if (this.#isFresh) {
      this.#open.length = 0
      this.#startsOpen = false
    }
    this.#isFresh = false
  }

  add(text: string): Run[] {
    // Most text has no tag, and none is open.
    if (this.#tags.held === 0 && this.#open.length === 0 && !text.includes('<') && !endsInHalf(text)) {
      this.#isFresh &&= text.trim() === ''
      return [{ kind: 'content', text }]
    }
    return this.#runsOf(this.#tags.add(text))
  }

  /** Gives what is held, where it turns out to be no tag. More text may follow. */
  end(): Run[] {
    return this.#runsOf(this.#tags.end())
  }

  #runsOf(stretches: readonly Stretch[]): Run[] {
    const runs: Run[] = []
    for (const { text, rule, groups } of stretches) {
      const [slash, written = ''] = groups
      const name = written.toLowerCase()
      if (rule !== undefined && (slash === '/' ? this.#close(name) : this.#openTag(name))) continue
      this.#isFresh &&= text.trim() === ''
      const kind = this.#open.length > 0 ? 'reasoning' : 'content'
      const last = runs.at(-1)
      if (last?.kind === kind) last.text += text
      else runs.push({ kind, text })
    }
    return runs
  }

  #openTag(name: string): true {
    // Some servers send the tag that the prompt ends with.
    if (this.#isFresh && this.#open[0] === anyTag) this.#open.length = 0
    this.#open.push(name)
    this.#isFresh = false
    return true
  }

  /** Whether there was anything to close. */
  #close(name: string): boolean {
    const place = Math.max(this.#open.lastIndexOf(name), this.#open.indexOf(anyTag))
    if (place < 0) return false
    this.#open.length = place
    this.#isFresh = false
    return true
  }
}

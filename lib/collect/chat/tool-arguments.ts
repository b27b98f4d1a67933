import { JoinedText } from '../joined-text.js'
import { ValueEnd } from '../json-text/value-end.js'

/**
 * The arguments of one call, put together from their pieces.
 *
 * Some servers send them again: whole, behind a first `{}` or behind all pieces, or in every piece as far as they have
 * come. Such pieces joined are no JSON; only then is it looked for what was meant, and the last JSON text counts.
 */
export class ToolArguments {
  readonly #joined = new JoinedText()
  #last = ''
  #length = 0
  /** Whether every piece so far begins with the piece before it. */
  #isCumulative = true

  add(piece: unknown): void {
    if (typeof piece !== 'string' || piece === '') return
    if (this.#isCumulative && this.#last !== '') this.#isCumulative = piece.startsWith(this.#last)
    this.#joined.add(piece)
    this.#last = piece
    this.#length += piece.length
  }

  /** Puts whole arguments in the place of the pieces. */
  replace(text: string): void {
    this.#joined.replace(text)
    this.#last = text
    this.#length = text.length
    this.#isCumulative = true
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** The arguments, and whether they are JSON. */
  settle(): { text: string; parsed?: unknown } {
    const text = this.#joined.value
    const whole = parse(text)
    if (whole) return { text, parsed: whole.value }
    for (const candidate of this.#candidates(text)) {
      const found = parse(candidate)
      if (found) return { text: candidate, parsed: found.value }
    }
    return { text }
  }

  /** What may be the arguments where all pieces joined are none. */
  #candidates(text: string): string[] {
    const last = this.#last
    const before = text.slice(0, text.length - last.length)
    const candidates: string[] = []
    // Again in every piece, or whole behind the pieces of a part of them.
    if (before !== '' && (this.#isCumulative || last.startsWith(before))) candidates.push(last)
    const again = lastValue(text)
    if (again !== undefined) candidates.push(again)
    return candidates
  }
}

/** The last of several JSON values that a text holds one behind the other, and nothing else. */
function lastValue(text: string): string | undefined {
  const end = new ValueEnd()
  let at = text.search(/\S/)
  let last: string | undefined
  while (at >= 0 && at < text.length) {
    if (text[at] !== '{') return undefined
    end.begin('{')
    const next = end.find(text, at)
    if (next === -1) return undefined
    last = text.slice(at, next)
    if (!parse(last)) return undefined
    const rest = text.slice(next).search(/\S/)
    at = rest === -1 ? -1 : next + rest
  }
  return last
}

function parse(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

import { additionsOf, writtenItems } from '../chunk/additions.js'

/**
 * The longest piece that a tokenizer is given, in characters. Some take time by the square of a word's length, so that a model
 * that writes one letter without end would take a core.
 */
const longestPiece = 512

/** Adds up the tokens of what a model writes, in pieces that end where a word does. */
export class TokenEstimate {
  readonly #count: (text: string) => number
  /** How much of each text has come: some providers send a text again, as a whole. */
  readonly #lengths = new Map<string, number>()
  readonly #items = writtenItems()
  #waiting = ''
  #tokens = 0

  constructor(count: (text: string) => number) {
    this.#count = count
  }

  /** Takes all texts that a chunk brings: of answers, reasoning, refusals and arguments, of all choices. */
  add(chunk: object): void {
    for (const { lane, text, isWhole } of additionsOf(chunk, this.#items)) {
      const came = this.#lengths.get(lane) ?? 0
      const added = isWhole ? text.slice(came) : text
      if (added === '') continue
      this.#lengths.set(lane, came + added.length)
      this.#take(added)
    }
  }

  /** The tokens of all that has come. */
  end(): number {
    if (this.#waiting !== '') this.#tokens += this.#count(this.#waiting)
    this.#waiting = ''
    return this.#tokens
  }

  #take(text: string): void {
    this.#waiting += text
    while (this.#waiting.length >= longestPiece) {
      const piece = this.#waiting.slice(0, cutIn(this.#waiting))
      this.#waiting = this.#waiting.slice(piece.length)
      this.#tokens += this.#count(piece)
    }
  }
}

/** Before the last space of the longest piece: tokens begin with their space. */
function cutIn(text: string): number {
  const space = text.lastIndexOf(' ', longestPiece)
  if (space > 0) return space
  const last = text.charCodeAt(longestPiece - 1)
  // No pair is parted.
  return last >= 0xd800 && last <= 0xdbff ? longestPiece - 1 : longestPiece
}

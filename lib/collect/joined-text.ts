import type { Pieces } from './merged-fields.js'

/** After so many pieces they are joined: each piece may keep the whole payload it was cut from in memory. */
const piecesPerBlock = 1024

/** A text that arrives in pieces. Takes time linear in its length, and memory for little more than the text. */
export class JoinedText implements Pieces {
  readonly #blocks: string[] = []
  #pieces: string[] = []

  add(piece: unknown): void {
    if (typeof piece !== 'string' || piece === '') return
    if (this.#pieces.push(piece) < piecesPerBlock) return
    // `join` makes a flat string, where `+=` would keep every piece and whatever that piece is a slice of.
    this.#blocks.push(this.#pieces.join(''))
    this.#pieces = []
  }

  /** Puts a whole text in the place of the pieces. */
  replace(text: string): void {
    this.#blocks.length = 0
    this.#pieces = text === '' ? [] : [text]
  }

  get value(): string {
    return [...this.#blocks, ...this.#pieces].join('')
  }
}

import { endsInHalf } from './hold-back.js'

/** A part of a text that is looked at as a whole. */
export interface TextWindow {
  /** What it holds: the end of what came before, and what is new. */
  text: string
  /** The place in the whole text of what is new, and its end. */
  start: number
  end: number
}

let segmenter: Intl.Segmenter | undefined

/**
 * Cuts a text that is still coming into windows of at most `size` new characters: behind the last sentence that ends in
 * them, else behind the last word, else in the middle. Each has the last `overlap` characters of what came before it as well.
 * Where a window is cut depends on the text alone, not on its pieces.
 */
export class TextWindows {
  readonly #size: number
  readonly #overlap: number
  #text = ''
  #asked = 0

  constructor(size: number, overlap: number) {
    this.#size = size
    this.#overlap = overlap
  }

  /** All of the text so far. */
  get text(): string {
    return this.#text
  }

  /** How much of it is in windows. */
  get asked(): number {
    return this.#asked
  }

  /** Takes more text, and gives the windows that it fills. */
  add(text: string): TextWindow[] {
    this.#text += text
    const windows: TextWindow[] = []
    while (this.#text.length - this.#asked > this.#size) {
      windows.push(
        this.#windowTo(this.#asked + this.#cutIn(this.#text.slice(this.#asked, this.#asked + this.#size)))
      )
    }
    return windows
  }

  /** Gives the rest as a window, though it does not fill one. */
  end(): TextWindow | undefined {
    return this.#asked < this.#text.length ? this.#windowTo(this.#text.length) : undefined
  }

  #windowTo(end: number): TextWindow {
    const start = this.#asked
    this.#asked = end
    let from = Math.max(0, start - this.#overlap)
    // The second half of a surrogate pair alone is no character.
    if (endsInHalf(this.#text.slice(0, from))) from--
    return { text: this.#text.slice(from, end), start, end }
  }

  #cutIn(text: string): number {
    segmenter ??= new Intl.Segmenter(undefined, { granularity: 'sentence' })
    let sentence = 0
    // Whether the last one is whole is not known yet.
    for (const { index } of segmenter.segment(text)) sentence = index
    if (sentence > 0) return sentence
    const word = /^[\s\S]*\s/.exec(text)?.[0].length ?? 0
    if (word > 0) return word
    return text.length > 1 && endsInHalf(text) ? text.length - 1 : text.length
  }
}

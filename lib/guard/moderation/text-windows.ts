import { endsInHalf } from '../hold-back/hold-back.js'

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
  /** What is in windows. Read by nobody here: to look into a text that has grown piece by piece, V8 copies all of it. */
  #before = ''
  /** The end of that: as much as the next window has of it, and one character more. */
  #lap = ''
  #open = ''

  constructor(size: number, overlap: number) {
    this.#size = size
    this.#overlap = overlap
  }

  /** All of the text so far. */
  get text(): string {
    return this.#before + this.#open
  }

  /** How much of it is in windows. */
  get asked(): number {
    return this.#before.length
  }

  /** Takes more text, and gives the windows that it fills. */
  add(text: string): TextWindow[] {
    this.#open += text
    const windows: TextWindow[] = []
    while (this.#open.length > this.#size)
      windows.push(this.#windowOf(this.#cutIn(this.#open.slice(0, this.#size))))
    return windows
  }

  /** Gives the rest as a window, though it does not fill one. */
  end(): TextWindow | undefined {
    return this.#open === '' ? undefined : this.#windowOf(this.#open.length)
  }

  #windowOf(length: number): TextWindow {
    const start = this.#before.length
    const text = this.#open.slice(0, length)
    let from = Math.max(0, this.#lap.length - this.#overlap)
    // The second half of a surrogate pair alone is no character.
    if (endsInHalf(this.#lap.slice(0, from))) from--
    const window = { text: this.#lap.slice(from) + text, start, end: start + length }
    this.#before += text
    this.#lap = (this.#lap + text).slice(-this.#overlap - 1)
    this.#open = this.#open.slice(length)
    return window
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

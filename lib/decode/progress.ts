import { choicesOf, finishReasonOf, indexOf, isTerminal, type LooseChoice, type LooseChunk, textOf, usageOf } from './fields.js'

/**
 * Set, not enumerable, on the first chunk after an end mark. The end mark itself is no chunk, so this is how
 * the stages behind `toChunks` learn of it. Registered, so that two copies of the library understand each other.
 */
const afterEndMark: unique symbol = Symbol.for('completion-streams.afterEndMark') as typeof afterEndMark

/**
 * Follows completions through the chunks of one input: tells where one ends and the next begins, and whether
 * the one at hand is complete.
 *
 * A completion is complete when its end mark was seen, when every choice that was seen has a finish reason, or
 * when a Responses terminal came. Perplexity and Writer never send the end mark, Snowflake never a finish reason.
 *
 * A new completion begins at the first chunk after an end mark. Without one, it begins where every choice has
 * finished and new text comes under another id. An id alone proves nothing: Groq's compound models give
 * almost every chunk of one completion its own, and other servers give all completions the same.
 */
export class Progress {
  readonly #finished = new Map<number, boolean>()
  #unfinished = 0
  #terminal = false
  #ended = false
  #started = false
  #id: unknown

  /** Whether any chunk was seen since the last end mark. */
  get started(): boolean {
    return this.#started
  }

  /** Whether the completion at hand, or the last one when none is at hand, came to its end. */
  get complete(): boolean {
    return this.#started ? this.#allFinished : this.#ended
  }

  get #allFinished(): boolean {
    return this.#terminal || (this.#unfinished === 0 && this.#finished.size > 0)
  }

  /** Takes the next chunk. True when it begins another completion than the chunk before it. */
  add(chunk: object): boolean {
    const opens = this.#opens(chunk)
    if (opens) this.#reset()
    if (this.#ended) {
      if (isTrailer(chunk)) return false
      this.#ended = false
      mark(chunk)
    }
    this.#started = true
    const { id } = chunk as LooseChunk
    if (id !== undefined) this.#id = id
    if (isTerminal(chunk)) this.#terminal = true
    for (const choice of choicesOf(chunk)) if (choice) this.#addChoice(choice)
    return opens
  }

  /** Takes the end mark. */
  end(): void {
    this.#reset()
    this.#ended = true
  }

  #addChoice(choice: LooseChoice): void {
    const index = indexOf(choice)
    const finished = this.#finished.get(index)
    if (finished) return
    const finishes = finishReasonOf(choice) !== undefined
    if (finished === undefined || finishes) this.#finished.set(index, finishes)
    if (finished === undefined) this.#unfinished += finishes ? 0 : 1
    else if (finishes) this.#unfinished--
  }

  #opens(chunk: object): boolean {
    if (!this.#started) return false
    if (afterEndMark in chunk) return true
    const { id, type } = chunk as LooseChunk
    if (type === 'response.created') return true
    return this.#allFinished && id !== this.#id && bringsText(chunk)
  }

  #reset(): void {
    this.#finished.clear()
    this.#unfinished = 0
    this.#terminal = false
    this.#started = false
    this.#ended = false
    this.#id = undefined
  }
}

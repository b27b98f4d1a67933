import {
  choicesOf,
  finishReasonOf,
  indexOf,
  isResponsesEvent,
  isTerminal,
  type LooseChoice,
  type LooseChunk,
  usageOf
} from './fields.js'

/** Registered, so that two copies of the library in one process understand each other. */
const opening = Symbol.for('completion-streams.opening')

/**
 * Says of a chunk that it is the first of another completion than the chunk before it. An end mark is no
 * chunk, so this is how the stages behind `toChunks` learn of it. Neither enumeration nor JSON shows it.
 */
export function markOpening(chunk: object): void {
  Object.defineProperty(chunk, opening, { value: true })
}

/**
 * Follows the completions of one input, chunk by chunk: where one ends and the next begins, and whether the
 * one at hand is complete.
 *
 * Complete is a completion whose end mark was seen, or all of whose choices have a finish reason, or whose
 * Responses terminal came: Perplexity and Writer never send the end mark, Snowflake never a finish reason.
 *
 * A new completion begins at the first chunk after an end mark. Without a mark, it begins where every choice
 * has finished and a choice goes on under another id. An id alone proves nothing: Groq's compound models give
 * almost every chunk of one completion an id of its own, and other servers give all completions the same.
 */
export class Progress {
  readonly #finished = new Map<number, boolean>()
  #unfinished = 0
  #terminal = false
  #ended = false
  #started = false
  #id: unknown

  /** Whether the newest thing seen is an end mark, or what may trail it. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether the completion at hand has shown no choice yet. */
  get isNew(): boolean {
    return this.#ended || this.#finished.size === 0
  }

  /** Whether the newest completion came to its end. False while there is none. */
  get complete(): boolean {
    return this.#ended || this.#allFinished
  }

  /** Takes the next chunk. True when it begins another completion than the chunk before it. */
  add(chunk: object): boolean {
    if (this.#ended && isTrailer(chunk)) return false
    const opens = this.#opens(chunk)
    if (opens || this.#ended) this.#reset()
    this.#started = true
    const { id } = chunk as LooseChunk
    if (id) this.#id = id
    if (isTerminal(chunk)) this.#terminal = true
    for (const choice of choicesOf(chunk)) if (choice) this.#addChoice(choice)
    return opens
  }

  /** Takes the end mark. */
  end(): void {
    this.#ended = true
  }

  get #allFinished(): boolean {
    return this.#terminal || (this.#unfinished === 0 && this.#finished.size > 0)
  }

  #opens(chunk: object): boolean {
    if (!this.#started) return false
    if (this.#ended || opening in chunk) return true
    const { id, type } = chunk as LooseChunk
    if (type === 'response.created') return true
    return this.#allFinished && id !== this.#id && Boolean(id && this.#id) && choicesOf(chunk).some(goesOn)
  }

  #addChoice(choice: LooseChoice): void {
    const index = indexOf(choice)
    const finished = this.#finished.get(index)
    if (finished) return
    const finishes = finishReasonOf(choice) !== undefined
    if (finished === undefined) {
      this.#finished.set(index, finishes)
      if (!finishes) this.#unfinished++
    } else if (finishes) {
      this.#finished.set(index, true)
      this.#unfinished--
    }
  }

  #reset(): void {
    this.#finished.clear()
    this.#unfinished = 0
    this.#terminal = false
    this.#ended = false
    this.#id = undefined
  }
}

/** Usage that comes behind the end mark still belongs to the completion before it, and so does what says nothing. */
function isTrailer(chunk: object): boolean {
  if (isResponsesEvent(chunk)) return false
  return !('choices' in chunk) || (choicesOf(chunk).length === 0 && usageOf(chunk) !== undefined)
}

/** Whether a choice has more to say, other than the empty delta that some providers send behind the finish. */
function goesOn(choice: LooseChoice | null): boolean {
  if (!choice || finishReasonOf(choice)) return false
  if (choice.text) return true
  return Object.values(choice.delta ?? {}).some(value => value && (!Array.isArray(value) || value.length > 0))
}

import {
  choicesOf,
  closesResponse,
  finishReasonOf,
  indexOf,
  isResponsesEvent,
  isTerminal,
  type LooseChoice,
  type LooseChunk,
  responseStatusOf
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

/** Whether that was said of a chunk. */
export function isOpening(chunk: object): boolean {
  return opening in chunk
}

/** Says of a chunk that was made in the place of another what was said of that one. */
export function keepOpening(from: object, to: object): void {
  if (isOpening(from)) markOpening(to)
}

/**
 * Follows the completions of one input, chunk by chunk: where one ends and the next begins, and whether the
 * one at hand is complete.
 *
 * Complete is a completion all of whose choices have a finish reason, or whose Responses terminal came: Perplexity and
 * Writer never send the end mark. Behind the end mark it is also complete if none has one, since Snowflake never sends any;
 * but where some have, the others were cut off. Where the number of choices is known, so many must have come. A response
 * that was cancelled is not complete, with or without the mark.
 *
 * A new completion begins at the first chunk after an end mark that has more to say than usage or a cost. Without a
 * mark, it begins where every choice has finished and a choice goes on under another id. An id alone proves nothing:
 * Groq's compound models give almost every chunk of one completion an id of its own, and other servers give all
 * completions the same. llama.cpp repeats `response.created` with one id before every delta.
 */
export class Progress {
  /** How many choices each completion is to have. In the Responses API there are none. */
  expected = 0

  readonly #finished = new Map<number, boolean>()
  #unfinished = 0
  #terminal = false
  /** The status of a response whose stream was closed, but not in good order. */
  #brokenStatus: string | undefined
  #ended = false
  #started = false
  #isBare = true
  #leftIncomplete = false
  #hasReason = false
  #id: unknown

  /** Whether the newest thing seen is an end mark, or what may trail it. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether the completion at hand has shown no choice yet, or none that has said anything. */
  get isNew(): boolean {
    return this.#ended || this.#isBare
  }

  /** How many choices the completion at hand has shown. */
  get choices(): number {
    return this.#finished.size
  }

  /** Whether the newest completion is complete. False while there is none. */
  get complete(): boolean {
    if (this.#terminal) return true
    const seen = this.#finished.size
    if (seen === 0) return this.#ended && this.#brokenStatus === undefined
    if (seen < this.expected) return false
    return this.#unfinished === 0 || (this.#ended && this.#unfinished === seen)
  }

  /** The status of a response whose stream was closed, but not in good order: end marks behind that say nothing. */
  get brokenStatus(): string | undefined {
    return this.#terminal ? undefined : this.#brokenStatus
  }

  /** Whether the completion before the one at hand was not complete when this one began. */
  get leftIncomplete(): boolean {
    return this.#leftIncomplete
  }

  /** Whether the newest chunk has a finish reason, or closes the stream of a response. */
  get hasReason(): boolean {
    return this.#hasReason
  }

  /** Takes the next chunk. True when it begins another completion than the chunk before it. */
  add(chunk: object): boolean {
    this.#hasReason = false
    if (this.#ended && isTrailer(chunk, this.#id)) {
      for (const choice of choicesOf(chunk)) if (choice) this.#addChoice(choice)
      return false
    }
    const opens = this.opens(chunk)
    if (opens || this.#ended) this.#reset()
    this.#started = true
    const { id, type, response } = chunk as LooseChunk
    if (id) this.#id = id
    if (type === 'response.created' && response?.id) this.#id = response.id
    if (closesResponse(chunk)) {
      this.#hasReason = true
      if (isTerminal(chunk)) this.#terminal = true
      else this.#brokenStatus = responseStatusOf(chunk)
    }
    const choices = choicesOf(chunk)
    for (const choice of choices) if (choice) this.#addChoice(choice)
    if (this.#isBare) this.#isBare = !choices.some(says)
    return opens
  }

  /** Takes the end mark. A second one changes nothing. */
  end(): void {
    this.#ended = true
  }

  /** Whether a chunk would begin another completion than the chunk before it. */
  opens(chunk: object): boolean {
    if (!this.#started) return false
    if (this.#ended) return !isTrailer(chunk, this.#id)
    if (isOpening(chunk)) return true
    const { id, type, response } = chunk as LooseChunk
    if (type === 'response.created')
      return this.#isClosed || this.#finished.size > 0 || isOther(response?.id, this.#id)
    if (!this.allFinished || !isOther(id, this.#id)) return false
    return choicesOf(chunk).some(choice => goesOn(choice) && !this.#isAwaited(choice))
  }

  /** Whether a choice is one that is still to come, where it is known how many there are to be. */
  #isAwaited(choice: LooseChoice | null): boolean {
    return this.#finished.size < this.expected && choice !== null && !this.#finished.has(indexOf(choice))
  }

  get #isClosed(): boolean {
    return this.#terminal || this.#brokenStatus !== undefined
  }

  /** Whether all choices that were seen have a finish reason, or a Responses terminal came. */
  get allFinished(): boolean {
    return this.#terminal || (this.#unfinished === 0 && this.#finished.size > 0)
  }

  #addChoice(choice: LooseChoice): void {
    const index = indexOf(choice)
    const finished = this.#finished.get(index)
    const finishes = finishReasonOf(choice) !== undefined
    if (finishes) this.#hasReason = true
    if (finished) return
    if (finished === undefined) {
      this.#finished.set(index, finishes)
      if (!finishes) this.#unfinished++
    } else if (finishes) {
      this.#finished.set(index, true)
      this.#unfinished--
    }
  }

  #reset(): void {
    this.#leftIncomplete = this.#started && !this.complete
    this.#finished.clear()
    this.#isBare = true
    this.#unfinished = 0
    this.#terminal = false
    this.#brokenStatus = undefined
    this.#ended = false
    this.#id = undefined
  }
}

/**
 * Behind the end mark may come what is still of the completion before it: usage, a cost (OpenCode), or an empty delta
 * under the same id. Azure opens with filter results and without a choice.
 */
function isTrailer(chunk: object, last: unknown): boolean {
  if (isResponsesEvent(chunk)) return false
  const choices = choicesOf(chunk)
  if (choices.length === 0) return !('prompt_filter_results' in chunk)
  const { id } = chunk as LooseChunk
  return Boolean(id) && id === last && !choices.some(isFilled)
}

/** Whether two ids are there, and differ. */
function isOther(id: unknown, last: unknown): boolean {
  return id !== last && Boolean(id && last)
}

/** Whether a choice has more to say, other than the empty delta that some providers send behind the finish. */
export function goesOn(choice: LooseChoice | null): boolean {
  return isFilled(choice) && finishReasonOf(choice) === undefined
}

/** Whether a choice says anything, be it that it has ended; who speaks is nothing yet. */
function says(choice: LooseChoice | null): boolean {
  if (!choice) return false
  const { delta } = choice
  const isObject = typeof delta === 'object' && delta !== null
  const said = isObject ? { ...choice, delta: { ...delta, role: undefined } } : choice
  return isFilled(said) || finishReasonOf(choice) !== undefined
}

function isFilled(choice: LooseChoice | null): choice is LooseChoice {
  if (!choice) return false
  if (choice.text) return true
  return Object.values(choice.delta ?? {}).some(value => value && (!Array.isArray(value) || value.length > 0))
}

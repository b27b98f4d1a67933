import { admit, holdsAnswer } from '../chunk/failure/foreign.js'
import { mayHoldText, otherFormOf } from '../chunk/failure/other-form.js'
import { ownFormOf } from '../chunk/failure/own-form.js'
import { isErrorOfChoice, providerErrorIn } from '../chunk/failure/provider-error.js'
import { unreadableIn } from '../chunk/failure/unreadable.js'
import {
  type Chunk,
  choicesOf,
  closesResponse,
  isResponsesEvent,
  type LooseChunk,
  usageOf
} from '../chunk/fields.js'
import { isKeepAlive } from '../chunk/keep-alive.js'
import { goesOn, markOpening, Progress } from '../chunk/progress.js'
import { markResumed, standsBehindOthers } from '../chunk/responses/resumed.js'
import { chunksOf, isWholeCompletion, type WholeCompletion } from '../chunk/whole.js'
import { CompletionError } from '../errors.js'
import { beginningOf } from '../failure/printable.js'
import { HeldFailure } from './held-failure.js'

/** What decides on payloads, of the options of `toChunks`. */
export interface PayloadOptions {
  onInvalid: 'fail' | 'skip'
  onCut: 'pass' | 'fail'
  requireEnd: boolean
  choices: number
  maxChoices: number
}

/** What the reader of payloads calls back for. */
export interface PayloadHandlers {
  onChunk(chunk: Chunk): void
  /** A payload that `onInvalid: 'skip'` leaves out. */
  onSkip(): void
  /** The end of a completion that says so itself: by its end mark or a Responses terminal. */
  onOver(): void
}

/** How many payloads a failure waits for at most: a server that sends more than this is not about to report usage. */
const mostLatePayloads = 16

/**
 * Takes the payloads of an input, whatever carried them, and says what each is: a chunk, a whole completion, an error,
 * what keeps a connection alive, or something else. Knows whether what came is whole.
 *
 * A failure that a chunk reports is thrown only at the next end mark or usage, or at the end: OpenRouter reports usage
 * behind it.
 */
export class PayloadReader {
  readonly progress: Progress = new Progress()
  readonly #options: PayloadOptions
  readonly #handlers: PayloadHandlers
  readonly #held: HeldFailure
  #latePayloads = 0
  #hasBegun = false
  /** The error message for the first payload that is neither a chunk nor anything else that is known. */
  #doubt: string | undefined

  /** Whether the input is JSON, not events. */
  isJson = false
  /** Whether the newest payload went on with the completion, so that another one like it does too. */
  goesOn = false

  constructor(options: PayloadOptions, handlers: PayloadHandlers) {
    this.#options = options
    this.#handlers = handlers
    this.#held = new HeldFailure(options.onCut === 'fail')
    this.progress.expected = options.choices
  }

  /** Whether any chunk has come. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** A failure that waits for what may still come, but need not. */
  get heldFailure(): CompletionError | undefined {
    const { error, isOfChoice } = this.#held
    return isOfChoice && !this.progress.complete ? undefined : error
  }

  /**
   * Takes a payload. False for what is no chunk, nor anything else that is known, of which the caller then gives the
   * text to `doubt`.
   */
  take(value: unknown): boolean {
    this.goesOn = false
    // Some servers keep the connection alive with `data: null`.
    if (value === null) return true
    if (this.#held.error && ++this.#latePayloads > mostLatePayloads && this.heldFailure) this.#held.throw()
    if (typeof value !== 'object') {
      this.invalid(`a payload is ${typeof value}, not an object`)
      return true
    }
    if (providerErrorIn(value) !== undefined) this.fail(value)
    else if (Array.isArray(value)) return this.#takeList(value)
    else if (this.#mayBeWhole(value) && isWholeCompletion(value)) this.#takeWhole(value)
    else {
      const { choices } = value as LooseChunk
      if (!Array.isArray(choices) && !isResponsesEvent(value)) return this.#takeOdd(value)
      this.#takeChunk(value, choices)
    }
    return true
  }

  /**
   * Takes the error message for a payload of unknown kind, and its text. What may be a part of an answer is never skipped.
   * Anything else, such as a cost, is an error only if no chunk comes at all.
   */
  doubt(value: unknown, message: string, text: string): void {
    if (isObject(value) && mayHoldText(value))
      this.invalid(this.#hasBegun ? 'a payload is no completion chunk' : message, { text })
    else if (!this.#hasBegun) this.#doubt ??= `${message}: ${beginningOf(text)}`
  }

  /** Takes the end mark. */
  end(): void {
    this.#held.throw()
    this.progress.end()
    this.goesOn = false
    this.#handlers.onOver()
  }

  /** Takes the end of the input. */
  close(): void {
    this.#held.throw()
    if (!this.#hasBegun && this.#doubt !== undefined) this.invalid(this.#doubt)
    const { complete, ended } = this.progress
    if (!complete) this.truncated()
    // What was skipped, and an end mark alone, are no completion either.
    else if (!this.#hasBegun && ended && this.#options.requireEnd)
      throw new CompletionError('CS_ERR_INVALID_CHUNK', 'the input has an end mark, but no chunk')
  }

  /** Takes a payload that reports an error. It may sit beside text or usage (OpenRouter, `response.failed`), which are not lost. */
  fail(payload: unknown, status?: number): void {
    const isOfChoice = isObject(payload) && isErrorOfChoice(payload)
    const report = () => this.#held.report(payload, isOfChoice, status)
    const chunks = this.#chunksIn(payload)
    for (const [place, chunk] of chunks.entries()) {
      admit(chunk)
      this.#emit(chunk, place === chunks.length - 1 ? report : undefined)
    }
    if (chunks.length > 0) return
    const isLate = this.#held.error !== undefined
    report()
    if (isLate) this.#held.throw()
  }

  /** Throws for what is no chunk, or has it counted. */
  invalid(message: string, { text, cause }: { text?: string; cause?: unknown } = {}): void {
    if (this.#options.onInvalid === 'skip') return this.#handlers.onSkip()
    throw this.#invalidChunk(message, text, cause)
  }

  /** Throws for an input that ends before the completion is complete. */
  truncated(residue?: string): void {
    this.#held.throw()
    if (!this.#options.requireEnd) return
    const { choices, expected, brokenStatus } = this.progress
    const isShort = choices > 0 && choices < expected
    const missing = isShort ? `: ${choices} of ${expected} choices came` : ''
    const status = brokenStatus === undefined ? '' : `: its status is ${brokenStatus}`
    const message = `the input ended before the completion was complete${missing}${status}`
    throw new CompletionError('CS_ERR_TRUNCATED', message, { residue })
  }

  /**
   * As soon as a completion has begun, what is shown may be its text: then it is a property of the error that logs do
   * not have, and the message says where to look. What `JSON.parse` says shows it, too.
   */
  #invalidChunk(message: string, text: string | undefined, cause: unknown): CompletionError {
    if (text === undefined) return new CompletionError('CS_ERR_INVALID_CHUNK', message, { cause })
    if (!this.#hasBegun)
      return new CompletionError('CS_ERR_INVALID_CHUNK', `${message}: ${beginningOf(text)}`, { cause })
    const where = `${message} (${text.length} characters: see the error's property beginning)`
    return new CompletionError('CS_ERR_INVALID_CHUNK', where, { beginning: text.slice(0, 200) })
  }

  #chunksIn(payload: unknown): readonly object[] {
    if (!isObject(payload) || Array.isArray(payload) || !isChunk(payload)) return []
    return isWholeCompletion(payload) && this.progress.isNew ? chunksOf(payload) : [payload]
  }

  #takeList(values: unknown[]): boolean {
    let isKnown = true
    for (const value of values) {
      // No provider nests them, and JSON can be nested deeper than a stack goes.
      if (Array.isArray(value)) this.invalid('a payload is an array of arrays')
      else if (!this.take(value)) isKnown = false
    }
    return isKnown
  }

  /** Costs less to ask than `isWholeCompletion`, and rules out the chunks of the legacy API, which look like its whole answers. */
  #mayBeWhole(value: object): boolean {
    const [choice] = choicesOf(value)
    if (!choice) return (value as LooseChunk).object === 'response'
    if (!choice.delta && typeof choice.text !== 'string') return true
    // Of lines of JSON, each may be a whole answer: one of the legacy API has text and usage at once.
    return this.isJson && usageOf(value) !== undefined
  }

  /** A server that ignored `stream: true` sends the whole completion at once. */
  #takeWhole(whole: WholeCompletion): void {
    if (!this.progress.isNew) {
      // MiniMax repeats the whole answer as its last chunk.
      admit(whole)
      return this.#emit(whole)
    }
    for (const chunk of chunksOf(whole)) {
      if (providerErrorIn(chunk) !== undefined) this.fail(chunk)
      else this.#takeChunk(chunk)
    }
    // A response has a terminal event if it is complete: it may be queued still, or have been cancelled.
    if ('choices' in whole) this.progress.end()
    this.goesOn = false
  }

  /** What has no choices, and is no Responses event, may be a chunk of usage, or something else. */
  #takeOdd(value: object): boolean {
    const form = isKeepAlive(value) ? undefined : otherFormOf(value)
    if (form) this.invalid(`the input holds no completion chunks: ${form}`)
    else if (isChunk(value) && !holdsAnswer(value) && !ownFormOf(value)) {
      admit(value)
      this.#takeChunk(value)
    } else return isKeepAlive(value)
    return true
  }

  #takeChunk(value: object, choices: unknown = (value as LooseChunk).choices): void {
    const fault = unreadableIn(choices)
    if (fault === undefined) this.#emit(value)
    else this.invalid(`a chunk cannot be read: ${fault}`)
  }

  #emit(value: object, report?: () => void): void {
    const { progress } = this
    const held = this.#held
    if (held.error && this.#isOfAnother(value)) held.throw()
    // Chunks are handed on as the provider sent them: their type is a promise of the provider's.
    const opens = progress.add(value)
    if (opens) this.#open(value)
    if (!this.#hasBegun) this.#begin(value)
    if (progress.choices > this.#options.maxChoices) throw tooManyChoices(this.#options.maxChoices)
    this.#handlers.onChunk(value as Chunk)
    report?.()
    if (progress.hasReason || held.error || this.#options.onCut === 'fail') this.#judge(value)
    this.goesOn = !(opens || held.error || progress.ended)
  }

  #begin(value: object): void {
    this.#hasBegun = true
    if (standsBehindOthers(value)) markResumed(value, 'unknown')
  }

  #open(value: object): void {
    if (this.progress.leftIncomplete) this.truncated()
    markOpening(value)
  }

  /** Whether a chunk behind a failure belongs to something else than what has failed. */
  #isOfAnother(value: object): boolean {
    return this.progress.opens(value) || (!this.#held.isOfChoice && choicesOf(value).some(goesOn))
  }

  /** What a chunk says of how its completion ends. A failure waits no longer once usage was reported. */
  #judge(value: object): void {
    this.#held.judge(value)
    const isOver = closesResponse(value)
    if (this.heldFailure && (isOver || usageOf(value) !== undefined)) this.#held.throw()
    if (isOver && !this.#held.error) this.#handlers.onOver()
  }
}

/** Whether an object has the form of a chunk, or of a whole completion. */
export function isChunk(value: object): boolean {
  const { choices, object } = value as LooseChunk
  return (
    Array.isArray(choices) ||
    isResponsesEvent(value) ||
    usageOf(value) !== undefined ||
    object === 'chat.completion.chunk' ||
    object === 'text_completion' ||
    isWholeCompletion(value)
  )
}

function tooManyChoices(limit: number): CompletionError {
  const message = `a completion has more than ${limit} choices: raise maxChoices if so many were asked for`
  return new CompletionError('CS_ERR_INVALID_CHUNK', message, { limit })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

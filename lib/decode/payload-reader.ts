import {
  type Chunk,
  choicesOf,
  finishReasonOf,
  isResponsesEvent,
  isTerminal,
  type LooseChunk,
  usageOf
} from '../chunk/fields.js'
import { isCut, reportsFailure } from '../chunk/finish-reason.js'
import { admit } from '../chunk/foreign.js'
import { isKeepAlive } from '../chunk/keep-alive.js'
import { otherFormOf } from '../chunk/other-form.js'
import { goesOn, markOpening, Progress } from '../chunk/progress.js'
import { isErrorOfChoice, providerErrorIn, toProviderError } from '../chunk/provider-error.js'
import { isRefusal } from '../chunk/refusal.js'
import { chunksOf, isWholeCompletion, type WholeCompletion } from '../chunk/whole.js'
import { CompletionError } from '../errors.js'
import { beginningOf, printable } from '../printable.js'

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

/** A failure that waits for what the provider may still send with it. */
interface HeldFailure {
  readonly error: CompletionError
  /** Whether it is the failure of one choice, so that others may go on. */
  readonly isOfChoice: boolean
}

/** How many payloads a failure waits for at the most: who has more to say is not about to report usage. */
const mostLatePayloads = 16

/** How much of a finish reason is shown, in characters. */
const shownReason = 40

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
  #held: HeldFailure | undefined
  #latePayloads = 0
  #hasBegun = false
  /** What is to be said of the first payload that was no chunk, nor anything else that is known. */
  #doubt: string | undefined

  /** Whether the input is JSON, not events. */
  isJson = false
  /** Whether the newest payload went on with the completion, so that another one like it does too. */
  goesOn = false

  constructor(options: PayloadOptions, handlers: PayloadHandlers) {
    this.#options = options
    this.#handlers = handlers
    this.progress.expected = options.choices
  }

  /** Whether any chunk has come. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** A failure that waits for what may still come, but need not. */
  get heldFailure(): CompletionError | undefined {
    const held = this.#held
    return held && (!held.isOfChoice || this.progress.complete) ? held.error : undefined
  }

  /**
   * Takes a payload. False for what is no chunk, nor anything else that is known, of which the caller then gives the
   * text to `doubt`.
   */
  take(value: unknown): boolean {
    this.goesOn = false
    // Some servers keep the connection alive with `data: null`.
    if (value === null) return true
    if (this.#held && ++this.#latePayloads > mostLatePayloads && this.heldFailure) this.#throwHeld()
    if (typeof value !== 'object') {
      this.invalid(`a payload is ${typeof value}, not an object`)
      return true
    }
    if (providerErrorIn(value) !== undefined) this.fail(value)
    else if (Array.isArray(value)) return this.#takeList(value)
    else if (this.#mayBeWhole(value) && isWholeCompletion(value)) this.#takeWhole(value)
    else if (Array.isArray((value as LooseChunk).choices) || isResponsesEvent(value)) this.#emit(value)
    else return this.#takeOdd(value)
    return true
  }

  /**
   * Takes what is to be said of a payload that is nothing known, and its text. What may be a part of an answer is never
   * passed over. Anything else, such as a cost, is what the input is judged by if no chunk comes at all.
   */
  doubt(value: unknown, message: string, text: string): void {
    if (isObject(value) && holdsText(value))
      this.invalid(this.#hasBegun ? 'a payload is no completion chunk' : message, { text })
    else if (!this.#hasBegun) this.#doubt ??= `${message}: ${beginningOf(text)}`
  }

  /** Takes the end mark. */
  end(): void {
    this.#throwHeld()
    this.progress.end()
    this.goesOn = false
    this.#handlers.onOver()
  }

  /** Takes the end of the input. */
  close(): void {
    this.#throwHeld()
    if (!this.#hasBegun && this.#doubt !== undefined) this.invalid(this.#doubt)
    const { complete, ended } = this.progress
    if (!complete) this.truncated()
    // What was skipped, and an end mark alone, are no completion either.
    else if (!this.#hasBegun && ended && this.#options.requireEnd)
      throw new CompletionError('CS_ERR_INVALID_CHUNK', 'the input has an end mark, but no chunk')
  }

  /** Takes a payload that reports an error. It may sit beside text or usage (OpenRouter, `response.failed`), which are not lost. */
  fail(payload: unknown): void {
    const isOfChoice = isObject(payload) && isErrorOfChoice(payload)
    const failure: HeldFailure = { error: toProviderError(payload), isOfChoice }
    const chunks = this.#chunksIn(payload)
    for (const [place, chunk] of chunks.entries())
      this.#emit(chunk, place === chunks.length - 1 ? failure : undefined)
    if (chunks.length > 0) return
    const isLate = this.#held !== undefined
    this.#hold(failure)
    if (isLate) this.#throwHeld()
  }

  /** Throws for what is no chunk, or has it counted. */
  invalid(message: string, { text, cause }: { text?: string; cause?: unknown } = {}): void {
    if (this.#options.onInvalid === 'skip') return this.#handlers.onSkip()
    throw this.#invalidChunk(message, text, cause)
  }

  /** Throws for an input that ends before the completion is complete. */
  truncated(residue?: string): void {
    this.#throwHeld()
    if (!this.#options.requireEnd) return
    const { choices, expected } = this.progress
    const missing = choices > 0 && choices < expected ? `: ${choices} of ${expected} choices came` : ''
    const message = `the input ended before the completion was complete${missing}`
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
      else this.#emit(chunk)
    }
    // A response has a terminal event if it is complete: it may be queued still, or have been cancelled.
    if ('choices' in whole) this.progress.end()
    this.goesOn = false
  }

  /** What has no choices, and is no Responses event, may be a chunk of usage, or something else. */
  #takeOdd(value: object): boolean {
    const form = isKeepAlive(value) ? undefined : otherFormOf(value)
    if (form) this.invalid(`the input holds no completion chunks: ${form}`)
    else if (isChunk(value)) {
      admit(value)
      this.#emit(value)
    } else return isKeepAlive(value)
    return true
  }

  #emit(value: object, failure?: HeldFailure): void {
    const { progress } = this
    if (this.#held && this.#isOfAnother(value)) this.#throwHeld()
    // Chunks are handed on as the provider sent them: their type is a promise of the provider's.
    const opens = progress.add(value)
    if (opens) this.#open(value)
    this.#hasBegun = true
    if (progress.choices > this.#options.maxChoices) throw tooManyChoices(this.#options.maxChoices)
    this.#handlers.onChunk(value as Chunk)
    if (failure) this.#hold(failure)
    if (progress.hasReason || this.#held || this.#options.onCut === 'fail') this.#judge(value)
    this.goesOn = !(opens || this.#held || progress.ended)
  }

  #open(value: object): void {
    if (this.progress.leftIncomplete) this.truncated()
    markOpening(value)
  }

  /** Whether a chunk behind a failure belongs to something else than what has failed. */
  #isOfAnother(value: object): boolean {
    const isOver = this.#held?.isOfChoice !== true
    return this.progress.opens(value) || (isOver && choicesOf(value).some(goesOn))
  }

  /** What a chunk says of how its completion ends. */
  #judge(value: object): void {
    for (const choice of choicesOf(value)) {
      const reason = choice ? finishReasonOf(choice) : undefined
      if (reason !== undefined) this.#judgeReason(reason)
    }
    const isOver = isTerminal(value) || (value as LooseChunk).type === 'response.failed'
    if (this.#options.onCut === 'fail') this.#judgeCut(value)
    if (this.#held) this.#wait(value, isOver)
    else if (isOver) this.#handlers.onOver()
  }

  #judgeReason(reason: string): void {
    if (reportsFailure(reason)) this.#hold({ error: failureFor(reason), isOfChoice: true })
    else if (this.#options.onCut === 'fail' && isCut(reason))
      this.#hold({ error: cutFor(reason), isOfChoice: true })
  }

  /** `response.incomplete` says why; a refusal ends as if it were an answer. */
  #judgeCut(value: object): void {
    const { type, response } = value as LooseChunk
    const isIncomplete =
      type === 'response.incomplete' || (isTerminal(value) && response?.status === 'incomplete')
    if (isIncomplete) {
      const reason = response?.incomplete_details?.reason
      this.#hold({ error: cutFor(typeof reason === 'string' ? reason : 'incomplete'), isOfChoice: true })
    } else if (isRefusal(value)) this.#hold({ error: cutFor('refusal'), isOfChoice: true })
  }

  /** Of several failures the first counts, but what the provider says itself tells more than a finish reason, and that more than a cut. */
  #hold(failure: HeldFailure): void {
    if (!this.#held || weightOf(failure.error) > weightOf(this.#held.error)) this.#held = failure
  }

  /** Throws what is held as soon as nothing more is to be waited for: usage was reported, or too much has come. */
  #wait(value: object, isOver: boolean): void {
    const { heldFailure } = this
    if (heldFailure === undefined) return
    const hasUsage = usageOf(value) !== undefined
    if (hasUsage || isOver) this.#throwHeld()
  }

  #throwHeld(): void {
    if (this.#held) throw this.#held.error
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

/** Members in which other APIs, and logs, hold text. */
const textMembers: ReadonlySet<string> = new Set([
  'text',
  'content',
  'delta',
  'output',
  'output_text',
  'completion',
  'answer',
  'response',
  'result',
  'token',
  'parts',
  'generated_text'
])

function holdsText(payload: object): boolean {
  if (Array.isArray(payload))
    return payload.some(item => isObject(item) && !Array.isArray(item) && holdsText(item))
  return Object.entries(payload).some(([name, value]) => textMembers.has(name) && isFilled(value))
}

function isFilled(value: unknown): boolean {
  return isObject(value) || (typeof value === 'string' && value !== '')
}

function weightOf({ code, finishReason }: CompletionError): number {
  if (code === 'CS_ERR_TRUNCATED') return 0
  return finishReason === undefined ? 2 : 1
}

function failureFor(reason: string): CompletionError {
  const message = `provider reported an error: the completion ended with the finish reason ${shown(reason)}`
  return new CompletionError('CS_ERR_PROVIDER', message, { type: reason, finishReason: reason })
}

function cutFor(reason: string): CompletionError {
  const message = `the answer is not whole: it ended with the finish reason ${shown(reason)}`
  return new CompletionError('CS_ERR_TRUNCATED', message, { finishReason: reason })
}

function tooManyChoices(limit: number): CompletionError {
  const message = `a completion has more than ${limit} choices: raise maxChoices if so many were asked for`
  return new CompletionError('CS_ERR_INVALID_CHUNK', message, { limit })
}

function shown(reason: string): string {
  return JSON.stringify(printable(reason.slice(0, shownReason)))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

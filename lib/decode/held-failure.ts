import { toProviderError } from '../chunk/failure/provider-error.js'
import {
  choicesOf,
  closesResponse,
  finishReasonOf,
  incompleteReasonOf,
  isRunning,
  responseStatusOf
} from '../chunk/fields.js'
import { isCut, reportsFailure } from '../chunk/finish-reason.js'
import { isRefusal } from '../chunk/refusal.js'
import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'

/** How much of a finish reason is shown, in characters. */
const shownReason = 40

/**
 * Keeps the failure that a completion has come to, since something may still belong to it: OpenRouter reports usage behind
 * the chunk that reports the error, and where one choice has failed, others may go on.
 *
 * Of several failures the first counts, but what the provider says of it tells more than a finish reason, and that more than
 * that the answer is not whole.
 */
export class HeldFailure {
  readonly #failsCut: boolean
  #error: CompletionError | undefined
  #isOfChoice = false

  /** @param failsCut whether an answer that the model did not end is a failure */
  constructor(failsCut: boolean) {
    this.#failsCut = failsCut
  }

  get error(): CompletionError | undefined {
    return this.#error
  }

  /** Whether it is the failure of one choice. */
  get isOfChoice(): boolean {
    return this.#isOfChoice
  }

  /** Takes a payload that reports an error, of one choice or of all, and a status that came beside it. */
  report(payload: unknown, isOfChoice: boolean, status?: number): void {
    this.#hold(toProviderError(payload, { status }), isOfChoice)
  }

  /**
   * Takes a chunk: its finish reasons may be failures, and with `failsCut` those that say that the answer is not whole. A
   * refusal ends as if it were an answer.
   */
  judge(chunk: object): void {
    for (const choice of choicesOf(chunk)) {
      const reason = choice ? finishReasonOf(choice) : undefined
      if (reason === undefined) continue
      if (reportsFailure(reason)) this.#hold(failureFor(reason), true)
      else if (this.#failsCut && isCut(reason)) this.#hold(cutFor(reason), true)
    }
    if (closesResponse(chunk)) this.#judgeResponse(chunk)
    else if (this.#failsCut && isRefusal(chunk)) this.#hold(cutFor('refusal'), true)
  }

  /** Throws it, if there is one. */
  throw(): void {
    if (this.#error) throw this.#error
  }

  /** A response is not whole by its status, or for a reason, which may be a failure (`server_error`). */
  #judgeResponse(event: object): void {
    const reason = incompleteReasonOf(event)
    const status = responseStatusOf(event) as string
    if (reason !== undefined && reportsFailure(reason)) this.#hold(failureFor(reason), false)
    else if (this.#failsCut && (isOpen(status) || (reason !== undefined && isCut(reason))))
      this.#hold(cutFor(reason ?? status), false)
  }

  #hold(error: CompletionError, isOfChoice: boolean): void {
    if (this.#error && weightOf(error) <= weightOf(this.#error)) return
    this.#error = error
    this.#isOfChoice = isOfChoice
  }
}

/** Whether a response of this status, whose stream was closed, is not whole. */
function isOpen(status: string): boolean {
  return isRunning(status) || ['incomplete', 'cancelled', 'canceled'].includes(status)
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

function shown(reason: string): string {
  return JSON.stringify(printable(reason.slice(0, shownReason)))
}

import type { SchemaIssue } from './collect/standard-schema.js'
import { withoutKeys } from './failure/access-keys.js'
import { printable } from './failure/printable.js'

/**
 * What went wrong, for a program to decide on:
 *
 * - `CS_ERR_INVALID_OPTION`: an option or argument is wrong; thrown at the call. Also what a stream fails with whose source or
 *   destination is none for it, or was used before
 * - `CS_ERR_INVALID_CHUNK`: the input holds something that is no completion chunk
 * - `CS_ERR_INVALID_ELEMENT`: the model's JSON holds what is no element, or does not fit the schema
 * - `CS_ERR_EVENT_TOO_LARGE`: one event is larger than `maxEventSize`
 * - `CS_ERR_PROVIDER`: the provider reported an error, by status or within the stream
 * - `CS_ERR_TRUNCATED`: the input ended, or its connection died, before the completion was complete
 * - `CS_ERR_STALLED`: nothing arrived for longer than a time limit
 * - `CS_ERR_BLOCKED`: a moderation check refused the text, or gave no verdict
 * - `CS_ERR_REPETITION`: the model repeated the same text again and again
 * - `CS_ERR_INVALID_RECORDING`: a file is no recording, or of a version that is not known
 * - `CS_ERR_JOURNAL`: the journal of a batch is none, is of another run or other rows, or in use, or has lost rows
 * - `CS_ERR_ABANDONED`: the producer of an answer that others read has died
 * - `CS_ERR_STOPPED`: somebody has stopped the answer
 * - `CS_ERR_PUBLISHED`: another producer has published, or publishes, an answer of this id
 * - `CS_ERR_LOG_TOO_LARGE`: an answer is larger than its log may be
 * - `CS_ERR_TEE_OVERFLOW`: a tee's destination was slower than its limit allows
 */
export type CompletionErrorCode =
  | 'CS_ERR_INVALID_OPTION'
  | 'CS_ERR_INVALID_CHUNK'
  | 'CS_ERR_INVALID_ELEMENT'
  | 'CS_ERR_EVENT_TOO_LARGE'
  | 'CS_ERR_PROVIDER'
  | 'CS_ERR_TRUNCATED'
  | 'CS_ERR_STALLED'
  | 'CS_ERR_BLOCKED'
  | 'CS_ERR_REPETITION'
  | 'CS_ERR_INVALID_RECORDING'
  | 'CS_ERR_JOURNAL'
  | 'CS_ERR_ABANDONED'
  | 'CS_ERR_STOPPED'
  | 'CS_ERR_PUBLISHED'
  | 'CS_ERR_LOG_TOO_LARGE'
  | 'CS_ERR_TEE_OVERFLOW'

/** The facts that an error may carry, beside its code. */
export interface CompletionErrorFacts {
  /** What led to this error: another error, or the payload that reported it. */
  cause?: unknown
  /** The provider's name for the kind of error, such as `invalid_request_error`. */
  type?: string
  /** The provider's own code, such as `context_length_exceeded` or `502`. */
  providerCode?: string | number
  /** The HTTP status, of the response or as the provider names it in the stream. */
  status?: number
  /** The request parameter that the provider complains of. */
  param?: string
  /** The headers of a response that was refused, by their names in lower case; without cookies. */
  headers?: Readonly<Record<string, string>>
  /** How long the provider asks to wait before the next try, in milliseconds. */
  retryAfter?: number
  /** What was left at the end of the input and is no whole event, as text. Not enumerable, since it is a completion's. */
  residue?: string
  /** The finish reason that makes the completion a failure, or not whole, as the provider names it. */
  finishReason?: string
  /** The limit that was passed: bytes of an event, milliseconds of a time limit, what a tee may hold. */
  limit?: number
  /** Which of the time limits it was. */
  timeLimit?: 'first' | 'idle' | 'total'
  /** Milliseconds that the source had been waited for, in all. */
  elapsed?: number
  /** How many items had come until then. */
  items?: number
  /** How much had been emitted before the failure and was never taken: bytes where it is bytes or text, else items. */
  undelivered?: number
  /** The place of the element in the answer, from 0. */
  index?: number
  /** What the schema says is wrong with the element. */
  issues?: readonly SchemaIssue[]
  /** How long the stretch is that came again and again, in characters. */
  period?: number
  /** How many times in a row it came. */
  times?: number
  /** Why a moderation check refused the text, in its own words. */
  reason?: string
  /** Which kind of text it refused. */
  kind?: 'content' | 'refusal' | 'reasoning' | 'arguments'
  /** The index of the choice whose text it refused. */
  choice?: number
  /** How a text begins that is not what it was to be, such as a damaged chunk. Not enumerable either. */
  beginning?: string
}

/** The facts that hold text of a completion: what prints or stores an error does not have them by accident. */
const ofCompletion: ReadonlySet<string> = new Set(['residue', 'beginning'])

/** Registered, so that two copies of the library in one process (ESM and CommonJS, say) know each other's errors. */
const brand = Symbol.for('completion-streams.error')

/**
 * The one error class of this library. Errors of the caller, and of the client that the caller passes in, are never wrapped
 * in it. `instanceof` also knows the errors of another copy of the library.
 *
 * Its message is one line without control characters, and holds neither a key nor the text of a completion: a key that a
 * provider quotes is shown as `[key]`, in the message and in the facts.
 *
 * @example
 * await pipeline(request, toChunks(), toText(), createWriteStream('answer.txt')).catch(error => {
 *   if (error instanceof CompletionError && error.code === 'CS_ERR_TRUNCATED') console.error('the answer was cut')
 * })
 */
export class CompletionError extends Error {
  /** Said, since bundlers rename classes, and loggers show the name of an error's class. */
  static override readonly name: string = 'CompletionError'

  /** Whether a value is an error of this class, of whichever copy of the library. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // A class that extends this one is known by its prototype.
    // biome-ignore lint/complexity/noThisInStatic: the class that is asked may be one that extends this one
    if (this !== CompletionError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && brand in value
  }

  override readonly name: string = 'CompletionError'
  readonly code: CompletionErrorCode
  declare readonly type?: string
  declare readonly providerCode?: string | number
  declare readonly status?: number
  declare readonly param?: string
  declare readonly headers?: Readonly<Record<string, string>>
  declare readonly retryAfter?: number
  declare readonly residue?: string
  declare readonly finishReason?: string
  declare readonly limit?: number
  declare readonly timeLimit?: 'first' | 'idle' | 'total'
  declare readonly elapsed?: number
  declare readonly items?: number
  declare readonly undelivered?: number
  declare readonly index?: number
  declare readonly issues?: readonly SchemaIssue[]
  declare readonly period?: number
  declare readonly times?: number
  declare readonly reason?: string
  declare readonly kind?: 'content' | 'refusal' | 'reasoning' | 'arguments'
  declare readonly choice?: number
  declare readonly beginning?: string

  constructor(code: CompletionErrorCode, message: string, { cause, ...facts }: CompletionErrorFacts = {}) {
    // What comes from outside may hold line ends and other controls, which would forge lines of a log.
    super(printable(message), cause === undefined ? undefined : { cause })
    this.code = code
    Object.defineProperty(this, brand, { value: true })
    for (const [name, fact] of Object.entries(facts)) {
      if (fact === undefined) continue
      const isText = ofCompletion.has(name)
      const value = typeof fact === 'string' && !isText ? withoutKeys(fact) : fact
      Object.defineProperty(this, name, { value, enumerable: !isText })
    }
  }

  /**
   * What a log keeps of it: name, code, message and facts, and the name and message of the cause where that is an error. What
   * holds text of a completion (`residue`, `beginning`) or a provider's payload is left out.
   */
  toJSON(): Record<string, unknown> {
    const { name, code, message, cause } = this
    return {
      name,
      code,
      message,
      ...Object.fromEntries(Object.entries(this).filter(([fact]) => fact !== 'name' && fact !== 'code')),
      ...(isErrorLike(cause) && { cause: { name: cause.name, message: printable(cause.message) } })
    }
  }
}

/** Whether a value is an error, of whatever realm. */
export function isErrorLike(value: unknown): value is Error {
  return (
    typeof value === 'object' &&
    value !== null &&
    'message' in value &&
    'name' in value &&
    typeof value.message === 'string'
  )
}

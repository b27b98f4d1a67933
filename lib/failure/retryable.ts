import { CompletionError } from '../errors.js'

/** What may be read off an error of another library. */
interface LooseError {
  readonly name?: unknown
  readonly code?: unknown
  readonly type?: unknown
  readonly status?: unknown
  readonly headers?: unknown
  readonly error?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

/** Statuses below 500 after which another try may succeed: a timeout, a conflict, too early, too many requests. */
const passingStatuses: ReadonlySet<number> = new Set([408, 409, 425, 429])

/** What providers call a balance that is used up, though the status is 429 as for too many requests. */
const noBalance =
  /insufficient_(?:quota|balance|credits?|funds)|billing|quota_exceeded|exceeded_current_quota|credit_balance|arrear|payment_required/i

/** What providers report in a stream, without a status, and after which another try may succeed. */
const passing =
  /overload|rate_?limit|too_many|unavailable|time_?out|network|server_error|internal|abort|insufficient_system_resource|capacity|busy|try_again/i

/** Node's and undici's codes for a connection that could not be made, or died. */
const networkCodes =
  /^(?:ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENETRESET|EAI_AGAIN|ENOTFOUND|EADDRNOTAVAIL|UND_ERR_(?:SOCKET|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT|CLOSED)|HPE_\w+|ERR_HTTP2_(?:GOAWAY_SESSION|SESSION_ERROR|STREAM_ERROR|STREAM_CANCEL|PING_CANCEL)|ERR_STREAM_PREMATURE_CLOSE)$/

/** The client's own errors for a connection that could not be made, in all its versions. */
const connectionNames = /^(?:APIConnectionError|APIConnectionTimeoutError)$/

/**
 * Whether the same request, sent again, may succeed. Knows this library's errors, those of the official client (and of its
 * forks, by their fields), and Node's network errors, also where one is the cause of another. Whether text has been shown
 * already, which a second answer would repeat, is for the caller to weigh.
 *
 * | error | |
 * | --- | --- |
 * | `CS_ERR_TRUNCATED` | yes, unless the model itself ended the answer (`finishReason`) |
 * | `CS_ERR_STALLED`, `CS_ERR_ABANDONED` | yes |
 * | `CS_ERR_PROVIDER` and errors of the client, with a status | 408, 409, 425, 429, 5xx but 501 and 505: yes; any other: no |
 * | the same with 429 for a balance that is used up | no |
 * | the same with `x-should-retry` | as it says |
 * | `CS_ERR_PROVIDER` without a status | by its `type` and `providerCode`: overload, rate limit, server error and the like: yes |
 * | `APIConnectionError`, `ECONNRESET` and other failures of a connection | yes |
 * | an abort, a wrong option, an invalid chunk or element, a refusal, a repetition, and everything else | no |
 *
 * @example
 * await pipeline(request, toChunks(), toText(), drain()).catch(error => console.log(isRetryable(error) ? 'once more' : 'no'))
 */
export function isRetryable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const loose: LooseError = error
  if (error instanceof CompletionError) return isPassing(error)
  if (isAbort(loose)) return false
  const status = statusOf(loose)
  if (status !== undefined) return isPassingStatus(status, loose)
  return isConnectionFailure(loose)
}

function isPassing(error: CompletionError): boolean {
  switch (error.code as string) {
    case 'CS_ERR_TRUNCATED':
      return error.finishReason === undefined
    case 'CS_ERR_STALLED':
    case 'CS_ERR_ABANDONED':
      return true
    case 'CS_ERR_PROVIDER':
      if (error.status !== undefined) return isPassingStatus(error.status, error)
      return !isUsedUp(error) && passing.test(`${error.type ?? ''} ${error.providerCode ?? ''}`)
    default:
      return false
  }
}

function isPassingStatus(status: number, error: LooseError & { readonly providerCode?: unknown }): boolean {
  if (isUsedUp(error)) return false
  // OpenAI's servers send this header, and its client obeys it.
  const advice = headerOf(error.headers, 'x-should-retry')
  if (advice === 'true') return true
  if (advice === 'false') return false
  return passingStatuses.has(status) || (status >= 500 && status !== 501 && status !== 505)
}

/** Whether an error says that the balance is used up, though its status may be that of too many requests. */
export function isUsedUp({
  code,
  type,
  error,
  ...rest
}: LooseError & { readonly providerCode?: unknown }): boolean {
  const { providerCode } = rest
  const inner = typeof error === 'object' && error !== null ? (error as LooseError) : {}
  return [code, type, providerCode, inner.code, inner.type].some(
    value => typeof value === 'string' && noBalance.test(value)
  )
}

/** Whether somebody has aborted the request, as Node or the client reports it. */
export function isAbort(error: LooseError): boolean {
  return error.code === 'ABORT_ERR' || isNamed(error, /^(?:AbortError|APIUserAbortError)$/)
}

function statusOf({ status }: LooseError): number | undefined {
  return typeof status === 'number' && status >= 100 ? status : undefined
}

/** Whether an error has such a name. The client's errors have only that of their class, until they are kept and made again. */
export function isNamed(error: LooseError, names: RegExp): boolean {
  return [error.constructor?.name, error.name].some(name => typeof name === 'string' && names.test(name))
}

/** Whether a connection could not be made, or died, as Node or the client reports it. */
export function isConnectionFailure(error: LooseError): boolean {
  return isNamed(error, connectionNames) || isNetworkError(error)
}

/** Whether it is an error of a connection. A failed fetch is a TypeError whose cause says why; several addresses that all refused are in a list. */
function isNetworkError(error: LooseError, depth = 5): boolean {
  if (typeof error.code === 'string' && networkCodes.test(error.code)) return true
  if (depth === 0) return false
  const inner = Array.isArray(error.errors) ? [error.cause, ...error.errors] : [error.cause]
  return inner.some(cause => typeof cause === 'object' && cause !== null && isNetworkError(cause, depth - 1))
}

function headerOf(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  const value: unknown =
    'get' in headers && typeof headers.get === 'function' ? headers.get(name) : Reflect.get(headers, name)
  return typeof value === 'string' ? value : undefined
}

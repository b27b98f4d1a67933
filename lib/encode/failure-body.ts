import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'
import { isAbort, isConnectionFailure, isNamed } from '../failure/retryable.js'
import { retryHeadersOf } from '../source/response/headers.js'

/** What a reader is told of a failure, in the form of OpenAI's errors. */
export interface FailureBody {
  error: { message: string; type: string | null; param: string | null; code: string | number | null }
}

/** The answer that stands for a completion that failed before its first byte. */
export interface FailureResponse {
  status: number
  headers: Record<string, string>
  body: FailureBody
}

/** What may be read off an error, of this library or of the official client. */
interface LooseError {
  readonly name?: unknown
  readonly message?: unknown
  readonly code?: unknown
  readonly type?: unknown
  readonly param?: unknown
  readonly status?: unknown
  readonly headers?: unknown
  readonly error?: unknown
  readonly cause?: unknown
  readonly reason?: unknown
}

/** What Node and undici call it when nothing came in time. */
const timeoutCodes = /^(?:ETIMEDOUT|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT|CS_ERR_STALLED)$/

/**
 * What a reader is told of a failure: the provider's own status, headers that say when to try again, and the provider's
 * error, where there are any; else 504 for what came too late, 502 for a provider that could not be reached or broke off,
 * 403 for what a check refused, 503 for an abort, and 500 for anything else, of which nothing is shown.
 */
export function failureOf(failure: unknown): FailureResponse {
  const error: LooseError = typeof failure === 'object' && failure !== null ? failure : {}
  const status = ownStatusOf(error.status)
  if (status !== undefined)
    return { status, headers: retryHeadersOf(error.headers) ?? {}, body: providerBody(error, status) }
  if (error instanceof CompletionError) {
    const { code, message, type, param, providerCode } = error
    const known = { message: bare(message), type: type ?? 'upstream_error', param: param ?? null }
    return {
      status: statusOfCode(code),
      headers: {},
      body: { error: { ...known, code: providerCode ?? code } }
    }
  }
  const [other, message, code] = otherFailure(error)
  return {
    status: other,
    headers: {},
    body: { error: { message, type: 'upstream_error', param: null, code } }
  }
}

/** A status that is a failure. */
function ownStatusOf(status: unknown): number | undefined {
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : undefined
}

function providerBody(error: LooseError, status: number): FailureBody {
  // The client keeps the provider's error as it came; this library keeps its parts.
  const said = (typeof error.error === 'object' && error.error !== null ? error.error : error) as LooseError
  const hasSaid = said !== error || error instanceof CompletionError
  const message =
    hasSaid && typeof said.message === 'string'
      ? bare(said.message)
      : `the provider answered with status ${status}`
  const code = error instanceof CompletionError ? error.providerCode : said.code
  return {
    error: {
      message,
      type: textOf(said.type),
      param: textOf(said.param),
      code: typeof code === 'number' ? code : textOf(code)
    }
  }
}

function statusOfCode(code: string): number {
  if (code === 'CS_ERR_STALLED') return 504
  if (code === 'CS_ERR_BLOCKED') return 403
  return code === 'CS_ERR_INVALID_OPTION' || code === 'CS_ERR_TEE_OVERFLOW' ? 500 : 502
}

/** The status, what is said, and a code, for an error that is neither this library's nor a provider's. */
function otherFailure(error: LooseError): [status: number, message: string, code: string | null] {
  if (isTimeout(error)) return [504, 'the provider did not answer in time', 'timeout']
  if (isAbort(error)) return [503, 'the request was aborted', 'aborted']
  if (isConnectionFailure(error))
    return [502, 'the provider could not be reached or broke off', 'connection_error']
  return [500, 'the answer failed', null]
}

function isTimeout(error: LooseError, depth = 5): boolean {
  if (isNamed(error, /^(?:APIConnectionTimeoutError|TimeoutError)$/)) return true
  if (typeof error.code === 'string' && timeoutCodes.test(error.code)) return true
  return (
    depth > 0 && typeof error.cause === 'object' && error.cause !== null && isTimeout(error.cause, depth - 1)
  )
}

function bare(message: string): string {
  return printable(message).replace(/^provider reported an error: /, '')
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? printable(value) : null
}

import { CompletionError, isErrorLike } from '../../errors.js'

/**
 * What became of the body of a response that cannot be read on: it is cut, whatever the client calls that (a reset, a wrong
 * length, a chunk that is none, gzip that is damaged, an end of the HTTP/2 session). But an abort stays as it is, and so
 * does what somebody destroyed the body with; and a client that has waited too long says so.
 */
export function connectionError(error: unknown, isWeb = true): unknown {
  if (!isErrorLike(error) || error instanceof CompletionError || isAbort(error)) return error
  const codes = codesOf(error)
  if (codes.some(code => code === 'UND_ERR_BODY_TIMEOUT' || code === 'ERR_HTTP_SOCKET_TIMEOUT')) {
    const message =
      'no byte came for as long as the HTTP client waits: for fetch and undici that is bodyTimeout of the dispatcher, 300 s unless it was set'
    return new CompletionError('CS_ERR_STALLED', message, { cause: error })
  }
  // Code that destroys a Node stream passes its own error, which has no code. A web stream fails only by its source.
  if (!isWeb && codes.length === 0 && error.name === 'Error') return error
  const shown = codes.length > 0 ? ` (${codes.at(-1)})` : ''
  const message = `the body of the response could not be read to its end${shown}`
  return new CompletionError('CS_ERR_TRUNCATED', message, { cause: error })
}

export function isLostConnection(error: unknown): boolean {
  return (
    error instanceof CompletionError && (error.code === 'CS_ERR_TRUNCATED' || error.code === 'CS_ERR_STALLED')
  )
}

function isAbort(error: Error): boolean {
  return (
    error.name === 'AbortError' ||
    error.name === 'TimeoutError' ||
    ('code' in error && error.code === 'ABORT_ERR')
  )
}

/** The codes of an error and of what led to it. */
function codesOf(error: Error): string[] {
  const codes: string[] = []
  let cause: unknown = error
  for (let depth = 0; isErrorLike(cause) && depth < 5; depth++) {
    if ('code' in cause && typeof cause.code === 'string' && cause.code !== '') codes.push(cause.code)
    cause = cause.cause
  }
  return codes
}

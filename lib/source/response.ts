import { CompletionError } from '../errors.js'
import { invalid } from '../options.js'
import type { Source } from '../stage.js'
import { readerOf } from './body/body.js'
import { partsOf, type ResponseLike } from './response/response-parts.js'
import { type ResponseOptions, responseSource } from './response/response-source.js'

export type { ResponseLike } from './response/response-parts.js'
export type { ResponseOptions } from './response/response-source.js'

/** Sends a request under a signal: what is to be aborted before its response is there. */
export type SendRequest = (signal: AbortSignal) => ResponseLike | PromiseLike<ResponseLike>

/**
 * Emits the bytes of a response, or of a promise of one, with what a bare body lacks: it ends at the end mark,
 * it takes a status outside 2xx for the failure that it is, and when the connection dies, it fails only after
 * its reader has taken what had arrived.
 *
 * Given a function, it sends the request at the first read, under a signal that aborts when the source is destroyed, so that
 * the server learns of it though no response has come.
 *
 * Fails with `CS_ERR_PROVIDER`, with the status, the headers and the provider's own message, for a status outside 2xx, of
 * which the body is read for 5 seconds at the most; with
 * `CS_ERR_TRUNCATED` when the body cannot be read to its end, except after an abort, a time limit or an error that
 * somebody destroyed the body with; with `CS_ERR_STALLED` when the HTTP client has waited too long for a byte; with
 * what the promise rejects with; and with whatever another stream fails with.
 *
 * @example
 * const response = fromResponse(signal => fetch(url, { method: 'POST', body, signal }))
 * await pipeline(response, toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function fromResponse(
  response: ResponseLike | PromiseLike<ResponseLike> | SendRequest,
  options?: ResponseOptions
): Source<Uint8Array> {
  if (typeof response === 'function') {
    return responseSource(async signal => checked(await response(signal)), 'fromResponse', options)
  }
  if (typeof response !== 'object' || response === null)
    throw invalid('response', response, 'a response, a stream, or a function that sends the request')
  const opened = Promise.resolve(isPromise(response) ? response.then(checked) : checked(response))
  let isOpened = false
  const open = () => {
    isOpened = true
    return opened
  }
  const source = responseSource(open, 'fromResponse', options)
  // A failure before the first read is kept for the reader. Until then it must not be an unhandled rejection.
  opened.then(expectErrors).catch(() => {})
  // The source may be destroyed before its first read. The connection that was opened for it must be closed all the same.
  source.once('close', () => {
    if (!isOpened) opened.then(answer => readerOf(partsOf(answer).body).cancel()).catch(() => {})
  })
  return source
}

function isPromise(
  response: ResponseLike | PromiseLike<ResponseLike>
): response is PromiseLike<ResponseLike> {
  return 'then' in response
}

/** Throws for a stream of chunk objects, as the official client gives it: it has been read into chunks already. */
function checked(response: ResponseLike): ResponseLike {
  if (typeof response !== 'object' || response === null)
    throw invalid('response', response, 'a response or a stream')
  if ('controller' in response && 'toReadableStream' in response) {
    const message =
      "fromResponse takes bytes, not the official client's stream of chunks: begin the pipeline with that stream itself, and put toChunks() behind it"
    throw new CompletionError('CS_ERR_INVALID_OPTION', message)
  }
  return response
}

function expectErrors(response: ResponseLike): void {
  const { body } = partsOf(response)
  if ('on' in body) body.on('error', () => {})
  // A reset in mid-body is an error of the request as well, for which nobody listens once its response is there.
  if ('req' in response && isEmitter(response.req)) response.req.on('error', () => {})
}

function isEmitter(value: unknown): value is { on(name: string, listener: () => void): unknown } {
  return typeof value === 'object' && value !== null && 'on' in value && typeof value.on === 'function'
}

import { ReadStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { toProviderError } from '../chunk/provider-error.js'
import { CompletionError, isErrorLike } from '../errors.js'
import {
  defaultDeliveryTimeout,
  deliveryTimeout as deliveryTimeoutOf,
  failInOrder
} from '../fail-in-order.js'
import { checkBoolean, checkIndex, checkLimit, checkSignal, invalid, settled, show } from '../options.js'
import { type CompletionReader, readersBehind } from '../reader.js'
import type { Source } from '../stage.js'
import { type Body, type BodyReader, readerOf } from './body.js'
import { EndMark } from './end-mark.js'
import { headerFacts } from './headers.js'
import { onAbort } from './on-abort.js'

/** What undici's `request` resolves to, as far as it is read here. */
interface UndiciResponse {
  statusCode: number
  body: Readable
}

/**
 * A response, or the body of one: a `Response` (fetch), an `IncomingMessage` (`http.request`), what undici's
 * `request` resolves to, or any stream of bytes.
 */
export type ResponseLike = Response | IncomingMessage | UndiciResponse | Body

/** Sends a request under a signal: what is to be aborted before its response is there. */
export type SendRequest = (signal: AbortSignal) => ResponseLike | PromiseLike<ResponseLike>

/** The options of `fromResponse`. */
export interface ResponseOptions {
  /** Destroys the source, and with it the connection. */
  signal?: AbortSignal
  /**
   * Whether the source ends at the end mark of the first completion, though the connection be held open behind
   * it. Default: true, but false for a file, which may be a log of many completions.
   */
  endAtMark?: boolean
  /**
   * How many bytes are read ahead of the stage behind. When the connection dies, what is still in the HTTP
   * client's own buffer is lost; what was read ahead is not. Default: 1048576 (1 MiB).
   */
  highWaterMark?: number
  /**
   * How long a failure waits, in milliseconds, for a reader that takes nothing of what came before it; then it is told, with
   * what could not be delivered as `undelivered`. Default: 30000.
   */
  deliveryTimeout?: number
}

/** 1 MiB, which holds most completions whole. */
const defaultHighWaterMark = 1024 * 1024

/** Milliseconds that a server has behind its end mark to end the response, so that the connection can be used again. */
const graceTime = 250

/** How often a server is read from behind its end mark; who has more to say than this is not about to end. */
const mostLateReads = 16

/** How much of a refused request's body is read, in characters. */
const longestErrorBody = 65_536

/**
 * Emits the bytes of a response, or of a promise of one, with what a bare body lacks: it ends at the end mark,
 * it takes a status outside 2xx for the failure that it is, and when the connection dies, it fails only after
 * its reader has taken what had arrived.
 *
 * Given a function, it sends the request at the first read, under a signal that aborts when the source is destroyed, so that
 * the server learns of it though no response has come.
 *
 * Fails with `CS_ERR_PROVIDER`, with the status, the headers and the provider's own message, for a status outside 2xx; with
 * `CS_ERR_TRUNCATED` when the body cannot be read to its end, whatever the reason, but an abort, a time limit or an error
 * that somebody destroyed the body with; with `CS_ERR_STALLED` when the HTTP client has waited too long for a byte; with
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
  // What fails before anybody reads is told to who reads then, and crashes nobody until then.
  opened.then(expectErrors).catch(() => {})
  // Who destroys the source before anybody reads lets go of a connection that it has not come to ask for.
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

/**
 * The source behind `fromResponse` and `requestCompletion`: opens a response at the first read, with a signal
 * that aborts when the source is destroyed. It ends where the bytes show the end of a completion, or the stages behind it
 * have read one.
 */
export function responseSource(
  open: (signal: AbortSignal) => Promise<ResponseLike>,
  factory: string,
  options?: ResponseOptions,
  choices = 0
): OpenableSource {
  const { signal, endAtMark, highWaterMark, deliveryTimeout } = settled(factory, options, {
    signal: undefined as AbortSignal | undefined,
    endAtMark: undefined as boolean | undefined,
    highWaterMark: defaultHighWaterMark,
    deliveryTimeout: defaultDeliveryTimeout
  })
  if (endAtMark !== undefined) checkBoolean('endAtMark', endAtMark)
  if (signal !== undefined) checkSignal(signal)
  checkIndex('highWaterMark', highWaterMark)
  checkLimit('deliveryTimeout', deliveryTimeout)
  const controller = new AbortController()
  let reader: BodyReader | undefined
  let starting: Promise<BodyReader> | undefined
  let readers: CompletionReader[] = []
  let endMark: EndMark | undefined
  let half = ''
  let isPulling = false
  let isWanted = false
  let isOver = false
  let stopWaiting = () => {}

  async function start(): Promise<BodyReader> {
    const { body, status, headers, isHttp } = partsOf(await open(controller.signal))
    reader = isHttp ? connectionReader(readerOf(body), body) : readerOf(body)
    if (stream.destroyed) reader.cancel()
    else if (status !== undefined && (status < 200 || status > 299))
      throw await refusal(reader, status, headers)
    readers = readersBehind(stream)
    const endsAtMark = endAtMark ?? !(body instanceof ReadStream)
    if (endsAtMark) endMark = new EndMark()
    for (const behind of readers) {
      if (choices > 0) behind.expect(choices)
      // Who reads the events knows more of ends than their bytes show.
      if (endsAtMark) behind.onOver(endOnce)
    }
    return reader
  }

  async function pull(): Promise<void> {
    starting ??= start()
    const body = await starting
    while (isWanted && !isOver && !stream.destroyed) {
      const piece = await body.read().catch(failedRead)
      if (stream.destroyed || isOver) return
      if (piece === undefined) return end(body)
      const bytes = typeof piece === 'string' ? bytesOf(piece) : checkBytes(piece)
      const found = endMark?.find(bytes)
      // A read that is asked for while this is pushed must not be forgotten.
      isWanted = false
      if (stream.push(found ? bytes.subarray(0, found.length) : bytes)) isWanted = true
      if (!found) continue
      stream.push(found.missing)
      return end(body)
    }
    isPulling = false
  }

  /**
   * A completion of which all has come is whole, however its connection ends; one that was reported as failed has that
   * failure, of which the reader tells at the end.
   */
  function failedRead(error: unknown): undefined {
    const mayEnd =
      readers.length > 0 && readers.every(({ isComplete, heldFailure }) => isComplete || heldFailure)
    if (mayEnd && isLostConnection(error)) return undefined
    throw error
  }

  /** A string may be cut within a surrogate pair, of which neither half has bytes of its own. */
  function bytesOf(text: string): Uint8Array {
    const whole = half + text
    const last = whole.charCodeAt(whole.length - 1)
    half = last >= 0xd800 && last <= 0xdbff ? whole.slice(-1) : ''
    return Buffer.from(half === '' ? whole : whole.slice(0, -1))
  }

  function endOnce(): void {
    if (reader && !isOver && !stream.destroyed) end(reader)
  }

  function end(over: BodyReader): void {
    isOver = true
    if (half !== '') stream.push(Buffer.from(half))
    stream.push(null)
    finish(over)
  }

  const stream = new OpenableReadable(highWaterMark, {
    open() {
      starting ??= start()
      return starting
    },
    read() {
      isWanted = true
      if (isPulling || isOver) return
      isPulling = true
      pull().catch(error => failInOrder(stream, error))
    },
    destroy(error) {
      stopWaiting()
      if (isOver) return
      controller.abort()
      reader?.cancel(error)
    }
  })
  Object.assign(stream, { [deliveryTimeoutOf]: deliveryTimeout })
  if (signal) stopWaiting = onAbort(signal, () => stream.destroy(new AbortError(signal.reason)))
  return stream
}

/** A source that can be told to send its request before anybody reads. */
export type OpenableSource = Source<Uint8Array> & { open(): Promise<unknown> }

/** What a source does. */
interface SourceWork {
  open(): Promise<unknown>
  read(): void
  destroy(error: Error | null): void
}

/** A class, since V8 gives each object with methods of its own a hidden class of its own. */
class OpenableReadable extends Readable {
  readonly #work: SourceWork

  constructor(highWaterMark: number, work: SourceWork) {
    super({ highWaterMark })
    this.#work = work
  }

  open(): Promise<unknown> {
    return this.#work.open()
  }

  override _read(): void {
    this.#work.read()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#work.destroy(error)
    callback(error)
  }
}

/** As Node's own streams are destroyed by a signal. */
class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor(cause: unknown) {
    super('The operation was aborted', { cause })
  }
}

function checkBytes(piece: unknown): Uint8Array {
  if (ArrayBuffer.isView(piece)) return piece as Uint8Array
  const message = `the body gives what is neither bytes nor text, but ${show(piece)}: a stream of chunks goes into the pipeline itself, with toChunks() behind it`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

function partsOf(response: ResponseLike): {
  body: Body
  status?: number
  headers?: unknown
  isHttp: boolean
} {
  if ('status' in response && 'body' in response) {
    if (response.bodyUsed) throw invalid('response', response, 'a response whose body has not been read')
    // The DOM's type of a web stream and node's are one thing under two names; node-fetch gives a Node stream.
    const body = response.body as Body | null
    return {
      body: body ?? Readable.from([]),
      status: response.status,
      headers: response.headers,
      isHttp: true
    }
  }
  if ('statusCode' in response) {
    const body = 'body' in response ? response.body : response
    const headers = 'headers' in response ? response.headers : undefined
    return { body, status: response.statusCode, headers, isHttp: true }
  }
  return { body: response, isHttp: false }
}

function expectErrors(response: ResponseLike): void {
  const { body } = partsOf(response)
  if ('on' in body) body.on('error', () => {})
  // A reset in mid-body is an error of the request as well, for which nobody listens once its response is there.
  if ('req' in response && isEmitter(response.req)) response.req.on('error', () => {})
}

/** The error for a response that is not 2xx: its body usually says why. */
async function refusal(reader: BodyReader, status: number, headers: unknown): Promise<CompletionError> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (let piece = await reader.read(); piece !== undefined; piece = await reader.read()) {
      text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
      if (text.length > longestErrorBody) break
    }
  } catch {
    // The status stands, whatever became of the body.
  }
  reader.cancel()
  let payload: unknown = text
  try {
    payload = JSON.parse(text)
  } catch {
    // A proxy's page, or nothing: the text itself is what there is to tell.
  }
  return toProviderError(payload, { status, ...headerFacts(headers) })
}

/** Says in this library's terms how a connection died. */
function connectionReader(reader: BodyReader, body: Body): BodyReader {
  const read = async () => {
    try {
      return await reader.read()
    } catch (error) {
      throw connectionError(error, 'getReader' in body)
    }
  }
  return { read, cancel: reader.cancel }
}

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
  // Whoever fails a Node stream by hand gives an error of their own, which has no code; nobody but its source fails a web stream.
  if (!isWeb && codes.length === 0 && error.name === 'Error') return error
  const shown = codes.length > 0 ? ` (${codes.at(-1)})` : ''
  const message = `the body of the response could not be read to its end${shown}`
  return new CompletionError('CS_ERR_TRUNCATED', message, { cause: error })
}

function isLostConnection(error: unknown): boolean {
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

function isEmitter(value: unknown): value is { on(name: string, listener: () => void): unknown } {
  return typeof value === 'object' && value !== null && 'on' in value && typeof value.on === 'function'
}

/** Lets the server end its response, and lets go of it if it does not. */
async function finish(reader: BodyReader): Promise<void> {
  const timer = setTimeout(() => reader.cancel(), graceTime).unref()
  try {
    let reads = 0
    while ((await reader.read()) !== undefined && reads < mostLateReads) reads++
    if (reads === mostLateReads) reader.cancel()
  } catch {
    // The completion is there; how its connection ends is of no interest.
  }
  clearTimeout(timer)
}

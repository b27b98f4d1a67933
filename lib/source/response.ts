import { ReadStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { toProviderError } from '../chunk/provider-error.js'
import { CompletionError, isErrorLike } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { checkBoolean, checkIndex, invalid } from '../options.js'
import type { Source } from '../stage.js'
import { type Body, type BodyReader, readerOf } from './body.js'
import { EndMark } from './end-mark.js'

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
 * Fails with `CS_ERR_PROVIDER`, with the status and the provider's own message, for a status outside 2xx; with
 * `CS_ERR_TRUNCATED` when the connection dies; with `CS_ERR_STALLED` when the HTTP client has waited too long
 * for a byte; with what the promise rejects with; and with whatever another stream fails with.
 */
export function fromResponse(
  response: ResponseLike | PromiseLike<ResponseLike>,
  { signal, endAtMark, highWaterMark = defaultHighWaterMark }: ResponseOptions = {}
): Source<Uint8Array> {
  if (typeof response !== 'object' || response === null)
    throw invalid('response', response, 'a response or a stream')
  const opened = Promise.resolve(response)
  let isOpened = false
  const open = () => {
    isOpened = true
    return opened
  }
  const source = responseSource(open, { signal, endAtMark, highWaterMark })
  // What fails before anybody reads is told to who reads then, and crashes nobody until then.
  opened.then(expectErrors).catch(() => {})
  // Who destroys the source before anybody reads lets go of a connection that it has not come to ask for.
  source.once('close', () => {
    if (!isOpened) opened.then(answer => readerOf(partsOf(answer).body).cancel()).catch(() => {})
  })
  return source
}

/**
 * The source behind `fromResponse` and `requestCompletion`: opens a response at the first read, with a signal
 * that aborts when the source is destroyed.
 */
export function responseSource(
  open: (signal: AbortSignal) => Promise<ResponseLike>,
  { signal, endAtMark, highWaterMark = defaultHighWaterMark }: ResponseOptions
): Source<Uint8Array> {
  if (endAtMark !== undefined) checkBoolean('endAtMark', endAtMark)
  checkIndex('highWaterMark', highWaterMark)
  const controller = new AbortController()
  let reader: BodyReader | undefined
  let endMark: EndMark | undefined
  let isPulling = false
  let isWanted = false
  let isOver = false

  async function start(): Promise<BodyReader> {
    const { body, status, isHttp } = partsOf(await open(controller.signal))
    reader = isHttp ? connectionReader(readerOf(body)) : readerOf(body)
    if (stream.destroyed) reader.cancel()
    else if (status !== undefined && (status < 200 || status > 299)) throw await refusal(reader, status)
    if (endAtMark ?? !(body instanceof ReadStream)) endMark = new EndMark()
    return reader
  }

  async function pull(): Promise<void> {
    const body = reader ?? (await start())
    while (isWanted && !stream.destroyed) {
      const piece = await body.read()
      if (stream.destroyed) return
      if (piece === undefined) return end(body)
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
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

  function end(over: BodyReader): void {
    isOver = true
    stream.push(null)
    finish(over)
  }

  const stream = new Readable({
    highWaterMark,
    signal,
    read() {
      isWanted = true
      if (isPulling) return
      isPulling = true
      pull().catch(error => failInOrder(stream, error))
    },
    destroy(error, callback) {
      if (!isOver) {
        controller.abort()
        reader?.cancel(error)
      }
      callback(error)
    }
  })
  return stream
}

function partsOf(response: ResponseLike): { body: Body; status?: number; isHttp: boolean } {
  if ('status' in response && 'body' in response) {
    if (response.bodyUsed) throw invalid('response', response, 'a response whose body has not been read')
    // The DOM's type of a web stream and node's are one thing under two names; node-fetch gives a Node stream.
    const body = response.body as Body | null
    return { body: body ?? Readable.from([]), status: response.status, isHttp: true }
  }
  if ('statusCode' in response) {
    const body = 'body' in response ? response.body : response
    return { body, status: response.statusCode, isHttp: true }
  }
  return { body: response, isHttp: false }
}

function expectErrors(response: ResponseLike): void {
  const { body } = partsOf(response)
  if ('on' in body) body.on('error', () => {})
}

/** The error for a response that is not 2xx: its body usually says why. */
async function refusal(reader: BodyReader, status: number): Promise<CompletionError> {
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
  return toProviderError(payload, { status })
}

/** Says in this library's terms how a connection died. */
function connectionReader(reader: BodyReader): BodyReader {
  const read = async () => {
    try {
      return await reader.read()
    } catch (error) {
      throw connectionError(error)
    }
  }
  return { read, cancel: reader.cancel }
}

/** An abort, or what somebody destroyed the body with, is not the connection's error and stays as it is. */
export function connectionError(error: unknown): unknown {
  for (let cause = error; isErrorLike(cause); cause = cause.cause) {
    const code = 'code' in cause ? String(cause.code) : ''
    if (code === 'UND_ERR_BODY_TIMEOUT') {
      const message =
        "no byte came for as long as Node's fetch waits, 300 s: set bodyTimeout on its undici dispatcher"
      return new CompletionError('CS_ERR_STALLED', message, { cause: error })
    }
    if (/^(E[A-Z]+|UND_ERR_\w+|HPE_\w+|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_\w+)$/.test(code)) {
      const message = `the connection died before the completion was complete (${code})`
      return new CompletionError('CS_ERR_TRUNCATED', message, { cause: error })
    }
  }
  return error
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

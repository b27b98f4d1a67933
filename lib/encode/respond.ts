import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { invalid, settled } from '../options.js'
import type { Outlet } from './outlet.js'
import { type RespondOptions, respondDefaults, responseSink } from './response-sink.js'

export type { RespondOptions } from './response-sink.js'
export type { ResponseForm } from './response-writer.js'

/** A response of Node's, of http, https or http2, by what is asked of it. Frameworks hand it on or extend it. */
export interface ServerResponseLike extends NodeJS.EventEmitter {
  statusCode: number
  readonly headersSent: boolean
  readonly writableEnded: boolean
  readonly destroyed?: boolean
  /** The header of this name, if it is set. */
  getHeader(name: string): unknown
  /** Sets a header. */
  setHeader(name: string, value: string): unknown
  /** Writes a part of the body; false where `drain` is to be waited for. */
  write(chunk: string): boolean
  /** Ends the body. */
  end(): unknown
}

/** What a response of HTTP/1 or HTTP/2 also has. */
interface Inner {
  readonly req?: IncomingMessage
  readonly socket?: Socket | null
  readonly stream?: Http2Stream
  readonly chunkedEncoding?: boolean
  readonly closed?: boolean
  flush?(): void
}

interface Http2Stream {
  readonly id?: number
  readonly rstCode?: number
  readonly writableFinished?: boolean
  close(code: number): void
  destroy(): void
  once(name: 'aborted', listener: () => void): unknown
  write(bytes: Uint8Array, callback: () => void): boolean
}

/** How long a reader has to take the last of what came before its connection is cut, in milliseconds. */
const longestFarewell = 30_000

/** How long a compressor in front of a response has to give what it holds before that is cut, in milliseconds. */
const timeForCompressor = 100

/** HTTP/2's code for a stream that the server could not finish. */
const internalError = 2

/**
 * A sink that is the response to an HTTP request: of Node's http, https and http2 servers, of Express, Koa (`ctx.res`),
 * NestJS and Fastify (`reply.raw`). Give it chunks, text or events; it sends them on as they come, past the buffers of
 * compressors and proxies.
 *
 * The head is sent with the first byte. A failure before that is a response of its own, with a JSON body that the official
 * SDKs understand: the provider's status, error and `retry-after` where it refused the request, 502 where it could not be
 * reached or its answer made no sense, 504 where it was too slow. A failure after that is an error event (`events`,
 * `lines`), or a cut connection (`text`), so that no reader takes the answer for whole; in HTTP/1.0 the connection is reset
 * for that. Headers that you have set are kept.
 *
 * When the reader leaves, the pipeline rejects with an `AbortError`, and the request to the provider is aborted; with
 * `whenGone: 'drain'` that comes after the answer has been read to its end. A request by the method HEAD, which frameworks
 * give to the handler of GET, gets the head alone: nothing is asked of the provider, and the pipeline rejects with an
 * `AbortError` too. `pipeline` rejects in all of these cases.
 *
 * @example
 * const server = createServer((_incoming, outgoing) => {
 *   pipeline(requestCompletion(client, params), toChunks(), respond(outgoing)).catch(error => console.error(error.message))
 * })
 */
export function respond(response: ServerResponseLike, options?: RespondOptions): Writable {
  if (
    typeof response !== 'object' ||
    response === null ||
    !('setHeader' in response && 'headersSent' in response)
  )
    throw invalid(
      'response',
      response,
      'the response of a server, such as the second argument of its listener'
    )
  return responseSink('respond', new NodeOutlet(response), settled('respond', options, respondDefaults))
}

/** A response of a Node server. */
class NodeOutlet implements Outlet {
  readonly #response: ServerResponseLike
  readonly #inner: Inner
  readonly isOver: boolean
  /** Whether all of the body was sent. */
  #isFinished = false
  /** Whether the connection or the stream was broken off from here. */
  #isCut = false

  constructor(response: ServerResponseLike) {
    this.#response = response
    this.isOver = response.writableEnded
    // The members that only some responses have are asked for where they are used.
    this.#inner = response as Inner
    // A connection that dies is told by `close`.
    response.on('error', () => {})
  }

  get isUnopened(): boolean {
    return !this.#response.headersSent
  }

  get isReturning(): boolean {
    return this.#inner.req?.headers['last-event-id'] !== undefined
  }

  get isHeadOnly(): boolean {
    return this.#inner.req?.method === 'HEAD'
  }

  open(status: number, headers: Readonly<Record<string, string>>): void {
    const response = this.#response
    const isFailure = status >= 300
    // An answer that is there is no failure, whatever the framework begins with (Koa with 404).
    if (status !== 200 || !(response.statusCode >= 200 && response.statusCode < 300))
      response.statusCode = status
    for (const [name, value] of Object.entries(headers)) {
      // What stands for the answer is not of the type that the user has set for it.
      if (isFailure || response.getHeader(name) === undefined) response.setHeader(name, value)
    }
  }

  write(text: string, callback: () => void): void {
    const response = this.#response
    const isFull = !response.write(text)
    // What `compression` puts there has its compressor emit what it holds. Node's own method of that name is another.
    if (Object.hasOwn(response, 'flush')) this.#inner.flush?.()
    if (isFull) response.once('drain', callback)
    else callback()
  }

  end(callback: () => void): void {
    const { stream } = this.#inner
    this.#response.once('finish', () => {
      // In HTTP/2 a response says that it has finished whenever its stream is closed, by whomever.
      if (stream?.id !== undefined && !(stream.writableFinished && stream.rstCode === 0)) return
      this.#isFinished = true
      callback()
    })
    this.#response.end()
  }

  endFailed(): void {
    const timer = setTimeout(() => this.#destroy(), longestFarewell).unref()
    const forget = () => clearTimeout(timer)
    this.#response.once('close', forget)
    this.end(forget)
  }

  #destroy(): void {
    const { stream, socket } = this.#inner
    if (stream?.id !== undefined) stream.destroy()
    else socket?.destroy()
  }

  cut(): void {
    // A compressor does not say when it has given what it was told to.
    if (Object.hasOwn(this.#response, 'flush')) setTimeout(() => this.#cut(), timeForCompressor)
    else this.#cut()
  }

  #cut(): void {
    this.#isCut = true
    const { stream, socket, req, chunkedEncoding } = this.#inner
    if (stream?.id !== undefined) return cutStream(stream)
    if (!socket) return
    // A reader that takes nothing is not waited for.
    setTimeout(() => this.#destroy(), longestFarewell).unref()
    // Without chunks, the end of the connection is the end of the body. A reset tells the two apart.
    const isDelimitedByClose = req?.httpVersion === '1.0' && !chunkedEncoding
    if (isDelimitedByClose) socket.write('', () => reset(socket))
    else socket.destroySoon()
  }

  onGone(listener: () => void): void {
    const response = this.#response
    const check = () => {
      if (!this.#isFinished) listener()
    }
    if (response.destroyed || this.#inner.closed) return void setImmediate(check)
    response.once('close', check)
    const { stream, socket, req } = this.#inner
    if (stream?.id === undefined) {
      // Until its turn comes, behind another request on the connection, a response is not told that this has died.
      if (!socket && req?.socket) onClose(req.socket, response, check)
      return
    }
    // Where something was being written, HTTP/2 closes the stream without destroying it, and says no more than this.
    stream.once('aborted', () => {
      if (this.#isCut) return
      check()
      stream.destroy()
    })
  }
}

/** Those who wait for the end of a connection: a client may send any number of requests before it reads. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Has a function called when a connection closes before a response on it does. */
function onClose(socket: Socket, response: ServerResponseLike, listener: () => void): void {
  const listeners = waiting.get(socket) ?? new Set()
  if (!waiting.has(socket)) {
    waiting.set(socket, listeners)
    socket.once('close', () => {
      for (const each of listeners) each()
    })
  }
  listeners.add(listener)
  response.once('close', () => listeners.delete(listener))
}

function cutStream(stream: Http2Stream): void {
  stream.write(Buffer.alloc(0), () => stream.close(internalError))
}

function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy()
  } catch {
    // TLS has no reset; it tells an end from a cut itself.
    socket.destroy()
  }
}

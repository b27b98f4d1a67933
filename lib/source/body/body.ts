import type { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { clearTimeout, setTimeout } from 'node:timers'
import { CompletionError } from '../../errors.js'
import { lockedBody, noResponse } from './no-body.js'

/** What a body may be: a web stream, a Node stream, or anything that iterates over bytes or strings. */
export type Body = ReadableStream<Uint8Array> | Readable | AsyncIterable<Uint8Array | string>

/** Bytes, or text. */
export type Piece = Uint8Array | string

/** What is told of a body that is read. Neither of the two may throw. */
export interface BodyTaker {
  take(piece: Piece): void
  /** The body has ended, or failed, and all that had arrived was taken. */
  over(failure?: BodyFailure): void
}

export interface BodyFailure {
  readonly error: unknown
}

/**
 * Reads a body piece by piece. Its pieces are given away as they come, not fetched: a promise for each would cost more
 * than all that is done with it.
 */
export interface BodyReader {
  /** Who is told. */
  taker: BodyTaker
  /** Begins to read, or goes on. May tell the taker before it returns. */
  resume(): void
  /** Reads no more until it is resumed. What is being read may still come. */
  pause(): void
  /** Lets the body go, and with it the connection it came over. Never throws. */
  cancel(reason?: unknown): void
}

/** Reads nothing before it is resumed. */
export function readerOf(body: Body | BodyReader): BodyReader {
  if (!isBody(body)) throw noResponse(body)
  if ('taker' in body) return body
  if ('getReader' in body) return webReader(body)
  return 'read' in body && 'on' in body ? new NodeReader(body) : iteratorReader(body)
}

export function isBody(value: unknown): value is Body | BodyReader {
  if (typeof value !== 'object' || value === null) return false
  return (
    'taker' in value ||
    'getReader' in value ||
    ('read' in value && 'on' in value) ||
    Symbol.asyncIterator in value
  )
}

/** Takes what comes of a body that nobody reads any more. */
export const nobody: BodyTaker = { take() {}, over() {} }

/** The next piece alone, undefined at the end: for who is asked for pieces one by one. Rejects when the body fails. */
export function nextPiece(reader: BodyReader): Promise<Piece | undefined> {
  return new Promise((resolve, reject) => {
    reader.taker = {
      take(piece) {
        reader.pause()
        resolve(piece)
      },
      over: failure => (failure ? reject(failure.error) : resolve(undefined))
    }
    reader.resume()
  })
}

/** Milliseconds that a server has behind its end mark to end the response, so that the connection can be used again. */
const graceTime = 250

/** How many reads there are after the end mark; a server that sends more than this is not about to end the response. */
const mostLateReads = 16

/** The whole completion has come. Lets the server end its response, and lets go of it if it does not. */
export function letEnd(reader: BodyReader): void {
  const timer = setTimeout(() => reader.cancel(), graceTime).unref()
  let reads = 0
  reader.taker = {
    take() {
      if (++reads === mostLateReads) reader.cancel()
    },
    over: () => clearTimeout(timer)
  }
  reader.resume()
}

interface Answer {
  done?: boolean | undefined
  value?: unknown
}

/** A body whose pieces are asked for one by one. */
class AskingReader implements BodyReader {
  taker = nobody
  readonly #cancel: (reason?: unknown) => void
  readonly #ask: () => PromiseLike<Answer>
  #isFlowing = false
  #isAsking = false

  constructor(ask: () => PromiseLike<Answer>, cancel: (reason?: unknown) => void) {
    this.#ask = ask
    this.#cancel = cancel
  }

  resume(): void {
    this.#isFlowing = true
    if (!this.#isAsking) this.#askOnce()
  }

  pause(): void {
    this.#isFlowing = false
  }

  cancel(reason?: unknown): void {
    this.#isFlowing = false
    this.#cancel(reason)
  }

  #askOnce(): void {
    this.#isAsking = true
    try {
      this.#ask().then(this.#answer, this.#fail)
    } catch (error) {
      // An iterator of somebody's own may throw.
      this.#fail(error)
    }
  }

  readonly #answer = ({ done, value }: Answer): void => {
    if (done) return this.taker.over()
    this.#isAsking = false
    // What it is, is for the taker to check.
    this.taker.take(value as Piece)
    if (this.#isFlowing && !this.#isAsking) this.#askOnce()
  }

  readonly #fail = (error: unknown): void => this.taker.over({ error })
}

function webReader(body: ReadableStream<Uint8Array>): BodyReader {
  if (body.locked) throw lockedBody()
  const reader = body.getReader()
  return new AskingReader(
    () => reader.read(),
    // A body that has failed rejects here with what the taker has been told.
    reason => void reader.cancel(reason).catch(() => {})
  )
}

function iteratorReader(body: AsyncIterable<Uint8Array | string>): BodyReader {
  const iterator = body[Symbol.asyncIterator]()
  return new AskingReader(
    () => Promise.resolve(iterator.next()),
    () =>
      void Promise.resolve()
        .then(() => iterator.return?.())
        .catch(() => {})
  )
}

/** A Node stream gives up what it has buffered when it fails; `read` still gives it. */
class NodeReader implements BodyReader {
  taker = nobody
  readonly #body: Readable
  #isFlowing = false
  #isBegun = false
  #isOver: boolean
  #failure: BodyFailure | undefined

  constructor(body: Readable) {
    this.#body = body
    this.#isOver = body.readableEnded || body.destroyed
    if (body.errored) this.#failure = { error: body.errored }
    body.on('end', this.#end)
    body.on('close', this.#end)
    body.on('error', error => {
      this.#failure ??= { error }
      this.#end()
    })
  }

  resume(): void {
    if (this.#isFlowing) return
    this.#isFlowing = true
    if (this.#isOver) return this.#finish()
    if (!this.#isBegun) this.#body.on('data', this.#take)
    this.#isBegun = true
    this.#body.resume()
  }

  pause(): void {
    this.#isFlowing = false
    if (!this.#isOver) this.#body.pause()
  }

  cancel(): void {
    this.#body.destroy()
  }

  readonly #take = (piece: Piece): void => this.taker.take(piece)

  readonly #end = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    this.#body.off('data', this.#take)
    if (this.#isFlowing) this.#finish()
  }

  #finish(): void {
    const body = this.#body
    for (let piece = body.read(); piece !== null; piece = body.read()) {
      this.taker.take(piece)
      if (!this.#isFlowing) return
    }
    if (this.#failure || body.readableEnded) return this.taker.over(this.#failure)
    this.taker.over({
      error: new CompletionError('CS_ERR_TRUNCATED', 'the body was closed before its end')
    })
  }
}

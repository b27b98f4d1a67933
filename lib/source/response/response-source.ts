import { ReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { CompletionError } from '../../errors.js'
import {
  defaultDeliveryTimeout,
  deliveryTimeout as deliveryTimeoutOf,
  failInOrder
} from '../../fail-in-order.js'
import { tellReason } from '../../guard/time-limits.js'
import { checkBoolean, checkIndex, checkLimit, checkSignal, settled, show } from '../../options.js'
import { type CompletionReader, readersBehind } from '../../reader.js'
import { type Source, usedSource } from '../../stage.js'
import { isStopped, stopSignsBehind } from '../../stopping.js'
import { type BodyFailure, type BodyReader, letEnd, type Piece, readerOf } from '../body/body.js'
import { EndMark } from '../body/end-mark.js'
import { ReadAhead } from '../body/read-ahead.js'
import { connectionError, isLostConnection } from '../body/read-failure.js'
import { destroyOnAbort } from '../on-abort.js'
import { readRefusal } from './refusal.js'
import { tellHead } from './response-head.js'
import { partsOf, type ResponseLike } from './response-parts.js'

/** The options of `fromResponse`. */
export interface ResponseOptions {
  /** Destroys the source, and with it the connection. */
  signal?: AbortSignal
  /**
   * Whether the source ends at the end mark of the first completion, even if the server holds the connection open after
   * it. Usage and costs that come behind the mark in the same read are emitted, too. Default: true; false for a file, which may be a log of many completions.
   */
  endAtMark?: boolean
  /**
   * How many bytes are read ahead of the stage behind. When the connection dies, what is still in the HTTP
   * client's own buffer is lost; what was read ahead is not. Default: 1048576 (1 MiB), and less where more than 64 sources
   * are open: 64 MiB shared by all, but never less than 64 KiB each.
   */
  highWaterMark?: number
  /**
   * How long a failure waits, in milliseconds, for a reader that takes nothing of what came before it. Then the source fails
   * anyway, and `undelivered` says how much was not taken. Default: 30000.
   */
  deliveryTimeout?: number
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
  choices: () => number = () => 0
): OpenableSource {
  const { signal, endAtMark, highWaterMark, deliveryTimeout } = settled(factory, options, {
    signal: undefined as AbortSignal | undefined,
    endAtMark: undefined as boolean | undefined,
    highWaterMark: undefined as number | undefined,
    deliveryTimeout: defaultDeliveryTimeout
  })
  if (endAtMark !== undefined) checkBoolean('endAtMark', endAtMark)
  if (signal !== undefined) checkSignal(signal)
  if (highWaterMark !== undefined) checkIndex('highWaterMark', highWaterMark)
  checkLimit('deliveryTimeout', deliveryTimeout)
  const source = new ResponseSource({ open, choices, endAtMark, highWaterMark, signal })
  return Object.assign(source, { [deliveryTimeoutOf]: deliveryTimeout })
}

/** A source that can be told to send its request before anybody reads. */
export type OpenableSource = Source<Uint8Array> & { open(): Promise<unknown> }

/** What a source is made of. */
interface SourceWork {
  open(signal: AbortSignal): Promise<ResponseLike>
  choices(): number
  readonly endAtMark: boolean | undefined
  readonly highWaterMark: number | undefined
  readonly signal: AbortSignal | undefined
}

/** Passes the pieces of a body on in the turn in which they come. */
class ResponseSource extends Readable {
  readonly #work: SourceWork
  readonly #controller = new AbortController()
  readonly #readAhead: ReadAhead | undefined
  readonly #stopWaiting: (() => void) | undefined
  #starting: Promise<void> | undefined
  #reader: BodyReader | undefined
  #isHttp = false
  #isWeb = false
  #isOpen = false
  #isFailing = false
  #readers: CompletionReader[] = []
  #endMark: EndMark | undefined
  #half = ''
  #isOver = false

  constructor(work: SourceWork) {
    super(work.highWaterMark === undefined ? {} : { highWaterMark: work.highWaterMark })
    this.#work = work
    if (work.highWaterMark === undefined) this.#readAhead = new ReadAhead()
    if (work.signal) this.#stopWaiting = destroyOnAbort(this, work.signal)
  }

  open(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  override _read(): void {
    if (this.#isOpen) this.#goOn()
    else
      this.open().then(
        () => this.#goOn(),
        error => this.#fail(error)
      )
  }

  #goOn(): void {
    if (this.#isOver || this.#isFailing || this.destroyed) return
    this.#readAhead?.enter()
    this.#reader?.resume()
  }

  async #start(): Promise<void> {
    const { open, choices, endAtMark } = this.#work
    const { body, status, headers, isHttp } = partsOf(await open(this.#controller.signal))
    const reader = readerOf(body)
    this.#reader = reader
    this.#isHttp = isHttp
    this.#isWeb = 'getReader' in body
    if (status !== undefined) tellHead(this, { status, headers, at: performance.now() })
    if (this.destroyed) reader.cancel()
    else if (status !== undefined && (status < 200 || status > 299))
      throw await readRefusal(reader, status, headers, soFar => tellReason(this, soFar))
    else if ('readableEnded' in body && body.readableEnded) throw usedSource()
    this.#readers = readersBehind(this)
    for (const sign of stopSignsBehind(this)) sign.onStop(() => this.#stopOnce())
    const endsAtMark = endAtMark ?? !(body instanceof ReadStream)
    if (endsAtMark) this.#endMark = new EndMark()
    const expected = choices()
    for (const behind of this.#readers) {
      if (expected > 0) behind.expect(expected)
      // A stage that reads the events knows ends that the bytes alone do not show.
      if (endsAtMark) behind.onOver(() => this.#endOnce())
    }
    reader.taker = { take: piece => this.#take(piece), over: failure => this.#finish(failure) }
    this.#isOpen = true
  }

  #take(piece: Piece): void {
    if (this.#isOver || this.#isFailing || this.destroyed) return
    try {
      const bytes = typeof piece === 'string' ? this.#bytesOf(piece) : checkBytes(piece)
      const found = this.#endMark?.find(bytes)
      this.#readAhead?.apply(this)
      const isMoreWanted = this.push(found ? bytes.subarray(0, found.length) : bytes)
      // A stage behind may have read the end of the completion within the push.
      if (this.#isOver) return
      if (!isMoreWanted) this.#reader?.pause()
      if (!found) return
      if (found.missing === '' && this.#readers.length > 0 && !this.#mayEnd()) {
        // The type of a terminal may stand in something else that an event holds, such as the request's metadata. The stages
        // behind know, and say so at once where it was one.
        this.#endMark = new EndMark()
        const rest = bytes.subarray(found.length)
        return rest.length > 0 ? this.#take(rest) : undefined
      }
      this.push(found.missing)
      this.#endEarly()
    } catch (error) {
      // Also what a listener throws that the push has called.
      this.#fail(error)
    }
  }

  #finish(failure?: BodyFailure): void {
    if (this.#isOver || this.#isFailing || this.destroyed) return
    if (!failure) return this.#end()
    this.#fail(this.#isHttp ? connectionError(failure.error, this.#isWeb) : failure.error)
  }

  /**
   * A completion that is complete stays so, however its connection ends. If the provider has reported a failure, the reader
   * reports it at the end.
   */
  #mayEnd(): boolean {
    const readers = this.#readers
    return readers.length > 0 && readers.every(({ isComplete, heldFailure }) => isComplete || heldFailure)
  }

  #fail(error: unknown): void {
    // What was asked for is there; how its connection ends is of no interest.
    if (this.#isOver) return
    this.#isFailing = true
    // Asked again when all else was taken: a stage behind takes a last event then that lacks only its blank line.
    const isWhole = () => isLostConnection(error) && this.#mayEnd()
    failInOrder(
      this,
      error,
      () => (isWhole() ? this.#end() : this.#stopOnce()),
      () => isWhole() || isStopped(this)
    )
  }

  /** A string may be cut within a surrogate pair, of which neither half has bytes of its own. */
  #bytesOf(text: string): Uint8Array {
    const whole = this.#half + text
    const last = whole.charCodeAt(whole.length - 1)
    this.#half = last >= 0xd800 && last <= 0xdbff ? whole.slice(-1) : ''
    return Buffer.from(this.#half === '' ? whole : whole.slice(0, -1))
  }

  #endOnce(): void {
    if (!this.#isOver && !this.destroyed) this.#endEarly()
  }

  /** A stage behind wants no more: ends in good order, and lets go of the request. */
  #stopOnce(): void {
    if (this.#isOver || this.destroyed || !isStopped(this)) return
    this.#isOver = true
    this.push(null)
    this.#controller.abort()
    this.#reader?.cancel()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#half !== '') this.push(Buffer.from(this.#half))
    this.push(null)
  }

  /** Ends, lets the server end its response, and lets go of it if it does not. */
  #endEarly(): void {
    this.#end()
    if (this.#reader) letEnd(this.#reader)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stopWaiting?.()
    this.#readAhead?.leave()
    if (!this.#isOver) {
      this.#controller.abort()
      this.#reader?.cancel(error)
    }
    callback(error)
  }
}

function checkBytes(piece: unknown): Uint8Array {
  if (ArrayBuffer.isView(piece)) return piece as Uint8Array
  const message = `the body gives what is neither bytes nor text, but ${show(piece)}: a stream of chunks goes into the pipeline itself, with toChunks() behind it`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

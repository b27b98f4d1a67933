import { ReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { AbortError } from '../abort-error.js'
import { CompletionError } from '../errors.js'
import {
  defaultDeliveryTimeout,
  deliveryTimeout as deliveryTimeoutOf,
  failInOrder
} from '../fail-in-order.js'
import { checkBoolean, checkIndex, checkLimit, checkSignal, settled, show } from '../options.js'
import { type CompletionReader, readersBehind } from '../reader.js'
import type { Source } from '../stage.js'
import { isStopped, stopSignsBehind } from '../stopping.js'
import { type BodyReader, readerOf } from './body.js'
import { EndMark } from './end-mark.js'
import { onAbort } from './on-abort.js'
import { ReadAhead } from './read-ahead.js'
import { connectionReader, isLostConnection } from './read-failure.js'
import { refusal } from './refusal.js'
import { tellHead } from './response-head.js'
import { partsOf, type ResponseLike } from './response-parts.js'

/** The options of `fromResponse`. */
export interface ResponseOptions {
  /** Destroys the source, and with it the connection. */
  signal?: AbortSignal
  /**
   * Whether the source ends at the end mark of the first completion, even if the server holds the connection open after
   * it. Default: true; false for a file, which may be a log of many completions.
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

/** Milliseconds that a server has behind its end mark to end the response, so that the connection can be used again. */
const graceTime = 250

/** How many reads there are after the end mark; a server that sends more than this is not about to end the response. */
const mostLateReads = 16

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
  const controller = new AbortController()
  const readAhead = highWaterMark === undefined ? new ReadAhead() : undefined
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
    if (status !== undefined) tellHead(stream, { status, headers, at: performance.now() })
    if (stream.destroyed) reader.cancel()
    else if (status !== undefined && (status < 200 || status > 299))
      throw await refusal(reader, status, headers)
    readers = readersBehind(stream)
    for (const sign of stopSignsBehind(stream)) sign.onStop(stopOnce)
    const endsAtMark = endAtMark ?? !(body instanceof ReadStream)
    if (endsAtMark) endMark = new EndMark()
    const expected = choices()
    for (const behind of readers) {
      if (expected > 0) behind.expect(expected)
      // A stage that reads the events knows ends that the bytes alone do not show.
      if (endsAtMark) behind.onOver(endOnce)
    }
    return reader
  }

  async function pull(): Promise<void> {
    starting ??= start()
    const body = await starting
    readAhead?.enter()
    while (isWanted && !isOver && !stream.destroyed) {
      const piece = await body.read().catch(failedRead)
      if (stream.destroyed || isOver) return
      if (piece === undefined) return end(body)
      const bytes = typeof piece === 'string' ? bytesOf(piece) : checkBytes(piece)
      const found = endMark?.find(bytes)
      // The push may ask for the next read before it returns; that request must not be lost.
      isWanted = false
      readAhead?.apply(stream)
      if (stream.push(found ? bytes.subarray(0, found.length) : bytes)) isWanted = true
      if (!found) continue
      stream.push(found.missing)
      return end(body)
    }
    isPulling = false
  }

  /**
   * A completion that is complete stays so, however its connection ends. If the provider has reported a failure, the reader
   * reports it at the end.
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

  /** A stage behind wants no more: ends in good order, and lets go of the request. */
  function stopOnce(): void {
    if (isOver || stream.destroyed || !isStopped(stream)) return
    isOver = true
    stream.push(null)
    controller.abort()
    reader?.cancel()
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
      pull().catch(error => {
        // What was asked for is there; how its connection ends is of no interest.
        if (!isOver) failInOrder(stream, error, stopOnce)
      })
    },
    destroy(error) {
      stopWaiting()
      readAhead?.leave()
      if (isOver) return
      controller.abort()
      reader?.cancel(error)
    }
  })
  Object.assign(stream, { [deliveryTimeoutOf]: deliveryTimeout })
  if (signal) stopWaiting = onAbort(signal, () => stream.destroy(new AbortError(undefined, signal.reason)))
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

  constructor(highWaterMark: number | undefined, work: SourceWork) {
    super(highWaterMark === undefined ? {} : { highWaterMark })
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

function checkBytes(piece: unknown): Uint8Array {
  if (ArrayBuffer.isView(piece)) return piece as Uint8Array
  const message = `the body gives what is neither bytes nor text, but ${show(piece)}: a stream of chunks goes into the pipeline itself, with toChunks() behind it`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

/** Lets the server end its response, and lets go of it if it does not. */
export async function finish(reader: BodyReader): Promise<void> {
  const timer = setTimeout(() => reader.cancel(), graceTime).unref()
  try {
    let reads = 0
    while ((await reader.read()) !== undefined && reads < mostLateReads) reads++
    if (reads === mostLateReads) reader.cancel()
  } catch {
    // The whole completion has come; how its connection ends does not matter.
  }
  clearTimeout(timer)
}

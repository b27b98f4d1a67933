import type { Readable, Writable } from 'node:stream'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { CompletionError } from './errors.js'
import { emitHeld, isAskedInVain, isBroken, type Neighbour, type OnItsWay, onItsWay } from './on-its-way.js'
import { isStopped } from './stopping.js'

/** On a stream: how long its failure waits while nothing moves, in milliseconds, where that is not the default. */
export const deliveryTimeout: unique symbol = Symbol.for('completion-streams.deliveryTimeout')

/**
 * How long a failure waits for a reader that takes nothing, in milliseconds. Then the stream fails, and the error says how
 * much was not delivered.
 */
export const defaultDeliveryTimeout = 30_000

/**
 * How long a reader that takes items one by one must have waited for the next, in milliseconds: what it passed on before may
 * still be on its way.
 */
const timeBehindHands = 100

/** Milliseconds between two looks at what does not move, at most. */
const longestPause = 2000
const shortestPause = 8

/** Taken when the module is loaded: a test may put a clock of its own in its place, which does not go on by itself. */
const readClock: () => number = performance.now.bind(performance)

/** A failure that waits for what came before it. */
interface Waiting {
  readonly stream: Readable | Writable
  readonly error: unknown
  readonly timeout: number
  /** What to do instead where nobody behind wants any more. */
  readonly goOn: (() => void) | undefined
  /** Whether that is so. */
  isOver(): boolean
  /** The streams that were asked to emit what they hold. */
  readonly flushed: Set<Neighbour>
  left: number
  looks: number
  wasEmpty: boolean
  isFlushing: boolean
  movedAt: number
  askedAt: number | undefined
  due: number
}

/**
 * Destroys a stream with an error as soon as everything that it emitted has been taken: by its own reader, by
 * the streams it is piped into, and by those behind them.
 *
 * Node's `destroy(error)` drops what is buffered, and `pipeline` then does the same to all the neighbours, so
 * that an error overtakes the text that came before it. Until the error is out, the stream must neither end
 * nor call back for what was written to it, so that no more is.
 *
 * A sink says nothing when its buffer empties below its high water mark, so it is looked at from time to time, and
 * once more when the process has nothing else to do. All must be found empty in two turns of the event loop in a row: a
 * reader that buffers out of sight, as web streams do, passes on in between what it holds. A reader that takes its items
 * by hand, as an async generator does, must have asked in vain for a while. Compressors behind are flushed first, and stages
 * of this library emit what they hold, each when what the one before it emitted has been taken. From then on, the stream must
 * emit nothing: the rest of a line, for example, would be taken for a line.
 *
 * If nothing moves for `defaultDeliveryTimeout`, or the process would exit, the stream fails all the same, and the error
 * says how much was not delivered (`undelivered`).
 *
 * If a stage behind has stopped, as `stopAt` does, nobody misses what comes later: then `goOn` is called instead, and the
 * stream is to end in good order. `isOver` may know of more that makes it so, such as what a stage has emitted that held it.
 */
export function failInOrder(
  stream: Readable | Writable,
  error: unknown,
  goOn?: () => void,
  isOver: () => boolean = () => isStopped(stream as Readable)
): void {
  const start = readClock()
  const waiting: Waiting = {
    stream,
    error,
    timeout: (stream as { [deliveryTimeout]?: number })[deliveryTimeout] ?? defaultDeliveryTimeout,
    goOn,
    isOver,
    flushed: new Set(),
    left: Number.POSITIVE_INFINITY,
    looks: 0,
    wasEmpty: false,
    isFlushing: false,
    movedAt: start,
    askedAt: undefined,
    due: 0
  }
  failures.add(waiting)
  if (failures.size === 1) process.on('beforeExit', tellBeforeExit)
  look(waiting, start)
}

/** All failures that wait, in one set with one timer: with thousands of hung readers, a timer each would take a core. */
const failures = new Set<Waiting>()
let timer: ReturnType<typeof setTimeout> | undefined
let timerDue = Number.POSITIVE_INFINITY

function look(waiting: Waiting, now: number): void {
  if (!failures.has(waiting)) return
  const { stream } = waiting
  if (stream.destroyed || (waiting.goOn && waiting.isOver())) return tell(waiting)
  const way = onItsWay(stream)
  // The first look may be taken within the write that it asks about.
  if (waiting.looks > 0 && way.streams.some(isBroken)) return tell(waiting)
  const { left } = way
  if (left !== waiting.left) waiting.movedAt = now
  waiting.left = left
  const isStill = left === 0 && !waiting.isFlushing
  const isEmpty = isStill && !(waiting.wasEmpty && flushNext(waiting, way))
  if (isEmpty && waiting.wasEmpty && isTaken(waiting, way, now)) return tell(waiting)
  waiting.wasEmpty = isEmpty
  if (now - waiting.movedAt >= waiting.timeout) return tell(waiting)
  waiting.looks++
  if ((isEmpty && way.byHand.length === 0) || waiting.looks < 8)
    setImmediate(() => look(waiting, readClock()))
  else lookLater(waiting, now)
}

/** Whether readers that take items by hand have passed on what they took. */
function isTaken(waiting: Waiting, { byHand }: OnItsWay, now: number): boolean {
  if (byHand.length === 0) return true
  if (!byHand.every(isAskedInVain)) {
    waiting.askedAt = undefined
    return false
  }
  waiting.askedAt ??= now
  return now - waiting.askedAt >= timeBehindHands
}

/** Has the next compressor on the way, or stage of this library, emit what it holds. False when all have. */
function flushNext(waiting: Waiting, { streams }: OnItsWay): boolean {
  const next = streams.find(
    stream => !waiting.flushed.has(stream) && (stream[emitHeld] || isCompressor(stream))
  )
  if (!next) return false
  waiting.flushed.add(next)
  if (next[emitHeld]) {
    next[emitHeld]()
    return true
  }
  waiting.isFlushing = true
  next.flush?.(() => {
    waiting.isFlushing = false
    waiting.movedAt = readClock()
    look(waiting, waiting.movedAt)
  })
  return true
}

/** Streams of zlib, brotli and zstd have both. Other streams may have a `flush` that does something else. */
function isCompressor(stream: Neighbour): boolean {
  return typeof stream.flush === 'function' && 'bytesWritten' in stream
}

/** The longer nothing has moved, the longer it takes until the next look. */
function lookLater(waiting: Waiting, now: number): void {
  const still = now - waiting.movedAt
  const pause = Math.min(Math.max(still / 8, shortestPause), longestPause, waiting.timeout)
  waiting.due = now + pause
  if (waiting.due >= timerDue) return
  clearTimeout(timer)
  timerDue = waiting.due
  // A failure that cannot be delivered does not keep the process alive.
  timer = setTimeout(lookAtDue, pause).unref()
}

function lookAtDue(): void {
  const now = readClock()
  timer = undefined
  timerDue = Number.POSITIVE_INFINITY
  let next = Number.POSITIVE_INFINITY
  for (const waiting of failures) {
    // Streams that are due soon are looked at now, which saves timers.
    if (waiting.due > 0 && waiting.due <= now + shortestPause) {
      waiting.due = 0
      look(waiting, now)
    } else if (waiting.due > 0) next = Math.min(next, waiting.due)
  }
  if (next >= timerDue) return
  clearTimeout(timer)
  timerDue = next
  timer = setTimeout(lookAtDue, Math.max(next - now, 1)).unref()
}

/** The process has nothing else to do: what has not moved since the last such moment never will. */
function tellBeforeExit(): void {
  for (const waiting of failures) {
    const { left } = waiting
    const { size } = waiting.flushed
    look(waiting, readClock())
    if (!failures.has(waiting)) continue
    if (waiting.left === left && waiting.flushed.size === size) tell(waiting)
    // Keeps the process alive for one more turn; then this runs again.
    else setImmediate(() => {})
  }
}

function tell(waiting: Waiting): void {
  const { stream, error, left, goOn, isOver } = waiting
  failures.delete(waiting)
  if (failures.size === 0) process.off('beforeExit', tellBeforeExit)
  if (stream.destroyed) return
  if (goOn && isOver()) return goOn()
  if (
    left > 0 &&
    left < Number.POSITIVE_INFINITY &&
    error instanceof CompletionError &&
    Object.isExtensible(error)
  )
    Object.defineProperty(error, 'undelivered', { value: left, enumerable: true })
  stream.destroy(error as Error)
}

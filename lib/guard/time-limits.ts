import { type Readable, Transform } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { longestTimer } from '../in-time.js'
import { checkLimit, settled } from '../options.js'
import { streamsBehind } from '../reader.js'
import { type Stage, usedOnce } from '../stage.js'

/** All in milliseconds; a limit that is not given does not hold. */
export interface TimeLimits {
  /** How long to wait for the first item, in milliseconds. Default: as `idle`. */
  first?: number
  /** How long to wait for each item after the one before it, and for the first one unless `first` is given, in milliseconds. Default: no limit. */
  idle?: number
  /** How long the whole stream may take, in milliseconds; time that the sink takes does not count. Default: no limit. */
  total?: number
}

/** At least one limit. */
export type SomeTimeLimit = TimeLimits &
  (
    | Pick<Required<TimeLimits>, 'first'>
    | Pick<Required<TimeLimits>, 'idle'>
    | Pick<Required<TimeLimits>, 'total'>
  )

/** Registered, so that a source and a stage from two copies of the library find each other. */
const reason = Symbol.for('completion-streams.stallReason')

/** A stage that limits time, as the source in front of it sees it. */
interface LimitingStage {
  [reason]?: (() => Error) | undefined
}

/** Says of the stages behind a source what they are to fail with where a limit passes, when the source knows better than they. */
export function tellReason(source: Readable, error: () => Error): void {
  for (const stage of streamsBehind(source)) if (reason in stage) (stage as LimitingStage)[reason] = error
}

/** Milliseconds behind a limit. A process that was busy finds its timers due before it gets to read what has arrived. */
const graceTime = 10

/**
 * Passes everything on unchanged, and fails with `CS_ERR_STALLED` when the source is too slow. Before `toChunks`
 * it watches for life, since bytes may be keep-alive comments; behind it, for progress. At least one limit is
 * to be given. Without `first`, `idle` also limits the wait for the first item, which begins with the request.
 *
 * If a limit passes while `fromResponse` reads the body of a refused request, the stage fails with what that is refused
 * with (`CS_ERR_PROVIDER`).
 *
 * Only the time spent waiting for the source counts: while the sink is slow, the clock stands still. It starts when the
 * stage is first read. Its timer does not keep the process alive.
 *
 * @example
 * await pipeline(request, toChunks(), timeLimits({ first: 30_000, idle: 10_000 }), toText(), createWriteStream('answer.txt'))
 */
export function timeLimits<Item = unknown>(limits: SomeTimeLimit): Stage<Item, Item> {
  const { first, idle, total } = settledTimeLimits('timeLimits', limits)

  let items = 0
  let waited = 0
  let waitingSince: number | undefined
  let timer: NodeJS.Timeout | undefined
  let timerDue = Number.POSITIVE_INFINITY
  let isStalled = false

  function startWaiting(): void {
    if (waitingSince !== undefined || isStalled) return
    waitingSince = performance.now()
    look()
  }

  function stopWaiting(): void {
    if (waitingSince !== undefined) waited += performance.now() - waitingSince
    waitingSince = undefined
  }

  /** Fails if a limit has passed; sets the timer for the next one that may. */
  function look(): void {
    if (waitingSince === undefined) return
    const now = performance.now()
    const gap = items === 0 ? (first ?? idle) : idle
    const gapDue = waitingSince + (gap ?? Number.POSITIVE_INFINITY)
    const totalDue = waitingSince - waited + (total ?? Number.POSITIVE_INFINITY)
    const due = Math.min(gapDue, totalDue)
    // The whole time may pass while items come, each of them soon.
    if (now >= totalDue + graceTime) return stall('total')
    if (now >= due)
      return confirm(due === totalDue ? 'total' : items === 0 && first !== undefined ? 'first' : 'idle')
    // A timer that fires too early is set again. A new timer for every item would cost more than all the rest.
    if (due === Number.POSITIVE_INFINITY || timerDue <= due) return
    clearTimeout(timer)
    timerDue = due
    timer = setTimeout(onTimer, Math.min(Math.ceil(due - now), longestTimer)).unref()
  }

  function onTimer(): void {
    timerDue = Number.POSITIVE_INFINITY
    look()
  }

  /**
   * Fails, unless an item comes at the last moment. Where this process itself is late, what has come may not have been read
   * yet: then it looks again, for as long once more as the limit is.
   */
  function confirm(timeLimit: 'first' | 'idle' | 'total', start = performance.now()): void {
    const itemsBefore = items
    const asked = performance.now()
    setTimeout(() => {
      if (waitingSince === undefined || items !== itemsBefore) return
      const now = performance.now()
      const isLate = now - asked > 2 * graceTime
      if (isLate && now - start < limitOf(timeLimit)) confirm(timeLimit, start)
      else stall(timeLimit)
    }, graceTime).unref()
  }

  function limitOf(timeLimit: 'first' | 'idle' | 'total'): number {
    return { first, idle, total }[timeLimit] as number
  }

  function stall(timeLimit: 'first' | 'idle' | 'total'): void {
    isStalled = true
    stopWaiting()
    const limit = limitOf(timeLimit)
    const known = (stream as LimitingStage)[reason]?.()
    failInOrder(stream, known ?? stalledError({ timeLimit, limit, elapsed: Math.round(waited), items }))
  }

  const stream = new Transform({
    objectMode: true,
    read(size) {
      startWaiting()
      Transform.prototype._read.call(this, size)
    },
    transform(item, _encoding, callback) {
      // An item after the failure is too late. Its callback is not called, so that no more is written.
      if (isStalled) return
      stopWaiting()
      items++
      callback(null, item)
    },
    flush(callback) {
      stopWaiting()
      callback()
    },
    destroy(error, callback) {
      isStalled = true
      clearTimeout(timer)
      callback(error)
    }
  })
  return usedOnce('timeLimits', Object.assign(stream, { [reason]: undefined }))
}

/** Throws unless at least one limit is given, of a known name, and each is a number over zero. */
export function settledTimeLimits(name: string, limits: TimeLimits): TimeLimits {
  const { first, idle, total } = settled<TimeLimits>(name, limits, {
    first: undefined,
    idle: undefined,
    total: undefined
  })
  if (first !== undefined) checkLimit('first', first)
  if (idle !== undefined) checkLimit('idle', idle)
  if (total !== undefined) checkLimit('total', total)
  if ((first ?? idle ?? total) === undefined)
    throw new CompletionError(
      'CS_ERR_INVALID_OPTION',
      'timeLimits has no limit: give one or more of first, idle and total, in milliseconds'
    )
  return { first, idle, total }
}

/** The facts of a stall: which limit passed, how long it was (milliseconds), and how many items had come in what time. */
interface Stall {
  timeLimit: keyof TimeLimits
  limit: number
  elapsed: number
  items: number
}

export function stalledError(stall: Stall): CompletionError {
  const { timeLimit, limit, elapsed, items } = stall
  const message = `the source kept its reader waiting for longer than ${limit} ms (${timeLimit}): ${items} items came in ${elapsed} ms`
  return new CompletionError('CS_ERR_STALLED', message, { ...stall })
}

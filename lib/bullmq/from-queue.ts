import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import type { RowRecord } from '../batch/row.js'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { checkLimit, checkSignal, settled } from '../options.js'
import { destroyOnAbort } from '../source/on-abort.js'
import type { Source } from '../stage.js'
import { beginIdOf, beginJob, endJob, type JobData } from './job.js'
import { checkQueue, checkRun, type JobLike, type QueueLike } from './queue-like.js'
import { answered, hasUnfinished, jobsAtOnce } from './unfinished.js'

/** The options of `fromQueue`. */
export interface FromQueueOptions {
  /** What the rows belong to, as `toQueue` was told. */
  run: string
  /** How long Redis may be away, in milliseconds; then the source fails with what BullMQ reports. Default: 60000. */
  maxOutage?: number
  /** Destroys the source. */
  signal?: AbortSignal | undefined
}

/** The source that `fromQueue` returns. */
export interface QueueSource<Row> extends Source<RowRecord<Row>> {
  /** How many of the rows so far a worker had begun before, and so may have been asked, and paid for, twice. */
  readonly repeated: number
}

/** The pause between two looks, where nothing new was found, in milliseconds. */
const lookPause = 200

/** So many times as long as the question for unfinished jobs takes, it is not asked again: it may read the jobs of other runs. */
const restPerQuestion = 10

/**
 * Emits the records of a run as its rows are done, by whatever workers, each key once, and ends with the last one. It may be
 * begun before, while and after they work, and again: it then emits all from the first. Where a `toQueue` that was killed had
 * added rows which the next one did not have, their records come too.
 *
 * A job that BullMQ gave up for good is a record with that error. What it has emitted, it remembers by the ids of the jobs.
 * Fails, after all records that there are, with `CS_ERR_JOURNAL` when rows of the run are gone from the queue, since somebody
 * has removed their jobs, or Redis has lost them, so that no worker can do them any more; with what BullMQ reports, when Redis
 * is away for longer than `maxOutage`.
 *
 * @example
 * await pipeline(Readable.from([{ sku: 'a1' }]), toQueue(queue, { run: 'tuesday' }))
 * const worker = workOn('rows', client, () => params, { connection })
 * await pipeline(fromQueue(queue, { run: 'tuesday' }), toNDJSON(), createWriteStream('answers.ndjson'))
 * await worker.close()
 */
export function fromQueue<Row = unknown>(queue: QueueLike, options: FromQueueOptions): QueueSource<Row> {
  checkQueue(queue)
  const { run, maxOutage, signal } = settled('fromQueue', options, {
    run: '',
    maxOutage: 60_000,
    signal: undefined as AbortSignal | undefined
  })
  checkRun(run)
  checkLimit('maxOutage', maxOutage)
  if (signal !== undefined) checkSignal(signal)
  /** The jobs that were emitted. */
  const seen = new Set<string>()
  /**
   * Of the jobs in each state, in blocks: the id of the last one of each block that has been read. They are sorted by the time
   * at which they were done, and the clocks of workers differ, so one may come before others that were seen: then all behind
   * it stand one place further on.
   */
  const blocks = { completed: [] as (string | undefined)[], failed: [] as (string | undefined)[] }
  let rows: number | undefined
  /** Whether the run may have more rows than those. */
  let isRefilled = false
  let hasBegun = false
  /** Whether all that there was to do was done before the last look. */
  let isAllDone = false
  let askAgainAt = 0
  let isOver = false
  let isReading = false
  let isWanted = false
  let failingSince: number | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Emits what has come since the last look. False where nothing has. */
  async function look(state: 'completed' | 'failed'): Promise<boolean> {
    const lasts = blocks[state]
    const start = lasts.length * jobsAtOnce
    const reply = queue.getJobs([state], Math.max(start - 1, 0), start + jobsAtOnce - 1, true)
    const jobs = (await answered(reply)) as (JobLike | undefined)[]
    // Something has come before: one block back, until it is found.
    if (start > 0 && jobs.shift()?.id !== lasts.at(-1)) {
      lasts.pop()
      return true
    }
    const before = seen.size
    for (const job of jobs) if (job) take(job)
    const isFull = jobs.length === jobsAtOnce
    if (isFull) lasts.push(jobs.at(-1)?.id)
    return isFull || seen.size > before
  }

  function take(job: JobLike): void {
    const { id = '', name } = job
    const data = job.data as JobData<Row>
    if (data.run !== run || seen.has(id)) return
    if (name === beginJob) hasBegun = true
    if (name === endJob && 'rows' in data) {
      rows = data.rows
      // A queue that cannot be asked what is left is done when that many rows are.
      isRefilled = data.isRefilled === true && queue.getJobCounts !== undefined
    }
    if (!('key' in data)) return
    seen.add(id)
    if ((job.attemptsStarted ?? 1) > 1) source.repeated++
    const { key, row } = data
    const error = { name: 'Error', message: job.failedReason ?? 'the job failed' }
    // What a worker of this library returns is a record.
    const record = job.returnvalue as RowRecord<Row> | null
    source.push(record ?? { key, row, attempts: job.attemptsStarted ?? 1, elapsed: 0, error })
  }

  /** Whether no worker will do any more of the run: all is done, or gone. */
  async function isNothingLeft(): Promise<boolean> {
    const start = performance.now()
    if (start < askAgainAt) return false
    // While rows are still added, workers may be done with those that there are.
    const mayBeOver = rows !== undefined || (hasBegun && (await isBeginningGone()))
    const isLeft = !mayBeOver || (await hasUnfinished(queue, run))
    const now = performance.now()
    askAgainAt = now + restPerQuestion * (now - start)
    return !isLeft
  }

  async function isBeginningGone(): Promise<boolean> {
    const state = queue.getJobState?.(beginIdOf(run))
    return state !== undefined && (await answered(state)) === 'unknown'
  }

  /** Reads until something was emitted, or all has been: the stream does not ask again before. */
  async function read(): Promise<void> {
    const before = seen.size
    while (seen.size === before && !source.destroyed) {
      const found = [await look('completed'), await look('failed')].some(Boolean)
      if (source.destroyed) return
      failingSince = undefined
      const hasAll = rows !== undefined && seen.size >= rows
      if (hasAll && (!isRefilled || (isAllDone && !found))) return end()
      if (isAllDone && !found) return fail(rowsGone(rows, seen.size))
      isAllDone = !found && (await isNothingLeft())
      if (found) continue
      await new Promise<void>(resolve => {
        timer = setTimeout(resolve, lookPause)
      })
    }
  }

  function end(): void {
    isOver = true
    source.push(null)
  }

  function fail(error: unknown): void {
    isOver = true
    failInOrder(source, error)
  }

  function start(): void {
    // The stream asks once. What it asks during a look whose records it took at once is due when that look is over.
    isWanted = isReading
    if (isReading || isOver) return
    isReading = true
    read().then(
      () => {
        isReading = false
        if (isWanted) start()
      },
      error => {
        isReading = false
        // A Redis that comes back may have jobs to do that were done.
        isAllDone = false
        failingSince ??= Date.now()
        if (source.destroyed) return
        if (Date.now() - failingSince >= maxOutage) fail(error)
        else timer = setTimeout(start, lookPause)
      }
    )
  }

  const source = Object.assign(
    new Readable({
      objectMode: true,
      read: start,
      destroy(error, callback) {
        stopWaiting()
        clearTimeout(timer)
        callback(error)
      }
    }),
    { repeated: 0 }
  ) as Readable & { repeated: number }
  const stopWaiting = destroyOnAbort(source, signal)
  return source as QueueSource<Row> & { repeated: number }
}

function rowsGone(rows: number | undefined, seen: number): CompletionError {
  const which = rows === undefined ? 'rows' : `${rows - seen} of ${rows} rows`
  const message = `${which} of the run are gone from the queue: their jobs were removed, or Redis has lost them`
  return new CompletionError('CS_ERR_JOURNAL', message)
}

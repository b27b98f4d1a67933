import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import type { RowRecord } from '../batch/row.js'
import { failInOrder } from '../fail-in-order.js'
import { inTime } from '../in-time.js'
import { checkLimit, checkSignal, settled } from '../options.js'
import { destroyOnAbort } from '../source/on-abort.js'
import type { Source } from '../stage.js'
import { endJob, type JobData } from './job.js'
import { checkQueue, checkRun, type JobLike, type QueueLike } from './queue-like.js'

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

/** So many jobs are read at once. */
const jobsAtOnce = 100

/** A look whose answer takes longer than this, in milliseconds, is taken again: it may have been lost with a connection. */
const longestLook = 2000

/** The pause between two looks, where nothing new was found, in milliseconds. */
const lookPause = 200

/**
 * Emits the records of a run as its rows are done, by whatever workers, each key once, and ends with the last one. It may be
 * begun before, while and after they work, and again: it then emits all from the first.
 *
 * A job that BullMQ gave up for good is a record with that error. What it has emitted, it remembers by the ids of the jobs.
 * Fails with what BullMQ reports, when Redis is away for longer than `maxOutage`.
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
  let isReading = false
  let isWanted = false
  let failingSince: number | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Emits what has come since the last look. False where nothing has. */
  async function look(state: 'completed' | 'failed'): Promise<boolean> {
    const lasts = blocks[state]
    const start = lasts.length * jobsAtOnce
    const reply = queue.getJobs([state], Math.max(start - 1, 0), start + jobsAtOnce - 1, true)
    // Those that are not there any more come as undefined.
    const jobs = (await inTime(reply, longestLook, () => new Error('Redis does not answer'))) as (
      | JobLike
      | undefined
    )[]
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
    if (name === endJob && 'rows' in data) rows = data.rows
    if (!('key' in data)) return
    seen.add(id)
    if ((job.attemptsStarted ?? 1) > 1) source.repeated++
    const { key, row } = data
    const error = { name: 'Error', message: job.failedReason ?? 'the job failed' }
    // What a worker of this library returns is a record.
    const record = job.returnvalue as RowRecord<Row> | null
    source.push(record ?? { key, row, attempts: job.attemptsStarted ?? 1, elapsed: 0, error })
  }

  /** Reads until something was emitted, or all has been: the stream does not ask again before. */
  async function read(): Promise<void> {
    const before = seen.size
    while (seen.size === before && !source.destroyed) {
      const found = [await look('completed'), await look('failed')].some(Boolean)
      if (source.destroyed) return
      failingSince = undefined
      if (rows !== undefined && seen.size >= rows) return void source.push(null)
      if (found) continue
      await new Promise<void>(resolve => {
        timer = setTimeout(resolve, lookPause)
      })
    }
  }

  function start(): void {
    // The stream asks once. What it asks during a look whose records it took at once is due when that look is over.
    isWanted = isReading
    if (isReading) return
    isReading = true
    read().then(
      () => {
        isReading = false
        if (isWanted) start()
      },
      error => {
        isReading = false
        failingSince ??= Date.now()
        if (source.destroyed) return
        if (Date.now() - failingSince >= maxOutage) failInOrder(source, error)
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

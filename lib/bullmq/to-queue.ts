import { Writable } from 'node:stream'
import { rowOf } from '../batch/row-options.js'
import { CompletionError } from '../errors.js'
import { inTime, unanswered } from '../in-time.js'
import { checkFunction, checkLimit, invalid, settled } from '../options.js'
import {
  beginIdOf,
  beginJob,
  type EndData,
  endIdOf,
  endJob,
  jobIdOf,
  keptOptions,
  type RowData,
  rowJob
} from './job.js'
import { checkQueue, checkRun, type QueueLike } from './queue-like.js'

/** The options of `toQueue`. */
export interface ToQueueOptions<Row> {
  /** What the rows belong to: a name that no other batch in the queue has. */
  run: string
  /** By what a row is known; each key may come once. Default: its place in the input, from 0. */
  key?: (row: Row, index: number) => string
  /** How long Redis may be away, in milliseconds. Default: 60000. */
  maxOutage?: number
}

/** So many rows are added in one command. */
const rowsAtOnce = 200

/**
 * A sink that adds rows to a queue of BullMQ, as jobs that are known by their keys: a row that is there already is not added
 * again, so the same program can run again after it was killed. Before the first row and behind the last one it adds a mark,
 * by which `fromQueue` knows the end.
 *
 * Fails with `CS_ERR_JOURNAL` for a key that comes twice, for a row that a run did not have whose mark is there already,
 * with `CS_ERR_STALLED` when Redis is away for longer than `maxOutage`, and with what BullMQ reports.
 *
 * @example
 * await pipeline(Readable.from([{ sku: 'a1' }, { sku: 'b2' }]), toQueue(queue, { run: 'monday', key: (row: { sku: string }) => row.sku }))
 */
export function toQueue<Row>(queue: QueueLike, options: ToQueueOptions<Row>): Writable {
  checkQueue(queue)
  const {
    run,
    key: keyOf,
    maxOutage
  } = settled<Required<ToQueueOptions<Row>>>('toQueue', options, {
    run: '',
    key: (_row, index) => String(index),
    maxOutage: 60_000
  })
  checkRun(run)
  checkLimit('maxOutage', maxOutage)
  checkFunction('key', keyOf)
  const keys = new Set<string>()
  let index = 0

  function jobOf(row: Row): Job<RowData<Row>> {
    const key = keyOf(row, index)
    if (typeof key !== 'string') throw invalid('key', key, 'a function that gives a text for each row')
    if (keys.has(key)) throw new CompletionError('CS_ERR_JOURNAL', 'two rows have the same key', { index })
    keys.add(key)
    const data = { run, key, index: index++, row }
    return { name: rowJob, data, opts: { ...keptOptions, jobId: jobIdOf(run, key) } }
  }

  const isThere = async (id: string) => (await queue.getJobState?.(id)) !== 'unknown'
  let before: Promise<Before> | undefined

  async function look(): Promise<Before> {
    if (!queue.getJobState) return { isBegun: false, isComplete: false }
    const [isBegun, isComplete] = await Promise.all([isThere(beginIdOf(run)), isThere(endIdOf(run))])
    return { isBegun, isComplete }
  }

  async function addEach(rows: Row[]): Promise<void> {
    const isFirst = before === undefined
    before ??= look()
    const { isComplete } = await before
    for (let at = 0; at < rows.length; at += rowsAtOnce) {
      const jobs = rows.slice(at, at + rowsAtOnce).map(jobOf)
      // Readers of the run end at its mark: they would never see the record of one more row.
      if (isComplete) {
        const there = await Promise.all(jobs.map(({ opts }) => isThere(opts.jobId)))
        const added = jobs[there.indexOf(false)]
        if (added) throw addedRow(added.data.key, added.data.index)
      }
      await queue.addBulk(isFirst && at === 0 ? [beginning(), ...jobs] : jobs)
    }
  }

  function beginning(): Job<{ run: string }> {
    return { name: beginJob, data: { run }, opts: { ...keptOptions, jobId: beginIdOf(run) } }
  }

  async function addEnd(): Promise<void> {
    before ??= look()
    const { isBegun } = await before
    const data: EndData = { run, rows: index, ...(isBegun && { isRefilled: true }) }
    await queue.addBulk([{ name: endJob, data, opts: { ...keptOptions, jobId: endIdOf(run) } }])
  }

  /** BullMQ waits for Redis without end. What it adds late does no harm, since each row is added once. */
  function settle(work: Promise<unknown>, callback: (error?: Error | null) => void): void {
    inTime(work, maxOutage, () => unanswered(maxOutage)).then(() => callback(), callback)
  }

  return new Writable({
    objectMode: true,
    highWaterMark: rowsAtOnce,
    write(row: Row, _encoding, callback) {
      settle(addEach([row]), callback)
    },
    writev(writes, callback) {
      settle(addEach(writes.map(({ chunk }) => chunk as Row)), callback)
    },
    final(callback) {
      settle(addEnd(), callback)
    }
  })
}

/** What there was of the run before. */
interface Before {
  /** Whether a sink has added rows. It may have been killed, and its rows may be others than those of this one. */
  readonly isBegun: boolean
  /** Whether all rows are there. */
  readonly isComplete: boolean
}

/** A job as BullMQ is given it. */
interface Job<Data> {
  name: string
  data: Data
  opts: { jobId: string }
}

function addedRow(key: string, index: number): CompletionError {
  const message = `the run has all of its rows, and ${rowOf(key)} is not one of them: give the new rows another run`
  return new CompletionError('CS_ERR_JOURNAL', message, { index })
}

import { clearInterval, setInterval } from 'node:timers'
import type { RedisClient } from 'bullmq'
import { RateLimiter } from '../batch/rate-limits.js'
import { askRow, type RowRecord } from '../batch/row.js'
import {
  checkAsked,
  checkRowOptions,
  type RowOptions,
  rowDefaults,
  type SettledRowOptions
} from '../batch/row-options.js'
import { AbortError } from '../failure/abort-error.js'
import { checkLimit, checkSignal, invalid, settled } from '../options.js'
import { onAbort } from '../source/on-abort.js'
import type { CompletionClient, CompletionParams } from '../source/request.js'
import { endJob, type JobData } from './job.js'

/** The options of `workOn`: those of `completeEach` that concern a row, and these. */
export interface WorkOptions<Row> extends RowOptions<Row> {
  /** Where Redis is, as BullMQ's own workers are told. */
  connection: object
  /** What BullMQ's keys begin with. Default: BullMQ's own. */
  prefix?: string | undefined
  /** How long a worker without a sign of life has a row, in milliseconds; then another one asks for it. Default: 30000. */
  lease?: number
  /** Ends the worker: the rows that it has go back into the queue. */
  signal?: AbortSignal | undefined
}

/** A worker that runs. */
export interface BatchWorker {
  /**
   * Settles when the worker has ended. Rejects with what every row would fail with (a key that is refused, an address or a
   * model that does not exist, a balance that is used up), and with `CS_ERR_INVALID_OPTION` where `paramsOf` throws, with its
   * error as `cause`, or gives no parameters, `estimate` no number or `through` no streams; the row that met it is back in
   * the queue.
   */
  readonly ended: Promise<void>
  /** Takes no more rows, finishes those that it has, and ends. */
  close(): Promise<void>
}

/** How often a worker looks with how many others it shares the limits, in milliseconds. */
const sharePause = 1000

/** A row that workers have died with may be begun again that often: what kills them is mostly not the row. */
const mostStalls = 1000

/**
 * A worker for the rows that `toQueue` adds: asks for a completion of each, as `completeEach` does, with the same `paramsOf`,
 * options and records. Any number of them, in any number of processes, share a queue: `limits` hold for all together, and each
 * uses its part.
 *
 * The record is kept in the job, in one step with its end, so each key has one record, whatever dies. A row whose worker
 * died is asked again when its `lease` has lapsed. A failure that every row would share ends the worker, and loses no row.
 *
 * @example
 * const worker = workOn('rows', client, (row: { sku: string }) => ({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: row.sku }] }), { connection })
 * await worker.close()
 */
export function workOn<Row>(
  queueName: string,
  client: CompletionClient,
  paramsOf: (row: Row) => CompletionParams | PromiseLike<CompletionParams>,
  given: WorkOptions<Row>
): BatchWorker {
  if (typeof queueName !== 'string' || queueName === '')
    throw invalid('queueName', queueName, 'the name of a queue')
  checkAsked(client, paramsOf)
  const options = settled<Given<Row>>('workOn', given, {
    ...rowDefaults,
    connection: undefined,
    prefix: undefined,
    lease: 30_000,
    signal: undefined
  })
  checkRowOptions('workOn', options)
  checkLimit('lease', options.lease)
  if (options.signal !== undefined) checkSignal(options.signal)
  const { connection } = options
  if (typeof connection !== 'object' || connection === null)
    throw invalid('connection', connection, 'where Redis is, as BullMQ has it: { host, port }')
  const closing = new AbortController()
  const settings = { ...options, connection, client, paramsOf }
  const ended = run(queueName, settings, closing.signal)
  // Who does not await it is told by the rows that stay where they are.
  ended.catch(() => {})
  return {
    ended,
    async close() {
      closing.abort()
      await ended
    }
  }
}

type Given<Row> = SettledRowOptions<Row> &
  Pick<WorkOptions<Row>, 'prefix' | 'signal'> & { connection: object | undefined; lease: number }

interface Settings<Row> extends Given<Row> {
  connection: object
  client: CompletionClient
  paramsOf(row: Row): CompletionParams | PromiseLike<CompletionParams>
}

async function run<Row>(name: string, settings: Settings<Row>, closing: AbortSignal): Promise<void> {
  // Only who works needs the package; a project that has another copy of it may still pass its queues.
  const { Queue, WaitingError, Worker } = await import('bullmq')
  const { connection, prefix, concurrency, lease, signal } = settings
  const limiter = new RateLimiter(settings.limits)
  const aborting = new AbortController()
  let failure: { error: unknown } | undefined
  let stop = () => {}
  const stopped = new Promise<void>(resolve => {
    stop = resolve
  })
  const shared = { connection: connection as never, ...(prefix !== undefined && { prefix }) }

  const worker = new Worker<JobData<Row>, RowRecord<Row> | JobData<Row>>(
    name,
    async (job, token) => {
      const { data } = job
      if (job.name === endJob || !('key' in data)) return data
      try {
        return (await askRow(data.key, data.row, settings, limiter, aborting.signal)).record
      } catch (error) {
        failure ??= { error }
        aborting.abort()
        stop()
        // Nobody has the row any more: another worker may.
        await job.moveToWait(token)
        throw new WaitingError()
      }
    },
    {
      ...shared,
      concurrency,
      autorun: false,
      lockDuration: lease,
      stalledInterval: Math.ceil(lease / 2),
      maxStalledCount: mostStalls
    }
  )
  const queue = new Queue(name, shared)
  // BullMQ connects again by itself, and tells of each failure here.
  worker.on('error', () => {})
  queue.on('error', () => {})
  const share = async () => limiter.shareAmong(Math.max(await queue.getWorkersCount(), 1))
  const sharing = setInterval(() => void share().catch(() => {}), sharePause)
  sharing.unref()
  const stopWaiting = [
    onAbort(closing, stop),
    ...(signal
      ? [
          onAbort(signal, () => {
            failure ??= { error: new AbortError(undefined, signal.reason) }
            aborting.abort()
            stop()
          })
        ]
      : [])
  ]
  /** The connection over which the worker waits for rows, once it is there. */
  let waiting: RedisClient | undefined
  const begin = async () => {
    await worker.waitUntilReady()
    waiting = await worker.getBackend().blockingClient
    await share()
  }
  try {
    await Promise.race([begin(), stopped])
    if (!closing.aborted && !failure) worker.run().catch(stop)
    await stopped
  } finally {
    for (const leave of stopWaiting) leave()
    clearInterval(sharing)
    if (waiting) await whileLost(waiting)
    await worker.close()
    await queue.close()
  }
  if (failure) throw failure.error
}

/**
 * Waits while a lost connection is not being opened again: BullMQ waits for the end of the one that it closes, of which
 * ioredis does not tell while there is nothing open.
 */
async function whileLost(client: RedisClient): Promise<void> {
  if (client.status !== 'reconnecting') return
  await new Promise<void>(resolve => {
    for (const name of ['connecting', 'end']) client.once(name, () => resolve())
  })
}

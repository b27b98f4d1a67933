import { settled } from '../options.js'
import { type Command, commandOf, Outage, type RedisClient } from './connection.js'
import { endingFields, Keys, lastId, type RawEntry } from './log.js'
import { checkPrefix, defaultPrefix } from './prefix.js'
import { lastEntry, tailOf, type Waiter } from './tail.js'

/** The options of `stop`. */
export interface StopOptions {
  /** What the names of the keys in Redis begin with. Default: `completion-streams:`. */
  prefix?: string
}

/** How many stops are remembered, for producers whose connection was away for a moment. */
const mostStops = '1000'

/** How long Redis may be away, in milliseconds. */
const longestOutage = 10_000

/**
 * Stops an answer that is being published, from any process: its producer's pipeline fails with `CS_ERR_STOPPED`, which
 * aborts the request, and so does each reader's, behind what had arrived. Resolves with whether it was this call that ended
 * it: false where the answer had ended, or nobody has begun it.
 *
 * Rejects with what the client reports.
 *
 * @example
 * await stop(redis, 'answer-1')
 */
export async function stop(redis: RedisClient, id: string, options?: StopOptions): Promise<boolean> {
  const { prefix } = settled('stop', options, { prefix: defaultPrefix })
  checkPrefix(prefix)
  const command = commandOf(redis)
  const keys = new Keys(prefix, id)
  const outage = new Outage(longestOutage)
  const isStopped = await outage.bridge(() => close(command, keys))
  // The log is what counts. This only wakes its producer, which else finds out with its next write.
  if (isStopped)
    await outage.bridge(() => command('XADD', Keys.stops(prefix), 'MAXLEN', '~', mostStops, '*', 'id', id))
  return isStopped
}

async function close(command: Command, keys: Keys): Promise<boolean> {
  try {
    return (await command('XADD', keys.log, 'NOMKSTREAM', lastId, ...endingFields('stopped'))) !== null
  } catch (error) {
    if ((await lastEntry(command, keys.log))?.id === lastId) return false
    throw error
  }
}

/** Waits in the stream of stops for all producers of a process. */
class Stops implements Waiter {
  readonly key: string
  last = '0-0'
  readonly #producers = new Map<string, Set<() => void>>()
  readonly #redis: RedisClient

  constructor(redis: RedisClient, key: string) {
    this.#redis = redis
    this.key = key
  }

  add(id: string, onStop: () => void): () => void {
    if (this.#producers.size === 0) tailOf(this.#redis).add(this)
    const callbacks = this.#producers.get(id) ?? new Set()
    this.#producers.set(id, callbacks.add(onStop))
    return () => {
      callbacks.delete(onStop)
      if (callbacks.size === 0) this.#producers.delete(id)
      if (this.#producers.size === 0) tailOf(this.#redis).remove(this)
    }
  }

  take(entries: readonly RawEntry[]): void {
    for (const { id, fields } of entries) {
      this.last = id
      for (const onStop of this.#producers.get(fields.id ?? '') ?? []) onStop()
    }
  }

  // A producer also looks at its log whenever it renews its lease, and that tells it of the failures of Redis.
  onOutage(): void {}
  onReturn(): void {}
  fail(): void {}
}

const allStops = new WeakMap<RedisClient, Map<string, Stops>>()

/** Has a function called when an answer may have been stopped. Returns what takes that back. */
export function onStopOf(redis: RedisClient, prefix: string, id: string, onStop: () => void): () => void {
  const ofClient = allStops.get(redis) ?? new Map<string, Stops>()
  allStops.set(redis, ofClient)
  const stops = ofClient.get(prefix) ?? new Stops(redis, Keys.stops(prefix))
  ofClient.set(prefix, stops)
  return stops.add(id, onStop)
}

import { clearInterval, setImmediate, setInterval } from 'node:timers'
import { inTime } from '../in-time.js'
import {
  type Command,
  type Connection,
  commandOf,
  connectLike,
  isReply,
  mayPass,
  pause,
  type RedisClient
} from './connection.js'
import { abandoned, endingFields, entriesOf, lastId, type RawEntry, silent, streamsOf } from './log.js'

/** Who waits for the next entries of a stream. */
export interface Waiter {
  /** The stream. */
  readonly key: string
  /** The id of the last entry that it has. */
  last: string
  /** Where the lease of the log's producer stands, and for how long it holds, in milliseconds; undefined while no log has begun. */
  readonly lease?: { readonly key: string; readonly duration: number } | undefined
  /** Takes entries, of which it may have some already. */
  take(entries: readonly RawEntry[]): void
  /** Told when Redis cannot be read, and of the error, unless it just does not answer; again and again until it can. */
  onOutage(error: unknown): void
  /** Told when Redis can be read again. */
  onReturn(): void
  /** Takes what ends the log without an entry. */
  fail(error: Error): void
}

/** How long a read waits in Redis, in milliseconds. Between two, it is asked whether the leases of silent producers hold. */
const longestBlock = 400

/**
 * The pause between two questions for leases, in milliseconds. Shorter than a read waits: otherwise a read that is over a moment
 * early puts the question off by a whole read.
 */
const leasePause = longestBlock / 2

/** How long after that an answer is late, in milliseconds: the connection may have died without a word. */
const graceTime = 1000

/** At most so many entries of each stream are read at once. */
const mostEntries = 64

/**
 * The pause between two reads, in milliseconds: what comes in the meantime is read in one go. Each read names all streams, so
 * the more there are, the longer it is.
 */
const shortestPause = 8
const pausePerStream = 0.02

/** The pause before Redis is tried again, in milliseconds. */
const outagePause = 100

/** How many keys are asked for in one command. */
const keysAtOnce = 500

/** The failure of what nobody replies to. */
const noReply = new Error('Redis does not answer')

interface Stream {
  last: string
  readonly waiters: Set<Waiter>
  /** When it was last heard of. */
  heard: number
}

/** One for each client, in which a process reads all that it follows. */
const tails = new WeakMap<RedisClient, Tail>()

export function tailOf(redis: RedisClient): Tail {
  let tail = tails.get(redis)
  if (!tail) {
    tail = new Tail(redis)
    tails.set(redis, tail)
  }
  return tail
}

/**
 * Waits at the ends of streams, of all of them in one blocking read over a connection of its own, which is open while
 * anybody retains it. Where a producer's lease has lapsed, it closes the log.
 */
export class Tail {
  readonly #redis: RedisClient
  readonly #command: Command
  readonly #streams = new Map<string, Stream>()
  #retained = 0
  #connection: Connection | undefined
  #connectionId: unknown
  #entriesAtOnce = mostEntries
  #isRunning = false
  /** Whether the connection was closed from here since it was opened last. */
  #isLeft = false
  #isBlocking = false
  #isStale = false
  #isUnblocking = false
  #outageTimer: ReturnType<typeof setInterval> | undefined
  #askedAt = 0
  /** Before this moment a lapsed lease proves nothing, since Redis had been away: each has until its own duration after it. */
  #upSince = 0
  #isAway = false
  #wake = () => {}

  constructor(redis: RedisClient) {
    this.#redis = redis
    this.#command = commandOf(redis)
  }

  /** Opens the connection, once. To be released. */
  retain(): void {
    if (this.#retained++ > 0) return
    if (!this.#isRunning) {
      this.#isRunning = true
      void this.#run()
    }
  }

  release(): void {
    if (--this.#retained > 0) return
    // The next answer may begin in the same turn.
    setImmediate(() => {
      if (this.#retained > 0) return
      this.#isLeft = true
      this.#disconnect()
      this.#wake()
    })
  }

  /** Adds a waiter, who has read its stream to the end. */
  add(waiter: Waiter): void {
    const stream = this.#streams.get(waiter.key)
    if (!stream) {
      this.#streams.set(waiter.key, { last: waiter.last, waiters: new Set([waiter]), heard: Date.now() })
      return this.#renew()
    }
    stream.waiters.add(waiter)
    if (!isBehind(waiter.last, stream.last)) return
    // Others have got more meanwhile, or one has come with an id that the stream does not have. They leave out what they have.
    stream.last = waiter.last
    this.#renew()
  }

  remove(waiter: Waiter): void {
    const stream = this.#streams.get(waiter.key)
    if (!stream?.waiters.delete(waiter) || stream.waiters.size > 0) return
    // The read that goes on names it once more, which does no harm.
    this.#streams.delete(waiter.key)
  }

  async #run(): Promise<void> {
    while (this.#retained > 0) {
      if (this.#streams.size === 0) {
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
        continue
      }
      try {
        await this.#readOnce()
      } catch (error) {
        this.#disconnect()
        // Closed from here, when nobody followed for a moment; by now somebody may again.
        if (this.#isLeft || this.#retained === 0) continue
        this.#tellOutage(error)
        await pause(outagePause)
      }
    }
    this.#isRunning = false
    this.#disconnect()
    clearInterval(this.#outageTimer)
    this.#outageTimer = undefined
  }

  /** Tells all who wait, and again and again until Redis is back: a client may take its time to say that it is not. */
  #tellOutage(error: unknown): void {
    this.#isAway = true
    // A connection that breaks again and again may carry a little each time.
    this.#entriesAtOnce = 1
    const tell = () => {
      for (const waiter of this.#waiters()) {
        // What no waiting helps against ends them.
        if (mayPass(error)) waiter.onOutage(error === noReply ? undefined : error)
        else waiter.fail(error as Error)
      }
    }
    tell()
    clearInterval(this.#outageTimer)
    this.#outageTimer = setInterval(tell, outagePause)
    this.#outageTimer.unref()
  }

  async #readOnce(): Promise<void> {
    const connection = this.#connection ?? (await this.#connect())
    // All may have left while it was opened.
    if (this.#streams.size === 0) return
    this.#isStale = false
    const asked = new Map([...this.#streams].map(([key, stream]) => [key, stream.last]))
    this.#isBlocking = true
    const read = connection.command(
      ...[
        'XREAD',
        'COUNT',
        String(this.#entriesAtOnce),
        'BLOCK',
        String(longestBlock),
        'STREAMS',
        ...asked.keys(),
        ...asked.values()
      ]
    )
    const reply = await answered(read).finally(() => {
      this.#isBlocking = false
    })
    this.#entriesAtOnce = Math.min(this.#entriesAtOnce * 2, mostEntries)
    const streams = streamsOf(reply)
    for (const [prefixed, entries] of streams) {
      const key = prefixed.slice(connection.keyPrefix.length)
      // A waiter may have come meanwhile who has less.
      if (this.#streams.get(key)?.last === asked.get(key)) this.#deliver(key, entries)
    }
    await this.#checkLeases(connection.command)
    if (streams.length > 0) await pause(Math.max(shortestPause, this.#streams.size * pausePerStream))
  }

  #deliver(key: string, entries: readonly RawEntry[]): void {
    const stream = this.#streams.get(key)
    const last = entries.at(-1)
    if (!stream || !last) return
    stream.last = last.id
    stream.heard = Date.now()
    for (const waiter of [...stream.waiters]) waiter.take(entries)
  }

  /** Has the read that goes on begin anew, with a stream that was added. */
  #renew(): void {
    this.#wake()
    this.#isStale = true
    if (this.#isBlocking && !this.#isUnblocking) void this.#unblock()
  }

  async #unblock(): Promise<void> {
    this.#isUnblocking = true
    // Streams that are added in the same turn share it.
    await pause(0)
    // It comes to nothing where Redis has not received the read yet.
    while (this.#isStale && this.#isBlocking && this.#retained > 0 && this.#connectionId !== undefined) {
      const connectionId = String(this.#connectionId)
      await answered(this.#command('CLIENT', 'UNBLOCK', connectionId)).catch(() => {})
      await pause(2)
    }
    this.#isUnblocking = false
  }

  async #connect(): Promise<Connection> {
    this.#isLeft = false
    const connection = connectLike(this.#redis)
    // At once, so that it is closed when nobody follows any more, however long it takes to open.
    this.#connection = connection
    await answered(connection.opened)
    this.#connectionId = await answered(connection.command('CLIENT', 'ID')).catch(error => {
      if (!isReply(error)) throw error
      // Who may not ask waits for the end of a read where he could cut it short.
    })
    // Who may not ask takes Redis for just started.
    const server = await answered(connection.command('INFO', 'server')).catch(() => '')
    const uptime = /uptime_in_seconds:(\d+)/.exec(String(server))
    this.#upSince = Math.max(this.#upSince, Date.now() - Number(uptime?.[1] ?? 0) * 1000)
    // Not only when the read returns: that may wait for a while, as it should.
    if (this.#isAway) this.#tellReturn()
    // Where connections break again and again, no read may come to its end.
    await this.#checkLeases(connection.command)
    return connection
  }

  #disconnect(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  #tellReturn(): void {
    this.#isAway = false
    clearInterval(this.#outageTimer)
    for (const waiter of this.#waiters()) waiter.onReturn()
  }

  *#waiters(): Iterable<Waiter> {
    for (const stream of [...this.#streams.values()]) yield* [...stream.waiters]
  }

  /** Closes the logs of producers whose lease has lapsed. */
  async #checkLeases(command: Command): Promise<void> {
    const now = Date.now()
    if (now - this.#askedAt < leasePause) return
    this.#askedAt = now
    const doubtful: Waiter[] = []
    for (const { waiters, heard } of this.#streams.values()) {
      if (now - heard < longestBlock) continue
      const waiter = [...waiters].find(each => each.lease)
      // After Redis was away, each producer has the time to renew its lease.
      if (waiter?.lease && now - this.#upSince >= waiter.lease.duration) doubtful.push(waiter)
    }
    for (let at = 0; at < doubtful.length; at += keysAtOnce) {
      const some = doubtful.slice(at, at + keysAtOnce)
      const asked = Date.now()
      const leases = await answered(command('MGET', ...some.map(waiter => waiter.lease?.key ?? '')))
      // Redis was held up, and with it whoever wanted to renew a lease.
      if (Date.now() - asked > longestBlock) this.#upSince = Date.now()
      else if (Array.isArray(leases)) await this.#closeWithout(leases, some, command)
    }
  }

  async #closeWithout(
    leases: readonly unknown[],
    doubtful: readonly Waiter[],
    command: Command
  ): Promise<void> {
    for (const [index, waiter] of doubtful.entries()) {
      if (leases[index] !== null) continue
      // Redis takes one ending for each log. All who wait read it, whoever wrote it.
      const words = ['XADD', waiter.key, 'NOMKSTREAM', lastId, ...endingFields('abandoned')]
      try {
        if ((await answered(command(...words))) === null) this.#lose(waiter.key, 'its log is gone from Redis')
      } catch (error) {
        if (!isReply(error)) throw error
        // Refused, since it has ended; what else is refused to this reader may not be to another.
        if (!/^ERR /.test((error as Error).message))
          this.#lose(waiter.key, `${silent}, and its log cannot be closed from here`, error)
      }
    }
  }

  #lose(key: string, why: string, cause?: unknown): void {
    for (const waiter of [...(this.#streams.get(key)?.waiters ?? [])]) waiter.fail(abandoned(why, cause))
  }
}

/** Whether an id is less than another. The numbers of an id have no leading zeros, and may be too large for a number here. */
export function isBehind(id: string, other: string): boolean {
  const [epoch = '', sequence = ''] = id.split('-')
  const [otherEpoch = '', otherSequence = ''] = other.split('-')
  return epoch === otherEpoch ? isLess(sequence, otherSequence) : isLess(epoch, otherEpoch)
}

function isLess(digits: string, other: string): boolean {
  return digits.length === other.length ? digits < other : digits.length < other.length
}

/** The last entry of a stream, if it has any. */
export async function lastEntry(command: Command, key: string): Promise<RawEntry | undefined> {
  return entriesOf(await command('XREVRANGE', key, '+', '-', 'COUNT', '1'))[0]
}

function answered<Reply>(reply: Promise<Reply>): Promise<Reply> {
  return inTime(reply, longestBlock + graceTime, () => noReply)
}

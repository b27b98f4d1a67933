import { setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
import { unanswered, whenLate } from '../in-time.js'
import { LongRace } from '../long-race.js'
import { invalid } from '../options.js'

/** A client of the `redis` package, connected. Nothing but these members is used. */
export interface NodeRedisClient {
  /** Sends a command, by its words. */
  sendCommand(words: string[]): Promise<unknown>
  /** A client with the same options, for a connection of its own. */
  duplicate(): unknown
}

/** A client of the `ioredis` package. */
export interface IORedisClient {
  /** Sends a command, by its words. */
  call(command: string, ...words: string[]): Promise<unknown>
  /** A client with the same options, for a connection of its own. */
  duplicate(): unknown
}

/** A client of `redis` or of `ioredis`, for one server: not of a cluster, where keys that are read together may be apart. */
export type RedisClient = NodeRedisClient | IORedisClient

/** Sends a command, by its words; the reply is what the client makes of it. */
export type Command = (...words: string[]) => Promise<unknown>

/** A connection of our own, beside the caller's. */
export interface Connection {
  /** Resolves when it is open, in the database that the client has selected. */
  readonly opened: Promise<void>
  /** What ioredis puts before each key by itself (its option `keyPrefix`). In what Redis replies it is still there. */
  readonly keyPrefix: string
  /** Sends a command. It fails when the connection is lost: a client may want to send it again on the next one. */
  readonly command: Command
  /** Closes it, at any time: whoever waits for it, or for a reply, is told. */
  close(): void
}

/** What both clients have, under one name or the other. */
interface OwnClient {
  readonly options?: {
    readonly socket?: object
    readonly commandOptions?: object
    readonly keyPrefix?: unknown
  }
  on(name: 'error' | 'close' | 'end', listener: (error?: unknown) => void): unknown
  duplicate(options: object): OwnClient & RedisClient
  connect?(): Promise<unknown>
  destroy?(): void
  disconnect?(): void
}

export function commandOf(redis: RedisClient): Command {
  if (typeof redis === 'object' && redis !== null && !hasSeveral(redis)) {
    // An ioredis client also has a `sendCommand`, which takes something else.
    if ('call' in redis && typeof redis.call === 'function')
      return (name, ...words) => redis.call(name as string, ...words)
    if ('sendCommand' in redis && typeof redis.sendCommand === 'function')
      return (...words) => redis.sendCommand(words)
  }
  throw invalid(
    'redis',
    redis,
    'a connected client of the redis or the ioredis package, and no pool, cluster or sentinel'
  )
}

/**
 * Pools, clusters and sentinels of `redis`, and clusters of `ioredis`: a command of theirs may go over any of several
 * connections.
 */
function hasSeveral(redis: object): boolean {
  const isOfRedis = ['totalClients', 'masters', 'getSentinelNode'].some(name => name in redis)
  return isOfRedis || ('isCluster' in redis && redis.isCluster === true)
}

/**
 * Opens a second connection with the options of a client, to the database that the client has selected. It does not connect
 * again by itself when it is lost, and a read that waits in Redis has the time that it takes.
 */
export function connectLike(redis: RedisClient): Connection {
  // Clients of both packages have these members.
  const client = redis as OwnClient & RedisClient
  const isOfIORedis = 'call' in client
  const own = client.duplicate(
    isOfIORedis
      ? { retryStrategy: null, lazyConnect: true, commandTimeout: undefined, socketTimeout: undefined }
      : {
          socket: { ...client.options?.socket, reconnectStrategy: false, socketTimeout: undefined },
          commandOptions: { ...client.options?.commandOptions, timeout: undefined }
        }
  )
  let lose: (error?: unknown) => void = () => {}
  const life = new LongRace(
    new Promise<never>((_resolve, reject) => {
      lose = error => reject(error instanceof Error ? error : new Error('the connection to Redis was lost'))
    })
  )
  for (const name of ['error', 'close', 'end'] as const) own.on(name, lose)
  const send = commandOf(own)
  const command: Command = (...words) => life.against(send(...words))

  function close(): void {
    lose()
    if (isOfIORedis) own.disconnect?.()
    else own.destroy?.()
  }

  async function open(): Promise<void> {
    const connecting = own.connect?.() ?? Promise.resolve()
    // What is closed while it connects may be open all the same when it has.
    connecting.then(() => life.isOver && close()).catch(() => {})
    await life.against(connecting)
    // The client itself may be closed meanwhile, and then never reply.
    const database = await life.against(databaseOf(commandOf(redis)))
    if (database !== undefined) await command('SELECT', database)
  }

  const opened = open()
  opened.catch(close)
  return { opened, keyPrefix: isOfIORedis ? String(client.options?.keyPrefix ?? '') : '', command, close }
}

/**
 * The number of the database that a client has selected; undefined where it may not ask, where it is closed, and where Redis is
 * older than 6.2.
 */
async function databaseOf(command: Command): Promise<string | undefined> {
  try {
    return /\bdb=(\d+)/.exec(String(await command('CLIENT', 'INFO')))?.[1]
  } catch (error) {
    if (mayPass(error) && !isClosed(error)) throw error
    return undefined
  }
}

/** Replies that say what will pass: Redis starts, is out of memory, or is no primary for the moment. */
const passing = /^(?:LOADING|OOM|READONLY|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS)\b/

/**
 * Whether a command that failed may succeed later. An error reply of Redis begins with a word in capitals, which is its code;
 * anything else that a client rejects with is about the connection.
 */
export function mayPass(error: unknown): boolean {
  if (error instanceof CompletionError) return false
  return !isReply(error) || passing.test((error as Error).message)
}

/** Whether it is Redis that says no. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]{2,}[A-Z0-9]*(?: |$)/.test(error.message)
}

/** What the two clients say when their owner has closed them: they do not connect again by themselves. */
export function isClosed(error: unknown): boolean {
  return error instanceof Error && /^(?:The client is closed|Connection is closed\.)$/.test(error.message)
}

/** What the two clients say of a command that nobody answered in a time of their own. */
function isTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.constructor.name === 'TimeoutError' || error.message === 'Command timed out')
  )
}

/**
 * How long Redis may be away. The time runs from when the first command was sent that failed or that nobody answered, and stops
 * when a command succeeds.
 */
export class Outage {
  readonly #longest: number
  #began: number | undefined
  #failure: unknown
  #isOver = false
  readonly #waiting = new Set<() => void>()

  constructor(longest: number) {
    this.#longest = longest
  }

  /**
   * Runs a command again and again until it succeeds, or fails for good, or the time is over; it is told how often it was.
   * Rejects with what it failed with, or with `CS_ERR_STALLED` if nobody answered.
   */
  async bridge<Reply>(run: (tries: number) => Promise<Reply>): Promise<Reply> {
    for (let tries = 0; ; tries++) {
      const sent = Date.now()
      try {
        const reply = await this.#within(run(tries))
        this.#began = undefined
        this.#failure = undefined
        return reply
      } catch (error) {
        if (this.#isOver || isClosed(error) || !mayPass(error)) throw error
        this.#failure = isTimeout(error) ? undefined : error
        this.#began ??= sent
        if (this.left <= 0) throw this.#failure ?? unanswered(this.#longest)
        await pause(Math.min(20 * 2 ** Math.min(tries, 5), Math.max(this.left, 1)))
      }
    }
  }

  /** Nobody waits any more: what has not succeeded by now fails. */
  end(): void {
    this.#isOver = true
    for (const stop of this.#waiting) stop()
  }

  /** Milliseconds that are left of the time. */
  get left(): number {
    return this.#began === undefined ? this.#longest : this.#began + this.#longest - Date.now()
  }

  /** A client may keep a command for as long as Redis is away, and a connection may die without a word. */
  #within<Reply>(reply: Promise<Reply>): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      const stop = () => settle(() => reject(this.#failure ?? unanswered(this.#longest)))
      const giveUp = () => {
        // Whoever comes next does not wait as long once more.
        this.#began ??= Date.now() - this.#longest
        stop()
      }
      const stopWaiting = whenLate(Math.max(this.left, 1), giveUp)
      const settle = (how: () => void) => {
        stopWaiting()
        this.#waiting.delete(stop)
        how()
      }
      this.#waiting.add(stop)
      reply.then(
        value => settle(() => resolve(value)),
        error => settle(() => reject(error))
      )
    })
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => void setTimeout(resolve, milliseconds))
}

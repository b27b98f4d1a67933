import { clearTimeout, setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
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
  readonly command: Command
  close(): void
}

/** What both clients have, under one name or the other. */
interface OwnClient {
  on(name: 'error', listener: () => void): unknown
  connect?(): Promise<unknown>
  destroy?(): void
  disconnect?(): void
}

export function commandOf(redis: RedisClient): Command {
  if (typeof redis === 'object' && redis !== null) {
    // An ioredis client also has a `sendCommand`, which takes something else.
    if ('call' in redis && typeof redis.call === 'function')
      return (name, ...words) => redis.call(name as string, ...words)
    if ('sendCommand' in redis && typeof redis.sendCommand === 'function')
      return (...words) => redis.sendCommand(words)
  }
  throw invalid('redis', redis, 'a connected client of the redis or the ioredis package')
}

/** Opens a second connection with the options of a client. */
export async function connectLike(redis: RedisClient): Promise<Connection> {
  // Both packages return a client of the same class.
  const own = redis.duplicate() as OwnClient & RedisClient
  // A connection that is lost is told by the command that fails.
  own.on('error', () => {})
  const close = () => {
    if (own.disconnect && !own.destroy) own.disconnect()
    else own.destroy?.()
  }
  // ioredis connects by itself.
  if ('sendCommand' in own && !('call' in own)) {
    try {
      await own.connect?.()
    } catch (error) {
      close()
      throw error
    }
  }
  return { command: commandOf(own), close }
}

/** Replies that say what will pass: Redis starts, is out of memory, or is no primary for the moment. */
const passing = /^(?:LOADING|OOM|READONLY|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS)\b/

/**
 * Whether a command that failed may succeed later. An error reply of Redis begins with a word in capitals, which is its code;
 * anything else that a client rejects with is about the connection.
 */
export function mayPass(error: unknown): boolean {
  if (error instanceof CompletionError) return false
  const message = error instanceof Error ? error.message : ''
  return passing.test(message) || !/^[A-Z]{2,}[A-Z0-9]*(?: |$)/.test(message)
}

/** How long Redis may be away. The time runs from the first failure, and stops when a command succeeds. */
export class Outage {
  readonly #longest: number
  #began: number | undefined

  constructor(longest: number) {
    this.#longest = longest
  }

  /** Runs a command again and again until it succeeds, or fails for good, or the time is over. */
  async bridge<Reply>(run: () => Promise<Reply>): Promise<Reply> {
    for (let tries = 0; ; tries++) {
      try {
        const reply = await this.#within(run())
        this.#began = undefined
        return reply
      } catch (error) {
        if (!mayPass(error)) throw error
        this.#began ??= Date.now()
        if (this.left <= 0) throw error
        await pause(Math.min(20 * 2 ** Math.min(tries, 5), Math.max(this.left, 1)))
      }
    }
  }

  /** Milliseconds that are left of the time. */
  get left(): number {
    return this.#began === undefined ? this.#longest : this.#began + this.#longest - Date.now()
  }

  /** A client may keep a command for as long as Redis is away, and a connection may die without a word. */
  async #within<Reply>(reply: Promise<Reply>): Promise<Reply> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const tell = () => reject(silent(this.#longest))
      if (this.#longest < 2 ** 31) timer = setTimeout(tell, Math.max(this.left, 1))
    })
    try {
      return await Promise.race([reply, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

function silent(limit: number): CompletionError {
  const message = `Redis did not answer within ${limit} ms (maxOutage)`
  return new CompletionError('CS_ERR_STALLED', message, { limit })
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => void setTimeout(resolve, milliseconds))
}

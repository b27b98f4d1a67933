import { clearTimeout, setTimeout } from 'node:timers'
import { AbortError } from '../abort-error.js'
import { onAbort } from '../source/on-abort.js'

/** What a provider allows in a minute. */
export interface RateLimits {
  /** Requests a minute. Default: no limit. */
  requests?: number
  /** Tokens a minute, of prompts and answers together. Default: no limit. */
  tokens?: number
}

/** What waits for its turn. */
interface Waiting {
  tokens: number
  grant(turn: number): void
}

const minute = 60_000

/** No provider is waited for longer than that, whatever it asks for, in milliseconds. */
export const longestRetryAfter: number = 10 * minute

/** A timer of Node's that is to wait for longer ends at once. */
const longestTimer = 2 ** 31 - 1

/** The waits after failures in a row, in milliseconds: from the first, doubled each time, up to the longest. */
const firstWait = 500
const longestWait = 30_000

/** A little less than is allowed is used, since two clocks never run alike. */
const share = 0.985

/** So much may be used at once, of what is allowed in a minute: what runs in in a tenth of a second. */
const burst = 1 / 600

/** What has run in at a steady rate and has not been used. */
class Bucket {
  readonly #limit: number
  #rate: number
  #capacity: number
  #level: number
  #at: number

  constructor(limit: number, now: number) {
    this.#limit = limit
    this.#rate = (limit * share) / minute
    this.#capacity = Math.max(1, limit * burst)
    this.#level = this.#capacity
    this.#at = now
  }

  /** Leaves the others what is theirs, of so many that share the limit. */
  shareAmong(count: number, now: number): void {
    this.#fill(now)
    this.#rate = (this.#limit * share) / minute / count
    this.#capacity = Math.max(1, (this.#limit * burst) / count)
  }

  /** Milliseconds until so much can be taken. What is more than it holds is taken when it is full, and owed. */
  wait(amount: number, now: number): number {
    this.#fill(now)
    const lacking = Math.min(amount, this.#capacity) - this.#level
    return lacking > 0 ? lacking / this.#rate : 0
  }

  take(amount: number, now: number): void {
    this.#fill(now)
    this.#level -= amount
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#capacity, this.#level + (now - this.#at) * this.#rate)
    this.#at = now
  }
}

/** So many requests in a row that are refused for a limit, without an answer between them, are a storm. */
const refusalsOfStorm = 4

/**
 * A provider that refuses one request after the other. A row that waits by itself does not help then, since all the others
 * go on asking, and the retries of each are soon used up.
 */
class Storm {
  #refusals = 0
  /** How often all have paused in this storm. Also says of a request whether it was let go before the last pause. */
  #pauses = 0
  #isTrying = false

  /** In a storm one request goes at a time. */
  get isHolding(): boolean {
    return this.#isTrying
  }

  /** A request goes: what this gives is passed back with what came of it. */
  go(): number {
    this.#isTrying = this.#pauses > 0
    return this.#pauses
  }

  /** A request was refused: how long all are to pause, in milliseconds. */
  refuse(turn: number): number {
    if (turn !== this.#pauses || ++this.#refusals < refusalsOfStorm) return 0
    this.#isTrying = false
    return growingWait(++this.#pauses)
  }

  /** A request was not refused. One that was let go before the last pause says nothing of what is now. */
  pass(turn: number): void {
    if (turn !== this.#pauses) return
    this.#isTrying = false
    this.#refusals = 0
    this.#pauses = 0
  }
}

/** Lets requests go, in their order, as fast as the limits allow. */
export class RateLimiter {
  readonly #storm = new Storm()
  readonly #requests: Bucket | undefined
  readonly #tokens: Bucket | undefined
  readonly #queue: Waiting[] = []
  #pausedUntil = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor({ requests, tokens }: RateLimits) {
    const now = performance.now()
    if (requests !== undefined && requests < Number.POSITIVE_INFINITY)
      this.#requests = new Bucket(requests, now)
    if (tokens !== undefined && tokens < Number.POSITIVE_INFINITY) this.#tokens = new Bucket(tokens, now)
  }

  /**
   * Waits for the turn of a request that is expected to use so many tokens. Resolves with the number of the turn, which `pass`
   * or `refuse` is told then.
   */
  reserve(tokens: number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        tokens,
        grant(turn) {
          stopWaiting()
          resolve(turn)
        }
      }
      const stopWaiting = onAbort(signal, () => {
        const place = this.#queue.indexOf(waiting)
        if (place !== -1) this.#queue.splice(place, 1)
        reject(new AbortError(undefined, signal.reason))
      })
      if (signal.aborted) return
      this.#queue.push(waiting)
      this.#next()
    })
  }

  /** Says how many tokens a request has used in the end. */
  settle(reserved: number, used: number): void {
    this.#tokens?.take(used - reserved, performance.now())
    this.#next()
  }

  /** Uses its part of the limits, where so many processes share them. */
  shareAmong(count: number): void {
    const now = performance.now()
    this.#requests?.shareAmong(count, now)
    this.#tokens?.shareAmong(count, now)
    this.#next()
  }

  /** Lets nothing go for so many milliseconds, but no longer than `longestRetryAfter`: the provider has said so. */
  pause(duration: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + Math.min(duration, longestRetryAfter))
  }

  /** The provider refused a request for a limit, and asks to wait for so many milliseconds, if it says so. */
  refuse(turn: number, retryAfter = 0): void {
    this.pause(Math.max(this.#storm.refuse(turn), retryAfter))
    this.#next()
  }

  /** The provider did not refuse a request for a limit, whatever else came of it. */
  pass(turn: number): void {
    this.#storm.pass(turn)
    this.#next()
  }

  #next(): void {
    clearTimeout(this.#timer)
    for (let first = this.#queue[0]; first && !this.#storm.isHolding; first = this.#queue[0]) {
      const now = performance.now()
      const wait = Math.max(
        this.#pausedUntil - now,
        this.#requests?.wait(1, now) ?? 0,
        this.#tokens?.wait(first.tokens, now) ?? 0
      )
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#next(), Math.min(Math.ceil(wait), longestTimer))
        return
      }
      this.#requests?.take(1, now)
      this.#tokens?.take(first.tokens, now)
      this.#queue.shift()
      first.grant(this.#storm.go())
    }
  }
}

/** How long to wait after so many failures in a row. Half of it is left to chance, so that not all come again together. */
export function growingWait(failures: number): number {
  return Math.min(firstWait * 2 ** (failures - 1), longestWait) * (0.5 + Math.random() / 2)
}

/** How long the headers of a response ask to wait, in milliseconds: until what has run out is there again. */
export function waitInHeaders(headers: Headers, now: number = Date.now()): number {
  return Math.max(
    0,
    ...['requests', 'tokens']
      .filter(what => headers.get(`x-ratelimit-remaining-${what}`) === '0')
      .map(what => waitUntilReset(headers.get(`x-ratelimit-reset-${what}`) ?? '', now))
  )
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: minute, h: 60 * minute }

/** Numbers from here on are times, in seconds or in milliseconds since 1970, and no durations. */
const firstSeconds = 1e9
const firstMilliseconds = 1e12

/** OpenAI writes durations as `1s`, `6m0s` or `120ms`; others as seconds. Some gateways give the time of the reset. */
function waitUntilReset(text: string, now: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) {
    const value = Number(text)
    if (value < firstSeconds) return value * 1000
    return (value < firstMilliseconds ? value * 1000 : value) - now
  }
  if (/^\d{4}-\d\d-\d\dT/.test(text)) return Date.parse(text) - now || 0
  let sum = 0
  for (const [, amount, unit = ''] of text.matchAll(/([\d.]+)(ms|[smh])/g))
    sum += Number(amount) * (units[unit] ?? 0)
  return sum
}

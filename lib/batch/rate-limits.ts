import { clearTimeout, setTimeout } from 'node:timers'
import { AbortError } from '../failure/abort-error.js'
import { longestTimer } from '../in-time.js'
import { onAbort } from '../source/on-abort.js'
import { Storm } from './storm.js'

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
  grant(turn: Turn): void
}

/** That a request may go: what came of it is told with this. */
export interface Turn {
  /** Whether it was let go before the last pause of a storm. */
  readonly storm: number
  /** How many tokens the request was expected to use, and how many are reserved for it. */
  readonly estimated: number
  readonly reserved: number
  readonly at: number
}

const minute = 60_000

/** No provider is waited for longer than that, whatever it asks for, in milliseconds. */
export const longestRetryAfter: number = 10 * minute

/** A little less than is allowed is used, since two clocks never run alike. */
const share = 0.985

/** So much may be used at once, of what is allowed in a minute: what runs in in a tenth of a second. */
const burst = 1 / 600

/** So much of what was reserved and not used may be used at once, of what is allowed in a minute: what runs in in a second. */
const returned = 1 / 60

/** So much of what is known of earlier answers is kept with each one more. */
const kept = 0.95

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

  /**
   * Gives back what was reserved at a time and not used: the more, the less of the minute has passed since then, in which it
   * might have been used. The bucket may then be fuller than it becomes by itself.
   */
  giveBack(amount: number, since: number, now: number): void {
    this.#fill(now)
    const credit = amount * Math.max(0, 1 - (now - since) / minute)
    const most = Math.max(this.#level, this.#capacity, this.#limit * returned)
    this.#level = Math.min(most, this.#level + credit)
  }

  #fill(now: number): void {
    const filled = Math.min(this.#capacity, this.#level + (now - this.#at) * this.#rate)
    this.#level = Math.max(this.#level, filled)
    this.#at = now
  }
}

/**
 * How much is used of what is estimated. An estimate is mostly far too high, since it has to count all that an answer may
 * have: what is reserved for the requests in flight would be lost to others.
 */
class Correction {
  #estimated = 0
  #used = 0

  of(estimate: number): number {
    return this.#estimated === 0 ? estimate : estimate * (this.#used / this.#estimated)
  }

  /** The newer answers count more; at first, the estimate counts as two answers. */
  learn(estimated: number, used: number): void {
    if (this.#estimated === 0) this.#estimated = this.#used = 2 * estimated
    this.#estimated = this.#estimated * kept + estimated
    this.#used = this.#used * kept + used
  }
}

/** Lets requests go, in their order, as fast as the limits allow. */
export class RateLimiter {
  readonly #storm = new Storm()
  readonly #requests: Bucket | undefined
  readonly #tokens: Bucket | undefined
  readonly #correction = new Correction()
  readonly #queue: Waiting[] = []
  #pausedUntil = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor({ requests, tokens }: RateLimits) {
    const now = performance.now()
    if (requests !== undefined && requests < Number.POSITIVE_INFINITY)
      this.#requests = new Bucket(requests, now)
    if (tokens !== undefined && tokens < Number.POSITIVE_INFINITY) this.#tokens = new Bucket(tokens, now)
  }

  /** Waits for the turn of a request that is expected to use so many tokens. */
  reserve(tokens: number, signal: AbortSignal): Promise<Turn> {
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

  /** Says how many tokens a request has used in the end: 0 if it failed, undefined if that was not reported. */
  settle({ estimated, reserved, at }: Turn, used: number | undefined): void {
    if (used === undefined) return
    const now = performance.now()
    if (used < reserved) this.#tokens?.giveBack(reserved - used, at, now)
    else this.#tokens?.take(used - reserved, now)
    if (used > 0 && estimated > 0) this.#correction.learn(estimated, used)
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
  refuse(turn: Turn, retryAfter = 0): void {
    this.pause(Math.max(this.#storm.refuse(turn.storm, turn.at, performance.now()), retryAfter))
    this.#next()
  }

  /** The provider did not refuse a request for a limit, whatever else came of it. */
  pass(turn: Turn): void {
    this.#storm.pass(turn.storm, performance.now())
    this.#next()
  }

  #next(): void {
    clearTimeout(this.#timer)
    for (let first = this.#queue[0]; first && !this.#storm.isHolding; first = this.#queue[0]) {
      const at = performance.now()
      const estimated = first.tokens
      const reserved = this.#correction.of(estimated)
      const wait = Math.max(
        this.#pausedUntil - at,
        this.#storm.wait(at),
        this.#requests?.wait(1, at) ?? 0,
        this.#tokens?.wait(reserved, at) ?? 0
      )
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#next(), Math.min(Math.ceil(wait), longestTimer))
        return
      }
      this.#requests?.take(1, at)
      this.#tokens?.take(reserved, at)
      this.#queue.shift()
      first.grant({ storm: this.#storm.go(at), estimated, reserved, at })
    }
  }
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

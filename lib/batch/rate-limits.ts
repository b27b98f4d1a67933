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
  grant(): void
}

const minute = 60_000

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

/** Lets requests go, in their order, as fast as the limits allow. */
export class RateLimiter {
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

  /** Waits for the turn of a request that is expected to use so many tokens. */
  reserve(tokens: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        tokens,
        grant() {
          stopWaiting()
          resolve()
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

  /** Lets nothing go for so many milliseconds: the provider has said so. */
  pause(duration: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + duration)
  }

  #next(): void {
    clearTimeout(this.#timer)
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      const now = performance.now()
      const wait = Math.max(
        this.#pausedUntil - now,
        this.#requests?.wait(1, now) ?? 0,
        this.#tokens?.wait(first.tokens, now) ?? 0
      )
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#next(), Math.ceil(wait))
        return
      }
      this.#requests?.take(1, now)
      this.#tokens?.take(first.tokens, now)
      this.#queue.shift()
      first.grant()
    }
  }
}

/** How long the headers of a response ask to wait, in milliseconds: until what has run out is there again. */
export function waitInHeaders(headers: Headers): number {
  return Math.max(
    0,
    ...['requests', 'tokens']
      .filter(what => headers.get(`x-ratelimit-remaining-${what}`) === '0')
      .map(what => durationOf(headers.get(`x-ratelimit-reset-${what}`) ?? ''))
  )
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: minute, h: 60 * minute }

/** OpenAI writes durations as `1s`, `6m0s` or `120ms`; others as seconds. */
function durationOf(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  let sum = 0
  for (const [, amount, unit = ''] of text.matchAll(/([\d.]+)(ms|[smh])/g))
    sum += Number(amount) * (units[unit] ?? 0)
  return sum
}

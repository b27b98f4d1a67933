/** The waits after failures in a row, in milliseconds: from the first, doubled each time, up to the longest. */
const firstWait = 500
const longestWait = 30_000

/** So many requests in a row that are refused for a limit, without an answer between them, are a storm. */
const refusalsOfStorm = 4

/** The times between two requests behind a storm, in milliseconds: the first one lies within these, the longest ends them all. */
const shortestFirstGap = 20
const longestFirstGap = 250
const longestGap = 30_000
/** A gap below this, in milliseconds, is none. */
const shortestGap = 2

/** How a refusal and an answer change the gap: where one of fourteen is refused, it stays what it is. */
const growth = 1.5
const shrinkage = 0.97

/** So much of the average time between answers is of the newest one. */
const newest = 0.1

/**
 * A provider that refuses one request after the other. A row that waits by itself does not help then, since all the others
 * go on asking, and the retries of each are soon used up. So all pause, longer and longer, and one at a time tries.
 *
 * Behind that, requests go one by one, sooner and sooner, since those that waited would come all together: a provider that
 * allows so many in a second would refuse most of them again, and in time each row as often as it may be asked.
 */
export class Storm {
  #refusals = 0
  /** How often all have paused in this storm. Also says of a request whether it was let go before the last pause. */
  #pauses = 0
  #isTrying = false
  #gap = 0
  /** When the last request went, the last answer came, and the gap last grew. */
  #wentAt = 0
  #answeredAt: number | undefined
  #grownAt = 0
  /** The average time between two answers, in milliseconds. */
  #pace: number | undefined

  /** In a storm one request goes at a time. */
  get isHolding(): boolean {
    return this.#isTrying
  }

  /** Milliseconds until a request may go. */
  wait(now: number): number {
    return this.#wentAt + this.#gap - now
  }

  /** A request goes: what this gives is passed back with what came of it. */
  go(now: number): number {
    this.#wentAt = now
    this.#isTrying = this.#pauses > 0
    return this.#pauses
  }

  /** A request was refused that went at a time: how long all are to pause, in milliseconds. */
  refuse(turn: number, wentAt: number, now: number): number {
    if (turn !== this.#pauses) return 0
    // Those that went with one that was refused say no more than that one.
    if (this.#pauses === 0 && wentAt > this.#grownAt) this.#grow(this.#gap * growth, now)
    if (++this.#refusals < refusalsOfStorm) return 0
    if (this.#gap === 0) this.#grow(this.#firstGap(), now)
    this.#isTrying = false
    return growingWait(++this.#pauses)
  }

  /** A request was not refused. One that was let go before the last pause says nothing of what is now. */
  pass(turn: number, now: number): void {
    const time = now - (this.#answeredAt ?? now)
    if (this.#answeredAt !== undefined) this.#pace = (this.#pace ?? time) * (1 - newest) + time * newest
    this.#answeredAt = now
    if (turn !== this.#pauses) return
    this.#isTrying = false
    this.#refusals = 0
    this.#pauses = 0
    this.#gap *= shrinkage
    if (this.#gap < shortestGap) this.#gap = 0
  }

  #grow(gap: number, now: number): void {
    this.#gap = Math.min(gap, longestGap)
    this.#grownAt = now
  }

  /** Half as long again as it was between answers before. */
  #firstGap(): number {
    const before = (this.#pace ?? longestFirstGap) * growth
    return Math.min(Math.max(before, shortestFirstGap), longestFirstGap)
  }
}

/** How long to wait after so many failures in a row. Half of it is left to chance, so that not all come again together. */
export function growingWait(failures: number): number {
  return Math.min(firstWait * 2 ** (failures - 1), longestWait) * (0.5 + Math.random() / 2)
}

/** The waits after failures in a row, in milliseconds: from the first, doubled each time, up to the longest. */
const firstWait = 500
const longestWait = 30_000

/** So many requests in a row that are refused for a limit, without an answer between them, are a storm. */
const refusalsOfStorm = 4

/**
 * A provider that refuses one request after the other. A row that waits by itself does not help then, since all the others
 * go on asking, and the retries of each are soon used up.
 */
export class Storm {
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

/** How long to wait after so many failures in a row. Half of it is left to chance, so that not all come again together. */
export function growingWait(failures: number): number {
  return Math.min(firstWait * 2 ** (failures - 1), longestWait) * (0.5 + Math.random() / 2)
}

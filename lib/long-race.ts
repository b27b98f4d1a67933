/**
 * Races against one promise that lives long, such as the end of a connection. `Promise.race` would leave something behind at it
 * with each race, until it is settled.
 */
export class LongRace {
  /** The long promise. */
  readonly end: Promise<never> | Promise<void>
  readonly #racing = new Set<() => void>()
  #isOver = false

  constructor(end: Promise<never> | Promise<void>) {
    this.end = end
    const settleAll = () => {
      this.#isOver = true
      for (const settle of this.#racing) settle()
    }
    end.then(settleAll, settleAll)
  }

  /** Whether the long promise is settled: each race is over at once. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** How many races go on. */
  get size(): number {
    return this.#racing.size
  }

  /** Settles like the one of the two that is settled first. */
  against<Reply>(other: Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      // What it resolves with, where it does, nobody reads.
      const settle = () => resolve(this.end as Promise<never>)
      if (this.#isOver) settle()
      else this.#racing.add(settle)
      other.then(resolve, reject).finally(() => this.#racing.delete(settle))
    })
  }
}

/** Whether only a small part is run. */
export const isShort: boolean = process.env.LONG_SHORT === '1'

export const seed: number = Number(process.env.LONG_SEED ?? 1)

/** How many cases to try. */
export function cases(long: number, short: number): number {
  return isShort ? short : long
}

/** Random choices that can be made again: the same for the same seed and name. */
export class Choice {
  #state: number

  constructor(name: string, given: number = seed) {
    this.#state = given >>> 0
    for (const character of name)
      this.#state = Math.imul(this.#state ^ (character.codePointAt(0) ?? 0), 2_654_435_761) >>> 0
  }

  /** From 0 up to a number, without that. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit)
  }

  of<Item>(items: readonly Item[]): Item {
    // There is always one to choose.
    return items[this.below(items.length)] as Item
  }

  /** True in so many of 100 cases. */
  percent(share: number): boolean {
    return this.below(100) < share
  }

  /** The same items in another order. */
  shuffled<Item>(items: readonly Item[]): Item[] {
    const left = [...items]
    return Array.from({ length: left.length }, () => left.splice(this.below(left.length), 1)[0] as Item)
  }

  /** mulberry32, which is small and good enough. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Cuts bytes or a text at random places. */
export function randomPieces<Text extends Buffer | string>(
  choice: Choice,
  whole: Text,
  most: number
): Text[] {
  const pieces: Text[] = []
  for (let at = 0; at < whole.length; ) {
    const next = at + 1 + choice.below(choice.percent(20) ? 3 : most)
    pieces.push((typeof whole === 'string' ? whole.slice(at, next) : whole.subarray(at, next)) as Text)
    at = next
  }
  return pieces
}

/** A loop that was found. */
export interface Loop {
  /** How long the stretch is that comes again and again, in characters. */
  period: number
  /** How often it came, at the least. */
  times: number
}

/** Characters are looked up by their last eight bits. */
const buckets = 256

/**
 * Finds the same stretch of text many times in a row, character by character.
 *
 * For each length that the stretch may have, it counts how many characters in a row are equal to those so far before. Only
 * the places of the same character, of those that are near enough, are looked at: some twenty of three hundred in prose.
 * The work for each character, and the memory for all, depend on the longest stretch alone.
 */
export class RepetitionDetector {
  readonly #period: number
  /** For each length, how many characters in a row must be equal for a loop. */
  readonly #needed: Int32Array
  /** For each length, how many characters were equal in a row, and where the last of them stands. */
  readonly #equal: Int32Array
  readonly #equalAt: Float64Array
  /** The newest characters, each with the place before it whose character may be the same: rings of one period. */
  readonly #codes: Uint16Array
  readonly #before: Float64Array
  /** The last place of a character, by its bucket. */
  readonly #last: Float64Array
  #place = 0

  /** So many `times` in a row, and so many `characters` in all, are a loop. */
  constructor(period: number, times: number, characters: number) {
    this.#period = period
    this.#needed = new Int32Array(period + 1)
    this.#equal = new Int32Array(period + 1)
    this.#equalAt = new Float64Array(period + 1).fill(-1)
    this.#codes = new Uint16Array(period)
    this.#before = new Float64Array(period)
    this.#last = new Float64Array(buckets).fill(-1)
    for (let length = 1; length <= period; length++) {
      const count = Math.max(times, Math.ceil(characters / length))
      this.#needed[length] = length * (count - 1)
    }
  }

  /** Takes more of the text; gives the loop that it closes, if it does. */
  add(text: string): Loop | undefined {
    for (let at = 0; at < text.length; at++) {
      const loop = this.#addCharacter(text.charCodeAt(at))
      if (loop) return loop
    }
    return undefined
  }

  #addCharacter(code: number): Loop | undefined {
    const period = this.#period
    const place = this.#place++
    const bucket = code % buckets
    const newest = this.#last[bucket] as number
    for (let other = newest; other >= 0 && place - other <= period; ) {
      const slot = other % period
      if (this.#codes[slot] === code && this.#isLoop(place - other, place)) return this.#loop(place - other)
      other = this.#before[slot] as number
    }
    this.#codes[place % period] = code
    this.#before[place % period] = newest
    this.#last[bucket] = place
    return undefined
  }

  /** Takes it that a character is equal to the one so far before. Whether that closes a loop. */
  #isLoop(length: number, place: number): boolean {
    const count = this.#equalAt[length] === place - 1 ? (this.#equal[length] as number) + 1 : 1
    this.#equal[length] = count
    this.#equalAt[length] = place
    return count >= (this.#needed[length] as number)
  }

  #loop(period: number): Loop {
    return { period, times: Math.floor((this.#equal[period] as number) / period) + 1 }
  }
}

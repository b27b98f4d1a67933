import type { Readable } from 'node:stream'

/** What one source may read ahead, in bytes: most completions are smaller. */
const most = 1024 * 1024
/** What each may, however many there are: about what one read of a socket brings. */
const least = 64 * 1024
/** What all of them may together, unless they are so many that each has the least. */
const together = 64 * 1024 * 1024

/** How many sources share it. */
let count = 0

/**
 * How far a source reads ahead of its reader if it is not told how far. Few sources may each hold a whole completion, which
 * is then safe when the connection dies; a thousand with slow readers do not fill the memory.
 */
export class ReadAhead {
  #isIn = false

  /** The source begins to read. */
  enter(): void {
    if (this.#isIn) return
    this.#isIn = true
    count++
  }

  /** Gives a source its share as it is now. */
  apply(source: Readable): void {
    const share = Math.max(Math.min(most, together / count), least)
    // Node has no public way to change it while a stream is open; the next push goes by it.
    ;(source as unknown as { _readableState: { highWaterMark: number } })._readableState.highWaterMark = share
  }

  leave(): void {
    if (!this.#isIn) return
    this.#isIn = false
    count--
  }
}

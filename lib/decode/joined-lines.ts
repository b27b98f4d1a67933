/** Lines are joined in groups of this many. */
const groupSize = 1024

/**
 * Lines that are put together, with LF between them. As values of their own, short lines take ten times the room of
 * their text, and so do texts that are added to each other.
 */
export class JoinedLines {
  readonly #groups: string[] = []
  readonly #lines: string[] = []
  #count = 0

  /** How many lines there are. */
  get count(): number {
    return this.#count
  }

  add(line: string): void {
    this.#count++
    this.#lines.push(line)
    if (this.#lines.length === groupSize) this.#groups.push(this.#lines.splice(0).join('\n'))
  }

  /** Gives all of them, and lets go of them. */
  take(): string {
    this.#count = 0
    return [...this.#groups.splice(0), ...this.#lines.splice(0)].join('\n')
  }
}

import { decoded, LargeBytes, largeSize, longestText } from './bytes/large-bytes.js'

/** Parts are joined in groups of so many, or of so many characters. */
const groupSize = 1024
const groupLength = 2 ** 20

/**
 * Parts of a text that are put together, with a separator between them. As values of their own, short parts take ten
 * times the room of their text, and so do texts that are added to each other. A large text is kept as bytes, as long as
 * it is ASCII: put together from parts it would be there twice, until V8 collects them.
 */
export class JoinedText {
  readonly #separator: string
  readonly #groups: string[] = []
  readonly #parts: string[] = []
  /** What is kept as bytes; undefined if nothing is, and false if it is not ASCII. */
  #large: LargeBytes | false | undefined
  #length = 0
  #partsLength = 0
  #count = 0

  constructor(separator: string) {
    this.#separator = separator
  }

  /** How many parts there are. */
  get count(): number {
    return this.#count
  }

  add(part: string): void {
    this.#count++
    // A large part is copied once, with all of them.
    if (part.length > groupLength && this.#parts.length > 0) this.#addGroup()
    this.#parts.push(part)
    this.#partsLength += part.length
    if (this.#parts.length === groupSize || this.#partsLength > groupLength) this.#addGroup()
  }

  /** Gives all of them, and lets go of them. */
  take(): string {
    if (this.#parts.length > 0) this.#addGroup(true)
    const text = this.#large ? this.#large.take(decoded) : this.#groups.join(this.#separator)
    this.#groups.length = 0
    this.#large = undefined
    this.#length = 0
    this.#count = 0
    return text
  }

  #addGroup(isLast = false): void {
    const group = this.#parts.splice(0).join(this.#separator)
    this.#partsLength = 0
    this.#length += group.length
    if (this.#large) return this.#addLarge(this.#large, this.#separator + group)
    this.#groups.push(group)
    const isSmall = this.#length <= largeSize || this.#groups.length === 1
    if (isLast || this.#large === false || isSmall || group.length > largeSize) return
    this.#large = new LargeBytes(longestText)
    this.#addLarge(this.#large, this.#groups.splice(0).join(this.#separator))
  }

  #addLarge(large: LargeBytes, text: string): void {
    const isAscii = Buffer.byteLength(text) === text.length
    if (isAscii && large.addText(text)) return
    if (large.length > 0) this.#groups.push(large.take(decoded), text.slice(this.#separator.length))
    else this.#groups.push(text)
    this.#large = false
  }
}

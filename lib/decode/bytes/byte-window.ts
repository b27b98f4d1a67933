import { isAscii } from 'node:buffer'

const none: Buffer = Buffer.alloc(0)
const noView: DataView = new DataView(new ArrayBuffer(0))

/**
 * Where small buffers are read, in a copy: that takes less time than to make a view of their own memory. It is there
 * for one window at a time; what is handed on while one is read may make another one read.
 */
const desk: Buffer = Buffer.allocUnsafeSlow(4096)
const deskView: DataView = new DataView(desk.buffer)
let isDeskTaken = false

/** Node copies a Latin-1 text of more than a megabyte once, and puts it beside V8's heap: in a fiftieth of the time. */
const longText = 2 ** 20

/**
 * The bytes of a buffer, to be read several at a time, which only a view of the memory that they are in allows. The
 * view and `offset` are for loops that read very many; all other places count from the beginning of the buffer.
 */
export class ByteWindow {
  buffer: Buffer = none
  /** How many of the first bytes of the buffer are meant. */
  length = 0
  view: DataView = noView
  /** Where the buffer begins in the view. */
  offset = 0
  #hasDesk = false

  /** Takes the first bytes of a buffer, and a view of its memory if there is one. They are to be unloaded. */
  load(buffer: Buffer, length: number, view?: DataView): void {
    this.unload()
    this.length = length
    if (!view && length === buffer.length && length <= desk.length && !isDeskTaken) {
      isDeskTaken = true
      this.#hasDesk = true
      desk.set(buffer)
      this.buffer = desk
      this.view = deskView
    } else {
      this.buffer = buffer
      this.view = view ?? new DataView(buffer.buffer)
      this.offset = buffer.byteOffset
    }
  }

  /** Lets go of the bytes. */
  unload(): void {
    if (this.#hasDesk) isDeskTaken = false
    this.#hasDesk = false
    this.buffer = none
    this.length = 0
    this.view = noView
    this.offset = 0
  }

  /** The byte at a place; NaN where there is none. */
  byteAt(place: number): number {
    return place >= 0 && place < this.length ? (this.buffer[place] as number) : Number.NaN
  }

  /** Whether a text stands at a place. */
  holds(piece: Piece, place: number): boolean {
    return place + piece.length <= this.length && piece.isAt(this.view, this.offset + place)
  }

  /** Some of the bytes, decoded. */
  read(start: number, end: number): string {
    const isLong = end - start > longText
    const encoding = isLong && isAscii(this.buffer.subarray(start, end)) ? 'latin1' : 'utf8'
    return this.buffer.toString(encoding, start, end)
  }

  /** Where a byte stands next, or -1. */
  indexOf(byte: number, start: number): number {
    const place = this.buffer.indexOf(byte, start)
    return place < this.length ? place : -1
  }
}

/** A text of printable ASCII and ends of lines, to be found in bytes: eight are compared at a time, as a double. */
export class Piece {
  readonly text: string
  readonly length: number
  /** The text as doubles, of which the last one begins within the one before. None for less than eight bytes. */
  readonly #words: readonly number[]

  constructor(text: string) {
    const bytes = Buffer.from(text)
    // A copy, not a view of a larger text.
    this.text = bytes.toString()
    this.length = bytes.length
    this.#words = wordsOf(bytes)
  }

  /**
   * Whether the text stands at a place in a view, which must not end before it would. Two doubles are equal if and only
   * if all their bits are, but for zeros and what is no number. Eight letters make none of these: the last one would have
   * to be NUL or DEL.
   */
  isAt(view: DataView, place: number): boolean {
    const { length } = this
    if (length < 8) return this.#isShortAt(view, place)
    const words = this.#words
    const last = words.length - 1
    for (let at = 0; at < last; at++) if (view.getFloat64(place + 8 * at, true) !== words[at]) return false
    return view.getFloat64(place + length - 8, true) === words[last]
  }

  #isShortAt(view: DataView, place: number): boolean {
    const { text } = this
    for (let at = 0; at < text.length; at++)
      if (view.getUint8(place + at) !== text.charCodeAt(at)) return false
    return true
  }
}

function wordsOf(bytes: Buffer): number[] {
  const words: number[] = []
  for (let end = 8; end < bytes.length; end += 8) words.push(bytes.readDoubleLE(end - 8))
  if (bytes.length >= 8) words.push(bytes.readDoubleLE(bytes.length - 8))
  // An array that has grown has room for more.
  return words.slice()
}

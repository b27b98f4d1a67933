import { isAscii } from 'node:buffer'

/** The memory of one buffer that grows where it is, as ES2024 has it; Node 20 has it too. */
interface ResizableBuffer extends ArrayBuffer {
  resize(length: number): void
}
type ResizableBufferConstructor = new (length: number, options: { maxByteLength: number }) => ResizableBuffer
const ResizableBuffer = ArrayBuffer as unknown as ResizableBufferConstructor

/**
 * More bytes than this are large. Below that, the fresh pages of memory that grows where it is take longer than the copies
 * of a buffer that doubles.
 */
export const largeSize: number = 16 * 1024 * 1024
/** No text can be longer; V8's limit is half a gigabyte. */
export const longestText: number = 2 ** 29 - 64

/** Memory is taken in steps of this many bytes. */
const step = 4 * 1024 * 1024

/**
 * The bytes of one large event, such as an image. Their memory grows without a copy, and is given back to the system as soon
 * as they are text, not when V8 collects garbage: so the process holds them twice for a moment, not three or four times.
 */
export class LargeBytes {
  readonly #most: number
  #memory: ResizableBuffer | undefined
  length = 0

  /** Takes no more than `most` bytes. */
  constructor(most: number) {
    this.#most = most
  }

  /** Adds bytes. False if there is no room for them; then none are added. */
  add(bytes: Uint8Array): boolean {
    const room = this.#roomFor(bytes.length)
    room?.set(bytes)
    return room !== undefined
  }

  /** Adds a text that is ASCII, likewise: a buffer made of it would be garbage of its size. */
  addText(text: string): boolean {
    const room = this.#roomFor(text.length)
    room?.write(text, 'latin1')
    return room !== undefined
  }

  #roomFor(count: number): Buffer | undefined {
    const start = this.length
    const length = start + count
    if (length > this.#most) return undefined
    try {
      this.#memory ??= new ResizableBuffer(0, { maxByteLength: this.#most })
      if (length > this.#memory.byteLength)
        this.#memory.resize(Math.min(Math.ceil(length / step) * step, this.#most))
    } catch {
      // The system has no such room.
      return undefined
    }
    this.length = length
    return Buffer.from(this.#memory, start, count)
  }

  /** Gives all of them to `read`, and lets go of them when it is back. */
  take<Result>(read: (bytes: Buffer) => Result): Result {
    const memory = this.#memory ?? new ResizableBuffer(0, { maxByteLength: 0 })
    try {
      return read(Buffer.from(memory, 0, this.length))
    } finally {
      memory.resize(0)
      this.#memory = undefined
      this.length = 0
    }
  }
}

/** Decodes bytes that end with a character. Node puts a Latin-1 text beside V8's heap, in a fiftieth of the time. */
export function decoded(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8')
}

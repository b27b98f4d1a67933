/** Room for this many bytes is kept, since small reads hold and take again and again. */
const mostRoomKept = 4096

const none: Buffer = Buffer.alloc(0)

/**
 * Bytes put together, in a copy, since a source may use its buffer again. The room for them doubles, so that each byte
 * is copied a few times at the most, however small the reads are; kept as text, in many pieces, a large event would
 * take several times as long.
 */
export class HeldBytes {
  #room: Buffer = none
  length = 0

  add(bytes: Buffer): void {
    const length = this.length + bytes.length
    if (length > this.#room.length) {
      const room = Buffer.allocUnsafe(Math.max(length, this.length * 2))
      this.#room.copy(room, 0, 0, this.length)
      this.#room = room
    }
    bytes.copy(this.#room, this.length)
    this.length = length
  }

  /** Gives them away, until some are added. */
  take(): Buffer {
    const bytes = this.#room.subarray(0, this.length)
    if (this.#room.length > mostRoomKept) this.#room = none
    this.length = 0
    return bytes
  }
}

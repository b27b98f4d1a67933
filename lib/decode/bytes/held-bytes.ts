/** Room for this many bytes is kept, since small reads hold and take again and again. */
export const mostRoomKept = 4096

const none: Buffer = Buffer.alloc(0)

/**
 * Bytes put together, in a copy, since a source may use its buffer again. The room for them doubles, so that each byte
 * is copied a few times at the most, however small the reads are; kept as text, in many pieces, a large event would
 * take several times as long.
 */
export class HeldBytes {
  /** What is held is at the beginning of this. */
  room: Buffer = none
  /** Of the memory that the room is in. */
  view: DataView | undefined
  length = 0

  /** Adds what stands in the bytes from one place to another. */
  add(bytes: Buffer, start: number, end: number): void {
    const length = this.length + end - start
    if (length > this.room.length) {
      const room = Buffer.allocUnsafe(Math.max(length, this.length * 2))
      this.room.copy(room, 0, 0, this.length)
      this.room = room
      this.view = new DataView(room.buffer)
    }
    // To copy a part of a buffer takes a view of it, and that takes longer to make than to copy an event.
    if (bytes === this.room) bytes.copyWithin(this.length, start, end)
    else this.room.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.length)
    this.length = length
  }

  /** Lets go of them. Those who have the room may read it until some are added. */
  clear(): void {
    if (this.room.length > mostRoomKept) {
      this.room = none
      this.view = undefined
    }
    this.length = 0
  }
}

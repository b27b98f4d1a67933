import type { Transform } from 'node:stream'

/** How many bytes wait before a stage, beside the read that it works on: the same as before Node's own byte streams. */
const mostWaiting = 16_384

/**
 * Makes a stage in object mode count bytes. Node counts objects there, and sixteen reads may be a megabyte. A stage that
 * takes nothing at the moment says so as soon as more than 16 KB wait, and calls for more when all was taken.
 *
 * What it is given besides bytes and strings counts as Node counts it.
 */
export function countWaitingBytes(stream: Transform): void {
  const { write, _read: read } = stream
  let waiting = 0
  let isFull = false

  stream.write = (item: unknown, ...rest: unknown[]): boolean => {
    // The arguments are those of `write`, in whatever form it was called.
    const isAccepted: boolean = Reflect.apply(write, stream, [item, ...rest])
    if (stream.writableLength === 0) {
      waiting = 0
      return isAccepted
    }
    waiting += sizeOf(item)
    if (waiting <= mostWaiting) return isAccepted
    isFull = true
    return false
  }

  stream._read = size => {
    read.call(stream, size)
    if (stream.writableLength > 0) return
    waiting = 0
    if (!isFull) return
    isFull = false
    process.nextTick(() => {
      if (!stream.destroyed && !stream.writableEnded) stream.emit('drain')
    })
  }
}

function sizeOf(item: unknown): number {
  if (typeof item === 'string') return item.length
  // A DataView has no length, and throws for that of memory that was given away.
  return ArrayBuffer.isView(item) && 'length' in item ? item.byteLength : 0
}

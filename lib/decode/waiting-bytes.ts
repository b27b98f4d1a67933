import type { Transform } from 'node:stream'

/** How many bytes may wait before a stage whose reader takes nothing, beside the read that it works on. */
const mostWaiting = 16_384

/**
 * Makes a stage in object mode count bytes. Node counts objects there, and sixteen reads may be a megabyte. While the stage
 * waits for its reader, `write` says that it is full as soon as more than 16 KB wait; it calls for more when all was
 * taken. What it is given besides bytes and strings counts as Node counts it.
 *
 * Returns what the stage is to call behind each item that it has taken. As long as its reader keeps up, that is all it costs.
 */
export function countWaitingBytes(stream: Transform): () => void {
  const { write, _read: read } = stream
  let waiting = 0
  let isFull = false
  let isStalled = false
  // Own properties from the beginning, so that V8 need not change the form of the object later.
  setMethods(false)

  function setMethods(stalled: boolean): void {
    isStalled = stalled
    stream.write = stalled ? writeCounted : write
    stream._read = stalled ? readAll : read
  }

  // `write` may also be given the callback second: what it is given is handed on as it came.
  function writeCounted(item: unknown, encoding?: unknown, callback?: unknown): boolean {
    const isAccepted: boolean = write.call(stream, item, encoding as BufferEncoding, callback as () => void)
    waiting += sizeOf(item)
    if (waiting <= mostWaiting) return isAccepted
    isFull = true
    return false
  }

  /** When Node reads, it takes what waits; but it emits no `drain` if the stage was full by this count only. */
  function readAll(size: number): void {
    read.call(stream, size)
    if (stream.writableLength > 0) return
    setMethods(false)
    waiting = 0
    if (!isFull) return
    isFull = false
    process.nextTick(() => {
      if (!stream.destroyed && !stream.writableEnded) stream.emit('drain')
    })
  }

  return () => {
    if (!isStalled && stream.writableLength > 0) setMethods(true)
  }
}

function sizeOf(item: unknown): number {
  if (typeof item === 'string') return item.length
  // A DataView has no length, and throws for that of memory that was given away.
  return ArrayBuffer.isView(item) && 'length' in item ? item.byteLength : 0
}

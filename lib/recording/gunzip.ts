import { constants, createGunzip } from 'node:zlib'
import { CompletionError } from '../errors.js'
import { LongRace } from '../long-race.js'

/** How much is unpacked at once, in packed bytes. What one of zlib's calls has unpacked before it fails is lost with it. */
const sliceSize = 4096

/** How much is kept to be unpacked a second time, byte by byte, where it is damaged, in packed bytes. */
const mostKept = 64 * 1024 * 1024

/**
 * Unpacks gzip. What is cut gives all that there is of it. What is damaged gives all that stands before the damage, and then
 * fails with `CS_ERR_INVALID_RECORDING`. A recording whose checksum is wrong has no end: nothing of it may be sure.
 */
export async function* unpacked(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = new Unpacker()
  const kept: Uint8Array[] = []
  let size = 0
  // The checksum stands behind the last bytes, so that these wait for it.
  let waiting: Uint8Array | undefined
  try {
    for await (const slice of slicesOf(packed)) {
      const before = size
      size += slice.length
      let bytes: Uint8Array | undefined
      try {
        bytes = await gunzip.add(slice)
      } catch (cause) {
        const found = before <= mostKept ? await beforeDamage(kept, slice) : { bytes: empty, length: 0 }
        yield withoutEnd(Buffer.concat([waiting ?? empty, found.bytes]))
        throw damaged(before + found.length, cause)
      }
      if (size <= mostKept) kept.push(slice)
      else kept.length = 0
      if (!bytes) continue
      if (waiting) yield waiting
      waiting = bytes
    }
    const last = await gunzip.end()
    if (waiting) yield waiting
    if (last.length > 0) yield last
  } finally {
    gunzip.destroy()
  }
}

const empty = new Uint8Array()

const options = {
  // What was written before its process died has no trailer; with this flush its end is no error.
  finishFlush: constants.Z_SYNC_FLUSH,
  // The slices are small: all that one gives fits.
  readableHighWaterMark: Number.MAX_SAFE_INTEGER
}

/** Unpacks slice by slice: what a slice gives is there before the next one is taken. */
class Unpacker {
  readonly #gunzip = createGunzip(options)
  /** Zeros behind its last file end it before its input has. */
  readonly #work = new LongRace(
    new Promise<void>((resolve, reject) => void this.#gunzip.once('end', resolve).once('error', reject))
  )

  async add(slice: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#work.against(new Promise<void>(resolve => void this.#gunzip.write(slice, () => resolve())))
    if (this.#gunzip.errored) throw this.#gunzip.errored
    return this.#gunzip.read() ?? undefined
  }

  async end(): Promise<Uint8Array> {
    const found: Uint8Array[] = []
    this.#gunzip.on('data', bytes => void found.push(bytes)).end()
    // It finishes before it has given the last.
    await this.#work.end
    return Buffer.concat(found)
  }

  destroy(): void {
    this.#gunzip.destroy()
  }
}

/**
 * What a slice gives up to the byte at which it fails, and how many bytes those are: all is unpacked again, and the slice
 * byte by byte.
 */
async function beforeDamage(
  kept: readonly Uint8Array[],
  slice: Uint8Array
): Promise<{ bytes: Uint8Array; length: number }> {
  const gunzip = new Unpacker()
  const found: Uint8Array[] = []
  let length = 0
  try {
    for (const earlier of kept) await gunzip.add(earlier)
    for (; length < slice.length; length++) {
      const bytes = await gunzip.add(slice.subarray(length, length + 1))
      if (bytes) found.push(bytes)
    }
  } catch {
    // Up to here.
  }
  gunzip.destroy()
  return { bytes: Buffer.concat(found), length }
}

/** Without the line that says how the recording ended: a reader goes on, and learns of the damage. */
function withoutEnd(bytes: Buffer): Uint8Array {
  const lineStart = bytes.subarray(0, -1).lastIndexOf(0x0a) + 1
  const isEnd = /^\{"at":[^,]*,"end":/.test(bytes.toString('latin1', lineStart, lineStart + 64))
  return isEnd ? bytes.subarray(0, lineStart) : bytes
}

async function* slicesOf(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const block of blocks)
    for (let at = 0; at < block.length; at += sliceSize) yield block.subarray(at, at + sliceSize)
}

function damaged(place: number, cause: unknown): CompletionError {
  const message = `the packed file is damaged at byte ${place}: what stands before that was read`
  return new CompletionError('CS_ERR_INVALID_RECORDING', message, { cause })
}

import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { constants, createGunzip } from 'node:zlib'
import { invalid } from '../options.js'
import { type Entry, entryOf, invalidRecording } from './format.js'

/** Where a recording is: the path of a file, its URL, or what gives its bytes. */
export type RecordingFile = string | URL | AsyncIterable<Uint8Array | string>

/** How many bytes of a file are read at once: thousands of files may be read at the same time. */
const blockSize = 16 * 1024

/** How many files are open at the same time. A file is open only while a block of it is read. */
const mostOpen = 64

/** The longest line, in characters: an event may have 64 MiB, and base64 and escapes make it longer. */
const longestLine = 256 * 1024 * 1024

export function checkRecordingFile(file: RecordingFile): void {
  const isPath = (typeof file === 'string' && file !== '') || file instanceof URL
  const isIterable = typeof file === 'object' && file !== null && Symbol.asyncIterator in file
  if (!isPath && !isIterable)
    throw invalid('file', file, 'the path or URL of a file, or a stream of its bytes')
}

/** The bytes of a file or stream, unpacked if they are gzip. */
export async function* bytesOf(file: RecordingFile): AsyncGenerator<Uint8Array> {
  const blocks = typeof file === 'string' || file instanceof URL ? blocksOf(file) : buffersOf(file)
  const first = await blocks.next()
  if (first.done) return
  const rest = startingWith(first.value, blocks)
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return yield* rest
  // What was written before its process died has no trailer; with this flush its end is no error.
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })
  const packed = Readable.from(rest)
  packed.on('error', error => void gunzip.destroy(error))
  try {
    yield* packed.pipe(gunzip)
  } finally {
    packed.destroy()
  }
}

/**
 * The entries of one recording, of a file that several may have been appended to. Ends without an `end` where the process
 * that wrote it died; the half line that it may have left is nothing.
 */
export async function* entriesOf(bytes: AsyncIterable<Uint8Array>, index = 0): AsyncGenerator<Entry> {
  let found = -1
  for await (const { line, isWhole } of linesOf(bytes)) {
    const entry = isWhole || found === -1 ? entryOf(line) : entryOfHalf(line)
    if (!entry) continue
    if (found === -1 && entry.kind !== 'beginning') throw invalidRecording('the file is no recording')
    if (entry.kind === 'beginning') found++
    if (found > index) return
    if (found === index) yield entry
    if (found === index && entry.kind === 'end') return
  }
  if (found < index)
    throw invalidRecording(found === -1 ? 'the recording is empty' : `the file has ${found + 1} recordings`)
}

/** A last line without its line end may be whole all the same, where an editor took it off. */
function entryOfHalf(line: string): Entry | undefined {
  try {
    return entryOf(line)
  } catch {
    return undefined
  }
}

async function* linesOf(
  bytes: AsyncIterable<Uint8Array>
): AsyncGenerator<{ line: string; isWhole: boolean }> {
  const decoder = new TextDecoder()
  let parts: string[] = []
  let size = 0
  for await (const block of bytes) {
    const lines = decoder.decode(block, { stream: true }).split('\n')
    for (const [place, line] of lines.entries()) {
      parts.push(line)
      size += line.length
      if (size > longestLine) throw invalidRecording('a line of the recording is too long')
      if (place === lines.length - 1) break
      yield { line: parts.join(''), isWhole: true }
      parts = []
      size = 0
    }
  }
  yield { line: parts.join(''), isWhole: false }
}

async function* startingWith(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

async function* buffersOf(pieces: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
    if (bytes.length > 0) yield bytes
  }
}

async function* blocksOf(path: string | URL): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const block = await readBlock(path, position)
    if (block.length === 0) return
    position += block.length
    yield block
  }
}

let openFiles = 0
const waiting: (() => void)[] = []

async function readBlock(path: string | URL, position: number): Promise<Uint8Array> {
  if (openFiles >= mostOpen) await new Promise<void>(resolve => void waiting.push(resolve))
  else openFiles++
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafeSlow(blockSize), 0, blockSize, position)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } finally {
    const next = waiting.shift()
    if (next) next()
    else openFiles--
  }
}

import { open } from 'node:fs/promises'
import type { CompletionError } from '../errors.js'
import { invalid } from '../options.js'
import { type Entry, entryOf, invalidRecording, noSuchIndex } from './format.js'
import { unpacked } from './gunzip.js'

/** Where a recording is: the path of a file, its URL, or what gives its bytes. */
export type RecordingFile = string | URL | AsyncIterable<Uint8Array | string>

/** How many bytes of a file are read at once: most recordings are read in two. */
const usualBlock = 64 * 1024

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

/** The bytes of a file or stream, unpacked if they are gzip; of a file in blocks of some size. */
export async function* bytesOf(
  file: RecordingFile,
  blockSize: number = usualBlock
): AsyncGenerator<Uint8Array> {
  const isFile = typeof file === 'string' || file instanceof URL
  const blocks = isFile ? blocksOf(file, blockSize) : buffersOf(file)
  const first = await blocks.next()
  if (first.done) return
  const rest = startingWith(first.value, blocks)
  yield* first.value[0] === 0x1f && first.value[1] === 0x8b ? unpacked(rest) : rest
}

/**
 * Reads the entries of one recording, of a file that several may have been appended to: bytes to lines, and each line to its
 * entry when that is wanted, so that a player does not stop to read many at once.
 */
export class EntryReader {
  readonly #index: number
  readonly #decoder = new TextDecoder()
  #found = -1
  #line = 0
  #parts: string[] = []
  #size = 0
  #isOver = false

  constructor(index = 0) {
    this.#index = index
  }

  /** How many recordings have begun so far. */
  get count(): number {
    return this.#found + 1
  }

  /** Whether the recording has come to its end, whatever stands behind it in the file. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Takes the next bytes; gives the lines that end in them. */
  linesOf(bytes: Uint8Array): string[] {
    const lines = this.#decoder.decode(bytes, { stream: true }).split('\n')
    const last = lines.pop() ?? ''
    if (lines.length > 0) lines[0] = this.#begunWith(lines[0] ?? '')
    this.#parts.push(last)
    this.#size += last.length
    if (this.#size > longestLine) throw invalidRecording('a line of the recording is too long')
    return lines
  }

  /** The entry in a line; undefined where it belongs to another recording of the file, or says nothing. */
  entryIn(line: string): Entry | undefined {
    this.#line++
    if (!this.#isOver) return this.#chosen(this.#entryOf(line, this.#line))
    // It may stand behind half a line, and cannot stand in any other.
    if (line.includes('{"recording":')) this.#found++
    return undefined
  }

  /**
   * Takes the end of the file, and gives what its last line holds. A line without its line end may be whole all the same, where
   * an editor took it off; half of one, that the process which wrote it left, is nothing.
   */
  end(): Entry | undefined {
    const line = this.#begunWith('')
    const entry = this.#isOver
      ? undefined
      : this.#chosen(this.#found === -1 ? this.#entryOf(line, this.#line + 1) : entryOfHalf(line))
    if (this.#found >= this.#index) return entry
    throw invalidRecording(this.count === 0 ? 'the recording is empty' : noSuchIndex(this.#index, this.count))
  }

  /** A file that does not begin as a recording is not one that is damaged. */
  #entryOf(line: string, number: number): Entry | undefined {
    if (this.#found === -1 && line.trim() !== '' && !line.includes('"recording"')) throw noRecording()
    return entryOf(line, number)
  }

  #chosen(entry: Entry | undefined): Entry | undefined {
    if (!entry) return undefined
    if (this.#found === -1 && entry.kind !== 'beginning') throw noRecording()
    if (entry.kind === 'beginning') this.#found++
    const isChosen = this.#found === this.#index
    this.#isOver = this.#found > this.#index || (isChosen && entry.kind === 'end')
    return isChosen ? entry : undefined
  }

  #begunWith(rest: string): string {
    const line = this.#parts.join('') + rest
    this.#parts = []
    this.#size = 0
    return line
  }
}

/**
 * The entries of one recording. Ends without an `end` where the process that wrote it died. Reads on to the end of the file
 * where somebody wants to know how many recordings it has.
 */
export async function* entriesOf(
  bytes: AsyncIterable<Uint8Array>,
  index = 0,
  onCount?: (count: number) => void
): AsyncGenerator<Entry> {
  const reader = new EntryReader(index)
  for await (const block of bytes) {
    for (const line of reader.linesOf(block)) {
      const entry = reader.entryIn(line)
      if (entry) yield entry
    }
    if (reader.isOver && !onCount) return
  }
  const last = reader.end()
  if (last) yield last
  onCount?.(reader.count)
}

function noRecording(): CompletionError {
  return invalidRecording(
    'the file is no recording of record: a body as it came has no times to replay, so read the file itself'
  )
}

function entryOfHalf(line: string): Entry | undefined {
  try {
    return entryOf(line)
  } catch {
    return undefined
  }
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

async function* blocksOf(path: string | URL, blockSize: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const block = await readBlock(path, position, blockSize)
    if (block.length === 0) return
    position += block.length
    yield block
    // A block that is not full was the last one: a file that is still written to is not followed.
    if (block.length < blockSize) return
  }
}

let openFiles = 0
const waiting: (() => void)[] = []

async function readBlock(path: string | URL, position: number, blockSize: number): Promise<Uint8Array> {
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

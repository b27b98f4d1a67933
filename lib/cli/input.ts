import { basename } from 'node:path'
import type { Entry } from '../recording/format.js'
import { openRecording } from '../recording/open.js'

/** What a command reads. */
export interface Input {
  /** For messages. */
  readonly name: string
  readonly entries: AsyncIterable<Entry> | Iterable<Entry>
  /** Whether the times are those of the answer: recorded by `record`, or those at which it comes. Any other file has none. */
  readonly hasTimes: boolean
}

/** Opens a file, or standard input where none is named. Rejects with Node's error for a file that cannot be read. */
export async function openInput(
  file: string | undefined,
  index: number,
  onCount?: (count: number) => void
): Promise<Input> {
  const isStdin = file === undefined || file === '-'
  const start = performance.now()
  const opened = await openRecording(isStdin ? process.stdin : file, { index, parse: undefined, onCount })
  const name = isStdin ? 'standard input' : basename(file)
  if (opened.kind === 'recording') return { name, entries: opened.entries, hasTimes: opened.hasTimes }
  return { name, entries: entriesAsTheyCome(opened.bytes, start), hasTimes: isStdin }
}

/** The bytes of an input, without their times. */
export async function* piecesOf({ entries }: Input): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) if (entry.kind === 'piece') yield entry.bytes
}

async function* entriesAsTheyCome(bytes: AsyncIterable<Uint8Array>, start: number): AsyncGenerator<Entry> {
  for await (const piece of bytes) yield { kind: 'piece', at: performance.now() - start, bytes: piece }
}

import { entriesOfExchange } from './exchanges.js'
import { type Entry, invalidRecording, looksRecorded, noSuchIndex } from './format.js'
import { bytesOf, entriesOf, type RecordingFile } from './read.js'

/** What a file is: entries, which have times of their own if `record` wrote them, or nothing but a body. */
export type Opened =
  | {
      readonly kind: 'recording'
      readonly entries: AsyncIterable<Entry> | Iterable<Entry>
      readonly hasTimes: boolean
    }
  | { readonly kind: 'body'; readonly bytes: AsyncIterable<Uint8Array> }

/** How a file is to be read. */
export interface OpenOptions {
  /** Which recording or exchange of the file, from 0. */
  index: number
  /** Reads YAML, in which cassettes may be. */
  parse: ((text: string) => unknown) | undefined
  /** Called with how many recordings or exchanges the file has, behind the last entry of the one that is read. */
  onCount?: ((count: number) => void) | undefined
}

/** How much is looked at to tell what a file is, in characters behind the blanks that it may begin with. */
const longestBeginning = 64

/** How many blanks it may begin with, in bytes. */
const mostBlanks = 1024

/** Tells by its beginning what a file is: a recording, a HAR file, a cassette, or a body as it is. */
export async function openRecording(
  file: RecordingFile,
  { index, parse, onCount }: OpenOptions
): Promise<Opened> {
  const all = bytesOf(file)
  const held: Uint8Array[] = []
  let beginning = ''
  for (let size = 0; beginning.length < longestBeginning && size < mostBlanks; ) {
    const { done, value } = await all.next()
    if (done) break
    held.push(value)
    size += value.length
    beginning = Buffer.concat(held).toString('latin1', 0, mostBlanks).trimStart()
    // A body that comes slowly is not held back: no other file begins like this.
    if (/^(?:data|event|id|retry)?:/.test(beginning)) break
  }
  const bytes = startingWith(held, all)
  if (looksRecorded(beginning))
    return { kind: 'recording', entries: entriesOf(bytes, index, onCount), hasTimes: true }
  const isJson = /^\{\s*"(?:log|http_interactions|interactions|version)"\s*:/.test(beginning)
  const isYaml = /^(?:---\s*)?(?:http_interactions|interactions):/.test(beginning)
  if (!isJson && !isYaml) {
    if (index > 0) throw invalidRecording(noSuchIndex(index, 1, 'body'))
    return { kind: 'body', bytes }
  }
  if (isYaml && !parse)
    throw invalidRecording('the cassette is YAML: give what reads that, as in { parse } of the package yaml')
  const text = await textOf(bytes)
  const read: unknown = isYaml ? parse?.(text) : parsed(text)
  return { kind: 'recording', entries: entriesOfExchange(read, index, onCount), hasTimes: false }
}

async function* startingWith(
  held: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>
): AsyncGenerator<Uint8Array> {
  yield* held
  yield* rest
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(part)
  return Buffer.concat(parts).toString()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidRecording('the file is damaged: it begins as a HAR file or a cassette, but is no JSON')
  }
}

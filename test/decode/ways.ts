import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type ChunksOptions,
  type CompletionError,
  type ServerSentEvent,
  tapUsage,
  toChunks,
  toEvents,
  toText
} from 'completion-streams'
import { inPiecesOf } from '../pieces.js'

/** What became of a body that was read to its text. */
export interface Read {
  text: string
  code?: string
  message?: string
  type?: string
  finishReason?: string
  usage?: object
}

/** How the same body may come: as bytes, text or events, cut at any place. */
export async function waysOf(body: string): Promise<Map<string, Iterable<unknown>>> {
  const bytes = Buffer.from(body)
  const ways = new Map<string, Iterable<unknown>>([
    ['bytes', [bytes]],
    ['bytes one by one', inPiecesOf(bytes, 1)],
    ['text', [body]],
    ['text in pieces of 3', inPiecesOf(body, 3)]
  ])
  // Around each line end, and at some other places.
  const ends = [...body.matchAll(/\n/g)].flatMap(({ index }) => [index, index + 1])
  const places = [...ends, ...Array.from({ length: 8 }, (_, n) => Math.floor((body.length * (n + 1)) / 9))]
  for (const place of new Set(places)) {
    const at = Buffer.byteLength(body.slice(0, place))
    ways.set(`bytes cut at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)])
  }
  return ways
}

/** The events of a body. */
export async function eventsOf(body: string): Promise<ServerSentEvent[]> {
  return Readable.from([body]).pipe(toEvents()).toArray()
}

export async function readIn(pieces: Iterable<unknown>, options: ChunksOptions = {}): Promise<Read> {
  const read: Read = { text: '' }
  const sink = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, callback) {
      read.text += text
      callback()
    }
  })
  const tap = tapUsage(usage => {
    read.usage = usage
  })
  try {
    await pipeline([Readable.from(pieces), toChunks(options), tap, toText(), sink])
  } catch (error) {
    // An error of another class has none of these.
    const { code, message, type, finishReason } = error as CompletionError
    Object.assign(read, { code: code ?? String(error), message, type, finishReason })
  }
  return read
}

const none = { code: undefined, usage: undefined, type: undefined, finishReason: undefined }
const fine = { code: undefined }

/** Reads a body in each way that it may come, and expects the same of all. */
export async function expectRead(
  body: string,
  wanted: Partial<Read>,
  { events = true, ...options }: ChunksOptions & { events?: boolean } = {}
): Promise<void> {
  const ways = await waysOf(body)
  if (events) ways.set('events', await eventsOf(body))
  for (const [name, pieces] of ways) {
    const read = await readIn(pieces, options)
    expect({ ...none, ...read }, `${name}: ${read.message}`).to.deep.include({ ...fine, ...wanted })
  }
}

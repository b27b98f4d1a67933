import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks, toText } from 'completion-streams'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { Stream } from 'openai/streaming'
import split2 from 'split2'
import { objectTransform } from 'through2'

/** Reads bytes in pieces to the last one, and says how many characters of text were in them. */
export type Reader = (pieces: Iterable<Uint8Array>) => number | Promise<number>

/** What a bare loop costs: decoding, splitting, `JSON.parse`, no stream at all. */
export function floor(pieces: Iterable<Uint8Array>): number {
  const decoder = new TextDecoder()
  let characters = 0
  let rest = ''
  for (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines)
      if (line.startsWith('data: {')) characters += textIn(JSON.parse(line.slice(6))).length
  }
  return characters
}

export async function completionStreams(pieces: Iterable<Uint8Array>): Promise<number> {
  const sink = countingSink()
  await pipeline(sourceOf(pieces), toChunks(), toText(), sink)
  return sink.characters
}

/** The official SDK's iterator over a response, as it is used behind `stream: true`. */
export async function officialSdk(pieces: Iterable<Uint8Array>): Promise<number> {
  let characters = 0
  const response = new Response(webSourceOf(pieces))
  for await (const chunk of Stream.fromSSEResponse<object>(response, new AbortController())) {
    characters += textIn(chunk).length
  }
  return characters
}

export async function eventsourceParser(pieces: Iterable<Uint8Array>): Promise<number> {
  let characters = 0
  const events = webSourceOf(pieces)
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
  for await (const { data } of events) {
    if (data !== '[DONE]') characters += textIn(JSON.parse(data)).length
  }
  return characters
}

/** What one writes without a library: lines by split2, the rest by through2. */
export async function splitAndThrough(pieces: Iterable<Uint8Array>): Promise<number> {
  const sink = countingSink()
  const text = objectTransform((line: string, _encoding, callback) => {
    const found = line.startsWith('data: {') ? textIn(JSON.parse(line.slice(6))) : ''
    if (found === '') callback()
    else callback(null, found)
  })
  await pipeline(sourceOf(pieces), split2(), text, sink)
  return sink.characters
}

/** The text of a chunk, in the shortest way: the same for all but the library, which has its own. */
function textIn(chunk: {
  choices?: { delta?: { content?: string } }[]
  type?: string
  delta?: string
}): string {
  if (chunk.choices) return chunk.choices[0]?.delta?.content ?? ''
  return chunk.type === 'response.output_text.delta' ? (chunk.delta ?? '') : ''
}

/** A source that is never waited for, like a socket that has more. */
export function sourceOf(items: Iterable<unknown>, objectMode = false): Readable {
  const iterator = items[Symbol.iterator]()
  return new Readable({
    objectMode,
    read() {
      const { value, done } = iterator.next()
      this.push(done ? null : value)
    }
  })
}

function webSourceOf(pieces: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.iterator]()
  return new ReadableStream({
    pull(controller) {
      const { value, done } = iterator.next()
      if (done) controller.close()
      else controller.enqueue(value)
    }
  })
}

function countingSink(): Writable & { characters: number } {
  const sink = Object.assign(
    new Writable({
      objectMode: true,
      write(text: string, _encoding, callback) {
        sink.characters += text.length
        callback()
      }
    }),
    { characters: 0 }
  )
  return sink
}

import { createReadStream, createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Readable, type Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { byChoice, compose, drain, type Source, tee, toChunks, toEvents, toText } from 'completion-streams'
import through2 from 'through2'

/** A pipeline that runs: when it has ended, and what its sink holds. */
export interface Run {
  done: Promise<unknown>
  held: () => Promise<string>
}

/** Makes a pipeline of a source and the stages of bytes behind it, with a sink that may write to the file at `place`. */
export type Shape = (source: Source<Uint8Array>, stages: Transform[], place: string) => Run

export const shapes: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  [
    'a file',
    (source, stages, place) => ({
      done: pipeline([source, ...stages, toChunks(), toText(), createWriteStream(place)]),
      held: inFile(place)
    })
  ],
  [
    'compose into a file',
    (source, stages, place) => ({
      done: pipeline(composed(source, stages), createWriteStream(place)),
      held: inFile(place)
    })
  ],
  ['for await', (source, stages) => iterated(composed(source, stages))],
  ['a web stream', (source, stages) => iterated(Readable.toWeb(composed(source, stages)))],
  [
    'a tee and a drain',
    (source, stages, place) => ({
      done: pipeline([
        source,
        ...stages,
        toChunks(),
        toText(),
        tee(createWriteStream(place), { onFailure: 'end' }),
        drain()
      ]),
      held: inFile(place)
    })
  ],
  [
    'byChoice',
    (source, stages, place) => ({
      done: pipeline([source, ...stages, toChunks(), byChoice(() => createWriteStream(place))]),
      held: inFile(place)
    })
  ],
  [
    'stages of through2 between',
    (source, stages, place) => ({
      done: pipeline([
        source,
        ...stages,
        toChunks(),
        through(),
        toText(),
        through(),
        createWriteStream(place)
      ]),
      held: inFile(place)
    })
  ],
  [
    'toEvents before toChunks',
    (source, stages, place) => ({
      done: pipeline([source, ...stages, toEvents(), toChunks(), toText(), createWriteStream(place)]),
      held: inFile(place)
    })
  ],
  [
    'a generator between',
    (source, stages) => {
      const sink = keeping(callback => callback())
      return { done: pipeline(composed(source, stages), passing, sink), held: async () => sink.got }
    }
  ],
  [
    'a gzip',
    (source, stages, place) => ({
      done: pipeline([source, ...stages, toChunks(), toText(), createGzip(), createWriteStream(place)]),
      held: inZippedFile(place)
    })
  ],
  [
    'a slow sink',
    (source, stages) => {
      const sink = keeping(callback => void setImmediate(callback), 1)
      return { done: pipeline([source, ...stages, toChunks(), toText(), sink]), held: async () => sink.got }
    }
  ]
])

function composed(source: Source<Uint8Array>, stages: Transform[]) {
  // The types of compose() take a list of any length for none.
  return compose(source, ...(stages as []), toChunks(), toText())
}

function iterated(pieces: AsyncIterable<string>): Run {
  let got = ''
  const read = async () => {
    for await (const piece of pieces) got += piece
  }
  return { done: read(), held: async () => got }
}

async function* passing(pieces: AsyncIterable<string>) {
  for await (const piece of pieces) yield piece
}

function through(): Transform {
  return through2.obj((item, _encoding, callback) => callback(null, item))
}

/** A sink that keeps the text in `got`. */
function keeping(then: (callback: () => void) => void, highWaterMark?: number): Writable & { got: string } {
  const sink = new Writable({
    highWaterMark,
    decodeStrings: false,
    write(piece, _encoding, callback) {
      kept.got += piece
      then(callback)
    }
  })
  const kept = Object.assign(sink, { got: '' })
  return kept
}

function inFile(place: string): () => Promise<string> {
  return () => readFile(place, 'utf8').catch(() => '')
}

function inZippedFile(place: string): () => Promise<string> {
  return async () => {
    const sink = keeping(callback => callback())
    // Without an end where the pipeline has failed.
    const unzipped = createGunzip().setEncoding('utf8')
    await pipeline(createReadStream(place), unzipped, sink).catch(() => {})
    return sink.got
  }
}

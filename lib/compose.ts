import { Duplex, type DuplexOptions, finished } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import pumpify from 'pumpify'
import { inside, outside } from './on-its-way.js'
import { invalid } from './options.js'
import { parts as partsInside } from './reader.js'
import { isIterable, iterableSource } from './source/body/iterable.js'
import { noSource } from './source/body/no-body.js'
import { expectErrorUnread } from './source/on-abort.js'
import { type InputOf, type OutputOf, type Source, type Stage, usedAgain, usedOnce } from './stage.js'

/** A stream that may be composed: this library's, node's, through2's, or any other that reads and writes as they do. */
type Part = NodeJS.ReadableStream | NodeJS.ReadWriteStream

/** What may come first: also an async iterable, such as the official client's stream, or a web stream. */
type FirstPart = Part | AsyncIterable<unknown> | ReadableStream<unknown>

/** A stream, as it is joined to others. */
interface Joint extends Duplex {
  [inside]?: Joint
  [outside]?: Joint
  [partsInside]?: readonly Joint[]
}

/** The streams that are part of a composed one. */
const composed = new WeakSet<object>()

/** The parts as they must be: each takes what the one before it emits. */
type Fitting<Parts extends readonly unknown[]> = Parts extends readonly [
  infer First,
  infer Second,
  ...infer Rest
]
  ? [
      First,
      OutputOf<First> extends InputOf<Second> ? Second : Stage<OutputOf<First>, unknown>,
      ...Tail<Fitting<[Second, ...Rest]>>
    ]
  : Parts

type Tail<Parts extends readonly unknown[]> = Parts extends readonly [unknown, ...infer Rest] ? Rest : []

type Last<Parts extends readonly unknown[]> = Parts extends readonly [...unknown[], infer Part] ? Part : never

type Composed<Parts extends readonly unknown[]> = Parts[0] extends NodeJS.WritableStream
  ? Stage<InputOf<Parts[0]>, OutputOf<Last<Parts>>>
  : Source<OutputOf<Last<Parts>>>

/**
 * Makes several stages one stream that lives and dies as one: a stage from the first one's input to the last
 * one's output, or a source when the first is a source: also an async iterable or a web stream. Streams of other libraries
 * may be among them. Stages that do not fit are a compile error.
 *
 * It is a genuine Duplex of node's, whatever is inside. It fails with what any part fails with, destroys all
 * parts with it, and does nothing before its first read or write.
 *
 * Throws `CS_ERR_INVALID_OPTION` when a part is no stream or was used before, or the last one emits nothing.
 *
 * @example
 * for await (const text of compose(request, toChunks(), toText())) process.stdout.write(text)
 */
export function compose<const Parts extends readonly [FirstPart, ...Part[]]>(
  ...parts: Parts & Fitting<Parts>
): Composed<Parts> {
  const [begin, ...rest] = parts as readonly [FirstPart, ...Part[]]
  const streams = [isIterable(begin) ? iterableSource(begin) : begin, ...rest] as Joint[]
  const first = streams[0]
  const last = streams.at(-1)
  if (!first || !last || !streams.every(isStream))
    throw noSource('a part of compose', streams.find(isNoStream), 'a stream')
  if (streams.some(isUsed) || new Set(streams).size < streams.length) throw usedAgain('a part of compose')
  if (!last.readable) throw invalid('the last part of compose', last, 'a stream that emits something')

  for (const stream of streams) composed.add(stream)
  let line: Joint | undefined
  // Pipes begin to read as soon as they are laid, and a request must not be sent before somebody wants it.
  const start = () => {
    line ??= lay(streams, shell)
    return line
  }
  let drained: (() => void) | undefined
  const options: DuplexOptions & { writable: boolean } = {
    objectMode: true,
    // A Readable does not have this property; for a Duplex only `false` turns the side off.
    writable: first.writable === true,
    read() {
      start()
      last.resume()
    },
    write(item, encoding, callback) {
      start()
      if (first.write(item, encoding)) callback()
      else drained = callback
    },
    // The shell finishes when the inner streams have, their last flush included; if that fails, it is destroyed instead.
    final: callback => void start().end((error?: Error | null) => error || callback()),
    destroy(error, callback) {
      for (const stream of streams) stream.destroy(error ?? undefined)
      callback(error)
    }
  }
  const shell: Joint = new Duplex(options)
  shell[partsInside] = streams
  const fail = (error: Error) => {
    if (error.name === 'AbortError') expectErrorUnread(shell)
    shell.destroy(error)
  }
  for (const stream of streams) {
    stream.on('error', fail)
    // When one part is closed, all are, even if no pipe has reported it yet.
    finished(stream, { writable: false }, error => {
      if (error?.code === 'ERR_STREAM_PREMATURE_CLOSE') shell.destroy()
      else if (error) fail(error)
    })
  }
  if (shell.writable)
    first.on('drain', () => {
      const callback = drained
      drained = undefined
      callback?.()
    })
  // What a Duplex emits is anybody's guess to the compiler; the parts have been checked to fit.
  return usedOnce('a composed stream', shell) as Duplex as Composed<Parts>
}

/**
 * Lays the pipes between the parts, and gives what ends them. What the last part emits goes to the shell, and what is written
 * to the shell goes to the first part, both past the stream that joins them: it has queues of its own, which cost each item
 * as much as a stage.
 */
function lay(streams: readonly Joint[], shell: Joint): Joint {
  const [first, ...rest] = streams as [Joint, ...Joint[]]
  const last = rest.at(-1) ?? first
  // A part that fails in order must see the reader of the shell; so must a stage before the shell.
  shell[inside] = first
  last[outside] = shell
  let line = first
  if (rest.length > 0) {
    const joined = new pumpify.obj(first, ...rest)
    // Its own reader of the last part; the types do not know that null takes it off.
    joined.setReadable(null as unknown as Joint)
    joined.on('error', error => shell.destroy(error))
    line = joined
  }
  let isEnded = false
  last.on('data', item => {
    if (!shell.push(item)) last.pause()
  })
  last.on('end', () => {
    isEnded = true
    shell.push(null)
  })
  last.on('close', () => {
    if (!isEnded) shell.destroy()
  })
  return line
}

function isStream(part: unknown): boolean {
  return typeof part === 'object' && part !== null && 'pipe' in part && 'on' in part && 'destroy' in part
}

function isNoStream(part: unknown): boolean {
  return !isStream(part)
}

function isUsed(stream: Joint): boolean {
  // Of a composed source Node says that its other side, which it never had, has ended.
  const isSource = stream[partsInside] !== undefined && !stream[partsInside][0]?.writable
  return (stream.writableEnded && !isSource) || stream.readableEnded || composed.has(stream)
}

import { Duplex, type DuplexOptions, finished, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import pumpify from 'pumpify'
import { inside, outside } from './on-its-way.js'
import { invalid } from './options.js'
import { parts as partsInside } from './reader.js'
import { isIterable, iterableSource } from './source/iterable.js'
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

/** What `for await` goes through. */
type Items = ReturnType<Readable[typeof Symbol.asyncIterator]>

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
    throw invalid('a part of compose', streams.find(isNoStream), 'a stream')
  if (streams.some(isUsed) || new Set(streams).size < streams.length) throw usedAgain('a part of compose')
  if (!last.readable) throw invalid('the last part of compose', last, 'a stream that emits something')

  for (const stream of streams) composed.add(stream)
  // What a Duplex emits is anybody's guess to the compiler; the parts have been checked to fit.
  return usedOnce('a composed stream', new Shell(streams, first, last)) as Duplex as Composed<Parts>
}

/** What several streams look like from outside: one. */
class Shell extends Duplex implements Joint {
  readonly [partsInside]: readonly Joint[];
  [inside]?: Joint
  readonly #first: Joint
  readonly #last: Joint
  /** What ends the parts, once pipes are laid between them. */
  #line: Joint | undefined
  /** Who takes what the last part emits. */
  #taker: 'shell' | 'iterator' | undefined
  #drained: (() => void) | undefined

  constructor(streams: readonly Joint[], first: Joint, last: Joint) {
    // A Readable does not have this property; for a Duplex only `false` turns the side off. The types do not know it.
    const options: DuplexOptions & { writable: boolean } = {
      objectMode: true,
      writable: first.writable === true
    }
    super(options)
    this[partsInside] = streams
    this.#first = first
    this.#last = last
    for (const stream of streams) {
      stream.on('error', error => this.destroy(error))
      // When one part is closed, all are, even if no pipe has reported it yet.
      finished(stream, { writable: false }, error => {
        if (error) this.destroy(error.code === 'ERR_STREAM_PREMATURE_CLOSE' ? undefined : error)
      })
    }
    if (this.writable)
      first.on('drain', () => {
        const callback = this.#drained
        this.#drained = undefined
        callback?.()
      })
  }

  override _read(): void {
    if (this.#taker === 'iterator') return
    this.#begin()
    if (!this.#taker) {
      this.#taker = 'shell'
      this.#last.on('data', item => {
        if (!this.push(item)) this.#last.pause()
      })
    }
    this.#last.resume()
  }

  override _write(item: unknown, encoding: BufferEncoding, callback: () => void): void {
    this.#begin()
    if (this.#first.write(item, encoding)) callback()
    else this.#drained = callback
  }

  /** The shell finishes when the streams inside have, their last flush included; if that fails, it is destroyed instead. */
  override _final(callback: () => void): void {
    this.#begin().end((error?: Error | null) => error || callback())
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    for (const stream of this[partsInside]) stream.destroy(error ?? undefined)
    callback(error)
  }

  /** As Node's own, but past the queue of the shell, which would cost each item as much as a stage does. */
  override [Symbol.asyncIterator](): Items {
    return begunLater(
      () => this.#iterated(),
      () => {
        if (this.#last.destroyed) this.destroy(this.#last.errored ?? undefined)
      }
    )
  }

  #iterated(): Items {
    const isUntouched = !this.#taker && this.readableFlowing === null && this.readableLength === 0
    if (!isUntouched || this.destroyed || this.readableEncoding) return iteratorOf(this)
    this.#taker = 'iterator'
    this.#begin()
    // It carries no item, and is to end all the same. Who iterates learns of a failure from the last part.
    this.on('error', () => {}).resume()
    return this.#last[partsInside] ? this.#last[Symbol.asyncIterator]() : iteratorOf(this.#last)
  }

  /** Pipes begin to read as soon as they are laid, and a request must not be sent before somebody wants it. */
  #begin(): Joint {
    this.#line ??= this.#lay()
    return this.#line
  }

  /**
   * What is written to the shell goes to the first part, and what the last part emits is taken from it, both past the stream
   * that joins them: it has queues of its own, which cost each item as much as a stage.
   */
  #lay(): Joint {
    const [first, ...rest] = this[partsInside] as [Joint, ...Joint[]]
    const last = this.#last
    // A part that fails in order must see the reader of the shell; so must a stage before the shell.
    this[inside] = first
    last[outside] = this
    let isEnded = false
    last.on('end', () => {
      isEnded = true
      this.push(null)
    })
    last.on('close', () => {
      if (!isEnded) this.destroy()
    })
    if (rest.length === 0) return first
    const joined = new pumpify.obj(first, ...rest)
    // Its own reader of the last part; the types do not know that null takes it off.
    joined.setReadable(null as unknown as Joint)
    joined.on('error', error => this.destroy(error))
    return joined
  }
}

/** Begins when the first item is asked for, as Node's iterator does, and says when somebody has left before the end. */
function begunLater(begin: () => Items, onLeave: () => void): Items {
  let items: Items | undefined
  const left = async (result: Promise<IteratorResult<unknown>> | undefined) => {
    try {
      return await result
    } finally {
      onLeave()
    }
  }
  return {
    next() {
      items ??= begin()
      return items.next()
    },
    return: async value => (await left(items?.return?.(value))) ?? { value, done: true },
    throw: async error => (await left(items?.throw?.(error))) ?? Promise.reject(error),
    [Symbol.asyncIterator]() {
      return this
    }
  }
}

/** Node's own, also for streams of its older copies, which take a stream that was destroyed for one that has ended. */
function iteratorOf(stream: Duplex): Items {
  return Readable.prototype[Symbol.asyncIterator].call(stream)
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

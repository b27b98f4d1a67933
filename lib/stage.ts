import type { Readable, Transform, Writable } from 'node:stream'
import { objectTransform } from 'through2'
import { CompletionError } from './errors.js'
import { failInOrder } from './fail-in-order.js'
import { emitHeld } from './on-its-way.js'
import { checkFunction, invalid, settled } from './options.js'

declare const input: unique symbol
declare const output: unique symbol

/**
 * Bytes as streams carry them. Where a stage takes bytes, it also takes them decoded, as strings; the type says
 * nothing of that, so that a stage that emits text, not bytes, does not fit before it.
 */
export type Bytes = Uint8Array

/**
 * A stream that takes `In` and emits `Out`: any of this library's stages. It is an ordinary Node Transform;
 * the types are what `compose` checks its neighbours by, and what `for await` gives.
 */
export interface Stage<In, Out> extends Transform {
  /** Exists for the compiler only. */
  readonly [input]?: (item: In) => void
  /** Exists for the compiler only. */
  readonly [output]?: Out
  /** What a `for await` loop over the stream gives. */
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Out, undefined, undefined>
  /** Second, for the compiler only: Node's types let a stream into `pipeline` or `compose` that iterates over bytes or strings. */
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Anything, undefined, undefined>
}

/** A stream that emits `Out`: where a pipeline begins. */
export interface Source<Out> extends Readable {
  /** Exists for the compiler only. */
  readonly [output]?: Out
  /** What a `for await` loop over the stream gives. */
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Out, undefined, undefined>
  /** Second, for the compiler only, as above. */
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Anything, undefined, undefined>
}

/** What a stream takes: for a stream of another library, anything. */
export type InputOf<Stream> = Stream extends { readonly [input]?: (item: infer In) => void } ? In : unknown

/** What a stream emits: for a stream of another library, anything. */
export type OutputOf<Stream> = Stream extends { readonly [output]?: infer Out }
  ? unknown extends Out
    ? Anything
    : Out
  : Anything

// biome-ignore lint/suspicious/noExplicitAny: what another library's stream emits must fit before every stage
type Anything = any

/** What an object stage does. Whatever it throws, or its promise rejects with, fails the stream in order. */
export interface StageWork<In, Out> {
  /** What messages call the stage by. Default: `a stage`. */
  name?: string
  /**
   * Takes one item; may `push` any number, but neither `null` nor `undefined`, which no stream can carry. The next item
   * waits for the promise.
   */
  transform(item: In, push: (item: Out) => void): void | Promise<void>
  /** Called after the last item, before the stream ends. */
  flush?(push: (item: Out) => void): void | Promise<void>
  /** Called once when the stream is over, with the error if it failed. */
  destroy?(error: Error | null): void | Promise<void>
}

/**
 * The door to through2: a stage from objects to objects. In through2 a throw in the callback form escapes from
 * `write()`, and a plain function that returns a promise hangs the stream; here both are errors of the stream.
 *
 * Throws `CS_ERR_INVALID_OPTION` at the call for work that is wrong. `push` throws it for `null` and `undefined`, which
 * fails the stream.
 *
 * @example
 * const shout = stage<string, string>({ transform: (text, push) => push(text.toUpperCase()) })
 * await pipeline(request, toChunks(), toText(), shout, createWriteStream('answer.txt'))
 */
export function stage<In, Out>(work: StageWork<In, Out>): Stage<In, Out> {
  const { name, transform, flush, destroy } = settled('stage', work, {
    name: 'a stage',
    transform: undefined as unknown as StageWork<In, Out>['transform'],
    flush: undefined as StageWork<In, Out>['flush'],
    destroy: undefined as StageWork<In, Out>['destroy']
  })
  if (typeof name !== 'string') throw invalid('name', name, 'a text')
  checkFunction('transform', transform)
  if (flush !== undefined) checkFunction('flush', flush)
  if (destroy !== undefined) checkFunction('destroy', destroy)

  const stream = objectTransform(
    {
      destroy(error, callback) {
        settle(
          () => destroy?.(error),
          () => callback(error),
          // The stream already has an error; that one is reported.
          failure => callback(error ?? failure)
        )
      }
    },
    (item: In, _encoding, callback) => {
      settle(
        () => transform(item, push),
        callback,
        error => failInOrder(stream, error, callback)
      )
    },
    callback => {
      settle(
        () => flush?.(push),
        callback,
        error => failInOrder(stream, error, callback)
      )
    }
  )
  const push = (item: Out) => {
    // To a Node stream `null` is its end: all that comes later would be lost, and the pipeline would resolve.
    if (item === null || item === undefined) throw pushedNothing(item)
    stream.push(item)
  }
  // readable-stream's Transform is node's in all but `instanceof`.
  return usedOnce(name, stream as Transform as Stage<In, Out>)
}

function pushedNothing(item: unknown): CompletionError {
  const message = `a stage pushed ${item}, which no stream can carry: for an item that is to be left out, push nothing`
  return new CompletionError('CS_ERR_INVALID_OPTION', message)
}

function settle(work: () => void | Promise<void>, done: () => void, fail: (error: Error) => void): void {
  let result: void | Promise<void>
  try {
    result = work()
  } catch (error) {
    return fail(error as Error)
  }
  if (result === undefined) done()
  else Promise.resolve(result).then(() => done(), fail)
}

/** Has a stage emit what it holds before a failure from elsewhere, as it does at its end. */
export function emittingHeld<In, Out>(
  stream: Stage<In, Out>,
  emit: (push: (item: Out) => void) => void
): Stage<In, Out> {
  return Object.assign(stream, { [emitHeld]: () => emit(item => void stream.push(item)) })
}

/**
 * Makes a stage refuse to be used a second time: while a source is piped into it, and when it is over. Node would write
 * after its end, mix two inputs, or wait for ever. Two sources one after the other are allowed if the first did not end
 * the stage. A source that has been read to its end fails it.
 */
export function usedOnce<Stream extends Writable>(name: string, stream: Stream): Stream {
  let source: Readable | undefined
  stream.on('pipe', (next: Readable) => {
    // For a stage that was destroyed before its first use, Node itself reports the error.
    const isOver = stream.writableEnded || (stream.destroyed && source !== undefined)
    // The same source is in its own list already, once more than before.
    const pipesOfOne = source === next ? 1 : 0
    if (isOver || (source !== undefined && pipesInto(source, stream) > pipesOfOne)) {
      next.unpipe(stream)
      throw usedAgain(name)
    }
    source = next
    // To Node that is a source without anything in it, which would be told as an answer that was cut.
    if (next.readableEnded) stream.destroy(usedSource())
  })
  return stream
}

/** Asked when it matters, since listeners for `unpipe` would take memory of every stream. */
function pipesInto(source: Readable, stream: Writable): number {
  const { _readableState: state } = source as { _readableState?: { pipes?: unknown } }
  // Streams of another make do not say into what they are piped.
  if (state?.pipes === undefined) return Number.POSITIVE_INFINITY
  return [state.pipes].flat().filter(other => other === stream).length
}

export function usedSource(): CompletionError {
  const message = 'a source is used a second time, and has nothing left: make a new one for each pipeline'
  return new CompletionError('CS_ERR_INVALID_OPTION', message)
}

export function usedAgain(name: string): CompletionError {
  const message = `${name} is used a second time: a stage is for one stream, so make a new one for each`
  return new CompletionError('CS_ERR_INVALID_OPTION', message)
}

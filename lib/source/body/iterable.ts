import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { failInOrder } from '../../fail-in-order.js'
import { type Body, type BodyReader, readerOf } from './body.js'

/**
 * A source that emits what an async iterable or a web stream gives, one item at a time. Unlike those that Node makes of
 * them, it fails only after its reader has taken everything that came before.
 */
export function iterableSource(iterable: AsyncIterable<unknown> | ReadableStream<unknown>): Readable {
  let reader: BodyReader | undefined
  const source = new Readable({
    objectMode: true,
    highWaterMark: 1,
    read() {
      reader ??= begin()
      reader.resume()
    },
    destroy(error, callback) {
      reader?.cancel(error)
      callback(error)
    }
  })

  function begin(): BodyReader {
    // What its items are is for the stages behind it to check.
    const begun = readerOf(iterable as Body)
    begun.taker = {
      take(item) {
        if (!source.push(item ?? null)) begun.pause()
      },
      over: failure => (failure ? failInOrder(source, failure.error) : void source.push(null))
    }
    return begun
  }
  return source
}

/** Whether a value is an async iterable or a web stream, and no stream of Node's. */
export function isIterable(value: unknown): value is AsyncIterable<unknown> | ReadableStream<unknown> {
  if (typeof value !== 'object' || value === null || 'pipe' in value) return false
  return Symbol.asyncIterator in value || 'getReader' in value
}

import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { failInOrder } from '../fail-in-order.js'
import { type BodyReader, readerOf } from './body.js'

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
      // What its items are is for the stages behind it to check.
      reader ??= readerOf(iterable as AsyncIterable<Uint8Array>)
      reader.read().then(
        item => void source.push(item ?? null),
        error => failInOrder(source, error)
      )
    },
    destroy(error, callback) {
      reader?.cancel(error)
      callback(error)
    }
  })
  return source
}

/** Whether a value is an async iterable or a web stream, and no stream of Node's. */
export function isIterable(value: unknown): value is AsyncIterable<unknown> | ReadableStream<unknown> {
  if (typeof value !== 'object' || value === null || 'pipe' in value) return false
  return Symbol.asyncIterator in value || 'getReader' in value
}

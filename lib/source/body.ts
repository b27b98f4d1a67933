import type { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { CompletionError } from '../errors.js'
import { invalid } from '../options.js'

/** What a body may be: a web stream, a Node stream, or anything that iterates over bytes or strings. */
export type Body = ReadableStream<Uint8Array> | Readable | AsyncIterable<Uint8Array | string>

/** Reads a body piece by piece. */
export interface BodyReader {
  /** The next piece; undefined at the end. Rejects when the body fails, after all that had arrived. */
  read(): Promise<Uint8Array | string | undefined>
  /** Lets the body go, and with it the connection it came over. Never throws. */
  cancel(reason?: unknown): void
}

export function readerOf(body: Body): BodyReader {
  if ('getReader' in body) return webReader(body)
  if ('read' in body && 'on' in body) return nodeReader(body)
  if (Symbol.asyncIterator in body) return iteratorReader(body)
  throw invalid('response', body, 'a response or a stream')
}

function webReader(body: ReadableStream<Uint8Array>): BodyReader {
  const reader = body.getReader()
  return {
    read: async () => (await reader.read()).value,
    // A body that has failed rejects here with what `read` has already told.
    cancel: reason => void reader.cancel(reason).catch(() => {})
  }
}

/**
 * An async iterator over a Node stream gives up what the stream has buffered when it fails; `read` still gives it.
 */
function nodeReader(body: Readable): BodyReader {
  let isOver = body.readableEnded || body.destroyed
  let failure: { error: unknown } | undefined = body.errored ? { error: body.errored } : undefined
  let wake = () => {}
  const over = () => {
    isOver = true
    wake()
  }
  body.on('readable', () => wake())
  body.on('end', over)
  body.on('close', over)
  body.on('error', error => {
    failure ??= { error }
    over()
  })

  return {
    async read() {
      for (;;) {
        const piece = body.read()
        if (piece !== null) return piece
        if (failure) throw failure.error
        if (body.readableEnded) return undefined
        if (isOver) throw new CompletionError('CS_ERR_TRUNCATED', 'the body was closed before its end')
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
    cancel: () => void body.destroy()
  }
}

function iteratorReader(body: AsyncIterable<Uint8Array | string>): BodyReader {
  const iterator = body[Symbol.asyncIterator]()
  return {
    read: async () => {
      const { done, value } = await iterator.next()
      return done ? undefined : value
    },
    cancel: () =>
      void Promise.resolve()
        .then(() => iterator.return?.())
        .catch(() => {})
  }
}

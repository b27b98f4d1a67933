import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AbortError } from '../failure/abort-error.js'
import { checkFunction, checkSignal, settled } from '../options.js'
import { noSource } from '../source/body/no-body.js'
import { onAbort } from '../source/on-abort.js'
import type { Outlet } from './outlet.js'
import { type RespondOptions, respondDefaults, responseSink } from './response-sink.js'

/** The options of `webResponse`. */
export interface WebResponseOptions extends RespondOptions {
  /** Stands for the reader: its abort is taken as the reader's leaving. Give it the `signal` of the `Request`. */
  signal?: AbortSignal
  /** Called once with what the answer failed with, an `AbortError` when the reader has left. Default: nobody is told. */
  onError?: (error: Error) => void
}

/**
 * The same as `respond` for the Fetch API, as in Hono, Next.js route handlers, Deno and Bun: the promise of a `Response` whose
 * body is made of a source of chunks, text or events, often a `compose`d one.
 *
 * The promise settles when the first byte of the answer or its failure is known, so that the status is true: it never
 * rejects but for wrong options. A failure behind the first byte is an error event (`events`, `lines`), or an error of
 * the body (`text`). When the reader leaves, the source is destroyed, which aborts the request. Where a
 * reader comes back to `follow` and nothing is left for it, the status is 204, at which an `EventSource` comes no more.
 *
 * @example
 * const answer = compose(requestCompletion(client, params), toChunks())
 * const response = await webResponse(answer, { as: 'events' })
 */
export async function webResponse(
  source: Readable | AsyncIterable<unknown>,
  options?: WebResponseOptions
): Promise<Response> {
  if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source))
    throw noSource(
      'source',
      source,
      'a stream of chunks, text or events, such as compose(request, toChunks())'
    )
  const { signal, onError, ...rest } = settled('webResponse', options, {
    ...respondDefaults,
    signal: undefined as AbortSignal | undefined,
    onError: (() => {}) as (error: Error) => void
  })
  checkFunction('onError', onError)
  if (signal !== undefined) checkSignal(signal)
  const outlet = new WebOutlet()
  const sink = responseSink('webResponse', outlet, rest)
  const done = pipeline(source, sink)
  // Only now is there somebody who hears of the sink's failure.
  const stopWaiting = signal ? onAbort(signal, () => outlet.leave()) : () => {}
  done
    .catch(onError)
    .finally(stopWaiting)
    // There is nobody to tell what a callback throws when it is told of a failure.
    .catch(() => {})
  return outlet.response
}

/** A response of the Fetch API, that is made when its head is known. */
class WebOutlet implements Outlet {
  readonly response: Promise<Response>
  readonly isOver = false
  isUnopened = true
  /** The request is not known here: a source that goes on behind an id says it. */
  readonly isReturning = false
  readonly isHeadOnly = false
  #resolve: (response: Response) => void = () => {}
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly #encoder = new TextEncoder()
  /** What is to be done when the reader asks for more. */
  #wake: (() => void) | undefined
  #isAsked = false
  #isClosed = false
  #onGone: (() => void) | undefined

  constructor() {
    this.response = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  open(status: number, headers: Readonly<Record<string, string>>): void {
    this.isUnopened = false
    // No body may go with it, not even an empty one.
    if (status === 204) return this.#resolve(new Response(null, { status }))
    const body = new ReadableStream<Uint8Array>(
      {
        start: controller => {
          this.#controller = controller
        },
        pull: () => this.#pull(),
        cancel: () => this.leave()
      },
      // Nothing is asked for before the reader waits for it: then all that was written before has been read.
      { highWaterMark: 0 }
    )
    this.#resolve(new Response(body, { status, headers: { ...headers } }))
  }

  write(text: string, callback: () => void): void {
    if (this.#isClosed) return callback()
    this.#isAsked = false
    this.#controller?.enqueue(this.#encoder.encode(text))
    this.#whenAsked(callback)
  }

  end(callback: () => void): void {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#controller?.close()
    }
    callback()
  }

  /** What is not taken is the reader's own; a body that nobody holds is garbage. */
  endFailed(): void {
    this.end(() => {})
  }

  cut(error: unknown): void {
    this.#whenAsked(() => {
      this.#isClosed = true
      this.#controller?.error(error)
    })
  }

  onGone(listener: () => void): void {
    this.#onGone = listener
  }

  /** The reader wants no more. */
  leave(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#controller?.error(new AbortError())
    this.#onGone?.()
    // Before the head, somebody may still wait for the response.
    if (this.isUnopened) this.#resolve(new Response(null, { status: 499 }))
  }

  #pull(): void {
    this.#isAsked = true
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #whenAsked(callback: () => void): void {
    if (this.#isAsked) callback()
    else this.#wake = callback
  }
}

import { nameOf } from '../chunk/failure/foreign.js'
import { CompletionError } from '../errors.js'
import type { IdTaker } from '../event-id.js'
import { checkLimit, checkOneOf, invalid } from '../options.js'
import { halfCharacter } from './cut-end.js'
import { type EventItem, EventWriter } from './event-writer.js'
import type { FailureBody } from './failure-body.js'
import { lineOf } from './ndjson.js'

/** How a response carries what it is given: as an event stream, as plain text, or as lines of JSON. */
export type ResponseForm = 'events' | 'text' | 'lines'

/** Writes the body of a response. */
export interface ResponseWriter {
  readonly contentType: string
  write(item: unknown): string
  /** What stands at the end of a whole body. */
  end(): string
  /** What stands at the end of one that failed; undefined where nothing can say so, and the connection is to be cut. */
  fail(body: FailureBody): string | undefined
}

/** What writes a form. */
export function writerOf(taker: string, as: ResponseForm, told: IdTaker): ResponseWriter {
  if (as === 'text') return new TextWriter(taker)
  if (as === 'lines') return new LineWriter(taker)
  const writer = new EventWriter(taker, told)
  return {
    contentType: 'text/event-stream; charset=utf-8',
    // What is no item of an event stream is refused there.
    write: item => writer.write(item as EventItem),
    end: () => writer.end(),
    fail: body => writer.fail(body)
  }
}

/** Throws for options that do not go with each other. */
export function checkForm(as: ResponseForm, heartbeat: number): void {
  checkOneOf('as', as, ['events', 'text', 'lines'])
  checkLimit('heartbeat', heartbeat)
  if (heartbeat !== Number.POSITIVE_INFINITY && as !== 'events')
    throw invalid('heartbeat', heartbeat, "nothing unless as is 'events': text and lines have no comments")
}

/** The headers of a body that must reach its reader piece by piece, and be the reader's alone. */
export const streamHeaders: Readonly<Record<string, string>> = {
  // Compressors and caches would hold the pieces back.
  'cache-control': 'no-cache, no-transform',
  // nginx buffers what comes from behind it, unless it is told not to.
  'x-accel-buffering': 'no',
  // Browsers hold the first kilobyte back to guess what it is.
  'x-content-type-options': 'nosniff'
}

class TextWriter implements ResponseWriter {
  readonly contentType = 'text/plain; charset=utf-8'
  readonly #taker: string
  /** Half of a surrogate pair, of which neither half has bytes of its own. */
  #half = ''

  constructor(taker: string) {
    this.#taker = taker
  }

  write(item: unknown): string {
    if (typeof item !== 'string') {
      const message = `${this.#taker} takes text where as is 'text', not ${nameOf(item)}: put toText() before it`
      throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
    }
    const text = this.#half + item
    this.#half = halfCharacter.exec(text)?.[0] ?? ''
    return this.#half === '' ? text : text.slice(0, -1)
  }

  end(): string {
    return this.#half
  }

  fail(): undefined {}
}

class LineWriter implements ResponseWriter {
  readonly contentType = 'application/x-ndjson; charset=utf-8'
  readonly #taker: string

  constructor(taker: string) {
    this.#taker = taker
  }

  write(item: unknown): string {
    return lineOf(this.#taker, item)
  }

  end(): string {
    return ''
  }

  fail(body: FailureBody): string {
    return lineOf(this.#taker, body)
  }
}

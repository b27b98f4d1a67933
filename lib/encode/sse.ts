import { clearTimeout, setTimeout } from 'node:timers'
import type { ServerSentEvent } from '../decode/sse/event-parser.js'
import { type IdTaker, markIdTaker } from '../event-id.js'
import { checkLimit, settled } from '../options.js'
import { type Bytes, type Stage, stage } from '../stage.js'
import { type EventItem, EventWriter } from './event-writer.js'

/** The options of `toSSE`. */
export interface SSEOptions {
  /**
   * After so many milliseconds in which nothing was sent, a comment is, so that proxies hold the connection open. Default:
   * never.
   */
  heartbeat?: number
}

/** A comment, which readers ignore. */
export const comment = ': keep-alive\n\n'

/**
 * Reads chunks, text or events and emits the bytes of an event stream (`text/event-stream`).
 *
 * Chunks go out as their provider sent them, unknown fields included: with `event:` lines for the Responses API, with
 * `[DONE]` at the end for chat and legacy completions. The official SDKs read that, and `toChunks` does. Behind an error there
 * is no end mark. Text goes out so that a browser's `EventSource` gets what was sent, line feeds included; at its end comes
 * an event `done`, and the browser is told not to connect again. Events (`toEvents`, or objects `{ data, event, id }`) go
 * out as they are. For a response to a reader, `respond` also sends the head and tells of failures.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` for anything else.
 *
 * @example
 * await pipeline(request, toChunks(), tapUsage(usage => console.log(usage)), toSSE(), createWriteStream('answer.sse'))
 */
export function toSSE(options?: SSEOptions): Stage<EventItem | ServerSentEvent, Bytes> {
  const { heartbeat } = settled('toSSE', options, { heartbeat: Number.POSITIVE_INFINITY })
  checkLimit('heartbeat', heartbeat)
  const told: IdTaker = {}
  const writer = new EventWriter('toSSE', told)
  const beat = new Heartbeat(heartbeat, () => {
    // A reader that does not keep up needs no sign of life.
    if (encoder.readableLength === 0) encoder.push(Buffer.from(comment))
  })
  const encoder: Stage<EventItem, Bytes> = stage<EventItem, Bytes>({
    name: 'toSSE',
    transform(item, push) {
      beat.again()
      const text = writer.write(item)
      if (text !== '') push(Buffer.from(text))
    },
    flush(push) {
      beat.stop()
      const text = writer.end()
      if (text !== '') push(Buffer.from(text))
    },
    destroy: () => beat.stop()
  })
  encoder.once('pipe', () => beat.again())
  markIdTaker(encoder, told)
  return encoder
}

/** Calls again and again while nothing else happens. */
export class Heartbeat {
  readonly #interval: number
  readonly #beat: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  constructor(interval: number, beat: () => void) {
    this.#interval = interval
    this.#beat = beat
  }

  /** Something happened: the time begins anew. */
  again(): void {
    if (this.#interval === Number.POSITIVE_INFINITY || this.#isOver) return
    if (this.#timer) {
      this.#timer.refresh()
      return
    }
    this.#timer = setTimeout(() => {
      this.#beat()
      this.#timer?.refresh()
    }, this.#interval)
  }

  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }
}

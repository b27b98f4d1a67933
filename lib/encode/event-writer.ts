import { adviceFor, checkChunk } from '../chunk/failure/foreign.js'
import { isResponsesEvent, type LooseChunk } from '../chunk/fields.js'
import { isOpening } from '../chunk/progress.js'
import type { ServerSentEvent } from '../decode/sse/event-parser.js'
import { CompletionError } from '../errors.js'
import { eventIdOf, type IdTaker } from '../event-id.js'
import { halfCharacterOrLineEnd } from './cut-end.js'
import type { FailureBody } from './failure-body.js'
import { lineOf } from './ndjson.js'

/** What an event stream may be made of: a chunk, a text, or an event that goes out as it is. */
export type EventItem = object | string | ServerSentEvent

/** A browser's `EventSource` waits so many milliseconds before it connects again: 24 days, which is never. */
const never = 2_147_483_647
const noReturn = `retry: ${never}\n\n`

/** The end mark of chat and legacy completions, as a text of several events or one. */
const endMark = 'data: [DONE]\n\n'
/** The end of a whole text. */
const doneEvent = `event: done\n${endMark}`

/**
 * Writes chunks, text and events as the text of an event stream.
 *
 * Chunks have their provider's form: an `event:` line for the events of the Responses API, `[DONE]` at the end of the others.
 * Text has a line `data:` for each of its lines, and at the end an event `done`, by which a reader tells a whole text from a
 * cut one. The grammar has no carriage return in data: it arrives as a line feed, as does a carriage return with a line feed.
 */
export class EventWriter {
  #form: 'none' | 'chat' | 'responses' | 'text' | 'events' = 'none'
  /** The end of a text that may belong to what follows: half of a surrogate pair, or of a line end. */
  #held = ''
  readonly #taker: string
  readonly #told: IdTaker
  readonly #isOneAnswer: boolean

  /** With `isOneAnswer`, no end mark stands between chunks, whatever their ids. */
  constructor(taker: string, told: IdTaker = {}, isOneAnswer: boolean = false) {
    this.#taker = taker
    this.#told = told
    this.#isOneAnswer = isOneAnswer
  }

  write(item: EventItem): string {
    if (typeof item === 'string') return this.#text(item)
    if (isEvent(item)) {
      this.#form = 'events'
      return eventOf(item.data, item.event, eventIdOf(item) ?? item.id)
    }
    if (ArrayBuffer.isView(item)) {
      const message = `${this.#taker} takes chunks, text or events, not ${adviceFor(item)}, and nothing that is encoded already`
      throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
    }
    checkChunk(this.#taker, item)
    return this.#chunk(item)
  }

  /** What stands at the end of a stream that is whole. The mark of an answer to which readers come back has an id. */
  end(): string {
    const { endId, isMarkLeft, isReturning } = this.#told
    if (this.#form === 'chat' || (this.#form === 'none' && isMarkLeft))
      return endId === undefined ? endMark : `id: ${oneLine(endId)}\n${endMark}`
    if (this.#form === 'text') return this.#rest() + doneEvent
    // An answer without a word is whole, too; an EventSource would ask for it again and again.
    return this.#form === 'none' && endId === undefined && !isReturning ? noReturn + doneEvent : ''
  }

  /** What stands at the end of a stream that failed, so that no reader takes it for whole. */
  fail(body: FailureBody): string {
    const { error } = body
    if (this.#form === 'responses') {
      const { code, message, param } = error
      return eventOf(JSON.stringify({ type: 'error', code, message, param, error }), 'error')
    }
    // The official client fails at the member `error`, and ignores the names of events that it does not know.
    if (this.#form === 'none' || this.#form === 'chat') return eventOf(JSON.stringify(body))
    return this.#rest() + eventOf(JSON.stringify(body), 'error')
  }

  #chunk(chunk: object): string {
    const { type } = chunk as LooseChunk
    const isEvent = isResponsesEvent(chunk) || type === 'error'
    // A log may hold several completions.
    const isBehindChat =
      this.#form === 'chat' || (this.#form === 'none' && this.#told.isReturning && !isEvent)
    const mark = isBehindChat && isOpening(chunk) && !this.#isOneAnswer ? endMark : ''
    this.#form = isEvent ? 'responses' : 'chat'
    const id = eventIdOf(chunk)
    const head = `${id === undefined ? '' : `id: ${oneLine(id)}\n`}${isEvent ? `event: ${oneLine(String(type))}\n` : ''}`
    return `${mark}${head}data: ${lineOf(this.#taker, chunk)}\n`
  }

  #text(text: string): string {
    // An EventSource that connects again would ask, and pay, for another answer.
    const head = this.#form === 'none' ? noReturn : ''
    this.#form = 'text'
    const all = this.#held + text
    this.#held = halfCharacterOrLineEnd.exec(all)?.[0] ?? ''
    return head + eventOf(this.#held === '' ? all : all.slice(0, -1))
  }

  #rest(): string {
    const held = this.#held
    this.#held = ''
    return eventOf(held)
  }
}

/** An event as text; none for empty data, of which a reader would be told nothing. */
function eventOf(data: string, event = '', id?: string): string {
  const head = `${id === undefined ? '' : `id: ${oneLine(id)}\n`}${event === '' ? '' : `event: ${oneLine(event)}\n`}`
  if (data === '') return ''
  return `${head}data: ${data.replace(/\r\n?|\n/g, '\ndata: ')}\n\n`
}

/** A field of one line: a line end would begin another field. */
function oneLine(value: string): string {
  return value.replace(/[\r\n\0]/g, ' ')
}

function isEvent(item: object): item is ServerSentEvent {
  const { data, choices } = item as Partial<ServerSentEvent> & LooseChunk
  return typeof data === 'string' && choices === undefined
}

import { CompletionError } from '../../errors.js'
import { JoinedText } from '../joined-text.js'
import { LineSplitter, longestIdleComment } from './lines.js'

/** An event of a `text/event-stream` (HTML standard, 9.2.6). */
export interface ServerSentEvent {
  /** The name of the event, when the stream gives it one. */
  event?: string
  /** The data, its lines joined with LF. */
  data: string
  /** The last event id that the stream has set, in this event or before; absent while there is none. */
  id?: string
}

/** What a parser calls back for. */
export interface EventHandlers {
  /** An event; `comment` is the last comment between its name and its end. */
  onEvent(data: string, event: string, id: string, comment: string): void
  /** An event that has a name and no data: the standard drops it. */
  onBareEvent?(event: string, comment: string): void
  /** A line that is neither blank, nor a comment, nor a field of the standard: the standard ignores it. */
  onStrayLine?(line: string): void
  /**
   * Whether the first line of data is a payload of its own. Where the next line is no field, a single line end parts the
   * events, which the standard would join.
   */
  isWhole?(data: string): boolean
  /** Whether that also holds where the next line is data. */
  splitsData?: boolean
}

/**
 * Most events are so far from the limit that nothing has to be measured. So many characters of one event are kept
 * together, at the most, before they are.
 */
const mostUnmeasured = 65_536

/**
 * Reads an event stream by the standard's grammar. What one piece of text holds is called back for before
 * `feed` returns; an event larger than `maxEventSize` bytes makes it throw `CS_ERR_EVENT_TOO_LARGE`, after the
 * events before it.
 */
export class EventParser {
  readonly #handlers: EventHandlers
  readonly #maxEventSize: number
  readonly #lines = new LineSplitter(
    line => this.#takeLine(line),
    () => this.#isIdle
  )
  /** Undefined while the event has no data. */
  #data: string | undefined
  /** All lines of data, if there are more than one. */
  readonly #joined = new JoinedText('\n')
  #event = ''
  /** The name from a line after the data: it may belong to the next event. */
  #nextEvent: string | undefined
  #comment = ''
  #id = ''
  /** Bytes of the lines of this event, but for those that are yet to be measured. */
  #size = 0
  #unmeasured = ''

  constructor(maxEventSize: number, handlers: EventHandlers) {
    this.#maxEventSize = maxEventSize
    this.#handlers = handlers
  }

  /** Whether what comes next begins an event. */
  get isBetweenEvents(): boolean {
    return this.#isBlank && this.#lines.isBetweenLines
  }

  /** Says that an event stood before what comes next. */
  begin(): void {
    this.#lines.begin()
  }

  /** The id that the stream has set last; '' while there is none. */
  get lastEventId(): string {
    return this.#id
  }

  /** Takes the next piece of text. */
  feed(text: string): void {
    this.#lines.feed(text)
    const { carriedBytes } = this.#lines
    if (carriedBytes > 0) this.#check(this.#measured() + carriedBytes)
  }

  /**
   * Takes the end of the input. An event that lacks its blank line is given back instead of called back for:
   * the standard discards it, many servers leave the line out.
   */
  end(): ServerSentEvent | undefined {
    const line = this.#lines.end()
    if (line !== '') this.#takeLine(line)
    if (this.#data === undefined) {
      this.#dispatch()
      return undefined
    }
    const data = this.#joined.count === 0 ? this.#data : this.#joined.take()
    return serverSentEvent(data, this.#nextEvent ?? this.#event, this.#id)
  }

  get #isBlank(): boolean {
    return this.#data === undefined && this.#event === '' && this.#unmeasured === '' && this.#size === 0
  }

  /** Whether blank lines and comments say nothing. Where the limit is small, they are measured. */
  get #isIdle(): boolean {
    return this.#isBlank && this.#maxEventSize >= 3 * longestIdleComment
  }

  #takeLine(line: string): void {
    if (line === '') return this.#dispatch()
    // A character has three bytes at the most: what cannot be too large need not be measured.
    if (this.#size + (this.#unmeasured.length + line.length) * 3 > this.#maxEventSize) {
      this.#check(this.#measured() + Buffer.byteLength(line))
    }
    const colon = line.indexOf(':')
    if (colon === 0) {
      if (this.#event !== '') this.#comment = line.slice(1).trim()
      return
    }
    if (this.#unmeasured.length > mostUnmeasured) this.#measured()
    this.#unmeasured += line
    if (colon === -1) this.#takeField(line, '', line)
    else
      this.#takeField(line.slice(0, colon), line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1), line)
  }

  #takeField(name: string, value: string, line: string): void {
    switch (name) {
      case 'data':
        this.#takeData(value)
        break
      case 'event':
        if (this.#data === undefined) this.#event = value
        else this.#nextEvent = value
        break
      case 'id':
        if (!value.includes('\0')) this.#id = value
        break
      case 'retry':
        // The time to wait before a new connection; what is read here is never asked for again.
        break
      default:
        this.#takeStrayLine(line)
    }
  }

  #takeData(value: string): void {
    if (this.#handlers.splitsData && this.#data !== undefined && this.#isWhole()) this.#dispatchEarly()
    if (this.#data === undefined) this.#data = value
    else {
      if (this.#joined.count === 0) this.#joined.add(this.#data)
      this.#joined.add(value)
    }
  }

  #takeStrayLine(line: string): void {
    const { onStrayLine } = this.#handlers
    if (!onStrayLine) return
    // The event goes out before what the line holds.
    if (this.#data !== undefined && /^[{[]/.test(line) && this.#isWhole()) this.#dispatchEarly()
    onStrayLine(line)
  }

  #isWhole(): boolean {
    return this.#joined.count === 0 && this.#handlers.isWhole?.(this.#data ?? '') === true
  }

  /** Dispatches an event without its blank line. */
  #dispatchEarly(): void {
    const next = this.#nextEvent
    this.#nextEvent = undefined
    this.#dispatch()
    this.#event = next ?? ''
  }

  #dispatch(): void {
    const data = this.#joined.count === 0 ? this.#data : this.#joined.take()
    const event = this.#nextEvent ?? this.#event
    const comment = this.#comment
    this.#data = undefined
    this.#event = ''
    this.#nextEvent = undefined
    this.#comment = ''
    this.#size = 0
    this.#unmeasured = ''
    if (data !== undefined) this.#handlers.onEvent(data, event, this.#id, comment)
    else if (event !== '') this.#handlers.onBareEvent?.(event, comment)
  }

  #measured(): number {
    this.#size += Buffer.byteLength(this.#unmeasured)
    this.#unmeasured = ''
    return this.#size
  }

  #check(size: number): void {
    if (size > this.#maxEventSize) throw eventTooLarge(this.#maxEventSize)
  }
}

export function eventTooLarge(limit: number): CompletionError {
  const message = `an event is larger than ${limit} bytes: raise maxEventSize if events of this size are expected`
  return new CompletionError('CS_ERR_EVENT_TOO_LARGE', message, { limit })
}

/** An event as the stages emit it: a name or an id that the stream does not give is left out. */
export function serverSentEvent(data: string, event: string, id: string): ServerSentEvent {
  const result: ServerSentEvent = { data }
  if (event !== '') result.event = event
  if (id !== '') result.id = id
  return result
}

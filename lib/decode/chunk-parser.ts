import { adviceForToChunks } from '../chunk/failure/foreign.js'
import { otherFormOfText } from '../chunk/failure/other-form.js'
import { isFailureName, providerErrorIn, saysAnything } from '../chunk/failure/provider-error.js'
import { type Chunk, isResponsesEvent, type LooseChunk } from '../chunk/fields.js'
import { isKeepAliveName, isKeepAliveText } from '../chunk/keep-alive.js'
import { Recalled } from '../chunk/responses/recalled.js'
import { markResumed } from '../chunk/responses/resumed.js'
import { isWholeCompletion } from '../chunk/whole.js'
import { CompletionError } from '../errors.js'
import { beginningOf } from '../failure/printable.js'
import type { CompletionReader } from '../reader.js'
import { endMark, isPayload, lastDataOf, parsed, payloadsIn } from './event-data.js'
import { PayloadParser } from './json/payload.js'
import { isCutOff, JsonBody } from './json-body.js'
import { isChunk, type PayloadHandlers, type PayloadOptions, PayloadReader } from './payload-reader.js'
import { EventParser, type ServerSentEvent } from './sse/event-parser.js'
import type { EventScanner } from './sse/event-scanner.js'
import { type Stray, StrayLines } from './stray-lines.js'

/** Data that is a message, as several servers write one: `data: error: …`, `data: [ERROR] …`. */
const textError = /^[[<(]?error\b/i

/** The options of `toChunks`, settled. */
export interface ChunkParserOptions extends PayloadOptions {
  maxEventSize: number
}

/**
 * Members that have no say in whether a chunk reports an error, is a whole completion, or ends one: neither
 * `providerErrorIn` nor `isWholeCompletion` reads them, and `Progress` only in a chunk with another id. Paths from the
 * top of the chunk.
 */
const indifferent =
  /^(?:created|delta|obfuscation|p|sequence_number|(?:timings|usage|choices,\d+,delta(?!,(?:refusal|error))),.+)$/

/** The names of the events about a response as a whole. */
const eventOfResponse = /^response\.[a-z_]+$/

/**
 * Makes chunks of the text of a body, of events, or of chunks, and knows whether they are a whole completion. Chunks that
 * come before an error are called back for before it is thrown.
 */
export class ChunkParser implements CompletionReader {
  readonly #onChunk: (chunk: Chunk) => void
  readonly #maxEventSize: number
  /** Made for the first text: of most streams, all but the end mark is scanned. */
  #events: EventParser | undefined
  #json: JsonBody | undefined
  readonly #reader: PayloadReader
  readonly #payloads: PayloadParser
  readonly #stray: StrayLines
  readonly #overListeners: (() => void)[] = []
  #recalled: Recalled | undefined
  /** Whether the input is known to be events. */
  #isEvents = false
  #sawEvent = false

  constructor(options: ChunkParserOptions, { onChunk, onSkip }: Omit<PayloadHandlers, 'onOver'>) {
    this.#onChunk = onChunk
    this.#maxEventSize = options.maxEventSize
    this.#reader = new PayloadReader(options, {
      onChunk,
      onSkip,
      onOver: () => {
        for (const listener of this.#overListeners) listener()
      }
    })
    this.#payloads = new PayloadParser(isIndifferent, options.maxEventSize)
    this.#stray = new StrayLines(options.maxEventSize)
  }

  get isBetweenEvents(): boolean {
    if (this.#reader.goesOn) return true
    return !this.#json && this.#stray.isEmpty && this.#events?.isBetweenEvents !== false
  }

  get takesPieces(): boolean {
    return this.#json?.isDocument === true
  }

  get heldFailure(): CompletionError | undefined {
    return this.#reader.heldFailure
  }

  /** Whether the completion that was read last is complete. */
  get isComplete(): boolean {
    return this.#reader.progress.complete
  }

  /** Whether it has choices: behind those comes an end mark, which a response does not have. */
  get hasEndMark(): boolean {
    return this.#reader.progress.choices > 0
  }

  /** Takes a chunk that its reader has. */
  recalled(chunk: object): void {
    const { type } = chunk as LooseChunk
    if (typeof type !== 'string' || !isResponsesEvent(chunk)) return
    this.#recalled ??= new Recalled()
    this.#recalled.add(chunk, type)
  }

  /** Takes the first chunk behind those. */
  resumed(chunk: object): void {
    if (this.#recalled) markResumed(chunk, this.#recalled)
    this.#recalled = undefined
  }

  /** Has a function called at each end mark and Responses terminal. */
  onOver(listener: () => void): void {
    this.#overListeners.push(listener)
  }

  /** Says how many choices each completion must have. The user's own option has priority. */
  expect(choices: number): void {
    this.#reader.progress.expected ||= choices
  }

  scan(scanner: EventScanner): void {
    const { bytes } = scanner
    const reader = this.#reader
    while (!scanner.isDone) {
      const next = reader.goesOn ? this.#payloads.parseAgain(bytes, scanner.at, scanner.safeSize) : undefined
      if (next !== undefined) {
        scanner.at = this.#payloads.end
        this.#onChunk(next as Chunk)
        continue
      }
      if (!scanner.find()) {
        if (this.#isEvents && scanner.skipIdle()) continue
        return
      }
      if (isFailureName(scanner.event) || isKeepAliveName(scanner.event)) return
      const value = this.#payloadIn(scanner)
      if (value === undefined) return
      this.#isEvents = true
      this.#events?.begin()
      this.#sawEvent = true
      this.#payloads.expect(scanner)
      const { event, start, end } = scanner
      scanner.take()
      if (!this.#takeNamed(value, event)) this.#doubt(value, bytes.read(start, end))
    }
  }

  feed(text: string): void {
    if (this.#json) this.#json.feed(text)
    else if (this.#isEvents) this.#feedEvents(text)
    else this.#begin(text)
    this.#reader.goesOn = false
  }

  /** Takes an event, or a chunk that an official client has read. */
  take(item: unknown): void {
    if (isEvent(item)) this.#takeEvent(item.data, item.event ?? '')
    else this.#takeObject(item)
    this.#reader.goesOn = false
  }

  /** A server may hold the connection open behind a whole answer in JSON, or behind an error. */
  takeSilence(): void {
    if (!this.#json?.takeWhole(value => isObject(value) && isLastValue(value))) return
    if (this.#reader.progress.allFinished) for (const listener of this.#overListeners) listener()
  }

  takeHeld(): void {
    if (this.#json) this.#json.takeHeld()
    else this.#takeLastEvent()
    this.#reader.goesOn = false
  }

  end(): void {
    if (this.#json) this.#json.end()
    else this.#endEvents()
    this.#reader.close()
  }

  /** An event stream never begins with a brace or a bracket; an answer in JSON always does. */
  #begin(text: string): void {
    const start = text.search(/[^\s\uFEFF]/)
    if (start === -1) return this.#feedEvents(text)
    const isJson = text[start] === '{' || text[start] === '['
    this.#reader.isJson = isJson
    if (isJson) {
      this.#json = this.#newJsonBody()
      this.#json.feed(text.slice(start))
    } else {
      this.#feedEvents(text)
      this.#isEvents = true
    }
  }

  #feedEvents(text: string): void {
    this.#events ??= this.#newEventParser()
    this.#events.feed(text)
  }

  #newEventParser(): EventParser {
    const events = new EventParser(this.#maxEventSize, {
      onEvent: (data, event, _id, comment) => this.#takeEvent(data, event, comment),
      onBareEvent: (event, comment) => {
        if (isFailureName(event)) this.#reader.fail(comment)
      },
      onStrayLine: line => this.#takeStrayLine(line),
      isWhole: isPayload,
      splitsData: true
    })
    // Events were scanned before, so this is not the beginning of the input.
    if (this.#isEvents) events.begin()
    return events
  }

  #newJsonBody(): JsonBody {
    return new JsonBody(this.#maxEventSize, {
      onValue: (value, text) => this.#takeBodyValue(value, text),
      onInvalid: (text, cause) => this.#takeInvalidBody(text, cause),
      onResidue: residue => this.#reader.truncated(residue)
    })
  }

  #endEvents(): void {
    const residue = this.#takeLastEvent()
    if (residue !== undefined) this.#reader.truncated(residue)
    this.#takeStray(this.#stray.take(true, this.#sawEvent), true)
  }

  /** Takes what is whole of an event that lacks its blank line, and gives what is left of it. */
  #takeLastEvent(): string | undefined {
    const last = this.#events?.end()
    if (!last) return undefined
    this.#events = undefined
    const { whole, residue } = lastDataOf(last.data)
    if (whole !== undefined) this.#takeEvent(whole, last.event ?? '')
    return residue
  }

  /** What the event holds; undefined when it is no JSON, or has several lines: the plain parser reads those. */
  #payloadIn(scanner: EventScanner): unknown {
    try {
      const value = this.#payloads.parseIn(scanner.bytes, scanner.start, scanner.end)
      return scanner.hasCarriageReturn() ? undefined : value
    } catch (error) {
      if (error instanceof CompletionError) throw error
      return undefined
    }
  }

  #takeEvent(data: string, event: string, comment = ''): void {
    const payload = data.trim()
    const isEnd = payload === endMark
    // Behind a text of its own, a gateway's end mark says nothing of how the completion has ended.
    const isLast = isEnd && !this.#reader.progress.complete
    if (!this.#stray.isEmpty) this.#takeStray(this.#stray.take(isLast, this.#sawEvent), isLast)
    this.#sawEvent = true
    if (isEnd) return this.#reader.end()
    const isFailure = isFailureName(event)
    if (!isFailure && isKeepAliveText(payload)) return
    let value: unknown
    try {
      value = this.#payloads.parse(payload)
    } catch (cause) {
      if (cause instanceof CompletionError) throw cause
      return this.#takeOddData(payload, event, cause)
    }
    if (isFailure && value !== null) this.#reader.fail(value, statusIn(comment))
    else if (!this.#takeNamed(value, event)) this.#doubt(value, payload)
  }

  /** Data that is no JSON. */
  #takeOddData(payload: string, event: string, cause: unknown): void {
    const error = errorBehind(payload, event)
    if (error) return this.#reader.fail(error)
    if (isFailureName(event) || textError.test(payload)) return this.#reader.fail(payload)
    if (isKeepAliveName(event)) return
    const payloads = payloadsIn(payload)
    if (payloads) for (const each of payloads) this.#takeEvent(each, '')
    else this.#reader.invalid('the data of an event is not JSON', { text: payload, cause })
  }

  /** Some gateways name the events of a Responses stream in the line `event:` only. Others frame keep-alives as events. */
  #takeNamed(value: unknown, event: string): boolean {
    if (event === '') return this.#reader.take(value)
    if (!isObject(value)) return isKeepAliveName(event) || this.#reader.take(value)
    if (isKeepAliveName(event) && !isChunk(value) && providerErrorIn(value) === undefined) return true
    const { type, object } = value as LooseChunk
    const isUntyped = isResponsesEvent({ type: event }) && type === undefined
    // Seen with a proxy of SAP's: the response itself where an event about it belongs.
    const isResponse = object === 'response' && eventOfResponse.test(event)
    // The usage in a terminal makes a chunk of it; but only its type says that it is the end.
    if (!isUntyped || 'choices' in value || ('object' in value && !isResponse))
      return this.#reader.take(value)
    const fields = isResponse ? { response: value } : value
    const isKnown = this.#reader.take({ type: event, ...fields })
    // The template would give the next one without its type.
    this.#reader.goesOn = false
    return isKnown
  }

  /** The beginning of what is no chunk is shown, if no chunk comes at all. */
  #doubt(value: unknown, text: string): void {
    this.#reader.doubt(value, 'nothing in the stream is a completion chunk, it begins with', text)
  }

  #takeObject(item: unknown): void {
    const isItem = isObject(item) && !ArrayBuffer.isView(item) && !Array.isArray(item)
    if (!isItem || !this.#isTaken(item)) throw notTaken(item)
    // A chunk is marked where it opens a completion.
    const value = Object.isExtensible(item) ? item : { ...item }
    if (!this.#reader.take(value)) throw notTaken(item)
  }

  /** A whole completion is none of the chunks that it would have given, but MiniMax sends one as its last chunk. */
  #isTaken(item: object): boolean {
    const isWhole = isWholeCompletion(item) && !isLegacy(item)
    if (isWhole && this.#reader.progress.isNew) return providerErrorIn(item) !== undefined
    return isChunk(item) || providerErrorIn(item) !== undefined
  }

  #takeBodyValue(value: unknown, text: string): void {
    const isKnown = this.#reader.take(value)
    if (!isObject(value)) return
    const isNull = Array.isArray(value) && value.length > 0 && value.every(item => item === null)
    // A body is never a keep-alive alone.
    if (!isKnown || !(this.#reader.hasBegun || isNull))
      this.#reader.doubt(value, 'the body is JSON, but no completion', text)
  }

  /** Event streams are also kept as lines of JSON, by taking the field names off. */
  #takeInvalidBody(text: string, cause: unknown): void {
    const payload = text.trim()
    if (payload === endMark) this.#reader.end()
    else if (/^\s*data:/.test(text)) this.#takeEvent(text.slice(text.indexOf(':') + 1), '')
    else if (!isKeepAliveText(payload) && !/^(event|id|retry):/.test(payload))
      this.#reader.invalid('the body holds what is no JSON', { text, cause })
  }

  #takeStrayLine(line: string): void {
    const stray = this.#stray.add(line, this.#sawEvent)
    if (stray.kind === 'nothing') return
    if (!this.#stray.isEmpty) this.#takeStray(this.#stray.take(false, this.#sawEvent), false)
    this.#takeStray(stray, false)
  }

  #takeStray(stray: Stray, isLast: boolean): void {
    if (stray.kind === 'data') return this.#takeUnframed(stray.text)
    if (stray.kind === 'error') return this.#takeErrorField(stray.text)
    if (stray.kind === 'damaged' && (this.#sawEvent || !isLast)) {
      if (isLast && /^[{[]/.test(stray.text) && isCutOff(stray.text)) this.#reader.truncated(stray.text)
      else this.#reader.invalid('a line is neither a field nor JSON', { text: stray.text })
    } else if (stray.kind !== 'nothing' && isLast && !this.#reader.progress.ended)
      this.#takeStrayText(stray.text)
  }

  /** Data without its field name. What is no chunk is a gateway's. */
  #takeUnframed(text: string): void {
    const payload = text.trim()
    const value = parsed(payload)
    if (!isObject(value)) return this.#takeEvent(payload, '')
    this.#sawEvent = true
    if (this.#reader.take(value)) return
    if (this.#reader.hasBegun) this.#reader.fail(value)
    else this.#doubt(value, payload)
  }

  /** Behind the events, plain text is a gateway's message. */
  #takeStrayText(text: string): void {
    if (this.#sawEvent) return this.#reader.fail(text)
    const form = otherFormOfText(text)
    if (form) this.#reader.invalid(`the body is no event stream: ${form}`)
    else this.#reader.invalid(`the body is no event stream, it begins with: ${beginningOf(text)}`)
  }

  #takeErrorField(text: string): void {
    const json = parsed(text)
    const error = json === undefined ? text : json
    if (saysAnything(error)) this.#reader.fail(error)
  }
}

/** Whether a value in JSON is all that its server has to say. */
function isLastValue(value: object): boolean {
  return isWholeCompletion(value) || providerErrorIn(value) !== undefined
}

/** The status in a comment before the data of an error (DashScope). */
function statusIn(comment: string): number | undefined {
  const [, status] = /^HTTP_STATUS\/(\d{3})$/.exec(comment) ?? []
  return status === undefined ? undefined : Number(status)
}

/** The error in the last line of data, where the lines before are an event that was cut. */
function errorBehind(data: string, event: string): object | undefined {
  const lineFeed = data.lastIndexOf('\n')
  const last = lineFeed === -1 ? undefined : parsed(data.slice(lineFeed + 1))
  return isObject(last) && (isFailureName(event) || providerErrorIn(last) !== undefined) ? last : undefined
}

function isIndifferent(path: readonly string[]): boolean {
  return indifferent.test(path.join())
}

function isEvent(item: unknown): item is ServerSentEvent {
  const { data, choices } = Object(item) as Partial<ServerSentEvent> & LooseChunk
  return typeof data === 'string' && choices === undefined
}

/** A chunk of the legacy API has the form of a whole answer of it. */
function isLegacy({ object }: LooseChunk): boolean {
  return object === 'text_completion'
}

function notTaken(item: unknown): CompletionError {
  return new CompletionError(
    'CS_ERR_INVALID_CHUNK',
    `toChunks takes bytes, strings, events or chunks, not ${adviceForToChunks(item)}`
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

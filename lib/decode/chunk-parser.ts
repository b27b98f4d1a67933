import { type Chunk, choicesOf, isResponsesEvent, type LooseChunk, usageOf } from '../chunk/fields.js'
import { markOpening, Progress } from '../chunk/progress.js'
import { providerErrorIn, toProviderError } from '../chunk/provider-error.js'
import { chunksOf, isWholeCompletion, type WholeCompletion } from '../chunk/whole.js'
import { CompletionError } from '../errors.js'
import { show } from '../options.js'
import { PayloadParser } from './json/payload.js'
import { JsonBody } from './json-body.js'
import { EventParser, type ServerSentEvent } from './sse/event-parser.js'
import type { EventScanner } from './sse/event-scanner.js'

/** The options of `toChunks`, settled. */
export interface ChunkParserOptions {
  onInvalid: 'fail' | 'skip'
  requireEnd: boolean
  maxEventSize: number
}

/** What a parser calls back for. */
export interface ChunkHandlers {
  onChunk(chunk: Chunk): void
  /** A payload that `onInvalid: 'skip'` leaves out. */
  onSkip(): void
}

const endMark = '[DONE]'

/** How much text that is no event is kept for the error that tells of it, and how much of it is shown, in characters. */
const longestStrayText = 65_536
const shownText = 200

/**
 * Members that have no say in whether a chunk reports an error, is a whole completion, or ends one: neither
 * `providerErrorIn` nor `isWholeCompletion` reads them, and `Progress` only in a chunk with another id. Paths from the
 * top of the chunk.
 */
const indifferent = /^(?:created|delta|obfuscation|p|sequence_number|(?:timings|usage|choices,\d+,delta),.+)$/

/**
 * Makes chunks of the text of a body, or of events, and knows whether they are a whole completion. Chunks that
 * come before an error are called back for before it is thrown.
 */
export class ChunkParser {
  readonly #options: ChunkParserOptions
  readonly #handlers: ChunkHandlers
  readonly #events: EventParser
  readonly #json: JsonBody
  readonly #progress = new Progress()
  readonly #payloads = new PayloadParser(path => indifferent.test(path.join()))
  #form: 'unknown' | 'events' | 'json' = 'unknown'
  #sawEvent = false
  #strayText = ''
  /** Whether the newest event was scanned and went on with the completion, so that another one like it does too. */
  #goesOn = false

  constructor(options: ChunkParserOptions, handlers: ChunkHandlers) {
    this.#options = options
    this.#handlers = handlers
    this.#events = new EventParser(options.maxEventSize, {
      onEvent: (data, event) => this.#takeEvent(data, event),
      onStrayLine: line => this.#takeStrayLine(line)
    })
    this.#json = new JsonBody(options.maxEventSize, {
      onValue: (value, text) => this.#takeBodyValue(value, text),
      onInvalid: (text, cause) => this.#takeInvalidBody(text, cause),
      onResidue: residue => this.#truncated(residue)
    })
  }

  get isBetweenEvents(): boolean {
    if (this.#goesOn) return true
    return this.#form !== 'json' && this.#strayText === '' && this.#events.isBetweenEvents
  }

  scan(scanner: EventScanner): void {
    const { bytes } = scanner
    while (!scanner.isDone) {
      const next = this.#goesOn ? this.#payloads.parseAgain(bytes, scanner.at, scanner.safeSize) : undefined
      if (next !== undefined) {
        scanner.at = this.#payloads.end
        this.#handlers.onChunk(next as Chunk)
        continue
      }
      if (!scanner.find() || scanner.event === 'error') return
      const value = this.#payloadIn(scanner)
      if (value === undefined) return
      this.#form = 'events'
      this.#events.begin()
      this.#sawEvent = true
      this.#payloads.expect(scanner)
      scanner.take()
      this.#takeValue(value)
    }
  }

  feed(text: string): void {
    if (this.#form === 'unknown') this.#begin(text)
    else if (this.#form === 'events') this.#events.feed(text)
    else this.#json.feed(text)
    this.#goesOn = false
  }

  take(item: unknown): void {
    const { data, event } = Object(item) as Partial<ServerSentEvent>
    if (typeof data !== 'string') {
      throw new CompletionError(
        'CS_ERR_INVALID_CHUNK',
        `toChunks takes bytes, strings or events, not ${show(item)}`
      )
    }
    this.#takeEvent(data, event ?? '')
    this.#goesOn = false
  }

  end(): void {
    if (this.#form === 'json') this.#json.end()
    else this.#endEvents()
    if (!this.#progress.complete) this.#truncated()
  }

  /** An event stream never begins with a brace or a bracket; an answer in JSON always does. */
  #begin(text: string): void {
    const start = text.search(/[^\s\uFEFF]/)
    if (start === -1) return this.#events.feed(text)
    const isJson = text[start] === '{' || text[start] === '['
    this.#form = isJson ? 'json' : 'events'
    this.feed(isJson ? text.slice(start) : text)
  }

  #endEvents(): void {
    const last = this.#events.end()
    if (last && !isBeginningOfWord(last.data)) {
      if (!isWholePayload(last.data)) this.#truncated(last.data)
      else this.#takeEvent(last.data, last.event ?? '')
    }
    this.#judgeStrayText(true)
  }

  /** What the event holds; undefined when it is no JSON, or no event of one line, of which the plain way tells. */
  #payloadIn(scanner: EventScanner): unknown {
    try {
      const value = this.#payloads.parseIn(scanner.bytes, scanner.start, scanner.end)
      return scanner.hasCarriageReturn() ? undefined : value
    } catch {
      return undefined
    }
  }

  #takeEvent(data: string, event: string): void {
    this.#sawEvent = true
    if (this.#strayText !== '') this.#judgeStrayText(false)
    const payload = data.trim()
    if (payload === endMark) return this.#progress.end()
    if (payload === '' && event !== 'error') return
    let value: unknown
    try {
      value = this.#payloads.parse(payload)
    } catch (cause) {
      if (event === 'error') throw toProviderError(payload)
      return this.#invalid('the data of an event is not JSON', cause)
    }
    if (event === 'error' && value !== null) this.#fail(value)
    this.#takeValue(value)
  }

  #takeValue(value: unknown): void {
    // Some servers keep the connection alive with `data: null`.
    if (value === null) return
    if (typeof value !== 'object') return this.#invalid(`a payload is ${typeof value}, not an object`)
    if (providerErrorIn(value) !== undefined) this.#fail(value)
    if (Array.isArray(value)) this.#takeList(value)
    else if (this.#mayBeWhole(value) && isWholeCompletion(value) && this.#progress.isNew)
      this.#takeWhole(value)
    else this.#emit(value)
  }

  #takeList(values: unknown[]): void {
    for (const value of values) {
      // No provider nests them, and JSON can be nested deeper than a stack goes.
      if (Array.isArray(value)) this.#invalid('a payload is an array of arrays')
      else this.#takeValue(value)
    }
  }

  /** Costs less to ask than `isWholeCompletion`, and rules out the chunks of the legacy API, which look like its whole answers. */
  #mayBeWhole(value: object): boolean {
    const [choice] = choicesOf(value)
    if (!choice) return (value as LooseChunk).object === 'response'
    if (!choice.delta && typeof choice.text !== 'string') return true
    // Of lines of JSON, each may be a whole answer: one of the legacy API has text and usage at once.
    return this.#form === 'json' && usageOf(value) !== undefined
  }

  /** A server that ignored `stream: true` sends the whole completion at once. */
  #takeWhole(whole: WholeCompletion): void {
    for (const chunk of chunksOf(whole)) this.#emit(chunk)
    // A response has a terminal event if it is complete: it may be queued still, or have been cancelled.
    if ('choices' in whole) this.#progress.end()
    this.#goesOn = false
  }

  #takeBodyValue(value: unknown, text: string): void {
    if ((Array.isArray(value) ? value : [value]).every(isForeign)) {
      return this.#invalid(`the body is JSON, but no completion: ${beginningOf(text)}`)
    }
    this.#takeValue(value)
  }

  /** Event streams are also kept as lines of JSON, by taking the field names off. */
  #takeInvalidBody(text: string, cause: unknown): void {
    if (text.trim() === endMark) this.#progress.end()
    else this.#invalid(`the body holds what is no JSON: ${beginningOf(text)}`, cause)
  }

  #emit(value: object): void {
    // Chunks are handed on as the provider sent them: their type is a promise of the provider's.
    const opens = this.#progress.add(value)
    if (opens) markOpening(value)
    this.#goesOn = !opens
    this.#handlers.onChunk(value as Chunk)
  }

  /** An error may sit beside text or usage (OpenRouter, `response.failed`), which are not lost. */
  #fail(payload: unknown): never {
    if (isObject(payload) && isChunk(payload)) this.#emit(payload)
    throw toProviderError(payload)
  }

  #takeStrayLine(line: string): void {
    const [, name = '', value = ''] = /^([\w-]+):\s*(.*)$/s.exec(line) ?? []
    // llama.cpp and GPUStack report an error as a field of its own, which the standard would have ignored.
    if (name.toLowerCase() === 'error') return this.#takeErrorField(value)
    // Behind an event, an unknown field is one; before all events, it may be a text with a colon.
    const isField = name !== '' && this.#sawEvent
    if (!isField && this.#strayText.length + line.length < longestStrayText) this.#strayText += `${line}\n`
  }

  #takeErrorField(value: string): void {
    const json = parsed(value)
    const error = json === undefined ? value : json
    if (providerErrorIn({ error }) !== undefined) throw toProviderError(error)
  }

  /**
   * What is no field of an event stream is ignored by the standard. Here it may be an error that a gateway
   * has put behind the events without a frame, or a whole body that is a page of HTML.
   */
  #judgeStrayText(isLast: boolean): void {
    const text = this.#strayText.trim()
    this.#strayText = ''
    if (text === '') return
    if (text === endMark) return this.#progress.end()
    const value = parsed(text)
    if (isObject(value) && providerErrorIn(value) !== undefined) throw toProviderError(value)
    if (!isLast || this.#progress.ended || isBeginningOfField(text)) return
    if (this.#sawEvent) throw toProviderError(value ?? text)
    this.#invalid(`the body is no event stream, it begins with: ${beginningOf(text)}`)
  }

  #invalid(message: string, cause?: unknown): void {
    if (this.#options.onInvalid === 'fail')
      throw new CompletionError('CS_ERR_INVALID_CHUNK', message, { cause })
    this.#handlers.onSkip()
  }

  #truncated(residue?: string): void {
    if (!this.#options.requireEnd) return
    throw new CompletionError('CS_ERR_TRUNCATED', 'the input ended before the completion was complete', {
      residue
    })
  }
}

/** Whether the data of an event without its blank line is all there: JSON that parses, or no JSON. */
export function isWholePayload(data: string): boolean {
  const payload = data.trim()
  return payload === endMark || !/^[{[]/.test(payload) || parsed(payload) !== undefined
}

/** Whether data may be the beginning of the end mark, or of a `null`: nothing of a completion is lost with it. */
function isBeginningOfWord(data: string): boolean {
  const payload = data.trim()
  return [endMark, 'null'].some(word => word !== payload && word.startsWith(payload))
}

function isChunk(value: object): boolean {
  return (
    choicesOf(value).length > 0 ||
    isResponsesEvent(value) ||
    usageOf(value) !== undefined ||
    isWholeCompletion(value)
  )
}

/** Whether a value is an object of another kind: no chunk, and no error either. */
function isForeign(value: unknown): boolean {
  return isObject(value) && !Array.isArray(value) && providerErrorIn(value) === undefined && !isChunk(value)
}

/** Whether a text at the end of the input is a field whose name, or whose colon, has not arrived. */
function isBeginningOfField(text: string): boolean {
  return ['data', 'event', 'id', 'retry', 'error'].some(name => name.startsWith(text))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function beginningOf(text: string): string {
  return text.slice(0, shownText)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

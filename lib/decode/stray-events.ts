import { saysAnything } from '../chunk/failure/provider-error.js'
import { isTerminal } from '../chunk/fields.js'
import { isKeepAlive } from '../chunk/keep-alive.js'
import { CompletionError } from '../errors.js'
import { endMark, parsed } from './event-data.js'
import { isCutOff } from './json-body.js'
import { isChunk } from './payload-reader.js'
import type { ServerSentEvent } from './sse/event-parser.js'
import { type Stray, StrayLines } from './stray-lines.js'

/**
 * Makes events of lines that the grammar ignores, where they hold what nobody must miss: a chunk that has lost its `data:`,
 * and an error, which has the name `error`. Any other line that is no field is ignored, as the standard says.
 */
export class StrayEvents {
  readonly #emit: (event: ServerSentEvent) => void
  readonly #lines: StrayLines
  /** The last event of the grammar. */
  lastFramed: ServerSentEvent | undefined
  /** The last event that was made here. */
  #last: ServerSentEvent | undefined

  constructor(maxEventSize: number, emit: (event: ServerSentEvent) => void) {
    this.#lines = new StrayLines(maxEventSize)
    this.#emit = emit
  }

  get isEmpty(): boolean {
    return this.#lines.isEmpty
  }

  /** Takes a line that is no field of the standard. */
  add(line: string): void {
    const stray = this.#lines.add(line, this.#isBehindEvents)
    if (stray.kind === 'nothing') return
    this.take(false)
    this.#takeStray(stray, false)
  }

  /** Emits what the lines hold that were kept, before the next event or at the end. */
  take(isLast: boolean): void {
    if (!this.#lines.isEmpty) this.#takeStray(this.#lines.take(isLast, this.#isBehindEvents), isLast)
  }

  get #isBehindEvents(): boolean {
    return (this.#last ?? this.lastFramed) !== undefined
  }

  #takeStray({ kind, ...stray }: Stray, isLast: boolean): void {
    if (!('text' in stray)) return
    const { text } = stray
    if (kind === 'data') this.#takeData(text)
    else if (kind === 'error') {
      const json = parsed(text)
      const error = json === undefined ? text : json
      if (saysAnything(error)) this.#add({ data: text, event: 'error' })
    } else if (kind === 'damaged' && (this.#isBehindEvents || !isLast)) this.#takeDamaged(text, isLast)
    else if (isLast) this.#takeText(text)
  }

  /** Under a damaged field name may stand anything; only a payload is worth an event. */
  #takeData(text: string): void {
    const payload = text.trim()
    if (payload === endMark) return this.#add({ data: payload })
    const value = parsed(payload)
    if (!isObject(value)) return
    const isKnown = Array.isArray(value) || isChunk(value) || isKeepAlive(value)
    // Behind events, JSON without a frame that is no chunk comes from a gateway. Lines of JSON may hold anything.
    if (isKnown || this.lastFramed === undefined) this.#add({ data: payload })
    else this.#add({ data: payload, event: 'error' })
  }

  #takeDamaged(text: string, isLast: boolean): void {
    if (isLast && /^[{[]/.test(text) && isCutOff(text))
      throw new CompletionError('CS_ERR_TRUNCATED', 'the input ended within an event', { residue: text })
    this.#add({ data: text })
  }

  /** Behind events, plain text is a gateway's message, unless the completion was over. Alone it is a body that is no event stream. */
  #takeText(text: string): void {
    if (!this.#isBehindEvents) this.#takeDamaged(text, true)
    else if (![this.lastFramed, this.#last].some(endsCompletion)) this.#add({ data: text, event: 'error' })
  }

  #add(event: ServerSentEvent): void {
    this.#last = event
    this.#emit(event)
  }
}

function endsCompletion(event: ServerSentEvent | undefined): boolean {
  if (!event) return false
  const value = parsed(event.data)
  return event.data.trim() === endMark || (isObject(value) && isTerminal(value))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

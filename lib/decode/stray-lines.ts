import { providerErrorIn } from '../chunk/failure/provider-error.js'
import { isKeepAliveText } from '../chunk/keep-alive.js'
import { endMark, parsed } from './event-data.js'
import { JoinedText } from './joined-text.js'
import { checkDensity } from './json/density.js'
import { isChunk } from './payload-reader.js'
import { eventTooLarge } from './sse/event-parser.js'

/** A part of JSON, as a damaged event leaves it: a member with its name, or the brackets at the end of several values. */
const jsonRemains = /"[\w.-]{1,64}"\s*:|["\]}]\s*[}\]]\s*[}\]]/

/** What a line that is no field of an event stream holds. */
export type Stray =
  | { readonly kind: 'nothing' }
  /** The value of a field named `error`. */
  | { readonly kind: 'error'; readonly text: string }
  /** Data without its field name, or a chunk or an error under another than `data`. */
  | { readonly kind: 'data'; readonly text: string }
  /** JSON that is cut off or damaged. */
  | { readonly kind: 'damaged'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }

const nothing: Stray = { kind: 'nothing' }

/**
 * Keeps the lines of an event stream that are neither fields nor comments. The standard ignores them; here they may be
 * an error that a gateway has put behind the events without a frame, a chunk that has lost its `data:`, or a whole
 * body that is a page of HTML. More of them than one event may have is `CS_ERR_EVENT_TOO_LARGE`.
 */
export class StrayLines {
  readonly #maxSize: number
  readonly #lines = new JoinedText('\n')
  /** Bytes of the lines. */
  #size = 0
  #isDamaged = false

  constructor(maxEventSize: number) {
    this.#maxSize = maxEventSize
  }

  get isEmpty(): boolean {
    return this.#lines.count === 0
  }

  /** Takes a line, and says what it holds, if it holds that by itself. */
  add(line: string, isBehindEvents: boolean): Stray {
    const [, name = '', value = ''] = /^\s*([\w-]+)\s*:\s*(.*)$/s.exec(line) ?? []
    // llama.cpp and GPUStack report an error as a field of its own.
    if (/^error$/i.test(name)) return { kind: 'error', text: value.trim() }
    if (/^data$/i.test(name)) return { kind: 'data', text: value }
    if (this.isEmpty && (line.trim() === endMark || this.#json(line))) return { kind: 'data', text: line }
    if (isBehindEvents && isKeepAliveText(line.trim())) return nothing
    const json = name === '' ? undefined : this.#json(value)
    // The standard ignores a field of an unknown name, but what a server means to be read must not be lost with it.
    if (json && (isChunk(json) || providerErrorIn(json) !== undefined)) return { kind: 'data', text: value }
    const isDamaged = !json && jsonRemains.test(line) && (name === '' || isBehindEvents || isPart(value))
    // Behind an event, an unknown field is one; before all events, it may be a text with a colon.
    const isField = name !== '' && isBehindEvents && !isDamaged
    if (!isField) this.#keep(line, isDamaged)
    return nothing
  }

  /** Says what the lines are that were kept, before the next event or at the end, and lets go of them. */
  take(isLast: boolean, isBehindEvents: boolean): Stray {
    const text = this.#lines.take().trim()
    const isDamaged = this.#isDamaged && !text.startsWith('<')
    this.#size = 0
    this.#isDamaged = false
    const isIdle = isKeepAliveText(text) || text === 'null'
    if (text === '' || (isIdle && (isBehindEvents || !isLast))) return nothing
    if (text === endMark || this.#json(text)) return { kind: 'data', text }
    if (isDamaged) return { kind: 'damaged', text }
    return isLast && isBeginningOfField(text) ? nothing : { kind: 'text', text }
  }

  #keep(line: string, isDamaged: boolean): void {
    this.#size += Buffer.byteLength(line)
    if (this.#size > this.#maxSize) throw eventTooLarge(this.#maxSize)
    this.#lines.add(line)
    if (isDamaged) this.#isDamaged = true
  }

  /** The object or the list that a text is the JSON of, if it is. */
  #json(text: string): object | undefined {
    if (!/^\s*[{[]/.test(text)) return undefined
    checkDensity(text, this.#maxSize)
    return parsed(text) as object | undefined
  }
}

/** Whether the value of a field that is no JSON, but has what remains of some, begins or ends as JSON does. */
function isPart(value: string): boolean {
  return /^[{[]/.test(value) || /[}\]]$/.test(value.trimEnd())
}

/** Whether a text at the end of the input is a field whose name, or whose colon, has not arrived. */
function isBeginningOfField(text: string): boolean {
  return ['data', 'event', 'id', 'retry', 'error'].some(name => name.startsWith(text))
}

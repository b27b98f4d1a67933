import { isKeepAliveText } from '../chunk/keep-alive.js'
import { endMark, parsed } from './event-data.js'

/** How much text that is no event is kept for the error that tells of it, in characters. */
const longestStrayText = 65_536

/** A part of JSON, as a damaged event leaves it: a quote beside a bracket, a colon or a comma. */
const jsonRemains = /["'][:,}\]]|[{[]"/

/** What a line that is no field of an event stream holds. */
export type Stray =
  | { readonly kind: 'nothing' }
  /** The value of a field named `error`. */
  | { readonly kind: 'error'; readonly text: string }
  /** Data without its field name, or under another than `data`. */
  | { readonly kind: 'data'; readonly text: string }
  /** JSON under an unknown field name. */
  | { readonly kind: 'field'; readonly text: string }
  /** JSON that is cut off or damaged. */
  | { readonly kind: 'damaged'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }

const nothing: Stray = { kind: 'nothing' }

/**
 * Keeps the lines of an event stream that are neither fields nor comments. The standard ignores them; here they may be
 * an error that a gateway has put behind the events without a frame, a chunk that has lost its `data:`, or a whole
 * body that is a page of HTML.
 */
export class StrayLines {
  #text = ''

  get isEmpty(): boolean {
    return this.#text === ''
  }

  /** Takes a line, and says what it holds, if it holds that by itself. */
  add(line: string, isBehindEvents: boolean): Stray {
    const [, name = '', value = ''] = /^\s*([\w-]+)\s*:\s*(.*)$/s.exec(line) ?? []
    // llama.cpp and GPUStack report an error as a field of its own.
    if (/^error$/i.test(name)) return { kind: 'error', text: value.trim() }
    if (/^data$/i.test(name)) return { kind: 'data', text: value }
    if (this.isEmpty && (line.trim() === endMark || isJsonObject(line))) return { kind: 'data', text: line }
    if (isBehindEvents && isKeepAliveText(line.trim())) return nothing
    if (name !== '' && isJsonObject(value) && isBehindEvents) return { kind: 'field', text: value }
    // Behind an event, an unknown field is one; before all events, it may be a text with a colon.
    const isField = name !== '' && isBehindEvents && !jsonRemains.test(line)
    if (!isField && this.#text.length + line.length < longestStrayText) this.#text += `${line}\n`
    return nothing
  }

  /** Says what the lines are that were kept, before the next event or at the end, and lets go of them. */
  take(isLast: boolean, isBehindEvents: boolean): Stray {
    const text = this.#text.trim()
    this.#text = ''
    const isIdle = isKeepAliveText(text) || text === 'null'
    if (text === '' || (isIdle && (isBehindEvents || !isLast))) return nothing
    if (text === endMark || isJsonObject(text)) return { kind: 'data', text }
    if (!text.startsWith('<') && jsonRemains.test(text)) return { kind: 'damaged', text }
    return isLast && isBeginningOfField(text) ? nothing : { kind: 'text', text }
  }
}

/** Whether a text is JSON, an object or a list, and all of it. */
function isJsonObject(text: string): boolean {
  return /^\s*[{[]/.test(text) && parsed(text) !== undefined
}

/** Whether a text at the end of the input is a field whose name, or whose colon, has not arrived. */
function isBeginningOfField(text: string): boolean {
  return ['data', 'event', 'id', 'retry', 'error'].some(name => name.startsWith(text))
}

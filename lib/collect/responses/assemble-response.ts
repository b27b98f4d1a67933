import { isTerminal, usageOf } from '../../chunk/fields.js'
import { ResponseItems } from '../../chunk/response-items.js'
import { JoinedText } from '../joined-text.js'
import { isObject } from '../merged-fields.js'

/** An event of the Responses API, as data from outside: any field may be missing, or of another type. */
type LooseEvent = Readonly<Record<string, unknown>>

interface TextOfPart {
  list: 'content' | 'summary'
  type: string
  field: string
}

interface TextOfItem {
  type: string
  field: string
}

/** The events that bring the text of a part in pieces, without `.delta` or `.done`. */
const partTexts: ReadonlyMap<string, TextOfPart> = new Map([
  ['response.output_text', { list: 'content', type: 'output_text', field: 'text' }],
  ['response.refusal', { list: 'content', type: 'refusal', field: 'refusal' }],
  ['response.reasoning_text', { list: 'content', type: 'reasoning_text', field: 'text' }],
  ['response.reasoning_summary_text', { list: 'summary', type: 'summary_text', field: 'text' }]
])

/** The events that bring a text of the item itself in pieces. */
const itemTexts: ReadonlyMap<string, TextOfItem> = new Map([
  ['response.function_call_arguments', { type: 'function_call', field: 'arguments' }],
  ['response.custom_tool_call_input', { type: 'custom_tool_call', field: 'input' }],
  ['response.mcp_call_arguments', { type: 'mcp_call', field: 'arguments' }],
  ['response.code_interpreter_call_code', { type: 'code_interpreter_call', field: 'code' }]
])

const annotationEvent = 'response.output_text.annotation'

/** The events about a part as a whole, without `.added` or `.done`. */
const partEvents: ReadonlySet<string> = new Set([
  'response.content_part',
  'response.reasoning_summary_part',
  annotationEvent
])

/**
 * A response of the Responses API, from its events.
 *
 * The terminal event carries it. Where there is none, or where its `output` is empty though there was one (as
 * the ChatGPT backend sends it), the output is built from the events of its items.
 */
export class ResponseAssembler {
  readonly #items = new ResponseItems(() => new Item())
  #response: Record<string, unknown> | undefined
  #usage: unknown
  #isTerminated = false

  add(event: LooseEvent, type: string): void {
    const { response, item } = event
    this.#usage = usageOf(event) ?? this.#usage
    if (isObject(response)) {
      this.#response = response
      this.#isTerminated ||= isTerminal(event) || type === 'response.failed'
      // The response in the terminal event holds everything.
      if (this.#isTerminated && isFilled(response.output)) this.#items.clear()
      return
    }
    const name = type.replace(/\.[a-z]+$/, '')
    if (type === 'response.output_item.added') this.#items.of(event, type).own.open(item)
    else if (type === 'response.output_item.done') this.#items.of(event, type).own.close(item)
    else if (partEvents.has(name) || partTexts.has(name) || itemTexts.has(name)) {
      this.#items.of(event, type).own.add(event, name, type.endsWith('.delta'))
    }
  }

  result(): Record<string, unknown> {
    const known = this.#response ?? {}
    const items = this.#items.all
      .map(item => [item.index, item] as const)
      .sort(byPlace)
      .map(([, item]) => item)
    const response: Record<string, unknown> = { id: '', object: 'response', ...known }
    response.output =
      items.length > 0 ? items.map(({ own, ids: [id] }) => own.toObject(id)) : (known.output ?? [])
    if (this.#usage !== undefined) response.usage = this.#usage
    if (!this.#isTerminated && items.length > 0) {
      response.status = items.every(({ own }) => own.isDone) ? 'completed' : 'incomplete'
    }
    return withOutputText(response)
  }
}

/** An item of the output, from its own events. */
class Item {
  readonly #texts = new Map<string, JoinedText>()
  readonly #parts = { content: new Map<number, Part>(), summary: new Map<number, Part>() }
  #fields: Record<string, unknown> = {}
  #type = 'message'
  isDone = false

  open(item: unknown): void {
    if (isObject(item)) this.#fields = item
  }

  /** Takes the whole item. What it leaves out stays as it came. */
  close(item: unknown): void {
    this.isDone = true
    if (!isObject(item)) return
    this.#fields = item
    for (const list of ['content', 'summary'] as const) {
      if (isFilled(item[list])) this.#parts[list].clear()
    }
    for (const name of this.#texts.keys()) if (item[name]) this.#texts.delete(name)
  }

  add(event: LooseEvent, name: string, isDelta: boolean): void {
    const itemText = itemTexts.get(name)
    if (itemText) {
      this.#type = itemText.type
      addText(this.#textOf(itemText.field), isDelta ? event.delta : event[itemText.field], isDelta)
      return
    }
    const partText = partTexts.get(name)
    const isSummary = partText?.list === 'summary' || name === 'response.reasoning_summary_part'
    if (isSummary || partText?.type === 'reasoning_text') this.#type = 'reasoning'
    const parts = isSummary ? this.#parts.summary : this.#parts.content
    const place = isSummary ? event.summary_index : event.content_index
    const index = typeof place === 'number' ? place : 0
    const part = parts.get(index) ?? new Part()
    parts.set(index, part)
    if (partText) part.addText(partText, event, isDelta)
    else if (name === annotationEvent) part.addAnnotation(event.annotation)
    else part.open(event.part)
  }

  /** The text in one field of the item, which may have begun when the item was added. */
  #textOf(field: string): JoinedText {
    const known = this.#texts.get(field)
    if (known) return known
    const text = new JoinedText()
    text.add(this.#fields[field])
    this.#texts.set(field, text)
    return text
  }

  toObject(id: string | undefined): Record<string, unknown> {
    const item: Record<string, unknown> = {
      ...startOf(this.#fields.type ?? this.#type, id),
      ...this.#fields
    }
    for (const [name, text] of this.#texts) item[name] = text.value
    for (const list of ['content', 'summary'] as const) {
      const parts = [...this.#parts[list]].sort(byPlace).map(([, part]) => part.toObject())
      if (parts.length > 0) item[list] = parts
    }
    if (!this.isDone && item.type !== 'reasoning') item.status = 'incomplete'
    return item
  }
}

/** A part of an item's `content` or `summary`. */
class Part {
  readonly #text = new JoinedText()
  readonly #annotations: unknown[] = []
  readonly #logprobs: unknown[] = []
  #fields: Record<string, unknown> = {}
  #kind: TextOfPart | undefined

  /** Takes the part as it is when it is added, and again when it is done. */
  open(part: unknown): void {
    if (!isObject(part)) return
    this.#fields = part
    const field = part.type === 'refusal' ? 'refusal' : 'text'
    if (typeof part[field] === 'string' && part[field] !== '') this.#text.replace(part[field])
    if (isFilled(part.annotations)) this.#annotations.length = 0
    if (isFilled(part.logprobs)) this.#logprobs.length = 0
  }

  addText(kind: TextOfPart, event: LooseEvent, isDelta: boolean): void {
    this.#kind = kind
    addText(this.#text, isDelta ? event.delta : event[kind.field], isDelta)
    if (!isDelta || !Array.isArray(event.logprobs)) return
    for (const logprob of event.logprobs) this.#logprobs.push(logprob)
  }

  addAnnotation(annotation: unknown): void {
    this.#annotations.push(annotation)
  }

  toObject(): Record<string, unknown> {
    const part: Record<string, unknown> = { type: this.#kind?.type ?? 'output_text', ...this.#fields }
    const text = this.#text.value
    if (text !== '' || this.#kind) part[part.type === 'refusal' ? 'refusal' : 'text'] = text
    if (part.type === 'output_text') part.annotations ??= []
    if (this.#annotations.length > 0) part.annotations = this.#annotations.slice()
    if (this.#logprobs.length > 0) part.logprobs = this.#logprobs.slice()
    return part
  }
}

/** Adds a piece, or puts the whole text in the place of all pieces, unless the provider left it out there. */
function addText(text: JoinedText, given: unknown, isDelta: boolean): void {
  if (isDelta) text.add(given)
  else if (typeof given === 'string' && given !== '') text.replace(given)
}

/** What an item has that nothing but its deltas came of. */
function startOf(type: unknown, id: unknown): Record<string, unknown> {
  const start = { id: id ?? '', type }
  switch (type) {
    case 'message':
      return { ...start, role: 'assistant', status: 'completed', content: [] }
    case 'reasoning':
      return { ...start, summary: [] }
    default:
      return { ...start, status: 'completed' }
  }
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}

/** Places are data from outside: they are sorted by, and never used as indexes. */
function byPlace([one]: readonly [unknown, unknown], [other]: readonly [unknown, unknown]): number {
  return typeof one === 'number' && typeof other === 'number' ? one - other : 0
}

/**
 * Adds the text of all messages in one, as the official client does. It is no part of the API's own object, and
 * would say all text twice in a log: so it can be read, but is not enumerated. OpenRouter has the field, and sends
 * it empty.
 */
function withOutputText(response: Record<string, unknown>): Record<string, unknown> {
  if (typeof response.output_text === 'string') {
    response.output_text ||= outputText(response.output)
    return response
  }
  return Object.defineProperty(response, 'output_text', {
    configurable: true,
    get: () => outputText(response.output)
  })
}

function outputText(output: unknown): string {
  const texts: string[] = []
  for (const item of Array.isArray(output) ? output : []) {
    if (item?.type !== 'message' || !Array.isArray(item.content)) continue
    for (const part of item.content) {
      if (part?.type === 'output_text' && typeof part.text === 'string') texts.push(part.text)
    }
  }
  return texts.join('')
}

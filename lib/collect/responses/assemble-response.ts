import { isTerminal, usageOf } from '../../chunk/fields.js'
import { type NamedItem, ResponseItems } from '../../chunk/response-items.js'
import {
  type DeltaPlace,
  ItemParts,
  indexIn,
  isAt,
  Part,
  type PartList,
  partsIn,
  placeIn,
  type WholeText
} from '../../chunk/response-parts.js'
import { eventText } from '../../chunk/text.js'
import { ToolArguments } from '../chat/tool-arguments.js'
import { JoinedText } from '../joined-text.js'
import { isObject } from '../merged-fields.js'

/** An event of the Responses API, as data from outside: any field may be missing, or of another type. */
type LooseEvent = Readonly<Record<string, unknown>>

interface TextOfPart {
  list: PartList
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

/** What an item that is said again must not lose where the provider leaves it empty there. */
const kept = ['call_id', 'name', ...new Set([...itemTexts.values()].map(({ field }) => field))]

/** The lists of the parts of an item. */
const lists = ['content', 'summary'] as const

const annotationEvent = 'response.output_text.annotation'

/** The events about a part as a whole, without `.added` or `.done`, and the list that it is in. */
const partEvents: ReadonlyMap<string, PartList> = new Map<string, PartList>([
  ['response.content_part', 'content'],
  ['response.reasoning_summary_part', 'summary']
])

/**
 * A response of the Responses API, from its events.
 *
 * The terminal event carries it. What the terminal lacks is taken from the events before, so that nothing is missing here that
 * the readers of text and calls have given: the ChatGPT backend sends it without an output, SGLang without the calls, and
 * vLLM with the last token as the text.
 */
export class ResponseAssembler {
  readonly #items = new ResponseItems(
    () => new Item(),
    (own, item) => own.fits(item)
  )
  /** The output of the terminal, and the item that each of it is. */
  #output: readonly (readonly [given: unknown, item: NamedItem<Item>])[] = []
  /** How many items came before the terminal. */
  #streamed = 0
  #response: Record<string, unknown> | undefined
  #usage: unknown
  #isTerminated = false
  #last: DeltaPlace<KeptPart> | undefined

  add(event: LooseEvent, type: string): void {
    this.#usage = usageOf(event) ?? this.#usage
    if (this.#last && isAt(this.#last, event, type)) {
      this.#last.part.addDelta(event)
      return
    }
    this.#last = undefined
    const { response } = event
    if (isObject(response)) {
      this.#response = response
      this.#isTerminated ||= isTerminal(event) || type === 'response.failed'
      if (this.#isTerminated && isFilled(response.output)) this.#take(response.output)
      return
    }
    const dot = type.lastIndexOf('.')
    const [name, step] = [type.slice(0, dot), type.slice(dot + 1)]
    if (name === 'response.output_item') this.#addItem(event, type, step)
    else this.#addPiece(event, type, name, step === 'delta')
  }

  #addItem(event: LooseEvent, type: string, step: string): void {
    if (step === 'added') this.#items.of(event, type).own.open(event.item)
    else if (step === 'done') this.#items.of(event, type).own.close(event.item)
  }

  #addPiece(event: LooseEvent, type: string, name: string, isDelta: boolean): void {
    const itemText = itemTexts.get(name)
    if (itemText) return this.#items.of(event, type).own.addText(itemText, event, isDelta)
    const partText = partTexts.get(name)
    if (partText) {
      const part = this.#items.of(event, type).own.addPartText(partText, event, isDelta ? undefined : type)
      if (isDelta) this.#last = placeIn(event, type, part)
      return
    }
    const list = partEvents.get(name)
    if (list) this.#items.of(event, type).own.addPart(list, event, type)
    else if (name === annotationEvent) this.#items.of(event, type).own.addAnnotation(event)
  }

  /** Takes the output of a terminal. */
  #take(output: unknown): void {
    if (!Array.isArray(output)) return
    this.#streamed = this.#items.all.length
    const items = this.#items.ofOutput(output)
    this.#output = items.map((item, index) => [output[index], item])
    for (const [given, { own }] of this.#output) own.close(given)
  }

  result(): Record<string, unknown> {
    const known = this.#response ?? {}
    const response: Record<string, unknown> = { id: '', object: 'response', ...known }
    const isOver = this.#isTerminated && known.status !== 'incomplete' && known.status !== 'failed'
    const items = this.#items.all
    response.output = items.length > 0 ? this.#outputOf(isOver) : (known.output ?? [])
    if (this.#usage !== undefined) response.usage = this.#usage
    if (!this.#isTerminated && items.length > 0) {
      response.status = items.every(({ isDone }) => isDone) ? 'completed' : 'incomplete'
    }
    return withOutputText(response)
  }

  /** The items of the terminal, with those that it leaves out where they came. */
  #outputOf(isOver: boolean): unknown[] {
    const inTerminal = new Set(this.#output.map(([, item]) => item))
    const left = this.#items.all.filter(
      item => !inTerminal.has(item) && (inTerminal.size === 0 || !item.own.isEmpty)
    )
    left.sort((one, other) => byPlace(one.index, other.index))
    const output: unknown[] = []
    for (const [given, item] of this.#output) {
      const isStreamed = item.number < this.#streamed
      while (isStreamed && left[0] && left[0].number < item.number)
        output.push(objectOf(left.shift(), isOver))
      output.push(isObject(given) ? item.own.toWhole(given, item) : given)
    }
    return [...output, ...left.map(item => objectOf(item, isOver))]
  }
}

function objectOf(item: NamedItem<Item> | undefined, isOver: boolean): unknown {
  return item?.own.toObject(item, isOver)
}

/** An item of the output, from its own events. */
class Item {
  readonly #texts = new Map<string, ToolArguments>()
  /** By the types of the parts. */
  readonly #parts = new Map<string, ItemParts<KeptPart>>()
  #fields: Record<string, unknown> = {}
  /** The item as it was said whole. */
  #whole: Record<string, unknown> | undefined
  /** The lists of parts that it had then, and what is known of their parts. */
  readonly #given = new Map<PartList, readonly LooseEvent[]>()
  readonly #pairs = new Map<LooseEvent, KeptPart>()
  #type = 'message'

  /** Whether it has nothing that is worth to be kept where the terminal leaves it out. */
  get isEmpty(): boolean {
    const { type = this.#type, name } = this.#fields
    if (name || this.#texts.size > 0 || this.#allParts().some(part => part.length > 0)) return false
    if (type !== 'message' && type !== 'reasoning') return this.#whole === undefined
    return [...this.#given.values()].every(parts => parts.length === 0)
  }

  open(item: unknown): void {
    if (isObject(item)) this.#fields = item
  }

  /** Takes the whole item. What it leaves out stays as it came. */
  close(item: unknown): void {
    if (!isObject(item)) return
    const before = this.#fields
    this.#fields = { ...item }
    for (const name of kept) if (!item[name] && before[name]) this.#fields[name] = before[name]
    for (const name of this.#texts.keys()) if (item[name]) this.#texts.delete(name)
    this.#whole = item
    this.#pairs.clear()
    for (const list of lists) {
      const parts = partsIn(item[list])
      this.#given.set(list, parts)
      this.#settle(list, parts)
    }
  }

  fits(item: LooseEvent): boolean {
    const parts = new Map(lists.map(list => [list, this.#textsIn(partsIn(item[list]))]))
    const came = [...this.#parts].filter(([, { all }]) => all.some(({ length }) => length > 0))
    return (
      came.length > 0 &&
      came.every(([type, texts]) =>
        texts.fits(parts.get('content')?.get(type) ?? [], parts.get('summary')?.get(type) ?? [])
      )
    )
  }

  #settle(list: PartList, given: readonly LooseEvent[]): void {
    for (const [type, texts] of this.#textsIn(given)) {
      for (const [{ part }, own] of this.#partsOf(type).settle(list, texts, false).parts)
        this.#pairs.set(part, own)
    }
  }

  /** Adds a text of the item itself, or puts the whole in the place of its pieces, unless the provider left it out there. */
  addText({ type, field }: TextOfItem, event: LooseEvent, isDelta: boolean): void {
    this.#type = type
    const text = this.#textOf(field)
    if (isDelta) return text.add(event.delta)
    const whole = event[field]
    if (!whole) return
    text.replace('')
    text.add(whole)
  }

  /** Adds to the text of a part, or takes what the type of an event says whole. */
  addPartText({ list, type, field }: TextOfPart, event: LooseEvent, said: string | undefined): KeptPart {
    if (type === 'reasoning_text' || type === 'summary_text') this.#type = 'reasoning'
    const text = said === undefined ? '' : eventText(event[field])
    const part = this.#part(list, type, event, said, text)
    if (said === undefined) part.addDelta(event)
    else part.addRest(text)
    return part
  }

  /** Takes a part as it is when it is added, and again when it is done. */
  addPart(list: PartList, event: LooseEvent, type: string): void {
    if (list === 'summary') this.#type = 'reasoning'
    const given = isObject(event.part) ? event.part : {}
    const text = type.endsWith('.done') ? textIn(given) : ''
    const part = this.#part(list, this.#typeOf(given), event, type, text)
    part.open(given)
    part.addRest(text)
  }

  addAnnotation(event: LooseEvent): void {
    this.#part('content', 'output_text', event, undefined, '').annotations.push(event.annotation)
  }

  #part(list: PartList, type: string, event: LooseEvent, said: string | undefined, text: string): KeptPart {
    const [parts, index] = [this.#partsOf(type), indexIn(event, list)]
    return said === undefined || text === ''
      ? parts.part(list, index, false)
      : parts.partSaid(said, list, index, false, text)
  }

  /** The whole texts of a list, and the parts that hold them, by the types of the parts. */
  #textsIn(list: readonly LooseEvent[]): Map<string, (WholeText & { part: LooseEvent })[]> {
    const texts = new Map<string, (WholeText & { part: LooseEvent })[]>()
    for (const [index, part] of list.entries()) {
      const type = this.#typeOf(part)
      if (!textTypes.has(type)) continue
      const ofType = texts.get(type) ?? []
      texts.set(type, ofType)
      ofType.push({ index, text: textIn(part), part })
    }
    return texts
  }

  /** LiteLLM has reasoning as `output_text` in items of reasoning. */
  #typeOf(part: LooseEvent): string {
    const type = typeOf(part)
    const isReasoning = (this.#fields.type ?? this.#type) === 'reasoning'
    return isReasoning && type === 'output_text' ? 'reasoning_text' : type
  }

  #partsOf(type: string): ItemParts<KeptPart> {
    const known = this.#parts.get(type)
    if (known) return known
    const parts = new ItemParts((list, index) => new KeptPart(list, index, type))
    this.#parts.set(type, parts)
    return parts
  }

  /** The text in one field of the item, which may have begun when the item was added. */
  #textOf(field: string): ToolArguments {
    const known = this.#texts.get(field)
    if (known) return known
    const text = new ToolArguments()
    text.add(this.#fields[field])
    this.#texts.set(field, text)
    return text
  }

  /** The item where a terminal has it. */
  toWhole(given: Record<string, unknown>, { callId }: NamedItem<Item>): Record<string, unknown> {
    const item: Record<string, unknown> = { ...given }
    for (const name of kept) if (!item[name] && this.#fields[name]) item[name] = this.#fields[name]
    if (callId !== undefined) item.call_id = callId
    return this.#withTexts(item)
  }

  /** The item where its own events are all that there is of it. */
  toObject({ ids: [id], callId, isDone }: NamedItem<Item>, isOver: boolean): Record<string, unknown> {
    const item: Record<string, unknown> = {
      ...startOf(this.#fields.type ?? this.#type, id),
      ...this.#fields
    }
    if (callId !== undefined) item.call_id = callId
    if (!isDone && item.type !== 'reasoning') item.status = isOver ? 'completed' : 'incomplete'
    return this.#withTexts(item)
  }

  #withTexts(item: Record<string, unknown>): Record<string, unknown> {
    for (const [name, text] of this.#texts) {
      // The input of a custom tool, or code, may be several values of JSON, and none of them too many.
      item[name] = name === 'arguments' ? text.settle().text : text.joined
    }
    for (const list of lists) {
      if (this.#isAsGiven(list)) continue
      const parts = this.#listOf(list)
      if (parts.length > 0) item[list] = parts
    }
    return item
  }

  /** Whether a list was said whole, and there is no more to say of it. */
  #isAsGiven(list: PartList): boolean {
    const given = this.#given.get(list)
    if (list === 'content' && typeof this.#whole?.content === 'string') return false
    return (
      given?.every(part => this.#pairs.get(part)?.isAsGiven(part) !== false) === true &&
      this.#left(list).length === 0
    )
  }

  /** The parts that have come, and were not said when the item was said whole. */
  #left(list: PartList): KeptPart[] {
    const used = new Set(this.#pairs.values())
    const isLeft = (part: KeptPart) =>
      part.list === list && !used.has(part) && !(this.#whole && part.length === 0)
    return this.#allParts().filter(isLeft)
  }

  /** The parts of a list: as they were said whole, with what came beyond that, and those that were not said. */
  #listOf(list: PartList): object[] {
    const placed: (readonly [index: number, part: object])[] = []
    const left = this.#left(list)
    const texts = left.map(part => part.text).join('')
    for (const [index, given] of this.#given.get(list)?.entries() ?? []) {
      const part = this.#pairs.get(given)
      if (part) placed.push([part.index, part.toWhole(given)])
      // The pieces of which it holds a part are there.
      else if (textIn(given) === '' || !texts.includes(textIn(given))) placed.push([index, given])
    }
    for (const part of left) placed.push([part.index, part.toObject()])
    return placed.sort(([one], [other]) => byPlace(one, other)).map(([, part]) => part)
  }

  #allParts(): KeptPart[] {
    return [...this.#parts.values()].flatMap(({ all }) => all)
  }
}

/** A part of an item's `content` or `summary`. */
class KeptPart extends Part {
  readonly #type: string
  readonly #text = new JoinedText()
  readonly #logprobs: unknown[] = []
  readonly annotations: unknown[] = []
  #fields: Record<string, unknown> = {}

  constructor(list: PartList, index: number, type: string) {
    super(list, index, false)
    this.#type = type
  }

  get text(): string {
    return this.#text.value
  }

  /** Takes the part as it is when it is added, and again when it is done. */
  open(part: Record<string, unknown>): void {
    this.#fields = part
    if (isFilled(part.annotations)) this.annotations.length = 0
    if (isFilled(part.logprobs)) this.#logprobs.length = 0
  }

  addDelta({ delta, logprobs }: LooseEvent): void {
    this.add(typeof delta === 'string' ? delta : eventText(delta))
    if (Array.isArray(logprobs)) for (const logprob of logprobs) this.#logprobs.push(logprob)
  }

  override add(delta: string): string {
    this.#text.add(delta)
    return super.add(delta)
  }

  /** Some providers tidy the text at the end; vLLM may have its last token only, of which nothing else is to be taken. */
  override addRest(text: string, length?: number): string {
    const rest = super.addRest(text, length)
    if (rest === '' && text !== '' && !this.text.includes(text)) this.#text.replace(text)
    return rest
  }

  override join(parts: readonly this[]): void {
    super.join(parts)
    for (const part of parts) {
      this.#text.add(part.text)
      for (const annotation of part.annotations) this.annotations.push(annotation)
      for (const logprob of part.#logprobs) this.#logprobs.push(logprob)
    }
  }

  toObject(): Record<string, unknown> {
    const part: Record<string, unknown> = { type: this.#type, ...this.#fields }
    if (part.type === 'output_text') part.annotations ??= []
    return this.#filled(part)
  }

  /** Whether a part that was said whole has all that came of it. */
  isAsGiven(given: LooseEvent): boolean {
    const { annotations, logprobs } = given
    return (
      textIn(given) === this.text &&
      (this.annotations.length === 0 || isFilled(annotations)) &&
      (this.#logprobs.length === 0 || isFilled(logprobs))
    )
  }

  /** The part where its item was said whole. */
  toWhole(given: LooseEvent): Record<string, unknown> {
    return this.#filled({ ...given })
  }

  #filled(part: Record<string, unknown>): Record<string, unknown> {
    const { text } = this
    if (text !== '' || this.length > 0 || fieldOf(part) in part) part[fieldOf(part)] = text
    if (this.annotations.length > 0 && !isFilled(part.annotations))
      part.annotations = this.annotations.slice()
    if (this.#logprobs.length > 0 && !isFilled(part.logprobs)) part.logprobs = this.#logprobs.slice()
    return part
  }
}

const textTypes: ReadonlySet<string> = new Set([...partTexts.values()].map(({ type }) => type))

/** SGLang calls the text of an answer `text`. */
function typeOf({ type }: LooseEvent): string {
  return type === 'text' || type === undefined ? 'output_text' : String(type)
}

function fieldOf({ type }: LooseEvent): string {
  return type === 'refusal' ? 'refusal' : 'text'
}

function textIn(part: LooseEvent): string {
  const known = textTypes.has(typeOf(part))
  return known ? eventText(part[fieldOf(part)]) : ''
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
function byPlace(one: unknown, other: unknown): number {
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
    if (item?.type !== 'message') continue
    for (const part of partsIn(item.content)) {
      if (typeOf(part) === 'output_text') texts.push(textIn(part))
    }
  }
  return texts.join('')
}

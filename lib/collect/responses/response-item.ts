import type { NamedItem } from '../../chunk/responses/response-items.js'
import {
  ItemParts,
  indexIn,
  type PartList,
  partsIn,
  type WholeText
} from '../../chunk/responses/response-parts.js'
import { eventText } from '../../chunk/text.js'
import { ToolArguments } from '../chat/tool-arguments.js'
import { isObject } from '../merged-fields.js'
import {
  byPlace,
  type LooseEvent,
  ResponsePart,
  type TextOfPart,
  textIn,
  textTypes,
  typeOf
} from './response-part.js'

export interface TextOfItem {
  type: string
  field: string
}

/** The events that bring a text of the item itself in pieces. */
export const itemTexts: ReadonlyMap<string, TextOfItem> = new Map([
  ['response.function_call_arguments', { type: 'function_call', field: 'arguments' }],
  ['response.custom_tool_call_input', { type: 'custom_tool_call', field: 'input' }],
  ['response.mcp_call_arguments', { type: 'mcp_call', field: 'arguments' }],
  ['response.code_interpreter_call_code', { type: 'code_interpreter_call', field: 'code' }]
])

/** What an item that is said again must not lose where the provider leaves it empty there. */
const kept = ['call_id', 'name', ...new Set([...itemTexts.values()].map(({ field }) => field))]

/** The lists of the parts of an item. */
const lists = ['content', 'summary'] as const

/** An item of the output, from its own events. */
export class ResponseItem {
  readonly #texts = new Map<string, ToolArguments>()
  /** By the types of the parts. */
  readonly #parts = new Map<string, ItemParts<ResponsePart>>()
  #fields: Record<string, unknown> = {}
  /** The item as it was said whole. */
  #whole: Record<string, unknown> | undefined
  /** The lists of parts that it had then, and what is known of their parts. */
  readonly #given = new Map<PartList, readonly LooseEvent[]>()
  readonly #pairs = new Map<LooseEvent, ResponsePart>()
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
  addPartText({ list, type, field }: TextOfPart, event: LooseEvent, said: string | undefined): ResponsePart {
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

  #part(
    list: PartList,
    type: string,
    event: LooseEvent,
    said: string | undefined,
    text: string
  ): ResponsePart {
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

  #partsOf(type: string): ItemParts<ResponsePart> {
    const known = this.#parts.get(type)
    if (known) return known
    const parts = new ItemParts((list, index) => new ResponsePart(list, index, type))
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
  toWhole(given: Record<string, unknown>, { callId }: NamedItem<ResponseItem>): Record<string, unknown> {
    const item: Record<string, unknown> = { ...given }
    for (const name of kept) if (!item[name] && this.#fields[name]) item[name] = this.#fields[name]
    if (callId !== undefined) item.call_id = callId
    return this.#withTexts(item)
  }

  /** The item where its own events are all that there is of it. */
  toObject({ ids: [id], callId, isDone }: NamedItem<ResponseItem>, isOver: boolean): Record<string, unknown> {
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
  #left(list: PartList): ResponsePart[] {
    const used = new Set(this.#pairs.values())
    const isLeft = (part: ResponsePart) =>
      part.list === list && !used.has(part) && !(this.#whole && part.length === 0)
    return this.#allParts().filter(isLeft)
  }

  /** The parts of a list: as they were said whole, with what came beyond that, and those that were not said. */
  #listOf(list: PartList): object[] {
    const placed: (readonly [index: number, part: object])[] = []
    const left = this.#left(list)
    const texts = left.map(part => part.text).join('')
    let isTidied = false
    for (const [index, given] of this.#given.get(list)?.entries() ?? []) {
      const part = this.#pairs.get(given)
      if (part) placed.push([part.index, part.toWhole(given)])
      else if (textIn(given) === '' || !texts.includes(textIn(given))) {
        placed.push([index, given])
        isTidied ||= textIn(given) !== ''
      }
    }
    // A text that they have a part of, or all, is in its pieces; one that is written otherwise stands in their place.
    if (!isTidied) for (const part of left) placed.push([part.index, part.toObject()])
    return placed.sort(([one], [other]) => byPlace(one, other)).map(([, part]) => part)
  }

  #allParts(): ResponsePart[] {
    return [...this.#parts.values()].flatMap(({ all }) => all)
  }
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

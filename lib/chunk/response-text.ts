import { isTerminal, type TextKind } from './fields.js'
import { type NamedItem, ResponseItems } from './response-items.js'
import { beforeOf } from './resumed.js'

type Loose = Readonly<Record<string, unknown>>

/** So many deltas tell more of the same text from another. */
const recentDeltas = 8

/** Where a part of an item is: in its `content` or its `summary`. */
type PartList = 'content' | 'summary'

/** What is known of a part's text, as another copy of the library may read it. */
interface KnownPart {
  readonly list: PartList
  /** What its events call its place. */
  readonly index: number
  readonly length: number
  readonly count: number
  readonly recent: readonly string[]
  readonly isCut: boolean
}

/** What is known of the texts of one kind in an item. */
interface KnownItem {
  /** Whether its beginning was not seen. */
  isCut: boolean
  /** In the order in which they came. */
  readonly parts: readonly KnownPart[]
}

/** What is known of the texts of one kind in a response. */
export interface KnownTexts {
  readonly items: { readonly all: readonly NamedItem<KnownItem>[]; readonly isOver: boolean }
}

/** What is known of a part's text: its length, and its end. */
class Part implements KnownPart {
  readonly list: PartList
  readonly index: number
  length = 0
  count = 0
  /** The last deltas, each in the place of an older one: to join them at each delta costs a tenth of all the reading. */
  readonly recent: string[] = []
  /** Whether its beginning was not seen, so that nobody can say what a whole text holds beyond it. */
  readonly isCut: boolean

  constructor(list: PartList, index: number, isCut: boolean) {
    this.list = list
    this.index = index
    this.isCut = isCut
  }

  static from({ list, index, length, count, recent, isCut }: KnownPart): Part {
    const part = new Part(list, index, isCut)
    part.length = length
    part.count = count
    part.recent.push(...recent)
    return part
  }

  /** Adds a delta, and gives it back. */
  add(delta: string): string {
    if (delta === '') return ''
    this.length += delta.length
    this.recent[this.count++ % recentDeltas] = delta
    return delta
  }

  /** Adds what a text holds beyond this, and gives it back; nothing if it is another, as where a provider tidies it at the end. */
  addRest(text: string, length: number = this.length): string {
    return !this.isCut && this.begins(text, length) ? this.add(text.slice(length)) : ''
  }

  /** Whether a text begins with so many characters that end as this does. */
  begins(text: string, length: number = this.length): boolean {
    const oldest = this.count % recentDeltas
    const end = [...this.recent.slice(oldest), ...this.recent.slice(0, oldest)].join('')
    return text.length >= length && text.slice(0, length).endsWith(end)
  }
}

/** The texts of an item. */
class Item implements KnownItem {
  isCut: boolean
  readonly parts: Part[] = []
  readonly #byPlace = new Map<string, Part>()

  constructor(isCut: boolean, parts: readonly KnownPart[] = []) {
    this.isCut = isCut
    for (const part of parts) this.#keep(Part.from(part))
  }

  /** The part that the item's events call so. */
  part(list: PartList, index: number, isCut: boolean = this.isCut): Part {
    return this.#byPlace.get(`${list} ${index}`) ?? this.#keep(new Part(list, index, isCut))
  }

  /** What the whole texts of a list hold beyond what came. */
  addRest(list: PartList, texts: readonly WholeText[]): string {
    const came = this.parts.filter(part => part.list === list && part.length > 0)
    const last = came.at(-1)
    // Some servers give each piece a place of its own.
    if (last && came.length > texts.length) {
      const length = came.reduce((sum, part) => sum + part.length, 0)
      return last.addRest(texts.map(({ text }) => text).join(''), length)
    }
    const pairs = pairsOf(came, texts)
    return texts.map(text => (pairs.get(text) ?? this.#unused(list, text.index)).addRest(text.text)).join('')
  }

  /** A part of which nothing has come. */
  #unused(list: PartList, index: number): Part {
    const part = this.part(list, index)
    return part.length === 0 ? part : this.#keep(new Part(list, index, this.isCut))
  }

  #keep(part: Part): Part {
    const place = `${part.list} ${part.index}`
    if (!this.#byPlace.has(place)) this.#byPlace.set(place, part)
    this.parts.push(part)
    return part
  }
}

/** A whole text of an item, and the place of its part in the list. */
interface WholeText {
  readonly index: number
  readonly text: string
}

/**
 * Which part of an item each whole text is of. Mostly the one of its place; but the places that vLLM names in its events go
 * on from one item to the next, and other servers count from 1. So where a place is not there, or holds another text, the
 * parts are those of the texts that begin so, in the order in which they came.
 */
function pairsOf(parts: readonly Part[], texts: readonly WholeText[]): Map<WholeText, Part> {
  const byIndex = new Map(texts.map(text => [text.index, text]))
  const byPlace = new Map<WholeText, Part>()
  for (const part of parts) {
    const own = byIndex.get(part.index)
    if (own && !byPlace.has(own) && part.begins(own.text)) byPlace.set(own, part)
  }
  if (byPlace.size === parts.length) return byPlace
  const inOrder = new Map<WholeText, Part>()
  for (const text of texts) {
    const next = parts[inOrder.size]
    if (next?.begins(text.text)) inOrder.set(text, next)
  }
  return inOrder.size === parts.length ? inOrder : withTidied(byPlace, byIndex, parts, texts)
}

/** The pairs, and those of the parts whose text is another: some providers tidy the whole text at the end. */
function withTidied(
  pairs: Map<WholeText, Part>,
  byIndex: ReadonlyMap<number, WholeText>,
  parts: readonly Part[],
  texts: readonly WholeText[]
): Map<WholeText, Part> {
  const paired = new Set(pairs.values())
  const lost: Part[] = []
  for (const part of parts) {
    if (paired.has(part)) continue
    const own = byIndex.get(part.index)
    if (own && !pairs.has(own)) pairs.set(own, part)
    else lost.push(part)
  }
  const free = texts.filter(text => !pairs.has(text))
  for (const [at, text] of free.entries()) {
    const part = lost[at]
    if (part) pairs.set(text, part)
  }
  return pairs
}

/** Where a delta stood, and what is known of its part. */
interface Place {
  readonly type: string
  readonly id: unknown
  readonly output: unknown
  readonly content: unknown
  readonly summary: unknown
  readonly part: Part
}

/** The kinds of the parts of a response, and the field of each that holds its text. */
const parts: ReadonlyMap<unknown, readonly [kind: TextKind, field: string]> = new Map<
  unknown,
  readonly [TextKind, string]
>([
  ['output_text', ['content', 'text']],
  ['text', ['content', 'text']],
  ['refusal', ['refusal', 'refusal']],
  ['reasoning_text', ['reasoning', 'text']],
  ['summary_text', ['reasoning', 'text']]
])

/** The events that bring the text of a part, without `.delta` or `.done`: its kind, its field, the list it is in. */
const texts: ReadonlyMap<string, readonly [kind: TextKind, field: string, list: PartList]> = new Map<
  string,
  readonly [TextKind, string, PartList]
>([
  ['response.output_text', ['content', 'text', 'content']],
  ['response.refusal', ['refusal', 'refusal', 'content']],
  ['response.reasoning_text', ['reasoning', 'text', 'content']],
  ['response.reasoning_summary_text', ['reasoning', 'text', 'summary']]
])

/**
 * The text of one kind in the events of a response. Deltas bring it, and OpenAI says it all again when a part, its item
 * and the response are done; some gateways say it only there. So what each of these holds beyond what came before is
 * given once, part by part.
 *
 * A reader that has come back to a response has what its deltas brought before. Where it is not known what they were, all
 * is taken for known of a part whose beginning did not come: there is no telling what else it lacks.
 */
export class ResponseText implements KnownTexts {
  readonly #kind: TextKind
  readonly items: ResponseItems<Item> = new ResponseItems(() => new Item(this.#isCut))
  /** Of the last delta: the next one nearly always goes on with it. */
  #last: Place | undefined
  #hasBegun = false
  /** Whether others came before what came first, of which nothing is known. */
  #isCut = false

  constructor(kind: TextKind) {
    this.#kind = kind
  }

  read(event: object, type: string): string {
    const loose = event as Loose
    const { delta } = loose
    if (typeof delta === 'string' && this.#last && isAt(this.#last, loose, type))
      return this.#last.part.add(delta)
    if (!this.#hasBegun) this.#begin(event)
    if (isTerminal(event)) return this.#end(loose)
    if (this.items.isOver) this.#forget()
    const dot = type.lastIndexOf('.')
    const [name, step] = [type.slice(0, dot), type.slice(dot + 1)]
    const [kind, field, list] = texts.get(name) ?? []
    if (kind !== undefined && field !== undefined && list !== undefined) {
      const text = step === 'delta' ? delta : loose[field]
      if (kind !== this.#kind || typeof text !== 'string' || text === '') return ''
      const part = this.items.of(loose, type).own.part(list, indexIn(loose, list))
      if (step !== 'delta') return part.addRest(text)
      this.#last = placeIn(loose, type, part)
      return part.add(text)
    }
    if (name === 'response.output_item') return this.#ofItem(loose, type, step)
    if (name === 'response.content_part') return this.#ofPart(loose, type, step, 'content')
    return name === 'response.reasoning_summary_part' ? this.#ofPart(loose, type, step, 'summary') : ''
  }

  /** What came before has been read, and is known, or it has not. */
  #begin(event: object): void {
    this.#hasBegun = true
    const before = beforeOf(event)
    if (before === 'unknown') this.#isCut = true
    else if (before) {
      const { all, isOver } = before.texts[this.#kind].items
      this.items.recall(all.map(item => ({ ...item, own: new Item(item.own.isCut, item.own.parts) })))
      this.items.isOver = isOver
    }
  }

  /** The next response begins. */
  #forget(): void {
    this.items.clear()
    this.#isCut = false
  }

  #ofItem(event: Loose, type: string, step: string): string {
    const { own } = this.items.of(event, type)
    if (step === 'done') return this.#restOf(own, event.item)
    own.isCut = false
    return ''
  }

  #ofPart(event: Loose, type: string, step: string, list: PartList): string {
    const text = this.#textOf(event.part)
    if (text === undefined) return ''
    const { own } = this.items.of(event, type)
    const part = own.part(list, indexIn(event, list), own.isCut && step !== 'added')
    return step === 'done' ? part.addRest(text) : ''
  }

  #end({ response }: Loose): string {
    this.#last = undefined
    this.items.isOver = true
    const output = listOf(asLoose(response).output)
    return this.items
      .ofOutput(output)
      .map(({ own }, index) => this.#restOf(own, output[index]))
      .join('')
  }

  #restOf(own: Item, item: unknown): string {
    const { summary, content } = asLoose(item)
    return own.addRest('summary', this.#textsIn(summary)) + own.addRest('content', this.#textsIn(content))
  }

  #textsIn(list: unknown): WholeText[] {
    return listOf(list).flatMap((part, index) => {
      const text = this.#textOf(part)
      return text === undefined ? [] : [{ index, text }]
    })
  }

  /** The text of a part, if it is of the kind that is read. */
  #textOf(part: unknown): string | undefined {
    const loose = asLoose(part)
    const [kind, field] = parts.get(loose.type) ?? []
    const text = kind === this.#kind && field !== undefined ? loose[field] : undefined
    return typeof text === 'string' ? text : undefined
  }
}

/** Undefined where the item has no number: then its id may be in several fields. */
function placeIn(event: Loose, type: string, part: Part): Place | undefined {
  const { item_id: id, output_index: output, content_index: content, summary_index: summary } = event
  return typeof output === 'number' ? { type, id, output, content, summary, part } : undefined
}

function isAt({ type, id, output, content, summary }: Place, event: Loose, eventType: string): boolean {
  return (
    type === eventType &&
    output === event.output_index &&
    id === event.item_id &&
    content === event.content_index &&
    summary === event.summary_index
  )
}

function indexIn(event: Loose, list: PartList): number {
  const index = list === 'summary' ? event.summary_index : event.content_index
  return typeof index === 'number' ? index : 0
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'object' && item !== null) : []
}

function asLoose(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

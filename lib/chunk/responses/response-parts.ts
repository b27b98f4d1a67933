import type { TextKind } from '../fields.js'

type Loose = Readonly<Record<string, unknown>>

/** So many deltas tell more of the same text from another. */
const recentDeltas = 8

/** Where a part of an item is: in its `content` or its `summary`. */
export type PartList = 'content' | 'summary'

/** What is known of a part's text, as another copy of the library may read it. */
export interface KnownPart {
  readonly list: PartList
  /** What its events call its place. */
  readonly index: number
  readonly length: number
  readonly count: number
  readonly recent: readonly string[]
  readonly isCut: boolean
  /** The types of the events that have said it whole. */
  readonly said: ReadonlySet<string>
}

/** What is known of a part's text: its length, and its end. */
export class Part implements KnownPart {
  readonly list: PartList
  readonly index: number
  length = 0
  count = 0
  /** The last deltas, each in the place of an older one: to join them at each delta costs a tenth of all the reading. */
  recent: string[] = []
  /** Whether its beginning was not seen, so that nobody can say what a whole text holds beyond it. */
  readonly isCut: boolean
  readonly said: Set<string> = new Set()

  constructor(list: PartList, index: number, isCut: boolean) {
    this.list = list
    this.index = index
    this.isCut = isCut
  }

  static from({ list, index, length, count, recent, isCut, said }: KnownPart): Part {
    const part = new Part(list, index, isCut)
    part.length = length
    part.count = count
    part.recent.push(...recent)
    for (const type of said) part.said.add(type)
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

  /** Takes the parts behind this one, which are pieces of its text. */
  join(parts: readonly this[]): void {
    for (const { length, count, recent } of parts) {
      this.length += length
      this.count = count
      this.recent = recent
    }
  }
}

/** Where a delta stood, and what is known of its part. */
export interface DeltaPlace<Own extends Part> {
  readonly type: string
  readonly id: unknown
  readonly output: unknown
  readonly content: unknown
  readonly summary: unknown
  readonly part: Own
}

/** Undefined where the item has no number: then its id may be in several fields. */
export function placeIn<Own extends Part>(
  event: Loose,
  type: string,
  part: Own
): DeltaPlace<Own> | undefined {
  const { item_id: id, output_index: output, content_index: content, summary_index: summary } = event
  return typeof output === 'number' ? { type, id, output, content, summary, part } : undefined
}

export function isAt(
  { type, id, output, content, summary }: DeltaPlace<Part>,
  event: Loose,
  eventType: string
): boolean {
  return (
    type === eventType &&
    output === event.output_index &&
    id === event.item_id &&
    content === event.content_index &&
    summary === event.summary_index
  )
}

/** What an event calls the place of its part. */
export function indexIn(event: Loose, list: PartList): number {
  const index = list === 'summary' ? event.summary_index : event.content_index
  return typeof index === 'number' ? index : 0
}

/** A whole text of an item, and the place of its part in the list. */
export interface WholeText {
  readonly index: number
  readonly text: string
}

/** The texts of one kind in an item, in the order in which they came. */
export class ItemParts<Own extends Part = Part> {
  readonly all: Own[] = []
  readonly #create: (list: PartList, index: number, isCut: boolean) => Own
  readonly #byPlace = new Map<string, Own>()
  /** Those that no event has said whole. */
  readonly #unsaid = new Set<Own>()

  constructor(create: (list: PartList, index: number, isCut: boolean) => Own, parts: readonly Own[] = []) {
    this.#create = create
    for (const part of parts) this.#keep(part)
  }

  /** The part that the item's events call so. */
  part(list: PartList, index: number, isCut: boolean): Own {
    return this.#byPlace.get(placeOf(list, index)) ?? this.#keep(this.#create(list, index, isCut))
  }

  /**
   * The part that an event says whole. Mostly the one of its place. vLLM counts the places on with each delta, and with each
   * event that says the text again: there it is what the deltas have brought, or what another event has said whole.
   */
  partSaid(type: string, list: PartList, index: number, isCut: boolean, text: string): Own {
    const place = placeOf(list, index)
    const known = this.#byPlace.get(place)
    // What has been said, or is the only one of which a piece came, is not looked for elsewhere.
    const isSure = known !== undefined && (known.said.size > 0 || this.#unsaid.size === 1)
    const part =
      (isSure ? known : this.#joined(list, text, known)) ??
      this.#saidOtherwise(type, list, text) ??
      this.#keep(this.#create(list, index, isCut))
    this.#byPlace.set(place, part)
    part.said.add(type)
    this.#unsaid.delete(part)
    return part
  }

  /** Takes the whole texts of a list: gives the part of each, if one is known, and what they hold beyond what came. */
  settle<Text extends WholeText>(
    list: PartList,
    texts: readonly Text[],
    isCut: boolean
  ): { parts: ReadonlyMap<Text, Own>; rest: string } {
    const came = this.came(list)
    const [first, ...others] = came
    const whole = texts.map(({ text }) => text)
    // Some servers give each piece a place of its own, and others give all parts the same.
    const areJoined = came.length < texts.length && !first?.begins(whole[0] ?? '') && beginsWith(whole, came)
    if (first && (came.length > texts.length || areJoined)) {
      const [only] = texts
      if (only && texts.length === 1 && beginsWith(whole, came)) {
        this.#join(first, others)
        return { parts: new Map([[only, first]]), rest: first.addRest(only.text) }
      }
      const length = came.reduce((sum, part) => sum + part.length, 0)
      return { parts: new Map(), rest: (others.at(-1) ?? first).addRest(whole.join(''), length) }
    }
    const parts = pairsOf(came, texts)
    let rest = ''
    for (const text of texts) {
      const part = parts.get(text) ?? this.#unused(list, text.index, isCut)
      parts.set(text, part)
      rest += part.addRest(text.text)
    }
    return { parts, rest }
  }

  /** Those of a list that have a text. */
  came(list: PartList): Own[] {
    return this.all.filter(part => part.list === list && part.length > 0)
  }

  /** Whether the whole texts of both lists begin with what came, and something did. */
  fits(content: readonly WholeText[], summary: readonly WholeText[]): boolean {
    if (!this.all.some(part => part.length > 0)) return false
    const text = (texts: readonly WholeText[]) => texts.map(({ text }) => text)
    return beginsWith(text(content), this.came('content')) && beginsWith(text(summary), this.came('summary'))
  }

  /** A part of which nothing has come. */
  #unused(list: PartList, index: number, isCut: boolean): Own {
    const part = this.part(list, index, isCut)
    return part.length === 0 ? part : this.#keep(this.#create(list, index, isCut))
  }

  /**
   * The pieces of a list that no event has said whole, as one part, where a text begins with all of them; else the part at the
   * place of the text. A single piece elsewhere is no reason to doubt that, unless the part was announced before it came.
   */
  #joined(list: PartList, text: string, known: Own | undefined): Own | undefined {
    const pieces: Own[] = []
    let isAnnounced = known === undefined
    let length = 0
    for (const part of this.#unsaid) {
      if (part === known && pieces.length === 0) isAnnounced = true
      if (part.list !== list || part.length === 0) continue
      if (!part.begins(text.slice(length))) return known
      length += part.length
      pieces.push(part)
    }
    const [first, ...others] = pieces
    if (!first || (others.length === 0 && !isAnnounced)) return known
    this.#join(first, others)
    return first
  }

  /** Makes one part of several. */
  #join(first: Own, others: readonly Own[]): void {
    first.join(others)
    const isJoined = new Set(others)
    const left = this.all.filter(part => !isJoined.has(part))
    this.all.length = 0
    for (const part of left) this.all.push(part)
    for (const [place, part] of this.#byPlace) if (isJoined.has(part)) this.#byPlace.set(place, first)
    for (const part of others) this.#unsaid.delete(part)
  }

  /** The newest part, if another event has said the same text of it. */
  #saidOtherwise(type: string, list: PartList, text: string): Own | undefined {
    const newest = this.all.findLast(part => part.list === list && part.length > 0)
    if (!newest || newest.said.size === 0 || newest.said.has(type)) return undefined
    return newest.length === text.length && newest.begins(text) ? newest : undefined
  }

  #keep(part: Own): Own {
    const place = placeOf(part.list, part.index)
    if (!this.#byPlace.has(place)) this.#byPlace.set(place, part)
    this.all.push(part)
    if (part.said.size === 0) this.#unsaid.add(part)
    return part
  }
}

function placeOf(list: PartList, index: number): string {
  return `${list} ${index}`
}

/** Whether texts, one behind the other, begin with what came in parts. */
function beginsWith(texts: readonly string[], parts: readonly Part[]): boolean {
  const text = texts.join('')
  let length = 0
  for (const part of parts) {
    if (!part.begins(text.slice(length))) return false
    length += part.length
  }
  return true
}

/**
 * Which part of an item each whole text is of. Mostly the one of its place; but the places that vLLM names in its events go
 * on from one item to the next, and other servers count from 1. So where a place is not there, or holds another text, the
 * parts are those of the texts that begin so, in the order in which they came.
 */
function pairsOf<Own extends Part, Text extends WholeText>(
  parts: readonly Own[],
  texts: readonly Text[]
): Map<Text, Own> {
  const byIndex = new Map(texts.map(text => [text.index, text]))
  const byPlace = new Map<Text, Own>()
  for (const part of parts) {
    const own = byIndex.get(part.index)
    if (own && !byPlace.has(own) && part.begins(own.text)) byPlace.set(own, part)
  }
  if (byPlace.size === parts.length) return byPlace
  const inOrder = new Map<Text, Own>()
  for (const text of texts) {
    const next = parts[inOrder.size]
    if (next?.begins(text.text)) inOrder.set(text, next)
  }
  return inOrder.size === parts.length ? inOrder : withTidied(byPlace, byIndex, parts, texts)
}

/** The pairs, and those of the parts whose text is another: some providers tidy the whole text at the end. */
function withTidied<Own extends Part, Text extends WholeText>(
  pairs: Map<Text, Own>,
  byIndex: ReadonlyMap<number, Text>,
  parts: readonly Own[],
  texts: readonly Text[]
): Map<Text, Own> {
  const paired = new Set(pairs.values())
  const lost: Own[] = []
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

/** The types of the parts of a response, and the kind and the field of the text of each. */
const partTypes: ReadonlyMap<unknown, PartText> = new Map<unknown, PartText>([
  ['output_text', ['content', 'text']],
  ['text', ['content', 'text']],
  [undefined, ['content', 'text']],
  ['refusal', ['refusal', 'refusal']],
  ['reasoning_text', ['reasoning', 'text']],
  ['summary_text', ['reasoning', 'text']]
])

/** The kind of the text of a part, and its field. */
export type PartText = readonly [kind: TextKind, field: 'text' | 'refusal']

/**
 * What the text of a part is. LiteLLM has `output_text` in items of reasoning, where it is no answer, and in items of its
 * own, where it is nothing of the model's.
 */
export function textOfPart(itemType: unknown, partType: unknown): PartText | undefined {
  const found = partTypes.get(partType)
  if (itemType === undefined || itemType === 'message' || !found) return found
  if (itemType === 'reasoning') return ['reasoning', found[1]]
  return found[0] === 'content' ? undefined : found
}

/** The parts in a list of an item. Some gateways have a text where a list belongs, or the only part of one. */
export function partsIn(list: unknown): readonly Loose[] {
  if (Array.isArray(list)) return list.filter(part => typeof part === 'object' && part !== null)
  if (typeof list === 'object' && list !== null) return [list as Loose]
  const isText = (typeof list === 'string' && list !== '') || typeof list === 'number'
  return isText ? [{ type: 'output_text', text: String(list), annotations: [] }] : []
}

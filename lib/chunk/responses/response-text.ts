import { closesResponse, responseOf, type TextKind } from '../fields.js'
import { isOpening } from '../progress.js'
import { deltaText, eventText } from '../text.js'
import { type NamedItem, ResponseItems } from './response-items.js'
import {
  type DeltaPlace,
  ItemParts,
  indexIn,
  isAt,
  type KnownPart,
  Part,
  type PartList,
  partsIn,
  placeIn,
  textOfPart,
  type WholeText
} from './response-parts.js'
import { beforeOf } from './resumed.js'

type Loose = Readonly<Record<string, unknown>>

/** What is known of the texts of one kind in an item. */
interface KnownItem {
  /** Whether its beginning was not seen. */
  isCut: boolean
  readonly parts: { readonly all: readonly KnownPart[] }
  /** The texts that it had when it was added: nearly always, they come again in deltas. */
  readonly added?: readonly AddedText[]
  /** Those of its parts. */
  readonly addedParts?: readonly AddedText[]
}

interface AddedText extends WholeText {
  readonly list: PartList
}

/** What is known of the texts of one kind in a response. */
export interface KnownTexts {
  readonly items: { readonly all: readonly NamedItem<KnownItem>[]; readonly isOver: boolean }
}

/** The texts of one kind in an item. */
class Item implements KnownItem {
  isCut: boolean
  readonly parts: ItemParts
  added: readonly AddedText[]
  readonly addedParts: AddedText[]

  constructor(isCut: boolean, { parts, added, addedParts }: Partial<KnownItem> = {}) {
    this.isCut = isCut
    this.added = added ?? []
    this.addedParts = addedParts?.slice() ?? []
    this.parts = new ItemParts(
      (list, index, isCut) => new Part(list, index, isCut),
      parts?.all.map(Part.from)
    )
  }
}

/** The lists of the parts of an item, in the order in which a whole item is read. */
const lists = ['summary', 'content'] as const

/** The events that bring the text of a part, without `.delta` or `.done`: its kind, its field, the list it is in. */
const texts: ReadonlyMap<string, readonly [kind: TextKind, field: string, list: PartList]> = new Map<
  string,
  readonly [TextKind, string, PartList]
>([
  ['response.output_text', ['content', 'text', 'content']],
  ['response.text', ['content', 'text', 'content']],
  ['response.refusal', ['refusal', 'refusal', 'content']],
  ['response.reasoning_text', ['reasoning', 'text', 'content']],
  ['response.reasoning', ['reasoning', 'text', 'content']],
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
  readonly items: ResponseItems<Item> = new ResponseItems(
    () => new Item(this.#isCut),
    ({ parts }, item) => parts.fits(this.#textsIn(item, 'content'), this.#textsIn(item, 'summary'))
  )
  /** Of the last delta: the next one nearly always goes on with it. */
  #last: DeltaPlace<Part> | undefined
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
    const isEnd = closesResponse(event)
    // A terminal may come twice, but not behind an end mark.
    if (this.items.isOver && (!isEnd || isOpening(event))) this.#forget()
    if (isEnd) return this.#end(loose)
    const dot = type.lastIndexOf('.')
    const [name, step] = [type.slice(0, dot), type.slice(dot + 1)]
    const [kind, field, list] = texts.get(name) ?? []
    if (kind !== undefined && field !== undefined && list !== undefined) {
      if (kind !== this.#kind) return ''
      const text = step === 'delta' ? deltaText(loose, field) : eventText(loose[field])
      if (text === '') return ''
      const { parts, isCut } = this.items.of(loose, type).own
      const index = indexIn(loose, list)
      if (step !== 'delta') return parts.partSaid(type, list, index, isCut, text).addRest(text)
      const part = parts.part(list, index, isCut)
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
      this.items.recall(all.map(item => ({ ...item, own: new Item(item.own.isCut, item.own) })))
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
    const item = asLoose(event.item)
    own.added = lists.flatMap(list => this.#textsIn(item, list).map(text => ({ ...text, list })))
    return ''
  }

  #ofPart(event: Loose, type: string, step: string, list: PartList): string {
    const item = this.items.of(event, type)
    const text = this.#textOf(asLoose(event.part), item.type)
    if (text === undefined) return ''
    const { parts, isCut } = item.own
    const index = indexIn(event, list)
    if (step === 'done' && text !== '') return parts.partSaid(type, list, index, isCut, text).addRest(text)
    parts.part(list, index, isCut && step !== 'added')
    if (text !== '') item.own.addedParts.push({ list, index, text })
    return ''
  }

  #end(event: Loose): string {
    this.#last = undefined
    this.items.isOver = true
    const { output, output_text: whole } = responseOf(event) ?? {}
    const given = listOf(output)
    const rests = this.items.ofOutput(given).map(({ own }, index) => this.#restOf(own, given[index]))
    return rests.join('') || this.#saidElsewhere(whole)
  }

  /**
   * The text of a response of which nothing came: some servers say it only where items and parts are added, before their
   * deltas, and others only in `output_text`, as the official client does.
   */
  #saidElsewhere(whole: unknown): string {
    const hasCome = this.items.all.some(({ own }) => own.parts.all.some(part => part.length > 0))
    if (hasCome || this.#isCut) return ''
    const text = this.items.all.map(({ own }) => this.#addedTo(own)).join('')
    if (text !== '' || this.#kind !== 'content' || typeof whole !== 'string') return text
    const { parts } = this.items.of({}, 'response.output_text.done').own
    return parts.part('content', 0, false).addRest(whole)
  }

  #addedTo({ parts, added, addedParts, isCut }: Item): string {
    // Where both have a text, it is the same.
    const all = added.some(({ text }) => text !== '') ? added : addedParts
    const rest = (list: PartList) =>
      parts.settle(
        list,
        all.filter(text => text.list === list),
        isCut
      ).rest
    return lists.map(rest).join('')
  }

  #restOf({ parts, isCut }: Item, given: unknown): string {
    const item = asLoose(given)
    return lists.map(list => parts.settle(list, this.#textsIn(item, list), isCut).rest).join('')
  }

  #textsIn(item: Loose, list: PartList): WholeText[] {
    return partsIn(item[list]).flatMap((part, index) => {
      const text = this.#textOf(part, item.type)
      return text === undefined ? [] : [{ index, text }]
    })
  }

  /** The text of a part, if it is of the kind that is read. */
  #textOf(part: Loose, itemType: unknown): string | undefined {
    const [kind, field] = textOfPart(itemType, part.type) ?? []
    return kind === this.#kind && field !== undefined ? eventText(part[field]) : undefined
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'object' && item !== null) : []
}

function asLoose(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

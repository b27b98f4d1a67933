import { isTerminal, type TextKind } from './fields.js'
import { beforeOf } from './resumed.js'

type Loose = Readonly<Record<string, unknown>>

/** So many deltas tell more of the same text from another. */
const recentDeltas = 8

/** What is known of a part's text, as another copy of the library may read it. */
interface KnownText {
  readonly length: number
  readonly count: number
  readonly recent: readonly string[]
  readonly isCut: boolean
}

/** What is known of the texts of one kind in a response. */
export interface KnownTexts {
  readonly known: ReadonlyMap<string, KnownText>
  readonly isOver: boolean
}

/** What is known of a part's text: its length, and its end. */
class Known implements KnownText {
  length = 0
  count = 0
  /** The last deltas, each in the place of an older one: to join them at each delta costs a tenth of all the reading. */
  readonly recent: string[] = []
  /** Whether its beginning was not seen, so that nobody can say what a whole text holds beyond it. */
  readonly isCut: boolean

  constructor(isCut: boolean) {
    this.isCut = isCut
  }

  static from({ length, count, recent, isCut }: KnownText): Known {
    const known = new Known(isCut)
    known.length = length
    known.count = count
    known.recent.push(...recent)
    return known
  }

  /** Adds a delta, and gives it back. */
  add(delta: string): string {
    this.length += delta.length
    this.recent[this.count++ % recentDeltas] = delta
    return delta
  }

  /** What a text holds beyond this; nothing if it is another. */
  beyond(text: string): string {
    if (this.isCut) return ''
    const oldest = this.count % recentDeltas
    const end = [...this.recent.slice(oldest), ...this.recent.slice(0, oldest)].join('')
    // Some providers tidy the whole text at the end; it then no longer begins with the deltas that were sent.
    return text.slice(0, this.length).endsWith(end) ? text.slice(this.length) : ''
  }
}

/** Where a delta stood, and what is known of its part. */
interface Place {
  readonly type: string
  readonly output: unknown
  readonly content: unknown
  readonly summary: unknown
  readonly known: Known
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
const texts: ReadonlyMap<string, readonly [kind: TextKind, field: string, list: string]> = new Map<
  string,
  readonly [TextKind, string, string]
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
  readonly known: Map<string, Known> = new Map()
  /** Of the last delta: the next one nearly always goes on with it. */
  #last: Place | undefined
  /** Whether a terminal has come; some gateways send two. */
  isOver = false
  #hasBegun = false
  /** The items and parts that have begun, where others had before, of which nothing is known. */
  #begun: string[] | undefined

  constructor(kind: TextKind) {
    this.#kind = kind
  }

  read(event: object, type: string): string {
    const loose = event as Loose
    const { delta } = loose
    if (typeof delta === 'string' && this.#last && isAt(this.#last, loose, type))
      return this.#last.known.add(delta)
    if (!this.#hasBegun) this.#begin(event)
    if (isTerminal(event)) return this.#end(loose)
    if (this.isOver) this.#forget()
    const dot = type.lastIndexOf('.')
    const name = type.slice(0, dot)
    const [kind, field, list] = texts.get(name) ?? []
    if (kind !== undefined && field !== undefined && list !== undefined) {
      if (kind !== this.#kind) return ''
      const key = keyOf(loose, list)
      if (!type.endsWith('.delta')) return this.#rest([key], loose[field])
      const text = this.#add(key, delta)
      const known = this.known.get(key)
      this.#last = known && placeIn(loose, type, known)
      return text
    }
    if (type === 'response.content_part.done' || type === 'response.reasoning_summary_part.done')
      return this.#restOfPart([keyOf(loose, name.includes('summary') ? 'summary' : 'content')], loose.part)
    if (type === 'response.output_item.done') return this.#restOfItem([placeOf(loose)], loose.item)
    if (this.#begun && type.endsWith('.added')) this.#addBegun(loose, type)
    return ''
  }

  /** What came before has been read, and is known, or it has not. */
  #begin(event: object): void {
    this.#hasBegun = true
    const before = beforeOf(event)
    if (before === 'unknown') this.#begun = []
    else if (before) {
      const { known, isOver } = before.texts[this.#kind]
      for (const [key, text] of known) this.known.set(key, Known.from(text))
      this.isOver = isOver
    }
  }

  /** The next response begins. */
  #forget(): void {
    this.known.clear()
    this.#begun = undefined
    this.isOver = false
  }

  #addBegun(event: Loose, type: string): void {
    if (type === 'response.output_item.added') this.#begun?.push(placeOf(event), idOf(event.item))
    else this.#begun?.push(keyOf(event, type.includes('summary') ? 'summary' : 'content'))
  }

  /** Whether a part began before what came first, so that its reader may have any of it. */
  #isCut(keys: readonly string[]): boolean {
    return (
      this.#begun !== undefined &&
      !keys.some(key => this.#begun?.some(name => `${key} `.startsWith(`${name} `)))
    )
  }

  #end({ response }: Loose): string {
    this.isOver = true
    this.#last = undefined
    return listOf(asLoose(response).output)
      .map((item, place) => this.#restOfItem([`${place}`, idOf(item)], item))
      .join('')
  }

  #add(key: string, delta: unknown): string {
    if (typeof delta !== 'string' || delta === '') return ''
    const known = this.known.get(key) ?? new Known(this.#isCut([key]))
    this.known.set(key, known)
    return known.add(delta)
  }

  /** What a whole text holds beyond what is known of it under any of its names. */
  #rest(keys: readonly string[], text: unknown): string {
    if (typeof text !== 'string' || text === '') return ''
    const known = keys.find(key => this.known.has(key))
    if (known === undefined && this.#isCut(keys)) return ''
    const key = known ?? (keys[0] as string)
    return this.#add(key, this.known.get(key)?.beyond(text) ?? text)
  }

  #restOfItem(places: readonly string[], item: unknown): string {
    const { content, summary } = asLoose(item)
    return [['summary', summary] as const, ['content', content] as const]
      .flatMap(([list, parts]) =>
        listOf(parts).map((part, index) =>
          this.#restOfPart(
            places.map(place => `${place} ${list} ${index}`),
            part
          )
        )
      )
      .join('')
  }

  #restOfPart(keys: readonly string[], part: unknown): string {
    const loose = asLoose(part)
    const [kind, field] = parts.get(loose.type) ?? []
    return kind === this.#kind && field !== undefined ? this.#rest(keys, loose[field]) : ''
  }
}

/** Undefined where the item has no number: then its id may be in several fields. */
function placeIn(event: Loose, type: string, known: Known): Place | undefined {
  const { output_index: output, content_index: content, summary_index: summary } = event
  return typeof output === 'number' ? { type, output, content, summary, known } : undefined
}

function isAt({ type, output, content, summary }: Place, event: Loose, eventType: string): boolean {
  return (
    type === eventType &&
    output === event.output_index &&
    content === event.content_index &&
    summary === event.summary_index
  )
}

/** The place of an item is the surest name for it: Copilot gives it another id in every event. */
function placeOf({ output_index, item_id, item }: Loose): string {
  if (typeof output_index === 'number') return `${output_index}`
  return typeof item_id === 'string' ? `id ${item_id}` : idOf(item)
}

function idOf(item: unknown): string {
  const { id } = asLoose(item)
  return typeof id === 'string' ? `id ${id}` : '0'
}

function keyOf(event: Loose, list: string): string {
  const index = list === 'summary' ? event.summary_index : event.content_index
  return `${placeOf(event)} ${list} ${typeof index === 'number' ? index : 0}`
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'object' && item !== null) : []
}

function asLoose(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

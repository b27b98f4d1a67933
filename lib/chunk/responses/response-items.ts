import { jsonOf } from '../json.js'

type Loose = Readonly<Record<string, unknown>>

/** By what an item of a response is known, as another copy of the library may read it. */
export interface NamedItem<Own> {
  /** All ids that it has gone by, and those that the result of a call goes under. */
  readonly ids: Set<string>
  callId: string | undefined
  index: number | undefined
  /** Its type, or what its events let it be. */
  type: string | undefined
  /** Of a call: its function, and its arguments as they were said whole. */
  name: string | undefined
  arguments: string | undefined
  /** Whether an event has said that it begins. */
  isAdded: boolean
  /** Whether an event has said it whole. */
  isDone: boolean
  /** Whether two events had the same id for it, which is then worth something. */
  isSure: boolean
  /** Whether it has gone by another id than at first, so that its ids are worth little. */
  isRenamed: boolean
  /** How many items came before it. */
  readonly number: number
  /** What its reader keeps of it. */
  readonly own: Own
}

/** So many ids of an item are kept: Copilot gives each event another. */
const mostIds = 16

/** What an event does to its item. `part` stands for all that is said of a part of it as a whole. */
type Step = 'added' | 'delta' | 'part' | 'done'

/** Where a delta stood, and its item. */
interface Place<Own> {
  readonly type: string
  readonly id: unknown
  readonly index: unknown
  readonly item: NamedItem<Own>
}

/**
 * The items of a response, each with what its reader keeps of it. Tells which item an event is about.
 *
 * An item is known by its ids, and where there are none by its place in the output. Neither is sure: some servers count the
 * places from 1, or give all items the same, or leave an item out at the end; Copilot gives an item another id in every
 * event; and others give all items the same id. So an id that is not known is no help, and the place decides. vLLM gives a
 * call another id, another `call_id`, and sometimes another place at its end: then what is known of it as a whole decides.
 */
export class ResponseItems<Own> {
  readonly #create: () => Own
  readonly #fits: (own: Own, item: Loose) => boolean
  readonly #byId = new Map<string, NamedItem<Own>>()
  readonly #byIndex = new Map<number, NamedItem<Own>>()
  /** Those that no event has said whole. */
  readonly #open = new Set<NamedItem<Own>>()
  /** Of the last event, if it was a delta: the next one nearly always goes on with its item. */
  #last: Place<Own> | undefined
  /** In the order in which they came. */
  readonly all: NamedItem<Own>[] = []
  /** Whether the terminal has come. Unless it comes again, what comes next is of another response: `clear` this then. */
  isOver = false

  /** `fits` says whether a whole item begins with what is kept of an item, and something is. */
  constructor(create: () => Own, fits: (own: Own, item: Loose) => boolean = () => false) {
    this.#create = create
    this.#fits = fits
  }

  /** Takes items that were known before. */
  recall(items: readonly NamedItem<Own>[]): void {
    for (const item of items) this.#keep({ ...item, ids: new Set(item.ids) })
  }

  clear(): void {
    this.#byId.clear()
    this.#byIndex.clear()
    this.#open.clear()
    this.#last = undefined
    this.all.length = 0
    this.isOver = false
  }

  /** The item that an event is about. It is made if there is none. */
  of(event: Loose, type: string): NamedItem<Own> {
    const last = this.#last
    const { item_id: id, output_index: given } = event
    if (last?.type === type && last.id === id && last.index === given) {
      if (id !== undefined) last.item.isSure = !last.item.isRenamed
      return last.item
    }
    const step = stepOf(type)
    const named = step === 'added' || step === 'done' ? namesIn(event.item, id) : namesOfEvent(event, type)
    const index = typeof given === 'number' ? given : undefined
    const item = this.#find(named, index, step, event) ?? this.#make(named, index)
    this.#learn(item, named)
    if (step === 'added') item.isAdded = true
    if (step === 'done') this.#finish(item)
    this.#last = step === 'delta' ? { type, id, index: given, item } : undefined
    return item
  }

  /** The items of the output of a whole response. */
  ofOutput(output: readonly unknown[]): NamedItem<Own>[] {
    this.#last = undefined
    const names = output.map(item => namesIn(item))
    const found = new Map<number, NamedItem<Own>>()
    const taken = new Set<NamedItem<Own>>()
    const take = (find: (named: Names, index: number) => NamedItem<Own> | undefined) => {
      for (const [index, named] of names.entries()) {
        const item = found.has(index) ? undefined : find(named, index)
        if (!item || taken.has(item)) continue
        found.set(index, item)
        taken.add(item)
      }
    }
    const atPlace = (named: Names, index: number) => {
      const at = this.#byIndex.get(index)
      return at && !isOtherType(at, named) && !isOtherCall(at, named) ? at : undefined
    }
    // The surest first: an item that is known by less must not take the place of another.
    take((named, index) => this.#byIds(named, index))
    take((named, index) => {
      const at = atPlace(named, index)
      return at && this.#says(at, named, asLoose(output[index])) ? at : undefined
    })
    const left = new Set(this.all.filter(item => !taken.has(item)))
    take((named, index) => this.#saidAmong(left, named, output[index]))
    take(atPlace)
    return names.map((named, index) => {
      const item = found.get(index) ?? this.#make(named, index)
      this.#learn(item, named)
      this.#finish(item)
      return item
    })
  }

  #find(named: Names, index: number | undefined, step: Step, event: Loose): NamedItem<Own> | undefined {
    if (index === undefined && named.ids.length === 0) return this.#findUnnamed(named, step, event)
    const known = this.#byIds(named, index)
    const isPiece = step === 'added' || step === 'delta'
    // Where all items have the same id, a piece at another place is of another item.
    const isThere = !isPiece || known?.index === index || index === undefined || known?.index === undefined
    if (known && isThere && !isBegunAgain(known, named, step) && !isNamesake(known, named, index, step)) {
      known.isSure = !known.isRenamed
      return known
    }
    const at = index === undefined ? undefined : this.#byIndex.get(index)
    if (at && !this.#isOther(at, named, step, event)) return at
    const said = step === 'done' ? this.#saidAmong(this.#open, named, event.item) : undefined
    return said ?? (isPiece ? undefined : this.#openCall(named))
  }

  /** Of an event that has neither an id nor a place. */
  #findUnnamed(named: Names, step: Step, event: Loose): NamedItem<Own> | undefined {
    if (step === 'added') return undefined
    const isFitting = (item: NamedItem<Own>) => !isOtherType(item, named)
    if (step !== 'done') return this.all.findLast(isFitting)
    return this.#saidAmong(this.#open, named, event.item) ?? [...this.#open].findLast(isFitting)
  }

  /** The first of some items of which a whole one says what has come of it. It is taken out. */
  #saidAmong(items: Set<NamedItem<Own>>, named: Names, whole: unknown): NamedItem<Own> | undefined {
    for (const item of items) {
      if (!this.#says(item, named, asLoose(whole))) continue
      items.delete(item)
      return item
    }
    return undefined
  }

  /** The first call that has begun, and whose arguments were not said whole, if it may be the one whose arguments are. */
  #openCall(named: Names): NamedItem<Own> | undefined {
    if (named.arguments === undefined || familyOf(named.type) !== 'call') return undefined
    for (const item of this.#open) {
      const isOpen = item.isAdded && item.arguments === undefined && familyOf(item.type) === 'call'
      if (isOpen && isSame(item.name, named.name)) return item
    }
    return undefined
  }

  #byIds(named: Names, index: number | undefined): NamedItem<Own> | undefined {
    const { ids, callId } = named
    if (ids.length === 0) return undefined
    const at = index === undefined ? undefined : this.#byIndex.get(index)
    // Where all items have the same id, calls have at least a call id of their own, and others their place.
    const ofCall = callId === undefined ? undefined : this.#byId.get(callId)
    const known = [
      ofCall,
      ids.some(id => at?.ids.has(id)) ? at : undefined,
      ...ids.map(id => this.#byId.get(id))
    ]
    const fitting = known.filter(item => item && !isOtherUnderId(item, named)) as NamedItem<Own>[]
    return fitting.find(({ ids: own }) => ids.every(id => own.has(id))) ?? fitting[0]
  }

  /** Whether an event whose ids are not known is about another item than the one at its place. */
  #isOther(item: NamedItem<Own>, named: Names, step: Step, event: Loose): boolean {
    if (isOtherType(item, named) || isOtherCall(item, named)) return true
    const hasIds = named.ids.length > 0 && item.ids.size > 0
    if (step === 'done' && item.isDone) return hasIds || !this.#says(item, named, asLoose(event.item))
    if (!hasIds) return false
    return step === 'added' ? item.isAdded : step === 'delta' && item.isSure
  }

  /** Whether a whole item says what has come of an item. */
  #says(item: NamedItem<Own>, named: Names, whole: Loose): boolean {
    if (item.type !== named.type) return false
    if (named.name !== undefined)
      return (
        item.name === named.name &&
        item.arguments !== undefined &&
        jsonIn(item.arguments) === jsonIn(named.arguments)
      )
    return this.#fits(item.own, whole)
  }

  #make({ ids, ...named }: Names, given: number | undefined): NamedItem<Own> {
    const index = given ?? (ids.length === 0 ? this.all.length : undefined)
    const [number, own] = [this.all.length, this.#create()]
    const { callId, type, name, arguments: said } = named
    const is = { isAdded: false, isDone: false, isSure: false, isRenamed: false }
    return this.#keep({ ids: new Set(ids), callId, index, type, name, arguments: said, ...is, number, own })
  }

  #keep(item: NamedItem<Own>): NamedItem<Own> {
    this.all.push(item)
    if (!item.isDone) this.#open.add(item)
    for (const id of item.ids) this.#byId.set(id, item)
    if (item.index !== undefined) this.#byIndex.set(item.index, item)
    return item
  }

  #finish(item: NamedItem<Own>): void {
    item.isDone = true
    this.#open.delete(item)
  }

  /** Keeps what else an event says of its item. */
  #learn(item: NamedItem<Own>, named: Names): void {
    for (const id of named.ids) {
      if (item.ids.has(id) || item.ids.size >= mostIds) continue
      item.ids.add(id)
      if (id !== named.callId) item.isRenamed = true
      if (!this.#byId.has(id)) this.#byId.set(id, item)
    }
    item.type = named.isItem ? (named.type ?? item.type) : (item.type ?? named.type)
    item.callId ??= named.callId
    item.name ??= named.name
    item.arguments = named.arguments ?? item.arguments
  }
}

/** What an item, or an event, says of which item it is. */
interface Names {
  /** Whether it is an item that says so. */
  readonly isItem: boolean
  readonly ids: readonly string[]
  readonly callId: string | undefined
  readonly type: string | undefined
  readonly name: string | undefined
  readonly arguments: string | undefined
}

/** In vLLM, an item that is done has `item_id` in the place of its `id`. */
function namesIn(item: unknown, eventId?: unknown): Names {
  const { id, item_id, call_id, type, name, arguments: given, input } = asLoose(item)
  const callId = textIn(call_id)
  return {
    isItem: true,
    ids: [id, item_id, eventId, call_id].filter(isText),
    callId,
    type: textIn(type),
    name: textIn(name),
    arguments: argumentsIn(given ?? input)
  }
}

/** The events that only items of one type have, without `.delta` or `.done`. */
const typesOfEvents: ReadonlyMap<string, string> = new Map([
  ['response.output_text', 'message'],
  ['response.text', 'message'],
  ['response.refusal', 'message'],
  ['response.reasoning_text', 'reasoning'],
  ['response.reasoning', 'reasoning'],
  ['response.reasoning_summary_text', 'reasoning'],
  ['response.reasoning_summary_part', 'reasoning'],
  ['response.function_call_arguments', 'function_call'],
  ['response.custom_tool_call_input', 'custom_tool_call'],
  ['response.mcp_call_arguments', 'mcp_call'],
  ['response.code_interpreter_call_code', 'code_interpreter_call']
])

function namesOfEvent({ item_id, name, arguments: given, input }: Loose, type: string): Names {
  return {
    isItem: false,
    ids: isText(item_id) ? [item_id] : [],
    callId: undefined,
    type: typesOfEvents.get(type.slice(0, type.lastIndexOf('.'))),
    name: textIn(name),
    arguments: argumentsIn(given ?? input)
  }
}

function stepOf(type: string): Step {
  if (type === 'response.output_item.added') return 'added'
  if (type === 'response.output_item.done') return 'done'
  return type.endsWith('.delta') ? 'delta' : 'part'
}

function isOtherType<Own>({ type }: NamedItem<Own>, named: Names): boolean {
  return type !== undefined && named.type !== undefined && familyOf(type) !== familyOf(named.type)
}

/** Whether an item under an id that is known is another: its id alone proves nothing where all items have the same. */
function isOtherUnderId<Own>(item: NamedItem<Own>, named: Names): boolean {
  const isItem = named.isItem && families.has(familyOf(item.type)) && families.has(familyOf(named.type))
  // A call of the caller's has a call id, which one that the provider runs has not.
  const isOtherRunner =
    item.type !== named.type && (item.callId === undefined) !== (named.callId === undefined)
  return (isItem && (isOtherType(item, named) || isOtherRunner)) || isOtherCall(item, named)
}

const families: ReadonlySet<unknown> = new Set(['message', 'reasoning', 'call'])

/** Servers differ in which call is a function's. */
function familyOf(type: string | undefined): string | undefined {
  return type?.endsWith('_call') ? 'call' : type
}

/** Whether two calls are two: they have other ids, and differ in what is known of their functions and arguments. */
function isOtherCall<Own>(item: NamedItem<Own>, named: Names): boolean {
  if (!hasOtherCallId(item, named)) {
    const hasNone = item.callId === undefined && named.callId === undefined
    if (!hasNone || named.ids.some(id => item.ids.has(id))) return false
  }
  return !isSame(item.name, named.name) || !isSame(jsonIn(item.arguments), jsonIn(named.arguments))
}

function hasOtherCallId<Own>({ ids, callId }: NamedItem<Own>, named: Names): boolean {
  return callId !== undefined && named.callId !== undefined && !ids.has(named.callId)
}

/** Whether an item that has begun already begins as another call, under the same id. */
function isBegunAgain<Own>(item: NamedItem<Own>, named: Names, step: Step): boolean {
  return step === 'added' && item.isAdded && hasOtherCallId(item, named)
}

/** Whether an item that is done is another than one that is done at another place, under the same call id only. */
function isNamesake<Own>(
  { ids, callId, index, isDone }: NamedItem<Own>,
  named: Names,
  at: number | undefined,
  step: Step
): boolean {
  if (step !== 'done' || !isDone || callId === undefined || callId !== named.callId || index === at)
    return false
  const others = named.ids.filter(id => id !== callId)
  return others.length > 0 && ids.size > 1 && !others.some(id => ids.has(id))
}

function isSame(one: string | undefined, other: string | undefined): boolean {
  return one === undefined || other === undefined || one === other
}

/** Some servers write the JSON of the arguments anew at the end. */
function jsonIn(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** Some servers give them parsed. */
function argumentsIn(value: unknown): string | undefined {
  return typeof value === 'object' && value !== null
    ? jsonOf('the arguments of a call', value)
    : textIn(value)
}

function textIn(value: unknown): string | undefined {
  return isText(value) ? value : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function asLoose(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

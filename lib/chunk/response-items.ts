type Loose = Readonly<Record<string, unknown>>

/** By what an item of a response is known, as another copy of the library may read it. */
export interface NamedItem<Own> {
  /** Its id, and the id that the result of a call goes under. */
  readonly ids: ReadonlySet<string>
  readonly callId: string | undefined
  readonly index: number | undefined
  /** Whether an event has said that it begins. */
  isAdded: boolean
  /** Whether two events had the same id for it, which is then worth something. */
  isSure: boolean
  /** How many items came before it. */
  readonly number: number
  /** What its reader keeps of it. */
  readonly own: Own
}

/**
 * The items of a response, each with what its reader keeps of it. Tells which item an event is about.
 *
 * An item is known by its id, and where there is none by its place in the output. Neither is sure: some servers count the
 * places from 1, or give all items the same, or leave an item out at the end; Copilot gives an item another id in every
 * event; and others give all items the same id. So an id that is not known is no help, and the place decides.
 */
export class ResponseItems<Own> {
  readonly #create: () => Own
  readonly #byId = new Map<string, NamedItem<Own>>()
  readonly #byIndex = new Map<number, NamedItem<Own>>()
  /** In the order in which they came. */
  readonly all: NamedItem<Own>[] = []
  /** Whether the terminal has come. Unless it comes again, what comes next is of another response: `clear` this then. */
  isOver = false

  constructor(create: () => Own) {
    this.#create = create
  }

  /** Takes items that were known before. */
  recall(items: readonly NamedItem<Own>[]): void {
    for (const item of items) this.#keep({ ...item, ids: new Set(item.ids) })
  }

  clear(): void {
    this.#byId.clear()
    this.#byIndex.clear()
    this.all.length = 0
    this.isOver = false
  }

  /** The item that an event is about. It is made if there is none. */
  of(event: Loose, type: string): NamedItem<Own> {
    const named = namesIn(event.item ?? { id: event.item_id })
    const index = typeof event.output_index === 'number' ? event.output_index : undefined
    const item = this.#find(named, index, type) ?? this.#open(named, index)
    if (type === 'response.output_item.added') item.isAdded = true
    return item
  }

  /** The items of the output of a whole response. */
  ofOutput(output: readonly unknown[]): NamedItem<Own>[] {
    const names = output.map(namesIn)
    const taken = new Set<NamedItem<Own>>()
    const found = names.map(({ ids }, index) => {
      const item = this.#byIds(ids, index)
      if (!item || taken.has(item)) return undefined
      taken.add(item)
      return item
    })
    return names.map((named, index) => {
      const at = this.#byIndex.get(index)
      const isAt = at && !taken.has(at) && !isOtherCall(at, named)
      const item = found[index] ?? (isAt ? at : this.#open(named, index))
      taken.add(item)
      return item
    })
  }

  #find(named: Names, index: number | undefined, type: string): NamedItem<Own> | undefined {
    const { ids } = named
    if (index === undefined && ids.length === 0)
      return type === 'response.output_item.added' ? undefined : this.all.at(-1)
    const at = index === undefined ? undefined : this.#byIndex.get(index)
    const known = this.#byIds(ids, index)
    const isPiece = type.endsWith('.delta') || type === 'response.output_item.added'
    // Where all items have the same id, a piece at another place is of another item.
    if (known && (!isPiece || known.index === index || index === undefined || known.index === undefined)) {
      known.isSure = true
      return known
    }
    return at && !isOther(at, named, type) ? at : undefined
  }

  #byIds(ids: readonly string[], index: number | undefined): NamedItem<Own> | undefined {
    const at = index === undefined ? undefined : this.#byIndex.get(index)
    if (at && ids.some(id => at.ids.has(id))) return at
    for (const id of ids) {
      const known = this.#byId.get(id)
      if (known) return known
    }
    return undefined
  }

  #open({ ids, callId }: Names, given: number | undefined): NamedItem<Own> {
    const index = given ?? (ids.length === 0 ? this.all.length : undefined)
    const [number, own] = [this.all.length, this.#create()]
    return this.#keep({ ids: new Set(ids), callId, index, isAdded: false, isSure: false, number, own })
  }

  #keep(item: NamedItem<Own>): NamedItem<Own> {
    this.all.push(item)
    for (const id of item.ids) this.#byId.set(id, item)
    if (item.index !== undefined) this.#byIndex.set(item.index, item)
    return item
  }
}

/** The ids in an item, or in an event. */
interface Names {
  readonly ids: readonly string[]
  readonly callId: string | undefined
}

function namesIn(item: unknown): Names {
  const { id, call_id: callId } = (typeof item === 'object' && item !== null ? item : {}) as Loose
  const ids = [id, callId].filter(name => typeof name === 'string' && name !== '') as string[]
  return { ids, callId: typeof callId === 'string' && callId !== '' ? callId : undefined }
}

/** Whether an event with an id that is not known is about another item than the one at its place. */
function isOther<Own>(item: NamedItem<Own>, named: Names, type: string): boolean {
  if (named.ids.length === 0 || item.ids.size === 0) return false
  if (isOtherCall(item, named)) return true
  if (type === 'response.output_item.added') return item.isAdded
  return type.endsWith('.delta') && item.isSure
}

function isOtherCall<Own>(item: NamedItem<Own>, { callId }: Names): boolean {
  return callId !== undefined && item.callId !== undefined && callId !== item.callId
}

/** A value that arrives in pieces. A piece of another kind is skipped. */
export interface Pieces {
  add(piece: unknown): void
  readonly value: unknown
}

/** Which fields are put together in a way of their own, and how. */
export type PieceFields = ReadonlyMap<string, () => Pieces>

export interface MergeOptions {
  /** The fields that are put together in a way of their own. */
  pieces?: PieceFields
  /** The fields that are left out. */
  except?: ReadonlySet<string>
  /** What a list that comes a second time is: more of the same list (the default), or that list once more. */
  lists?: 'append' | 'replace'
}

/**
 * The fields of an object that comes again and again with news: a chunk, a choice, a delta, log probabilities.
 *
 * The last value that says anything wins: providers fill the fields that have no news with null, an empty text
 * or an empty list. Objects are merged one level deep, since Azure's last `content_filter_results` is `{}` and
 * Groq's `x_groq` has the seed in one chunk and the usage in another.
 *
 * Field names are data from outside: they are kept in a map, so that `__proto__` is a name like any other. What
 * is added is never changed.
 */
export class MergedFields implements Pieces {
  readonly #values = new Map<string, unknown>()
  readonly #pieces = new Map<string, Pieces>()
  readonly #options: MergeOptions
  readonly #isNested: boolean

  constructor(options: MergeOptions = {}, isNested = false) {
    this.#options = options
    this.#isNested = isNested
  }

  add(object: unknown): void {
    if (!isObject(object)) return
    for (const name of Object.keys(object)) {
      if (!this.#options.except?.has(name)) this.set(name, object[name])
    }
  }

  set(name: string, value: unknown): void {
    // Most fields of a chunk are those of the chunk before it.
    if (value !== undefined && this.#values.get(name) === value) return
    const pieces = this.#pieces.get(name)
    const isKnown = pieces !== undefined || this.#values.get(name) != null
    if (value === undefined || (isKnown && saysNothing(value))) return
    const target = pieces ?? this.#piecesFor(name, value)
    if (target) {
      target.add(value)
      this.#pieces.set(name, target)
    } else {
      this.#values.set(name, value)
    }
  }

  get(name: string): unknown {
    const pieces = this.#pieces.get(name)
    return pieces ? pieces.value : this.#values.get(name)
  }

  get value(): Record<string, unknown> {
    const names = new Set([...this.#values.keys(), ...this.#pieces.keys()])
    // Unlike an assignment, `fromEntries` makes an own property of every name.
    return Object.fromEntries([...names].map(name => [name, this.get(name)]))
  }

  #piecesFor(name: string, value: unknown): Pieces | undefined {
    if (value === null) return undefined
    const { pieces, lists = 'append' } = this.#options
    const create = pieces?.get(name)
    if (create) return create()
    if (Array.isArray(value)) return lists === 'append' ? new List() : undefined
    return isObject(value) && !this.#isNested ? new MergedFields({ lists }, true) : undefined
  }
}

class List implements Pieces {
  readonly #items: unknown[] = []

  add(items: unknown): void {
    if (Array.isArray(items)) for (const item of items) this.#items.push(item)
  }

  get value(): unknown[] {
    return this.#items.slice()
  }
}

function saysNothing(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

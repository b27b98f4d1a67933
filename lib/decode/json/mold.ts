export type Json = string | number | boolean | null | Json[] | Members
export type Members = { [name: string]: Json }

/** What stands where the copies of a value differ: what is in the hole of this number, or a copy of its own. */
type Part = number | ObjectMold | ArrayMold

/**
 * A member in which the copies of an object differ, and the next one. In such a list a member is in one place in memory,
 * in two arrays for names and parts in four; and of a thousand streams at once, each finds its own gone from the
 * processor's cache.
 */
interface Field {
  readonly name: string
  readonly part: Part
  readonly next: Field | undefined
}

/** Copies an object and fills the holes in it. */
export class ObjectMold {
  readonly #object: Members
  readonly #fields: Field | undefined
  readonly #spread: (object: Members) => Members

  constructor(object: Members, parts: ReadonlyMap<string, Part>) {
    this.#object = object
    this.#fields = [...parts].reduceRight<Field | undefined>(
      (next, [name, part]) => ({ name, part, next }),
      undefined
    )
    this.#spread = spreadFor(object)
  }

  copy(values: readonly Json[]): Members {
    const copy = this.#spread(this.#object)
    for (let field = this.#fields; field; field = field.next)
      store(copy, field.name, fill(field.part, values))
    return copy
  }
}

/** Copies an array and fills the holes in it. */
export class ArrayMold {
  readonly #array: readonly Json[]
  readonly #indexes: readonly number[]
  readonly #parts: readonly Part[]

  constructor(array: readonly Json[], parts: ReadonlyMap<string, Part>) {
    this.#array = array
    this.#indexes = [...parts.keys()].map(Number)
    this.#parts = [...parts.values()]
  }

  copy(values: readonly Json[]): Json[] {
    const parts = this.#parts
    // A list of one, as nearly all are.
    if (this.#array.length === 1 && parts.length === 1) return [fill(parts[0] as Part, values)]
    const copy = this.#array.slice()
    for (let at = 0; at < parts.length; at++)
      copy[this.#indexes[at] as number] = fill(parts[at] as Part, values)
    return copy
  }
}

function fill(part: Part, values: readonly Json[]): Json {
  // A match has filled every hole.
  return typeof part === 'number' ? (values[part] as Json) : part.copy(values)
}

/**
 * Undefined for a scalar, which cannot be changed and need not be copied. A string that is NUL and a number marks the hole
 * of that number; the paths of those that are found are added to `holes`.
 */
export function partFor(value: Json, path: readonly string[], holes: string[][]): Part | undefined {
  if (typeof value === 'string' && value.startsWith('\0')) {
    holes.push([...path])
    return Number(value.slice(1))
  }
  if (typeof value !== 'object' || value === null) return
  const parts = new Map<string, Part>()
  for (const [key, member] of Object.entries(value)) {
    const part = partFor(member, [...path, key], holes)
    if (part !== undefined) parts.set(key, part)
  }
  return Array.isArray(value) ? new ArrayMold(value, parts) : new ObjectMold(value, parts)
}

/**
 * V8 stores under a name that stands in the code in a tenth of the time of any other: these are most of those that chunks
 * have. They are the only names of a provider in this folder. They cannot be moved out of it: passed in from outside they would be
 * values, and no longer names in the code.
 */
function store(object: Members, key: string, value: Json): void {
  switch (key) {
    case 'choices':
      object.choices = value
      break
    case 'delta':
      object.delta = value
      break
    case 'content':
      object.content = value
      break
    case 'obfuscation':
      object.obfuscation = value
      break
    case 'sequence_number':
      object.sequence_number = value
      break
    case 'logprobs':
      object.logprobs = value
      break
    case 'timings':
      object.timings = value
      break
    case 'usage':
      object.usage = value
      break
    case 'created':
      object.created = value
      break
    case 'predicted_n':
      object.predicted_n = value
      break
    case 'predicted_ms':
      object.predicted_ms = value
      break
    case 'predicted_per_token_ms':
      object.predicted_per_token_ms = value
      break
    case 'predicted_per_second':
      object.predicted_per_second = value
      break
    default:
      object[key] = value
  }
}

/**
 * V8 spreads fast where a place in the code meets up to four shapes of object, and five times as slow where it meets
 * more. So there are several places, and the names in an object choose one.
 */
const spreads: readonly ((object: Members) => Members)[] = [
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object })
]

function spreadFor(object: Members): (object: Members) => Members {
  const names = Object.keys(object).join()
  let sum = 0
  for (let at = 0; at < names.length; at++) sum = (sum * 31 + names.charCodeAt(at)) % 65_537
  return spreads[sum % spreads.length] as (typeof spreads)[0]
}

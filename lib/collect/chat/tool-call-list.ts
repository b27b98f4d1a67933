import { JoinedText } from '../joined-text.js'
import { isObject, MergedFields, type Pieces } from '../merged-fields.js'

const callNames: ReadonlySet<string> = new Set(['index', 'id', 'type', 'function', 'custom'])
const functionNames: ReadonlySet<string> = new Set(['name', 'arguments', 'input'])

/** A tool call of a completion, in one shape for all three APIs. */
export interface ToolCall {
  /** The index of the choice that makes the call; 0 for the Responses API. */
  choice: number
  /** The place of the call among those of its choice, in order of arrival, from 0. */
  index: number
  /** What the answer to the call has to name: `tool_call_id`, or the Responses API's `call_id`. `''` if there is none. */
  id: string
  /** `function` or `custom`, or as the provider names it. */
  type: string
  /** The name of the function or custom tool. */
  name: string
  /** The arguments as the model wrote them; the input of a custom tool. */
  arguments: string
  /** The parsed arguments of a function, if they are JSON. */
  parsed?: unknown
}

/** A tool call as far as it has come. */
export class PartialToolCall {
  /** Its place among the calls of its choice, in order of arrival, from 0. */
  readonly position: number
  /** The index that the provider gave it; its position where there is none. */
  readonly index: number
  id = ''
  type = ''
  name = ''
  /** The arguments of a function, the input of a custom tool. */
  readonly arguments: JoinedText = new JoinedText()
  readonly #fields = new MergedFields({ except: callNames })
  readonly #functionFields = new MergedFields({ except: functionNames })

  constructor(position: number, index: number = position) {
    this.position = position
    this.index = index
  }

  add(delta: Record<string, unknown>): void {
    const { id, type, function: called, custom } = delta
    if (isText(id)) this.id = id
    if (isText(type)) this.type = type
    this.#fields.add(delta)
    const tool = isObject(called) ? called : custom
    if (!isObject(tool)) return
    this.type ||= tool === custom ? 'custom' : 'function'
    this.addFunction(tool)
  }

  /** Adds what a call says of its function, which is also all that the legacy `function_call` holds. */
  addFunction(called: Record<string, unknown>): void {
    const { name, arguments: given = called.input } = called
    // Where a name comes twice it is the same name again: it is never in pieces.
    if (isText(name)) this.name = name
    if (typeof given === 'string') this.arguments.add(given)
    // Arguments are text with a JSON object in it; some servers send the object itself.
    else if (isObject(given)) this.arguments.replace(JSON.stringify(given))
    this.#functionFields.add(called)
  }

  /** Takes what a provider says once more as a whole. Arguments that it leaves out there stay as they came. */
  replaceFunction(called: Record<string, unknown>): void {
    const { arguments: given = called.input } = called
    if (isText(given)) this.arguments.replace('')
    this.addFunction(called)
  }

  /** The call as the message of a whole completion has it. */
  toObject(): Record<string, unknown> {
    const fields = { ...this.#fields.value, id: this.id }
    if (this.type === 'custom') {
      const custom = { ...this.#functionFields.value, name: this.name, input: this.arguments.value }
      return { ...fields, type: this.type, custom }
    }
    return { ...fields, type: this.type || 'function', function: this.toFunction() }
  }

  toFunction(): Record<string, unknown> {
    return { ...this.#functionFields.value, name: this.name, arguments: this.arguments.value }
  }
}

/** The legacy `function_call` of a message. */
export class FunctionCall implements Pieces {
  readonly #call = new PartialToolCall(0)

  add(called: unknown): void {
    if (isObject(called)) this.#call.addFunction(called)
  }

  get value(): Record<string, unknown> {
    return this.#call.toFunction()
  }
}

/**
 * The tool calls of one choice, put together from deltas.
 *
 * A call goes by its index; the same index under a new id is a new call (Gemini and Ollama give all calls the
 * index 0). Without an index, a new id starts a call, or a name where there is no id either, and bare arguments
 * belong to the last call. An index is data from outside: it is looked up, never used as a place in an array.
 */
export class ToolCallList implements Pieces {
  readonly #calls: PartialToolCall[] = []
  readonly #byIndex = new Map<number, PartialToolCall>()
  readonly #byId = new Map<string, PartialToolCall>()

  /** Adds the `tool_calls` of a delta. Returns the calls that they start. */
  add(deltas: unknown): PartialToolCall[] {
    const started: PartialToolCall[] = []
    if (!Array.isArray(deltas)) return started
    for (const delta of deltas) {
      if (!isObject(delta)) continue
      const known = this.#find(delta)
      const call = known ?? this.#start(delta.index)
      call.add(delta)
      if (call.id !== '') this.#byId.set(call.id, call)
      if (!known) started.push(call)
    }
    return started
  }

  /** The calls in the order of their indexes. */
  get value(): Record<string, unknown>[] {
    return this.#calls.toSorted((one, other) => one.index - other.index).map(call => call.toObject())
  }

  #find({ index, id, function: called }: Record<string, unknown>): PartialToolCall | undefined {
    if (isIndex(index)) {
      const call = this.#byIndex.get(index)
      return call && isText(id) && call.id !== '' && call.id !== id ? undefined : call
    }
    if (isText(id)) return this.#byId.get(id)
    const last = this.#calls.at(-1)
    const isNamed = isObject(called) && isText(called.name)
    return isNamed && last?.name ? undefined : last
  }

  #start(index: unknown): PartialToolCall {
    const call = new PartialToolCall(this.#calls.length, isIndex(index) ? index : undefined)
    this.#calls.push(call)
    if (isIndex(index)) this.#byIndex.set(index, call)
    return call
  }
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number'
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** The call in the shape that all three APIs share. */
export function toToolCall(
  choice: number,
  { position, id, type, name, arguments: pieces }: PartialToolCall
): ToolCall {
  const text = pieces.value
  const call: ToolCall = { choice, index: position, id, type: type || 'function', name, arguments: text }
  if (call.type === 'custom') return call
  try {
    call.parsed = JSON.parse(text)
  } catch {
    // No JSON: the model wrote it, and the text is all there is to hand on.
  }
  return call
}

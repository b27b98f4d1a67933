import { numberIn } from '../../chunk/fields.js'
import { unreadable } from '../../chunk/text.js'
import { isObject, MergedFields, type Pieces } from '../merged-fields.js'
import { isCallersType } from '../responses/call-item.js'
import { argumentsText, isSaidAgain, type SettledArguments, ToolArguments } from './tool-arguments.js'

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
  /**
   * `function` or `custom`, or as the provider names it. In the Responses API, calls of the provider's tools that the caller
   * is to run are among them: `local_shell_call`, `shell_call`, `computer_call`, `apply_patch_call`, a `tool_search_call`
   * for the client, and `mcp_approval_request`, which waits for an approval.
   */
  type: string
  /** The name of the function or custom tool; of other calls their type without `_call`, where they have no name. */
  name: string
  /** The arguments as the model wrote them; the input of a custom tool; of other calls their own fields, as JSON. */
  arguments: string
  /** The parsed arguments of a function, if they are JSON. */
  parsed?: unknown
  /** What a provider adds to a call and wants back with its answer, such as Gemini's thought signature. */
  extra_content?: unknown
  /**
   * True for a call that the provider runs itself, such as a search of xAI's: it is not to be run by the caller. Absent
   * for all others.
   */
  isProviderRun?: true
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
  readonly arguments: ToolArguments = new ToolArguments()
  /** What the provider wants back with the answer to the call. */
  extra: unknown
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
    if (isObject(delta.extra_content)) this.extra = delta.extra_content
    const tool = toolIn(delta)
    this.#fields.add(tool === called || tool === custom ? delta : withoutTool(delta))
    if (!tool) return
    this.type ||= tool === custom ? 'custom' : 'function'
    this.addFunction(tool)
  }

  /** Adds what a call says of its function, which is also all that the legacy `function_call` holds. */
  addFunction(called: Record<string, unknown>): void {
    const { name, arguments: given = called.input } = called
    if (isText(name)) this.#addName(name)
    this.arguments.add(given)
    this.#functionFields.add(called)
  }

  /** Takes what a provider says once more as a whole. Arguments that it leaves out there stay as they came. */
  replaceFunction(called: Record<string, unknown>): void {
    const { arguments: given = called.input } = called
    if (isText(given) || isObject(given)) this.arguments.replace('')
    if (isText(called.name)) this.name = called.name
    this.addFunction(called)
  }

  /** Whether another id at its index begins another call: this one is whole then. Others give each piece an id of its own. */
  get isWhole(): boolean {
    return this.type === 'custom' ? !this.arguments.isEmpty : this.arguments.whole() !== undefined
  }

  /**
   * Whether a delta that names a function, at the place of this call and not under another id, begins another call: this
   * one is whole then, and the delta does not say it again.
   */
  endsBefore(id: unknown, name: string, text: string): boolean {
    const isOther = !name.startsWith(this.name)
    // Under its own id, a name without arguments is more of the name.
    if (text.trim() === '' && (!isOther || (isText(id) && id === this.id))) return false
    if (!isOther && !/^\s*\{/.test(text)) return false
    const whole = this.type === 'custom' ? undefined : this.arguments.whole()
    if (!isObject(whole?.parsed)) return false
    if (isOther) return true
    // Some servers send `{}` first, and then the arguments.
    const isFirst = name === this.name && Object.keys(whole.parsed).length === 0
    return !isFirst && !isSaidAgain(whole, text)
  }

  /** A name may come in pieces (vLLM), be repeated in every delta, or be repeated as far as it has come. */
  #addName(name: string): void {
    if (name.startsWith(this.name)) this.name = name
    else this.name += name
  }

  /** The call as the message of a whole completion has it. */
  toObject(): Record<string, unknown> {
    const fields = { ...this.#fields.value, id: this.id }
    if (this.type === 'custom') {
      const custom = { ...this.#functionFields.value, name: this.name, input: this.arguments.settle().text }
      return { ...fields, type: this.type, custom }
    }
    return { ...fields, type: this.type || 'function', function: this.toFunction() }
  }

  toFunction(): Record<string, unknown> {
    return { ...this.#functionFields.value, name: this.name, arguments: this.arguments.settle().text }
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
 * A call goes by its index, and among those of one index by its id. The same index under a new id is a new call (Gemini
 * and Ollama give all calls the index 0) if the delta names another function, or any where the arguments so far are JSON; else
 * it is the same call, whose pieces each have an id of their own (Mistral's GLM, vLLM). Under the same id or none, it is a
 * new call if the arguments so far are a JSON object, and the delta names a function and does not say the same again.
 * Without an index, a new id starts a call, or a name where there is no id either. Arguments without an id and a name
 * begin no call: where none has their index, or they have none, they belong to the last one; of several in one list, each
 * belongs to the call at its place in the list before (Moonshot). An index is data from outside: it is looked up, never used
 * as a place in an array.
 */
export class ToolCallList implements Pieces {
  readonly #calls: PartialToolCall[] = []
  readonly #byIndex = new Map<number, PartialToolCall>()
  readonly #byId = new Map<string, PartialToolCall>()
  /** The calls of the newest list of several, by their places in it. */
  #newest: PartialToolCall[] = []

  /**
   * Adds the `tool_calls` of a delta. Returns the calls that they start. Throws `CS_ERR_INVALID_CHUNK` for what is filled and
   * no list.
   */
  add(deltas: unknown): PartialToolCall[] {
    const started: PartialToolCall[] = []
    if (!Array.isArray(deltas)) {
      if (isText(deltas) || (isObject(deltas) && Object.keys(deltas).length > 0))
        throw unreadable('tool_calls')
      return started
    }
    const before = this.#newest
    if (deltas.length > 1) this.#newest = []
    for (const [place, given] of deltas.entries()) {
      if (!isObject(given)) continue
      const delta = withKnownTypes(given)
      const atPlace = deltas.length > 1 && isBare(delta) ? before[place] : undefined
      const known = atPlace && !atPlace.isWhole ? atPlace : this.#find(delta)
      const call = known ?? this.#start(delta.index)
      call.add(delta)
      if (deltas.length > 1) this.#newest[place] = call
      if (call.id !== '') this.#byId.set(call.id, call)
      if (!known) started.push(call)
    }
    return started
  }

  /** The calls in the order of their indexes. */
  get value(): Record<string, unknown>[] {
    return this.#calls.toSorted((one, other) => one.index - other.index).map(call => call.toObject())
  }

  #find(delta: Record<string, unknown>): PartialToolCall | undefined {
    const { index, id } = delta
    const tool = toolIn(delta)
    const name = isText(tool?.name) ? tool.name : undefined
    const byId = isText(id) ? this.#byId.get(id) : undefined
    let call = byId
    if (isIndex(index) && byId?.index !== index) call = this.#byIndex.get(index)
    if (!call && !isText(id)) call = this.#last(name, index)
    return call && tool && name !== undefined && this.#isAnother(call, id, name, tool) ? undefined : call
  }

  /** The last call, if a delta without an id and of this name, at an index where there is no call, goes on with it. */
  #last(name: string | undefined, index: unknown): PartialToolCall | undefined {
    const last = this.#calls.at(-1)
    return name !== undefined && (isIndex(index) || last?.name) ? undefined : last
  }

  /** Whether a delta that names a function begins another call than the one at its place. */
  #isAnother(call: PartialToolCall, id: unknown, name: string, tool: Record<string, unknown>): boolean {
    if (isText(id) && call.id !== '' && call.id !== id) return call.isWhole || name !== call.name
    const { arguments: given = tool.input } = tool
    return call.endsBefore(id, name, argumentsText(given, true))
  }

  #start(index: unknown): PartialToolCall {
    const call = new PartialToolCall(this.#calls.length, isIndex(index) ? index : undefined)
    this.#calls.push(call)
    if (isIndex(index)) this.#byIndex.set(index, call)
    return call
  }
}

/** Some servers count their calls, but the answer to a call is to name it by a text; others write the index as one. */
function withKnownTypes(given: Record<string, unknown>): Record<string, unknown> {
  const { id, index } = given
  const number = numberIn(index)
  if (typeof id !== 'number' && number === undefined) return given
  return {
    ...given,
    ...(typeof id === 'number' && { id: `${id}` }),
    ...(number !== undefined && { index: number })
  }
}

/** What a call says of its function or custom tool. Some servers say it beside the id, and leave out `function`. */
export function toolIn(call: Record<string, unknown>): Record<string, unknown> | undefined {
  const { function: called, custom, name, arguments: given, input } = call
  if (isObject(called)) return called
  if (isObject(custom)) return custom
  return name === undefined && given === undefined && input === undefined
    ? undefined
    : { name, arguments: given, input }
}

/** Whether a delta does not say which call it is of. */
function isBare(delta: Record<string, unknown>): boolean {
  return !isIndex(delta.index) && !isText(delta.id) && !isText(toolIn(delta)?.name)
}

function withoutTool({ name, arguments: given, input, ...rest }: Record<string, unknown>): object {
  return rest
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number'
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** The tools that xAI runs itself where it calls them functions, or custom tools, like those of the caller. */
const providerTools = /^(?:x_(?:user|keyword|semantic)_search|x_thread_fetch|view_x_video)$/

/** The call in the shape that all three APIs share. */
export function toToolCall(choice: number, partial: PartialToolCall, settled?: SettledArguments): ToolCall {
  const { position, id, type, name, extra } = partial
  const { text, ...rest } = settled ?? partial.arguments.settle()
  const call: ToolCall = { choice, index: position, id, type: type || 'function', name, arguments: text }
  if (call.type !== 'custom' && 'parsed' in rest) call.parsed = rest.parsed
  if (extra !== undefined) call.extra_content = extra
  const isCallers =
    isCallersType(call.type) ||
    (['function', 'custom', 'client_side_tool'].includes(call.type) && !providerTools.test(name))
  if (!isCallers) call.isProviderRun = true
  return call
}

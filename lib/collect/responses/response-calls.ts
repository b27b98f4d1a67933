import { isTerminal } from '../../chunk/fields.js'
import { itemId } from '../../chunk/recalled.js'
import { ResponseItems } from '../../chunk/response-items.js'
import { beforeOf } from '../../chunk/resumed.js'
import { PartialToolCall, type ToolCall, toToolCall } from '../chat/tool-call-list.js'
import { isObject } from '../merged-fields.js'

/** What may be read off an event of the Responses API that concerns a tool call. */
type LooseEvent = Readonly<Record<string, unknown>>

/**
 * The function and custom tool calls of one response, from its events. The calls that the provider makes
 * itself, such as a web search, are not among them.
 */
export class ResponseCalls {
  readonly #items = new ResponseItems<undefined>(() => undefined)
  readonly #open = new Map<unknown, PartialToolCall>()
  readonly #settled = new Set<unknown>()
  #count = 0
  #hasBegun = false
  /** Whether others may have come before, to a reader that has come back, and nothing is known of them. */
  #isCut = false

  /** Takes the next event, and puts the calls that came to their end with it into one of the two lists. */
  add(chunk: object, type: string, whole: ToolCall[], unfinished: ToolCall[]): void {
    const event = chunk as LooseEvent
    const { item, delta, name, arguments: given, input, response } = event
    if (!this.#hasBegun) this.#begin(event)
    switch (type) {
      case 'response.output_item.added':
        if (isCallItem(item)) this.#start(this.#items.of(event, type)).add(asDelta(item))
        break
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        if (typeof delta === 'string') this.#find(event, type)?.arguments.add(delta)
        break
      case 'response.function_call_arguments.done':
      case 'response.custom_tool_call_input.done':
        this.#find(event, type)?.replaceFunction({ name, arguments: given ?? input })
        break
      case 'response.output_item.done':
        if (isCallItem(item))
          this.#settle(this.#items.of(event, type), item, item.status === 'incomplete' ? unfinished : whole)
        break
      default:
        if (isTerminal(event)) this.#finish(type, response, whole, unfinished)
    }
  }

  /** Moves the calls that are still open into a list. */
  close(calls: ToolCall[]): void {
    for (const call of this.#open.values()) calls.push(toToolCall(0, call))
    this.#open.clear()
  }

  /** A call that was whole before is not given again. */
  #begin(event: object): void {
    this.#hasBegun = true
    const before = beforeOf(event)
    if (before === 'unknown') this.#isCut = true
    else for (const id of before?.done ?? []) this.#settled.add(id)
  }

  /** A terminal event holds all items once more; some gateways send them there only. */
  #finish(type: string, response: unknown, whole: ToolCall[], unfinished: ToolCall[]): void {
    const isCut = type === 'response.incomplete'
    const output = isObject(response) && Array.isArray(response.output) ? response.output : []
    const keys = new Map<unknown, unknown>([...this.#open].map(([key, call]) => [call.id, key]))
    const calls = output.filter(isCallItem).filter(item => this.#isNew(item, keys))
    for (const [position, item] of calls.entries()) {
      const key = keys.get(itemId(item)) ?? `item ${position}`
      this.#settle(key, item, item.status === 'incomplete' || (isCut && !item.status) ? unfinished : whole)
    }
    this.close(isCut ? unfinished : whole)
    this.#items.clear()
  }

  /** Of those that may have come before, only a call that has begun since then is new. */
  #isNew(item: object, open: ReadonlyMap<unknown, unknown>): boolean {
    return !this.#settled.has(itemId(item)) && (!this.#isCut || open.has(itemId(item)))
  }

  #settle(key: unknown, item: Record<string, unknown>, calls: ToolCall[]): void {
    const call = this.#open.get(key) ?? new PartialToolCall(this.#count++)
    this.#open.delete(key)
    this.#settled.add(itemId(item))
    const { function: called, ...rest } = asDelta(item)
    call.add(rest)
    call.replaceFunction(called)
    calls.push(toToolCall(0, call))
  }

  #start(key: unknown): PartialToolCall {
    const call = new PartialToolCall(this.#count++)
    this.#open.set(key, call)
    return call
  }

  /** The call that an event belongs to. */
  #find(event: LooseEvent, type: string): PartialToolCall | undefined {
    return this.#open.get(this.#items.of(event, type))
  }
}

function isCallItem(item: unknown): item is Record<string, unknown> {
  return isObject(item) && (item.type === 'function_call' || item.type === 'custom_tool_call')
}

/** An item of a response in the words of a chat completion. */
function asDelta(
  item: Record<string, unknown>
): Record<'id' | 'type', unknown> & { function: Record<string, unknown> } {
  const { type, name, arguments: given, input } = item
  return {
    id: itemId(item),
    type: type === 'custom_tool_call' ? 'custom' : 'function',
    function: { name, arguments: given ?? input }
  }
}

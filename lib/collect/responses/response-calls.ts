import { closesResponse, isTerminal, responseOf, responseStatusOf } from '../../chunk/fields.js'
import { type NamedItem, ResponseItems } from '../../chunk/responses/response-items.js'
import { beforeOf } from '../../chunk/responses/resumed.js'
import { PartialToolCall, type ToolCall, toToolCall } from '../chat/tool-call-list.js'
import { asDelta, isCallItem } from './call-item.js'

/** What may be read off an event of the Responses API that concerns a tool call. */
type LooseEvent = Readonly<Record<string, unknown>>

/** What is known of a call. */
interface KnownCall {
  /** As long as its end has not come. */
  open: PartialToolCall | undefined
  /** Whether it has been given. */
  isSettled: boolean
}

/**
 * The calls of one response that the caller is to run, from its events: of functions, of custom tools, and of tools of the
 * provider's such as a local shell. The calls that the provider runs itself, such as a web search, are not among them.
 */
export class ResponseCalls {
  readonly #items = new ResponseItems<KnownCall>(() => ({ open: undefined, isSettled: false }))
  #count = 0
  #hasBegun = false
  /** Whether others may have come before, to a reader that has come back, and nothing is known of them. */
  #isCut = false

  /** Takes the next event, and puts the calls that came to their end with it into one of the two lists. */
  add(chunk: object, type: string, whole: ToolCall[], unfinished: ToolCall[]): void {
    const event = chunk as LooseEvent
    const { item, delta, name, arguments: given, input } = event
    if (!this.#hasBegun) this.#begin(event)
    if (this.#items.isOver && !closesResponse(event)) this.#items.clear()
    switch (type) {
      case 'response.output_item.added':
        if (isCallItem(item)) this.#start(this.#items.of(event, type).own).add(asDelta(item))
        break
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        this.#items.of(event, type).own.open?.arguments.add(delta)
        break
      case 'response.function_call_arguments.done':
      case 'response.custom_tool_call_input.done':
        this.#items.of(event, type).own.open?.replaceFunction({ name, arguments: given ?? input })
        break
      case 'response.output_item.done':
        if (isCallItem(item))
          this.#settle(this.#items.of(event, type), item, item.status === 'incomplete' ? unfinished : whole)
        break
      default:
        if (isTerminal(event)) this.#finish(event, whole, unfinished)
    }
  }

  /** Moves the calls that are still open into a list. */
  close(calls: ToolCall[]): void {
    for (const { own } of this.#items.all) {
      if (own.open) calls.push(toToolCall(0, own.open))
      own.open = undefined
    }
  }

  /** A call that was whole before is not given again. */
  #begin(event: object): void {
    this.#hasBegun = true
    const before = beforeOf(event)
    if (before === 'unknown') this.#isCut = true
    else if (before)
      this.#items.recall(
        before.items.all.map(item => ({ ...item, own: { open: undefined, isSettled: item.isDone } }))
      )
  }

  /** A terminal event holds all items once more; some gateways send them there only. */
  #finish(event: object, whole: ToolCall[], unfinished: ToolCall[]): void {
    const isCut = responseStatusOf(event) === 'incomplete'
    const given = responseOf(event)?.output
    const output = Array.isArray(given) ? given : []
    const items = this.#items.ofOutput(output)
    this.#items.isOver = true
    for (const [index, known] of items.entries()) {
      const item: unknown = output[index]
      // Of those that may have come before, only a call that has begun since then is new.
      if (!isCallItem(item) || (this.#isCut && !known.own.open)) continue
      this.#settle(known, item, item.status === 'incomplete' || (isCut && !item.status) ? unfinished : whole)
    }
    this.close(isCut ? unfinished : whole)
  }

  #settle({ own, callId }: NamedItem<KnownCall>, item: Record<string, unknown>, calls: ToolCall[]): void {
    if (own.isSettled) return
    const call = own.open ?? new PartialToolCall(this.#count++)
    const { function: called, ...rest } = asDelta(item)
    // Of several call ids, the first counts: vLLM makes up another each time. Some gateways leave it empty at the end.
    call.add({ ...rest, id: callId ?? rest.id })
    call.replaceFunction(called)
    calls.push(toToolCall(0, call))
    own.open = undefined
    own.isSettled = true
  }

  #start(own: KnownCall): PartialToolCall {
    own.open ??= new PartialToolCall(this.#count++)
    return own.open
  }
}

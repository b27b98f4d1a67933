import { choicesOf, finishReasonOf, indexOf, type LooseChoice } from '../../chunk/fields.js'
import { isCut } from '../../chunk/finish-reason.js'
import { isObject } from '../merged-fields.js'
import { ResponseCalls } from '../responses/response-calls.js'
import { PartialToolCall, type ToolCall, ToolCallList, toToolCall } from './tool-call-list.js'

/**
 * Puts the tool calls of one completion together, and says as soon as can be known that one is whole.
 *
 * A call of a choice is whole when the next one starts or when the choice finishes. When the next one starts,
 * only a call whose arguments are JSON is taken for whole: some servers announce all calls before they send
 * the arguments of any, and there a call must wait for the finish. A call of the Responses API is whole when
 * its item is done.
 */
export class ToolCallAssembler {
  readonly #choices = new Map<number, ChoiceCalls>()
  readonly #response = new ResponseCalls()
  readonly #unfinished: ToolCall[] = []

  /** The calls that were cut off: by a length limit, a content filter, or the end of the input. */
  get unfinished(): readonly ToolCall[] {
    return this.#unfinished
  }

  /** Takes the next chunk; returns the calls that are whole with it. The chunk is not changed. */
  add(chunk: object): ToolCall[] {
    const whole: ToolCall[] = []
    const { type } = chunk as { type?: unknown }
    if (typeof type === 'string') this.#response.add(chunk, type, whole, this.#unfinished)
    for (const choice of choicesOf(chunk)) if (isObject(choice)) this.#addChoice(choice, whole)
    return whole
  }

  /**
   * Takes the end of the completion; returns the calls that are whole with it. Of a choice that gave no finish
   * reason, as Snowflake gives none, those are whole whose arguments are JSON: the others may have been cut off.
   */
  end(): ToolCall[] {
    const whole: ToolCall[] = []
    for (const calls of this.#choices.values()) calls.end(whole, this.#unfinished)
    this.#response.close(this.#unfinished)
    return whole
  }

  #addChoice(choice: LooseChoice, whole: ToolCall[]): void {
    const index = indexOf(choice)
    const calls = this.#choices.get(index) ?? new ChoiceCalls(index)
    this.#choices.set(index, calls)
    if (isObject(choice.delta)) calls.add(choice.delta, whole)
    const reason = finishReasonOf(choice)
    if (reason !== undefined) calls.finish(reason, whole)
  }
}

/** The calls of one choice. */
class ChoiceCalls {
  readonly #choice: number
  readonly #list = new ToolCallList()
  #functionCall: PartialToolCall | undefined
  #open: PartialToolCall[] = []
  #isFinished = false

  constructor(choice: number) {
    this.#choice = choice
  }

  add({ tool_calls, function_call }: Record<string, unknown>, whole: ToolCall[]): void {
    // What comes behind a finish reason shows that it was not the end.
    if (this.#isFinished && (tool_calls || function_call)) this.#isFinished = false
    for (const started of this.#list.add(tool_calls)) {
      this.#takeLast(whole)
      this.#open.push(started)
    }
    if (isObject(function_call)) {
      if (!this.#functionCall) {
        this.#functionCall = new PartialToolCall(0)
        this.#open.push(this.#functionCall)
      }
      this.#functionCall.addFunction(function_call)
    }
  }

  /** Some servers send a finish reason with every piece of a call: arguments that are not JSON yet may still become JSON. */
  finish(reason: string, whole: ToolCall[]): void {
    this.#isFinished = !isCut(reason)
    const open: PartialToolCall[] = []
    for (const partial of this.#open) {
      const call = this.#whole(partial, this.#isFinished)
      if (call) whole.push(call)
      else open.push(partial)
    }
    this.#open = open
  }

  end(whole: ToolCall[], unfinished: ToolCall[]): void {
    for (const partial of this.#open) {
      const call = toToolCall(this.#choice, partial)
      const list = this.#isFinished || 'parsed' in call ? whole : unfinished
      list.push(call)
    }
    this.#open = []
  }

  /** Takes the newest open call if it is whole. */
  #takeLast(whole: ToolCall[]): void {
    const last = this.#open.at(-1)
    const call = last && this.#whole(last, true)
    if (!call) return
    whole.push(call)
    this.#open.pop()
  }

  /** A call if it is whole: whether the input of a custom tool is, its text does not say. */
  #whole(partial: PartialToolCall, isInputWhole: boolean): ToolCall | undefined {
    if (partial.type === 'custom') return isInputWhole ? toToolCall(this.#choice, partial) : undefined
    const settled = partial.arguments.whole()
    return settled && toToolCall(this.#choice, partial, settled)
  }
}

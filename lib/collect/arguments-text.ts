import { additionsOf, newlyWritten, writtenItems } from '../chunk/additions.js'
import { choicesOf, indexOf, type LooseChunk } from '../chunk/fields.js'
import { beforeOf, type EventsBefore } from '../chunk/responses/resumed.js'
import { CompletionError } from '../errors.js'
import { argumentsText, ToolArguments } from './chat/tool-arguments.js'
import { ToolCallList, toolIn } from './chat/tool-call-list.js'
import { isObject } from './merged-fields.js'

/** The names under which a response has the arguments of a call that the caller is to run. */
const ofCaller = / (?:function_call_arguments|custom_tool_call_input) /

/** The end of what has been given, by which a text that is sent again is told from another. */
const tailLength = 32

/** Reads the arguments of the one tool call of a choice, as they grow. Throws where there is a second call. */
export class ArgumentsText {
  readonly #choice: number
  readonly #list = new ToolCallList()
  #calls = 0
  /** Of a choice: what the pieces come to, should some of them say the arguments again. */
  #whole: ToolArguments | undefined
  /** A first piece that may not be all. */
  #held = ''
  readonly #items = writtenItems()
  /** Of a response: the names of the call's text. */
  readonly #lanes = new Set<string>()
  #length = 0
  #tail = ''
  #hasBegun = false
  /** What came before, to a reader that has come back; of which nothing may be known until a call begins. */
  #before: EventsBefore | 'unknown' | undefined

  constructor(choice: number) {
    this.#choice = choice
  }

  /** Whether a call has come. */
  get hasCall(): boolean {
    return this.#calls > 0
  }

  read(chunk: object): string {
    const { choices, type } = chunk as LooseChunk
    if (Array.isArray(choices)) return this.#ofChoices(chunk)
    return typeof type === 'string' && this.#choice === 0 ? this.#ofResponse(chunk) : ''
  }

  #ofChoices(chunk: object): string {
    let text = ''
    for (const choice of choicesOf(chunk)) {
      if (!isObject(choice) || indexOf(choice) !== this.#choice || !isObject(choice.delta)) continue
      const { tool_calls: calls, function_call: old } = choice.delta as Record<string, unknown>
      for (const call of Array.isArray(calls) ? calls : []) {
        if (!isObject(call)) continue
        for (const started of this.#list.add([call])) {
          this.#start()
          this.#whole = started.arguments
        }
        text += this.#piece(toolIn(call))
      }
      // The legacy form has one call at most.
      if (!isObject(old)) continue
      this.#calls ||= 1
      this.#whole ??= new ToolArguments()
      this.#whole.add(old.arguments)
      text += this.#piece(old)
    }
    return text
  }

  #piece(tool: Record<string, unknown> = {}): string {
    const { arguments: given = tool.input } = tool
    const text = argumentsText(given, this.#length === 0)
    if (text === '') return ''
    // Some servers send `{}` first, and then the arguments (Bedrock).
    const mayBeAll = this.#length === 0 && this.#held === '' && text.trim() === '{}'
    this.#held = mayBeAll ? text : ''
    return mayBeAll ? '' : this.#add(text)
  }

  /**
   * What is held when the input ends. Throws where pieces have said the arguments again: what was given is not the arguments
   * then, and cannot be taken back.
   */
  end(): string {
    const held = this.#add(this.#held)
    this.#held = ''
    const whole = this.#whole?.settle().text
    if (whole !== undefined && (whole.length !== this.#length || !whole.endsWith(this.#tail)))
      throw notAsGiven()
    return held
  }

  #ofResponse(event: object): string {
    if (!this.#hasBegun) this.#begin(event)
    if (this.#before === 'unknown' && opensCall(event)) this.#before = undefined
    let text = ''
    for (const { kind, lane, text: given, isWhole } of additionsOf(event, this.#items)) {
      if (kind !== 'arguments' || !ofCaller.test(lane)) continue
      if (!this.#lanes.has(lane)) this.#start()
      this.#lanes.add(lane)
      if (!isWhole) text += this.#add(given)
      else if (!this.#isCut(lane)) text += this.#rest(given)
    }
    return text
  }

  #begin(event: object): void {
    this.#hasBegun = true
    this.#before = beforeOf(event)
    if (!this.#before || this.#before === 'unknown') return
    const { all, isOver } = this.#before.items
    this.#items.recall(all.map(item => ({ ...item, own: newlyWritten() })))
    this.#items.isOver = isOver
  }

  /** Whether the beginning of a text came before, so that nobody can say what a whole one holds beyond the pieces. */
  #isCut(lane: string): boolean {
    const before = this.#before
    return before === 'unknown' || before?.lanes.has(lane) === true
  }

  /** What a whole text holds beyond what was given of it. */
  #rest(whole: string): string {
    if (whole.slice(0, this.#length).endsWith(this.#tail)) return this.#add(whole.slice(this.#length))
    throw notAsGiven()
  }

  #add(text: string): string {
    this.#length += text.length
    this.#tail = text.length >= tailLength ? text.slice(-tailLength) : (this.#tail + text).slice(-tailLength)
    return text
  }

  #start(): void {
    if (++this.#calls === 1) return
    const message =
      'there is more than one tool call: ask with parallel_tool_calls: false, or take whole calls with toToolCalls()'
    throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
  }
}

function notAsGiven(): CompletionError {
  const message =
    'the arguments of the tool call are not at their end what they were in their pieces: take the whole call with toToolCalls()'
  return new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

/** Whether an event begins a call that the caller is to run. */
function opensCall(event: object): boolean {
  const { type, item } = event as { type?: unknown; item?: unknown }
  const isCall = isObject(item) && (item.type === 'function_call' || item.type === 'custom_tool_call')
  return type === 'response.output_item.added' && isCall
}

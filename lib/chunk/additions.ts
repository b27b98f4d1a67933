import { choicesOf, finishReasonOf, indexOf, isTerminal, type LooseChoice, type TextKind } from './fields.js'
import { choiceText, contentText, reasoningText } from './text.js'

/** Which kind of text the model writes: what `TextKind` says, or the arguments of a tool call. */
export type WrittenKind = TextKind | 'arguments'

/** A text that a chunk adds to, or repeats. */
export interface Addition {
  /** The name of the text: of one kind, of one choice, of one call or part. */
  lane: string
  /** Another name that the text may have come under. */
  otherLane?: string
  kind: WrittenKind
  choice: number
  text: string
  /** Whether it is the whole text so far, not a piece more. */
  isWhole: boolean
  /** A chunk with nothing but this much of the text. */
  alone(text: string): object | string
}

type Loose = Readonly<Record<string, unknown>>

/**
 * All texts of the model's that a chunk brings, in all three APIs, whatever they are called: answers, refusals, reasoning,
 * arguments of tool calls, transcripts, and what an event says again. A text that a provider sends twice, under two
 * names, is given once, unless the two differ.
 */
export function additionsOf(chunk: object): Addition[] {
  const choices = choicesOf(chunk)
  if (choices.length > 0)
    return choices.filter(isLoose).flatMap(choice => additionsOfChoice(chunk as Loose, choice))
  const { type } = chunk as Loose
  return typeof type === 'string' ? additionsOfEvent(chunk as Loose, type) : []
}

/** The texts that come to their end with a chunk: those whose names begin so. */
export function endsOf(chunk: object): string[] {
  const ends = choicesOf(chunk)
    .filter(choice => isLoose(choice) && finishReasonOf(choice) !== undefined)
    .map(choice => `${indexOf(choice)} `)
  if (isTerminal(chunk)) return ['']
  const { type } = chunk as Loose
  if (typeof type !== 'string' || !type.endsWith('.done')) return ends
  return [...ends, `item ${placeOf(chunk as Loose)} `]
}

function additionsOfChoice(chunk: Loose, choice: LooseChoice): Addition[] {
  const index = indexOf(choice)
  const found: Addition[] = []
  const add = (
    kind: WrittenKind,
    name: string,
    text: string,
    deltaWith: (text: string) => object,
    isWhole = false
  ) => {
    if (text === '') return
    const alone = (part: string) => {
      const { usage, ...head } = chunk
      const legacy = name === 'text' || (kind === 'content' && typeof choice.text === 'string')
      const brought = legacy ? { text: part } : { delta: deltaWith(part) }
      return { ...head, choices: [{ index, ...brought, finish_reason: null }] }
    }
    found.push({ lane: `${index} ${name}`, kind, choice: index, text, isWhole, alone })
  }
  const withContent = (content: string) => ({ content })
  const withReasoning = (reasoning_content: string) => ({ reasoning_content })
  const content = choiceText(choice, 'content')
  add('content', 'content', content, withContent)
  const text = contentText(choice.text)
  if (text !== content) add('content', 'text', text, withContent)
  add('refusal', 'refusal', choiceText(choice, 'refusal'), refusal => ({ refusal }))
  const reasoning = choiceText(choice, 'reasoning')
  add('reasoning', 'reasoning', reasoning, withReasoning)
  const { delta, message } = choice as LooseChoice & { message?: unknown }
  // Perplexity repeats the whole answer so far beside each delta.
  if (isLoose(message)) add('content', 'content', contentText(message.content), withContent, true)
  if (!isLoose(delta)) return found
  for (const name of ['reasoning_content', 'reasoning', 'reasoning_text', 'reasoning_details']) {
    const other = reasoningText(delta[name])
    if (other !== reasoning) add('reasoning', name, other, withReasoning)
  }
  if (isLoose(delta.audio))
    add('content', 'audio', plain(delta.audio.transcript), transcript => ({ audio: { transcript } }))
  const { function_call: old, tool_calls: calls } = delta
  if (isLoose(old)) {
    const withOld = (text: string) => ({ function_call: { ...old, arguments: text } })
    add('arguments', 'function_call', argumentsText(old.arguments), withOld)
  }
  if (!Array.isArray(calls)) return found
  for (const [place, call] of calls.entries()) {
    if (!isLoose(call)) continue
    const name = `call ${typeof call.index === 'number' ? call.index : place}`
    for (const [key, field] of [
      ['function', 'arguments'],
      ['custom', 'input']
    ] as const) {
      const holder = call[key]
      if (!isLoose(holder)) continue
      const withCall = (text: string) => ({ tool_calls: [{ ...call, [key]: { ...holder, [field]: text } }] })
      add('arguments', name, argumentsText(holder[field]), withCall)
    }
  }
  return found
}

/** The texts of the parts and items of a response, by the events that bring them, without `.delta` or `.done`. */
const texts: ReadonlyMap<string, readonly [kind: WrittenKind, field: string]> = new Map<
  string,
  readonly [WrittenKind, string]
>([
  ['output_text', ['content', 'text']],
  ['text', ['content', 'text']],
  ['refusal', ['refusal', 'refusal']],
  ['reasoning_text', ['reasoning', 'text']],
  ['reasoning_summary_text', ['reasoning', 'text']],
  ['audio.transcript', ['content', 'transcript']],
  ['audio_transcript', ['content', 'transcript']],
  ['function_call_arguments', ['arguments', 'arguments']],
  ['custom_tool_call_input', ['arguments', 'input']],
  ['mcp_call_arguments', ['arguments', 'arguments']],
  ['code_interpreter_call_code', ['arguments', 'code']]
])

/** The texts that an item of the output has itself, by its type. */
const ofItems: ReadonlyMap<unknown, string> = new Map([
  ['function_call', 'function_call_arguments'],
  ['custom_tool_call', 'custom_tool_call_input'],
  ['mcp_call', 'mcp_call_arguments'],
  ['code_interpreter_call', 'code_interpreter_call_code']
])

function additionsOfEvent(event: Loose, type: string): Addition[] {
  const place = placeOf(event)
  const short = type.slice('response.'.length)
  const dot = short.lastIndexOf('.')
  const [name, step] = [short.slice(0, dot), short.slice(dot + 1)]
  const known = texts.get(name)
  if (known) {
    const [kind, field] = known
    const text = step === 'delta' ? plain(event.delta) : plain(event[field])
    const index = numberOf(event.summary_index ?? event.content_index)
    return text === '' ? [] : [eventAddition(kind, place, name, index, text, step !== 'delta')]
  }
  if (isLoose(event.part))
    return partAdditions(event.part, place, numberOf(event.summary_index ?? event.content_index))
  if (isLoose(event.item)) return itemAdditions(event.item, place)
  if (!isLoose(event.response) || !Array.isArray(event.response.output)) return []
  return event.response.output.flatMap((item, place) =>
    isLoose(item) ? itemAdditions(item, String(place), typeof item.id === 'string' ? item.id : undefined) : []
  )
}

function itemAdditions(item: Loose, place: string, otherPlace?: string): Addition[] {
  const name = ofItems.get(item.type)
  const [kind, field] = texts.get(name ?? '') ?? []
  const own = field === undefined ? '' : argumentsText(item[field])
  const found =
    own === '' || name === undefined || kind === undefined
      ? []
      : [eventAddition(kind, place, name, 0, own, true, otherPlace)]
  for (const list of [item.content, item.summary]) {
    if (!Array.isArray(list)) continue
    for (const [index, part] of list.entries())
      if (isLoose(part)) found.push(...partAdditions(part, place, index, otherPlace))
  }
  return found
}

function partAdditions(part: Loose, place: string, index: number, otherPlace?: string): Addition[] {
  const name = part.type === 'summary_text' ? 'reasoning_summary_text' : String(part.type)
  const [kind = 'content', field = 'text'] = texts.get(name) ?? []
  return [
    [kind, name, plain(part[field])] as const,
    ['content', 'audio.transcript', field === 'transcript' ? '' : plain(part.transcript)] as const
  ]
    .filter(([, , text]) => text !== '')
    .map(([kind, name, text]) => eventAddition(kind, place, name, index, text, true, otherPlace))
}

function eventAddition(
  kind: WrittenKind,
  place: string,
  name: string,
  index: number,
  text: string,
  isWhole: boolean,
  otherPlace?: string
): Addition {
  const lane = `item ${place} ${name} ${index}`
  const alone = (delta: string) => {
    const where = /^\d+$/.test(place) ? { output_index: Number(place) } : { item_id: place }
    const part = name === 'reasoning_summary_text' ? { summary_index: index } : { content_index: index }
    return { type: `response.${name}.delta`, ...where, ...part, delta }
  }
  const addition: Addition = { lane, kind, choice: 0, text, isWhole, alone }
  if (otherPlace !== undefined) addition.otherLane = `item ${otherPlace} ${name} ${index}`
  return addition
}

/** The place of an item is the surest name for it; where there is none, its id. */
function placeOf({ output_index, item_id, item }: Loose): string {
  if (typeof output_index === 'number') return String(output_index)
  if (typeof item_id === 'string') return item_id
  return isLoose(item) && typeof item.id === 'string' ? item.id : '0'
}

function numberOf(index: unknown): number {
  return typeof index === 'number' ? index : 0
}

/** Arguments are text; some servers give them parsed. */
function argumentsText(value: unknown): string {
  return isLoose(value) ? JSON.stringify(value) : plain(value)
}

function plain(text: unknown): string {
  return typeof text === 'string' ? text : ''
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

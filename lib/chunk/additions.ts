import {
  choicesOf,
  closesResponse,
  finishReasonOf,
  indexOf,
  type LooseChoice,
  responseOf,
  type TextKind
} from './fields.js'
import { jsonOf } from './json.js'
import { type NamedItem, ResponseItems } from './responses/response-items.js'
import { partsIn, textOfPart } from './responses/response-parts.js'
import { choiceText, contentText, eventText, reasoningText, unreadable } from './text.js'

/** Which kind of text the model writes: what `TextKind` says, or the arguments of a tool call. */
export type WrittenKind = TextKind | 'arguments'

/** A text that a chunk adds to, or repeats. */
export interface Addition {
  /** The name of the text: of one kind, of one choice, of one call or part. */
  lane: string
  kind: WrittenKind
  choice: number
  text: string
  /** Whether it is the whole text so far, not a piece more. */
  isWhole: boolean
  /** Whether no more of it is to come. */
  isClosed?: boolean
  /** A chunk with nothing but this much of the text, where there can be one. */
  alone?: ((text: string) => object | string) | undefined
}

type Loose = Readonly<Record<string, unknown>>

/** What is known of the texts of an item. */
interface Written {
  /** The places of the parts that have come, by the names of their texts. */
  readonly places: Map<string, Set<number>>
  /** The text that the newest deltas are of, and whether it has been said whole since. */
  newest: { readonly name: string; readonly place: number; isSaid: boolean } | undefined
}

/** The items of a response that its chunks have spoken of. */
export type WrittenItems = ResponseItems<Written>

export function newlyWritten(): Written {
  return { places: new Map(), newest: undefined }
}

export function writtenItems(): WrittenItems {
  return new ResponseItems(
    () => newlyWritten(),
    ({ places }) => places.size > 0
  )
}

/**
 * All texts of the model's that a chunk brings, in all three APIs, whatever they are called: answers, refusals, reasoning,
 * arguments of tool calls, transcripts, and what an event says again. A text that a provider sends twice, under two
 * names, is given once, unless the two differ. The items are those of the chunks before.
 */
export function additionsOf(chunk: object, items: WrittenItems): Addition[] {
  const choices = choicesOf(chunk)
  if (choices.length > 0)
    return choices.filter(isLoose).flatMap(choice => additionsOfChoice(chunk as Loose, choice))
  const { type } = chunk as Loose
  return typeof type === 'string' ? additionsOfEvent(chunk as Loose, type, items) : []
}

/** The texts that come to their end with a chunk: those whose names begin so. */
export function endsOf(chunk: object, items: WrittenItems): string[] {
  const ends = choicesOf(chunk)
    .filter(choice => isLoose(choice) && finishReasonOf(choice) !== undefined)
    .map(choice => `${indexOf(choice)} `)
  if (closesResponse(chunk)) return ['']
  const { type } = chunk as Loose
  if (typeof type !== 'string' || !type.endsWith('.done')) return ends
  return [...ends, `item ${items.of(chunk as Loose, type).number} `]
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
  for (const name of [
    'reasoning_content',
    'reasoning',
    'reasoning_text',
    'reasoning_details',
    'thinking',
    'thinking_blocks'
  ]) {
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
    const keys = ['function', 'custom'].filter(key => isLoose(call[key]))
    // Some servers leave out `function`, and say in the call itself what stands there.
    for (const key of keys.length > 0 ? keys : [undefined]) {
      const tool = (key === undefined ? call : call[key]) as Loose
      for (const field of ['arguments', 'input']) {
        const withCall = (text: string) => {
          const filled = { ...tool, [field]: text }
          return { tool_calls: [key === undefined ? filled : { ...call, [key]: filled }] }
        }
        add('arguments', name, argumentsText(tool[field]), withCall)
      }
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
  ['refusal', ['refusal', 'refusal']],
  ['reasoning_text', ['reasoning', 'text']],
  ['reasoning', ['reasoning', 'text']],
  ['reasoning_summary_text', ['reasoning', 'text']],
  ['audio.transcript', ['content', 'transcript']],
  ['audio_transcript', ['content', 'transcript']],
  ['output_audio_transcript', ['content', 'transcript']],
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

function additionsOfEvent(event: Loose, type: string, items: WrittenItems): Addition[] {
  if (closesResponse(event)) items.isOver = true
  else if (items.isOver) items.clear()
  const short = type.slice('response.'.length)
  const dot = short.lastIndexOf('.')
  const [name, step] = [withoutOldName(short.slice(0, dot)), short.slice(dot + 1)]
  const known = texts.get(name)
  const index = numberOf(event.summary_index ?? event.content_index)
  if (known) {
    const [kind, field] = known
    const item = items.of(event, type)
    const isWhole = step !== 'delta'
    const isFirst = isWhole || !item.own.places.has(name)
    const given = isWhole ? event[field] : event.delta
    // Some gateways call a delta as the whole text is called.
    const text = kind === 'arguments' ? eventArguments(given, isFirst) : eventText(given ?? event[field])
    if (text === '') return []
    return [eventAddition(kind, item, name, placeOf(item.own, name, index, isWhole), text, isWhole)]
  }
  if (isLoose(event.part)) {
    const item = items.of(event, type)
    if (step === 'added') item.own.newest = undefined
    const place = placeOf(item.own, nameOf(event.part, item.type), index, true)
    return partAdditions(event.part, item, place)
  }
  if (isLoose(event.item)) return itemAdditions(event.item, items.of(event, type))
  const given = responseOf(event)?.output
  if (!Array.isArray(given)) return []
  const output = given.filter(isLoose)
  return items.ofOutput(output).flatMap((item, place) => itemAdditions(output[place] ?? {}, item))
}

function itemAdditions(given: Loose, item: NamedItem<Written>): Addition[] {
  const name = ofItems.get(given.type)
  const [kind, field] = texts.get(name ?? '') ?? []
  const own = field === undefined ? '' : eventArguments(given[field], true)
  const found =
    own === '' || name === undefined || kind === undefined
      ? []
      : [eventAddition(kind, item, name, 0, own, true)]
  for (const list of [partsIn(given.content), partsIn(given.summary)]) {
    const places = placesOf(list, item)
    for (const [index, part] of list.entries())
      found.push(...partAdditions(part, item, places[index] ?? index))
  }
  return found
}

/**
 * The place under which a text has come, or comes. vLLM counts the places on with each delta of a text, and with each event that
 * says it again.
 */
function placeOf(own: Written, name: string, index: number, isWhole: boolean): number {
  const { newest } = own
  const isKnown = own.places.get(name)?.has(index) === true
  const isSame = newest?.name === name && (newest.place === index || !isKnown)
  if (isSame && (isWhole || !newest.isSaid)) {
    if (isWhole) newest.isSaid = true
    return newest.place
  }
  if (!isWhole) own.newest = { name, place: index, isSaid: false }
  return index
}

/**
 * The places under which the parts of a whole list have come: their own, unless one came that is not among them (vLLM's
 * go on from one item to the next); then in the order in which they came.
 */
function placesOf(list: readonly Loose[], { own, type }: NamedItem<Written>): number[] {
  const places = list.map((_part, index) => index)
  for (const [name, came] of own.places) {
    const here = places.filter(index => nameOf(list[index] ?? {}, type) === name)
    if ([...came].every(index => here.includes(index))) continue
    for (const [at, index] of [...came].entries()) {
      const place = here[at]
      if (place !== undefined) places[place] = index
    }
  }
  return places
}

function partAdditions(part: Loose, item: NamedItem<Written>, index: number): Addition[] {
  const isModels = item.type === undefined || item.type === 'message' || item.type === 'reasoning'
  // LiteLLM has texts in items of its own, which are nothing of the model's.
  if (!isModels && textOfPart('message', part.type)?.[0] === 'content') return []
  const name = nameOf(part, item.type)
  const [kind = 'content', field = 'text'] = texts.get(name) ?? []
  return [
    [kind, name, texts.has(name) ? eventText(part[field]) : plain(part[field])] as const,
    ['content', 'audio.transcript', field === 'transcript' ? '' : plain(part.transcript)] as const
  ]
    .filter(([, , text]) => text !== '')
    .map(([kind, name, text]) => eventAddition(kind, item, name, index, text, true))
}

/** LiteLLM has reasoning as `output_text` in items of reasoning. */
function nameOf({ type }: Loose, itemType: string | undefined): string {
  if (type === 'summary_text') return 'reasoning_summary_text'
  return itemType === 'reasoning' && textOfPart(itemType, type)
    ? 'reasoning_text'
    : withoutOldName(plain(type))
}

/** In the Realtime API, and in SGLang's parts, the text of an answer is called `text`. */
function withoutOldName(name: string): string {
  return name === 'text' ? 'output_text' : name
}

function eventAddition(
  kind: WrittenKind,
  { number, index: output_index, ids: [item_id], own }: NamedItem<Written>,
  name: string,
  index: number,
  text: string,
  isWhole: boolean
): Addition {
  const places = own.places.get(name) ?? new Set()
  own.places.set(name, places.add(index))
  const lane = `item ${number} ${name} ${index}`
  const alone = (delta: string) => {
    const part = name === 'reasoning_summary_text' ? { summary_index: index } : { content_index: index }
    const where = {
      ...(item_id !== undefined && { item_id }),
      ...(output_index !== undefined && { output_index })
    }
    return { type: `response.${name}.delta`, ...where, ...part, delta }
  }
  return { lane, kind, choice: 0, text, isWhole, alone }
}

function numberOf(index: unknown): number {
  return typeof index === 'number' ? index : 0
}

/** Arguments are text; some servers give them parsed, or parse each token of them. */
function argumentsText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return isLoose(value) ? JSON.stringify(value) : plain(value)
}

/** Arguments in an event of a response. Throws for what is filled and cannot be read, such as an object behind other pieces. */
function eventArguments(value: unknown, isFirst: boolean): string {
  if (value === false && isFirst) return ''
  if (typeof value !== 'object' || value === null) return argumentsText(value)
  if (isFirst) return jsonOf('the arguments of a tool call', value)
  if (Object.keys(value).length === 0) return ''
  throw unreadable('a piece of arguments')
}

function plain(text: unknown): string {
  return typeof text === 'string' ? text : ''
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

import type OpenAI from 'openai'
import type { Chunk, TextKind } from './fields.js'
import { jsonOf } from './json.js'
import { partsIn, textOfPart } from './responses/response-parts.js'

/** What a request without `stream: true` returns, of any of the three APIs. */
export type WholeCompletion = OpenAI.ChatCompletion | OpenAI.Completion | OpenAI.Responses.Response

/** An object as data from outside: any field may be missing, or of another type. */
type Loose = Readonly<Record<string, unknown>>

/**
 * Whether a payload is a whole completion rather than a chunk or an error: what a server sends that takes no
 * notice of `stream: true`.
 *
 * For the legacy API the two have the same shape, and a chunk in which every choice finishes is taken for a
 * whole completion. `chunksOf` gives it back as it is, so nothing hangs on it but whether the completion is
 * complete, which its finish reasons say.
 */
export function isWholeCompletion(payload: object): payload is WholeCompletion {
  const { object, choices, output, type } = payload as Loose
  if (object === 'response') return Array.isArray(output) && type === undefined
  if (!Array.isArray(choices)) return false
  // Perplexity's chunks have a `message` too, but a chunk always has a delta beside it.
  if (choices.some(choice => isLoose(choice?.delta))) return false
  if (object === 'chat.completion' || choices.some(choice => isLoose(choice?.message))) return true
  return (
    choices.length > 0 && choices.every(choice => typeof choice?.text === 'string' && choice.finish_reason)
  )
}

/**
 * The chunks that would have given a whole completion, had the server streamed it. Unknown fields are kept.
 *
 * A choice without a finish reason has none in the chunks either, and a response that is still in progress has no
 * terminal event.
 */
export function chunksOf(whole: WholeCompletion): Chunk[] {
  // Both views are of the same object: what the published types promise is doubted here.
  const loose = whole as WholeCompletion & Record<string, unknown>
  const chunks = Array.isArray(loose.choices) ? choiceChunks(loose, loose.choices) : responseEvents(loose)
  // The fields are those that the server sent, under the names that the same server would have given them.
  return chunks as (Loose & Chunk)[]
}

function choiceChunks(whole: Loose, choices: unknown[]): Loose[] {
  const { usage, ...rest } = whole
  const known = choices
    .filter(isLoose)
    .map((choice, position) => (typeof choice.index === 'number' ? choice : { ...choice, index: position }))
  const isLegacy = whole.object === 'text_completion' || known.some(choice => typeof choice.text === 'string')
  // A legacy chunk has the same shape as a whole completion, and may hold the text with its finish reason.
  if (isLegacy && !known.some(choice => isLoose(choice.message))) return [{ ...whole, choices: known }]
  const head = { ...rest, object: 'chat.completion.chunk' }
  const chunks: Loose[] = []
  for (const { message, finish_reason, ...choice } of known) {
    chunks.push({ ...head, choices: [{ ...choice, delta: deltaOf(message), finish_reason: null }] })
  }
  for (const { index, finish_reason } of known) {
    if (finish_reason)
      chunks.push({ ...head, choices: [{ index, delta: {}, logprobs: null, finish_reason }] })
  }
  if (usage !== undefined || chunks.length === 0) chunks.push({ ...head, choices: [], usage })
  return chunks
}

function deltaOf(message: unknown): Loose {
  if (!isLoose(message)) return {}
  const { tool_calls, content } = message
  const delta = { ...message }
  if (Array.isArray(tool_calls))
    delta.tool_calls = tool_calls.filter(isLoose).map((call, index) => ({ ...call, index }))
  // Some servers parse the content in JSON mode: the text of the answer is its JSON.
  if (isLoose(content) && !Array.isArray(content)) delta.content = jsonOf('the content of an answer', content)
  return delta
}

/** The event that ends a response of each status. Some gateways leave the status out. */
const terminals: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ['completed', 'response.completed'],
  ['incomplete', 'response.incomplete'],
  ['failed', 'response.failed'],
  ['cancelled', 'response.cancelled'],
  ['canceled', 'response.cancelled'],
  [undefined, 'response.completed']
])

/** The events that bring the text of a part, by the kind of the text. */
const partTexts: Readonly<Record<TextKind, string>> = {
  content: 'response.output_text',
  refusal: 'response.refusal',
  reasoning: 'response.reasoning_text'
}

/** The text of an item: the event it comes in, and its field, by the type of the item. */
const itemTexts: ReadonlyMap<unknown, [event: string, field: string]> = new Map<unknown, [string, string]>([
  ['function_call', ['response.function_call_arguments', 'arguments']],
  ['custom_tool_call', ['response.custom_tool_call_input', 'input']],
  ['mcp_call', ['response.mcp_call_arguments', 'arguments']],
  ['code_interpreter_call', ['response.code_interpreter_call_code', 'code']]
])

function responseEvents(response: Loose): Loose[] {
  const output = Array.isArray(response.output) ? response.output.filter(isLoose) : []
  const terminal = terminals.get(response.status)
  const created: Record<string, unknown> = { ...response, status: 'in_progress', output: [], usage: null }
  if (created.output_text) created.output_text = ''
  const events: Loose[] = [{ type: 'response.created', response: created }]
  for (const [output_index, item] of output.entries()) {
    for (const event of itemEvents(item)) events.push({ output_index, ...event })
  }
  if (terminal !== undefined) events.push({ type: terminal, response })
  return events.map((event, sequence_number) => ({ sequence_number, ...event }))
}

function itemEvents(item: Loose): Loose[] {
  const item_id = item.id
  const [name, field] = itemTexts.get(item.type) ?? []
  const lists = ['summary', 'content'].filter(list => item[list] != null)
  const opened: Record<string, unknown> = { ...item, status: 'in_progress' }
  for (const list of lists) opened[list] = []
  if (field) opened[field] = ''
  const events: Loose[] = [{ type: 'response.output_item.added', item: opened }]
  for (const list of lists) {
    for (const event of partEvents(item, list)) events.push({ item_id, ...event })
  }
  if (field) events.push(...textEvents(`${name}`, field, item[field]).map(event => ({ item_id, ...event })))
  events.push({ type: 'response.output_item.done', item })
  return events
}

function partEvents(item: Loose, list: string): Loose[] {
  const events: Loose[] = []
  const isSummary = list === 'summary'
  const name = isSummary ? 'response.reasoning_summary_part' : 'response.content_part'
  for (const [index, part] of partsIn(item[list]).entries()) {
    const place = isSummary ? { summary_index: index } : { content_index: index }
    const [kind, field = 'text'] = textOfPart(item.type, part.type) ?? []
    const text = kind && (isSummary ? 'response.reasoning_summary_text' : partTexts[kind])
    events.push({ type: `${name}.added`, ...place, part: text ? { ...part, [field]: '' } : part })
    const said = kind === 'refusal' ? 'refusal' : 'text'
    // What is no string, the events of the whole part and item bring.
    if (text) events.push(...textEvents(text, said, part[field]).map(event => ({ ...place, ...event })))
    events.push({ type: `${name}.done`, ...place, part })
  }
  return events
}

function textEvents(name: string, field: string, text: unknown): Loose[] {
  if (typeof text !== 'string' || text === '') return []
  return [
    { type: `${name}.delta`, delta: text },
    { type: `${name}.done`, [field]: text }
  ]
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null
}

import type OpenAI from 'openai'
import type { ReportedError } from '../faults.js'
import { addToCalls, idFor, type Piece, type SettledScript, type ToolCall } from '../script.js'
import type { TimedEvent } from './timed-event.js'

/** A run of text of one kind, with the places of its first and last piece in the choice. */
interface Part {
  type: 'output_text' | 'refusal' | 'reasoning_text'
  texts: string[]
  logprobs: object[]
  first: number
  last: number
}

/** An item of the output: a function call, or one or more parts of text. */
interface Item {
  id: string
  type: 'message' | 'reasoning' | 'function_call'
  /** What it is in the end. The item that a limit or a filter cut short is incomplete. */
  status: 'in_progress' | 'completed' | 'incomplete'
  call: ToolCall | undefined
  parts: Part[]
  first: number
  last: number
}

/** Where a piece belongs; the part is its item's at that index. */
interface Belonging {
  piece: Piece
  output_index: number
  content_index: number
}

/** The events of a streamed response. It says what the script's first choice says. */
export function* responseEvents(script: SettledScript): Generator<TimedEvent> {
  const { items, belongings } = outputOf(script)
  let sequence_number = 0
  const event = (at: number, type: string, fields: object): TimedEvent => ({
    at,
    event: type,
    data: { type, sequence_number: sequence_number++, ...fields }
  })

  yield event(script.headersAt, 'response.created', { response: responseOf(script, 'in_progress') })
  yield event(script.headersAt, 'response.in_progress', { response: responseOf(script, 'in_progress') })
  for (const [place, { piece, output_index, content_index }] of belongings.entries()) {
    const item = items[output_index]
    if (!item) continue
    const part = item.parts[content_index]
    if (place === item.first) {
      yield event(piece.at, 'response.output_item.added', { output_index, item: openItem(item) })
    }
    for (const [type, fields] of part
      ? textSteps(part, place, piece, content_index)
      : callSteps(item, place, piece)) {
      yield event(piece.at, type, { item_id: item.id, output_index, ...fields })
    }
    if (place === item.last) {
      yield event(piece.at, 'response.output_item.done', { output_index, item: wholeItem(item) })
    }
  }
  const status = statusOf(script)
  yield event(script.finishAt, `response.${status}`, { response: responseOf(script, status, items) })
}

/** The response that answers the same request without `stream: true`. */
export function wholeResponse(script: SettledScript): object {
  return responseOf(script, statusOf(script), outputOf(script).items)
}

/** The response that a `response.failed` event holds. */
export function failedResponse(script: SettledScript, { code, message }: ReportedError): object {
  return { ...responseOf(script, 'failed'), error: { code, message } }
}

/** The items of the output: text of one kind in a row is one item, and so is all that belongs to one tool call. */
function outputOf(script: SettledScript): { items: Item[]; belongings: Belonging[] } {
  const pieces = script.choices[0]?.pieces ?? []
  const items: Item[] = []
  const calls: ToolCall[] = []
  const belongings = pieces.map((piece, place): Belonging => {
    const call = 'toolCall' in piece ? addToCalls(calls, piece.toolCall) : undefined
    const type = call ? 'function_call' : 'reasoning' in piece ? 'reasoning' : 'message'
    let output_index = call ? items.findIndex(item => item.call === call) : items.length - 1
    let item = items[output_index]
    if (item?.type !== type) {
      const prefix = { message: 'msg', reasoning: 'rs', function_call: 'fc' }[type]
      item = {
        id: `${prefix}_${items.length}`,
        type,
        status: 'completed',
        call,
        parts: [],
        first: place,
        last: place
      }
      output_index = items.push(item) - 1
    }
    item.last = place
    if (!call) addToParts(item.parts, piece, place)
    return { piece, output_index, content_index: item.parts.length - 1 }
  })
  const lastItem = items[belongings.at(-1)?.output_index ?? -1]
  if (lastItem) lastItem.status = statusOf(script)
  return { items, belongings }
}

function addToParts(parts: Part[], piece: Piece, place: number): void {
  const type = 'reasoning' in piece ? 'reasoning_text' : 'refusal' in piece ? 'refusal' : 'output_text'
  let part = parts.at(-1)
  if (part?.type !== type) {
    part = { type, texts: [], logprobs: [], first: place, last: place }
    parts.push(part)
  }
  part.texts.push(textOf(piece))
  part.logprobs.push(...logprobsOf(piece))
  part.last = place
}

type Step = [type: string, fields: object]

function textSteps(part: Part, place: number, piece: Piece, content_index: number): Step[] {
  const { type } = part
  const logprobs = type === 'output_text' && { logprobs: logprobsOf(piece) }
  const steps: Step[] = []
  if (place === part.first) {
    const empty = partOf({ ...part, texts: [], logprobs: [] })
    steps.push(['response.content_part.added', { content_index, part: empty }])
  }
  steps.push([`response.${type}.delta`, { content_index, delta: textOf(piece), ...logprobs }])
  if (place === part.last) {
    const text = part.texts.join('')
    const whole =
      type === 'output_text'
        ? { text, logprobs: part.logprobs }
        : type === 'refusal'
          ? { refusal: text }
          : { text }
    steps.push([`response.${type}.done`, { content_index, ...whole }])
    steps.push(['response.content_part.done', { content_index, part: partOf(part) }])
  }
  return steps
}

function callSteps({ call, last }: Item, place: number, piece: Piece): Step[] {
  const delta = 'toolCall' in piece && piece.toolCall.arguments
  const steps: Step[] = []
  if (delta) steps.push(['response.function_call_arguments.delta', { delta }])
  if (place === last) {
    steps.push(['response.function_call_arguments.done', { name: call?.name, arguments: call?.arguments }])
  }
  return steps
}

function openItem(item: Item): object {
  const call = item.call && { ...item.call, arguments: '' }
  return wholeItem({ ...item, status: 'in_progress', call, parts: [] })
}

function wholeItem({ id, type, status, call, parts }: Item): object {
  const item = { id, type, status }
  if (call) return { ...item, call_id: call.id, name: call.name, arguments: call.arguments }
  const content = parts.map(partOf)
  return type === 'reasoning' ? { ...item, summary: [], content } : { ...item, role: 'assistant', content }
}

function partOf({ type, texts, logprobs }: Part): object {
  const text = texts.join('')
  switch (type) {
    case 'output_text':
      return { type, annotations: [], logprobs, text }
    case 'refusal':
      return { type, refusal: text }
    case 'reasoning_text':
      return { type, text }
  }
}

function textOf(piece: Piece): string {
  if ('text' in piece) return piece.text
  if ('refusal' in piece) return piece.refusal
  return 'reasoning' in piece ? piece.reasoning : ''
}

function logprobsOf(piece: Piece): object[] {
  return 'text' in piece ? (piece.logprobs ?? []) : []
}

/** The status in the end: an answer that was cut short by a limit or a filter is incomplete. */
function statusOf({ choices }: SettledScript): 'completed' | 'incomplete' {
  return reasonIncomplete(choices[0]?.finish_reason) ? 'incomplete' : 'completed'
}

function reasonIncomplete(
  finishReason: string | undefined
): 'max_output_tokens' | 'content_filter' | undefined {
  if (finishReason === 'length') return 'max_output_tokens'
  return finishReason === 'content_filter' ? 'content_filter' : undefined
}

function responseOf(
  script: SettledScript,
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed',
  items: readonly Item[] = []
): object {
  const { id, created, model, service_tier, choices, usage, fields } = script
  const ended = status === 'completed' || status === 'incomplete'
  const reason = ended ? reasonIncomplete(choices[0]?.finish_reason) : undefined
  return {
    id: idFor(id, 'resp_'),
    object: 'response',
    created_at: created,
    status,
    error: null,
    incomplete_details: reason ? { reason } : null,
    instructions: null,
    metadata: {},
    model,
    output: items.map(wholeItem),
    parallel_tool_calls: true,
    ...(service_tier !== undefined && { service_tier }),
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: ended && usage ? responseUsage(usage) : null,
    ...fields
  }
}

/** The same counts under the names of the Responses API. */
function responseUsage(usage: OpenAI.CompletionUsage): object {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens
  }
}

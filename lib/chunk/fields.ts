import type OpenAI from 'openai'

/**
 * A completion chunk as the provider sent it, of any of the three APIs: a chat completion chunk, a chunk of
 * the legacy completions API, or an event of the Responses API. Unknown fields are kept.
 */
export type Chunk = OpenAI.ChatCompletionChunk | OpenAI.Completion | OpenAI.Responses.ResponseStreamEvent

/** Which kind of text to read: the answer, a refusal, or the model's reasoning. */
export type TextKind = 'content' | 'refusal' | 'reasoning'

/** The token counts as the provider reported them, in the shape of the API that was asked. */
export type Usage = OpenAI.CompletionUsage | OpenAI.Responses.ResponseUsage

/**
 * What may be read off a chunk. A chunk is data from outside, and every provider leaves some field out, so all
 * that the published types promise is doubted here.
 */
export interface LooseChunk {
  id?: unknown
  object?: unknown
  type?: unknown
  delta?: unknown
  choices?: unknown
  usage?: unknown
  error?: unknown
  model?: unknown
  response?: LooseResponse | null
  x_groq?: { usage?: unknown } | null
}

/** What may be read off a response of the Responses API. */
export interface LooseResponse {
  id?: unknown
  model?: unknown
  status?: unknown
  incomplete_details?: { reason?: unknown } | null
  output?: unknown
  output_text?: unknown
  usage?: unknown
  error?: unknown
}

/** What may be read off a delta. */
export interface LooseDelta {
  content?: unknown
  refusal?: unknown
  reasoning?: unknown
  reasoning_content?: unknown
  reasoning_text?: unknown
  reasoning_details?: unknown
  thinking?: unknown
  thinking_blocks?: unknown
  extra_content?: { google?: { thought?: unknown } | null } | null
  tool_calls?: unknown
  function_call?: unknown
}

/** What may be read off a choice. */
export interface LooseChoice {
  index?: unknown
  delta?: LooseDelta | string | null
  text?: unknown
  usage?: unknown
  finish_reason?: unknown
}

const none: readonly LooseChoice[] = []

/** The choices of a chunk; none when it has no such field, as usage chunks and Responses events. */
export function choicesOf(chunk: object): readonly LooseChoice[] {
  const { choices } = chunk as LooseChunk
  return Array.isArray(choices) ? choices : none
}

/** The index of a choice; several servers leave it out when there is one choice only, and some write it as a text. */
export function indexOf({ index }: LooseChoice): number {
  return typeof index === 'number' ? index : (numberIn(index) ?? 0)
}

/** The whole number that a text is. */
export function numberIn(text: unknown): number | undefined {
  return typeof text === 'string' && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** The finish reason of a choice as the provider names it. Some send `""`, `"null"` or Python's `"None"` until there is one. */
export function finishReasonOf(choice: LooseChoice): string | undefined {
  const reason = choice.finish_reason
  if (typeof reason !== 'string' || reason === '' || reason === 'null' || reason === 'None') return undefined
  return reason
}

/** Whether a chunk is an event of the Responses API. */
export function isResponsesEvent({ type }: LooseChunk): boolean {
  // Cheaper than `startsWith`; this runs for every chunk.
  return typeof type === 'string' && type.slice(0, 9) === 'response.'
}

/**
 * The events that close the stream of a response, and the status that each stands for. `response.done` is that of some
 * gateways, and of the Realtime API, for any status.
 */
const closing: ReadonlyMap<unknown, string> = new Map([
  ['response.completed', 'completed'],
  ['response.done', 'completed'],
  ['response.incomplete', 'incomplete'],
  ['response.failed', 'failed'],
  ['response.cancelled', 'cancelled'],
  ['response.canceled', 'cancelled']
])
const longestClosing = 'response.incomplete'.length

/** Whether a chunk is the event that closes a Responses stream, in good order or not. */
export function closesResponse({ type }: LooseChunk): boolean {
  // The types of nearly all events are longer: their lengths are cheaper to compare than the types are to look up.
  return typeof type === 'string' && type.length <= longestClosing && closing.has(type)
}

/**
 * The response that an event tells of. Where the event closes the stream, some gateways put the fields of the response in
 * the event itself (Perplexity's Agent API).
 */
export function responseOf(event: LooseChunk): LooseResponse | undefined {
  const { response } = event
  if (typeof response === 'object' && response !== null) return response
  return closesResponse(event) ? (event as LooseResponse) : undefined
}

/**
 * The status of the response that an event tells of. Where the event closes the stream, its type says it too, and a status
 * can only make it worse.
 */
export function responseStatusOf(event: LooseChunk): string | undefined {
  const byType = closing.get(event.type)
  if (byType !== undefined && byType !== 'completed') return byType
  return filled(responseOf(event)?.status) ?? byType
}

/** Why the response is incomplete that an event tells of, as the provider says it. */
export function incompleteReasonOf(event: LooseChunk): string | undefined {
  return filled(responseOf(event)?.incomplete_details?.reason)
}

/** The statuses of a response that has not come to an end of its own. */
const brokenStatuses: ReadonlySet<unknown> = new Set(['failed', 'cancelled', 'canceled'])
/** Those of a response that still runs. */
const runningStatuses: ReadonlySet<unknown> = new Set(['in_progress', 'queued'])

/** Whether a status is that of a response that still runs. */
export function isRunning(status: string): boolean {
  return runningStatuses.has(status)
}

/**
 * Whether a chunk is the event that closes a Responses stream in good order: a response that has failed, or was cancelled,
 * may be closed under any name.
 */
export function isTerminal(chunk: object): boolean {
  if (!closesResponse(chunk)) return false
  const status = responseStatusOf(chunk) as string
  return !brokenStatuses.has(status) && !((chunk as LooseChunk).type === 'response.done' && isRunning(status))
}

/**
 * The usage that a chunk reports, wherever its provider puts it: at the top, in `x_groq` (Groq), in the
 * terminal event (Responses) or in a choice (Moonshot). Undefined when there is none, or when none of its fields is
 * filled: some send `{}`, or nothing but nulls, behind the usage that counts.
 */
export function usageOf(chunk: object): Usage | undefined {
  const { usage, x_groq, response } = chunk as LooseChunk
  const found = usage ?? x_groq?.usage ?? response?.usage ?? choicesOf(chunk)[0]?.usage
  // What a provider calls usage is handed on as it is; its fields are the provider's to fill.
  return typeof found === 'object' && found !== null && isFilled(found) ? (found as Usage) : undefined
}

function filled(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isFilled(usage: object): boolean {
  for (const name in usage) if ((usage as Record<string, unknown>)[name] != null) return true
  return false
}

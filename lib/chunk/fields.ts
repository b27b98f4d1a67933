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
  response?: {
    id?: unknown
    model?: unknown
    status?: unknown
    incomplete_details?: { reason?: unknown } | null
    usage?: unknown
    error?: unknown
  } | null
  x_groq?: { usage?: unknown } | null
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

/** The statuses of a response that still runs, or that its user has cancelled. */
const openStatuses: ReadonlySet<unknown> = new Set(['cancelled', 'canceled', 'in_progress', 'queued'])

/**
 * Whether a chunk is the event that closes a Responses stream in good order. `response.done` is that of some gateways,
 * and of the Realtime API, for any status.
 */
export function isTerminal(chunk: object): boolean {
  const { type, response } = chunk as LooseChunk
  if (type === 'response.completed' || type === 'response.incomplete') return true
  return type === 'response.done' && !openStatuses.has(response?.status)
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

function isFilled(usage: object): boolean {
  for (const name in usage) if ((usage as Record<string, unknown>)[name] != null) return true
  return false
}

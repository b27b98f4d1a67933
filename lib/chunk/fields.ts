import type OpenAI from 'openai'
import { CompletionError } from '../errors.js'
import { show } from '../options.js'

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

/** What may be read off a choice. */
export interface LooseChoice {
  index?: unknown
  delta?: {
    content?: unknown
    refusal?: unknown
    reasoning?: unknown
    reasoning_content?: unknown
    reasoning_text?: unknown
    tool_calls?: unknown
    function_call?: unknown
  } | null
  text?: unknown
  usage?: unknown
  finish_reason?: unknown
}

const none: readonly LooseChoice[] = []

/**
 * Throws `CS_ERR_INVALID_CHUNK` for what can be no chunk: bytes, text and events would pass through a stage in
 * the wrong place as chunks that say nothing.
 */
export function checkChunk(taker: string, item: unknown): asserts item is Chunk {
  if (typeof item === 'object' && item !== null && !ArrayBuffer.isView(item) && !isEvent(item)) return
  // A string is not shown: it would be the text of a completion.
  const kind = ArrayBuffer.isView(item) ? 'bytes' : typeof item === 'string' ? 'a string' : show(item)
  const message = `${taker} takes chunks, not ${kind}: put toChunks() before it`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

function isEvent({ data, choices }: { data?: unknown; choices?: unknown }): boolean {
  return typeof data === 'string' && choices === undefined
}

/** The choices of a chunk; none when it has no such field, as usage chunks and Responses events. */
export function choicesOf(chunk: object): readonly LooseChoice[] {
  const { choices } = chunk as LooseChunk
  return Array.isArray(choices) ? choices : none
}

/** The index of a choice; several servers leave it out when there is one choice only. */
export function indexOf(choice: LooseChoice): number {
  return typeof choice.index === 'number' ? choice.index : 0
}

/** The finish reason of a choice as the provider names it. Some send `""`, or `"null"`, until there is one. */
export function finishReasonOf(choice: LooseChoice): string | undefined {
  const reason = choice.finish_reason
  return typeof reason === 'string' && reason !== '' && reason !== 'null' ? reason : undefined
}

/** Whether a chunk is an event of the Responses API. */
export function isResponsesEvent({ type }: LooseChunk): boolean {
  // Cheaper than `startsWith`, for what is asked of every chunk.
  return typeof type === 'string' && type.slice(0, 9) === 'response.'
}

/** The statuses of a response that is not over, or that its user has broken off. */
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
 * terminal event (Responses) or in a choice (Moonshot). Undefined when there is none or it is null.
 */
export function usageOf(chunk: object): Usage | undefined {
  const { usage, x_groq, response } = chunk as LooseChunk
  const found = usage ?? x_groq?.usage ?? response?.usage ?? choicesOf(chunk)[0]?.usage
  // What a provider calls usage is handed on as it is; its fields are the provider's to fill.
  return typeof found === 'object' && found !== null ? (found as Usage) : undefined
}

/** The text of one kind that a chunk adds to one choice; empty when it adds none. */
export function textOf(chunk: object, choice: number, kind: TextKind): string {
  const { choices, type } = chunk as LooseChunk
  if (!Array.isArray(choices))
    return choice === 0 && typeof type === 'string' ? responsesText(chunk, type, kind) : ''
  let text = ''
  for (const candidate of choices) {
    if (candidate !== null && typeof candidate === 'object' && indexOf(candidate) === choice) {
      text += choiceText(candidate, kind)
    }
  }
  return text
}

function responsesText({ delta }: LooseChunk, type: string, kind: TextKind): string {
  if (typeof delta !== 'string') return ''
  switch (type) {
    case 'response.output_text.delta':
      return kind === 'content' ? delta : ''
    case 'response.refusal.delta':
      return kind === 'refusal' ? delta : ''
    case 'response.reasoning_text.delta':
    case 'response.reasoning_summary_text.delta':
      return kind === 'reasoning' ? delta : ''
    default:
      return ''
  }
}

/** The text of one kind that a choice of a chunk adds. */
export function choiceText({ delta, text }: LooseChoice, kind: TextKind): string {
  switch (kind) {
    case 'content':
      // Some completions endpoints send `delta.content` (Mistral), some `text`, some the same text in both
      // (Together). A `message` beside the delta repeats the whole answer so far (Perplexity) and is never read.
      return contentText(delta?.content, 'content') || (typeof text === 'string' ? text : '')
    case 'refusal':
      return typeof delta?.refusal === 'string' ? delta.refusal : ''
    case 'reasoning':
      // Names for one text; a server that sends two of them repeats itself. `reasoning_text` is Copilot's.
      return (
        contentText(delta?.reasoning_content, 'content') ||
        contentText(delta?.reasoning, 'content') ||
        contentText(delta?.reasoning_text, 'content') ||
        contentText(delta?.content, 'reasoning')
      )
  }
}

/** Content is a string, or an array of parts (Mistral): text parts are the answer, thinking parts are reasoning. */
function contentText(content: unknown, kind: 'content' | 'reasoning'): string {
  if (typeof content === 'string') return kind === 'content' ? content : ''
  if (!Array.isArray(content)) return ''
  let text = ''
  for (const part of content) {
    if (part?.type === 'text' && kind === 'content' && typeof part.text === 'string') text += part.text
    else if (part?.type === 'thinking' && kind === 'reasoning') text += contentText(part.thinking, 'content')
  }
  return text
}

import type OpenAI from 'openai'
import { type Chunk, isResponsesEvent as isEvent } from './fields.js'

/**
 * Whether a chunk is one of chat completions: it has choices, or usage alone, and no text of the legacy API.
 *
 * @example
 * for await (const chunk of compose(request, toChunks())) if (isChatChunk(chunk)) console.log(chunk.choices[0]?.delta?.content)
 */
export function isChatChunk(chunk: Chunk): chunk is OpenAI.ChatCompletionChunk {
  return !isEvent(chunk) && !isLegacyChunk(chunk) && ('choices' in chunk || 'usage' in chunk)
}

/**
 * Whether a chunk is one of the legacy completions API.
 *
 * @example
 * for await (const chunk of compose(request, toChunks())) if (isLegacyChunk(chunk)) console.log(chunk.choices[0]?.text)
 */
export function isLegacyChunk(chunk: Chunk): chunk is OpenAI.Completion {
  if (isEvent(chunk)) return false
  const { object, choices } = chunk as { object?: unknown; choices?: unknown }
  if (object === 'text_completion') return true
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined
  return typeof first === 'object' && first !== null && 'text' in first && !('delta' in first)
}

/**
 * Whether a chunk is an event of the Responses API.
 *
 * @example
 * for await (const chunk of compose(request, toChunks())) if (isResponsesEvent(chunk)) console.log(chunk.type)
 */
export function isResponsesEvent(chunk: Chunk): chunk is OpenAI.Responses.ResponseStreamEvent {
  return isEvent(chunk)
}

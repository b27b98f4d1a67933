import { choicesOf, closesResponse, type LooseChunk, responseOf } from './fields.js'

/** Whether a chunk holds a part of a refusal, in which the model says why it does not answer. */
export function isRefusal(chunk: object): boolean {
  const { type } = chunk as LooseChunk
  if (typeof type === 'string' && type.startsWith('response.')) return isRefusalEvent(chunk, type)
  return choicesOf(chunk).some(choice => typeof choice?.delta === 'object' && Boolean(choice.delta?.refusal))
}

/** A server may send no deltas, so that the part, the item or the terminal alone says it. */
function isRefusalEvent(event: object, type: string): boolean {
  if (type === 'response.refusal.delta' || type === 'response.refusal.done') return true
  const { part, item } = event as { part?: unknown; item?: unknown }
  if (type === 'response.content_part.done') return isRefusalPart(part)
  if (type === 'response.output_item.done') return hasRefusal(item)
  if (!closesResponse(event)) return false
  const output: unknown = responseOf(event)?.output
  return Array.isArray(output) && output.some(hasRefusal)
}

function hasRefusal(item: unknown): boolean {
  const content = (item as { content?: unknown } | null | undefined)?.content
  return Array.isArray(content) && content.some(isRefusalPart)
}

function isRefusalPart(part: unknown): boolean {
  const { type, refusal } = (part ?? {}) as { type?: unknown; refusal?: unknown }
  return type === 'refusal' && Boolean(refusal)
}

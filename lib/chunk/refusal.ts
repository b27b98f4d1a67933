import { choicesOf, type LooseChunk } from './fields.js'

/** Whether a chunk holds a part of a refusal, in which the model says why it does not answer. */
export function isRefusal(chunk: object): boolean {
  const { type } = chunk as LooseChunk
  if (type === 'response.refusal.delta' || type === 'response.refusal.done') return true
  return choicesOf(chunk).some(choice => typeof choice?.delta === 'object' && Boolean(choice.delta?.refusal))
}

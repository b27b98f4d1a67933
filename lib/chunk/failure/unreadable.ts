import type { LooseChunk } from '../fields.js'

/**
 * What of the choices of a chunk is filled, but has a form that nothing reads, in words; undefined where there is nothing.
 * It would pass through all stages as a chunk that says nothing.
 */
export function unreadableIn(chunk: object): string | undefined {
  const { choices } = chunk as LooseChunk
  if (!Array.isArray(choices)) return isFilled(choices) ? 'its choices are no list' : undefined
  for (const choice of choices) {
    if (!isFilled(choice)) continue
    if (!isLoose(choice)) return 'a choice of it is no object'
    const { delta } = choice
    if (!isFilled(delta) || typeof delta === 'string') continue
    if (!isLoose(delta)) return 'a delta of it is neither an object nor a text'
    if (isFilled(delta.tool_calls) && !Array.isArray(delta.tool_calls)) return 'its tool_calls are no list'
  }
  return undefined
}

/** Lists and objects with nothing in them are none: PHP writes both as `[]`. */
function isFilled(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value)
}

function isLoose(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

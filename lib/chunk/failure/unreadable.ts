/**
 * What of the choices of a chunk is filled, but has a form that nothing reads, in words; undefined where there is nothing.
 * It would pass through all stages as a chunk that says nothing.
 */
export function unreadableIn(choices: unknown): string | undefined {
  if (!Array.isArray(choices)) return isFilled(choices) ? 'its choices are no list' : undefined
  for (const choice of choices) {
    const fault = isLoose(choice) ? faultOf(choice) : isFilled(choice) && 'a choice of it is no object'
    if (fault) return fault
  }
  return undefined
}

function faultOf({ delta }: Record<string, unknown>): string | undefined {
  if (isLoose(delta)) {
    const { tool_calls: calls } = delta
    return !Array.isArray(calls) && isFilled(calls) ? 'its tool_calls are no list' : undefined
  }
  const isOdd = typeof delta !== 'string' && isFilled(delta)
  return isOdd ? 'a delta of it is neither an object nor a text' : undefined
}

/** Lists and objects with nothing in them are none: PHP writes both as `[]`. */
function isFilled(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value)
}

function isLoose(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** None of these words is longer. The limit keeps the check fast, since it runs for every event. */
const longestWord = 24

const word = /^[["'(:]*\s*(?:ping|pong|keep[-_ ]?alive|heart[-_ ]?beat)\s*[\]"')]*$/i

/**
 * Whether a text that stands where a chunk is expected only keeps the connection alive: a comment that a proxy has
 * framed as data (`data: : keepalive`), a word (`data: ping`), or nothing at all.
 */
export function isKeepAliveText(text: string): boolean {
  return text === '' || text.startsWith(':') || isWord(text)
}

/** Whether the name of an event says that it only keeps the connection alive, whatever its data is. */
export function isKeepAliveName(name: string): boolean {
  return name !== '' && isWord(name)
}

/** Whether an object only keeps the connection alive: `{}`, or one of a type like `keepalive` (OpenAI) and `ping` (Anthropic). */
export function isKeepAlive(payload: object): boolean {
  const { type, event, object } = payload as { type?: unknown; event?: unknown; object?: unknown }
  const name = type ?? event ?? object
  return typeof name === 'string' ? isKeepAliveName(name) : Object.keys(payload).length === 0
}

function isWord(text: string): boolean {
  return text.length <= longestWord && word.test(text)
}

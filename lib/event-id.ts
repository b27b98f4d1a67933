import type { Readable, Writable } from 'node:stream'

/** Registered, so that two copies of the library in one process understand each other. */
const eventId = Symbol.for('completion-streams.eventId')

/**
 * Gives a chunk an id, which `toSSE` and `respond` write as the line `id:` of its event, so that a browser's `EventSource`
 * asks to go on behind it (`Last-Event-ID`). Neither enumeration nor JSON shows it.
 *
 * @example
 * let count = 0
 * const number = stage<Chunk, Chunk>({
 *   transform(chunk, push) {
 *     setEventId(chunk, String(count++))
 *     push(chunk)
 *   }
 * })
 * await pipeline(request, toChunks(), number, toSSE(), createWriteStream('answer.sse'))
 */
export function setEventId(chunk: object, id: string): void {
  Object.defineProperty(chunk, eventId, { value: id, configurable: true })
}

/** The id that a chunk was given, if any. */
export function eventIdOf(chunk: object): string | undefined {
  return (chunk as { [eventId]?: string })[eventId]
}

/** On a sink that writes the ids of what it is given. */
const idTaker = Symbol.for('completion-streams.idTaker')

/** Makes a sink or a stage known as one that writes ids. */
export function markIdTaker(stream: Writable): void {
  Object.defineProperty(stream, idTaker, { value: true })
}

/** Whether a source goes directly into what writes ids. A text has no place for one: such a sink is given events. */
export function goesToIdTaker(source: Readable): boolean {
  // What a stream is piped into is not public, but stands here: in a list, or until readable-stream 3 by itself.
  const { _readableState: state } = source as { _readableState?: { readonly pipes?: unknown } }
  const pipes = Array.isArray(state?.pipes) ? state.pipes : [state?.pipes]
  return pipes.length === 1 && (pipes[0] as { [idTaker]?: true } | null | undefined)?.[idTaker] === true
}

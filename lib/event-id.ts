import type { Readable, Writable } from 'node:stream'
import { invalid } from './options.js'
import { streamsBehind } from './reader.js'

/** Registered, so that two copies of the library in one process understand each other. */
const eventId = Symbol.for('completion-streams.eventId')

/**
 * Gives a chunk an id, which `toSSE` and `respond` write as the line `id:` of its event, so that a browser's `EventSource`
 * asks to go on behind it (`Last-Event-ID`). Neither enumeration nor JSON shows it. Throws `CS_ERR_INVALID_OPTION` for what is
 * no object, or frozen, and for an id that is no text.
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
  if (typeof chunk !== 'object' || chunk === null || !Object.isExtensible(chunk))
    throw invalid('chunk', chunk, 'an object that may be changed, such as a chunk')
  if (typeof id !== 'string') throw invalid('id', id, 'a text')
  Object.defineProperty(chunk, eventId, { value: id, configurable: true })
}

/** The id that a chunk was given, if any. */
export function eventIdOf(chunk: object): string | undefined {
  return (chunk as { [eventId]?: string })[eventId]
}

/** On a sink that writes the ids of what it is given. */
const idTaker = Symbol.for('completion-streams.idTaker')

/** What a sink that writes ids is told by the source of an answer to which a reader comes back. */
export interface IdTaker {
  /** Whether its reader had a part of the answer before. */
  isReturning?: boolean
  /** The id of the end mark, once the answer is known to be whole. */
  endId?: string
  /** Whether an end mark is left for the reader, though there may be nothing else. */
  isMarkLeft?: boolean
}

/** Makes a sink or a stage known as one that writes ids. What it is told is written into an object. */
export function markIdTaker(stream: Writable, told: IdTaker): void {
  Object.defineProperty(stream, idTaker, { value: told })
}

/** What writes ids behind a source, along its pipes and through whatever stages. */
export function idTakersBehind(source: Readable): IdTaker[] {
  return [...streamsBehind(source)].flatMap(stream => (stream as { [idTaker]?: IdTaker })[idTaker] ?? [])
}

/** Whether a source goes directly into what writes ids. A text has no place for one: such a sink is given events. */
export function goesToIdTaker(source: Readable): boolean {
  // What a stream is piped into is not public, but stands here: in a list, or until readable-stream 3 by itself.
  const { _readableState: state } = source as { _readableState?: { readonly pipes?: unknown } }
  const pipes = Array.isArray(state?.pipes) ? state.pipes : [state?.pipes]
  return (
    pipes.length === 1 && (pipes[0] as { [idTaker]?: IdTaker } | null | undefined)?.[idTaker] !== undefined
  )
}

import { isResponsesEvent, type LooseChunk, type TextKind } from '../fields.js'
import type { NamedItem } from './response-items.js'
import type { KnownTexts } from './response-text.js'

/** Registered, so that two copies of the library in one process understand each other. */
const resumed = Symbol.for('completion-streams.resumed')

/** What the events of a response said that its reader has and does not get again. Plain, for two copies of the library. */
export interface EventsBefore {
  readonly texts: Readonly<Record<TextKind, KnownTexts>>
  /** The items, to which the names of texts refer. */
  readonly items: { readonly all: readonly NamedItem<unknown>[]; readonly isOver: boolean }
  /** The names of the texts of arguments that have come, or a part of them. */
  readonly lanes: ReadonlySet<string>
}

/**
 * Says of a chunk that it stands behind others of its response, which its reader has: those that say again what these have
 * said must not bring it a second time. Of what came before is known what was read, or nothing. Neither enumeration nor
 * JSON shows it.
 */
export function markResumed(chunk: object, before: EventsBefore | 'unknown'): void {
  // What is known is not forgotten at the next stage.
  if (before === 'unknown' && beforeOf(chunk)) return
  Object.defineProperty(chunk, resumed, { value: before, configurable: true })
}

/** What came before a chunk, if that was said of it. */
export function beforeOf(chunk: object): EventsBefore | 'unknown' | undefined {
  return (chunk as { [resumed]?: EventsBefore | 'unknown' })[resumed]
}

/** Says of a chunk that was made in the place of another what was said of that one. */
export function keepResumed(from: object, to: object): void {
  const before = beforeOf(from)
  if (before) markResumed(to, before)
}

/** The events before which there is no text. llama.cpp repeats the first. */
const openings: ReadonlySet<unknown> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress'
])

/** Whether a chunk is an event before which, and with which, no text of its response has come. */
export function isBeforeText({ type }: LooseChunk): boolean {
  return openings.has(type)
}

/** Whether the first chunk of an input says, by its number, that others of its response came before it. */
export function standsBehindOthers(chunk: object): boolean {
  const { sequence_number: number } = chunk as { sequence_number?: unknown }
  // Numbers begin with 0, of some providers with 1.
  return typeof number === 'number' && number > 1 && isResponsesEvent(chunk) && !isBeforeText(chunk)
}

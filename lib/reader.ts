import type { Readable } from 'node:stream'
import { beside, inside, outside } from './on-its-way.js'

/** Registered, so that a source and a stage from two copies of the library find each other. */
const reader: unique symbol = Symbol.for('completion-streams.reader')

/** On a composed stream: the streams inside, before they are joined, too. */
export const parts: unique symbol = Symbol.for('completion-streams.parts')

/** A stage that reads completions, as the source in front of it sees it. */
export interface CompletionReader {
  /** Says how many choices each completion is to have, where the request knows. */
  expect(choices: number): void
  /** Has a function called each time that a completion is over: its end mark, or its Responses terminal, was read. */
  onOver(listener: () => void): void
  /** Reads what was emitted before, to a reader that has come back, without emitting it again. */
  recall?(item: unknown): void
  /** Whether the completion that was read last is complete. */
  readonly isComplete: boolean
  /** Whether it has an end mark behind its chunks, which a response does not have. */
  readonly hasEndMark: boolean
  /** A failure that the provider has reported, and that waits for what may still come behind it. */
  readonly heldFailure: Error | undefined
}

/** A stream as its neighbour sees it: of any class. */
export interface Neighbour {
  readonly [reader]?: CompletionReader
  readonly [parts]?: readonly Neighbour[]
  readonly [inside]?: Neighbour
  readonly [outside]?: Neighbour
  readonly [beside]?: () => Iterable<Neighbour>
  readonly _readableState?: { readonly pipes?: unknown }
}

/** Makes a stage known as one that reads completions. */
export function markReader<Stream extends object>(stream: Stream, itself: CompletionReader): void {
  Object.defineProperty(stream, reader, { value: itself })
}

/** What a stream is known by that reads completions itself. */
export function readerOf(stream: object): CompletionReader | undefined {
  return (stream as Neighbour)[reader]
}

/**
 * The stages behind a source that read completions. Pipes are laid in the same turn in which a pipeline is made, so a source
 * asks when its response is there, not when it is made. What reads a source by iteration, as an async generator does, is
 * not found.
 */
export function readersBehind(source: Readable): CompletionReader[] {
  return [...streamsBehind(source)].flatMap(stream => stream[reader] ?? [])
}

/** The streams behind a source, along its pipes, through composed streams and stages of other libraries. */
export function streamsBehind(source: Readable): Iterable<Neighbour> {
  const seen = new Set<Neighbour>()
  const visit = (stream: Neighbour | undefined) => {
    if (!stream || seen.has(stream)) return
    seen.add(stream)
    for (const next of [
      ...(stream[parts] ?? []),
      stream[inside],
      stream[outside],
      ...pipesOf(stream),
      ...(stream[beside]?.() ?? [])
    ]) {
      visit(next)
    }
  }
  // What a stream is to its neighbours stands on it under names of this library's and of Node's.
  visit(source as Neighbour)
  return seen
}

function pipesOf({ _readableState }: Neighbour): readonly Neighbour[] {
  const pipes = _readableState?.pipes ?? []
  // What a stream is piped into is a stream; readable-stream 3 keeps a single one without a list.
  return Array.isArray(pipes) ? pipes : [pipes as Neighbour]
}

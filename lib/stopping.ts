import type { Readable } from 'node:stream'
import { inside, outside } from './on-its-way.js'

/** Registered, so that streams from two copies of the library see each other. */
const stop = Symbol.for('completion-streams.stop')

/** On a stage that may end its pipeline early, in good order. */
export interface StopSign {
  /** Whether it wants no more, since what it has passed on is all that is to come out. */
  readonly isStopped: boolean
  /** Has a function called when that comes to be so. */
  onStop(listener: () => void): void
}

/** A stream as its neighbour sees it: of any class. */
interface Neighbour {
  readonly [stop]?: StopSign
  readonly [inside]?: Neighbour
  readonly [outside]?: Neighbour
  readonly _readableState?: { readonly pipes?: unknown }
}

/** Makes a stage known as one that may stop. */
export function markStop(stream: object, sign: StopSign): void {
  Object.defineProperty(stream, stop, { value: sign })
}

/**
 * Whether nobody behind a stream wants any more of it: each way that its items take leads to a stage that has stopped.
 * What a stage writes to by itself, as `tee` does, is beside the way.
 */
export function isStopped(stream: Readable): boolean {
  // What a stream is to its neighbours stands on it under names of this library's and of Node's.
  return isUnwanted(stream as Neighbour, new Set())
}

function isUnwanted(stream: Neighbour, seen: Set<Neighbour>): boolean {
  if (stream[stop]?.isStopped) return true
  if (seen.has(stream)) return false
  seen.add(stream)
  if (stream[inside]) return isUnwanted(stream[inside], seen)
  return isUnwantedBehind(stream, seen)
}

function isUnwantedBehind(stream: Neighbour, seen: Set<Neighbour>): boolean {
  const takers = takersOf(stream)
  return (
    takers.length > 0 &&
    takers.every(taker =>
      taker === stream[outside] ? isUnwantedBehind(taker, seen) : isUnwanted(taker, seen)
    )
  )
}

/**
 * The stages behind a source that may stop, along its pipes, through composed streams and stages of other libraries.
 * What reads a source by iteration, as an async generator does, is not found.
 */
export function stopSignsBehind(source: Readable): StopSign[] {
  const seen = new Set<Neighbour>()
  const signs: StopSign[] = []
  const visit = (stream: Neighbour | undefined) => {
    if (!stream || seen.has(stream)) return
    seen.add(stream)
    if (stream[stop]) signs.push(stream[stop])
    visit(stream[inside])
    for (const taker of takersOf(stream)) visit(taker)
  }
  visit(source as Neighbour)
  return signs
}

function takersOf(stream: Neighbour): readonly Neighbour[] {
  const pipes = stream._readableState?.pipes ?? []
  // What a stream is piped into is a stream; readable-stream 3 keeps a single one without a list.
  const takers = Array.isArray(pipes) ? (pipes as Neighbour[]) : [pipes as Neighbour]
  return stream[outside] ? [...takers, stream[outside]] : takers
}

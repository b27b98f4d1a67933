import type { Readable, Writable } from 'node:stream'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'

/** On a composed stream: the first of the streams inside, where what is written to it goes. */
export const inside: unique symbol = Symbol('inside')

/** On a stream inside a composed one: the stream that takes what it emits in another way than by a pipe. */
export const outside: unique symbol = Symbol('outside')

/** On a stream: the streams that it writes to itself, without a pipe. */
export const beside: unique symbol = Symbol('beside')

/** A stream as its neighbour sees it: of any class, with either side or both. */
interface Neighbour {
  readonly destroyed?: boolean
  readonly readableLength?: number
  readonly writableLength?: number
  readonly _transform?: unknown
  /** What a stream is piped into is not public, but stands here: in a list, or until readable-stream 3 by itself. */
  readonly _readableState?: { readonly pipes?: unknown }
  readonly [inside]?: Neighbour
  readonly [outside]?: Neighbour
  readonly [beside]?: () => Iterable<Neighbour>
}

/** Milliseconds between two looks at a slow sink, at most. */
const longestPause = 32

/**
 * Destroys a stream with an error as soon as everything that it emitted has been taken: by its own reader, by
 * the streams it is piped into, and by those behind them.
 *
 * Node's `destroy(error)` drops what is buffered, and `pipeline` then does the same to all the neighbours, so
 * that an error overtakes the text that came before it. Until the error is out, the stream must neither end
 * nor call back for what was written to it, so that no more is.
 *
 * A sink says nothing when its buffer empties below its high water mark, so it is looked at from time to time, and
 * once more when the process has nothing else to do: one that hangs must not keep it alive, but the error of one
 * that has taken all must not be lost.
 * All must be found empty in two turns of the event loop in a row: a reader that buffers out of sight, as web
 * streams and async generators do, passes on in between what it holds.
 */
export function failInOrder(stream: Readable | Writable, error: unknown): void {
  let looks = 0
  let wasEmpty = false
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    clearTimeout(timer)
    const isEmpty = isEmptied(stream)
    if (stream.destroyed || (isEmpty && wasEmpty)) {
      lookBeforeExit.delete(look)
      return void stream.destroy(error as Error)
    }
    wasEmpty = isEmpty
    looks++
    if (isEmpty || looks < 8) setImmediate(look)
    else timer = setTimeout(look, Math.min(looks, longestPause)).unref()
  }
  lookBeforeExit.add(look)
  look()
}

/** One listener for all, since node warns of many; for the process, so not a state of any one stage. */
const lookBeforeExit = {
  looks: new Set<() => void>(),
  add(look: () => void): void {
    if (this.looks.size === 0) process.on('beforeExit', lookAtAll)
    this.looks.add(look)
  },
  delete(look: () => void): void {
    this.looks.delete(look)
    if (this.looks.size === 0) process.off('beforeExit', lookAtAll)
  }
}

function lookAtAll(): void {
  for (const look of lookBeforeExit.looks) look()
}

/** Whether nothing that a stream has emitted is still on its way. */
function isEmptied(stream: Neighbour): boolean {
  if (stream.destroyed) return true
  if (stream.readableLength) return false
  const next = stream[outside]
  return (next === undefined || isEmptied(next)) && [...pipesOf(stream), ...besideOf(stream)].every(isSettled)
}

/** Whether nothing that was written to a stream is still on its way, in it or behind it. */
function isSettled(stream: Neighbour): boolean {
  if (stream.destroyed) return true
  if (stream.writableLength) return false
  const first = stream[inside]
  if (first) return isSettled(first)
  // What a socket has to read does not come from what was written to it.
  return stream._transform || stream[beside] || pipesOf(stream).length > 0 ? isEmptied(stream) : true
}

function besideOf(stream: Neighbour): Iterable<Neighbour> {
  return stream[beside]?.() ?? []
}

function pipesOf(stream: Neighbour): readonly Neighbour[] {
  const pipes = stream._readableState?.pipes ?? []
  // What a stream is piped into is a stream.
  return Array.isArray(pipes) ? pipes : [pipes as Neighbour]
}

/* All registered, so that streams from two copies of the library see each other. */

/** On a composed stream: the first of the streams inside, where what is written to it goes. */
export const inside: unique symbol = Symbol.for('completion-streams.inside')

/** On a stream inside a composed one: the stream that takes what it emits in another way than by a pipe. */
export const outside: unique symbol = Symbol.for('completion-streams.outside')

/** On a stream: the streams that it writes to itself, without a pipe. */
export const beside: unique symbol = Symbol.for('completion-streams.beside')

/** On a stream: has it emit what it holds for later, such as a word whose end has not come. Called before a failure, once. */
export const emitHeld: unique symbol = Symbol.for('completion-streams.emitHeld')

/** A stream as its neighbour sees it: of any class, with either side or both. */
export interface Neighbour {
  readonly destroyed?: boolean
  readonly readableLength?: number
  readonly writableLength?: number
  readonly _transform?: unknown
  /** What a stream is piped into is not public, but stands here: in a list, or until readable-stream 3 by itself. */
  readonly _readableState?: { readonly pipes?: unknown; readonly needReadable?: boolean }
  /** While its `_write` runs, both are true; from then on only if that threw. */
  readonly _writableState?: { readonly writing?: boolean; readonly sync?: boolean }
  readonly [inside]?: Neighbour
  readonly [outside]?: Neighbour
  readonly [beside]?: () => Iterable<Neighbour>
  readonly [emitHeld]?: () => void
  listenerCount?(name: string): number
  /** What compressors have: it has them emit what they hold. */
  flush?(callback: () => void): void
}

/** What a stream has emitted and nobody has taken yet. */
export interface OnItsWay {
  /** How much is left, as the streams count it: bytes, or items in object mode. */
  left: number
  /** The streams that it has to pass. */
  streams: readonly Neighbour[]
  /**
   * The streams whose items are taken one by one, as `for await` and async generators do: what those hold, and what stands
   * behind them, cannot be seen. Such a reader has passed on what it took when it asks for another.
   */
  byHand: readonly Neighbour[]
}

interface Way {
  left: number
  streams: Neighbour[]
  byHand: Neighbour[]
}

/** Whether a stream will never take what was written to it, since its `_write` threw. Not to be asked while that runs. */
export function isBroken({ _writableState: state }: Neighbour): boolean {
  return state?.writing === true && state.sync === true
}

/** Looks along the pipes of a stream, through composed streams and into the sinks that streams write to by themselves. */
export function onItsWay(stream: Neighbour): OnItsWay {
  const way: Way = { left: 0, streams: [], byHand: [] }
  addEmitted(stream, way)
  return way
}

function addEmitted(stream: Neighbour, way: Way): void {
  if (stream.destroyed) return
  way.left += stream.readableLength ?? 0
  const next = stream[outside]
  if (next) addEmitted(next, way)
  const takers = pipesOf(stream)
  if (takers.length === 0 && (stream.listenerCount?.('readable') ?? 0) > 0) way.byHand.push(stream)
  for (const taker of takers) addWritten(taker, way)
  for (const taker of stream[beside]?.() ?? []) addWritten(taker, way)
}

function addWritten(stream: Neighbour, way: Way): void {
  if (stream.destroyed || way.streams.includes(stream)) return
  way.streams.push(stream)
  way.left += stream.writableLength ?? 0
  const first = stream[inside]
  if (first) return addWritten(first, way)
  // What a socket has to read does not come from what was written to it.
  if (stream._transform || stream[beside] || pipesOf(stream).length > 0) addEmitted(stream, way)
}

/** Whether the reader of a stream has asked for more than there is. */
export function isAskedInVain(stream: Neighbour): boolean {
  return !stream.readableLength && stream._readableState?.needReadable === true
}

function pipesOf(stream: Neighbour): readonly Neighbour[] {
  const pipes = stream._readableState?.pipes ?? []
  // What a stream is piped into is a stream.
  return Array.isArray(pipes) ? pipes : [pipes as Neighbour]
}

import { finished, type Writable } from 'node:stream'
import { finished as finishedPromise } from 'node:stream/promises'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { isErrorLike } from './errors.js'
import { invalid, show } from './options.js'

/** A stream to write to, of whatever library. */
export function asSink(name: string, sink: NodeJS.WritableStream): Writable {
  // Checked by its methods, not by `instanceof`: the stream may come from another realm, as in a test runner.
  if (!(typeof sink === 'object' && sink !== null && 'write' in sink && 'once' in sink))
    throw invalid(name, sink, 'a Writable')
  // Only members that all Writables have are used here.
  return sink as Writable
}

/**
 * Calls back when a sink fails, or is closed before it has finished. Returns what takes the watch off the
 * process's own outputs, which outlive the stream; any other sink's error may still be on its way by then.
 */
export function watchSink(sink: Writable, onFailure: (error: Error) => void): () => void {
  if (!isOfProcess(sink)) {
    watch(sink, onFailure)
    return () => {}
  }
  const unwatch = shareWatch(sink, onFailure)
  return () => {
    unwatch()
    expectErrors(sink)
  }
}

function watch(sink: Writable, onFailure: (error: Error) => void): () => void {
  return finished(sink, { readable: false }, error => {
    if (error) onFailure(asError(error))
  })
}

/** The watch over an output of the process. Any number of streams may write to it at once, and Node warns of many listeners. */
interface SharedWatch {
  readonly listeners: Set<(error: Error) => void>
  readonly unwatch: () => void
}

const sharedWatches = new WeakMap<Writable, SharedWatch>()

function shareWatch(sink: Writable, onFailure: (error: Error) => void): () => void {
  const { listeners, unwatch } = sharedWatches.get(sink) ?? beginWatch(sink)
  listeners.add(onFailure)
  return () => {
    listeners.delete(onFailure)
    if (listeners.size > 0) return
    unwatch()
    sharedWatches.delete(sink)
  }
}

function beginWatch(sink: Writable): SharedWatch {
  const listeners = new Set<(error: Error) => void>()
  const unwatch = watch(sink, error => {
    for (const listener of [...listeners]) listener(error)
  })
  const shared = { listeners, unwatch }
  sharedWatches.set(sink, shared)
  return shared
}

/** What a sink has failed with: anything, where its author passed on what is no error. */
function asError(failure: unknown): Error {
  if (isErrorLike(failure)) return failure
  return new Error(`a sink failed with ${show(failure)} in the place of an error`, { cause: failure })
}

/**
 * Writes to a sink what `give` gives, and calls back when the sink has taken that, or has failed; also where `give` or the
 * sink's `_write` throws.
 */
export function writeTo(sink: Writable, give: () => unknown, callback: (error?: Error) => void): void {
  try {
    sink.write(give(), error => callback(error ? asError(error) : undefined))
  } catch (error) {
    callback(asError(error))
  }
}

/** How many wait for the last of what they wrote to an output of the process. */
const leaving = new WeakMap<Writable, number>()

/**
 * Listens to the errors of an output until all that was written to it has left. The reader of a pipe may leave behind the last
 * write (EPIPE), which would end the process if nobody listened.
 */
function expectErrors(sink: Writable): void {
  const count = leaving.get(sink) ?? 0
  leaving.set(sink, count + 1)
  if (count === 0) sink.on('error', ignore)
  // Its error event comes behind the callback.
  sink.write('', () => void setImmediate(() => setImmediate(() => leave(sink))))
}

function leave(sink: Writable): void {
  const left = (leaving.get(sink) ?? 1) - 1
  leaving.set(sink, left)
  if (left === 0) sink.off('error', ignore)
}

function ignore(): void {}

/** What Node makes of a sink that was closed, without an error, before it had finished. */
export function isPrematureClose(error: Error): boolean {
  return 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

/** Ends a sink; resolves when it has finished. The process's own outputs stay open, unlike in `pipeline`: nobody can open them again. */
export async function endSink(sink: Writable): Promise<void> {
  if (isOfProcess(sink)) return
  sink.end()
  await finishedPromise(sink, { readable: false })
}

/** How long a failure waits for a sink that is ended in good order, in milliseconds. */
const longestEnd = 30_000

/** Ends a sink; resolves when it has finished or failed, or has taken too long. */
export async function endInTime(sink: Writable): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, longestEnd).unref()
  })
  await Promise.race([endSink(sink).catch(() => {}), late])
  clearTimeout(timer)
}

/** Destroys a sink, so that what it holds does not pass for whole. */
export function destroySink(sink: Writable, error: Error | null): void {
  if (!isOfProcess(sink)) sink.destroy(error ?? undefined)
}

function isOfProcess(sink: Writable): boolean {
  return sink === process.stdout || sink === process.stderr
}

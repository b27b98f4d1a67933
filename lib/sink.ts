import { finished, type Writable } from 'node:stream'
import { finished as finishedPromise } from 'node:stream/promises'
import { invalid } from './options.js'

/** A stream to write to, of whatever library. */
export function asSink(name: string, sink: NodeJS.WritableStream): Writable {
  // By what it can do: a stream may come from another realm, as in a test runner.
  if (!(typeof sink === 'object' && sink !== null && 'write' in sink && 'once' in sink))
    throw invalid(name, sink, 'a Writable')
  // What is used of it here is what all Writables have.
  return sink as Writable
}

/**
 * Calls back when a sink fails, or is closed before it has finished. Returns what takes the watch off the
 * process's own outputs, which outlive the stream; any other sink's error may still be on its way by then.
 */
export function watchSink(sink: Writable, onFailure: (error: Error) => void): () => void {
  const unwatch = finished(sink, { readable: false }, error => {
    if (error) onFailure(error)
  })
  return isOfProcess(sink) ? unwatch : () => {}
}

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

/** Destroys a sink, so that what it holds does not pass for whole. */
export function destroySink(sink: Writable, error: Error | null): void {
  if (!isOfProcess(sink)) sink.destroy(error ?? undefined)
}

function isOfProcess(sink: Writable): boolean {
  return sink === process.stdout || sink === process.stderr
}

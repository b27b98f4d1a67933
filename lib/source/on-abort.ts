import type { Readable } from 'node:stream'
import { AbortError } from '../failure/abort-error.js'

/** What is to be done when a signal aborts, for each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls back when a signal aborts, at once if it has. Returns what takes that back. However many wait for one signal, it has
 * one listener: Node warns of a leak where there are more than ten, which as many pipelines under one signal are not.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback()
    return () => {}
  }
  const callbacks = waiting.get(signal) ?? listenTo(signal)
  callbacks.add(callback)
  return () => callbacks.delete(callback)
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>()
  waiting.set(signal, callbacks)
  signal.addEventListener(
    'abort',
    () => {
      waiting.delete(signal)
      for (const callback of callbacks) callback()
    },
    { once: true }
  )
  return callbacks
}

/** Destroys a source when a signal aborts, if there is one. Returns what takes that back. */
export function destroyOnAbort(source: Readable, signal: AbortSignal | undefined): () => void {
  if (!signal) return () => {}
  return onAbort(signal, () => {
    expectErrorUnread(source)
    source.destroy(new AbortError(undefined, signal.reason))
  })
}

/**
 * Before a stream fails with what somebody knows of already, such as an abort of their own: while nobody reads the stream, nobody
 * listens to its error event either, which would end the process. A pipeline that gets it later rejects all the same.
 */
export function expectErrorUnread(stream: Readable): void {
  if (stream.readableFlowing === null) stream.on('error', ignore)
}

function ignore(): void {}

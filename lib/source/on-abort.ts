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

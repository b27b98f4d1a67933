import { clearTimeout, setTimeout } from 'node:timers'
import { AbortError } from '../failure/abort-error.js'
import { onAbort } from '../source/on-abort.js'

/** Waits, and rejects when the signal aborts, to which however many wait have one listener. */
export function waitFor(duration: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stopWaiting()
      resolve()
    }, duration)
    const stopWaiting = onAbort(signal, () => {
      clearTimeout(timer)
      reject(new AbortError(undefined, signal.reason))
    })
  })
}

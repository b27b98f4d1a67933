import { clearImmediate, clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { CompletionError } from './errors.js'

/** Node's timers fire at once when they are set for longer than this, in milliseconds. */
export const longestTimer: number = 2 ** 31 - 1

/** Rejects where there is no reply within so many milliseconds. What comes later is dropped. */
export function inTime<Reply>(reply: Promise<Reply>, longest: number, failure: () => Error): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stopWaiting = whenLate(longest, () => reject(failure()))
    reply.then(resolve, reject).finally(stopWaiting)
  })
}

/**
 * Calls a function after so many milliseconds, unless it is taken back by what is returned. A process that stood still
 * reads first what has come meanwhile: it is no fault of whoever was to reply.
 */
export function whenLate(longest: number, tell: () => void): () => void {
  if (longest > longestTimer) return () => {}
  let reading: ReturnType<typeof setImmediate> | undefined
  const timer = setTimeout(() => {
    reading = setImmediate(tell)
  }, longest)
  return () => {
    clearTimeout(timer)
    clearImmediate(reading)
  }
}

/** The error for a Redis that nobody who asks it hears of. */
export function unanswered(limit: number): CompletionError {
  return new CompletionError('CS_ERR_STALLED', `Redis did not answer within ${limit} ms (maxOutage)`, {
    limit
  })
}

import { clearTimeout, setTimeout } from 'node:timers'
import { CompletionError } from './errors.js'

/** Node's timers fire at once when they are set for longer than this, in milliseconds. */
export const longestTimer: number = 2 ** 31 - 1

/** Rejects where there is no reply within so many milliseconds. What comes later is dropped. */
export function inTime<Reply>(reply: Promise<Reply>, longest: number, failure: () => Error): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const timer = longest <= longestTimer ? setTimeout(() => reject(failure()), longest) : undefined
    reply.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** The error for a Redis that nobody who asks it hears of. */
export function unanswered(limit: number): CompletionError {
  return new CompletionError('CS_ERR_STALLED', `Redis did not answer within ${limit} ms (maxOutage)`, {
    limit
  })
}

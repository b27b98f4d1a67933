import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { clearTimeout, setTimeout } from 'node:timers'
import { toChunks } from '../decode/chunks.js'
import { checkTimeLimits, stalledError, type TimeLimits } from '../guard/time-limits.js'
import { checkFunction, settled } from '../options.js'
import { type Summary, tapSummary } from '../tap/summary.js'
import { connectionError } from './read-failure.js'

/** What of the Fetch API a client calls. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** The options of `guardFetch`. */
export interface GuardFetchOptions {
  /** What the requests are made with. Default: the global `fetch`. */
  fetch?: Fetch
  /** Called once for each streamed completion, however it ends. A promise is awaited before its body ends. */
  onSummary?: (summary: Summary) => void | Promise<void>
  /** Limits on the time that the provider takes, in milliseconds; comments are no progress. Default: none. */
  timeLimits?: TimeLimits
}

/** The endpoints of the three APIs, Azure's and a response that is read again included. */
const completionPath = /\/(?:completions|responses(?:\/[^/]+)?)\/?$/

/**
 * A `fetch` to give to a client that reads completions itself: the official one, LangChain's, the AI SDK's. The body of a
 * streamed completion passes through it byte for byte, as fast as it is read, and is followed by `toChunks` on the side.
 * If that finds the answer cut, broken or reported as failed, the body fails too, after all that had arrived. So the
 * client's loop rejects instead of ending as if the answer were whole. Everything else passes through unchanged: other
 * endpoints, other statuses than 2xx, answers that are no event stream.
 *
 * A body fails with `CS_ERR_TRUNCATED`, `CS_ERR_PROVIDER`, `CS_ERR_INVALID_CHUNK` and `CS_ERR_EVENT_TOO_LARGE` as `toChunks`
 * does, with `CS_ERR_STALLED` when a time limit passes, and with what `onSummary` fails with. An abort stays one.
 *
 * @example
 * const guarded = new OpenAI({ fetch: guardFetch({ onSummary: ({ outcome, usage }) => console.log(outcome, usage) }) })
 * for await (const chunk of await guarded.chat.completions.create({ ...question, stream: true })) console.log(chunk)
 */
export function guardFetch(options?: GuardFetchOptions): Fetch {
  const { fetch, onSummary, timeLimits } = settled('guardFetch', options, {
    fetch: undefined as Fetch | undefined,
    onSummary: (() => {}) as Required<GuardFetchOptions>['onSummary'],
    timeLimits: undefined as TimeLimits | undefined
  })
  if (fetch !== undefined) checkFunction('fetch', fetch)
  checkFunction('onSummary', onSummary)
  if (timeLimits !== undefined) checkTimeLimits(timeLimits)

  return async (input, init) => {
    const response = await (fetch ?? globalThis.fetch)(input, init)
    if (!response.ok || !response.body || !isStreamed(response) || !completionPath.test(pathOf(input)))
      return response
    const body = guarded(response.body, onSummary, timeLimits)
    const { status, statusText, headers, url } = response
    // The address of a response that is made by hand is empty.
    return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: url })
  }
}

function isStreamed({ headers }: Response): boolean {
  return /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
}

function pathOf(input: string | URL | Request): string {
  const url = typeof input === 'object' && 'url' in input ? input.url : String(input)
  return url.replace(/[?#].*$/, '')
}

function guarded(
  body: ReadableStream<Uint8Array>,
  onSummary: (summary: Summary) => void | Promise<void>,
  limits: TimeLimits = {}
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  const follower = toChunks()
  let isLeft = false
  let failure: { error: unknown } | undefined
  let chunks = 0
  const summary = tapSummary(summary => onSummary(isLeft ? asLeft(summary) : summary))
  const counter = new Writable({
    objectMode: true,
    write(_chunk, _encoding, callback) {
      chunks++
      callback()
    }
  })
  const followed = pipeline(follower, summary, counter).catch(error => {
    failure = { error }
  })
  const waiting = waitingWithin(limits, () => chunks)

  /** Resolves when the bytes have been followed, or never will be. */
  function follow(bytes: Uint8Array): Promise<void> {
    return Promise.race([followed, new Promise<void>(resolve => follower.write(bytes, () => resolve()))])
  }

  async function fail(error: unknown, controller: ReadableStreamDefaultController): Promise<void> {
    follower.destroy(error as Error)
    await followed
    controller.error(error)
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (failure) {
          reader.cancel(failure.error).catch(() => {})
          return controller.error(failure.error)
        }
        let read: Awaited<ReturnType<typeof reader.read>>
        try {
          read = await waiting(reader.read())
        } catch (error) {
          reader.cancel(error).catch(() => {})
          return fail(connectionError(error), controller)
        }
        if (!read.done) {
          controller.enqueue(read.value)
          return follow(read.value)
        }
        follower.end()
        await followed
        if (failure) controller.error((failure as { error: unknown }).error)
        else controller.close()
      },
      async cancel(reason) {
        // A reader leaves after the end mark, too. One that leaves before it does not make the answer a cut one.
        isLeft = true
        const cancelled = reader.cancel(reason)
        follower.end()
        await followed
        return cancelled
      }
    },
    // A failure drops what is queued, so nothing is read ahead.
    { highWaterMark: 0 }
  )
}

function asLeft(summary: Summary): Summary {
  if (summary.outcome !== 'truncated') return summary
  const { error, ...rest } = summary
  return { ...rest, outcome: 'aborted' }
}

/** Waits for reads, and only for as long as the limits allow: the time that the reader of the body takes does not count. */
function waitingWithin(
  { first, idle, total }: TimeLimits,
  progress: () => number
): <Value>(read: Promise<Value>) => Promise<Value> {
  if ((first ?? idle ?? total) === undefined) return read => read
  let waited = 0
  let gap = 0
  let seen = 0

  return async read => {
    if (progress() > seen) gap = 0
    seen = progress()
    const name = seen === 0 && first !== undefined ? 'first' : 'idle'
    const gapLeft = ({ first, idle }[name] ?? Number.POSITIVE_INFINITY) - gap
    const totalLeft = (total ?? Number.POSITIVE_INFINITY) - waited
    const timeLimit = totalLeft < gapLeft ? 'total' : name
    const start = performance.now()
    let timer: ReturnType<typeof setTimeout> | undefined
    const stalled = new Promise<never>((_resolve, reject) => {
      const left = Math.max(Math.min(gapLeft, totalLeft), 0)
      // Node's timers fire at once when they are set for longer than this.
      if (left < 2 ** 31) timer = setTimeout(stall, left)
      function stall(): void {
        const limit = { first, idle, total }[timeLimit] as number
        reject(
          stalledError({
            timeLimit,
            limit,
            items: seen,
            elapsed: Math.round(waited + performance.now() - start)
          })
        )
      }
    })
    try {
      return await Promise.race([read, stalled])
    } finally {
      clearTimeout(timer)
      const time = performance.now() - start
      waited += time
      gap += time
    }
  }
}

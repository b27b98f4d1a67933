import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { clearTimeout, setTimeout } from 'node:timers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { toChunks } from '../decode/chunks.js'
import { settledTimeLimits, stalledError, type TimeLimits } from '../guard/time-limits.js'
import { longestTimer } from '../in-time.js'
import { LongRace } from '../long-race.js'
import { emitHeld, type Neighbour } from '../on-its-way.js'
import { checkFunction, settled } from '../options.js'
import { readersBehind } from '../reader.js'
import { type Summary, tapSummary } from '../tap/summary.js'
import { letEnd, nextPiece, readerOf } from './body/body.js'
import { EndMark } from './body/end-mark.js'
import { connectionError, isLostConnection } from './body/read-failure.js'
import { type BodyPart, ClientBytes, isBlank } from './client-bytes.js'
import { onAbort } from './on-abort.js'
import { partsOf } from './response/response-parts.js'
import { asksCompletion, asksStream, type Fetch } from './stream-asked.js'

export type { Fetch } from './stream-asked.js'

/** The options of `guardFetch`. */
export interface GuardFetchOptions {
  /** What the requests are made with. Default: the global `fetch`. */
  fetch?: Fetch
  /** Called once for each streamed completion, however it ends. A promise is awaited before its body ends. */
  onSummary?: (summary: Summary) => void | Promise<void>
  /**
   * Limits on the time that the provider takes, in milliseconds, from the request for a stream on; comments are no progress.
   * The wait for the response's head counts as that for the first chunk. Default: none.
   */
  timeLimits?: TimeLimits
}

/**
 * A `fetch` to give to a client that reads completions itself: the official one, LangChain's, the AI SDK's. The body of a
 * streamed completion passes through it event by event, as fast as it is read, and is followed by `toChunks` on the side.
 * If that finds the answer cut, broken or reported as failed, the body fails too, after all that had arrived. So the
 * client's loop rejects instead of ending as if the answer were whole. The body ends at the end mark, even if the server
 * holds the connection open. Everything else passes through unchanged: other endpoints, other statuses than 2xx, answers
 * to requests without `stream: true`.
 *
 * The bytes stay as they are, unless such a client would read something else in them than `toChunks` does, or nothing at all:
 * a last event without its blank line, events parted by a single line end, a chunk without `data:`, keep-alives framed as
 * data. From the first of these on, the chunks are written anew.
 *
 * Where a stream was asked for, an answer that is none is not passed on as it is, since the official client's loop would
 * end without a chunk and without an error. A whole answer in JSON becomes the event stream that would have given it, and
 * is read like any other. A web page, or whatever else is no answer, fails the body with `CS_ERR_INVALID_CHUNK`.
 *
 * A body fails with `CS_ERR_TRUNCATED`, `CS_ERR_PROVIDER`, `CS_ERR_INVALID_CHUNK` and `CS_ERR_EVENT_TOO_LARGE` as `toChunks`
 * does, with `CS_ERR_STALLED` when a time limit passes, and with what `onSummary` fails with. If a time limit passes before
 * the head of the response is there, the request is aborted and the call rejects with `CS_ERR_STALLED`. The official client
 * takes that for a failed connection: it tries again as often as its `maxRetries` says, each time with the same limits, and
 * then throws its `APIConnectionError` with that error as `cause`. An abort stays one.
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
  if (timeLimits !== undefined) settledTimeLimits('timeLimits of guardFetch', timeLimits)

  return async (input, init) => {
    const send = fetch ?? globalThis.fetch
    if (!asksCompletion(input)) return send(input, init)
    const isAsked = await asksStream(input, init)
    const wait = new Wait(timeLimits ?? {})
    const request = isAsked && timeLimits ? new LimitedRequest(input, init) : undefined
    const response = await (request ? request.send(send, wait) : send(input, init))
    if (!response.ok || !response.body || !(isAsked || isEventStream(response))) return response
    const body = guarded(response, onSummary, wait, () => request?.release())
    const { status, statusText, url } = response
    const headers = new Headers(response.headers)
    if (/\bjson\b/i.test(headers.get('content-type') ?? '')) headers.set('content-type', 'text/event-stream')
    headers.delete('content-length')
    // The address of a response that is made by hand is empty.
    return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: url })
  }
}

function isEventStream({ headers }: Response): boolean {
  return /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
}

/** A request that can be aborted when its response takes too long. */
class LimitedRequest {
  readonly #input: string | URL | Request
  readonly #init: RequestInit
  readonly #controller = new AbortController()
  /** Lets go of the caller's signal, which may outlive many requests. */
  readonly release: () => void = () => {}

  constructor(input: string | URL | Request, init: RequestInit = {}) {
    const signal = init.signal ?? (typeof input === 'object' && 'signal' in input ? input.signal : undefined)
    // The caller's signal also ends the body.
    if (signal) this.release = onAbort(signal, () => this.#controller.abort(signal.reason))
    this.#input = input
    this.#init = { ...init, signal: this.#controller.signal }
  }

  async send(fetch: Fetch, wait: Wait): Promise<Response> {
    try {
      return await wait.for(fetch(this.#input, this.#init))
    } catch (error) {
      this.release()
      this.#controller.abort(error)
      throw error
    }
  }
}

function guarded(
  response: Response,
  onSummary: (summary: Summary) => void | Promise<void>,
  wait: Wait,
  onOver: () => void
): ReadableStream<Uint8Array> {
  const { body } = partsOf(response)
  const reader = readerOf(body)
  const follower = toChunks()
  const [completion] = readersBehind(follower)
  let endMark = new EndMark()
  const given = new ClientBytes()
  let isLeft = false
  let isOver = false
  let failure: { error: unknown } | undefined
  const over = new Promise<void>(resolve => {
    completion?.onOver(() => {
      isOver = true
      resolve()
    })
  })
  const summary = tapSummary(summary => onSummary(isLeft ? asLeft(summary) : summary))
  const counter = new Writable({
    objectMode: true,
    write(_chunk, _encoding, callback) {
      wait.progress++
      callback()
    }
  })
  const followed = new LongRace(
    pipeline(follower, summary, counter).catch(error => {
      failure = { error }
    })
  )

  follower.on('data', chunk => given.addChunk(chunk))
  /** The completion is over, or has failed: nothing more has to come. */
  const decided = new LongRace(Promise.race([followed.end, over]))

  /** Has bytes followed until their chunks are there. As a rule they are at once. */
  async function follow(bytes: Buffer): Promise<void> {
    const taken = new Promise<void>(resolve => follower.write(bytes, () => resolve()))
    if (follower.writableLength > 0) await followed.against(taken)
    while (follower.readableLength > 0 && !followed.isOver) await nextTurn()
  }

  async function give(parts: readonly BodyPart[]): Promise<void> {
    const last = parts.length > 1 ? parts.findLastIndex(({ bytes }) => !isBlank(bytes)) : 0
    for (const [place, part] of parts.entries()) {
      if (!failure) await follow(part.bytes)
      const isFailing = failure !== undefined || completion?.heldFailure !== undefined
      given.add(part, { isFailing, isFollowed: place < last })
    }
  }

  /** Takes the next bytes. True where the completion is over with them. */
  async function take(bytes: Uint8Array): Promise<boolean> {
    const found = endMark.find(bytes)
    const length = found ? found.length : bytes.length
    await give(given.cut(Buffer.from(bytes.buffer, bytes.byteOffset, length)))
    if (isOver || !found) return isOver
    if (found.missing !== '' || failure || completion?.isComplete || completion?.heldFailure) return true
    // The type of a terminal may stand in something else that an event holds, such as the request's metadata.
    endMark = new EndMark()
    return length < bytes.length && take(bytes.subarray(length))
  }

  /**
   * The next bytes; undefined where the body ends, or has failed. A completion that is complete stays so, however its
   * connection ends.
   */
  async function read(): Promise<Uint8Array | undefined> {
    try {
      // A body of the Fetch API holds nothing but bytes.
      return (await wait.for(decided.against(nextPiece(reader)))) as Uint8Array | undefined
    } catch (cause) {
      const error = connectionError(cause, 'getReader' in body)
      reader.cancel(error)
      // A last event may lack only its blank line.
      if (isLostConnection(error)) (follower as Neighbour)[emitHeld]?.()
      const mayEnd = completion?.isComplete || completion?.heldFailure
      if (!mayEnd || !isLostConnection(error)) follower.destroy(error as Error)
      return undefined
    }
  }

  async function end(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    follower.end()
    await followed.end
    onOver()
    const rest = given.takeLast(failure === undefined, completion?.hasEndMark === true)
    if (rest) controller.enqueue(rest)
    if (failure) controller.error(failure.error)
    else controller.close()
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // Until something is given, nobody asks again.
        for (;;) {
          const bytes = failure ? undefined : await read()
          if (!bytes) {
            if (isOver) letEnd(reader)
            if (failure) reader.cancel(failure.error)
            return end(controller)
          }
          if (await take(bytes)) {
            letEnd(reader)
            return end(controller)
          }
          const own = given.take()
          if (own) return controller.enqueue(own)
        }
      },
      async cancel(reason) {
        // A reader leaves after the end mark, too. One that leaves before it does not make the answer a cut one.
        isLeft = true
        reader.cancel(reason)
        follower.end()
        await followed.end
        onOver()
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

/** The wait for a provider, of a request and its body, within limits: the time that the reader of the body takes does not count. */
class Wait {
  /** How many chunks have come. */
  progress = 0
  readonly #limits: TimeLimits
  #seen = 0
  #waited = 0
  /** How long nothing has come. */
  #gap = 0

  constructor(limits: TimeLimits) {
    this.#limits = limits
  }

  /** Waits for what is to come next. Rejects with `CS_ERR_STALLED` when that takes too long. */
  async for<Value>(next: Promise<Value>): Promise<Value> {
    const { first, idle, total } = this.#limits
    if ((first ?? idle ?? total) === undefined) return next
    if (this.progress > this.#seen) this.#gap = 0
    this.#seen = this.progress
    const name = this.#seen === 0 && first !== undefined ? 'first' : 'idle'
    const gapLeft = ({ first, idle }[name] ?? Number.POSITIVE_INFINITY) - this.#gap
    const totalLeft = (total ?? Number.POSITIVE_INFINITY) - this.#waited
    const timeLimit = totalLeft < gapLeft ? 'total' : name
    const start = performance.now()
    let timer: ReturnType<typeof setTimeout> | undefined
    const stalled = new Promise<never>((_resolve, reject) => {
      const left = Math.max(Math.min(gapLeft, totalLeft), 0)
      const stall = () => {
        const limit = { first, idle, total }[timeLimit] as number
        const elapsed = Math.round(this.#waited + performance.now() - start)
        reject(stalledError({ timeLimit, limit, items: this.#seen, elapsed }))
      }
      if (left <= longestTimer) timer = setTimeout(stall, left)
    })
    try {
      return await Promise.race([next, stalled])
    } finally {
      clearTimeout(timer)
      const time = performance.now() - start
      this.#waited += time
      this.#gap += time
    }
  }
}

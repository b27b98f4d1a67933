import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { additionsOf, writtenItems } from '../chunk/additions.js'
import { providerErrorIn } from '../chunk/failure/provider-error.js'
import {
  type Chunk,
  choicesOf,
  finishReasonOf,
  incompleteReasonOf,
  isTerminal,
  type Usage,
  usageOf
} from '../chunk/fields.js'
import { reportsFailure } from '../chunk/finish-reason.js'
import { toChunks } from '../decode/chunks.js'
import { stalledError } from '../guard/time-limits.js'
import { type BodyFailure, type BodyReader, nobody, type Piece, readerOf } from './body/body.js'
import { connectionError } from './body/read-failure.js'
import { onAbort } from './on-abort.js'
import { readRefusal } from './response/refusal.js'
import { partsOf, type ResponseLike } from './response/response-parts.js'

/** What is known of a candidate that failed before its first token, when the next one is asked. */
export interface FailedCandidate {
  /** Its place in the list. */
  index: number
  /** What it failed with: the client's error, or one of this library. */
  error: unknown
  /** Milliseconds from its request to its failure. */
  elapsed: number
  /** What it is billed with, if the provider said so. */
  usage: Usage | undefined
}

/** Sends the request of a candidate. */
export type Send = (options: { signal: AbortSignal }) => Promise<ResponseLike>

/**
 * Asks one candidate after the other until one shows a token, and gives its response, with all that came before the token
 * still to be read. A candidate fails by what its request fails with, by an error or an end before its first token, and by
 * silence for `firstToken` milliseconds; its request is aborted then. Rejects with what the last one fails with, and at
 * once when the signal aborts.
 */
export async function firstToShowToken(
  candidates: readonly Send[],
  firstToken: number,
  onFallback: (failed: FailedCandidate) => void,
  signal: AbortSignal
): Promise<{ index: number; response: ResponseLike }> {
  for (let index = 0; ; index++) {
    const start = performance.now()
    const attempt = new Attempt(signal, firstToken)
    try {
      return { index, response: await attempt.run(candidates[index] as Send) }
    } catch (error) {
      attempt.abort()
      if (signal.aborted || index === candidates.length - 1) throw error
      onFallback({ index, error, elapsed: performance.now() - start, usage: attempt.usage })
    }
  }
}

/** One candidate, until its first token. */
class Attempt {
  usage: Usage | undefined
  readonly #controller = new AbortController()
  readonly #limit: number
  readonly #stopWaiting: () => void
  #reader: BodyReader | undefined

  /** What it was refused with, as far as that was read. */
  #soFar: (() => Error) | undefined

  constructor(signal: AbortSignal, limit: number) {
    this.#limit = limit
    // As long as the source lives: it is the accepted answer that is aborted then.
    this.#stopWaiting = onAbort(signal, () => this.#controller.abort(signal.reason))
  }

  abort(): void {
    this.#stopWaiting()
    this.#controller.abort()
    this.#reader?.cancel()
  }

  async run(send: Send): Promise<ResponseLike> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const start = performance.now()
    const late = new Promise<never>((_resolve, reject) => {
      if (this.#limit === Number.POSITIVE_INFINITY) return
      timer = setTimeout(() => {
        const elapsed = Math.round(performance.now() - start)
        const refused = this.#soFar?.()
        reject(refused ?? stalledError({ timeLimit: 'first', limit: this.#limit, elapsed, items: 0 }))
      }, this.#limit)
    })
    try {
      const opening = this.#open(send)
      // When the time is over, nobody waits for the rest of it any more.
      opening.catch(() => {})
      return await Promise.race([opening, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #open(send: Send): Promise<ResponseLike> {
    const response = await send({ signal: this.#controller.signal })
    const { body, status, headers } = partsOf(response)
    const reader = readerOf(body)
    this.#reader = reader
    if (this.#controller.signal.aborted) reader.cancel()
    if (status !== undefined && (status < 200 || status > 299))
      throw await readRefusal(reader, status, headers, soFar => {
        this.#soFar = soFar
      })
    const beginning = new Beginning(reader, 'getReader' in body)
    await this.#readToToken(beginning)
    beginning.rewind()
    // Of what a response has, this is what the source reads.
    return { status, headers, body: beginning } as unknown as ResponseLike
  }

  /** Reads until a token has come, or the end of a whole answer without one. */
  #readToToken(beginning: Beginning): Promise<void> {
    return new Promise((resolve, reject) => {
      const chunks = toChunks()
      const settle = (how: () => void) => {
        beginning.pause()
        chunks.destroy()
        how()
      }
      const decide = () => settle(resolve)
      const fail = (error: unknown) => settle(() => reject(error))
      chunks.on('data', (chunk: Chunk) => {
        this.usage = usageOf(chunk) ?? this.usage
        if (showsToken(chunk)) decide()
      })
      chunks.on('end', decide)
      chunks.on('error', fail)
      beginning.taker = {
        take: piece => void chunks.write(piece),
        over(failure) {
          if (!failure) return void chunks.end()
          // Behind what the chunks tell.
          setImmediate(() => fail(failure.error))
        }
      }
      beginning.resume()
    })
  }
}

/** A body whose beginning is read twice: by who decides whether it will do, and by who then has it. */
class Beginning implements BodyReader {
  taker = nobody
  readonly #reader: BodyReader
  #pieces: Piece[] = []
  #next = 0
  #isKept = true
  #isFlowing = false
  #ending: { failure?: BodyFailure } | undefined

  constructor(reader: BodyReader, isWeb: boolean) {
    this.#reader = reader
    reader.taker = {
      take: piece => {
        this.#pieces.push(piece)
        this.#deliver()
      },
      over: failure => {
        this.#ending = failure ? { failure: { error: connectionError(failure.error, isWeb) } } : {}
        this.#deliver()
      }
    }
  }

  /** Begins again, for the last time. */
  rewind(): void {
    this.#next = 0
    this.#isKept = false
  }

  resume(): void {
    this.#isFlowing = true
    this.#deliver()
  }

  pause(): void {
    this.#isFlowing = false
    this.#reader.pause()
  }

  cancel(reason?: unknown): void {
    this.#reader.cancel(reason)
  }

  #deliver(): void {
    while (this.#isFlowing && this.#next < this.#pieces.length) {
      const piece = this.#pieces[this.#next++] as Piece
      if (!this.#isKept && this.#next === this.#pieces.length) {
        this.#pieces = []
        this.#next = 0
      }
      this.taker.take(piece)
    }
    if (!this.#isFlowing) return
    if (!this.#ending) return this.#reader.resume()
    this.#isFlowing = false
    this.taker.over(this.#ending.failure)
  }
}

/** A token is anything that the model says: text of any kind, the name of a tool, or that it has ended without a word. */
function showsToken(chunk: Chunk): boolean {
  if (additionsOf(chunk, writtenItems()).length > 0) return true
  if (isTerminal(chunk))
    return providerErrorIn(chunk) === undefined && !reportsFailure(incompleteReasonOf(chunk) ?? '')
  if ('type' in chunk && chunk.type === 'response.output_item.added' && 'name' in chunk.item) return true
  return choicesOf(chunk).some(choice => {
    const reason = choice ? finishReasonOf(choice) : undefined
    if (reason !== undefined) return !reportsFailure(reason)
    const delta = choice?.delta
    return typeof delta === 'object' && delta !== null && Boolean(delta.tool_calls || delta.function_call)
  })
}

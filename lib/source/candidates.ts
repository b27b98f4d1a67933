import { clearTimeout, setTimeout } from 'node:timers'
import { additionsOf } from '../chunk/additions.js'
import { type Chunk, choicesOf, finishReasonOf, isTerminal, type Usage, usageOf } from '../chunk/fields.js'
import { reportsFailure } from '../chunk/finish-reason.js'
import { toChunks } from '../decode/chunks.js'
import { stalledError } from '../guard/time-limits.js'
import type { BodyReader } from './body.js'
import { readerOf } from './body.js'
import { onAbort } from './on-abort.js'
import { connectionReader } from './read-failure.js'
import { refusal } from './refusal.js'
import { partsOf, type ResponseLike } from './response-parts.js'

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

type Piece = Uint8Array | string

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
        reject(stalledError({ timeLimit: 'first', limit: this.#limit, elapsed, items: 0 }))
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
    const reader = connectionReader(readerOf(body), body)
    this.#reader = reader
    if (this.#controller.signal.aborted) reader.cancel()
    if (status !== undefined && (status < 200 || status > 299)) throw await refusal(reader, status, headers)
    const { pieces, next } = await this.#readToToken(reader)
    // Of what a response has, this is what the source reads.
    return { status, headers, body: goOn(pieces, next, reader) } as unknown as ResponseLike
  }

  /** Reads until a token has come, or the end of a whole answer without one. */
  async #readToToken(reader: BodyReader): Promise<{ pieces: Piece[]; next: Promise<Piece | undefined> }> {
    const pieces: Piece[] = []
    let isDecided = false
    const chunks = toChunks()
    const decided = new Promise<void>((resolve, reject) => {
      const decide = () => {
        isDecided = true
        resolve()
      }
      chunks.on('data', (chunk: Chunk) => {
        this.usage = usageOf(chunk) ?? this.usage
        if (showsToken(chunk)) decide()
      })
      chunks.on('end', decide)
      chunks.on('error', reject)
    })
    decided.catch(() => {})
    let next = reader.read()
    while (!isDecided) {
      // A failure of the read is told below, behind what the chunks tell.
      next.catch(() => {})
      const piece = await Promise.race([next, decided.then(() => null)])
      if (piece === null) break
      if (piece === undefined) {
        chunks.end()
        await decided
        break
      }
      pieces.push(piece)
      chunks.write(piece)
      next = reader.read()
    }
    next.catch(() => {})
    chunks.destroy()
    return { pieces, next }
  }
}

/** A token is anything that the model says: text of any kind, the name of a tool, or that it has ended without a word. */
function showsToken(chunk: Chunk): boolean {
  if (additionsOf(chunk).length > 0 || isTerminal(chunk)) return true
  if ('type' in chunk && chunk.type === 'response.output_item.added' && 'name' in chunk.item) return true
  return choicesOf(chunk).some(choice => {
    const reason = choice ? finishReasonOf(choice) : undefined
    if (reason !== undefined) return !reportsFailure(reason)
    const delta = choice?.delta
    return typeof delta === 'object' && delta !== null && Boolean(delta.tool_calls || delta.function_call)
  })
}

/** The body again: what was read of it, what is being read, and the rest. */
function goOn(
  pieces: Piece[],
  next: Promise<Piece | undefined>,
  reader: BodyReader
): AsyncIterable<Piece> & { cancel?: never } {
  let pending: Promise<Piece | undefined> | undefined = next
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const held = pieces.shift()
        if (held !== undefined) return { done: false, value: held }
        const reading = pending ?? reader.read()
        pending = undefined
        const piece = await reading
        return piece === undefined ? { done: true, value: undefined } : { done: false, value: piece }
      },
      async return() {
        reader.cancel()
        return { done: true, value: undefined }
      }
    })
  }
}

import type { Chunk } from '../chunk/fields.js'
import { ChunkParser } from '../decode/chunk-parser.js'
import { defaultMaxEventSize } from '../decode/events.js'
import type { End, Entry, Head } from '../recording/format.js'
import { errorOf } from '../recording/recorded-error.js'
import { refusal } from '../source/response/refusal.js'
import { outcomeOf } from '../tap/summary.js'
import { type Outcome, type Summary, SummaryRecord } from '../tap/summary-record.js'

/** A chunk with its time, in milliseconds. */
export interface TimedChunk {
  readonly chunk: Chunk
  readonly at: number
}

/** Reads the chunks of a recording, or of a body as it comes, with the times of the pieces that they came in. */
export class Answer {
  readonly #record = new SummaryRecord(true, 0)
  #at = 0
  #outcome: Outcome = 'aborted'
  #error: Error | undefined

  /** The head of the response, if there is one. */
  head: Head | undefined
  /** How the recording ends; undefined for a body, and for a recording that was broken off. */
  ending: End | undefined
  bytes = 0
  pieces = 0

  /** The chunks of the answer; fails as `toChunks` does, or as the recorded stream did, behind those that came before. */
  async *chunks(entries: AsyncIterable<Entry> | Iterable<Entry>): AsyncGenerator<TimedChunk> {
    let came: Chunk[] = []
    const parser = new ChunkParser(
      {
        onInvalid: 'fail',
        onCut: 'pass',
        requireEnd: true,
        choices: 0,
        maxChoices: 10_000,
        maxEventSize: defaultMaxEventSize
      },
      { onChunk: chunk => void came.push(chunk), onSkip: () => {} }
    )
    const decoder = new TextDecoder()
    try {
      for await (const entry of entries) {
        if (entry.kind === 'beginning') continue
        this.#at = entry.at
        if (entry.kind === 'head') this.head = entry
        else if (entry.kind === 'end') this.ending = entry
        else {
          this.bytes += entry.bytes.length
          this.pieces++
          if (this.#isRefused) throw this.#refusal(entry.bytes)
          came = []
          const failure = caught(() => parser.feed(decoder.decode(entry.bytes, { stream: true })))
          yield* this.#timed(came)
          if (failure) throw failure.error
        }
      }
      came = []
      const failure = caught(() => {
        // What the source failed with explains why the rest is missing; what the provider reported is said first.
        if (parser.heldFailure) throw parser.heldFailure
        if (this.ending?.error && !parser.isComplete) throw errorOf(this.ending.error)
        parser.end()
      })
      yield* this.#timed(came)
      if (failure) throw failure.error
      this.#outcome = 'complete'
    } catch (error) {
      // What is thrown here is this library's, or that of a file which cannot be read.
      this.#error = error as Error
      this.#outcome = outcomeOf(this.#error)
      throw error
    }
  }

  /** The summary, of what has come so far. */
  summary(): Summary {
    return this.#record.end(this.#outcome, this.#error, this.#at)
  }

  get #isRefused(): boolean {
    return this.head !== undefined && (this.head.status < 200 || this.head.status > 299)
  }

  #refusal(body: Uint8Array): Error {
    const { status, headers } = this.head ?? { status: 0, headers: {} }
    return refusal(Buffer.from(body).toString(), status, headers)
  }

  *#timed(came: readonly Chunk[]): Generator<TimedChunk> {
    for (const chunk of came) {
      this.#record.add(chunk, this.#at)
      yield { chunk, at: this.#at }
    }
  }
}

function caught(work: () => void): { error: unknown } | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return { error }
  }
}

/** Whether an error is that of the input, not one of the answer: of the file system, of a damaged recording, or Ctrl-C. */
export function isOfInput(error: unknown, { ending }: Answer): boolean {
  if (!(error instanceof Error)) return true
  const code = 'code' in error ? error.code : undefined
  // A recorded abort is one of the answer.
  if (error.name === 'AbortError') return ending === undefined
  return code === 'CS_ERR_INVALID_RECORDING' || 'syscall' in error
}

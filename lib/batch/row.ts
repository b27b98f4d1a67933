import { type Stream, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ChoiceText } from '../chunk/choice-text.js'
import { isChunkLike } from '../chunk/failure/foreign.js'
import {
  type Chunk,
  choicesOf,
  finishReasonOf,
  isResponsesEvent,
  type Usage,
  usageOf
} from '../chunk/fields.js'
import { type TokenCounts, tokensOf } from '../chunk/usage.js'
import { CompletionAssembler } from '../collect/assemble.js'
import { ToolCallAssembler } from '../collect/chat/tool-call-assembler.js'
import type { WholeCompletion } from '../collect/completion.js'
import { JoinedText } from '../collect/joined-text.js'
import type { ToolCall } from '../collect/tool-calls.js'
import { toChunks } from '../decode/chunks.js'
import { CompletionError, isErrorLike } from '../errors.js'
import { printable } from '../failure/printable.js'
import { isRetryable } from '../failure/retryable.js'
import { type SomeTimeLimit, type TimeLimits, timeLimits } from '../guard/time-limits.js'
import {
  type CompletionClient,
  type CompletionParams,
  type RequestOptions,
  requestCompletion
} from '../source/request.js'
import { headerFacts } from '../source/response/headers.js'
import { stage } from '../stage.js'
import { concernsAll, statusOf } from './concerns-all.js'
import { longestRetryAfter, type RateLimiter, type Turn, waitInHeaders } from './rate-limits.js'
import { estimateOfRow, paramsOfRow, stagesOfRow } from './row-options.js'
import { growingWait } from './storm.js'
import { waitFor } from './wait-for.js'

/** What came of a row. */
export interface RowRecord<Row = unknown> {
  /** By which the row is known. */
  key: string
  /** The row itself, as it was read. */
  row: Row
  /** The whole completion, as without `stream: true`; absent if the row failed, or its stages emit no chunks. */
  completion?: WholeCompletion
  /** The text of choice 0. */
  text?: string
  /** The tool calls, if there are any. */
  toolCalls?: ToolCall[]
  /** What the stages of `through` emitted that is neither text nor a chunk, if they did. */
  elements?: unknown[]
  /** What the provider reported for the answer. */
  usage?: Usage
  /** The tokens of all attempts together, as far as they were reported. */
  tokens?: TokenCounts
  /** How often the row was asked. */
  attempts: number
  /** From its first attempt to its end, in milliseconds. */
  elapsed: number
  /** What it failed with for good, as JSON. */
  error?: RowError
}

/** An error as JSON: of this library's its `toJSON`, of others what can be told of them. */
export type RowError = { name: string; message: string } & Record<string, unknown>

/** How rows are asked. */
export interface RowSettings<Row> {
  client: CompletionClient
  paramsOf(row: Row): CompletionParams | PromiseLike<CompletionParams>
  request?: RequestOptions['request']
  retries: number
  through: () => readonly Stream[]
  timeLimits?: TimeLimits
  estimate(row: Row, params: CompletionParams): number
  onRetry(told: { key: string; error: unknown; attempt: number; wait: number }): unknown
}

/** What came of a row, and for one that failed for good, the error itself. */
export interface Outcome<Row> {
  record: RowRecord<Row>
  failure?: unknown
}

/** Asks for a row until there is an answer, or a failure that lasts. Rejects only for what concerns all rows, and for an abort. */
export async function askRow<Row>(
  key: string,
  row: Row,
  settings: RowSettings<Row>,
  limiter: RateLimiter,
  signal: AbortSignal
): Promise<Outcome<Row>> {
  const start = performance.now()
  const params = await paramsOfRow(settings.paramsOf, row, key)
  const spent = new Spent()
  const end = (more: Partial<RowRecord<Row>>, attempts: number): RowRecord<Row> => ({
    key,
    row,
    ...more,
    ...(spent.tokens && { tokens: spent.tokens }),
    attempts,
    elapsed: Math.round(performance.now() - start)
  })
  for (let attempt = 1; ; attempt++) {
    const estimate = estimateOfRow(settings.estimate, row, params, key)
    const stages = stagesOfRow(settings.through, key)
    const turn = await limiter.reserve(estimate, signal)
    const answer = new Answer()
    try {
      await run(params, settings, stages, answer, limiter, turn, signal)
      limiter.settle(turn, spent.add(answer.usage))
      return { record: end(answer.facts(), attempt) }
    } catch (error) {
      limiter.settle(turn, spent.add(answer.usage) ?? 0)
      // What a stage of the caller's fails with has nothing to do with the provider, whatever status it has.
      const isProviders = !answer.hasStageFailed
      if (isProviders && statusOf(error) === 429) limiter.refuse(turn, retryAfterOf(error))
      else limiter.pass(turn)
      if (signal.aborted || (isProviders && concernsAll(error))) throw error
      // A stage that wants more than the model may say, as one that reads JSON, wants it of the next answer too.
      const isOver = answer.isCut && !isProviders
      if (attempt > settings.retries || isOver || !isRetryable(error))
        return { record: end({ error: jsonOfError(error) }, attempt), failure: error }
      const wait = retryAfterOf(error) ?? growingWait(attempt)
      await settings.onRetry({ key, error, attempt, wait })
      await waitFor(wait, signal)
    }
  }
}

async function run<Row>(
  params: CompletionParams,
  { client, request, timeLimits: limits }: RowSettings<Row>,
  stages: readonly Stream[],
  answer: Answer,
  limiter: RateLimiter,
  turn: Turn,
  signal: AbortSignal
): Promise<void> {
  // What is tried again is decided here, where it is also counted.
  const source = requestCompletion(client, params, { signal, request: { ...request, maxRetries: 0 } })
  source.once('response', ({ headers }) => {
    limiter.pause(waitInHeaders(headers))
    limiter.pass(turn)
  })
  const bill = stage<Chunk, Chunk>({
    transform(chunk, push) {
      answer.usage = usageOf(chunk) ?? answer.usage
      answer.expect(chunk)
      answer.isCut ||= isCut(chunk)
      push(chunk)
    }
  })
  const limited = limits === undefined ? [] : [timeLimits(limits as SomeTimeLimit)]
  const own: unknown[] = [source, toChunks(), ...limited, bill]
  answer.watch(own as Stream[], stages)
  // Whatever streams `through` makes, they are streams.
  await pipeline([...own, ...stages, answer.sink()] as NodeJS.ReadWriteStream[])
}

/** How the finish reasons of a model are called that was stopped: `length`, `max_tokens`, `model_length`, `content_filter`. */
const cutReason = /length|max_?(?:output_?)?tokens|content_filter/i

function isCut(chunk: Chunk): boolean {
  if ((chunk as { type?: unknown }).type === 'response.incomplete') return true
  return choicesOf(chunk).some(choice => cutReason.test(finishReasonOf(choice) ?? ''))
}

/** What an attempt gives. */
class Answer {
  usage: Usage | undefined
  /** Whether it was a stage of `through` that failed first. */
  hasStageFailed = false
  /** Whether the model was stopped before its end, as it will be again. */
  isCut = false
  readonly #completion = new CompletionAssembler()
  readonly #calls = new ToolCallAssembler()
  readonly #toolCalls: ToolCall[] = []
  readonly #reader = new ChoiceText(0, 'content')
  readonly #text = new JoinedText()
  readonly #elements: unknown[] = []
  readonly #oddChunks = new WeakSet<object>()
  #hasChunks = false
  #hasText = false

  /** Takes note of a chunk that the stages may pass on, where it does not show that it is one. */
  expect(chunk: object): void {
    if (!showsChunk(chunk)) this.#oddChunks.add(chunk)
  }

  sink(): Writable {
    return new Writable({
      objectMode: true,
      write: (item: unknown, _encoding, callback) => {
        try {
          this.#add(item)
          callback()
        } catch (error) {
          callback(error as Error)
        }
      }
    })
  }

  /** The first stream of a pipeline that fails does it by itself; then all of them are destroyed with its error. */
  watch(own: readonly Stream[], stages: readonly Stream[]): void {
    let hasFailed = false
    const fail = (isStage: boolean) => () => {
      if (!hasFailed) this.hasStageFailed = isStage
      hasFailed = true
    }
    for (const stream of own) stream.on('error', fail(false))
    for (const stage of stages) if ('on' in stage) stage.on('error', fail(true))
  }

  facts(): Omit<Partial<RowRecord>, 'row'> {
    this.#toolCalls.push(...this.#calls.end())
    this.#text.add(this.#reader.end())
    return {
      ...(this.#hasChunks && { completion: this.#completion.result() }),
      ...((this.#hasChunks || this.#hasText) && { text: this.#text.value }),
      ...(this.#toolCalls.length > 0 && { toolCalls: this.#toolCalls }),
      ...(this.#elements.length > 0 && { elements: this.#elements }),
      ...(this.usage && { usage: this.usage })
    }
  }

  #add(item: unknown): void {
    if (typeof item === 'string') {
      this.#hasText = true
      this.#text.add(item)
    } else if (this.#isChunk(item)) {
      this.#hasChunks = true
      this.#completion.add(item)
      this.#toolCalls.push(...this.#calls.add(item))
      this.#text.add(this.#reader.read(item))
    } else this.#elements.push(item)
  }

  #isChunk(item: unknown): item is object {
    if (typeof item !== 'object' || item === null) return false
    return this.#oddChunks.has(item) || (showsChunk(item) && isChunkLike(item))
  }
}

/** Whether an object is a chunk beyond doubt. An element may have a member such as `usage` or `cost`, too. */
function showsChunk(item: object): boolean {
  return Array.isArray((item as { choices?: unknown }).choices) || isResponsesEvent(item)
}

/** The tokens of several attempts. */
class Spent {
  tokens: TokenCounts | undefined

  /** Adds what an attempt used; gives how many tokens that were. */
  add(usage: Usage | undefined): number | undefined {
    if (!usage) return undefined
    const counts = tokensOf(usage)
    const sum = { ...this.tokens }
    for (const [name, count] of Object.entries(counts) as [keyof TokenCounts, unknown][])
      if (typeof count === 'number') sum[name] = (sum[name] ?? 0) + count
    this.tokens = sum
    return counts.total
  }
}

/** How long the provider asks to wait, in milliseconds. Who asks for none says nothing of when the next try may succeed. */
function retryAfterOf(error: unknown): number | undefined {
  const { retryAfter, headers } = (error ?? {}) as { retryAfter?: unknown; headers?: unknown }
  const asked = typeof retryAfter === 'number' ? retryAfter : headerFacts(headers).retryAfter
  return asked ? Math.min(asked, longestRetryAfter) : undefined
}

function jsonOfError(error: unknown): RowError {
  if (error instanceof CompletionError) return error.toJSON() as RowError
  if (!isErrorLike(error)) return { name: 'Error', message: printable(String(error)) }
  const { name, message } = error
  const facts = error as Error & Record<string, unknown>
  const told = ['status', 'code', 'type', 'param'].filter(fact =>
    ['string', 'number'].includes(typeof facts[fact])
  )
  return {
    name: error.constructor?.name || name,
    message: printable(message),
    ...Object.fromEntries(told.map(fact => [fact, facts[fact]]))
  }
}

import type { Stream } from 'node:stream'
import { CompletionError } from '../errors.js'
import { settledTimeLimits, type TimeLimits } from '../guard/time-limits.js'
import { checkFunction, checkIndex, checkLimit, invalid, settled } from '../options.js'
import {
  apiOf,
  type CompletionClient,
  type CompletionParams,
  type RequestOptions
} from '../source/request.js'
import type { RateLimits } from './rate-limits.js'

/** How rows are asked, by one process or by many. */
export interface RowOptions<Row> {
  /** How many rows are asked at once. Default: 16. */
  concurrency?: number
  /** What the provider allows in a minute. Default: no limits. */
  limits?: RateLimits
  /**
   * How many tokens a row is expected to use, 0 or more; it is corrected by what the rows before used. Default: a quarter of
   * the characters of its parameters, and what the answer may have.
   */
  estimate?: (row: Row, params: CompletionParams) => number
  /** How often a row is asked again after a failure that may pass. Default: 4. */
  retries?: number
  /** Makes stages that stand between the chunks of a row and its record, such as `splitThinking()`. Default: none. */
  through?: () => readonly Stream[]
  /** Limits on the time of one attempt, as `timeLimits` has them. Default: none. */
  timeLimits?: TimeLimits | undefined
  /** More options for the client's requests, such as `headers` and `timeout`. What is tried again is said by `retries`. */
  request?: Omit<NonNullable<RequestOptions['request']>, 'maxRetries'> | undefined
  /** Called when a row is about to be asked again, with the milliseconds until then. Default: nobody is told. */
  onRetry?: (told: { key: string; error: unknown; attempt: number; wait: number }) => void
}

/** What an answer is expected to have where its parameters do not say, in tokens. */
const usualAnswer = 256

/** The options of rows, settled. */
export type SettledRowOptions<Row> = Required<Omit<RowOptions<Row>, 'timeLimits' | 'request'>> &
  Pick<RowOptions<Row>, 'timeLimits' | 'request'>

export const rowDefaults: SettledRowOptions<unknown> = {
  concurrency: 16,
  limits: {},
  estimate: estimateOf,
  retries: 4,
  through: () => [],
  timeLimits: undefined,
  request: undefined,
  onRetry: () => {}
}

export function checkAsked(client: CompletionClient, paramsOf: (row: never) => unknown): void {
  checkFunction('paramsOf', paramsOf)
  if (typeof client !== 'object' || client === null)
    throw invalid('client', client, 'a client of the openai package')
}

/** How much of a row's key is shown, in characters. */
const shownKey = 100

/** A row as a message names it: by its key, never by what it holds. */
export function rowOf(key: string): string {
  return `the row of key ${JSON.stringify(key.length > shownKey ? `${key.slice(0, shownKey)}…` : key)}`
}

/** The parameters of a row's request. Rejects with `CS_ERR_INVALID_OPTION` where `paramsOf` throws, or gives none of any API. */
export async function paramsOfRow<Row>(
  paramsOf: (row: Row) => CompletionParams | PromiseLike<CompletionParams>,
  row: Row,
  key: string
): Promise<CompletionParams> {
  let params: CompletionParams
  try {
    params = await paramsOf(row)
  } catch (cause) {
    throw new CompletionError('CS_ERR_INVALID_OPTION', `paramsOf threw at ${rowOf(key)}: see \`cause\``, {
      cause
    })
  }
  const given = `what paramsOf gave for ${rowOf(key)}`
  if (typeof params !== 'object' || params === null)
    throw invalid(given, params, 'the parameters of a request')
  apiOf(params, given)
  return params
}

/** How many tokens a row is expected to use. Anything but a number would switch the limit off. */
export function estimateOfRow<Row>(
  estimate: SettledRowOptions<Row>['estimate'],
  row: Row,
  params: CompletionParams,
  key: string
): number {
  const tokens = estimate(row, params)
  if (Number.isFinite(tokens) && tokens >= 0) return tokens
  throw refused(`what estimate gave for ${rowOf(key)}`, tokens, 'a number of tokens, from zero')
}

/** The stages that rows have had. */
const used = new WeakSet<object>()

/** The stages of a row. What is none is told before there is a request: the pipeline would not be there to end it. */
export function stagesOfRow(through: () => readonly Stream[], key: string): readonly Stream[] {
  const given: Partial<Iterable<Stream>> | undefined = through()
  const name = `what through gave for ${rowOf(key)}`
  if (typeof given?.[Symbol.iterator] !== 'function') throw refused(name, given, 'a list of stages')
  const stages = [...(given as Iterable<Stream>)]
  for (const stage of stages) {
    if (typeof stage === 'object' && used.has(stage))
      throw invalid(`a stage in ${name}`, stage, 'new stages at each call: this one was given before')
    if (!isStage(stage))
      throw refused(`a stage in ${name}`, stage, 'a stream that takes what comes and emits what goes on')
    used.add(stage)
  }
  return stages
}

/** Streams of Node and of the web, and the async generator functions that a pipeline takes in their place. */
function isStage(value: unknown): boolean {
  if (typeof value === 'function') return true
  if (typeof value !== 'object' || value === null) return false
  const { readable, writable } = value as { readonly readable?: unknown; readonly writable?: unknown }
  return Boolean(readable) && Boolean(writable)
}

/** The error for what a callback gave. Where that is a promise, nobody waits for what it fails with. */
export function refused(name: string, value: unknown, wanted: string): CompletionError {
  if (value instanceof Promise) value.catch(() => {})
  return invalid(name, value, wanted)
}

export function checkRowOptions<Row>(factory: string, options: RowOptions<Row>): void {
  const { concurrency = 1, retries = 0, limits = {} } = options
  checkLimit('concurrency', concurrency)
  checkIndex('retries', retries)
  for (const name of ['estimate', 'through', 'onRetry'] as const)
    checkFunction(name, options[name] as () => unknown)
  const { requests, tokens } = settled<RateLimits>(`limits of ${factory}`, limits, {
    requests: Number.POSITIVE_INFINITY,
    tokens: Number.POSITIVE_INFINITY
  })
  checkLimit('limits.requests', requests as number)
  checkLimit('limits.tokens', tokens as number)
  const { request = {} } = options
  if (typeof request !== 'object' || request === null)
    throw invalid('request', request, "an object with options of the client's requests")
  for (const name of ['maxRetries', 'signal'])
    if (name in request)
      throw new CompletionError(
        'CS_ERR_INVALID_OPTION',
        `request.${name} has no effect: use the options retries and signal`
      )
  if (options.timeLimits !== undefined) settledTimeLimits(`timeLimits of ${factory}`, options.timeLimits)
}

/** English has about four characters a token; the answer has what it may have, or the usual. */
function estimateOf(_row: unknown, params: CompletionParams): number {
  const { max_tokens, max_completion_tokens, max_output_tokens } = params as Record<string, unknown>
  const most = [max_completion_tokens, max_output_tokens, max_tokens].find(value => typeof value === 'number')
  return Math.ceil(JSON.stringify(params).length / 4) + (typeof most === 'number' ? most : usualAnswer)
}

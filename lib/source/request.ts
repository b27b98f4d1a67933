import type OpenAI from 'openai'
import { checkFunction, checkLimit, invalid, settled } from '../options.js'
import { type FailedCandidate, firstToShowToken } from './candidates.js'
import { type AnyResponse, type RequestSource, requestSource } from './request-source.js'
import type { ResponseOptions } from './response/response-source.js'

/** The parameters of a request, as its API has them. `stream: true` and the request for usage are added. */
export type CompletionParams = ChatParams | LegacyParams | ResponsesParams

type ChatParams = Streamed<OpenAI.ChatCompletionCreateParamsStreaming>
type LegacyParams = Streamed<OpenAI.CompletionCreateParamsStreaming>
type ResponsesParams = Streamed<OpenAI.Responses.ResponseCreateParamsStreaming> &
  // To the client all of its parameters are optional, so that anything at all would pass for them.
  ({ input: unknown } | { prompt: object })
type Streamed<Params> = Omit<Params, 'stream'> & { stream?: true }

/**
 * The part of a client of the openai package, `AzureOpenAI` too, that requests are made with. By what it can do, so that the
 * client of a CommonJS project, a fork or a client of one's own fits: two copies of the package have different types.
 */
export interface CompletionClient {
  readonly chat: { readonly completions: Endpoint }
  readonly completions: Endpoint
  readonly responses: Endpoint
}

interface Endpoint {
  // A method, not a function: what a client takes is narrower than any object.
  create(body: never, options?: never): { asResponse(): Promise<AnyResponse> }
}

/** The options of `requestCompletion`. */
export interface RequestOptions extends ResponseOptions {
  /** More options for the client's request, such as `headers`, `timeout` and `maxRetries`. */
  request?: Omit<NonNullable<Parameters<OpenAI.Chat.Completions['create']>[1]>, 'signal' | 'stream'>
}

/** One of several ways to have a completion: what to ask, and whom. */
export interface Candidate {
  /** The official client of the provider, which has its address and its key. */
  client: CompletionClient
  /** What is asked of it, with its own name for the model. */
  params: CompletionParams
}

/** The options of `requestCompletion` for a list of candidates. */
export interface CandidateOptions extends RequestOptions {
  /** How long a candidate may take to its first token, in milliseconds, before the next one is asked. Default: no limit. */
  firstToken?: number
  /** Called for each candidate that failed, when the next one is asked. Default: nobody is told. */
  onFallback?: (failed: FailedCandidate) => void
}

/** Undefined where the source has a default of its own: the types know no option that is required and undefined. */
export const defaultsOfRequest = {
  request: {},
  signal: undefined,
  endAtMark: undefined,
  highWaterMark: undefined,
  deliveryTimeout: undefined
} as unknown as Required<RequestOptions>

/**
 * Asks for a completion and emits the bytes of its stream. The endpoint follows from the parameters: `messages`
 * is chat completions, `prompt` the legacy completions, `input` (or `prompt` with a template's id) the
 * Responses API. Usage is asked for unless `stream_options` says otherwise.
 *
 * Nothing is sent before the first read. Destroying the source, its `signal`, or a pipeline whose sink fails,
 * aborts the HTTP request, at whatever point it is. It ends at the end mark, even if the server holds the
 * connection open.
 *
 * Fails with the client's own errors, untouched, until the response is there; retries are the client's too.
 * From then on with `CS_ERR_TRUNCATED` when the connection dies and `CS_ERR_STALLED` when the client has waited
 * too long for a byte, after its reader has taken what had arrived. That is never retried: it would repeat text.
 *
 * @example
 * const request = requestCompletion(new OpenAI(), { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello?' }] })
 * await pipeline(request, toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function requestCompletion(
  client: CompletionClient,
  params: CompletionParams,
  options?: RequestOptions
): RequestSource
/**
 * Asks one candidate after the other, until one shows a token: the next one is asked when a candidate refuses, cannot be
 * reached, reports an error, ends without a token, or is silent for `firstToken` milliseconds. Its request is aborted then.
 * Once a token is out, no other is asked: it would repeat text. What the last one fails with fails the source; an abort does
 * at once. `response` is the head of the answer that counts.
 *
 * @example
 * const request = requestCompletion([{ client, params }, { client, params: { ...params, model: 'other' } }], { firstToken: 5000 })
 */
export function requestCompletion(candidates: readonly Candidate[], options?: CandidateOptions): RequestSource
export function requestCompletion(
  first: CompletionClient | readonly Candidate[],
  second?: CompletionParams | CandidateOptions,
  third?: RequestOptions
): RequestSource {
  // The overloads say which of the two it is.
  if (isList(first)) return requestOfCandidates(first, second as CandidateOptions | undefined)
  const params = second as CompletionParams
  const create = endpointOf(first, params)
  const { request, ...options } = settled<RequestOptions>('requestCompletion', third, defaultsOfRequest)
  return requestSource(
    'requestCompletion',
    signal => create({ ...request, signal }),
    options,
    () => choicesOf(params)
  )
}

/** What a candidate is made of. What both are is checked where they are used. */
const noCandidate: Candidate = { client: undefined as never, params: undefined as never }

function isList(first: CompletionClient | readonly Candidate[]): first is readonly Candidate[] {
  return Array.isArray(first)
}

function requestOfCandidates(candidates: readonly Candidate[], given?: CandidateOptions): RequestSource {
  const { request, firstToken, onFallback, ...options } = settled<Required<CandidateOptions>>(
    'requestCompletion',
    given,
    { ...defaultsOfRequest, firstToken: Number.POSITIVE_INFINITY, onFallback: () => {} }
  )
  checkLimit('firstToken', firstToken)
  checkFunction('onFallback', onFallback)
  if (candidates.length === 0)
    throw invalid('candidates', candidates, 'a list of one or more { client, params }')
  const sends = candidates.map(candidate => {
    if (typeof candidate !== 'object' || candidate === null)
      throw invalid('one of the candidates', candidate, 'an object { client, params }')
    const { client, params } = settled('a candidate', candidate, noCandidate)
    const create = endpointOf(client, params)
    // Of what a response has, it is asked here for what all of them have.
    return (own: { signal: AbortSignal }) => create({ ...request, ...own }) as Promise<Response>
  })
  let chosen = 0
  return requestSource(
    'requestCompletion',
    async signal => {
      const { index, response } = await firstToShowToken(sends, firstToken, onFallback, signal)
      chosen = index
      // What a candidate's client has given has a status and headers; the types know only that it has a body.
      return response as unknown as AnyResponse
    },
    options,
    () => choicesOf((candidates[chosen] as Candidate).params)
  )
}

/** How many choices are asked for: `n` of each prompt. */
function choicesOf(params: CompletionParams): number {
  const { n, prompt } = params as { n?: unknown; prompt?: unknown }
  const each = typeof n === 'number' && n > 0 ? n : 1
  const isList = Array.isArray(prompt) && prompt.some(item => typeof item === 'string' || Array.isArray(item))
  return 'input' in params ? 0 : each * (isList ? prompt.length : 1)
}

type Send = (options: { signal: AbortSignal }) => Promise<AnyResponse>

function endpointOf(client: CompletionClient, params: CompletionParams): Send {
  if (typeof params !== 'object' || params === null)
    throw invalid('params', params, 'the parameters of a request')
  switch (apiOf(params, 'params')) {
    case 'chat':
      return sendBy(client?.chat?.completions, { ...params, ...withUsage(params as ChatParams) })
    case 'completions':
      return sendBy(client?.completions, { ...params, ...withUsage(params as LegacyParams) })
    case 'responses':
      return sendBy(client?.responses, params)
  }
}

/** The API that parameters are for. Throws for those of none, with the name under which the caller knows them. */
export function apiOf(params: CompletionParams, name: string): 'chat' | 'completions' | 'responses' {
  const { messages, prompt, input } = params as Record<string, unknown>
  if (messages !== undefined) return 'chat'
  // The prompt of a legacy completion is text or tokens; in the Responses API it is an object that names a template.
  if (prompt !== undefined && (typeof prompt !== 'object' || Array.isArray(prompt))) return 'completions'
  if (input !== undefined || prompt !== undefined) return 'responses'
  throw invalid(name, params, 'messages, prompt or input')
}

function sendBy(endpoint: Endpoint | undefined, params: object): Send {
  if (typeof endpoint?.create !== 'function')
    throw invalid(
      'client',
      endpoint,
      'a client of the openai package that has the endpoint of these parameters'
    )
  const body = { ...params, stream: true }
  // The parameters are those of the endpoint, which the type of `params` says.
  return options => endpoint.create(body as never, options as never).asResponse()
}

/**
 * Chat completions and completions report usage only when asked; the Responses API always does. Some servers refuse the
 * parameter at any value, so `null` leaves it out.
 */
function withUsage({
  stream_options: options
}: {
  stream_options?: OpenAI.ChatCompletionStreamOptions | null
}) {
  return { stream_options: options === null ? undefined : { include_usage: true, ...options } }
}

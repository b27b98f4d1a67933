import type OpenAI from 'openai'
import { invalid } from '../options.js'
import type { Source } from '../stage.js'
import { type ResponseOptions, responseSource } from './response.js'

/** The parameters of a request, as its API has them. `stream` is set, and usage is asked for, without a word. */
export type CompletionParams = ChatParams | LegacyParams | ResponsesParams

type ChatParams = Streamed<OpenAI.ChatCompletionCreateParamsStreaming>
type LegacyParams = Streamed<OpenAI.CompletionCreateParamsStreaming>
type ResponsesParams = Streamed<OpenAI.Responses.ResponseCreateParamsStreaming> &
  // To the client all of its parameters are optional, so that anything at all would pass for them.
  ({ input: unknown } | { prompt: object })
type Streamed<Params> = Omit<Params, 'stream'> & { stream?: true }

/** The part of a client of the openai package, `AzureOpenAI` too, that requests are made with. */
export type CompletionClient = Pick<OpenAI, 'chat' | 'completions' | 'responses'>

export interface RequestOptions extends ResponseOptions {
  /** More options for the client's request, such as `headers`, `timeout` and `maxRetries`. */
  request?: Omit<NonNullable<Parameters<OpenAI.Chat.Completions['create']>[1]>, 'signal' | 'stream'>
}

/** What is known of a response before its body comes. */
export interface ResponseHead {
  /** The HTTP status, 2xx: any other is an error of the client's. */
  status: number
  headers: Headers
}

/** The source that `requestCompletion` returns. */
export interface RequestSource extends Source<Uint8Array> {
  /**
   * The head of the response, as soon as it is there; also the event `response`. Rejects with what the request
   * fails with; nothing is sent before somebody reads. Need not be awaited.
   */
  readonly response: Promise<ResponseHead>
}

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
 */
export function requestCompletion(
  client: CompletionClient,
  params: CompletionParams,
  { request = {}, ...options }: RequestOptions = {}
): RequestSource {
  const create = endpointOf(client, params)
  let settle: { resolve(head: ResponseHead): void; reject(error: unknown): void }
  const response = new Promise<ResponseHead>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // The pipeline tells of the same failure.
  response.catch(() => {})

  const source = responseSource(async signal => {
    const answer = await create({ ...request, signal })
    const head = { status: answer.status, headers: new Headers([...answer.headers]) }
    settle.resolve(head)
    source.emit('response', head)
    return answer
  }, options)
  source.once('close', () => {
    settle.reject(
      source.errored ?? new DOMException('the request was destroyed before its response came', 'AbortError')
    )
  })
  return Object.assign(source, { response })
}

type Send = (options: { signal: AbortSignal }) => Promise<Response>

function endpointOf(client: CompletionClient, params: CompletionParams): Send {
  if (typeof client !== 'object' || client === null)
    throw invalid('client', client, 'a client of the openai package')
  if (typeof params !== 'object' || params === null)
    throw invalid('params', params, 'the parameters of a request')
  if ('messages' in params) {
    const body = { ...params, stream: true, stream_options: withUsage(params) } as const
    return options => client.chat.completions.create(body, options).asResponse()
  }
  if (isLegacy(params)) {
    const body = { ...params, stream: true, stream_options: withUsage(params) } as const
    return options => client.completions.create(body, options).asResponse()
  }
  if (isResponses(params)) {
    const body = { ...params, stream: true } as const
    return options => client.responses.create(body, options).asResponse()
  }
  throw invalid('params', params, 'messages, prompt or input')
}

/** The prompt of a legacy completion is text or tokens; in the Responses API it is an object that names a template. */
function isLegacy(params: CompletionParams): params is LegacyParams {
  return 'prompt' in params && (typeof params.prompt !== 'object' || Array.isArray(params.prompt))
}

function isResponses(params: CompletionParams): params is ResponsesParams {
  return 'input' in params || 'prompt' in params
}

/** Chat completions and completions report usage only when asked; the Responses API always does. */
function withUsage({
  stream_options: options
}: {
  stream_options?: OpenAI.ChatCompletionStreamOptions | null
}) {
  return options === null ? null : { include_usage: true, ...options }
}

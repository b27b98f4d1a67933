import { checkIndex, invalid, settled } from '../options.js'
import { defaultsOfRequest, type RequestOptions } from './request.js'
import { type AnyResponse, type RequestSource, requestSource } from './request-source.js'

/** The part of a client of the openai package that background responses are retrieved with. */
export interface ResponsesClient {
  readonly responses: Retrievable
}

interface Retrievable {
  // A method, not a function: what a client takes is narrower than any object.
  retrieve(responseId: string, query: never, options?: never): { asResponse(): Promise<AnyResponse> }
}

/** The options of `resume`. */
export interface ResumeOptions extends RequestOptions {
  /** The `sequence_number` of the last event that is there already. Default: from the first event. */
  after?: number
}

/**
 * Emits the bytes of a response of the Responses API that was begun with `background: true`, from behind an event: the
 * provider goes on with it though nobody reads, so a connection that was cut costs nothing. Each event has a
 * `sequence_number`, and `response.created` the id. What it fails with, and when its request is sent, is as with
 * `requestCompletion`: cut again, it fails with `CS_ERR_TRUNCATED`, and may be resumed again.
 *
 * The last events say all text and all tool calls again. Behind `toChunks`, `toText`, `toArguments` and `toToolCalls` emit
 * nothing of what began before `after` but what its deltas still bring, and calls that become whole; `toCompletion` emits
 * the whole response. Behind the last event, do not resume: nothing comes, which is `CS_ERR_TRUNCATED`, as after a cut.
 *
 * Throws `CS_ERR_INVALID_OPTION` for a client whose responses cannot be retrieved.
 *
 * @example
 * const asked = requestCompletion(client, { model: 'any', input: 'Hello?', background: true })
 * for await (const event of compose(asked, toChunks<OpenAI.Responses.ResponseStreamEvent>())) {
 *   if (event.type !== 'response.created') continue
 *   const rest = resume(client, event.response.id, { after: event.sequence_number })
 *   await pipeline(rest, toChunks(), toText(), createWriteStream('answer.txt'))
 *   break
 * }
 */
export function resume(client: ResponsesClient, responseId: string, options?: ResumeOptions): RequestSource {
  const { after, request, ...rest } = settled<RequestOptions & { after: number | undefined }>(
    'resume',
    options,
    {
      ...defaultsOfRequest,
      after: undefined
    }
  )
  const responses = client?.responses
  if (typeof responses?.retrieve !== 'function')
    throw invalid('client', client, 'a client of the openai package that has responses.retrieve')
  if (typeof responseId !== 'string' || responseId === '')
    throw invalid('responseId', responseId, 'the id of a response')
  if (after !== undefined) checkIndex('after', after)
  const query = { stream: true, ...(after !== undefined && { starting_after: after }) }
  return requestSource(
    'resume',
    // The client takes what its own version knows.
    signal => responses.retrieve(responseId, query as never, { ...request, signal } as never).asResponse(),
    rest,
    () => 0
  )
}

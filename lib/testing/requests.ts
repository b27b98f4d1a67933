import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

/** Which API a request is for. */
export type Endpoint = 'chat' | 'completions' | 'responses'

/** A request that the server received, and what became of it. */
export interface ReceivedRequest {
  /** The HTTP method, such as `POST`. */
  readonly method: string
  /** The path with its query. */
  readonly path: string
  /** The headers of the request, by their names in lower case, as Node gives them. */
  readonly headers: IncomingHttpHeaders
  /** Undefined when the path is none of the three APIs'. */
  readonly endpoint: Endpoint | undefined
  /** The parsed body; empty when what came is no JSON object. */
  readonly body: Readonly<Record<string, unknown>>
  /** Whether the client went away before the response was over. A response that is held open is never over. */
  readonly aborted: boolean
  /** Whether the whole response was handed to the socket. */
  readonly finished: boolean
  /** Whether the server destroyed the socket before the response was over: a fault, or `close()`. */
  readonly cut: boolean
  /** Bytes of the body that were written so far. */
  readonly bytesWritten: number
  /** Whether the server waits for the client to read what was written, and writes nothing more until then. */
  readonly waiting: boolean
  /** Resolves with this request when the response is over: finished, cut by a fault, or the client went away. */
  readonly over: Promise<ReceivedRequest>
}

/** The server's own view of a received request: what is read-only to others. */
export type RequestRecord = { -readonly [name in keyof ReceivedRequest]: ReceivedRequest[name] }

const paths = /^(?:\/v1|\/openai(?:\/v1|\/deployments\/[^/]+)?)\/(chat\/completions|completions|responses)$/

/** Which API a path is for, in the form of OpenAI (`/v1/…`) or of Azure (`/openai/…`). */
export function endpointOf(path: string): Endpoint | undefined {
  const found = paths.exec(path.split('?', 1)[0] ?? '')?.[1]
  return found === 'chat/completions'
    ? 'chat'
    : found === 'completions' || found === 'responses'
      ? found
      : undefined
}

/** A record of a request, which follows the response until that is over. */
export function recordOf(request: IncomingMessage, response: ServerResponse, body: unknown): RequestRecord {
  const { method = '', url = '', headers } = request
  const record: RequestRecord = {
    method,
    path: url,
    headers,
    endpoint: endpointOf(url),
    body: isRecord(body) ? body : {},
    aborted: false,
    finished: false,
    cut: false,
    bytesWritten: 0,
    waiting: false,
    over: new Promise(resolve => {
      response.once('close', () => {
        record.finished = response.writableFinished
        record.aborted = !record.finished && !record.cut
        record.waiting = false
        resolve(record)
      })
    })
  }
  return record
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the last message, prompt or input of the user says; empty when there is none. */
export function questionOf(body: Readonly<Record<string, unknown>>): string {
  const { messages, prompt, input } = body
  const asked = messages ?? prompt ?? input
  if (!Array.isArray(asked)) return textOf(asked)
  const messagesOfUser = asked.filter(message => isRecord(message) && message.role === 'user')
  return textOf(messagesOfUser.at(-1)?.content ?? asked.at(-1))
}

/** The text of a content: a string, or a list of parts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map(part => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
}

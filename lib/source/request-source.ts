import { failInOrder } from '../fail-in-order.js'
import type { Source } from '../stage.js'
import { expectErrorUnread } from './on-abort.js'
import { type OpenableSource, type ResponseOptions, responseSource } from './response/response-source.js'

/** A response of whatever implementation of fetch. */
export interface AnyResponse {
  readonly status: number
  readonly headers: { forEach(callback: (value: string, name: string) => void): void }
  readonly body: unknown
}

/** What is known of a response before its body comes. */
export interface ResponseHead {
  /** The HTTP status, 2xx: any other is an error of the client's. */
  status: number
  /** The headers of the response, as `fetch` gives them. */
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

/** The source that sends a request when it is read, and tells of its response. */
export function requestSource(
  factory: string,
  send: (signal: AbortSignal) => Promise<AnyResponse>,
  options: ResponseOptions,
  choices: () => number
): RequestSource {
  let settle: { resolve(head: ResponseHead): void; reject(error: unknown): void } | undefined
  const response = new Promise<ResponseHead>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // The pipeline rejects with the same failure.
  response.catch(() => {})

  const source = responseSource(
    async signal => {
      const answer = await send(signal)
      const head = { status: answer.status, headers: headersOf(answer) }
      settle?.resolve(head)
      settle = undefined
      source.emit('response', head)
      // Of what a response has, it is asked here for what all of them have.
      return answer as Response
    },
    factory,
    options,
    choices
  )
  source.once('close', () => {
    settle?.reject(
      source.errored ?? new DOMException('the request was destroyed before its response came', 'AbortError')
    )
  })
  return withResponse(source, response)
}

/** Node's own, whatever the client's fetch has: a fetch of another package has a class of its own. */
function headersOf({ headers }: AnyResponse): Headers {
  if (headers instanceof Headers) return headers
  const copy = new Headers()
  headers.forEach((value, name) => void copy.append(name, value))
  return copy
}

/** Reading `response` sends the request. If that fails, the source fails, in order. */
function withResponse(source: OpenableSource, response: Promise<ResponseHead>): RequestSource {
  return Object.defineProperty(source, 'response', {
    get() {
      source.open().catch(error => {
        // Who awaits the response is told by it.
        expectErrorUnread(source)
        failInOrder(source, error)
      })
      return response
    }
  }) as OpenableSource & { readonly response: Promise<ResponseHead> }
}

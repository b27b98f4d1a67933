import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { invalid } from '../../options.js'
import { type Body, type BodyReader, isBody } from '../body/body.js'
import { readBody } from '../body/no-body.js'

/** What undici's `request` resolves to, as far as it is read here. */
interface UndiciResponse {
  statusCode: number
  body: Readable
}

/**
 * A response, or the body of one: a `Response` (fetch), an `IncomingMessage` (`http.request`), what undici's
 * `request` resolves to, or any stream of bytes.
 */
export type ResponseLike = Response | IncomingMessage | UndiciResponse | Body

/**
 * On a response: what reads its body without the web stream that it has for others. Registered, so that a response and a
 * source from two copies of the library find each other.
 */
export const bodyReader: unique symbol = Symbol.for('completion-streams.bodyReader')

/** What is read of a response. */
interface ResponseParts {
  body: Body | BodyReader
  status?: number
  headers?: unknown
  isHttp: boolean
}

export function partsOf(response: ResponseLike): ResponseParts {
  if ('status' in response && 'body' in response) {
    if (response.bodyUsed) throw invalid('response', response, 'a response whose body has not been read')
    // The DOM's type of a web stream and node's are one thing under two names; node-fetch gives a Node stream.
    const own = (response as { readonly [bodyReader]?: BodyReader })[bodyReader]
    return {
      body: own ?? bodyIn(response.body),
      status: response.status,
      headers: response.headers,
      isHttp: true
    }
  }
  if ('statusCode' in response) {
    // A message of `node:http` has none, unless its client has read it.
    const { body: own } = response as { readonly body?: unknown }
    const body = own === undefined ? (response as IncomingMessage) : bodyIn(own)
    const headers = 'headers' in response ? withAllWaits(response as IncomingMessage) : undefined
    return { body, status: response.statusCode, headers, isHttp: true }
  }
  return { body: response, isHttp: false }
}

/** A response may have no body. Clients that read it, as got and needle do, put there what they have read. */
function bodyIn(body: unknown): Body | BodyReader {
  if (body === null || body === undefined) return Readable.from([])
  if (!isBody(body)) throw readBody(body)
  return body
}

/** Node keeps the first of several `retry-after` fields alone, where other clients give all of them. */
function withAllWaits(response: IncomingMessage): unknown {
  const { headers } = response
  // The list is made when it is first asked for.
  const waits = headers?.['retry-after'] === undefined ? undefined : response.headersDistinct?.['retry-after']
  return waits && waits.length > 1 ? { ...headers, 'retry-after': waits.join(', ') } : headers
}

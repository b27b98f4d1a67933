import { invalid, settled } from '../options.js'
import { letEnd } from '../source/body/body.js'
import type { Fetch } from '../source/stream-asked.js'
import { codingsOf, DecodingReader } from './decoding.js'
import { directResponse, type ReadableBody, type ResponseFacts } from './direct-response.js'
import { type DispatcherLike, dispatch, globalDispatcher } from './dispatcher.js'
import { Exchange } from './exchange.js'
import { failed, headersToSend, type Outgoing, outgoingOf, redirected } from './outgoing.js'

export type { DispatcherLike } from './dispatcher.js'

/** The options of `directFetch`. */
export interface DirectFetchOptions {
  /**
   * The dispatcher of undici's that sends the requests, such as an `Agent` or a `ProxyAgent`. One in the options of a request,
   * as the official client's `fetchOptions` has it, comes before it. Default: that of the global `fetch`, which undici's
   * `setGlobalDispatcher` sets.
   */
  dispatcher?: DispatcherLike
}

const redirectStatuses: readonly number[] = [301, 302, 303, 307, 308]
/** Those that have no body (https://fetch.spec.whatwg.org/#null-body-status). */
const emptyStatuses: readonly number[] = [101, 103, 204, 205, 304]
/** https://fetch.spec.whatwg.org/#http-redirect-fetch */
const mostRedirects = 20

/**
 * A `fetch` to give to a client, whose bodies `requestCompletion` and `fromResponse` read without a web stream. That stream
 * is most of what Node's `fetch` costs for each token. To everybody else it is the same as `fetch`: a `Response` whose
 * `body` is a web stream as soon as it is looked at.
 *
 * It sends its requests as the global `fetch` does, with the same dispatcher of undici's: the same connections, proxies, time
 * limits and certificates, but to any port. It follows redirects, decodes bodies, and fails with the same errors. What is
 * sent with a `Request`, a form, a blob or a stream, or with an option such as `cache`, goes to the global `fetch` itself,
 * and so does everything where that is not undici's, as in Bun and Deno.
 *
 * @example
 * const direct = new OpenAI({ fetch: directFetch() })
 * await pipeline(requestCompletion(direct, params), toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function directFetch(options?: DirectFetchOptions): Fetch {
  const { dispatcher: given } = settled('directFetch', options, {
    dispatcher: undefined as DispatcherLike | undefined
  })
  if (given !== undefined && typeof given?.dispatch !== 'function')
    throw invalid('dispatcher', given, 'a dispatcher of undici, such as an Agent')

  return async (input, init) => {
    const dispatcher = (init as { dispatcher?: DispatcherLike } | undefined)?.dispatcher ?? given
    const request = outgoingOf(input, init)
    const used = dispatcher ?? globalDispatcher()
    if (request && used) return send(request, used)
    // Its type does not say that it takes a dispatcher.
    return globalThis.fetch(input, (dispatcher ? { ...init, dispatcher } : init) as RequestInit)
  }
}

/** Sends a request, and the ones that redirects ask for. */
async function send(first: Outgoing, dispatcher: DispatcherLike): Promise<Response> {
  first.signal?.throwIfAborted()
  let request = first
  let type: Response['type'] = 'basic'
  for (let redirects = 0; ; redirects++) {
    const exchange = new Exchange(request.signal)
    const { url, method, body } = request
    const path = url.pathname + url.search
    const headers = headersToSend(request)
    dispatch(dispatcher, { origin: url.origin, path, method, headers, body }, exchange)
    const head = await exchange.head
    const isRedirect = redirectStatuses.includes(head.status) && request.redirect !== 'manual'
    if (isRedirect && request.redirect === 'error') {
      exchange.cancel()
      throw failed('unexpected redirect')
    }
    const location = isRedirect ? head.headers.get('location') : null
    if (location === null) return responseOf(request, exchange, { ...head, type, redirected: redirects > 0 })
    letEnd(exchange)
    if (redirects === mostRedirects) throw failed('redirect count exceeded')
    request = redirected(request, head.status, location)
    if (request.url.origin !== url.origin) type = 'cors'
  }
}

function responseOf(
  { url, method }: Outgoing,
  exchange: Exchange,
  head: Omit<ResponseFacts, 'url'>
): Response {
  const address = new URL(url)
  address.hash = ''
  const facts = { ...head, url: address.href }
  if (method !== 'HEAD' && !emptyStatuses.includes(head.status))
    return directResponse(facts, decoded(exchange, head.headers))
  letEnd(exchange)
  return directResponse(facts, null)
}

function decoded(exchange: Exchange, headers: Headers): ReadableBody {
  if (!headers.has('content-encoding')) return exchange
  try {
    const codings = codingsOf(headers)
    return codings.length > 0 ? new DecodingReader(exchange, codings) : exchange
  } catch (error) {
    exchange.cancel(error)
    throw failed(error)
  }
}

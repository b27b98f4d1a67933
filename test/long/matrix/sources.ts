import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { fromResponse, requestCompletion, type Source } from 'completion-streams'
import { Agent, fetch as undiciFetch, request as undiciRequest } from 'undici'
import { certificate } from '../../encode/certificate.js'
import { majors } from './openai.js'

/** A client that asks for a completion, and how it tells what is not of the answer. */
export interface Client {
  name: string
  open(url: string, signal: AbortSignal): Source<Uint8Array>
  /** What it fails with for a response with a status like this one. */
  refusal(status: number): string
  /** The class of its error when a connection cannot be made. */
  unreached: string
  /** What it fails with when the connection ends before the head. */
  closed: string
  /** What it fails with when the connection is reset before the head. */
  reset: string
}

/** The official client, as each of its majors tells of failures; with a `fetch` of its own, as that one does. */
export const official: readonly Client[] = [...majors].map(([name, OpenAI]) => ({
  name,
  open: (url, signal) =>
    requestCompletion(
      new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 }),
      { model: 'm', messages: [] },
      { signal }
    ),
  refusal: String,
  unreached: 'APIConnectionError',
  // openai 4 uses node-fetch, and with it node:http.
  closed: `APIConnectionError ${name === 'openai 4' ? 'ECONNRESET' : 'UND_ERR_SOCKET'}`,
  reset: 'APIConnectionError ECONNRESET'
}))

const refusal = () => 'CS_ERR_PROVIDER'
const byFetch = {
  refusal,
  unreached: 'TypeError',
  closed: 'TypeError UND_ERR_SOCKET',
  reset: 'TypeError ECONNRESET'
}
const byHTTP = { refusal, unreached: 'Error', closed: 'Error ECONNRESET', reset: 'Error ECONNRESET' }

/** The clients without TLS. */
export const plain: readonly Client[] = [
  ...official,
  {
    name: 'fetch',
    open: (url, signal) => fromResponse(inner => fetch(url, { signal: inner }), { signal }),
    ...byFetch
  },
  {
    name: 'a promise of fetch',
    open: (url, signal) => fromResponse(fetch(url, { signal }), { signal }),
    ...byFetch
  },
  {
    name: 'undici',
    open: (url, signal) =>
      fromResponse(
        async inner => {
          const { statusCode, headers, body } = await undiciRequest(url, { signal: inner })
          return unzipped(statusCode, headers, body)
        },
        { signal }
      ),
    refusal,
    unreached: 'Error',
    closed: 'SocketError UND_ERR_SOCKET',
    reset: 'Error ECONNRESET'
  },
  {
    name: 'http.request',
    open: (url, signal) =>
      fromResponse(
        async inner => {
          const request = httpRequest(url, { signal: inner }).end()
          const [response] = (await once(request, 'response')) as [IncomingMessage]
          return unzipped(response.statusCode ?? 0, response.headers, response)
        },
        { signal }
      ),
    ...byHTTP
  }
]

const secureAgent = new Agent({ connect: { ca: certificate } })

/** The clients over TLS. */
export const secure: readonly Client[] = [
  {
    name: 'https.request over TLS',
    open: (url, signal) =>
      fromResponse(
        async inner => {
          const request = httpsRequest(url, { signal: inner, ca: certificate }).end()
          const [response] = (await once(request, 'response')) as [IncomingMessage]
          return unzipped(response.statusCode ?? 0, response.headers, response)
        },
        { signal }
      ),
    ...byHTTP
  },
  {
    name: 'fetch over TLS',
    open: (url, signal) =>
      fromResponse(inner => undiciFetch(url, { signal: inner, dispatcher: secureAgent }), { signal }),
    ...byFetch
  }
]

/** undici and http leave the decompression to their caller. */
function unzipped(statusCode: number, headers: IncomingHttpHeaders, bytes: Readable) {
  if (!headers['content-encoding']) return { statusCode, headers, body: bytes }
  const body = createGunzip()
  pipeline(bytes, body).catch(() => {})
  return { statusCode, headers, body }
}

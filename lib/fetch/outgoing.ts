import type { Fetch } from '../source/stream-asked.js'

/** A request that is sent without the help of the global `fetch`. */
export interface Outgoing {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: string | Uint8Array | null
  readonly redirect: NonNullable<RequestInit['redirect']>
  readonly signal: AbortSignal | null
}

const methods: readonly string[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']
const redirects: readonly string[] = ['follow', 'error', 'manual']

/** What `fetch` has rules of its own for. */
const rareOptions = ['cache', 'credentials', 'integrity', 'mode', 'referrer', 'referrerPolicy', 'window']
const rareHeaders = ['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since']

/** The headers that say what a body is (https://fetch.spec.whatwg.org/#request-body-header-name). */
const bodyHeaders = [
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'content-length'
]

/** The request of a call of `fetch`; undefined for one that is left to `fetch` itself, also since it throws for it. */
export function outgoingOf(...[input, given]: Parameters<Fetch>): Outgoing | undefined {
  // JavaScript may pass null.
  const init = given ?? {}
  const url = urlOf(input)
  const body = bodyOf(init.body)
  // As in the standard, where PATCH alone is not made upper case.
  const method = /^patch$/.test(init.method ?? '') ? 'patch' : (init.method ?? 'GET').toUpperCase()
  const { redirect = 'follow', signal = null } = init
  if (!url || !body || !methods.includes(method) || !redirects.includes(redirect)) return undefined
  if (signal !== null && !(signal instanceof AbortSignal)) return undefined
  if (body.bytes !== null && (method === 'GET' || method === 'HEAD')) return undefined
  if (rareOptions.some(name => name in init)) return undefined
  const headers = headersOf(init.headers)
  if (!headers || rareHeaders.some(name => headers.has(name))) return undefined
  if (body.type && !headers.has('content-type')) headers.set('content-type', body.type)
  return { url, method, headers, body: body.bytes, redirect, signal }
}

function urlOf(input: Parameters<Fetch>[0]): URL | undefined {
  if (typeof input !== 'string' && !(input instanceof URL)) return undefined
  if (!URL.canParse(String(input))) return undefined
  const url = new URL(input)
  const isPlain = isHttp(url) && url.username === '' && url.password === ''
  return isPlain ? url : undefined
}

function isHttp({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:'
}

function headersOf(given: RequestInit['headers']): Headers | undefined {
  try {
    return new Headers(given)
  } catch {
    // `fetch` says what is wrong.
    return undefined
  }
}

interface OutgoingBody {
  readonly bytes: string | Uint8Array | null
  /** Its content type, if none is given. */
  readonly type?: string
}

function bodyOf(body: unknown): OutgoingBody | undefined {
  if (body === undefined || body === null) return { bytes: null }
  if (typeof body === 'string') return { bytes: body, type: 'text/plain;charset=UTF-8' }
  if (body instanceof URLSearchParams)
    return { bytes: body.toString(), type: 'application/x-www-form-urlencoded;charset=UTF-8' }
  // Copies: the bytes are those of this moment, however long the request waits.
  if (ArrayBuffer.isView(body))
    return { bytes: Uint8Array.from(new Uint8Array(body.buffer, body.byteOffset, body.byteLength)) }
  if (body instanceof ArrayBuffer) return { bytes: new Uint8Array(body.slice(0)) }
  return undefined
}

/** The headers of a request and those that `fetch` adds, names and values in turn. */
export function headersToSend({ url, headers }: Outgoing): string[] {
  const sent = new Headers(headers)
  const add = (name: string, value: string) => {
    if (!sent.has(name)) sent.set(name, value)
  }
  add('accept', '*/*')
  add('accept-language', '*')
  sent.set('sec-fetch-mode', 'cors')
  add('user-agent', 'node')
  if (sent.has('range')) sent.append('accept-encoding', 'identity')
  add('accept-encoding', url.protocol === 'https:' ? 'br, gzip, deflate' : 'gzip, deflate')
  sent.delete('host')
  return [...sent].flat()
}

/** The request that a redirect asks for (https://fetch.spec.whatwg.org/#http-redirect-fetch). Throws as `fetch` rejects. */
export function redirected(request: Outgoing, status: number, location: string): Outgoing {
  const url = targetOf(location, request.url)
  const isElsewhere = url.origin !== request.url.origin
  if (!isHttp(url)) throw failed('URL scheme must be a HTTP(S) scheme')
  // As `fetch` says it in Node, where nothing is of the same origin as the program.
  if (url.username || url.password) throw failed('cross origin not allowed for request mode "cors"')
  const { method } = request
  const isPlainGet =
    ((status === 301 || status === 302) && method === 'POST') ||
    (status === 303 && method !== 'GET' && method !== 'HEAD')
  const headers = new Headers(request.headers)
  const dropped = [
    ...(isPlainGet ? bodyHeaders : []),
    // What is for one server alone.
    ...(isElsewhere ? ['authorization', 'proxy-authorization', 'cookie', 'host'] : [])
  ]
  for (const name of dropped) headers.delete(name)
  return { ...request, url, headers, ...(isPlainGet && { method: 'GET', body: null }) }
}

function targetOf(location: string, from: URL): URL {
  // A header is bytes, and an address in it is UTF-8.
  const text = Buffer.from(location, 'latin1').toString()
  try {
    const url = new URL(text, from)
    if (url.hash === '') url.hash = from.hash
    return url
  } catch (error) {
    throw failed(error)
  }
}

/** What `fetch` rejects with. */
export function failed(reason: unknown): TypeError {
  const cause = typeof reason === 'string' ? new Error(reason) : reason
  return new TypeError('fetch failed', { cause })
}

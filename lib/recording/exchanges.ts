import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import type { CompletionError } from '../errors.js'
import { headersOf, isSecretHeader } from '../source/response/headers.js'
import { eventsIn } from './event-cutter.js'
import { type Entry, fromBase64, invalidRecording, noSuchIndex } from './format.js'

/**
 * What other tools record: HAR files, of browsers, proxies and Polly; cassettes of VCR, of Ruby and of Python, which are
 * YAML or JSON. They hold many exchanges, and of each the body as a whole: its events have no times of their own.
 */

/** An exchange of a request for a response, whoever has recorded it. */
interface Exchange {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Throws `CS_ERR_INVALID_RECORDING` for one that is damaged. */
  readonly body: () => Uint8Array
  /** Milliseconds until the head of the response came, and until all of it had. */
  readonly headAt: number
  readonly endAt: number
}

type Loose = Readonly<Record<string, unknown>>

/** What a completion is asked of, or its answer given as. */
const completionUrl = /\/(?:completions|responses)(?:$|[?#])/

/**
 * The entries of an exchange that a tool has recorded, of those with completions; of any, if there are none.
 * Throws `CS_ERR_INVALID_RECORDING` for what is neither a HAR file nor a cassette, and when there is no such exchange.
 */
export function entriesOfExchange(file: unknown, index: number, onCount?: (count: number) => void): Entry[] {
  const all = exchangesIn(file)
  const completions = all.filter(
    ({ url, headers }) => completionUrl.test(url) || /event-stream/.test(headers['content-type'] ?? '')
  )
  const found = completions.length > 0 ? completions : all
  const exchange = found[index]
  if (found.length === 0) throw invalidRecording('the file has no exchanges')
  if (!exchange) throw invalidRecording(noSuchIndex(index, found.length, 'exchange'))
  onCount?.(found.length)
  const { status, headers, body, headAt, endAt } = exchange
  return [
    { kind: 'beginning', began: '' },
    { kind: 'head', at: headAt, status, headers },
    ...eventsIn(body()).map((bytes): Entry => ({ kind: 'piece', at: headAt, bytes })),
    { kind: 'end', at: endAt, end: 'end' }
  ]
}

function exchangesIn(file: unknown): Exchange[] {
  const { log, http_interactions: ruby, interactions: python } = looseOf(file)
  const entries = looseOf(log).entries
  if (Array.isArray(entries)) return entries.map(entry => ofHar(looseOf(entry)))
  const interactions = ruby ?? python
  if (Array.isArray(interactions)) return interactions.map(item => ofCassette(looseOf(item)))
  throw invalidRecording('the file is neither a recording, nor a HAR file, nor a cassette')
}

function ofHar({ request, response, timings }: Loose): Exchange {
  const { url } = looseOf(request)
  const { status, headers, content } = looseOf(response)
  const { text, encoding } = looseOf(content)
  const list = Array.isArray(headers) ? headers.map(looseOf) : []
  const named = Object.fromEntries(list.map(({ name, value }) => [String(name), value]))
  const times = looseOf(timings)
  const sum = (...names: string[]) =>
    names.reduce((total, name) => total + Math.max(Number(times[name]) || 0, 0), 0)
  const headAt = sum('blocked', 'dns', 'connect', 'send', 'wait')
  return {
    url: String(url),
    status: Number(status) || 200,
    headers: safe(named),
    body: () => unpacked(harBody(text, encoding), named),
    headAt,
    endAt: headAt + sum('receive')
  }
}

/** Polly keeps a body that was packed as a list of its pieces, in JSON. */
function harBody(text: unknown, encoding: unknown): Uint8Array {
  if (typeof text !== 'string') return Buffer.alloc(0)
  if (encoding !== 'base64') return Buffer.from(text)
  if (!text.startsWith('[')) return bytesOf(text)
  let pieces: unknown
  try {
    pieces = JSON.parse(text)
  } catch {
    throw damaged()
  }
  return Buffer.concat(Array.isArray(pieces) ? pieces.map(piece => bytesOf(String(piece))) : [])
}

function bytesOf(base64: string): Uint8Array {
  const bytes = fromBase64(base64)
  if (!bytes) throw damaged()
  return bytes
}

function damaged(): CompletionError {
  return invalidRecording('the body of the exchange is damaged: it is no base64')
}

function ofCassette({ request, response }: Loose): Exchange {
  const { uri, url } = looseOf(request)
  const { status, headers, body } = looseOf(response)
  const { code } = looseOf(status)
  const named = { ...looseOf(headers) }
  return {
    url: String(uri ?? url),
    status: Number(code ?? status) || 200,
    headers: safe(named),
    body: () => unpacked(cassetteBody(body), named),
    headAt: 0,
    endAt: 0
  }
}

function cassetteBody(body: unknown): Uint8Array {
  if (typeof body === 'string') return Buffer.from(body)
  const { string, base64_string: base64, encoding } = looseOf(body)
  if (typeof base64 === 'string') return bytesOf(base64)
  // A reader of YAML makes bytes of `!!binary`.
  if (string instanceof Uint8Array) return string
  if (typeof string !== 'string') return Buffer.alloc(0)
  return encoding === 'base64' ? bytesOf(string) : Buffer.from(string)
}

/** Some tools keep a body as it was packed. Where its headers say so, but it is not, it is taken as it is. */
function unpacked(body: Uint8Array, headers: Loose): Uint8Array {
  const { 'content-encoding': packing } = headersOf(headers, () => true)
  const unpack = packing === 'br' ? brotliDecompressSync : packing === 'deflate' ? inflateSync : gunzipSync
  if (packing === undefined && body[0] !== 0x1f) return body
  try {
    return unpack(body)
  } catch {
    return body
  }
}

function safe(headers: Loose): Record<string, string> {
  return headersOf(headers, name => !isSecretHeader(name))
}

function looseOf(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

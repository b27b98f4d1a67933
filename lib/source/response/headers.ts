/** Headers that say when to try again, or by which name to complain: what a reader may know of a response that was refused. */
const useful = /^(?:retry-after(?:-ms)?|x-should-retry|x-ratelimit-[\w-]{1,64}|(?:x-)?request-id)$/

/** How many of them there may be. */
const mostUseful = 32

/** Headers that hold what is not for a log. */
const secret = /cookie|auth|api-?key|token|secret|signature|credential|session/i

/** What is kept of the headers of a response that was refused. */
export interface HeaderFacts {
  headers?: Readonly<Record<string, string>>
  /** In milliseconds. */
  retryAfter?: number
}

/** The headers of a response, as fetch or Node's own clients give them, by their names in lower case and without secrets. */
export function headerFacts(given: unknown): HeaderFacts {
  if (typeof given !== 'object' || given === null) return {}
  const headers = headersOf(given, name => !isSecretHeader(name))
  const retryAfter = waitOf(headers, Date.now())
  return { headers, ...(retryAfter !== undefined && { retryAfter }) }
}

/**
 * Of the headers of a response that was refused, those that say when to try again and name the request; undefined where there
 * are none. What no header can be is left out, since they may come from a file.
 */
export function retryHeadersOf(given: unknown): Record<string, string> | undefined {
  const headers = Object.entries(headersOf(given, name => useful.test(name)))
  const sendable = headers.filter(([, value]) => /^[\x20-\x7e]{1,256}$/.test(value)).slice(0, mostUseful)
  return sendable.length > 0 ? Object.fromEntries(sendable) : undefined
}

/** Whether a header of that name holds what is not for a log. `x-ratelimit-remaining-tokens` counts another kind of tokens. */
export function isSecretHeader(name: string): boolean {
  return secret.test(name) && !/ratelimit/i.test(name)
}

/** The headers that are wanted, by their names in lower case. Those of HTTP/2 that begin with a colon are none. */
export function headersOf(given: unknown, isWanted: (name: string) => boolean): Record<string, string> {
  if (typeof given !== 'object' || given === null) return {}
  const headers: Record<string, string> = {}
  const isIterable = 'forEach' in given && typeof given.forEach === 'function'
  const entries: [string, unknown][] = []
  if (isIterable) (given as Headers).forEach((value, name) => void entries.push([name, value]))
  else entries.push(...Object.entries(given))
  for (const [name, value] of entries) {
    if (name.startsWith(':') || !isWanted(name.toLowerCase())) continue
    if (typeof value === 'string') headers[name.toLowerCase()] = value
    else if (Array.isArray(value)) headers[name.toLowerCase()] = value.join(', ')
  }
  return headers
}

/**
 * How long to wait: OpenAI gives milliseconds too; HTTP (RFC 9110, 10.2.3) has seconds or a date. Of several fields, which
 * clients join with commas, the longest wait counts; what is none is left out.
 */
export function waitOf(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  return (
    longestOf(headers['retry-after-ms'], field => numberIn(field)) ??
    longestOf(headers['retry-after'], field => secondsIn(field) ?? timeUntil(field, now))
  )
}

/** Names of days, which begin each of the three forms of a date (RFC 9110, 5.6.7), and behind which a comma may stand. */
const day = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*'
const fields = new RegExp(` *(?:${day}, *)?[^,]+`, 'g')
const date = new RegExp(`^${day},? .*\\d\\d:\\d\\d:\\d\\d`)

function longestOf(
  value: string | undefined,
  waitIn: (field: string) => number | undefined
): number | undefined {
  const waits = (value?.match(fields) ?? []).flatMap(field => waitIn(field.trim()) ?? [])
  return waits.length > 0 ? Math.max(...waits) : undefined
}

/** Some servers send fractions. */
function numberIn(field: string): number | undefined {
  const value = /^\d+(?:\.\d+)?$/.test(field) ? Number(field) : Number.POSITIVE_INFINITY
  return Number.isFinite(value) ? value : undefined
}

function secondsIn(field: string): number | undefined {
  const seconds = numberIn(field)
  return seconds === undefined ? undefined : seconds * 1000
}

function timeUntil(field: string, now: number): number | undefined {
  if (!date.test(field)) return undefined
  // The form of C's `asctime` names no zone, and is in GMT as well.
  const time = Date.parse(/\d$/.test(field) ? `${field} GMT` : field)
  return Number.isNaN(time) ? undefined : Math.max(time - now, 0)
}

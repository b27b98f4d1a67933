import { clearTimeout, setTimeout } from 'node:timers'
import { toProviderError } from '../../chunk/failure/provider-error.js'
import { parsed } from '../../decode/event-data.js'
import type { CompletionError } from '../../errors.js'
import type { BodyReader } from '../body/body.js'
import { headerFacts } from './headers.js'

/** How much of a refused request's body is read, in characters. */
const longestErrorBody = 65_536

/** How long it is read, in milliseconds, all in all. */
const longestRead = 5000

/** The error for a response that is not 2xx: its body usually says why. */
export function refusal(body: string, status: number, headers: unknown): CompletionError {
  // What is no JSON is a proxy's page, or nothing: then the text itself is the message.
  const payload = parsed(body) ?? dataIn(body) ?? body
  return toProviderError(payload, { status, ...headerFacts(headers) })
}

/** The JSON of the first event that has any: who asks DashScope for a stream is refused in one. */
function dataIn(body: string): unknown {
  for (const [, data = ''] of body.matchAll(/^(?:data|error):(.*)$/gm)) {
    const value = parsed(data)
    if (value !== undefined) return value
  }
  return undefined
}

/**
 * The same, of a body that is still to be read. Takes no longer than `longestRead`, and ends where the JSON does that the
 * body is: proxies leave the connection of a refused request open, with and without a body. `onBegin` is given what tells
 * the error by what was read so far.
 */
export async function readRefusal(
  reader: BodyReader,
  status: number,
  headers: unknown,
  onBegin: (soFar: () => CompletionError) => void = () => {}
): Promise<CompletionError> {
  let body = ''
  const soFar = () => refusal(body, status, headers)
  onBegin(soFar)
  await beginningOf(reader, text => {
    body += text
    return body
  })
  reader.cancel()
  return soFar()
}

/** Reads as much of a body as there is, up to the limits. The status is the failure, even if it cannot be read to its end. */
function beginningOf(reader: BodyReader, add: (text: string) => string): Promise<void> {
  const decoder = new TextDecoder()
  return new Promise(resolve => {
    const over = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(over, longestRead).unref()
    reader.taker = {
      take(piece) {
        const text = typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
        const body = add(text)
        if (body.length > longestErrorBody || (/\}\s*$/.test(text) && isWhole(body))) over()
      },
      over
    }
    reader.resume()
  })
}

function isWhole(body: string): boolean {
  return /^\s*\{/.test(body) && parsed(body) !== undefined
}

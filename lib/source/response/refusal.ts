import { toProviderError } from '../../chunk/failure/provider-error.js'
import { parsed } from '../../decode/event-data.js'
import type { CompletionError } from '../../errors.js'
import type { BodyReader } from '../body/body.js'
import { headerFacts } from './headers.js'

/** How much of a refused request's body is read, in characters. */
const longestErrorBody = 65_536

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

/** The same, of a body that is still to be read. */
export async function readRefusal(
  reader: BodyReader,
  status: number,
  headers: unknown
): Promise<CompletionError> {
  const body = await beginningOf(reader)
  reader.cancel()
  return refusal(body, status, headers)
}

/** As much of a body as there is, up to a limit. The status is the failure, even if it cannot be read to its end. */
function beginningOf(reader: BodyReader): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  return new Promise(resolve => {
    const over = () => resolve(text)
    reader.taker = {
      take(piece) {
        text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
        if (text.length > longestErrorBody) over()
      },
      over
    }
    reader.resume()
  })
}

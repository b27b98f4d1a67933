import { toProviderError } from '../chunk/provider-error.js'
import type { CompletionError } from '../errors.js'
import type { BodyReader } from './body.js'
import { headerFacts } from './headers.js'

/** How much of a refused request's body is read, in characters. */
const longestErrorBody = 65_536

/** The error for a response that is not 2xx: its body usually says why. */
export async function refusal(
  reader: BodyReader,
  status: number,
  headers: unknown
): Promise<CompletionError> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (let piece = await reader.read(); piece !== undefined; piece = await reader.read()) {
      text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
      if (text.length > longestErrorBody) break
    }
  } catch {
    // The status is the failure, even if the body cannot be read.
  }
  reader.cancel()
  let payload: unknown = text
  try {
    payload = JSON.parse(text)
  } catch {
    // A proxy's page, or nothing: then the text itself is the message.
  }
  return toProviderError(payload, { status, ...headerFacts(headers) })
}

import { CompletionError } from '../errors.js'
import { withoutKeysIn } from '../failure/access-keys.js'
import { headersOf } from '../source/response/headers.js'

/** The answer of a request that was refused. */
interface RefusedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * The answer that an error was made of, if it is that of a request that was refused: the error of `fromResponse`, or one of
 * the official client. Its body is then that of the answer, though perhaps written with other spaces, and without the keys
 * that it quotes.
 */
export function refusedAnswer(
  error: Error,
  hasBegun: boolean,
  isWanted: (name: string) => boolean
): RefusedAnswer | undefined {
  const {
    status,
    headers,
    error: reported
  } = error as { status?: unknown; headers?: unknown; error?: unknown }
  const isRefused = typeof status === 'number' && status >= 300 && status <= 599
  if (hasBegun || !isRefused || headers === undefined) return undefined
  // The official client takes the object out of the body's member `error`.
  const body = withoutKeysIn(error instanceof CompletionError ? error.cause : reported && { error: reported })
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? '')
  return { status, headers: headersOf(headers, isWanted), body: Buffer.from(text) }
}

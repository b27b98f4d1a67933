import { CompletionError } from '../../errors.js'
import { invalid, settled } from '../../options.js'
import type { Check, Verdict } from './moderator.js'

/** The part of a client of the openai package that texts are moderated with. */
export interface ModerationClient {
  readonly moderations: {
    /** Asks whether texts are to be refused: one result for each, in their order. */
    create(
      body: { input: string[]; model?: string },
      options?: { signal?: AbortSignal }
    ): PromiseLike<{ results: readonly { flagged: boolean; categories: object }[] }>
  }
}

/** The options of `moderation`. */
export interface ModerationClientOptions {
  /** The model that looks at the texts. Default: the API's own. */
  model?: string
}

/** The API takes a list of any length; a request should not wait for one that is too long. */
const mostTexts = 32

/** A text that waits for its verdict. */
interface Asked {
  text: string
  signal: AbortSignal
  resolve(verdict: Verdict): void
  reject(error: unknown): void
}

/**
 * A check for `moderate` that asks the moderations endpoint of the official client. It refuses what is flagged, and says
 * for which categories.
 *
 * While one request is under way, the texts that come up wait, and go into the next one together: those of several windows,
 * choices and streams, if they share the check. What the client fails with, after its own retries, blocks the text.
 *
 * @example
 * const check = moderation(client, { model: 'omni-moderation-latest' })
 * await pipeline(request, toChunks(), moderate<Chunk>(check), toText(), createWriteStream('answer.txt'))
 */
export function moderation(client: ModerationClient, options?: ModerationClientOptions): Check {
  if (typeof client?.moderations?.create !== 'function')
    throw invalid('client', client, 'a client of the openai package, with its moderations')
  const { model } = settled('moderation', options, { model: undefined as string | undefined })
  if (model !== undefined && (typeof model !== 'string' || model === ''))
    throw invalid('model', model, 'the name of a model')
  const waiting: Asked[] = []
  let isAsking = false

  function ask(): void {
    if (isAsking || waiting.length === 0) return
    isAsking = true
    // What comes up in the same turn goes along.
    setImmediate(() => {
      send(waiting.splice(0, mostTexts)).finally(() => {
        isAsking = false
        ask()
      })
    })
  }

  async function send(asked: readonly Asked[]): Promise<void> {
    const wanted = asked.filter(({ signal }) => !signal.aborted)
    if (wanted.length === 0) return
    const controller = new AbortController()
    let left = wanted.length
    const leave = () => {
      if (--left === 0) controller.abort()
    }
    for (const { signal } of wanted) signal.addEventListener('abort', leave, { once: true })
    try {
      const body = { input: wanted.map(({ text }) => text), ...(model !== undefined && { model }) }
      const { results } = await client.moderations.create(body, { signal: controller.signal })
      if (!Array.isArray(results) || results.length !== wanted.length)
        throw new CompletionError('CS_ERR_PROVIDER', 'the moderations endpoint did not answer for each text')
      for (const [place, { resolve }] of wanted.entries()) resolve(verdictOf(results[place]))
    } catch (error) {
      for (const { reject } of wanted) reject(error)
    } finally {
      for (const { signal } of wanted) signal.removeEventListener('abort', leave)
    }
  }

  return (text, { signal }) =>
    new Promise<Verdict>((resolve, reject) => {
      waiting.push({ text, signal, resolve, reject })
      ask()
    })
}

/** What is not clearly passed is refused. */
function verdictOf(result: { flagged?: unknown; categories?: unknown } | undefined): Verdict {
  if (result?.flagged === false) return true
  const categories = Object.entries(result?.categories ?? {})
    .filter(([, isFlagged]) => isFlagged === true)
    .map(([category]) => category)
  return categories.length > 0 ? `flagged: ${categories.join(', ')}` : false
}

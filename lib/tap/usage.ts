import { checkChunk } from '../chunk/failure/foreign.js'
import { type Chunk, type Usage, usageOf } from '../chunk/fields.js'
import { Progress } from '../chunk/progress.js'
import { checkFunction } from '../options.js'
import { type Stage, stage } from '../stage.js'

export type { Usage } from '../chunk/fields.js'

/**
 * Passes chunks on unchanged, and calls `onUsage` once per completion with the last usage that the provider
 * reported, wherever it put it; not at all when it reported none. Providers that report usage with every chunk
 * send it cumulatively, so nothing is summed.
 *
 * It is called when the completion is over: when its input ends, when the next completion begins, or when the
 * stream fails or is destroyed, since what was used until then is billed too. A promise that it returns is
 * awaited before the stream goes on or ends; what it throws or rejects with fails the stream.
 *
 * The usage is in the shape of the API that was asked: `tapUsage<OpenAI.CompletionUsage>` says which; `tokensOf` reads
 * all of them.
 *
 * @example
 * const bill = tapUsage<OpenAI.CompletionUsage>(usage => console.log(usage.prompt_tokens, usage.completion_tokens))
 * await pipeline(request, toChunks(), bill, drain())
 */
export function tapUsage<Reported extends Usage = Usage>(
  onUsage: (usage: Reported) => void | Promise<void>
): Stage<Chunk, Chunk> {
  checkFunction('onUsage', onUsage)
  const progress = new Progress()
  let usage: Usage | undefined

  function report(): void | Promise<void> {
    if (usage === undefined) return
    // Which API was asked, and so what usage looks like, is the caller's word.
    const reported = usage as Reported
    usage = undefined
    return onUsage(reported)
  }

  return stage({
    name: 'tapUsage',
    transform(chunk, push) {
      checkChunk('tapUsage', chunk)
      const pass = () => {
        usage = usageOf(chunk) ?? usage
        push(chunk)
      }
      // Only the first chunk of the next completion has to wait, for the report of the one before.
      const reporting = progress.add(chunk) ? report() : undefined
      return reporting === undefined ? pass() : Promise.resolve(reporting).then(pass)
    },
    flush: report,
    destroy: report
  })
}

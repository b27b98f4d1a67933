import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import type { TokenCounts } from '../chunk/usage.js'
import { CompletionError } from '../errors.js'
import { checkBoolean, checkFunction, settled } from '../options.js'
import { type CompletionReader, readerOf } from '../reader.js'
import { isPrematureClose } from '../sink.js'
import { type Stage, stage } from '../stage.js'
import { isStopped } from '../stopping.js'
import { type Outcome, type Summary, SummaryRecord } from './summary-record.js'

export type { Outcome, Summary } from './summary-record.js'

/** The options of `tapSummary`. */
export interface SummaryOptions {
  /** Whether the summary carries the text of the answer, as far as it came. Default: false. */
  text?: boolean
  /**
   * How many tokens a text has, for streams that end without usage. It is called on the way, with pieces of at most 512
   * characters that end before a space where there is one, so that no tokenizer takes long over one; a cut may cost a token
   * more. All that the model writes is counted, reasoning and the arguments of tool calls included. Default: no estimate.
   */
  estimate?: (text: string) => number
  /** What tokens cost, in whatever currency, for `summary.cost`. It gets what is known: of an estimate, `output` alone. Default: none. */
  cost?: (tokens: TokenCounts, model: string | undefined) => number
}

/**
 * Passes chunks on unchanged, and calls `onSummary` exactly once per stream, however it ends: complete,
 * stopped, truncated, failed, stalled or aborted. For an input of many completions it is one summary of all. `complete`
 * means that the input has ended without an error; whether the sink then finishes too is not known yet.
 *
 * When the stream is complete, a promise that `onSummary` returns is awaited before the stream ends, and what it
 * rejects with fails the stream. Otherwise it is awaited before the stream closes, and the stream keeps the
 * error it has. Times come from a monotonic clock.
 *
 * @example
 * await pipeline(request, toChunks(), tapSummary(({ outcome, usage, firstToken }) => console.log(outcome, usage, firstToken)), drain())
 */
export function tapSummary(
  onSummary: (summary: Summary) => void | Promise<void>,
  options?: SummaryOptions
): Stage<Chunk, Chunk> {
  const { text, estimate, cost } = settled('tapSummary', options, {
    text: false,
    estimate: undefined as SummaryOptions['estimate'],
    cost: undefined as SummaryOptions['cost']
  })
  checkFunction('onSummary', onSummary)
  checkBoolean('text', text)
  if (estimate !== undefined) checkFunction('estimate', estimate)
  if (cost !== undefined) checkFunction('cost', cost)
  const record = new SummaryRecord(text, performance.now(), { estimate, cost })
  let isReported = false
  let reader: CompletionReader | undefined

  function report(outcome: Outcome, error?: Error): void | Promise<void> {
    if (isReported) return
    isReported = true
    return onSummary(record.end(outcome, error, performance.now(), reader?.isComplete))
  }

  const tap: Stage<Chunk, Chunk> = stage({
    name: 'tapSummary',
    transform(chunk, push) {
      checkChunk('tapSummary', chunk)
      record.add(chunk, performance.now())
      push(chunk)
    },
    flush: () => report(isStopped(tap) ? 'stopped' : 'complete'),
    destroy: error => report(outcomeOf(error), error ?? undefined)
  })
  tap.once('pipe', (source: object) => {
    // A pipeline may be built long before it runs.
    record.start(performance.now())
    reader = readerOf(source)
  })
  return tap
}

/** How a stream ended that was destroyed with an error, or without one. */
export function outcomeOf(error: Error | null): Outcome {
  if (error === null || error.name === 'AbortError' || isPrematureClose(error)) return 'aborted'
  if (!(error instanceof CompletionError)) return 'failed'
  if (error.code === 'CS_ERR_TRUNCATED') return 'truncated'
  return error.code === 'CS_ERR_STALLED' ? 'stalled' : 'failed'
}

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { ChoiceText } from '../chunk/choice-text.js'
import {
  choicesOf,
  closesResponse,
  finishReasonOf,
  incompleteReasonOf,
  indexOf,
  isRunning,
  type LooseChoice,
  type LooseChunk,
  responseStatusOf,
  type Usage,
  usageOf
} from '../chunk/fields.js'
import { isCut } from '../chunk/finish-reason.js'
import { isOpening } from '../chunk/progress.js'
import { choiceText } from '../chunk/text.js'
import { sumOf, type TokenCounts, tokensOf } from '../chunk/usage.js'
import { JoinedText } from '../collect/joined-text.js'
import { TokenEstimate } from './token-estimate.js'

/** How a stream came to its end. */
export type Outcome = 'complete' | 'stopped' | 'truncated' | 'failed' | 'stalled' | 'aborted'

/** The facts about a stream that is over. Times are in milliseconds, from the moment it was piped. */
export interface Summary {
  /**
   * `complete`, or what became of it: `stopped` when a stage behind, such as `stopAt`, wanted no more before the end;
   * `truncated` when input is missing, `stalled` when a time limit passed,
   * `aborted` when it was destroyed, by a signal or because its reader went away, and `failed` for every other error.
   */
  outcome: Outcome
  /** What it failed with, unless it is complete or was destroyed without an error. */
  error?: Error
  /** The id of the completion: the first that a chunk gave. */
  id?: string
  /** The model that answered, as the provider names it. */
  model?: string
  /** The last usage that the provider reported. */
  usage?: Usage
  /** Whether the provider reported any usage; if not, whether the output tokens were estimated (`estimate`). */
  usageStatus: 'reported' | 'estimated' | 'missing'
  /**
   * The tokens of the usage in one shape for all APIs, those of many completions added up; where they are estimated, `output`
   * alone. Absent when missing.
   */
  tokens?: TokenCounts
  /** What the answer cost, as `cost` says; absent without one, and when no tokens are known. */
  cost?: number
  /**
   * Whether the answer is whole: the stream is complete, and the model itself ended every choice. False where `length`,
   * `content_filter` or their like ended one (see `finishReasons`), where the model refused, and where `requireEnd: false` let
   * pass what was cut: a choice beside others that have finished, and right behind `toChunks` any.
   */
  isWhole: boolean
  /** The finish reason of each choice that has one, by its index. */
  finishReasons: Record<number, string>
  /** How many chunks came. */
  chunks: number
  /** How many characters (UTF-16 code units) the answers of all choices have. */
  characters: number
  /** Time to the first chunk; absent when none came. */
  firstChunk?: number
  /** Time to the first chunk that holds a token: of the answer, the reasoning, a refusal or a tool call. */
  firstToken?: number
  /** Time in all. */
  total: number
  /** Times between two chunks that hold tokens, to a hundredth of their value; absent when there are not two. */
  gaps?: { p50: number; p95: number; max: number }
  /** Output tokens, reported or estimated, per second since the first token; absent when they are not known. */
  tokensPerSecond?: number
  /** The answer, of choice 0, as far as it came (`text: true`). */
  text?: string
}

/** What the caller knows of tokens. */
export interface TokenMath {
  /** How many tokens a text has. */
  estimate?: ((text: string) => number) | undefined
  /** What tokens cost. */
  cost?: ((tokens: TokenCounts, model: string | undefined) => number) | undefined
}

/** An hour, in microseconds: a gap that is longer counts as an hour. */
const longestGap = 3_600_000_000

/** Adds up what a summary tells. Knows no clock: each call says what time it is, in milliseconds. */
export class SummaryRecord {
  readonly #text: JoinedText | undefined
  readonly #estimate: TokenEstimate | undefined
  readonly #cost: TokenMath['cost']
  readonly #choices = new Set<number>()
  readonly #finishReasons = new Map<number, string>()
  readonly #answer = new ChoiceText(0, 'content')
  #hasRefusal = false
  #start: number
  #id: string | undefined
  #model: string | undefined
  #usage: Usage | undefined
  /** The usage of the completion at hand, and the tokens of those before it. */
  #usageAtHand: Usage | undefined
  #tokensBefore: TokenCounts | undefined
  #chunks = 0
  #characters = 0
  #firstChunk: number | undefined
  #firstToken: number | undefined
  #newestToken = 0
  #gaps: RecordableHistogram | undefined

  constructor(withText: boolean, now: number, { estimate, cost }: TokenMath = {}) {
    if (withText) this.#text = new JoinedText()
    if (estimate) this.#estimate = new TokenEstimate(estimate)
    this.#cost = cost
    this.#start = now
  }

  /** Takes the moment from which times count, when that turns out to be later. */
  start(now: number): void {
    if (this.#chunks === 0) this.#start = now
  }

  /** The model, as soon as a chunk has named it. */
  get model(): string | undefined {
    return this.#model
  }

  add(chunk: object, now: number): void {
    const { id, model, response } = chunk as LooseChunk
    this.#chunks++
    this.#firstChunk ??= now
    this.#id ??= filled(id) ?? filled(response?.id)
    this.#model ??= filled(model) ?? filled(response?.model)
    if (isOpening(chunk)) this.#closeUsage()
    const usage = usageOf(chunk)
    if (usage) {
      this.#usage = usage
      this.#usageAtHand = usage
    }
    this.#estimate?.add(chunk)
    if (response || closesResponse(chunk)) this.#addResponse(chunk)
    const hasToken = 'choices' in chunk ? this.#addChoices(chunk) : this.#addEvent(chunk)
    if (!hasToken) return
    if (this.#firstToken === undefined) this.#firstToken = now
    else this.#addGap(now - this.#newestToken)
    this.#newestToken = now
  }

  /** @param isComplete whether nothing was cut, as far as the caller knows */
  end(outcome: Outcome, error: Error | undefined, now: number, isComplete = true): Summary {
    const since = (time: number | undefined) => time && time - this.#start
    const total = now - this.#start
    const generating = this.#firstToken === undefined ? 0 : now - this.#firstToken
    const tokens = this.#tokens()
    const output = tokens?.output
    const summary: Summary = {
      outcome,
      error,
      id: this.#id,
      model: this.#model,
      usage: this.#usage,
      usageStatus: this.#usage ? 'reported' : tokens ? 'estimated' : 'missing',
      tokens,
      cost: tokens && this.#cost?.(tokens, this.#model),
      isWhole: outcome === 'complete' && isComplete && this.#isWhole,
      finishReasons: Object.fromEntries(this.#finishReasons),
      chunks: this.#chunks,
      characters: this.#characters,
      firstChunk: since(this.#firstChunk),
      firstToken: since(this.#firstToken),
      total,
      gaps: this.#gaps && {
        p50: this.#gaps.percentile(50) / 1000,
        p95: this.#gaps.percentile(95) / 1000,
        max: this.#gaps.max / 1000
      },
      tokensPerSecond: output !== undefined && generating > 0 ? (output / generating) * 1000 : undefined,
      text: this.#text?.value
    }
    // A fact that is not known is left out instead of set to undefined, so that a summary is the same after JSON.
    return Object.fromEntries(
      Object.entries(summary).filter(([, value]) => value !== undefined)
    ) as typeof summary
  }

  /** Whether the model has ended all choices that came; some providers never say so of any. */
  get #isWhole(): boolean {
    const reasons = [...this.#finishReasons.values()]
    const isFinished =
      reasons.length === 0 || [...this.#choices].every(index => this.#finishReasons.has(index))
    return isFinished && !this.#hasRefusal && !reasons.some(isCut)
  }

  #tokens(): TokenCounts | undefined {
    return this.#reported() ?? (this.#estimate && { output: this.#estimate.end() })
  }

  #reported(): TokenCounts | undefined {
    if (!this.#usageAtHand) return this.#tokensBefore
    const tokens = tokensOf(this.#usageAtHand)
    return this.#tokensBefore ? sumOf(this.#tokensBefore, tokens) : tokens
  }

  #closeUsage(): void {
    this.#tokensBefore = this.#reported()
    this.#usageAtHand = undefined
  }

  #addChoices(chunk: object): boolean {
    let hasToken = false
    this.#text?.add(this.#answer.read(chunk))
    for (const choice of choicesOf(chunk)) {
      if (!choice) continue
      const index = indexOf(choice)
      const reason = finishReasonOf(choice)
      this.#choices.add(index)
      if (reason !== undefined) this.#finishReasons.set(index, reason)
      const { length } = choiceText(choice, 'content')
      this.#characters += length
      if (length > 0) hasToken = true
      else if (choiceText(choice, 'refusal') !== '') {
        this.#hasRefusal = true
        hasToken = true
      } else hasToken ||= bringsToken(choice)
    }
    return hasToken
  }

  #addEvent(event: LooseChunk): boolean {
    // Some gateways send no deltas, but all of the text when it is done.
    const text = this.#answer.read(event)
    this.#characters += text.length
    this.#text?.add(text)
    if (event.type === 'response.refusal.delta' || event.type === 'response.refusal.done')
      this.#hasRefusal = true
    return text !== '' || (typeof event.delta === 'string' && event.delta !== '')
  }

  #addResponse(event: LooseChunk): void {
    const reason = incompleteReasonOf(event) ?? responseStatusOf(event)
    if (reason !== undefined && (closesResponse(event) || !isRunning(reason)))
      this.#finishReasons.set(0, reason)
  }

  #addGap(milliseconds: number): void {
    // A third digit would cost each stream 200 KB, and times over a network are not that exact.
    this.#gaps ??= createHistogram({ lowest: 1, highest: longestGap, figures: 2 })
    this.#gaps.record(Math.min(Math.max(Math.round(milliseconds * 1000), 1), longestGap))
  }
}

/** Whether a choice brings reasoning, or a part of a tool call. */
function bringsToken(choice: LooseChoice): boolean {
  if (!choice.delta || typeof choice.delta === 'string') return false
  const { tool_calls: calls, function_call: call } = choice.delta
  // vLLM fills the lists of tool calls that it has not: an empty one is none.
  if (Array.isArray(calls) ? calls.length > 0 : call) return true
  return choiceText(choice, 'reasoning') !== ''
}

function filled(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

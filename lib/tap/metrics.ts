import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { checkBoolean, checkOneOf, invalid, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { isStopped } from '../stopping.js'
import { names as attributeNames, type Generation } from './genai-conventions.js'
import { type MeterLike, measureWith } from './instruments.js'
import {
  type AttributeValue,
  defined,
  errorTypeOf,
  requestFacts,
  responseAttributes,
  statusMessageOf
} from './operation.js'
import { outcomeOf } from './summary.js'
import { type Outcome, type Summary, SummaryRecord } from './summary-record.js'

export type { MeterLike } from './instruments.js'
export type { AttributeValue } from './operation.js'

/** What of an OpenTelemetry tracer is called. By what it can do, so that any version of its API fits. */
export interface TracerLike {
  /** Begins a span. */
  startSpan(name: string, options?: { kind?: number; attributes?: Record<string, never> }): SpanLike
}

interface SpanLike {
  setAttributes(attributes: Record<string, never>): unknown
  setStatus(status: { code: number; message?: string }): unknown
  end(): void
}

/** The options of `tapMetrics`. */
export interface MetricsOptions {
  /** A meter of OpenTelemetry. Default: no metrics. */
  meter?: MeterLike
  /** A tracer of OpenTelemetry. Default: no spans. */
  tracer?: TracerLike
  /**
   * Attributes for the metrics and the span, such as `gen_ai.provider.name` (`openai` without), `server.address`, or ones of
   * your own. Each combination of values is a series of its own, so let them be few.
   */
  attributes?: Readonly<Record<string, AttributeValue>>
  /** The parameters of the request, from which the model and the attributes of the span are read. Default: none. */
  params?: object
  /** Which names: those that most tools read today, those of the newest conventions, or both. Default: `stable`. */
  names?: 'stable' | 'latest' | 'both'
  /** Whether the span holds the messages of the request and the text of the answer. Default: false. */
  content?: boolean
}

/** The values of OpenTelemetry's enumerations `SpanKind` and `SpanStatusCode`. */
const client = 2
const failed = 2

/**
 * Passes chunks on unchanged, and reports each stream to OpenTelemetry by its conventions for generative AI: the duration, the
 * time to the first chunk, the time per output chunk and the tokens as histograms with the recommended buckets; and a span
 * with the attributes of the request and the response, finish reasons and usage included. Exactly once per stream, however it
 * ends; the kind of failure is `error.type`. Give a meter, a tracer or both.
 *
 * `error.type` is the HTTP status if there is one, else the code (`CS_ERR_TRUNCATED`, `ECONNRESET`) or the class of the error;
 * `aborted` where the reader left. The content of an answer is reported only if asked for (`content`).
 *
 * The span begins when the stage is piped, in the context that is active then. It ends with the stream.
 *
 * @example
 * const meter = { createHistogram: () => ({ record: console.log }), createCounter: () => ({ add: console.log }) }
 * await pipeline(request, toChunks(), tapMetrics({ meter, params: question }), drain())
 */
export function tapMetrics(options: MetricsOptions): Stage<Chunk, Chunk> {
  const { meter, tracer, attributes, params, names, content } = settled('tapMetrics', options, {
    meter: undefined as MeterLike | undefined,
    tracer: undefined as TracerLike | undefined,
    attributes: {} as Readonly<Record<string, AttributeValue>>,
    params: undefined as object | undefined,
    names: 'stable' as 'stable' | 'latest' | 'both',
    content: false
  })
  check(meter, tracer)
  checkOneOf('names', names, ['stable', 'latest', 'both'])
  checkBoolean('content', content)
  for (const [name, value] of Object.entries({ attributes, params }))
    if (value !== undefined && (typeof value !== 'object' || value === null))
      throw invalid(name, value, 'an object')

  const generations: readonly Generation[] = names === 'both' ? ['stable', 'latest'] : [names]
  const { shared, ofSpan } = requestFacts(params, attributes, content)
  // The old name of the provider is one of the first generation only.
  const provider = shared[attributeNames.provider]
  const ofRequest = defined({
    ...shared,
    [attributeNames.system]: names === 'latest' ? shared[attributeNames.system] : provider
  })
  const measure = meter ? measureWith(meter, generations) : () => {}
  const record = new SummaryRecord(content, performance.now())
  let span: SpanLike | undefined
  let ofMetrics = ofRequest
  let newest: number | undefined
  let start = performance.now()
  let isStarted = false
  let isReported = false

  function begin(): void {
    if (isStarted) return
    isStarted = true
    start = performance.now()
    record.start(start)
    const model = ofRequest[attributeNames.requestModel]
    const name = `${ofRequest[attributeNames.operation]}${model === undefined ? '' : ` ${model}`}`
    // Attributes are of OpenTelemetry's types, which are not imported.
    span = tracer?.startSpan(name, { kind: client, attributes: { ...ofRequest, ...ofSpan } as never })
  }

  function takeTime(chunk: Chunk): void {
    const now = performance.now()
    record.add(chunk, now)
    if (newest === undefined) {
      const { model } = record
      if (model !== undefined) ofMetrics = { ...ofRequest, [attributeNames.responseModel]: model }
      measure('timeToFirstChunk', (now - start) / 1000, ofMetrics)
    } else measure('timePerOutputChunk', (now - newest) / 1000, ofMetrics)
    newest = now
  }

  function report(outcome: Outcome, error?: Error): void {
    if (isReported) return
    isReported = true
    begin()
    const summary = record.end(outcome, error, performance.now())
    const errorType = errorTypeOf(summary)
    const failure = defined({ [attributeNames.errorType]: errorType })
    measure('duration', summary.total / 1000, { ...ofMetrics, ...failure })
    measureTokens(summary)
    if (!span) return
    span.setAttributes({ ...responseAttributes(summary), ...failure } as never)
    if (error && errorType !== 'aborted') span.setStatus({ code: failed, message: statusMessageOf(error) })
    span.end()
  }

  function measureTokens({ usage, tokens }: Summary): void {
    const { input, output, cached, reasoning } = (usage && tokens) ?? {}
    if (input !== undefined) measure('inputTokens', input, ofMetrics)
    if (output !== undefined) measure('outputTokens', output, ofMetrics)
    // Counters tell of each operation: one without usage counts as none.
    measure('inputTokensUsed', input ?? 0, ofMetrics)
    measure('outputTokensUsed', output ?? 0, ofMetrics)
    if (cached !== undefined) measure('cachedTokensUsed', cached, ofMetrics)
    if (reasoning !== undefined) measure('reasoningTokensUsed', reasoning, ofMetrics)
  }

  const tap: Stage<Chunk, Chunk> = stage({
    name: 'tapMetrics',
    transform(chunk, push) {
      checkChunk('tapMetrics', chunk)
      begin()
      takeTime(chunk)
      push(chunk)
    },
    flush: () => report(isStopped(tap) ? 'stopped' : 'complete'),
    destroy: error => report(outcomeOf(error), error ?? undefined)
  })
  tap.once('pipe', begin)
  return tap
}

function check(meter: MeterLike | undefined, tracer: TracerLike | undefined): void {
  if (meter === undefined && tracer === undefined)
    throw invalid('the options of tapMetrics', {}, 'a meter, a tracer or both')
  if (meter !== undefined && typeof meter?.createHistogram !== 'function')
    throw invalid('meter', meter, 'a meter of OpenTelemetry')
  if (tracer !== undefined && typeof tracer?.startSpan !== 'function')
    throw invalid('tracer', tracer, 'a tracer of OpenTelemetry')
}

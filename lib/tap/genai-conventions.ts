/**
 * OpenTelemetry's semantic conventions for generative AI, as far as a client of a completion can report them: the one table
 * of names, units and buckets. There are two generations.
 *
 * - `stable`: what most dashboards and backends read today, semantic-conventions 1.28 to 1.41: `gen_ai.client.operation.*`,
 *   `gen_ai.client.token.usage`. Up to 1.36 the provider was `gen_ai.system`; both names are given.
 * - `latest`: the repository semantic-conventions-genai, into which they moved: `gen_ai.client.inference.*`, in which tokens
 *   used are counters, and their distribution has histograms of its own.
 *
 * All of them are in development by OpenTelemetry's own word.
 */

/** Which generation of names. */
export type Generation = 'stable' | 'latest'

/** What is measured. */
export type Measured =
  | 'duration'
  | 'timeToFirstChunk'
  | 'timePerOutputChunk'
  | 'inputTokens'
  | 'outputTokens'
  | 'inputTokensUsed'
  | 'outputTokensUsed'
  | 'cachedTokensUsed'
  | 'reasoningTokensUsed'

/** An instrument: several measured things may share one, told apart by an attribute. */
export interface Instrument {
  readonly name: string
  readonly kind: 'histogram' | 'counter'
  readonly unit: 's' | '{token}'
  readonly description: string
  /** The boundaries that the conventions recommend. */
  readonly buckets?: readonly number[]
  /** What is said of each value beside the attributes of the operation. */
  readonly attributes?: Readonly<Record<string, string>>
}

/** In seconds, for all times. */
const timeBuckets = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

const tokenBuckets = Array.from({ length: 14 }, (_, power) => 4 ** power)

/** No provider of a streamed completion says which tokens are text, images or sound. */
const unknownModality = { 'gen_ai.token.modality': 'unknown' }

function time(name: string, description: string): Instrument {
  return { name, kind: 'histogram', unit: 's', description, buckets: timeBuckets }
}

function tokens(name: string, description: string, attributes?: Record<string, string>): Instrument {
  const histogram = { name, kind: 'histogram', unit: '{token}', description, buckets: tokenBuckets } as const
  return attributes ? { ...histogram, attributes } : histogram
}

function used(name: string, description: string): Instrument {
  return { name, kind: 'counter', unit: '{token}', description, attributes: unknownModality }
}

const usage = 'Number of input and output tokens used.'
const firstChunk = 'Time to receive the first chunk of a response.'
const perChunk = 'Time per output chunk after the first one.'

export const instruments: Readonly<Record<Generation, Readonly<Partial<Record<Measured, Instrument>>>>> = {
  stable: {
    duration: time('gen_ai.client.operation.duration', 'Duration of a GenAI operation.'),
    timeToFirstChunk: time('gen_ai.client.operation.time_to_first_chunk', firstChunk),
    timePerOutputChunk: time('gen_ai.client.operation.time_per_output_chunk', perChunk),
    inputTokens: tokens('gen_ai.client.token.usage', usage, { 'gen_ai.token.type': 'input' }),
    outputTokens: tokens('gen_ai.client.token.usage', usage, { 'gen_ai.token.type': 'output' })
  },
  latest: {
    duration: time('gen_ai.client.inference.duration', 'Duration of a GenAI inference.'),
    timeToFirstChunk: time('gen_ai.client.inference.time_to_first_chunk', firstChunk),
    timePerOutputChunk: time('gen_ai.client.inference.time_per_output_chunk', perChunk),
    inputTokens: tokens('gen_ai.client.inference.operation.input_tokens', 'Input tokens of an operation.'),
    outputTokens: tokens('gen_ai.client.inference.operation.output_tokens', 'Output tokens of an operation.'),
    inputTokensUsed: used('gen_ai.client.inference.usage.input_tokens', 'Input tokens used.'),
    outputTokensUsed: used('gen_ai.client.inference.usage.output_tokens', 'Output tokens used.'),
    cachedTokensUsed: used(
      'gen_ai.client.inference.usage.cache_read.input_tokens',
      'Input tokens that came from the cache.'
    ),
    reasoningTokensUsed: used(
      'gen_ai.client.inference.usage.reasoning.output_tokens',
      'Output tokens used for reasoning.'
    )
  }
}

/** The attributes of an operation that both generations have, on metrics and spans. */
export const names = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  /** The provider, up to 1.36. */
  system: 'gen_ai.system',
  requestModel: 'gen_ai.request.model',
  responseModel: 'gen_ai.response.model',
  errorType: 'error.type',
  stream: 'gen_ai.request.stream',
  responseId: 'gen_ai.response.id',
  finishReasons: 'gen_ai.response.finish_reasons',
  timeToFirstChunk: 'gen_ai.response.time_to_first_chunk',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cachedTokens: 'gen_ai.usage.cache_read.input_tokens',
  reasoningTokens: 'gen_ai.usage.reasoning.output_tokens',
  inputMessages: 'gen_ai.input.messages',
  outputMessages: 'gen_ai.output.messages'
} as const

/** The attributes of a span that parameters of a request give, by the names of the parameters in the three APIs. */
export const requestAttributes: Readonly<Record<string, string>> = {
  temperature: 'gen_ai.request.temperature',
  top_p: 'gen_ai.request.top_p',
  max_tokens: 'gen_ai.request.max_tokens',
  max_completion_tokens: 'gen_ai.request.max_tokens',
  max_output_tokens: 'gen_ai.request.max_tokens',
  frequency_penalty: 'gen_ai.request.frequency_penalty',
  presence_penalty: 'gen_ai.request.presence_penalty',
  seed: 'gen_ai.request.seed',
  stop: 'gen_ai.request.stop_sequences',
  n: 'gen_ai.request.choice.count',
  reasoning_effort: 'gen_ai.request.reasoning.level',
  previous_response_id: 'gen_ai.request.previous_response.id'
}

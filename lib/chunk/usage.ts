import type { Usage } from './fields.js'

/** The tokens of a usage by what they were used for, in one shape for all three APIs. */
export interface TokenCounts {
  /** What was read: the prompt. */
  input?: number
  /** What was written: the answer, its reasoning included. */
  output?: number
  /** All of them: as the provider says, otherwise the sum of `input` and `output`. */
  total?: number
  /** How many of the tokens read came from the provider's cache. */
  cached?: number
  /** How many of the tokens written are reasoning. */
  reasoning?: number
}

/**
 * Reads the token counts off a usage, by the names that the three APIs give them; DeepSeek's and Moonshot's names for
 * cached tokens too. What the provider does not say is left out; a total that it leaves out is the sum of the two. Of no usage,
 * as where a provider reported none, there are no counts.
 *
 * @example
 * await pipeline(request, toChunks(), tapUsage(usage => console.log(tokensOf(usage).output)), drain())
 */
export function tokensOf(usage: Usage | null | undefined): TokenCounts {
  // The same object under the names of all three APIs.
  const loose = (usage ?? {}) as Readonly<Record<string, unknown>>
  const input = count(loose.prompt_tokens) ?? count(loose.input_tokens)
  const written = count(loose.completion_tokens) ?? count(loose.output_tokens)
  const cached =
    detail(loose.prompt_tokens_details, 'cached_tokens') ??
    detail(loose.input_tokens_details, 'cached_tokens') ??
    count(loose.prompt_cache_hit_tokens) ??
    count(loose.cached_tokens)
  const reasoning =
    detail(loose.completion_tokens_details, 'reasoning_tokens') ??
    detail(loose.output_tokens_details, 'reasoning_tokens') ??
    count(loose.reasoning_tokens)
  const sum = input !== undefined && written !== undefined ? input + written : undefined
  const total = count(loose.total_tokens) ?? sum
  // xAI counts what was written without the reasoning, and both in the total.
  const isWithout = reasoning !== undefined && sum !== undefined && total === sum + reasoning
  const output = isWithout && written !== undefined ? written + reasoning : written
  return {
    ...(input !== undefined && { input }),
    ...(output !== undefined && { output }),
    ...(total !== undefined && { total }),
    ...(cached !== undefined && { cached }),
    ...(reasoning !== undefined && { reasoning })
  }
}

/** The tokens of two completions, each count that one of them has. */
export function sumOf(one: TokenCounts, other: TokenCounts): TokenCounts {
  const sum = { ...one }
  for (const [name, tokens] of Object.entries(other) as [keyof TokenCounts, number][])
    sum[name] = (sum[name] ?? 0) + tokens
  return sum
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function detail(details: unknown, name: string): number | undefined {
  return typeof details === 'object' && details !== null ? count(Reflect.get(details, name)) : undefined
}

import { expect } from 'chai'
import { tokensOf, type Usage } from 'completion-streams'

describe('tokensOf', () => {
  for (const [name, usage, tokens] of [
    [
      'chat completions',
      {
        prompt_tokens: 5,
        completion_tokens: 7,
        total_tokens: 12,
        prompt_tokens_details: { cached_tokens: 3 },
        completion_tokens_details: { reasoning_tokens: 2 }
      },
      { input: 5, output: 7, total: 12, cached: 3, reasoning: 2 }
    ],
    [
      'the Responses API',
      {
        input_tokens: 5,
        output_tokens: 7,
        total_tokens: 12,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens_details: { reasoning_tokens: 0 }
      },
      { input: 5, output: 7, total: 12, cached: 0, reasoning: 0 }
    ],
    [
      'DeepSeek',
      { prompt_tokens: 5, completion_tokens: 7, prompt_cache_hit_tokens: 4 },
      { input: 5, output: 7, total: 12, cached: 4 }
    ],
    [
      'xAI, which leaves the reasoning out of what was written, but not out of the total',
      {
        prompt_tokens: 10120,
        completion_tokens: 1499,
        total_tokens: 14428,
        completion_tokens_details: { reasoning_tokens: 2809 }
      },
      { input: 10120, output: 4308, total: 14428, reasoning: 2809 }
    ],
    [
      'a provider whose total is another sum',
      {
        prompt_tokens: 5,
        completion_tokens: 7,
        total_tokens: 15,
        completion_tokens_details: { reasoning_tokens: 2 }
      },
      { input: 5, output: 7, total: 15, reasoning: 2 }
    ],
    [
      'fields that are null',
      { prompt_tokens: null, completion_tokens: 7, prompt_tokens_details: null },
      { output: 7 }
    ]
  ] as const) {
    it(`reads the usage of ${name}`, () => {
      // Providers leave out what the published types promise.
      expect(tokensOf(usage as object as Usage)).to.deep.equal(tokens)
    })
  }

  it('has no counts where there is no usage', () => {
    expect([tokensOf(undefined), tokensOf(null)]).to.deep.equal([{}, {}])
  })
})

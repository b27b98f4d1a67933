import { inspect } from 'node:util'
import { expect } from 'chai'
import { textOf } from '#lib/chunk/text.js'

function delta(fields: object | null | undefined, index: unknown = 0): object {
  return { choices: [{ index, delta: fields }] }
}

describe('textOf', () => {
  describe('content', () => {
    for (const [name, chunk, text] of [
      ['delta.content (chat completions)', delta({ content: 'a' }), 'a'],
      ['text (legacy completions)', { choices: [{ index: 0, text: 'a' }] }, 'a'],
      [
        'delta.content of a completions endpoint (Mistral FIM)',
        { object: 'text_completion', ...delta({ content: 'a' }) },
        'a'
      ],
      [
        'text and delta.content that say the same (Together)',
        { choices: [{ text: 'a', delta: { content: 'a' } }] },
        'a'
      ],
      ['text beside an empty delta', { choices: [{ text: 'a', delta: { content: '' } }] }, 'a'],
      ['text parts that call it content', delta({ content: [{ type: 'text', content: 'a' }] }), 'a'],
      ['a part that is a refusal', delta({ content: [{ type: 'refusal', refusal: 'no' }] }), ''],
      ['text beside a null delta', { choices: [{ text: 'a', delta: null }] }, 'a'],
      [
        'a delta beside a cumulative message (Perplexity)',
        { choices: [{ delta: { content: 'b' }, message: { content: 'ab' } }] },
        'b'
      ],
      ['a message alone (MiniMax)', { choices: [{ finish_reason: 'stop', message: { content: 'ab' } }] }, ''],
      [
        'text parts beside thinking parts (Mistral)',
        delta({
          content: [
            { type: 'thinking', thinking: [] },
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' }
          ]
        }),
        'ab'
      ],
      [
        'parts of other types',
        delta({
          content: [{ type: 'reference', reference_ids: [1] }, { type: 'image_url', image_url: {} }, null]
        }),
        ''
      ],
      ['a list of strings and numbers (gateways)', delta({ content: ['a', 1] }), 'a1'],
      ['a part of unknown type with a text', delta({ content: [{ type: 'output', text: 'a' }] }), 'a'],
      [
        'a part whose text is an object (Assistants)',
        delta({ content: [{ type: 'text', text: { value: 'a' } }] }),
        'a'
      ],
      ['null', delta({ content: null }), ''],
      ['a number (Workers AI)', delta({ content: 0 }), '0'],
      ['a number in a legacy text (Workers AI)', { choices: [{ index: 0, text: 1.5 }] }, '1.5'],
      ['true (Workers AI)', delta({ content: true }), 'true'],
      ['false', delta({ content: false }), ''],
      ['a delta that is a string', { choices: [{ index: 0, delta: 'a' }] }, 'a'],
      [
        'content marked as a thought (Gemini)',
        delta({ content: 'a', extra_content: { google: { thought: true } } }),
        ''
      ],
      ['content with another extra (Gemini)', delta({ content: 'a', extra_content: { google: {} } }), 'a'],
      ['a choice without a delta (Azure)', { choices: [{ index: 0, content_filter_results: {} }] }, ''],
      ['no choices (Azure)', { choices: [], prompt_filter_results: [] }, ''],
      ['a choice that is null', { choices: [null] }, ''],
      ['choices that are null', { choices: null }, ''],
      ['an empty chunk', {}, ''],
      ['response.output_text.delta', { type: 'response.output_text.delta', delta: 'a' }, 'a'],
      ['a delta of it that is a number', { type: 'response.output_text.delta', delta: 6 }, '6'],
      ['response.output_text.done, which repeats it', { type: 'response.output_text.done', text: 'a' }, ''],
      [
        'a Responses event of another kind',
        { type: 'response.function_call_arguments.delta', delta: '{' },
        ''
      ],
      [
        'response.output_text.delta whose delta is no text',
        { type: 'response.output_text.delta', delta: {} },
        ''
      ]
    ] as const) {
      it(`is ${inspect(text)} in ${name}`, () => {
        expect(textOf(chunk, 0, 'content')).to.equal(text)
      })
    }
  })

  for (const [name, content] of Object.entries({
    'an object': { answer: 42 },
    'a list with a part that has neither type nor text': [{ answer: 42 }],
    'a part of type text whose text is an object': [{ type: 'text', text: { answer: 42 } }],
    'a list in lists deeper than a stack': JSON.parse(`${'['.repeat(20_000)}"a"${']'.repeat(20_000)}`)
  })) {
    it(`fails with CS_ERR_INVALID_CHUNK for content that is ${name}, and does not show it`, () => {
      expect(() => textOf(delta({ content }), 0, 'content'))
        .to.throw(/cannot be read$/)
        .with.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  }

  describe('refusal', () => {
    for (const [name, chunk, text] of [
      ['delta.refusal', delta({ refusal: 'no' }), 'no'],
      ['a part of the content', delta({ content: [{ type: 'refusal', refusal: 'no' }] }), 'no'],
      ['delta.refusal that is null', delta({ refusal: null, content: 'a' }), ''],
      ['response.refusal.delta', { type: 'response.refusal.delta', delta: 'no' }, 'no'],
      ['response.output_text.delta', { type: 'response.output_text.delta', delta: 'a' }, '']
    ] as const) {
      it(`is ${inspect(text)} in ${name}`, () => {
        expect(textOf(chunk, 0, 'refusal')).to.equal(text)
      })
    }

    it('is no content', () => {
      expect(textOf(delta({ refusal: 'no' }), 0, 'content')).to.equal('')
      expect(textOf({ type: 'response.refusal.delta', delta: 'no' }, 0, 'content')).to.equal('')
    })
  })

  describe('reasoning', () => {
    for (const [name, chunk] of Object.entries({
      'reasoning_content (DeepSeek)': delta({ reasoning_content: 'why', content: null }),
      'reasoning (Groq, OpenRouter)': delta({ reasoning: 'why', content: '' }),
      'both, which say the same': delta({ reasoning_content: 'why', reasoning: 'why' }),
      'reasoning beside a null reasoning_content': delta({ reasoning_content: null, reasoning: 'why' }),
      'thinking parts (Mistral)': delta({
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'w' }] },
          { type: 'thinking', thinking: 'hy' },
          { type: 'text', text: 'a' }
        ]
      }),
      'reasoning_content that is { text } (Envoy)': delta({ reasoning_content: { text: 'why' } }),
      'reasoning_details alone (MiniMax, Snowflake)': delta({
        content: '',
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 'w' },
          { type: 'reasoning.summary', summary: 'hy' },
          { type: 'reasoning.encrypted', data: 'AAAA' }
        ]
      }),
      'reasoning_details beside reasoning (OpenRouter)': delta({
        reasoning: 'why',
        reasoning_details: [{ type: 'reasoning.text', text: 'why' }]
      }),
      'thinking (Ollama)': delta({ content: '', thinking: 'why' }),
      'thinking_blocks alone (LiteLLM)': delta({ thinking_blocks: [{ type: 'thinking', thinking: 'why' }] }),
      'reasoning parts (Databricks)': delta({
        content: [{ type: 'reasoning', summary: [{ type: 'summary_text', text: 'why' }] }]
      }),
      'content that is marked as a thought (Gemini)': delta({
        content: 'why',
        extra_content: { google: { thought: true } }
      }),
      'response.reasoning_text.delta': { type: 'response.reasoning_text.delta', delta: 'why' },
      'response.reasoning.delta (Open Responses)': { type: 'response.reasoning.delta', delta: 'why' },
      'response.reasoning_summary_text.delta': { type: 'response.reasoning_summary_text.delta', delta: 'why' }
    })) {
      it(`is read from ${name}, and is no content`, () => {
        expect(textOf(chunk, 0, 'reasoning')).to.equal('why')
        expect(textOf(chunk, 0, 'content')).to.not.include('w')
      })
    }

    it('is not read from content', () => {
      expect(textOf(delta({ content: 'a' }), 0, 'reasoning')).to.equal('')
    })

    it('fails with CS_ERR_INVALID_CHUNK where it is deeper than a stack', () => {
      const deep = JSON.parse(`${'['.repeat(20_000)}"a"${']'.repeat(20_000)}`)
      for (const item of [
        delta({ reasoning: deep }),
        delta({ content: [{ type: 'thinking', thinking: deep }] })
      ])
        expect(() => textOf(item, 0, 'reasoning'))
          .to.throw()
          .with.property('code', 'CS_ERR_INVALID_CHUNK')
    })

    it('is also a number, which the server has read as JSON', () => {
      for (const name of ['reasoning_content', 'reasoning', 'reasoning_text'])
        expect(textOf(delta({ [name]: 6 }), 0, 'reasoning')).to.equal('6')
      expect(textOf(delta({ reasoning: { text: 6 } }), 0, 'reasoning')).to.equal('6')
    })
  })

  describe('choice', () => {
    const shared = {
      choices: [
        { index: 1, delta: { content: 'b' } },
        { index: 0, delta: { content: 'a' } },
        { index: 1, delta: { content: 'c' } }
      ]
    }

    it('is found by its index, wherever it stands and however often', () => {
      expect([0, 1, 2].map(choice => textOf(shared, choice, 'content'))).to.deep.equal(['a', 'bc', ''])
    })

    it('is 0 without an index', () => {
      expect(
        [0, 1].map(choice => textOf(delta({ content: 'a' }, undefined), choice, 'content'))
      ).to.deep.equal(['a', ''])
    })

    it('is 0 in the Responses API', () => {
      const event = { type: 'response.output_text.delta', delta: 'a' }
      expect([0, 1].map(choice => textOf(event, choice, 'content'))).to.deep.equal(['a', ''])
    })
  })
})

import { inspect } from 'node:util'
import { expect } from 'chai'
import { choicesOf, finishReasonOf, indexOf, isTerminal, textOf, usageOf } from '#lib/chunk/fields.js'

function delta(fields: object | null | undefined, index: unknown = 0): object {
  return { choices: [{ index, delta: fields }] }
}

describe('choicesOf', () => {
  it('gives the choices', () => {
    const choices = [{ index: 0 }, { index: 1 }]
    expect(choicesOf({ choices })).to.equal(choices)
  })

  for (const chunk of [{}, { choices: null }, { choices: {} }, { choices: 'none' }]) {
    it(`gives none for ${inspect(chunk)}`, () => {
      expect(choicesOf(chunk)).to.deep.equal([])
    })
  }
})

describe('indexOf', () => {
  it('gives the index, and 0 where there is none', () => {
    expect([{ index: 2 }, {}, { index: null }].map(indexOf)).to.deep.equal([2, 0, 0])
  })
})

describe('finishReasonOf', () => {
  for (const reason of ['stop', 'eos', 'end_turn', 'tool_calls']) {
    it(`gives ${reason} as it came`, () => {
      expect(finishReasonOf({ finish_reason: reason })).to.equal(reason)
    })
  }

  for (const reason of ['', null, undefined, false, 0, {}]) {
    it(`counts ${inspect(reason)} as none`, () => {
      expect(finishReasonOf({ finish_reason: reason })).to.equal(undefined)
    })
  }
})

describe('isTerminal', () => {
  it('knows the two events that end a Responses stream in good order', () => {
    expect(['response.completed', 'response.incomplete'].map(type => isTerminal({ type }))).to.deep.equal([
      true,
      true
    ])
  })

  for (const type of [
    'response.failed',
    'response.created',
    'response.output_text.done',
    'completed',
    undefined
  ]) {
    it(`does not take ${type} for one`, () => {
      expect(isTerminal({ type })).to.equal(false)
    })
  }
})

describe('usageOf', () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }

  for (const [place, chunk] of Object.entries({
    'the top of a chunk without choices': { usage },
    'the top of a chunk with no choice (OpenAI)': { choices: [], usage },
    'the chunk of the finish reason': { choices: [{ finish_reason: 'stop' }], usage },
    'x_groq (Groq)': { x_groq: { id: 'req_1', usage } },
    'x_groq beside a null (Groq)': { usage: null, x_groq: { usage } },
    'the terminal event (Responses)': { type: 'response.completed', response: { usage } },
    'a choice (Moonshot)': { choices: [{ index: 0, delta: {}, usage }] }
  })) {
    it(`finds the usage at ${place}`, () => {
      expect(usageOf(chunk)).to.equal(usage)
    })
  }

  it('hands on usage whose fields are null', () => {
    const unfilled = { prompt_tokens: 1, completion_tokens: null, total_tokens: null }
    expect(usageOf({ usage: unfilled })).to.equal(unfilled)
  })

  for (const chunk of [
    {},
    { usage: null },
    { usage: 12 },
    { usage: 'none' },
    { choices: [null] },
    { x_groq: null },
    { x_groq: { id: 'req_1' } },
    { response: null },
    { response: { usage: null } },
    { response: 'text' }
  ]) {
    it(`finds none in ${inspect(chunk, { depth: 3 })}`, () => {
      expect(usageOf(chunk)).to.equal(undefined)
    })
  }
})

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
        delta({ content: [{ type: 'reference', reference_ids: [1] }, null, 'a', 1] }),
        ''
      ],
      ['null', delta({ content: null }), ''],
      ['a number', delta({ content: 1 }), ''],
      ['an object', delta({ content: { text: 'a' } }), ''],
      ['a choice without a delta (Azure)', { choices: [{ index: 0, content_filter_results: {} }] }, ''],
      ['no choices (Azure)', { choices: [], prompt_filter_results: [] }, ''],
      ['a choice that is null', { choices: [null] }, ''],
      ['choices that are null', { choices: null }, ''],
      ['an empty chunk', {}, ''],
      ['response.output_text.delta', { type: 'response.output_text.delta', delta: 'a' }, 'a'],
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

  describe('refusal', () => {
    for (const [name, chunk, text] of [
      ['delta.refusal', delta({ refusal: 'no' }), 'no'],
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
      'response.reasoning_text.delta': { type: 'response.reasoning_text.delta', delta: 'why' },
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

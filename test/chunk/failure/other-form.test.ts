import { expect } from 'chai'
import { mayHoldText, otherFormOf, otherFormOfText } from '#lib/chunk/failure/other-form.js'

const forms: [name: string, payload: object][] = [
  ['Anthropic', { type: 'message_start', message: { role: 'assistant', usage: { input_tokens: 1 } } }],
  ['Anthropic', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } }],
  ['Anthropic', { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'Hi' }], usage: {} }],
  ['Gemini', { candidates: [{ content: { parts: [{ text: 'Hi' }] } }] }],
  ['Gemini', { usageMetadata: { totalTokenCount: 3 } }],
  ['Cohere', { type: 'content-delta', index: 0, delta: { message: { content: { text: 'Hi' } } } }],
  ['Cohere', { event_type: 'text-generation', text: 'Hi', is_finished: false }],
  ['Ollama', { model: 'm', message: { role: 'assistant', content: 'Hi' }, done: false }],
  ['Ollama', { model: 'm', response: 'Hi', done: false }],
  ['AI SDK', { type: 'text-delta', id: '0', delta: 'Hi' }],
  ['AI SDK', { type: 'start-step' }],
  ['Converse', { contentBlockDelta: { delta: { text: 'Hi' } } }],
  ['Text Generation Inference', { index: 1, token: { id: 1, text: 'Hi' }, generated_text: null }],
  [
    'DashScope',
    { output: { text: 'Hi', finish_reason: 'null' }, usage: { total_tokens: 1 }, request_id: 'r' }
  ],
  ['Mistral', { type: 'message.output.delta', content: 'Hi' }],
  ['Assistants', { object: 'thread.message.delta', delta: { content: [] } }],
  ['LangChain', { event: 'on_chat_model_stream', data: { chunk: {} } }],
  ['LangChain', { lc: 1, type: 'constructor', kwargs: { content: 'Hi' } }]
]

describe('otherFormOf', () => {
  for (const [name, payload] of forms) {
    it(`names ${name}'s ${JSON.stringify(payload).slice(0, 60)}, and says what to write`, () => {
      expect(otherFormOf(payload)).to.match(new RegExp(`it is in the form of .*${name}.*: \\w+`))
    })
  }

  for (const payload of [
    {},
    { cost: '0.1' },
    { type: 'keepalive' },
    { object: 'chat.completion.chunk', choices: null },
    { usage: { total_tokens: 1 } },
    { message: 'warming up' }
  ]) {
    it(`is undefined for ${JSON.stringify(payload)}`, () => {
      expect(otherFormOf(payload)).to.equal(undefined)
    })
  }
})

describe('mayHoldText', () => {
  it('is true for what may be a part of an answer', () => {
    const all = [{ text: 'Hi' }, { delta: { a: 1 } }, [{ content: 'Hi' }], { output_text: 'Hi' }]
    expect(all.filter(mayHoldText)).to.deep.equal(all)
  })

  it('is false for anything else', () => {
    const all = [{ cost: '0.1' }, { text: '' }, { content: null }, { models: ['a'] }, [[{ text: 'Hi' }]], []]
    expect(all.filter(mayHoldText)).to.deep.equal([])
  })
})

describe('otherFormOfText', () => {
  it("names the AI SDK's data stream", () => {
    expect(otherFormOfText('0:"Hi"\n0:" there"\n')).to.include('AI SDK')
    expect(otherFormOfText('f:{"messageId":"m"}\n')).to.include('AI SDK')
    expect(otherFormOfText('<html>0:"Hi"')).to.equal(undefined)
  })
})

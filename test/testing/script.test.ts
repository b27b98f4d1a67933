import { expect } from 'chai'
import { CompletionError } from 'completion-streams'
import { type Script, script, serveCompletions } from 'completion-streams/testing'
import fc from 'fast-check'
import { jsonOf, payloadsOf, post, question, streamedQuestion } from './wire.js'

const logprob = (
  token: string
): { token: string; logprob: number; bytes: number[]; top_logprobs: never[] } => ({
  token,
  logprob: -0.5,
  bytes: [...Buffer.from(token)],
  top_logprobs: []
})

/** Everything that a model can say, in one script; the second call begins before the first one is whole. */
const everything: Script = {
  id: 'chatcmpl-everything',
  created: 1700000000,
  model: 'model-1',
  system_fingerprint: 'fp_1',
  service_tier: 'default',
  fields: { provider: 'Loopback' },
  usage: { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 },
  choices: [
    {
      pieces: [
        { at: 1, reasoning: 'The user ' },
        { at: 2, reasoning: 'asks.' },
        { at: 3, text: 'Hello', logprobs: [logprob('Hel'), logprob('lo')] },
        { at: 5, text: ', you', logprobs: [logprob(', you')] },
        { at: 6, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":' } },
        { at: 7, toolCall: { index: 1, id: 'call_2', name: 'time', arguments: '{}' } },
        { at: 8, toolCall: { arguments: '"Rome"}' } },
        { at: 9, toolCall: { id: 'call_3', name: 'tide' } }
      ]
    },
    {
      pieces: [
        { at: 4, refusal: 'I would ' },
        { at: 6, refusal: 'rather not.' }
      ],
      finish_reason: 'length'
    }
  ]
}

const forms = [
  { path: 'chat/completions', body: question },
  { path: 'completions', body: { prompt: 'Hello?' } },
  { path: 'responses', body: { input: 'Hello?' } }
]

describe('script', () => {
  it('cuts text into pieces that join to the same text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        const pieces = script(text).choices[0]?.pieces ?? []
        expect(pieces.map(piece => ('text' in piece ? piece.text : '')).join('')).to.equal(text)
      })
    )
  })

  it('gives the pieces their times and keeps words together with their space', () => {
    expect(
      script('One, two', { start: 100, interval: 20, id: 'abc', finish_reason: 'length' })
    ).to.deep.equal({
      id: 'abc',
      choices: [
        {
          pieces: [
            { at: 100, text: 'One' },
            { at: 120, text: ',' },
            { at: 140, text: ' two' }
          ],
          finish_reason: 'length'
        }
      ]
    })
  })

  it('makes a choice of each text', () => {
    expect(script(['yes', 'no']).choices.map(choice => choice.pieces)).to.deep.equal([
      [{ at: 0, text: 'yes' }],
      [{ at: 0, text: 'no' }]
    ])
  })
})

describe('script with what it cannot take', () => {
  for (const [given, says] of [
    [[], /text is undefined: give a string, or a list of them/],
    [[5], /text is 5/],
    [[['One', 5]], /text is 5/],
    [['One', { intervall: 5 }], /script has no option intervall: it has id/],
    [['One', { interval: '5' }], /interval is a string of 1 characters: give milliseconds/],
    [['One', { start: -1 }], /start is -1/],
    [['One', { finish_reason: 1 }], /finish_reason is 1/],
    [['One', { faults: { cutAfter: 1 } }], /cutAfter is 1/],
    [['One', null], /the options of script is null/]
  ] as [unknown[], RegExp][]) {
    it(`throws CS_ERR_INVALID_OPTION for ${JSON.stringify(given)}`, () => {
      expect(() => script(...(given as Parameters<typeof script>)))
        .to.throw(CompletionError, says)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

describe('the forms of a script', () => {
  it('streams chat chunks that add up to the whole chat completion', async () => {
    await using server = await serveCompletions({ script: everything, speed: Infinity })
    const chunks = await payloadsOf(
      post(server, { ...streamedQuestion, stream_options: { include_usage: true } })
    )
    const whole = await jsonOf(post(server, question))
    const { choices, usage, object, ...head } = whole
    expect(object).to.equal('chat.completion')
    for (const { choices: _, usage: __, object, ...chunkHead } of chunks) {
      expect(object).to.equal('chat.completion.chunk')
      expect(chunkHead).to.deep.equal(head)
    }
    expect(chunks.map(chunk => chunk.usage)).to.deep.equal([...chunks.slice(1).map(() => null), usage])
    expect(chunks.at(-1)?.choices).to.deep.equal([])

    for (const choice of choices) {
      const own = chunks.flatMap(chunk =>
        chunk.choices.filter((one: typeof choice) => one.index === choice.index)
      )
      const joined = (field: string): string | null =>
        own
          .map(one => one.delta[field])
          .reduce((sum, text) => (text == null ? sum : (sum ?? '') + text), null)
      expect(own[0].delta.role).to.equal('assistant')
      expect(joined('content')).to.equal(choice.message.content)
      expect(joined('refusal')).to.equal(choice.message.refusal)
      expect(joined('reasoning_content')).to.equal(choice.message.reasoning_content ?? null)
      expect(own.map(one => one.finish_reason)).to.deep.equal([
        ...own.slice(1).map(() => null),
        choice.finish_reason
      ])
      for (const kind of ['content', 'refusal']) {
        const logprobs = own.flatMap(one => one.logprobs?.[kind] ?? [])
        expect(logprobs).to.deep.equal(choice.logprobs?.[kind] ?? [])
      }
    }
    expect(choices[0].message).to.deep.equal({
      role: 'assistant',
      content: 'Hello, you',
      refusal: null,
      reasoning_content: 'The user asks.',
      tool_calls: [
        { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { id: 'call_2', type: 'function', function: { name: 'time', arguments: '{}' } },
        { id: 'call_3', type: 'function', function: { name: 'tide', arguments: '' } }
      ]
    })
    expect(choices[1].message).to.deep.equal({
      role: 'assistant',
      content: null,
      refusal: 'I would rather not.'
    })
    expect(choices.map((choice: { finish_reason: string }) => choice.finish_reason)).to.deep.equal([
      'tool_calls',
      'length'
    ])
  })

  it('interleaves the choices by their times', async () => {
    await using server = await serveCompletions({ script: everything, speed: Infinity })
    const chunks = await payloadsOf(post(server, streamedQuestion))
    const indexes = chunks.map(chunk => chunk.choices[0].index).join('')
    expect(indexes).to.equal('00001100110000')
    expect(chunks.every(chunk => !('usage' in chunk))).to.equal(true)
  })

  it('streams legacy chunks that add up to the whole legacy completion', async () => {
    await using server = await serveCompletions({ script: everything, speed: Infinity })
    const asked = { prompt: 'Hello?', stream: true, stream_options: { include_usage: true } }
    const chunks = await payloadsOf(post(server, asked, 'completions'))
    const whole = await jsonOf(post(server, { prompt: 'Hello?' }, 'completions'))
    expect(whole).to.deep.include({ id: 'cmpl-everything', object: 'text_completion', provider: 'Loopback' })
    for (const choice of whole.choices) {
      const own = chunks.flatMap(chunk =>
        chunk.choices.filter((one: typeof choice) => one.index === choice.index)
      )
      expect(own.map(one => one.text).join('')).to.equal(choice.text)
      expect(own.at(-1).finish_reason).to.equal(choice.finish_reason)
      for (const list of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
        expect(own.flatMap(one => one.logprobs?.[list] ?? [])).to.deep.equal(choice.logprobs?.[list] ?? [])
      }
    }
    expect(whole.choices[0].text).to.equal('Hello, you')
    expect(whole.choices[0].logprobs.text_offset).to.deep.equal([0, 3, 5])
    expect(chunks.at(-1)).to.deep.include({ choices: [], usage: whole.usage })
  })

  it('streams Responses events that add up to the whole response', async () => {
    await using server = await serveCompletions({ script: everything, speed: Infinity })
    const events = await payloadsOf(post(server, { input: 'Hello?', stream: true }, 'responses'))
    const whole = await jsonOf(post(server, { input: 'Hello?' }, 'responses'))
    expect(events.map(event => event.sequence_number)).to.deep.equal(events.map((_, place) => place))
    expect(events.slice(0, 2).map(event => event.type)).to.deep.equal([
      'response.created',
      'response.in_progress'
    ])
    expect(events[0]?.response).to.deep.include({
      id: 'resp_everything',
      status: 'in_progress',
      output: [],
      usage: null
    })
    expect(events.at(-1)).to.deep.include({ type: 'response.completed', response: whole })
    expect(whole.usage).to.deep.include({ input_tokens: 5, output_tokens: 9, total_tokens: 14 })

    const done = events.filter(event => event.type === 'response.output_item.done')
    expect(
      done.sort((one, other) => one.output_index - other.output_index).map(event => event.item)
    ).to.deep.equal(whole.output)
    expect(whole.output.map((item: { type: string }) => item.type)).to.deep.equal([
      'reasoning',
      'message',
      'function_call',
      'function_call',
      'function_call'
    ])
    for (const [output_index, item] of whole.output.entries()) {
      const own = events.filter(event => event.output_index === output_index)
      const sum = own.flatMap(event => (event.type.endsWith('.delta') ? event.delta : [])).join('')
      expect(sum).to.equal(item.arguments ?? item.content[0].text)
      expect(own[0]?.item).to.deep.include({ id: item.id, status: 'in_progress' })
      expect(own.at(-1)?.type).to.equal('response.output_item.done')
      const logprobs = own.flatMap(event =>
        event.type === 'response.output_text.delta' ? event.logprobs : []
      )
      expect(logprobs).to.deep.equal(item.content?.[0].logprobs ?? [])
    }
  })

  for (const [finish_reason, reason] of [
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter']
  ]) {
    it(`ends a response with finish reason ${finish_reason} as incomplete`, async () => {
      const cutShort = script('Half an', { finish_reason: finish_reason ?? '' })
      await using server = await serveCompletions({ script: cutShort, speed: Infinity })
      const events = await payloadsOf(post(server, { input: 'Hello?', stream: true }, 'responses'))
      const last = events.at(-1)
      expect(last?.type).to.equal('response.incomplete')
      expect(last?.response).to.deep.include({ status: 'incomplete', incomplete_details: { reason } })
      expect(last?.response.output[0].status).to.equal('incomplete')
    })
  }

  for (const { path, body } of forms) {
    it(`says nothing of usage when the script has null for it (${path})`, async () => {
      await using server = await serveCompletions({
        script: script('Hello', { usage: null }),
        speed: Infinity
      })
      const asked = { ...body, stream: true, stream_options: { include_usage: true } }
      const chunks = await payloadsOf(post(server, asked, path))
      expect(chunks.map(chunk => chunk.usage ?? chunk.response?.usage ?? null)).to.deep.equal(
        chunks.map(() => null)
      )
      const whole = await jsonOf(post(server, body, path))
      expect(whole.usage ?? null).to.equal(null)
    })

    it(`answers with no choice and no piece at all (${path})`, async () => {
      for (const choices of [[], [{ pieces: [] }]]) {
        await using server = await serveCompletions({ script: { choices }, speed: Infinity })
        const response = await post(server, { ...body, stream: true }, path)
        expect(response.status).to.equal(200)
        await response.text()
        expect((await post(server, body, path)).status).to.equal(200)
      }
    })
  }

  it('sends an id without a known prefix as it is', async () => {
    await using server = await serveCompletions({ script: script('Hi', { id: 'gen-1' }), speed: Infinity })
    for (const { path, body } of forms) {
      expect((await jsonOf(post(server, body, path))).id).to.equal('gen-1')
    }
  })

  it('counts tokens when the script does not', async () => {
    await using server = await serveCompletions({ script: script('One, two'), speed: Infinity })
    expect((await jsonOf(post(server, question))).usage).to.deep.equal({
      prompt_tokens: 2,
      completion_tokens: 3,
      total_tokens: 5
    })
  })

  it('throws CS_ERR_INVALID_OPTION for an option that it does not have', () => {
    expect(() => script('Hi', { intervall: 5 } as never))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

import { expect } from 'chai'
import fc from 'fast-check'
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream'
import { ResponseStream } from 'openai/lib/responses/ResponseStream'
import { CompletionAssembler } from '#lib/collect/assemble.js'

function assemble(chunks: object[]): Record<string, unknown> {
  const assembler = new CompletionAssembler()
  for (const chunk of chunks) assembler.add(chunk)
  return { ...assembler.result() }
}

/** What a whole completion says in JSON, which is how a server would have sent it. */
function asJSON(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function lines(chunks: object[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(`${JSON.stringify(chunk)}\n`))
      controller.close()
    }
  })
}

const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1750000000, model: 'gpt-4o-mini' }

function chunk(delta: object | undefined, rest: object = {}, top: object = {}): object {
  return { ...head, ...top, choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...rest }] }
}

function choicesIn(
  result: Record<string, unknown>
): { message: Record<string, unknown> & { content: unknown } }[] {
  return result.choices as { message: Record<string, unknown> & { content: unknown } }[]
}

function messageOf(chunks: object[]): Record<string, unknown> {
  return choicesIn(assemble(chunks))[0]?.message ?? {}
}

const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }

const answer = [
  chunk(
    { role: 'assistant', content: '', refusal: null },
    {},
    { system_fingerprint: 'fp_1', service_tier: 'default' }
  ),
  chunk({ content: 'Hello' }),
  chunk({ content: ' there' }),
  chunk({}, { finish_reason: 'stop' }),
  { ...head, choices: [], usage }
]

const refusal = [
  chunk({ role: 'assistant', refusal: '' }),
  chunk({ refusal: 'I can' }),
  chunk({ refusal: 'not' }),
  chunk({}, { finish_reason: 'stop' })
]

const toolCalls = [
  chunk({
    role: 'assistant',
    content: null,
    tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }]
  }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] }),
  chunk({
    tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } }]
  }),
  chunk({}, { finish_reason: 'tool_calls' })
]

const functionCall = [
  chunk({ role: 'assistant', content: null, function_call: { name: 'weather', arguments: '' } }),
  chunk({ function_call: { arguments: '{"city":' } }),
  chunk({ function_call: { arguments: '"Rome"}' } }),
  chunk({}, { finish_reason: 'function_call' })
]

const severalChoices = [
  { ...head, choices: [{ index: 1, delta: { role: 'assistant', content: 'b' }, finish_reason: null }] },
  { ...head, choices: [{ index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null }] },
  {
    ...head,
    choices: [
      { index: 0, delta: { content: 'A' }, finish_reason: 'stop' },
      { index: 1, delta: { content: 'B' }, finish_reason: 'length' }
    ]
  },
  { ...head, choices: [], usage }
]

const token = (text: string): object => ({ token: text, logprob: -0.1, bytes: null, top_logprobs: [] })

const logprobs = [
  chunk({ role: 'assistant', content: '' }),
  chunk({ content: 'Hi' }, { logprobs: { content: [token('Hi')], refusal: null } }),
  chunk({ content: '!' }, { logprobs: { content: [token('!')], refusal: null } }),
  chunk({}, { finish_reason: 'stop' })
]

const audio = [
  chunk({ role: 'assistant', content: null, audio: { id: 'audio_1', transcript: 'Hel' } }),
  chunk({ audio: { data: 'AAA' } }),
  chunk({ audio: { data: 'BBB', transcript: 'lo' } }),
  chunk({ audio: { expires_at: 1750003600 } }),
  chunk({}, { finish_reason: 'stop' })
]

const asTheSDK: [name: string, chunks: object[]][] = [
  ['an answer', answer],
  ['a refusal', refusal],
  ['tool calls', toolCalls],
  ['a function call', functionCall],
  ['several choices', severalChoices],
  ['logprobs', logprobs],
  ['audio', audio]
]

describe('CompletionAssembler', () => {
  describe('for chat completions', () => {
    for (const [name, chunks] of asTheSDK) {
      it(`gives what the official SDK accumulates for ${name}`, async () => {
        const theirs = await ChatCompletionStream.fromReadableStream(lines(chunks)).finalChatCompletion()
        // `parsed` is the SDK's own, for its helpers: no API sends it.
        const withoutParsed = JSON.parse(
          JSON.stringify(theirs, (key, value) => (key === 'parsed' ? undefined : value))
        )
        expect(asJSON(assemble(chunks))).to.deep.equal(withoutParsed)
      })
    }

    it('keeps all of what the official SDK keeps the last piece of', async () => {
      const chunks = [
        chunk(
          { role: 'assistant', content: '', reasoning: 'Let me' },
          { content_filter_results: { hate: 'safe' } }
        ),
        chunk({ content: '', reasoning: ' see', annotations: [{ type: 'url_citation', url: 'one' }] }),
        chunk(
          { content: '4', annotations: [{ type: 'url_citation', url: 'two' }] },
          { content_filter_results: {} }
        ),
        chunk({}, { finish_reason: 'stop', content_filter_results: {} })
      ]
      const theirs = await ChatCompletionStream.fromReadableStream(lines(chunks)).finalChatCompletion()
      expect(theirs.choices[0]).to.have.nested.property('message.reasoning', ' see')
      const [ours] = choicesIn(assemble(chunks))
      expect(ours).to.have.property('content_filter_results').that.deep.equals({ hate: 'safe' })
      expect(ours?.message.reasoning).to.equal('Let me see')
      expect(ours?.message.annotations).to.deep.equal([
        { type: 'url_citation', url: 'one' },
        { type: 'url_citation', url: 'two' }
      ])
    })

    it('adds logprobs that come with the first delta once, where the official SDK adds them twice', async () => {
      const chunks = [
        chunk({ role: 'assistant', content: 'Hi' }, { logprobs: { content: [token('Hi')], refusal: null } }),
        chunk({}, { finish_reason: 'stop' })
      ]
      const theirs = await ChatCompletionStream.fromReadableStream(lines(chunks)).finalChatCompletion()
      expect(theirs.choices[0]?.logprobs?.content).to.have.length(2)
      expect(assemble(chunks).choices)
        .to.have.nested.property('[0].logprobs.content')
        .that.deep.equals([token('Hi')])
    })

    it('reads a completion that changes its id in every chunk, where the official SDK fails', async () => {
      const chunks = answer.map((one, place) => ({ ...one, id: `chatcmpl-${place}` }))
      const failure = await ChatCompletionStream.fromReadableStream(lines(chunks))
        .finalChatCompletion()
        .catch((error: Error) => error)
      expect(failure).to.be.instanceOf(Error)
      const result = assemble(chunks)
      expect(result.id).to.equal('chatcmpl-0')
      expect(result.choices).to.have.nested.property('[0].message.content', 'Hello there')
    })

    it('reads chunks that leave out all they can', () => {
      const chunks = [
        {},
        { choices: null },
        { choices: [null, 7, {}] },
        { choices: [{ delta: null }] },
        { choices: [{ delta: { content: 'a', tool_calls: null, function_call: null, audio: null } }] },
        { choices: [{ delta: { content: null, tool_calls: [null, 7] }, finish_reason: '' }] },
        { choices: [{ delta: { content: 'b' } }], usage: null }
      ]
      expect(assemble(chunks).choices).to.deep.equal([
        {
          index: 0,
          logprobs: null,
          finish_reason: null,
          message: {
            role: 'assistant',
            content: 'ab',
            refusal: null,
            tool_calls: [],
            function_call: null,
            audio: null
          }
        }
      ])
    })

    it('gives a completion without choices when there are no chunks', () => {
      expect(assemble([]).choices).to.deep.equal([])
    })

    it('takes the head from the chunk that has one, and the last usage (Azure)', () => {
      const chunks = [
        {
          id: '',
          object: '',
          created: 0,
          model: '',
          choices: [],
          prompt_filter_results: [{ prompt_index: 0 }]
        },
        ...answer.map(one => ({ ...one, usage: { ...usage, total_tokens: 1 } })),
        { ...head, choices: [], usage },
        { id: '', object: '', created: 0, model: '', choices: [], usage: null }
      ]
      const { choices, ...rest } = assemble(chunks)
      expect(rest).to.deep.equal({
        ...head,
        object: 'chat.completion',
        system_fingerprint: 'fp_1',
        service_tier: 'default',
        prompt_filter_results: [{ prompt_index: 0 }],
        usage
      })
    })

    it('lifts usage out of x_groq, and merges what else is there', () => {
      const chunks = [
        chunk({ content: 'a' }, {}, { x_groq: { id: 'req_1', seed: 3 } }),
        chunk({}, { finish_reason: 'stop' }, { x_groq: { id: 'req_1', usage } })
      ]
      const result = assemble(chunks)
      expect(result.usage).to.deep.equal(usage)
      expect(result.x_groq).to.deep.equal({ id: 'req_1', seed: 3, usage })
    })

    it('leaves out the padding that hides the length of a chunk', () => {
      const result = assemble([chunk({ content: 'a' }, {}, { obfuscation: 'xYz', p: 'abc' })])
      expect(result).to.not.have.any.keys('obfuscation', 'p')
    })

    it('keeps unknown fields at all levels, and joins no text that is whole each time', () => {
      const chunks = [
        chunk(
          { role: 'assistant', channel: 'final', content: 'a', token_ids: [1] },
          { seed: null },
          { provider: 'X' }
        ),
        chunk(
          { role: 'assistant', channel: 'final', content: 'b', token_ids: [1] },
          { seed: 7 },
          { provider: 'X' }
        )
      ]
      const { provider, choices } = assemble(chunks)
      expect(provider).to.equal('X')
      expect(choices).to.deep.equal([
        {
          index: 0,
          seed: 7,
          logprobs: null,
          finish_reason: null,
          message: { role: 'assistant', channel: 'final', content: 'ab', refusal: null, token_ids: [1, 1] }
        }
      ])
    })

    it('counts a text beside the delta once, and never the message so far', () => {
      const chunks = [
        {
          ...head,
          choices: [{ index: 0, text: 'Hi', delta: { content: 'Hi' }, message: { content: 'Hi' } }]
        },
        { ...head, choices: [{ index: 0, text: '!', delta: { content: '!' }, message: { content: 'Hi!' } }] },
        { ...head, choices: [{ index: 0, text: '?', delta: { content: null } }] }
      ]
      expect(messageOf(chunks)).to.deep.equal({ role: 'assistant', content: 'Hi!?', refusal: null })
    })

    it('joins parts that are all text into a string', () => {
      const chunks = [chunk({ content: [{ type: 'text', text: 'a' }] }), chunk({ content: 'b' })]
      expect(messageOf(chunks).content).to.equal('ab')
    })

    it('keeps parts of another kind as parts, merged (Mistral)', () => {
      const think = (text: string): object => ({
        content: [{ type: 'thinking', thinking: [{ type: 'text', text }] }]
      })
      const reference = { type: 'reference', reference_ids: [1] }
      const chunks = [
        chunk(think('Let me')),
        chunk(think(' see')),
        chunk({ content: '4' }),
        chunk({ content: '2' })
      ]
      expect(messageOf([...chunks, chunk({ content: [reference] })]).content).to.deep.equal([
        { type: 'thinking', thinking: [{ type: 'text', text: 'Let me see' }] },
        { type: 'text', text: '42' },
        reference
      ])
    })

    it('joins the pieces of reasoning details by index and type (OpenRouter)', () => {
      const detail = (fields: object): object => chunk({ reasoning_details: [fields] })
      const chunks = [
        detail({ type: 'reasoning.text', text: 'This', index: 0, format: 'x' }),
        detail({ type: 'reasoning.text', text: ' is', index: 0, format: 'x' }),
        detail({ type: 'reasoning.text', signature: 'sig', index: 0, format: 'x' }),
        detail({ type: 'reasoning.text', text: 'Next', index: 0, format: 'x' }),
        detail({ type: 'reasoning.summary', summary: 'In ', index: 1 }),
        detail({ type: 'reasoning.summary', summary: 'short', index: 1 }),
        detail({ type: 'reasoning.encrypted', data: 'AA', id: 'rs_1', index: 0 }),
        detail({ type: 'reasoning.encrypted', data: 'BB', id: 'rs_2', index: 0 }),
        detail({ type: 'reasoning.text', text: 'a' }),
        detail({ type: 'reasoning.text', text: 'b' }),
        chunk({ reasoning_details: ['odd', null] })
      ]
      expect(messageOf(chunks).reasoning_details).to.deep.equal([
        { type: 'reasoning.text', text: 'This is', index: 0, format: 'x', signature: 'sig' },
        { type: 'reasoning.text', text: 'Next', index: 0, format: 'x' },
        { type: 'reasoning.summary', summary: 'In short', index: 1 },
        { type: 'reasoning.encrypted', data: 'AA', id: 'rs_1', index: 0 },
        { type: 'reasoning.encrypted', data: 'BB', id: 'rs_2', index: 0 },
        { type: 'reasoning.text', text: 'ab' },
        'odd',
        null
      ])
    })

    it('takes a tool that Groq ran once, with its output', () => {
      const chunks = [
        chunk({
          executed_tools: [{ index: 0, type: 'search', arguments: '{}', search_results: { results: [] } }]
        }),
        chunk({ executed_tools: [{ index: 0, type: 'search', arguments: '{}', output: 'found' }] })
      ]
      expect(messageOf(chunks).executed_tools).to.deep.equal([
        { index: 0, type: 'search', arguments: '{}', search_results: { results: [] }, output: 'found' }
      ])
    })

    for (const index of [4294967295, -1, 'x', 1.5, null]) {
      it(`allocates nothing for the index ${index}`, () => {
        const call = { index, id: 'call_a', type: 'function', function: { name: 'f', arguments: '{}' } }
        const result = assemble([
          { ...head, choices: [{ index, delta: { content: 'a', tool_calls: [call] } }] }
        ])
        const choices = choicesIn(result)
        expect(choices).to.have.length(1)
        expect(choices[0]?.message.tool_calls).to.deep.equal([
          { id: 'call_a', type: 'function', function: { name: 'f', arguments: '{}' } }
        ])
      })
    }

    it('takes __proto__ for a name like any other, at every level', () => {
      const text =
        '{"id":"c","__proto__":{"polluted":1},"choices":[{"index":0,"__proto__":{"polluted":1},' +
        '"delta":{"content":"a","__proto__":{"polluted":1},"constructor":"c","tool_calls":[{"index":0,"id":"t",' +
        '"__proto__":{"polluted":1},"function":{"name":"f","arguments":"{\\"__proto__\\":1}",' +
        '"__proto__":{"polluted":1}}}]}}]}'
      const result = assemble([JSON.parse(text), JSON.parse(text)])
      expect({}).to.not.have.property('polluted')
      const [choice] = choicesIn(result)
      const [call] = (choice?.message.tool_calls ?? []) as object[]
      for (const object of [result, choice, choice?.message, call]) {
        expect(Object.getOwnPropertyDescriptor(object, '__proto__')?.value).to.deep.equal({ polluted: 1 })
        expect(Object.getPrototypeOf(object)).to.equal(Object.prototype)
      }
    })

    for (const role of [null, '', undefined]) {
      it(`names the assistant where the role is ${JSON.stringify(role)} (SGLang, MiniMax)`, () => {
        expect(messageOf([chunk({ role, content: 'a' })])).to.include({ role: 'assistant', content: 'a' })
      })
    }

    it('joins thinking that comes in pieces', () => {
      const pieces = ['w', 'hy'].map(thinking => chunk({ content: '', thinking }))
      expect(messageOf(pieces)).to.include({ thinking: 'why' })
    })

    it('reads parts of content as toText does', () => {
      const [choice] = choicesIn(
        assemble([
          chunk({ content: [{ type: 'text', text: 6 }, ' eg'] }),
          chunk({ content: [{ type: 'text', text: { value: 'gs' } }] })
        ])
      )
      expect(choice?.message.content).to.equal('6 eggs')
    })

    it('joins base64 of which each piece was encoded by itself', () => {
      const bytes = Buffer.from([0, 1, 2, 3, 4, 5, 6])
      const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3)].map(piece =>
        piece.toString('base64')
      )
      const cut = [...bytes.toString('base64')]
      for (const data of [pieces, cut]) {
        const [choice] = choicesIn(assemble(data.map(data => chunk({ audio: { id: 'a', data } }))))
        expect(choice?.message.audio).to.deep.equal({ id: 'a', data: bytes.toString('base64') })
      }
    })

    it('changes no chunk, whatever is in it', () => {
      const part = fc.constantFrom(
        'content',
        'reasoning',
        'tool_calls',
        'audio',
        'annotations',
        'logprobs',
        'x'
      )
      const delta = fc.dictionary(part, fc.jsonValue({ maxDepth: 2 }))
      const choice = fc.record({
        index: fc.jsonValue({ maxDepth: 0 }),
        delta,
        text: fc.jsonValue({ maxDepth: 1 })
      })
      fc.assert(
        fc.property(
          fc.array(fc.record({ choices: fc.array(choice), x: fc.jsonValue({ maxDepth: 2 }) })),
          chunks => {
            const before = JSON.stringify(chunks)
            try {
              assemble(chunks)
            } catch (error) {
              // Content that cannot be read.
              expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
            }
            expect(JSON.stringify(chunks)).to.equal(before)
          }
        ),
        { numRuns: 50 }
      )
    })

    it('puts 20,000 deltas together, and can be read half way', () => {
      const assembler = new CompletionAssembler()
      const letters = Array.from({ length: 20_000 }, (_, place) => String.fromCharCode(97 + (place % 26)))
      for (const [place, content] of letters.entries()) {
        assembler.add(chunk({ content }))
        if (place === 9_999) {
          expect(assembler.result())
            .to.have.nested.property('choices[0].message.content')
            .that.has.length(10_000)
        }
      }
      expect(assembler.result()).to.have.nested.property('choices[0].message.content', letters.join(''))
    })
  })

  describe('for legacy completions', () => {
    const legacy = { id: 'cmpl-1', object: 'text_completion', created: 1750000000, model: 'davinci' }

    it('joins text and logprobs of each choice', () => {
      const tokens = (text: string, offset: number): object => ({
        tokens: [text],
        token_logprobs: [-0.5],
        top_logprobs: [{ index: -0.5 }],
        text_offset: [offset]
      })
      const chunks = [
        { ...legacy, choices: [{ index: 1, text: 'B', logprobs: null, finish_reason: null }] },
        { ...legacy, choices: [{ index: 0, text: 'On', logprobs: tokens('On', 0), finish_reason: null }] },
        { ...legacy, choices: [{ index: 0, text: 'ce', logprobs: tokens('ce', 2), finish_reason: '' }] },
        { ...legacy, choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'length' }] },
        {
          ...legacy,
          choices: [{ index: 1, text: '', logprobs: null, finish_reason: 'stop', stop_reason: 3 }]
        },
        { ...legacy, choices: [], usage }
      ]
      expect(assemble(chunks)).to.deep.equal({
        ...legacy,
        usage,
        choices: [
          {
            index: 0,
            text: 'Once',
            finish_reason: 'length',
            logprobs: {
              tokens: ['On', 'ce'],
              token_logprobs: [-0.5, -0.5],
              top_logprobs: [{ index: -0.5 }, { index: -0.5 }],
              text_offset: [0, 2]
            }
          },
          { index: 1, text: 'B', finish_reason: 'stop', logprobs: null, stop_reason: 3 }
        ]
      })
    })

    it('gives a chat completion for an endpoint that answers with deltas (Mistral)', () => {
      const result = assemble([
        { ...legacy, choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] }
      ])
      expect(result.object).to.equal('chat.completion')
      expect(result.choices).to.have.nested.property('[0].message.content', 'x')
    })

    it('keeps the reasoning in deltas beside the text', () => {
      const chunks = [
        { ...legacy, choices: [{ index: 0, text: '', delta: { reasoning_content: 'So' } }] },
        { ...legacy, choices: [{ index: 0, text: 'a' }] },
        { ...legacy, choices: [{ index: 0, text: '', delta: { reasoning: ', so.' } }] }
      ]
      expect(assemble(chunks)).to.deep.equal({
        ...legacy,
        choices: [{ index: 0, text: 'a', reasoning_content: 'So, so.', logprobs: null, finish_reason: null }]
      })
    })

    it('reads a delta where a text is missing', () => {
      const chunks = [
        { ...legacy, choices: [{ index: 0, text: 'a' }] },
        { ...legacy, choices: [{ index: 0, text: '', delta: { content: 'b' } }] },
        { ...legacy, choices: [{ index: 0, text: 'c', delta: { content: 'c' } }] }
      ]
      expect(assemble(chunks).choices).to.have.nested.property('[0].text', 'abc')
    })
  })

  describe('for responses', () => {
    const response = {
      id: 'resp_1',
      object: 'response',
      created_at: 1750000000,
      model: 'gpt-5',
      status: 'in_progress'
    }
    const message = { id: 'msg_1', type: 'message', role: 'assistant' }
    const part = { type: 'output_text', text: '', annotations: [] }
    const text = 'Hello there'
    const reasoning = { id: 'rs_1', type: 'reasoning', summary: [] }
    const call = { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'f' }

    const created = { type: 'response.created', response: { ...response, output: [] } }
    const reasoningDeltas = [
      { type: 'response.output_item.added', output_index: 0, item: reasoning },
      {
        type: 'response.reasoning_summary_part.added',
        output_index: 0,
        summary_index: 0,
        item_id: 'rs_1',
        part: { type: 'summary_text', text: '' }
      },
      {
        type: 'response.reasoning_summary_text.delta',
        output_index: 0,
        summary_index: 0,
        item_id: 'rs_1',
        delta: 'Think'
      },
      {
        type: 'response.reasoning_summary_text.delta',
        output_index: 0,
        summary_index: 0,
        item_id: 'rs_1',
        delta: 'ing'
      }
    ]
    const textDeltas = [
      {
        type: 'response.output_item.added',
        output_index: 1,
        item: { ...message, status: 'in_progress', content: [] }
      },
      { type: 'response.content_part.added', output_index: 1, content_index: 0, item_id: 'msg_1', part },
      {
        type: 'response.output_text.delta',
        output_index: 1,
        content_index: 0,
        item_id: 'msg_1',
        delta: 'Hello'
      },
      {
        type: 'response.output_text.delta',
        output_index: 1,
        content_index: 0,
        item_id: 'msg_1',
        delta: ' there'
      },
      {
        type: 'response.output_text.annotation.added',
        output_index: 1,
        content_index: 0,
        item_id: 'msg_1',
        annotation_index: 0,
        annotation: { type: 'url_citation', url: 'u' }
      }
    ]
    const callDeltas = [
      {
        type: 'response.output_item.added',
        output_index: 2,
        item: { ...call, arguments: '', status: 'in_progress' }
      },
      { type: 'response.function_call_arguments.delta', output_index: 2, item_id: 'fc_1', delta: '{"a"' },
      { type: 'response.function_call_arguments.delta', output_index: 2, item_id: 'fc_1', delta: ':1}' }
    ]
    const builtOutput = [
      { ...reasoning, summary: [{ type: 'summary_text', text: 'Thinking' }] },
      { ...message, content: [{ ...part, text, annotations: [{ type: 'url_citation', url: 'u' }] }] },
      { ...call, arguments: '{"a":1}' }
    ]
    const doneItems = [
      builtOutput[0],
      { ...builtOutput[1], status: 'completed' },
      { ...builtOutput[2], status: 'completed' }
    ]
    const done = doneItems.map((item, output_index) => ({
      type: 'response.output_item.done',
      output_index,
      item
    }))

    it('gives the response of the terminal event', () => {
      const completed = {
        ...response,
        status: 'completed',
        output: doneItems,
        usage: { total_tokens: 3 },
        own: 1
      }
      const events = [created, ...textDeltas, { type: 'response.completed', response: completed }]
      const result = new CompletionAssembler()
      for (const event of events) result.add(event)
      expect(asJSON(result.result())).to.deep.equal(completed)
      expect(result.result()).to.have.property('output_text', text)
    })

    it('gives what the official SDK accumulates as long as the response goes on', async () => {
      const events = [created, ...reasoningDeltas, ...textDeltas, ...callDeltas]
      const theirs = await ResponseStream.fromReadableStream(lines(events)).finalResponse()
      const own = new Set(['parsed', 'parsed_arguments', 'output_parsed', 'output_text'])
      const plain = JSON.parse(JSON.stringify(theirs, (key, value) => (own.has(key) ? undefined : value)))
      // The SDK leaves what was cut off `in_progress` for ever.
      const cut = JSON.parse(JSON.stringify(plain).replaceAll('in_progress', 'incomplete'))
      const assembler = new CompletionAssembler()
      for (const event of events) assembler.add(event)
      const ours = assembler.result()
      expect(asJSON(ours)).to.deep.equal(cut)
      expect(ours).to.have.property('output_text', theirs.output_text)
    })

    it('builds the output where the terminal event has none, and the official SDK gives none', async () => {
      const terminal = {
        type: 'response.completed',
        response: { ...response, status: 'completed', output: [] }
      }
      const events = [created, ...reasoningDeltas, ...textDeltas, ...callDeltas, ...done, terminal]
      const theirs = await ResponseStream.fromReadableStream(lines(events)).finalResponse()
      expect(theirs.output).to.deep.equal([])
      expect(assemble(events)).to.deep.equal({ ...response, status: 'completed', output: doneItems })
    })

    it('takes a response without a terminal event for completed when all its items are done', () => {
      const result = assemble([created, ...reasoningDeltas, ...textDeltas, ...callDeltas, ...done])
      expect(result).to.deep.equal({ ...response, status: 'completed', output: doneItems })
    })

    it('builds a response from text deltas alone, without places or ids', () => {
      const events = ['Hel', 'lo'].map(delta => ({ type: 'response.output_text.delta', delta }))
      expect(assemble(events)).to.deep.equal({
        id: '',
        object: 'response',
        status: 'incomplete',
        output: [
          {
            id: '',
            type: 'message',
            role: 'assistant',
            status: 'incomplete',
            content: [{ type: 'output_text', text: 'Hello', annotations: [] }]
          }
        ]
      })
    })

    const bare: [type: string, field: string, itemType: string][] = [
      ['response.function_call_arguments', 'arguments', 'function_call'],
      ['response.custom_tool_call_input', 'input', 'custom_tool_call'],
      ['response.mcp_call_arguments', 'arguments', 'mcp_call'],
      ['response.code_interpreter_call_code', 'code', 'code_interpreter_call']
    ]
    for (const [type, field, itemType] of bare) {
      it(`joins ${type}.delta, and takes the whole text of .done`, () => {
        const deltas = ['x', 'y'].map(delta => ({ type: `${type}.delta`, item_id: 'i', delta }))
        const item = { id: 'i', type: itemType, status: 'incomplete' }
        expect(assemble(deltas).output).to.deep.equal([{ ...item, [field]: 'xy' }])
        const whole = { type: `${type}.done`, item_id: 'i', [field]: 'xyz' }
        expect(assemble([...deltas, whole]).output).to.deep.equal([{ ...item, [field]: 'xyz' }])
        const empty = { type: `${type}.done`, item_id: 'i', [field]: '' }
        expect(assemble([...deltas, empty]).output).to.deep.equal([{ ...item, [field]: 'xy' }])
      })
    }

    it('joins refusals and reasoning texts, and keeps logprobs', () => {
      const logprob = { token: 'a', logprob: -1 }
      const events = [
        { type: 'response.reasoning_text.delta', output_index: 0, content_index: 0, delta: 'hm' },
        { type: 'response.refusal.delta', output_index: 1, content_index: 0, delta: 'N' },
        { type: 'response.refusal.delta', output_index: 1, content_index: 0, delta: 'o' },
        {
          type: 'response.output_text.delta',
          output_index: 1,
          content_index: 1,
          delta: 'a',
          logprobs: [logprob]
        }
      ]
      const [thought, said] = assemble(events).output as { content: object[] }[]
      expect(thought?.content).to.deep.equal([{ type: 'reasoning_text', text: 'hm' }])
      expect(said?.content).to.deep.equal([
        { type: 'refusal', refusal: 'No' },
        { type: 'output_text', text: 'a', annotations: [], logprobs: [logprob] }
      ])
    })

    it('keeps the text of deltas where an item is done empty', () => {
      const item = { ...message, status: 'completed', content: [] }
      const result = assemble([
        created,
        ...textDeltas,
        { type: 'response.output_item.done', output_index: 1, item }
      ])
      expect(result).to.have.nested.property('output[0].content[0].text', text)
    })

    it('keeps the status of a response that failed', () => {
      const failed = {
        ...response,
        status: 'failed',
        error: { code: 'server_error', message: 'x' },
        output: []
      }
      const result = assemble([created, ...textDeltas, { type: 'response.failed', response: failed }])
      expect(result.status).to.equal('failed')
    })

    describe('whose terminal has the fields of the response itself', () => {
      const terminal = { type: 'response.completed', sequence_number: 9 }

      it('takes them (Perplexity)', () => {
        const own = {
          id: 'own',
          model: 'sonar',
          status: 'completed',
          output: doneItems,
          usage: { total_tokens: 3 }
        }
        expect(assemble([...textDeltas, { ...terminal, ...own }])).to.deep.equal({
          object: 'response',
          ...own
        })
      })

      it('is completed, with what came before, where it has none', () => {
        const result = assemble([created, ...textDeltas, terminal])
        expect(result).to.include({ id: response.id, model: response.model, status: 'completed' })
        expect(result).to.have.nested.property('output[0].content[0].text', text)
        expect(assemble([created, ...textDeltas, { ...terminal, response: {} }])).to.deep.equal(result)
        expect(assemble([...textDeltas, { type: 'response.incomplete' }])).to.include({
          status: 'incomplete'
        })
      })
    })

    it('has an item that was cut off by a cancel incomplete', () => {
      const cancelled = { ...response, status: 'cancelled', output: [] }
      const result = assemble([created, ...textDeltas, { type: 'response.done', response: cancelled }])
      expect(result.status).to.equal('cancelled')
      expect(result).to.have.nested.property('output[0].status', 'incomplete')
    })

    for (const [name, change] of Object.entries<(event: object) => object>({
      'under the names of the Realtime API': event =>
        'delta' in event ? { ...event, type: 'response.text.delta' } : event,
      'that are called text': event => {
        const { delta, ...rest } = event as { delta?: unknown }
        return { ...rest, text: delta }
      }
    }))
      it(`joins deltas ${name}`, () => {
        expect(assemble(textDeltas.map(change))).to.deep.equal(assemble(textDeltas))
      })

    it('keeps the text that a part has when it is added, where nothing else comes of it', () => {
      const part = { type: 'output_text', text: 'Hi', annotations: [] }
      const result = assemble([
        { type: 'response.content_part.added', output_index: 0, content_index: 0, part }
      ])
      expect(result).to.have.nested.property('output[0].content[0].text', 'Hi')
    })

    it('fills in an output_text that is sent empty (OpenRouter)', () => {
      const completed = { ...response, status: 'completed', output: doneItems, output_text: '' }
      expect(assemble([{ type: 'response.completed', response: completed }]).output_text).to.equal(text)
    })

    for (const index of [4294967295, -1, 'x', '__proto__', null]) {
      it(`allocates nothing for the place ${index}`, () => {
        const event = {
          type: 'response.output_text.delta',
          output_index: index,
          content_index: index,
          delta: 'a'
        }
        const output = assemble([event, event]).output as object[]
        expect(output).to.have.length(1)
        expect(output).to.have.nested.property('[0].content').that.has.length(1)
        expect(output).to.have.nested.property('[0].content[0].text', 'aa')
      })
    }

    it('passes over events that are not of the response', () => {
      const result = assemble([
        { type: 'ping' },
        { type: 'keepalive' },
        created,
        { type: 'response.x.y' },
        { type: 'error' }
      ])
      expect(result).to.deep.equal({ ...response, output: [] })
    })
  })

  describe('text that is no string', () => {
    const assembled = (choices: object[]): Record<string, unknown>[] => {
      const assembler = new CompletionAssembler()
      for (const choice of choices) assembler.add({ choices: [choice] })
      return Reflect.get(assembler.result(), 'choices')
    }

    it('is put together from numbers, lists and bare deltas (Workers AI, gateways)', () => {
      const deltas = [{ content: 'costs ' }, { content: 6 }, { content: ['.', 0] }, '!']
      const [choice] = assembled(deltas.map(delta => ({ index: 0, delta })))
      expect(choice?.message).to.include({ content: 'costs 6.0!' })
    })

    it('is put together from numbers in the legacy API (Workers AI)', () => {
      const [choice] = assembled(['a', 6, '.'].map(text => ({ index: 0, text })))
      expect(choice?.text).to.equal('a6.')
    })

    it("keeps Envoy's reasoning and Gemini's marked thoughts out of the answer", () => {
      const google = { extra_content: { google: { thought: true } } }
      const [envoy] = assembled(
        [{ reasoning_content: { text: 'w' } }, { reasoning_content: { text: 'hy' } }, { content: 'Hi' }].map(
          delta => ({ index: 0, delta })
        )
      )
      expect(envoy?.message).to.include({ reasoning_content: 'why', content: 'Hi' })
      const [gemini] = assembled(
        [{ content: '<thought>why', ...google }, { content: '</thought>Hi' }].map(delta => ({
          index: 0,
          delta
        }))
      )
      expect(gemini?.message).to.include({ reasoning_content: 'why', content: 'Hi' })
    })

    it('fails with CS_ERR_INVALID_CHUNK where it cannot be read', () => {
      expect(() => assembled([{ index: 0, delta: { content: { a: 1 } } }]))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  })
})

import { expect } from 'chai'
import fc from 'fast-check'
import { providerErrorIn } from '#lib/chunk/failure/provider-error.js'
import { usageOf } from '#lib/chunk/fields.js'
import { Progress } from '#lib/chunk/progress.js'
import { textOf } from '#lib/chunk/text.js'
import { chunksOf, isWholeCompletion } from '#lib/chunk/whole.js'
import { CompletionAssembler } from '#lib/collect/assemble.js'
import { ToolCallAssembler } from '#lib/collect/chat/tool-call-assembler.js'

function chunksIn(whole: object): object[] {
  if (!isWholeCompletion(whole)) throw new Error('not a whole completion')
  return chunksOf(whole)
}

function assemble(chunks: object[]): unknown {
  const assembler = new CompletionAssembler()
  for (const chunk of chunks) assembler.add(chunk)
  return JSON.parse(JSON.stringify(assembler.result()))
}

/** A field of the provider's own, which no name of the API can hide. */
const own = fc.dictionary(
  fc.stringMatching(/^x_[a-z]{1,3}$/),
  fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(JSON.parse('{"__proto__":1}'))).map(asJSON),
  { maxKeys: 2 }
)

function asJSON(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function withOwn<Fields extends object>(fields: fc.Arbitrary<Fields>): fc.Arbitrary<object> {
  return fc.tuple(fields, own).map(([known, unknown]) => ({ ...known, ...unknown }))
}

const text = fc.string({ unit: 'binary' })
const finish_reason = fc.constantFrom('stop', 'length', 'tool_calls', 'content_filter', 'eos')
const usage = fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat(), total_tokens: fc.nat() })
const head = { id: fc.string({ minLength: 1 }), created: fc.integer({ min: 1 }), model: fc.string() }
const logprob = fc.record({ token: text, logprob: fc.constant(-0.5), index: fc.nat() })

const toolCall = withOwn(
  fc.oneof(
    fc.record({
      id: fc.uuid(),
      type: fc.constant('function'),
      function: withOwn(fc.record({ name: fc.constantFrom('f', '__proto__'), arguments: text }))
    }),
    fc.record({
      id: fc.uuid(),
      type: fc.constant('custom'),
      custom: fc.record({ name: fc.constant('g'), input: text })
    })
  )
)

const thinkingFirst = fc.tuple(text, text).map(([thought, said]) => [
  { type: 'thinking', thinking: [{ type: 'text', text: thought }] },
  { type: 'text', text: said }
])

const message = withOwn(
  fc.record(
    {
      role: fc.constant('assistant'),
      content: fc.oneof(text, fc.constant(null), thinkingFirst),
      refusal: fc.option(text),
      tool_calls: fc.oneof(fc.array(toolCall), fc.constant(null)),
      function_call: fc.oneof(fc.record({ name: fc.constant('f'), arguments: text }), fc.constant(null)),
      reasoning: fc.option(text),
      reasoning_content: text,
      annotations: fc.array(fc.record({ type: fc.constant('url_citation'), url: text })),
      audio: fc.option(fc.record({ id: fc.string(), data: text, transcript: text, expires_at: fc.nat() }))
    },
    { requiredKeys: ['role', 'content', 'refusal'] }
  )
)

function numbered(choices: fc.Arbitrary<object>): fc.Arbitrary<object[]> {
  return fc.array(choices, { maxLength: 3 }).map(all => all.map((choice, index) => ({ ...choice, index })))
}

const chat = withOwn(
  fc.record(
    {
      ...head,
      object: fc.constant('chat.completion'),
      choices: numbered(
        withOwn(
          fc.record({
            message,
            finish_reason,
            logprobs: fc.option(
              fc.record({ content: fc.option(fc.array(logprob)), refusal: fc.constant(null) })
            )
          })
        )
      ),
      usage: fc.option(usage),
      system_fingerprint: fc.option(fc.string()),
      service_tier: fc.constantFrom('default', null)
    },
    { requiredKeys: ['id', 'created', 'model', 'object', 'choices'] }
  )
)

const legacy = withOwn(
  fc.record(
    {
      ...head,
      object: fc.constant('text_completion'),
      choices: fc.tuple(
        withOwn(
          fc.record({
            text,
            finish_reason,
            index: fc.constant(0),
            logprobs: fc.option(fc.record({ tokens: fc.array(text), text_offset: fc.array(fc.nat()) }))
          })
        )
      ),
      usage
    },
    { requiredKeys: ['id', 'created', 'model', 'object', 'choices'] }
  )
)

const part = fc.oneof(
  withOwn(fc.record({ type: fc.constant('output_text'), text, annotations: fc.constant([]) })),
  fc.record({ type: fc.constant('refusal'), refusal: text })
)

const item = fc.oneof(
  withOwn(
    fc.record({
      id: fc.uuid(),
      type: fc.constant('message'),
      role: fc.constant('assistant'),
      status: fc.constant('completed'),
      content: fc.array(part)
    })
  ),
  fc.record({
    id: fc.uuid(),
    type: fc.constant('reasoning'),
    summary: fc.array(fc.record({ type: fc.constant('summary_text'), text })),
    content: fc.array(fc.record({ type: fc.constant('reasoning_text'), text }))
  }),
  fc.record({
    id: fc.uuid(),
    type: fc.constant('function_call'),
    call_id: fc.uuid(),
    name: fc.constant('f'),
    arguments: text,
    status: fc.constant('completed')
  }),
  fc.record({ id: fc.uuid(), type: fc.constant('web_search_call'), status: fc.constant('completed') })
)

const response = withOwn(
  fc.record({
    id: fc.uuid(),
    object: fc.constant('response'),
    created_at: fc.nat(),
    status: fc.constantFrom('completed', 'incomplete', 'failed'),
    output: fc.array(item, { maxLength: 4 }),
    usage: fc.record({ input_tokens: fc.nat(), output_tokens: fc.nat() }),
    error: fc.constant(null)
  })
)

const wholes: [name: string, whole: fc.Arbitrary<object>][] = [
  ['chat completion', chat],
  ['legacy completion', legacy],
  ['response', response]
]

describe('chunksOf', () => {
  for (const [name, whole] of wholes) {
    it(`gives chunks that assemble to the same ${name}`, () => {
      fc.assert(
        fc.property(whole, given => {
          const before = JSON.stringify(given)
          expect(assemble(chunksIn(given))).to.deep.equal(JSON.parse(before))
          expect(JSON.stringify(given)).to.equal(before)
        }),
        { numRuns: 200 }
      )
    })
  }

  it('gives the deltas of a response, from which it can be built without the terminal event', () => {
    fc.assert(
      fc.property(response, given => {
        const { output } = JSON.parse(JSON.stringify(given))
        const events = chunksIn(given).slice(0, -1)
        expect(assemble(events)).to.have.property('output').that.deep.equals(output)
        // Without the ends of the items, what is left is the deltas.
        const deltas = events.filter(
          event => !('item' in event) || !JSON.stringify(event).includes('item.done')
        )
        const built = assemble(deltas) as { output: object[] }
        const withStatus = (items: object[]): object[] => items.map(one => ({ ...one, status: 'any' }))
        expect(withStatus(built.output)).to.deep.equal(withStatus(output))
      }),
      { numRuns: 100 }
    )
  })

  const call = { id: 'call_a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }
  const chatAnswer = {
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Hi', refusal: 'No', reasoning: 'Hm', tool_calls: [call] },
        finish_reason: 'stop'
      },
      { index: 1, message: { role: 'assistant', content: 'Ho' }, finish_reason: 'length' }
    ],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
  }
  const responseAnswer = {
    id: 'r',
    object: 'response',
    status: 'completed',
    output: [
      { id: 'rs', type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm' }] },
      {
        id: 'm',
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [
          { type: 'output_text', text: 'Hi', annotations: [] },
          { type: 'refusal', refusal: 'No' }
        ]
      },
      {
        id: 'fc',
        type: 'function_call',
        call_id: 'call_a',
        name: 'f',
        arguments: '{"x":1}',
        status: 'completed'
      }
    ],
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 }
  }

  for (const [name, whole] of [
    ['chat completion', chatAnswer],
    ['response', responseAnswer]
  ] as const) {
    it(`gives chunks of a ${name} that read as if they were streamed`, () => {
      const chunks = chunksIn(whole)
      const read = (kind: 'content' | 'refusal' | 'reasoning'): string =>
        chunks.map(chunk => textOf(chunk, 0, kind)).join('')
      expect([read('content'), read('refusal'), read('reasoning')]).to.deep.equal(['Hi', 'No', 'Hm'])
      expect(chunks.map(usageOf).filter(Boolean)).to.deep.equal([whole.usage])
      const assembler = new ToolCallAssembler()
      const calls = chunks.flatMap(chunk => assembler.add(chunk))
      expect(calls).to.have.length(1)
      expect(calls[0]).to.include({ id: 'call_a', name: 'f', arguments: '{"x":1}' })
      const progress = new Progress()
      for (const [place, chunk] of chunks.entries())
        expect(progress.add(chunk), `chunk ${place}`).to.equal(false)
      expect(progress.complete).to.equal(true)
    })
  }

  it('gives the text of each choice of a chat completion', () => {
    expect(
      chunksIn(chatAnswer)
        .map(chunk => textOf(chunk, 1, 'content'))
        .join('')
    ).to.equal('Ho')
  })

  it('numbers choices that have no index', () => {
    const choices = [{ message: { content: 'a' } }, { message: { content: 'b' } }]
    const chunks = chunksIn({ choices })
    expect(chunks.map(chunk => textOf(chunk, 1, 'content')).join('')).to.equal('b')
    const legacyChunks = chunksIn({
      object: 'text_completion',
      choices: [
        { text: 'a', finish_reason: 'stop' },
        { text: 'b', finish_reason: 'stop' }
      ]
    })
    expect(legacyChunks.map(chunk => textOf(chunk, 1, 'content')).join('')).to.equal('b')
  })

  it('ends in response.failed for a response that failed, which is a provider error', () => {
    const error = { code: 'server_error', message: 'The model failed' }
    const last = chunksIn({ ...responseAnswer, status: 'failed', error }).at(-1)
    expect(last && providerErrorIn(last)).to.deep.equal(error)
  })

  for (const status of ['queued', 'in_progress', 'cancelled']) {
    it(`gives a response that is ${status} no terminal event`, () => {
      const progress = new Progress()
      for (const chunk of chunksIn({ ...responseAnswer, status })) progress.add(chunk)
      expect(progress.complete).to.equal(false)
    })
  }

  it('takes a response without a status for completed', () => {
    const { status, ...rest } = responseAnswer
    expect(status).to.equal('completed')
    expect(chunksIn(rest).at(-1)).to.include({ type: 'response.completed' })
  })

  it('reads a whole completion that leaves out all it can', () => {
    expect(chunksIn({ object: 'chat.completion', choices: [] })).to.have.length(1)
    const choices = [null, 7, {}, { message: null }, { message: { tool_calls: [null, 7] } }]
    expect(chunksIn({ object: 'chat.completion', choices })).to.have.length(3)
    expect(chunksIn({ object: 'response', output: [null, 7, {}, { type: 'message', content: [null] }] })).to
      .not.be.empty
  })
})

describe('isWholeCompletion', () => {
  const yes: [name: string, payload: object][] = [
    ['a chat completion', { object: 'chat.completion', choices: [{ message: { content: 'a' } }] }],
    ['a chat completion without an object type', { choices: [{ message: { content: 'a' } }] }],
    ['a chat completion without choices', { object: 'chat.completion', choices: [] }],
    ['a legacy completion', { object: 'text_completion', choices: [{ text: 'a', finish_reason: 'stop' }] }],
    ['a response', { object: 'response', output: [] }]
  ]
  const no: [name: string, payload: object][] = [
    ['a chunk', { object: 'chat.completion.chunk', choices: [{ delta: { content: 'a' } }] }],
    [
      'a chunk with the message so far (Perplexity)',
      { choices: [{ delta: { content: 'a' }, message: { content: 'a' } }] }
    ],
    ['a legacy chunk', { object: 'text_completion', choices: [{ text: 'a', finish_reason: null }] }],
    ['a legacy chunk without choices', { object: 'text_completion', choices: [], usage: {} }],
    ['a chunk without choices', { object: 'chat.completion.chunk', choices: [], usage: {} }],
    ['the first chunk of Azure', { object: '', choices: [], prompt_filter_results: [] }],
    ['a Responses event', { type: 'response.created', response: { object: 'response', output: [] } }],
    ['an error', { error: { message: 'No' } }],
    ['an error list', [{ error: { message: 'No' } }]],
    ['null choices', { choices: null }],
    ['anything else', { status: 'ok' }]
  ]
  for (const [name, payload] of yes)
    it(`takes ${name} for whole`, () => expect(isWholeCompletion(payload)).to.equal(true))
  for (const [name, payload] of no)
    it(`does not take ${name} for whole`, () => expect(isWholeCompletion(payload)).to.equal(false))
})

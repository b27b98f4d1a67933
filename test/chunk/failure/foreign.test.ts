import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  byChoice,
  type CompletionError,
  tapSummary,
  tapUsage,
  toCompletion,
  toText,
  toToolCalls
} from 'completion-streams'
import { admit, checkChunk, isChunkLike } from '#lib/chunk/failure/foreign.js'

const message = { role: 'assistant', content: 'Hi' }
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }

/** What is no chunk, and what its error is to say. */
const strangers: Record<string, [item: () => unknown, says: RegExp]> = {
  'a promise': [() => Promise.resolve({}), /a promise: await it/],
  'a whole chat completion': [
    () => ({ object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }),
    /a whole completion: ask for it with stream: true/
  ],
  'a whole response': [() => ({ object: 'response', output: [] }), /a whole completion/],
  'a tool call': [() => ({ choice: 0, index: 0, id: 'a', name: 'f', arguments: '{}' }), /a tool call/],
  'a Response': [() => new Response('{}'), /fromResponse\(response\)/],
  'an event': [() => ({ event: 'message', data: '{}' }), /an event: put toChunks\(\)/],
  'a web stream': [() => new ReadableStream(), /a stream/],
  'a Node stream': [() => Readable.from([]), /a stream/],
  bytes: [() => Buffer.from('Hi'), /bytes: put toChunks\(\)/],
  'a string': [() => 'Hi', /a string: put toChunks\(\)/],
  'an array': [() => [{ choices: [] }], /an array/],
  'a Map': [() => new Map(), /a Map/],
  'an error': [() => new Error('Hi'), /an error/],
  "LangChain's chunk": [() => ({ lc_namespace: ['langchain_core'], content: 'Hi' }), /LangChain/],
  "a part of the AI SDK's stream": [() => ({ type: 'text-delta', id: '1', delta: 'Hi' }), /the AI SDK/],
  "an event of Anthropic's": [
    () => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } }),
    /Anthropic/
  ],
  "an event of Anthropic's with usage": [
    () => ({ type: 'message_delta', delta: {}, usage: { output_tokens: 1 } }),
    /Anthropic/
  ],
  "a chunk of Gemini's": [() => ({ candidates: [{ content: { parts: [{ text: 'Hi' }] } }] }), /Gemini/],
  "an event of Cohere's": [() => ({ type: 'content-delta', delta: { message: {} } }), /Cohere/],
  "a line of Ollama's": [() => ({ model: 'm', message, done: false }), /Ollama/],
  'a record of completeEach': [
    () => ({
      key: '1',
      row: 'Hi',
      text: 'Hi',
      usage,
      completion: { object: 'chat.completion', choices: [{ index: 0, message }] },
      attempts: 1,
      elapsed: 5
    }),
    /a record of completeEach: its answer is whole, so read its text, its completion or its error/
  ],
  'a record of completeEach that failed': [
    () => ({ key: '1', row: 'Hi', error: { name: 'Error', message: 'Hi' }, attempts: 3, elapsed: 5 }),
    /a record of completeEach: /
  ],
  'a result of fromBatchFile': [() => ({ key: '1', completion: {}, text: 'Hi', usage }), /fromBatchFile: /],
  'a result of fromBatchFile that failed': [
    () => ({ key: '1', error: { name: 'CompletionError', message: 'Hi' } }),
    /fromBatchFile: /
  ],
  'what readCompletion resolves to': [
    () => ({ text: 'Hi', completion: { choices: [] }, usage, summary: { outcome: 'complete' } }),
    /what readCompletion resolves to: /
  ],
  'a summary': [
    () => ({ outcome: 'complete', usage, usageStatus: 'reported', isWhole: true, chunks: 3 }),
    /a summary: put the stage behind tapSummary\(\)/
  ],
  'a line of the Batch API': [
    () => ({ id: 'b', custom_id: '1', response: { status_code: 200, body: {} }, error: null }),
    /an object with a text in a form of its own/
  ],
  'a text with usage': [() => ({ usage, text: 'Hi' }), /an object with a text in a form of its own: emit/],
  'a text with empty usage': [
    () => ({ usage: {}, text: 'Hi' }),
    /an object with a text in a form of its own/
  ],
  'a text with a cost': [() => ({ cost: 1, answer: 'Hi' }), /an object with a text in a form of its own/],
  'another object': [() => ({ hello: 'Hi' }), /an object of another kind/]
}

const chunks: Record<string, object> = {
  'an ordinary chunk': { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] },
  "Azure's first": { choices: [], id: '', prompt_filter_results: [] },
  'usage alone': { usage: { total_tokens: 1 } },
  "Perplexity's, with a message beside the delta": {
    object: 'chat.completion',
    choices: [{ delta: {}, message }]
  },
  'a legacy chunk': { object: 'text_completion', choices: [{ index: 0, text: 'Hi' }] },
  'a Responses event': { type: 'response.in_progress' },
  'a keep-alive': { type: 'keepalive', sequence_number: 1 },
  'a cost behind the end (OpenCode)': { choices: [], cost: '0' },
  'a chunk without choices': { object: 'chat.completion.chunk' },
  'an error event': { type: 'error', message: 'overloaded' },
  'an error alone': { error: { message: 'overloaded', code: 529 } },
  'an error with an id of its request': { error: { message: 'overloaded' }, key: 'k-1', request_id: 'r' },
  'usage with what a provider puts beside it': {
    id: 'gen-1',
    provider: 'Groq',
    model: 'm',
    usage: { total_tokens: 1 },
    citations: ['https://a.example'],
    text: '',
    content: null
  },
  "Groq's usage": { id: 'a', x_groq: { id: 'req_1', usage: { total_tokens: 1 } } },
  'a Responses event without its type': { response: { id: 'resp_1', usage: { total_tokens: 1 } } },
  'a cost alone': { cost: '0.001' },
  'filters alone': { prompt_filter_results: [{ prompt_index: 0 }] },
  'moderation alone': { moderation: { flagged: false } },
  'padding alone': { obfuscation: 'aB3' }
}

const stages = {
  toText: () => toText(),
  toCompletion: () => toCompletion(),
  toToolCalls: () => toToolCalls(),
  tapUsage: () => tapUsage(() => {}),
  tapSummary: () => tapSummary(() => {}),
  byChoice: () => byChoice(() => new Writable({ write: (_text, _encoding, callback) => callback() }))
}

/** A sink that takes objects, so that a whole completion may leave its stage. */
function anySink(): Writable {
  return new Writable({ objectMode: true, write: (_item, _encoding, callback) => callback() })
}

async function run(
  items: unknown[],
  make: () => NodeJS.ReadWriteStream | Writable
): Promise<CompletionError | undefined> {
  const stage = make()
  const streams =
    'readable' in stage && stage.readable ? [stage as NodeJS.ReadWriteStream, anySink()] : [stage as Writable]
  try {
    await pipeline([Readable.from(items), ...streams] as never)
    return undefined
  } catch (error) {
    return error as CompletionError
  }
}

describe('checkChunk', () => {
  for (const [name, [make, says]] of Object.entries(strangers)) {
    it(`says of ${name} what it is and what to write, and shows nothing of it`, () => {
      expect(() => checkChunk('toText', make()))
        .to.throw(says)
        .with.property('code', 'CS_ERR_INVALID_CHUNK')
      expect(() => checkChunk('toText', make())).to.throw(/^toText takes chunks, not (?!.*\bHi\b)/)
    })
  }

  for (const [name, chunk] of Object.entries(chunks)) {
    it(`takes ${name} for a chunk`, () => {
      expect(() => checkChunk('toText', chunk)).not.to.throw()
      expect(isChunkLike(chunk)).to.equal(true)
    })
  }

  it('takes what toChunks has admitted', () => {
    const item = { hello: 'Hi' }
    admit(item)
    expect(() => checkChunk('toText', item)).not.to.throw()
    expect(Object.keys(item)).to.deep.equal(['hello'])
  })

  for (const [name, make] of Object.entries(stages)) {
    for (const stranger of [
      'a whole chat completion',
      'a tool call',
      "a chunk of Gemini's",
      'a record of completeEach',
      'a record of completeEach that failed',
      'a summary',
      'what readCompletion resolves to',
      'a text with usage',
      'another object'
    ]) {
      it(`fails ${name} with CS_ERR_INVALID_CHUNK for ${stranger}`, async () => {
        const error = await run([chunks['an ordinary chunk'], strangers[stranger]?.[0]()], make)
        expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
        expect(error?.message).to.match(new RegExp(`^${name} takes chunks`))
      })
    }
  }
})

import { Readable } from 'node:stream'
import { expect } from 'chai'
import {
  type Chunk,
  type ToolCall,
  tapUsage,
  toChunks,
  toCompletion,
  toText,
  toToolCalls,
  type Usage,
  type WholeCompletion
} from 'completion-streams'
import { type Endpoint, type Script, serveCompletions } from 'completion-streams/testing'
import fc from 'fast-check'
import type OpenAI from 'openai'
import { all, ask, askWhole, endpoints, type Failure, run, serve } from '../answers.js'

/** An answer with all that the API in question can say. */
const said: Script = {
  id: 'chatcmpl-1',
  model: 'model-1',
  service_tier: 'default',
  fields: { provider: 'Loopback' },
  usage: { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 },
  choices: [
    {
      pieces: [
        { at: 0, reasoning: 'The user asks. ' },
        { at: 1, text: 'Hello, wörld 😀' },
        { at: 2, refusal: 'Not more.' },
        { at: 3, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":"Rome"}' } },
        { at: 4, toolCall: { index: 1, id: 'call_2', name: 'time', arguments: '{}' } }
      ]
    },
    { pieces: [{ at: 0, text: 'Second' }] }
  ]
}

/** What a stream of chunks says, as the stages behind `toChunks` read it. */
interface Reading {
  texts: string[]
  usages: Usage[]
  calls: ToolCall[]
  completions: WholeCompletion[]
}

function asJSON<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value))
}

async function readingOf(body: Iterable<string | Uint8Array>): Promise<Reading> {
  const usages: Usage[] = []
  const chunks = await all<Chunk>(
    Readable.from(body),
    toChunks(),
    tapUsage(usage => void usages.push(usage))
  )
  const read = (...stages: Parameters<typeof all>): Promise<unknown[]> =>
    all(Readable.from(chunks), ...stages)
  const texts: string[] = []
  for (const options of [{}, { choice: 1 }, { from: 'refusal' }, { from: 'reasoning' }] as const)
    texts.push((await read(toText(options)).catch(({ code }) => [code])).join(''))
  return {
    texts,
    usages,
    calls: await all<ToolCall>(Readable.from(chunks), toToolCalls()),
    completions: asJSON(await all<WholeCompletion>(Readable.from(chunks), toCompletion()))
  }
}

/** A text cut into pieces at random places, as bytes. */
function cuts(text: string): fc.Arbitrary<Uint8Array[]> {
  const bytes = Buffer.from(text)
  return fc.array(fc.nat({ max: bytes.length }), { maxLength: 8 }).map(places => {
    const ends = [...places.sort((one, other) => one - other), bytes.length]
    return ends.map((end, place) => bytes.subarray(ends[place - 1] ?? 0, end))
  })
}

async function failureOfBody(
  body: string | string[],
  options?: Parameters<typeof toChunks>[0]
): Promise<Failure> {
  const { error } = await run(Readable.from([body].flat()), toChunks(options))
  if (!error) throw new Error('it did not fail')
  return error
}

/** The whole answer of each API, and how the same answer reads when it is streamed. */
const wholes = new Map<Endpoint, { whole: object; streamed: Reading }>()

describe('toChunks of a body that is no event stream', () => {
  before(async () => {
    await using server = await serve({ script: said })
    for (const endpoint of endpoints) {
      const whole = await askWhole(server, endpoint)
      wholes.set(endpoint, { whole, streamed: await readingOf(await all<Uint8Array>(ask(server, endpoint))) })
    }
  })

  function wholeOf(endpoint: Endpoint): { whole: object; streamed: Reading } {
    const known = wholes.get(endpoint)
    if (!known) throw new Error('the server has not been asked')
    return known
  }

  for (const endpoint of endpoints) {
    describe(`a whole answer (${endpoint})`, () => {
      it('reads as if it were streamed, over HTTP', async () => {
        await using server = await serve({ script: said, faults: { ignoreStream: true } })
        expect(await readingOf(await all<Uint8Array>(ask(server, endpoint)))).to.deep.equal(
          wholeOf(endpoint).streamed
        )
      })

      it('says in text, usage and tool calls what the model said', async () => {
        const { texts, usages, calls, completions } = await readingOf([
          JSON.stringify(wholeOf(endpoint).whole)
        ])
        const more = endpoint === 'completions' ? ['', ''] : ['Not more.', 'The user asks. ']
        // The Responses API has one choice only.
        const second = endpoint === 'responses' ? 'CS_ERR_INVALID_CHUNK' : 'Second'
        expect(texts).to.deep.equal(['Hello, wörld 😀', second, ...more])
        expect(usages).to.have.lengthOf(1)
        expect(usages[0]).to.include({ total_tokens: 14 })
        expect(calls.map(({ name }) => name)).to.deep.equal(
          endpoint === 'completions' ? [] : ['weather', 'time']
        )
        expect(completions).to.deep.equal([wholeOf(endpoint).whole])
      })

      for (const { form, write } of [
        { form: 'on one line', write: (whole: object) => JSON.stringify(whole) },
        { form: 'on one line with a line end', write: (whole: object) => `${JSON.stringify(whole)}\n` },
        { form: 'pretty-printed', write: (whole: object) => JSON.stringify(whole, null, 2) },
        {
          form: 'pretty-printed with CRLF',
          write: (whole: object) => JSON.stringify(whole, null, '\t').replaceAll('\n', '\r\n')
        },
        { form: 'behind a byte order mark', write: (whole: object) => `\uFEFF${JSON.stringify(whole)}` },
        {
          form: 'behind white space',
          write: (whole: object) => ` \n\r\n\t ${JSON.stringify(whole, null, 1)}\n\n`
        },
        { form: 'in an array', write: (whole: object) => JSON.stringify([whole]) },
        { form: 'as one event', write: (whole: object) => `data: ${JSON.stringify(whole)}\n\n` },
        {
          form: 'as one event with an end mark',
          write: (whole: object) => `data: ${JSON.stringify(whole)}\n\ndata: [DONE]\n\n`
        }
      ]) {
        it(`reads as if it were streamed, ${form}, cut anywhere`, async () => {
          const { whole, streamed } = wholeOf(endpoint)
          await fc.assert(
            fc.asyncProperty(cuts(write(whole)), async body => {
              expect(await readingOf(body)).to.deep.equal(streamed)
            }),
            { numRuns: 15 }
          )
        })
      }

      it('fails with CS_ERR_TRUNCATED, and what there was as residue, when it breaks off anywhere', async () => {
        const text = JSON.stringify(wholeOf(endpoint).whole, null, 1)
        await fc.assert(
          fc.asyncProperty(fc.integer({ min: 1, max: text.length - 1 }), async length => {
            const error = await failureOfBody(text.slice(0, length))
            expect(error).to.include({ code: 'CS_ERR_TRUNCATED', residue: text.slice(0, length) })
          }),
          { numRuns: 50 }
        )
      })

      it('fails with CS_ERR_TRUNCATED when the connection dies within it', async () => {
        const faults = { ignoreStream: true, cutAfter: { bytes: 100 } }
        await using server = await serve({ script: said, faults })
        const { items, error } = await run(ask(server, endpoint), toChunks())
        expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
        expect(items).to.deep.equal([])
      })

      it('may be one of many, one per line', async () => {
        const { whole, streamed } = wholeOf(endpoint)
        const others = [whole, { ...whole, id: 'another' }, whole]
        const { completions, usages } = await readingOf(others.map(one => `${JSON.stringify(one)}\n`))
        expect(completions).to.deep.equal(others)
        expect(usages).to.have.lengthOf(3)
        expect(completions[0]).to.deep.equal(streamed.completions[0])
      })
    })

    it(`reads the chunks of a stream one per line, cut anywhere (${endpoint})`, async () => {
      await using server = await serve({ script: said })
      const chunks = await all(ask(server, endpoint), toChunks())
      const lines = `\n${chunks.map(chunk => JSON.stringify(chunk)).join('\r\n\r\n')}`
      await fc.assert(
        fc.asyncProperty(cuts(lines), async body => {
          expect(await all(Readable.from(body), toChunks())).to.deep.equal(chunks)
        }),
        { numRuns: 15 }
      )
      expect(await readingOf([lines])).to.deep.equal(wholeOf(endpoint).streamed)
    })

    it(`reads an array of the chunks of a stream (${endpoint})`, async () => {
      await using server = await serve({ script: said })
      const chunks = await all(ask(server, endpoint), toChunks())
      expect(await all(Readable.from([JSON.stringify(chunks, null, 2)]), toChunks())).to.deep.equal(chunks)
    })
  }

  it('gives the chunks of a line as soon as it has ended', async () => {
    const stage = toChunks()
    stage.write('{"choices":[{"delta":{"content":"a"}}]}\n{"choices":')
    expect(stage.read()).to.deep.equal({ choices: [{ delta: { content: 'a' } }] })
    stage.destroy()
  })

  for (const status of ['queued', 'in_progress', 'cancelled']) {
    it(`fails with CS_ERR_TRUNCATED for a response that is ${status}`, async () => {
      const body = { ...wholeOf('responses').whole, status, output: [], usage: null }
      expect(await failureOfBody(JSON.stringify(body))).to.have.property('code', 'CS_ERR_TRUNCATED')
    })
  }

  it('takes the JSON of content that a server has parsed for its text (JSON mode)', async () => {
    const message = { role: 'assistant', content: { a: [1, 'two'] } }
    const body = JSON.stringify({
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'stop' }]
    })
    expect(await all(Readable.from([body]), toChunks(), toText())).to.deep.equal(['{"a":[1,"two"]}'])
    const [whole] = await all<OpenAI.ChatCompletion>(Readable.from([body]), toChunks(), toCompletion())
    expect(whole?.choices[0]?.message.content).to.equal('{"a":[1,"two"]}')
  })

  it('has no failure but CS_ERR_INVALID_CHUNK for such content that is deep', async () => {
    const body = `{"object":"chat.completion","choices":[{"index":0,"message":{"content":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}},"finish_reason":"stop"}]}`
    const { error } = await run(Readable.from([body]), toChunks(), toText())
    // How deep an object JSON.stringify can write is up to the version of Node.
    if (error) expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  it('takes a whole response without a status for complete, and passes over what is no item or part', async () => {
    const content = [
      null,
      'b',
      { type: 'output_text', text: 'a' },
      { type: 'output_text' },
      { type: 'audio' }
    ]
    const output = [null, 1, { type: 'message', content }, { type: 'reasoning', summary: 'short' }, {}]
    const body = { object: 'response', id: 'resp_1', output }
    const { texts, completions } = await readingOf([JSON.stringify(body)])
    expect(texts[0]).to.equal('a')
    expect(completions).to.deep.equal([body])
  })

  it('takes a whole chat completion without a finish reason for complete (Snowflake)', async () => {
    const body = JSON.stringify({ choices: [{ message: { content: 'Hi' } }] })
    expect(await all(Readable.from([body]), toChunks(), toText())).to.deep.equal(['Hi'])
  })

  describe('lines of JSON', () => {
    const line = (content: string) => JSON.stringify({ choices: [{ index: 0, delta: { content } }] })
    const last = JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })

    for (const [what, bad] of Object.entries({
      malformed: '{"choices":]}',
      'no object': '"choices"',
      'no completion': '{"level":"info","text":"started"}',
      'in another array': '[[{}]]'
    })) {
      for (const place of [0, 1]) {
        const lines = [line('a'), line('b'), last]
        lines.splice(place, 0, bad)
        // A body that begins with a quotation mark is none in JSON.
        if (place === 0 && bad.startsWith('"')) continue

        it(`fail with CS_ERR_INVALID_CHUNK where line ${place} is ${what}, after those before it`, async () => {
          const { items, error } = await run(Readable.from([lines.join('\n')]), toChunks(), toText())
          expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
          expect(items).to.deep.equal(['a'].slice(0, place))
        })

        it(`are read on with onInvalid: 'skip' where line ${place} is ${what}`, async () => {
          const stage = toChunks({ onInvalid: 'skip' })
          expect(await all(Readable.from([lines.join('\n')]), stage, toText())).to.deep.equal(['a', 'b'])
          expect(stage.skipped).to.equal(1)
        })
      }
    }

    it('fail with CS_ERR_TRUNCATED where the last one is cut, with it as residue', async () => {
      const { items, error } = await run(
        Readable.from([`${line('a')}\n${line('b').slice(0, 20)}`]),
        toChunks(),
        toText()
      )
      expect(error).to.include({ code: 'CS_ERR_TRUNCATED', residue: line('b').slice(0, 20) })
      expect(items).to.deep.equal(['a'])
    })

    it('fail with CS_ERR_TRUNCATED where they end before the completion is complete', async () => {
      expect(await failureOfBody(`${line('a')}\n`)).to.have.property('code', 'CS_ERR_TRUNCATED')
      const texts = await all(Readable.from([`${line('a')}\n`]), toChunks({ requireEnd: false }), toText())
      expect(texts).to.deep.equal(['a'])
    })

    it('fail with CS_ERR_PROVIDER where one reports an error, after those before it', async () => {
      const body = `${line('a')}\n{"error":{"message":"overloaded","code":529}}\n${line('b')}\n`
      const { items, error } = await run(Readable.from([body]), toChunks(), toText())
      expect(error).to.include({ code: 'CS_ERR_PROVIDER', providerCode: 529 })
      expect(items).to.deep.equal(['a'])
    })

    it('fail with CS_ERR_EVENT_TOO_LARGE where one is too large, after those before it', async () => {
      const body = `${line('a')}\n${line('b'.repeat(1000))}\n`
      const { items, error } = await run(Readable.from([body]), toChunks({ maxEventSize: 500 }), toText())
      expect(error).to.include({ code: 'CS_ERR_EVENT_TOO_LARGE', limit: 500 })
      expect(items).to.deep.equal(['a'])
    })
  })

  describe('a body that is an error', () => {
    const errors: Record<string, { body: unknown; message: string }> = {
      OpenAI: {
        body: {
          error: { message: 'Bad key.', type: 'invalid_request_error', param: null, code: 'invalid_api_key' }
        },
        message: 'Bad key.'
      },
      'an error that is text': { body: { error: 'Bad key.' }, message: 'Bad key.' },
      Anthropic: {
        body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
        message: 'Overloaded'
      },
      Google: {
        body: [{ error: { code: 429, message: 'Quota exceeded.', status: 'RESOURCE_EXHAUSTED' } }],
        message: 'Quota exceeded.'
      },
      FastAPI: { body: { detail: 'Not Found' }, message: 'Not Found' },
      'a FastAPI list': {
        body: { detail: [{ loc: ['body'], msg: 'field required' }] },
        message: 'field required'
      },
      vLLM: {
        body: { object: 'error', message: 'No such model.', type: 'NotFoundError', code: 404 },
        message: 'No such model.'
      },
      'a bare message': { body: { message: 'no Route matched' }, message: 'no Route matched' },
      'a list of errors': {
        body: { success: false, errors: [{ code: 10000, message: 'Authentication error' }] },
        message: 'Authentication error'
      },
      'a response that failed': {
        body: {
          id: 'resp_1',
          object: 'response',
          status: 'failed',
          error: { code: 'server_error', message: 'It broke.' },
          output: []
        },
        message: 'It broke.'
      }
    }
    for (const [name, { body, message }] of Object.entries(errors)) {
      for (const space of [undefined, 2]) {
        it(`fails with CS_ERR_PROVIDER, whose message it gives: ${name}${space ? ', pretty-printed' : ''}`, async () => {
          const text = JSON.stringify(body, null, space)
          await fc.assert(
            fc.asyncProperty(cuts(text), async pieces => {
              const { items, error } = await run(Readable.from(pieces), toChunks())
              expect(error).to.include({
                code: 'CS_ERR_PROVIDER',
                message: `provider reported an error: ${message}`
              })
              expect(error?.cause).to.deep.equal(body)
              expect(
                items.filter(item => !/^response\./.test((item as { type?: string }).type ?? ''))
              ).to.deep.equal([])
            }),
            { numRuns: 10 }
          )
        })
      }
    }

    it('hands on the chunks of an array that stand before its error', async () => {
      const body = [{ choices: [{ delta: { content: 'a' } }] }, { error: { message: 'cut' } }]
      const { items, error } = await run(Readable.from([JSON.stringify(body)]), toChunks(), toText())
      expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
      expect(items).to.deep.equal(['a'])
    })
  })

  describe('a body that is neither', () => {
    const page = `<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n${'<p>sorry</p>\n'.repeat(100)}</html>`
    for (const [name, body] of Object.entries({
      HTML: page,
      'HTML behind a byte order mark': `\uFEFF${page}`,
      'HTML behind white space': `\r\n  ${page}`,
      'plain text': `upstream connect error or disconnect/reset before headers. ${'x'.repeat(300)}`,
      'JSON that is no completion': JSON.stringify({ models: Array.from({ length: 50 }, () => 'gpt') }),
      'JSON that is no completion, pretty-printed': JSON.stringify(
        { models: Array.from({ length: 50 }, () => 'gpt') },
        null,
        2
      ),
      'JSON with more behind it': `{"choices":[]} ${'x'.repeat(300)}`
    })) {
      it(`fails with CS_ERR_INVALID_CHUNK, and shows its first 200 characters: ${name}`, async () => {
        const beginning = body
          .replace(/^[\s\uFEFF]+/, '')
          .slice(0, 200)
          .replaceAll('\n', ' ')
        await fc.assert(
          fc.asyncProperty(cuts(body), async pieces => {
            const { items, error } = await run(Readable.from(pieces), toChunks())
            expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
            expect(error?.message).to.match(/.{200}$/s)
            expect(error?.message.slice(-200)).to.equal(beginning)
            expect(items).to.deep.equal([])
          }),
          { numRuns: 10 }
        )
      })
    }

    for (const body of [
      '{}',
      '[{}]',
      '[{"a":1}]',
      '[1]',
      '["a"]',
      '[]',
      '[[]]',
      '{"data":"a"}',
      'true',
      '12',
      '"a"',
      'null'
    ]) {
      it(`fails with CS_ERR_INVALID_CHUNK: ${body}`, async () => {
        const { items, error } = await run(Readable.from([body]), toChunks())
        expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
        expect(items).to.deep.equal([])
      })
    }

    for (const body of ['', ' \r\n\n', '\uFEFF', '[null]', '\uFEFF\n{', '[{"choices":[]}']) {
      it(`fails with CS_ERR_TRUNCATED: ${JSON.stringify(body)}`, async () => {
        const { items, error } = await run(Readable.from(body === '' ? [] : [body]), toChunks())
        expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
        expect(items).to.deep.equal([])
      })
    }

    for (const { form, body } of [
      { form: 'one line', body: JSON.stringify({ choices: [{ message: { content: 'a'.repeat(1000) } }] }) },
      {
        form: 'many lines',
        body: JSON.stringify({ choices: Array.from({ length: 100 }, () => ({ message: {} })) }, null, 1)
      }
    ]) {
      it(`fails with CS_ERR_EVENT_TOO_LARGE when it is too large, in ${form}, however it is cut`, async () => {
        await fc.assert(
          fc.asyncProperty(cuts(body), async pieces => {
            const { error } = await run(Readable.from(pieces), toChunks({ maxEventSize: 500 }))
            expect(error).to.include({ code: 'CS_ERR_EVENT_TOO_LARGE', limit: 500 })
          }),
          { numRuns: 20 }
        )
      })
    }

    it('fails with CS_ERR_INVALID_CHUNK for JSON that is nested deeper than a stack goes', async () => {
      const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
      expect(await failureOfBody(deep)).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
      expect(await failureOfBody(`{"a":${deep}}`)).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  })

  it('costs an event stream nothing: what is in its events stays as it is', async () => {
    await using server = await serveCompletions({ script: said, speed: Infinity })
    const chunks = await all<Chunk>(ask(server), toChunks())
    const body = chunks.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`)
    expect(await all(Readable.from(body), toChunks())).to.deep.equal(chunks)
  })
})

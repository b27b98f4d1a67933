import { StringDecoder } from 'node:string_decoder'
import { inspect } from 'node:util'
import { expect } from 'chai'
import type { Chunk } from 'completion-streams'
import fc from 'fast-check'
import { ChunkParser, type ChunkParserOptions } from '#lib/decode/chunk-parser.js'
import { CompletionError } from '#lib/errors.js'
import { cutAt, eventStream, fixture, inPiecesOf, places } from '../pieces.js'

const defaults: ChunkParserOptions = {
  onInvalid: 'fail',
  onCut: 'pass',
  requireEnd: true,
  choices: 0,
  maxChoices: 10_000,
  maxEventSize: Infinity
}

interface Parsed {
  chunks: Chunk[]
  code?: string
  message?: string
  residue?: string
  skipped: number
}

function parse(pieces: Iterable<string>, options: Partial<ChunkParserOptions> = {}): Parsed {
  const chunks: Chunk[] = []
  const settled: ChunkParserOptions = { ...defaults, ...options }
  let skipped = 0
  const onSkip = () => {
    skipped++
  }
  const parser = new ChunkParser(settled, { onChunk: chunk => chunks.push(chunk), onSkip })
  try {
    for (const piece of pieces) parser.feed(piece)
    parser.end()
    return { chunks, skipped }
  } catch (error) {
    if (!(error instanceof CompletionError)) throw error
    const { code, message, residue } = error
    return { chunks, skipped, code, message, residue }
  }
}

const text = { id: 'a', choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] }
const finish = { id: 'a', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const usage = { id: 'a', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }
const done = '[DONE]'
const whole = eventStream(text, finish, done)

describe('ChunkParser', () => {
  it('gives the chunks as they came, unknown fields and all', () => {
    const odd = { ...text, x_new: { deep: [null, 1.5, 'é'] }, ['__proto__']: { choices: [] } }
    const payload = JSON.stringify(odd)
    expect(JSON.stringify(parse([eventStream(payload, done)]).chunks)).to.equal(`[${payload}]`)
  })

  it('gives the chunks of Azure, which opens without a choice, an id or a delta', () => {
    const opening = {
      choices: [],
      id: '',
      model: '',
      object: '',
      prompt_filter_results: [{ prompt_index: 0 }]
    }
    const bare = { choices: [{ index: 0, finish_reason: null, content_filter_results: {} }] }
    expect(parse([eventStream(opening, bare, text, finish, done)])).to.deep.equal({
      chunks: [opening, bare, text, finish],
      skipped: 0
    })
  })

  it('gives the chunks of a payload that is an array of them', () => {
    expect(parse([eventStream([text, null, finish], done)]).chunks).to.deep.equal([text, finish])
  })

  it('gives a last chunk that repeats the whole answer as a message as it came (MiniMax)', () => {
    const message = { role: 'assistant', content: 'Hi' }
    const last = {
      id: 'a',
      object: 'chat.completion',
      choices: [{ index: 0, finish_reason: 'stop', message }]
    }
    expect(parse([eventStream(text, last)])).to.deep.equal({ chunks: [text, last], skipped: 0 })
  })

  describe('the end mark', () => {
    for (const [name, mark] of Object.entries({
      'with spaces round it': 'data:   [DONE]  \n\n',
      'under an event name': 'event: done\ndata: [DONE]\n\n',
      'under the event name error': 'event: error\ndata: [DONE]\n\n',
      'without its blank line (Azure)': 'data: [DONE]\n',
      'without its line end (llama.cpp)': 'data: [DONE]',
      'as a bare line': '[DONE]\n',
      twice: 'data: [DONE]\n\ndata: [DONE]\n\n'
    })) {
      it(`ends a completion ${name}`, () => {
        expect(parse([eventStream(text) + mark])).to.deep.equal({ chunks: [text], skipped: 0 })
      })
    }

    it('is not the last word: the next completion follows', () => {
      expect(parse([whole + whole]).chunks).to.deep.equal([text, finish, text, finish])
    })

    it('does not hide that the next completion is truncated', () => {
      expect(parse([whole + eventStream(text)])).to.include({ code: 'CS_ERR_TRUNCATED' })
    })

    it('may be followed by usage', () => {
      expect(parse([whole + eventStream(usage)])).to.deep.equal({ chunks: [text, finish, usage], skipped: 0 })
    })

    it('may be followed by a payload that says nothing', () => {
      expect(parse([whole + eventStream({}, { type: 'ping' })])).to.not.have.property('code')
    })

    it('may be followed by what is no event', () => {
      expect(parse([`${whole}: bye\n\nid: 7\n\nevent: close\n\nbye\n`]).code).to.equal(undefined)
    })
  })

  describe('what keeps the connection alive', () => {
    for (const [name, event] of Object.entries({
      'a comment (OpenRouter)': ': OPENROUTER PROCESSING\n\n',
      'a comment without a word': ':\n\n',
      'a comment without a blank line': ': keep-alive\n',
      'an event without data': 'event: ping\n\n',
      'empty data': 'data:\n\n',
      'blank data': 'data:   \n\n',
      'data without a colon': 'data\n\n',
      null: 'data: null\n\n',
      'null under an event name': 'event: ping\ndata: null\n\n',
      'null under the event name error': 'event: error\ndata: null\n\n',
      'blank lines': '\n\r\n\n',
      'an unknown field': 'x-request-id: 12\n\n'
    })) {
      it(`gives no chunk for ${name}`, () => {
        const stream = event + eventStream(text) + event + eventStream(finish, done) + event
        expect(parse([stream])).to.deep.equal({ chunks: [text, finish], skipped: 0 })
      })

      it(`fails with CS_ERR_TRUNCATED when there is nothing but ${name}`, () => {
        const { code, chunks } = parse([event + event])
        // An unknown field may as well be a line of plain text.
        expect(code).to.equal(name === 'an unknown field' ? 'CS_ERR_INVALID_CHUNK' : 'CS_ERR_TRUNCATED')
        expect(chunks).to.deep.equal([])
      })
    }
  })

  describe('an input that ends', () => {
    const choices = (...states: [index: number, finish_reason: string | null][]) =>
      states.map(([index, finish_reason]) => ({ choices: [{ index, delta: {}, finish_reason }] }))

    for (const [name, stream] of Object.entries({
      'without [DONE] when the choice has finished (Perplexity, Writer)': eventStream(text, finish),
      'with usage and without [DONE]': eventStream(text, finish, usage),
      'with [DONE] and without a finish reason (Snowflake)': eventStream(text, done),
      'when all of three choices have finished': eventStream(
        ...choices([0, 'stop'], [1, 'eos'], [2, 'length'])
      ),
      'with response.completed': eventStream({ type: 'response.created' }, { type: 'response.completed' }),
      'with response.incomplete': eventStream({ type: 'response.incomplete' }),
      'in the middle of [DONE]': `${eventStream(text, finish)}data: [DO`,
      'in the middle of a keep-alive': `${eventStream(text, finish)}data: nul`,
      'in the middle of a field name': `${eventStream(text, finish)}da`,
      'in the middle of a comment': `${eventStream(text, finish)}: kee`
    })) {
      it(`is complete ${name}`, () => {
        expect(parse([stream]).code).to.equal(undefined)
      })
    }

    for (const [name, stream] of Object.entries({
      'with no bytes at all': '',
      'with blank space only': ' \n ',
      'with a byte order mark only': '\uFEFF',
      'in the middle of the text': eventStream(text),
      'with an empty finish reason': eventStream({ choices: [{ index: 0, finish_reason: '' }] }),
      'with one of three choices unfinished': eventStream(...choices([0, 'stop'], [1, null], [2, 'length'])),
      'with usage alone': eventStream(usage),
      'before the Responses terminal': eventStream(
        { type: 'response.created' },
        { type: 'response.in_progress' }
      ),
      'in the middle of the first [DONE]': 'data: [DON',
      'in the middle of a keep-alive': `${eventStream(text)}data: nul`,
      'in the middle of a field name': `${eventStream(text)}dat`,
      'behind a field name': `${eventStream(text)}event`
    })) {
      it(`fails with CS_ERR_TRUNCATED ${name}`, () => {
        expect(parse([stream])).to.include({ code: 'CS_ERR_TRUNCATED', residue: undefined })
      })

      it(`does not fail ${name} when no end is required`, () => {
        expect(parse([stream], { requireEnd: false }).code).to.equal(undefined)
      })
    }

    it('gives an event without its blank line when it is whole', () => {
      expect(parse([eventStream(text).trimEnd()]).chunks).to.deep.equal([text])
      expect(parse([eventStream(text, finish).trimEnd()])).to.deep.equal({
        chunks: [text, finish],
        skipped: 0
      })
    })

    it('keeps half a JSON text as the residue of a CS_ERR_TRUNCATED', () => {
      expect(parse([`${eventStream(text, finish)}data: {"id":"a","cho`])).to.deep.include({
        chunks: [text, finish],
        code: 'CS_ERR_TRUNCATED',
        residue: '{"id":"a","cho'
      })
    })

    it('takes half an error for a CS_ERR_TRUNCATED', () => {
      expect(parse(['event: error\ndata: {"message":"Over'])).to.include({
        code: 'CS_ERR_TRUNCATED',
        residue: '{"message":"Over'
      })
    })

    for (const name of [
      'openai-chat',
      'azure-chat',
      'perplexity-chat',
      'openai-responses',
      'openai-completions'
    ]) {
      it(`is complete or CS_ERR_TRUNCATED wherever it ends (${name})`, () => {
        const bytes = fixture(name)
        for (let length = 0; length <= bytes.length; length++) {
          const { code, chunks } = parse([bytes.toString('utf8', 0, length)])
          expect(code, `after ${length} bytes`).to.be.oneOf([undefined, 'CS_ERR_TRUNCATED'])
          if (chunks.length === 0) expect(code, `after ${length} bytes`).to.equal('CS_ERR_TRUNCATED')
        }
      })
    }
  })

  it('gives the chunks of a whole completion that comes behind a chunk that says no more than who speaks', () => {
    const opening = {
      id: 'a',
      choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]
    }
    const tool_calls = [{ id: 'c', type: 'function', function: { name: 'w', arguments: '{}' } }]
    const message = { role: 'assistant', content: 'Hello', tool_calls }
    const body = {
      id: 'a',
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'tool_calls' }]
    }
    const { chunks, code } = parse([eventStream(opening, body, done)])
    expect(code).to.equal(undefined)
    expect(chunks[0]).to.deep.equal(opening)
    expect(JSON.stringify(chunks.slice(1)))
      .to.include('"delta":{"role":"assistant","content":"Hello"')
      .and.include('"name":"w"')
  })

  describe("a provider's error", () => {
    const message = 'provider reported an error: Overloaded'
    const error = { error: { message: 'Overloaded', type: 'server_error', code: 503 } }

    for (const [name, report] of Object.entries({
      'in a payload': eventStream(error),
      'in a payload, with [DONE]': eventStream(error, done),
      'under the event name error, bare': 'event: error\ndata: {"message":"Overloaded"}\n\n',
      'under the event name error, nested': `event: error\n${eventStream(error)}`,
      'under the event name error, as text': 'event: error\ndata: Overloaded\n\n',
      'under the event name error, as a JSON string': 'event: error\ndata: "Overloaded"\n\n',
      'as an error event (Responses)': eventStream({ type: 'error', message: 'Overloaded', code: null }),
      'as a field (llama.cpp, GPUStack)': 'error: {"message":"Overloaded","code":503}\n\n',
      'as a field that holds text': 'error: Overloaded\n\n',
      'as a field, without a line end': 'error: {"message":"Overloaded"}',
      'as unframed JSON behind the events': JSON.stringify(error),
      'as unframed JSON over many lines': JSON.stringify(error, null, 2),
      'as unframed JSON before [DONE]': `${JSON.stringify(error)}\n\n${eventStream(done)}`,
      'as plain text behind the events': 'Overloaded\n',
      'in an array (Google)': eventStream([error]),
      'under the event name error, in a comment (NVIDIA Dynamo)': `event: error\n: Overloaded\n\n${eventStream(done)}`,
      'under the event name error, in a comment, without a blank line': 'event: error\n: Overloaded\n',
      'under the name of an exception': 'event: throttlingException\ndata: {"message":"Overloaded"}\n\n',
      'behind an event that was cut': `data: {"id":"a","choices":[{"delta":{"content":"secret\n${eventStream(error)}`,
      'behind an event that was cut, under the event name error': `data: {"id":"a","choices":[{"delta":{"content":"secret\nevent: error\n${eventStream(error)}`,
      'as plain text before an end mark, where no choice has finished': `Overloaded\n\n${eventStream(done)}`
    })) {
      it(`is CS_ERR_PROVIDER ${name}`, () => {
        for (const size of [1, 7, 10_000]) {
          const parsed = parse(inPiecesOf(eventStream(text) + report, size))
          expect(parsed, `pieces of ${size}`).to.deep.include({
            chunks: [text],
            code: 'CS_ERR_PROVIDER',
            message
          })
        }
      })
    }

    for (const said of ['error: engine died', '[ERROR] engine died', 'Error - engine died']) {
      it(`is CS_ERR_PROVIDER in data that begins with the word: ${said}`, () => {
        expect(parse([eventStream(text, said, done)])).to.deep.include({
          chunks: [text],
          code: 'CS_ERR_PROVIDER',
          message: `provider reported an error: ${said}`
        })
      })
    }

    it('is CS_ERR_PROVIDER under the event name error, without data and without a comment', () => {
      expect(parse([eventStream(text), 'event: error\n\n', eventStream(done)]).code).to.equal(
        'CS_ERR_PROVIDER'
      )
    })

    it('has the status of the comment before its data (DashScope)', () => {
      const parser = new ChunkParser(defaults, { onChunk() {}, onSkip() {} })
      const frame = 'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling","message":"quota"}\n\n'
      parser.feed(frame)
      expect(() => parser.end())
        .to.throw(CompletionError)
        .that.includes({ status: 429, providerCode: 'Throttling' })
    })

    for (const [name, event] of Object.entries({
      'an event with another name and no data': 'event: close\n: error\n\n',
      'a text before the end mark of a choice that has finished': 'bye\n\n'
    })) {
      it(`is not seen in ${name}`, () => {
        expect(parse([eventStream(text, finish), event, eventStream(done)])).to.deep.equal({
          chunks: [text, finish],
          skipped: 0
        })
      })
    }

    it('is CS_ERR_PROVIDER when the choices have finished before it', () => {
      expect(parse([eventStream(text, finish, error)])).to.include({ code: 'CS_ERR_PROVIDER' })
    })

    it('gives the text that stands beside it (OpenRouter)', () => {
      const beside = { ...text, ...error }
      expect(parse([eventStream(text, beside, done)])).to.deep.include({
        chunks: [text, beside],
        code: 'CS_ERR_PROVIDER',
        message
      })
    })

    it('gives the event that reports the failure of a response, since it holds its usage', () => {
      const failed = { type: 'response.failed', response: { error: error.error, usage: { total_tokens: 1 } } }
      expect(parse([eventStream({ type: 'response.created' }, failed)])).to.deep.include({
        chunks: [{ type: 'response.created' }, failed],
        code: 'CS_ERR_PROVIDER'
      })
    })

    it('gives the chunks that stand before it in an array', () => {
      expect(parse([eventStream([text, error])])).to.deep.include({ chunks: [text], code: 'CS_ERR_PROVIDER' })
    })

    it('is CS_ERR_PROVIDER under the event name error, without a word', () => {
      expect(parse(['event: error\ndata:\n\n', eventStream(done)]).code).to.equal('CS_ERR_PROVIDER')
    })

    it('is kept as the cause', () => {
      const chunks: Chunk[] = []
      const parser = new ChunkParser(defaults, { onChunk: chunk => chunks.push(chunk), onSkip() {} })
      parser.feed(eventStream(error))
      expect(() => parser.end())
        .to.throw(CompletionError)
        .with.property('cause')
        .that.deep.equals(error)
    })

    it('is not left out by onInvalid: skip, nor by requireEnd: false', () => {
      const options = { onInvalid: 'skip', requireEnd: false } as const
      expect(parse([eventStream(error)], options)).to.include({ code: 'CS_ERR_PROVIDER', skipped: 0 })
    })

    for (const [name, chunk] of Object.entries({
      null: { ...text, error: null },
      'an empty string': { ...text, error: '' },
      false: { ...text, error: false },
      'an object of nulls': { ...text, error: { message: null, code: null } }
    })) {
      it(`is not seen in an error that is ${name}`, () => {
        expect(parse([eventStream(chunk, finish, done)])).to.deep.equal({
          chunks: [chunk, finish],
          skipped: 0
        })
      })
    }

    for (const field of ['error: null', 'error:', 'error: {}', 'error: false']) {
      it(`is not seen in the field ${inspect(field)}`, () => {
        expect(parse([`${eventStream(text)}${field}\n\n${eventStream(done)}`])).to.deep.equal({
          chunks: [text],
          skipped: 0
        })
      })
    }
  })

  describe('a payload that is no chunk', () => {
    for (const payload of [
      '{"id":',
      '{"a":}',
      'Hello',
      '"Hello"',
      '1',
      'true',
      "{'id': 1}",
      'NaN',
      '[[{}]]'
    ]) {
      it(`fails with CS_ERR_INVALID_CHUNK for ${payload}`, () => {
        expect(parse([eventStream(text, payload, finish, done)])).to.deep.include({
          chunks: [text],
          code: 'CS_ERR_INVALID_CHUNK'
        })
      })

      it(`is counted and left out with onInvalid: skip (${payload})`, () => {
        expect(parse([eventStream(text, payload, finish, done)], { onInvalid: 'skip' })).to.deep.equal({
          chunks: [text, finish],
          skipped: 1
        })
      })
    }

    for (const name of [
      'type',
      'object',
      'event',
      'status',
      'error',
      'message',
      'code',
      'choices',
      'delta',
      'usage'
    ])
      it(`throws nothing of V8's for a ${name} that cannot be made a text`, () => {
        const odd = { toString: 1, valueOf: null }
        for (const payload of [
          { [name]: odd },
          { choices: [{ [name]: odd }] },
          { choices: [{ delta: { [name]: odd } }] }
        ])
          for (const body of [eventStream(text, payload, finish, done), JSON.stringify(payload)])
            parse([body])
      })

    it('keeps the SyntaxError as the cause', () => {
      const chunks: Chunk[] = []
      const parser = new ChunkParser(defaults, { onChunk: chunk => chunks.push(chunk), onSkip() {} })
      expect(() => parser.feed(eventStream('{"a":}')))
        .to.throw(CompletionError)
        .with.property('cause')
        .that.is.instanceOf(SyntaxError)
    })

    it('fails with CS_ERR_INVALID_CHUNK for arrays nested deeper than a stack', () => {
      const nested = '['.repeat(200_000) + ']'.repeat(200_000)
      expect(parse([eventStream(nested)])).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
      expect(parse([nested])).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
      expect(parse([`{"a":${nested}}`])).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
    })

    it('hands on a chunk that holds something nested deeper than a stack', () => {
      const nested = '['.repeat(200_000) + ']'.repeat(200_000)
      const payload = `{"choices":[{"delta":{"content":${nested}},"finish_reason":"stop"}]}`
      expect(parse([eventStream(payload)]).chunks).to.have.length(1)
    })
  })

  describe('a payload with usage that holds an answer in another form', () => {
    const counts = { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 }
    for (const payload of [
      { response: 'Hello', usage: counts },
      { generated_text: 'Hello', usage: counts },
      { output: { message: { content: [{ text: 'Hello' }] } }, stopReason: 'end_turn', usage: counts },
      { id: 'q', result: 'Hello', is_end: true, usage: counts }
    ]) {
      it(`fails with CS_ERR_INVALID_CHUNK for ${JSON.stringify(payload)}`, () => {
        for (const body of [eventStream(payload, done), eventStream(payload), JSON.stringify(payload)])
          expect(parse([body]).code, body).to.equal('CS_ERR_INVALID_CHUNK')
      })
    }

    it('fails with CS_ERR_INVALID_CHUNK for a call of a tool in another form (Workers AI)', () => {
      const call = { response: '', tool_calls: [{ name: 'w', arguments: { city: 'Paris' } }] }
      expect(parse([eventStream(call, { response: '', usage: counts }, done)]).code).to.equal(
        'CS_ERR_INVALID_CHUNK'
      )
    })

    it('is a chunk where it holds none', () => {
      const chunk = { id: 'u', output: [], usage: counts }
      expect(parse([eventStream(text, finish, chunk)])).to.deep.equal({
        chunks: [text, finish, chunk],
        skipped: 0
      })
    })
  })

  describe('a body that is no event stream', () => {
    for (const [name, body] of Object.entries({
      HTML: '<!DOCTYPE html>\n<html>\n<head><title>502</title></head>\n<body>data: none</body>\n</html>\n',
      'a word': 'Forbidden',
      'a sentence': 'upstream connect error or disconnect/reset before headers',
      'text that looks like a field': 'Unauthorized: bad token\n'
    })) {
      it(`fails with CS_ERR_INVALID_CHUNK that shows ${name}`, () => {
        for (const size of [1, 10, 1000]) {
          const { code, message } = parse(inPiecesOf(body, size))
          expect(code, `pieces of ${size}`).to.equal('CS_ERR_INVALID_CHUNK')
          expect(message).to.equal(
            `the body is no event stream, it begins with: ${body.trim().replace(/\s/g, ' ')}`
          )
        }
      })

      it(`is no empty success with onInvalid: skip (${name})`, () => {
        expect(parse([body], { onInvalid: 'skip' })).to.deep.include({ code: 'CS_ERR_TRUNCATED', skipped: 1 })
      })
    }

    it('shows the first 200 characters', () => {
      const { message = '' } = parse([`<html>${'x'.repeat(10_000)}`])
      expect(message.slice(message.indexOf('<'))).to.equal(`<html>${'x'.repeat(194)}`)
    })

    it('keeps a bounded part of what is no event', () => {
      const chunks: Chunk[] = []
      const parser = new ChunkParser(defaults, { onChunk: chunk => chunks.push(chunk), onSkip() {} })
      for (let n = 0; n < 100; n++) parser.feed(`<p>${'x'.repeat(1000)}</p>\n\n`)
      expect(() => parser.end()).to.throw(CompletionError, 'it begins with: <p>xx')
    })

    it('is CS_ERR_PROVIDER when it is an error in JSON, over one line or many', () => {
      const error = { error: { message: 'No such model', type: 'invalid_request_error' } }
      for (const indent of [0, 2]) {
        expect(parse([JSON.stringify(error, null, indent)])).to.deep.include({
          chunks: [],
          code: 'CS_ERR_PROVIDER',
          message: 'provider reported an error: No such model'
        })
      }
    })

    it('fails with CS_ERR_INVALID_CHUNK when it is JSON of another kind', () => {
      expect(parse(['{"status": "ok"}'])).to.include({
        code: 'CS_ERR_INVALID_CHUNK',
        message: 'the body is JSON, but no completion: {"status": "ok"}'
      })
      expect(parse(['{"status": ok}'])).to.include({
        code: 'CS_ERR_INVALID_CHUNK',
        message: 'the body holds what is no JSON: {"status": ok}'
      })
    })

    it('fails with CS_ERR_TRUNCATED when it breaks off within JSON', () => {
      expect(parse(['{"error": {"mess'])).to.include({
        code: 'CS_ERR_TRUNCATED',
        residue: '{"error": {"mess'
      })
    })

    for (const prefix of ['', '\uFEFF', ' \r\n\t', '\n\n']) {
      it(`gives the chunks of one JSON object per line behind ${JSON.stringify(prefix)}`, () => {
        const lines = `${prefix}${JSON.stringify(text)}\n\n${JSON.stringify(finish)}`
        for (const size of [1, 5, 1000]) {
          expect(parse(inPiecesOf(lines, size))).to.deep.equal({ chunks: [text, finish], skipped: 0 })
        }
      })
    }

    it('takes [DONE] on a line of its own for the end mark', () => {
      const lines = [JSON.stringify(text), done, JSON.stringify(text), done, ''].join('\n')
      expect(parse([lines])).to.deep.equal({ chunks: [text, text], skipped: 0 })
      expect(parse([lines.trim()])).to.deep.equal({ chunks: [text, text], skipped: 0 })
    })
  })

  describe('take', () => {
    const take = (...items: unknown[]): Parsed => {
      const chunks: Chunk[] = []
      const parser = new ChunkParser(defaults, { onChunk: chunk => chunks.push(chunk), onSkip() {} })
      try {
        for (const item of items) parser.take(item)
        parser.end()
        return { chunks, skipped: 0 }
      } catch (error) {
        if (!(error instanceof CompletionError)) throw error
        return { chunks, skipped: 0, code: error.code, message: error.message }
      }
    }

    it('takes events', () => {
      const events = [text, finish].map(chunk => ({ data: JSON.stringify(chunk) }))
      expect(take(...events, { data: done })).to.deep.equal({ chunks: [text, finish], skipped: 0 })
    })

    it('takes events whose name is undefined, as eventsource-parser gives them', () => {
      const event = { event: undefined, id: undefined, data: JSON.stringify(finish) }
      expect(take(event)).to.deep.equal({ chunks: [finish], skipped: 0 })
    })

    it('fails with CS_ERR_PROVIDER for an event named error', () => {
      expect(take({ event: 'error', data: '{"message":"Overloaded"}' })).to.include({
        code: 'CS_ERR_PROVIDER'
      })
    })

    for (const item of [1, true, {}, { data: 1 }, { data: Buffer.from('x') }, [], Symbol('s')]) {
      it(`fails with CS_ERR_INVALID_CHUNK for ${inspect(item, { depth: 0 })}`, () => {
        expect(take(item))
          .to.include({ code: 'CS_ERR_INVALID_CHUNK' })
          .and.to.have.property('message')
          .that.includes('toChunks takes bytes, strings, events or chunks, not ')
      })
    }
  })

  it('gives what came before an event that is too large', () => {
    const large = { ...text, padding: 'x'.repeat(1000) }
    for (const size of [1, 100, 10_000]) {
      expect(parse(inPiecesOf(eventStream(text, large, done), size), { maxEventSize: 500 })).to.deep.include({
        chunks: [text],
        code: 'CS_ERR_EVENT_TOO_LARGE'
      })
    }
  })

  it('gives the same chunks and the same outcome however the bytes are cut', () => {
    const part = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom(...[text, finish, usage, done, null].map(item => eventStream(item)))
      },
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          '\n',
          '\r',
          '\r\n',
          '\n\n',
          'data: ',
          'data:',
          'event: error\n',
          'error: ',
          ':c\n',
          ' '
        )
      },
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          '{"error":"x"}',
          JSON.stringify(finish),
          '{',
          '}',
          '[',
          ']',
          '"',
          'é',
          '<p>',
          '\uFEFF'
        )
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 5 }) }
    )
    const body = fc
      .array(part, { maxLength: 20 })
      .map(parts => Buffer.concat(parts.map(item => Buffer.from(item))))
    const options = fc.record({
      onInvalid: fc.constantFrom('fail' as const, 'skip' as const),
      requireEnd: fc.boolean(),
      maxEventSize: fc.constantFrom(20, 90, Infinity)
    })
    fc.assert(
      fc.property(body, places, options, (bytes, cuts, settled) => {
        const decoder = new StringDecoder('utf8')
        const pieces = [...cutAt(bytes, cuts).map(piece => decoder.write(piece)), decoder.end()]
        expect(parse(pieces, settled)).to.deep.equal(parse([bytes.toString()], settled))
      }),
      { numRuns: 2000 }
    )
  })
})

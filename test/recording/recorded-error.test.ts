import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import { CompletionError, isRetryable } from 'completion-streams'
import fc from 'fast-check'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { failureOf as answerTo } from '#lib/encode/failure-body.js'
import { entryOf } from '#lib/recording/format.js'
import { errorOf, isRecordedError, type RecordedError, recordedError } from '#lib/recording/recorded-error.js'
import { failureOf, question, serve } from '../helpers.js'

const clients = { 'openai 4': OpenAI4, 'openai 5': OpenAI5, 'openai 6': OpenAI } as Record<
  string,
  unknown
> as Record<string, typeof OpenAI>

const key = `sk-${'a1'.repeat(12)}`

/** What becomes of an error that is kept as JSON. */
function again(error: unknown): Error & Record<string, unknown> {
  return errorOf(JSON.parse(JSON.stringify(recordedError(error)))) as Error & Record<string, unknown>
}

/** Expects that a program which decides on an error, and a reader who is told of it, see no difference. */
function expectToBeJudgedAlike(made: unknown, error: unknown): void {
  expect(isRetryable(made)).to.equal(isRetryable(error))
  expect(answerTo(made)).to.deep.equal(answerTo(error))
}

describe('an error that is kept as JSON', () => {
  it('is made again with its facts, if it is of this library', () => {
    const error = new CompletionError('CS_ERR_STALLED', 'nothing came', { limit: 5, timeLimit: 'idle' })
    const made = again(error)
    expect(made).to.be.instanceOf(CompletionError)
    expect(JSON.stringify(made)).to.equal(JSON.stringify(error))
  })

  it('has all facts of this library but text of the completion and other headers', () => {
    const facts = {
      type: 't',
      providerCode: 502,
      status: 429,
      param: 'p',
      headers: { 'retry-after': '7' },
      retryAfter: 7000,
      finishReason: 'length',
      limit: 1,
      timeLimit: 'idle' as const,
      elapsed: 1.5,
      items: 0,
      undelivered: 2,
      index: 3,
      issues: [{ message: 'a number is wanted', path: ['rows', 0, { key: 'price' }] }],
      period: 4,
      times: 5,
      reason: 'two\nlines',
      kind: 'content' as const,
      choice: 1
    }
    const headers = { ...facts.headers, 'openai-organization': 'acme', 'set-cookie': 'a=b' }
    const secret = { residue: 'the answer', beginning: 'the answer', cause: { message: 'the answer' } }
    const made = again(new CompletionError('CS_ERR_PROVIDER', 'm', { ...facts, headers, ...secret }))
    const { name, code, message, ...rest } = (made as unknown as CompletionError).toJSON()
    expect([name, code, message]).to.deep.equal(['CompletionError', 'CS_ERR_PROVIDER', 'm'])
    expect(rest).to.deep.equal(facts)
    expect(made.cause).to.equal(undefined)
  })

  it('has its name, message and code, if it is another, and nothing that is not known', () => {
    const error = Object.assign(new TypeError('fetch failed'), { code: 'ECONNREFUSED', request: 'a key' })
    const kept = { name: 'TypeError', message: 'fetch failed', code: 'ECONNREFUSED' }
    expect(recordedError(error)).to.deep.equal(kept)
    expect(again(error)).to.include(kept)
  })

  for (const [name, Client] of Object.entries(clients)) {
    const bodies: [status: number, error: object, headers?: Record<string, string>][] = [
      [
        429,
        { message: 'slow down', type: 'requests', code: 'rate_limit', param: null },
        { 'retry-after': '7' }
      ],
      [429, { message: 'pay', type: 'insufficient_quota' }],
      [429, { message: 'no more', code: 1113 }, { 'retry-after-ms': '50', 'x-should-retry': 'false' }],
      [401, { message: `Incorrect API key provided: ${key}`, code: 'invalid_api_key' }],
      [400, { message: 'what?', param: 'messages' }, { 'x-should-retry': 'true', 'x-request-id': 'r1' }],
      [
        500,
        { message: 'oh' },
        { 'x-ratelimit-reset-requests': '1s', 'retry-after': 'Sat, 28 Nov 2026 12:00:00 GMT' }
      ]
    ]
    for (const [status, said, headers] of bodies) {
      it(`is judged as before: ${name}'s, ${status} ${JSON.stringify(said)}`, async () => {
        await using server = await serve((_request, response) => {
          response.writeHead(status, { ...headers, 'content-type': 'application/json', 'set-cookie': 'a=b' })
          response.end(JSON.stringify({ error: { ...said, echo: 'a secret' } }))
        })
        const client = new Client({ baseURL: server.url, apiKey: key, maxRetries: 0 })
        const error = await failureOf(Promise.resolve(client.chat.completions.create(question)))
        const made = again(error)
        expectToBeJudgedAlike(made, error)
        expect(made.name).to.equal(error.constructor.name)
        expect(made.status).to.equal(status)
        expect(made.headers).to.deep.equal(headers)
        expect(JSON.stringify(recordedError(error))).to.not.match(/secret|cookie|sk-a1/)
      })
    }

    it(`is judged as before: ${name}'s for a connection that is refused, a timeout and an abort`, async () => {
      const server = await serve(() => {})
      const { port, url } = server
      const silent = new Client({ baseURL: url, apiKey: 'none', maxRetries: 0, timeout: 20 })
      const late = await failureOf(Promise.resolve(silent.chat.completions.create(question)))
      await server[Symbol.asyncDispose]()
      const client = new Client({ baseURL: `http://127.0.0.1:${port}`, apiKey: 'none', maxRetries: 0 })
      const refused = await failureOf(Promise.resolve(client.chat.completions.create(question)))
      const signal = AbortSignal.abort()
      const aborted = await failureOf(Promise.resolve(client.chat.completions.create(question, { signal })))
      for (const error of [late, refused, aborted]) expectToBeJudgedAlike(again(error), error)
      const statuses = [late, refused, aborted].map(error => answerTo(again(error)).status)
      expect(statuses).to.deep.equal([504, 502, 503])
    })
  }

  it("is judged as before: Node's, of a connection and of a failed fetch, and what it led to", async () => {
    const server = await serve(() => {})
    const { port } = server
    await server[Symbol.asyncDispose]()
    const [refused] = await once(connect(port, '127.0.0.1'), 'error')
    const failed = await failureOf(fetch(`http://127.0.0.1:${port}`))
    const late = new DOMException('too late', 'TimeoutError')
    const errors = [
      refused,
      failed,
      late,
      new AggregateError([new Error('one'), refused], 'all failed'),
      new DOMException('gone', 'AbortError'),
      Object.assign(new Error('aborted', { cause: late }), { code: 'ABORT_ERR' }),
      new Error('1', { cause: new Error('2', { cause: new Error('3', { cause: refused }) }) }),
      new Error('1', { cause: new CompletionError('CS_ERR_STALLED', 'nothing came') }),
      { status: 503, message: 'a fork may throw this' }
    ]
    for (const error of errors) {
      expectToBeJudgedAlike(again(error), error)
      expect(again(error).name).to.equal(error.name ?? 'Error')
    }
    expect(again(errors[3])).to.be.instanceOf(AggregateError)
    expect(again(failed).cause).to.include({ code: 'ECONNREFUSED' })
  })

  const thrown = {
    'a string': ['out of credit', 'it failed with what is no error: out of credit (string)'],
    'a string with a key and line ends': [`a\n${key}`, 'it failed with what is no error: a [key] (string)'],
    null: [null, 'it failed with what is no error: null (object)'],
    'a number': [429n, 'it failed with what is no error: 429 (bigint)'],
    'a symbol': [Symbol('s'), 'it failed with what is no error: Symbol(s) (symbol)'],
    'an object': [{ text: 'the answer' }, 'it failed with an object that is no error'],
    'a getter that throws': [
      Object.defineProperty(new Error('no'), 'status', {
        get() {
          throw new Error('no')
        }
      }),
      'it failed with something that cannot be read'
    ]
  } as const
  for (const [what, [value, message]] of Object.entries(thrown)) {
    it(`says what was thrown, though it is no error: ${what}`, () => {
      expect(again(value)).to.be.an('error').with.property('message', message)
    })
  }

  it('is small, however large the error is, and has no half of a key', () => {
    const long = `${'x '.repeat(2040)} ${key} ${'y'.repeat(5e6)}`
    let chain: Error = new Error(long)
    for (let at = 0; at < 50; at++) chain = new AggregateError(Array(50).fill(chain), long, { cause: chain })
    const issues = Array(1000).fill({ message: long, path: Array(1000).fill(long) })
    const headers = Object.fromEntries(Array.from({ length: 999 }, (_, at) => [`x-ratelimit-${at}`, '1']))
    const error = Object.assign(chain, { status: 429, type: long, error: { message: long }, headers })
    const json = JSON.stringify(recordedError(error))
    expect(json.length).to.be.below(300_000)
    expect(json).to.not.include('sk-')
    const own = new CompletionError('CS_ERR_INVALID_ELEMENT', 'm', { reason: long, headers })
    expect(JSON.stringify(recordedError(own)).length).to.be.below(10_000)
    const invalid = new CompletionError('CS_ERR_INVALID_ELEMENT', 'm', { issues })
    expect(JSON.stringify(recordedError(invalid)).length).to.be.below(300_000)
    const circle = new Error('a circle')
    circle.cause = circle
    expect(again(circle).message).to.equal('a circle')
  })

  it('is the same again when it is kept once more', () => {
    const errors = [
      Object.assign(new Error('m', { cause: new TypeError('c') }), {
        status: 429,
        headers: { 'retry-after': '1' }
      }),
      new CompletionError('CS_ERR_PROVIDER', 'm', { status: 429, cause: new Error('c') }),
      new AggregateError([new Error('one')], 'm')
    ]
    for (const error of errors) expect(recordedError(again(error))).to.deep.equal(recordedError(error))
  })

  it('is read from a recording that was made before', () => {
    const line =
      '{"at":1,"end":"failed","error":{"name":"CompletionError","code":"CS_ERR_PROVIDER","message":"slow down","type":"requests",' +
      '"status":429,"headers":{"retry-after":"7","content-type":"application/json"},"retryAfter":7000,' +
      '"cause":{"name":"Error","message":"why"}}}'
    const entry = entryOf(line)
    const made = errorOf((entry?.kind === 'end' && entry.error) as RecordedError)
    expect(made).to.be.instanceOf(CompletionError)
    expect(made).to.deep.include({
      type: 'requests',
      status: 429,
      headers: { 'retry-after': '7' },
      retryAfter: 7000
    })
    expect(made.cause).to.be.an('error').with.property('message', 'why')
  })

  describe('from outside, where anything may stand in it', () => {
    it('takes no methods and no prototype', () => {
      for (const code of ['CS_ERR_STALLED', 'ECONNRESET', 5, null, {}, undefined]) {
        const bad = '{"polluted":1,"name":"X","message":"m"}'
        const json =
          `{"name":"Error","message":"m","code":${JSON.stringify(code ?? null)},"toJSON":1,"toString":1,"stack":1,"constructor":1,` +
          `"__proto__":${bad},"cause":${bad.replace('{', `{"__proto__":${bad},`)},"error":{"__proto__":${bad}},"status":429,` +
          `"headers":{"__proto__":${bad},"constructor":"x","retry-after":"7","x-ratelimit-a":"1\\r\\nset-cookie: a=b","x-ratelimit-b c":"1"}}`
        const made = errorOf(JSON.parse(json)) as Error & Record<string, unknown>
        const isOwn = made instanceof CompletionError
        expect(Object.getPrototypeOf(made)).to.equal(isOwn ? CompletionError.prototype : Error.prototype)
        expect(made.polluted).to.equal(undefined)
        expect(made.headers).to.deep.equal({ 'retry-after': '7' })
        expect(`${made}`).to.include('m')
        expect(made.stack).to.be.a('string')
        expect(JSON.stringify(made)).to.not.include('polluted')
        expect(Object.getPrototypeOf(made.headers)).to.equal(Object.prototype)
      }
      expect(({} as Record<string, unknown>).polluted).to.equal(undefined)
    })

    it('is made again whatever it is, and can be judged', () => {
      const facts = ['code', 'status', 'headers', 'error', 'cause', 'errors', 'issues', 'type', '__proto__']
      const names = fc.constantFrom(
        ...facts,
        'name',
        'message',
        'retryAfter',
        'constructor',
        'get',
        'forEach'
      )
      const code = fc.constantFrom('CS_ERR_PROVIDER', 'CS_ERR_STALLED', 'CS_ERR_?', 'ECONNRESET', 5)
      const written = (value: fc.Arbitrary<unknown>) =>
        fc.array(fc.tuple(names, fc.oneof(value, code))).map(pairs => {
          const rest = pairs.map(([fact, given]) => `,${JSON.stringify(fact)}:${JSON.stringify(given)}`)
          return JSON.parse(`{"name":"E","message":"m"${rest.join('')}}`) as object
        })
      const cause = written(fc.jsonValue())
      const error = written(fc.oneof(fc.jsonValue(), cause, fc.array(cause)))
      fc.assert(
        fc.property(error, given => {
          if (!isRecordedError(given)) return
          const made = errorOf(given)
          expect(made).to.be.an('error')
          expect(isRetryable(made)).to.be.a('boolean')
          expect(answerTo(made).status).to.be.within(400, 599)
          expect(Object.hasOwn(made, '__proto__')).to.equal(false)
          expect(again(made).message).to.equal(made.message)
        }),
        { numRuns: 500 }
      )
    })

    it('is made again, however deep it is', () => {
      const json = `${'{"name":"E","message":"m","cause":'.repeat(1e5)}null${'}'.repeat(1e5)}`
      expect(errorOf(JSON.parse(json)).message).to.equal('m')
    })
  })
})

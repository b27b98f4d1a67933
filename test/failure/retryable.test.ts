import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import {
  CompletionError,
  type CompletionErrorCode,
  type CompletionErrorFacts,
  isRetryable,
  requestCompletion
} from 'completion-streams'
import { type Faults, script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { clientOf, failureOf, question, serve } from '../helpers.js'

const own: [CompletionErrorCode, CompletionErrorFacts, boolean][] = [
  ['CS_ERR_TRUNCATED', {}, true],
  ['CS_ERR_TRUNCATED', { finishReason: 'length' }, false],
  ['CS_ERR_STALLED', {}, true],
  ['CS_ERR_PROVIDER', { status: 429 }, true],
  ['CS_ERR_PROVIDER', { status: 429, type: 'insufficient_quota' }, false],
  ['CS_ERR_PROVIDER', { status: 402 }, false],
  ['CS_ERR_PROVIDER', { status: 500 }, true],
  ['CS_ERR_PROVIDER', { status: 503 }, true],
  ['CS_ERR_PROVIDER', { status: 400 }, false],
  ['CS_ERR_PROVIDER', { status: 401 }, false],
  ['CS_ERR_PROVIDER', { status: 404 }, false],
  ['CS_ERR_PROVIDER', { status: 500, headers: { 'x-should-retry': 'false' } }, false],
  ['CS_ERR_PROVIDER', { type: 'overloaded_error' }, true],
  ['CS_ERR_PROVIDER', { type: 'network_error' }, true],
  ['CS_ERR_PROVIDER', { providerCode: 'rate_limit_exceeded' }, true],
  ['CS_ERR_PROVIDER', { type: 'invalid_request_error' }, false],
  ['CS_ERR_INVALID_OPTION', {}, false],
  ['CS_ERR_INVALID_CHUNK', {}, false],
  ['CS_ERR_INVALID_ELEMENT', {}, false],
  ['CS_ERR_BLOCKED', {}, false],
  ['CS_ERR_REPETITION', {}, false],
  ['CS_ERR_INVALID_RECORDING', {}, false],
  ['CS_ERR_EVENT_TOO_LARGE', {}, false],
  ['CS_ERR_TEE_OVERFLOW', {}, false]
]

const clients = { 'openai 4': OpenAI4, 'openai 5': OpenAI5, 'openai 6': OpenAI } as Record<
  string,
  unknown
> as Record<string, typeof OpenAI>

describe('isRetryable', () => {
  for (const [code, facts, wanted] of own) {
    it(`is ${wanted} for ${code} with ${JSON.stringify(facts)}`, () => {
      expect(isRetryable(new CompletionError(code, 'it failed', facts))).to.equal(wanted)
    })
  }

  const statuses: [Faults['status'], boolean][] = [
    [400, false],
    [401, false],
    [403, false],
    [404, false],
    [408, true],
    [409, true],
    [422, false],
    [429, true],
    [500, true],
    [503, true]
  ]
  for (const [name, Client] of Object.entries(clients)) {
    for (const [status, wanted] of statuses) {
      it(`is ${wanted} for ${name}'s error for the status ${status}`, async () => {
        await using server = await serveCompletions({ script: script('Hi'), faults: { status } })
        const client = new Client({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
        const error = await failureOf(
          Promise.resolve(client.chat.completions.create({ ...question, stream: true }))
        )
        expect(isRetryable(error)).to.equal(wanted)
      })
    }

    it(`is true for ${name}'s error for a connection that is refused, and false for an abort`, async () => {
      const server = await serve(() => {})
      const { port } = server
      await server[Symbol.asyncDispose]()
      const client = new Client({ baseURL: `http://127.0.0.1:${port}`, apiKey: 'none', maxRetries: 0 })
      expect(
        isRetryable(await failureOf(Promise.resolve(client.chat.completions.create(question))))
      ).to.equal(true)
      const signal = AbortSignal.abort()
      const aborted = await failureOf(Promise.resolve(client.chat.completions.create(question, { signal })))
      expect(isRetryable(aborted)).to.equal(false)
    })
  }

  it('is false for a balance that is used up, though its status is 429', async () => {
    const body = {
      error: {
        message: 'You exceeded your current quota',
        type: 'insufficient_quota',
        code: 'insufficient_quota'
      }
    }
    await using server = await serve((_request, response) => {
      response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    const error = await failureOf(requestCompletion(clientOf(server), question).toArray())
    expect(isRetryable(error)).to.equal(false)
  })

  it("is true for Node's own network errors, and for those of a failed fetch", async () => {
    const server = await serve(() => {})
    const { port } = server
    await server[Symbol.asyncDispose]()
    const [error] = await once(connect(port, '127.0.0.1'), 'error')
    expect(isRetryable(error)).to.equal(true)
    expect(isRetryable(await failureOf(fetch(`http://127.0.0.1:${port}`)))).to.equal(true)
    expect(isRetryable(new AggregateError([error, error]))).to.equal(true)
  })

  for (const value of [
    undefined,
    null,
    'ECONNRESET',
    429,
    {},
    new Error('no'),
    new DOMException('gone', 'AbortError')
  ]) {
    it(`is false for ${String(value)}`, () => {
      expect(isRetryable(value)).to.equal(false)
    })
  }
})

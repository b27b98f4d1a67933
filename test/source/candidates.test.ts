import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect } from 'chai'
import {
  type Candidate,
  type CandidateOptions,
  CompletionError,
  type FailedCandidate,
  requestCompletion,
  toChunks,
  toText
} from 'completion-streams'
import { type CompletionServer, type Faults, type RawScript, script } from 'completion-streams/testing'
import OpenAI from 'openai'
import { clientOf, delta, endMark, endpoints, event, finish, questions, run, serve } from '../answers.js'

const answer = 'Hello from the second.'
const second = () => serve({ script: script(answer) })
const candidate = (server: CompletionServer, endpoint: 'chat' | 'completions' | 'responses' = 'chat') =>
  ({ client: clientOf(server), params: questions[endpoint] }) satisfies Candidate

/** Asks the candidates, and reads the answer. */
async function ask(candidates: Candidate[], options: CandidateOptions = {}) {
  const failed: FailedCandidate[] = []
  const source = requestCompletion(candidates, { onFallback: one => void failed.push(one), ...options })
  const head = source.response.catch(() => undefined)
  const { items, error } = await run<string>(source, toChunks(), toText())
  return { text: items.join(''), error, failed, head: await head }
}

const raw = (...writes: string[]): RawScript => ({ writes: writes.map(bytes => ({ bytes })) })
const usage = { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5 }
const opening = delta({ role: 'assistant', content: '' })

describe('candidates', () => {
  const cases: Record<string, [options: { faults?: Faults; script?: RawScript }, told: object]> = {
    'that refuses with 401': [{ faults: { status: 401 } }, { status: 401 }],
    'that refuses with 429': [{ faults: { status: 429 } }, { status: 429 }],
    'that refuses with 500': [{ faults: { status: { code: 500, body: '<html>' } } }, { status: 500 }],
    'whose first event is an error': [{ faults: { errorAfter: { events: 0 } } }, { code: 'CS_ERR_PROVIDER' }],
    'whose error comes behind the role': [
      { script: raw(opening, event({ error: { message: 'overloaded' } })) },
      { code: 'CS_ERR_PROVIDER' }
    ],
    'that is cut before its first token': [{ script: raw(opening) }, { code: 'CS_ERR_TRUNCATED' }],
    'whose connection dies before its first token': [
      { faults: { cutAfter: { events: 1 } } },
      { code: 'CS_ERR_TRUNCATED' }
    ],
    'that answers with a page': [{ script: raw('<html>busy</html>') }, { code: 'CS_ERR_INVALID_CHUNK' }],
    'that finishes with a failure': [
      { script: raw(opening, finish('network_error'), endMark) },
      { code: 'CS_ERR_PROVIDER' }
    ],
    'whose response is completed as failed': [
      { script: raw('data: {"type":"response.completed","response":{"status":"failed"}}\n\n') },
      { code: 'CS_ERR_PROVIDER' }
    ],
    'whose response is incomplete with an error': [
      { script: raw('data: {"type":"response.incomplete","response":{"error":{"message":"no"}}}\n\n') },
      { code: 'CS_ERR_PROVIDER' }
    ],
    'whose response is incomplete for a failure': [
      {
        script: raw('data: {"type":"response.incomplete","incomplete_details":{"reason":"server_error"}}\n\n')
      },
      { code: 'CS_ERR_PROVIDER' }
    ]
  }
  for (const [name, [options, told]] of Object.entries(cases)) {
    it(`asks the next one for one ${name}`, async () => {
      await using broken = await serve({ script: script('never seen'), ...options })
      await using good = await second()
      const { text, error, failed, head } = await ask([candidate(broken), candidate(good)])
      expect(error).to.equal(undefined)
      expect(text).to.equal(answer)
      expect(head?.status).to.equal(200)
      expect(failed).to.have.length(1)
      expect(failed[0]?.index).to.equal(0)
      expect(failed[0]?.error).to.include(told)
      expect(failed[0]?.elapsed).to.be.a('number')
      expect([broken.requests.length, good.requests.length]).to.deep.equal([1, 1])
    })
  }

  it('asks the next one for one that cannot be reached', async () => {
    const nobody = createServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const { port } = nobody.address() as AddressInfo
    nobody.close()
    const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}`, apiKey: 'none', maxRetries: 0 })
    await using good = await second()
    const { text, failed } = await ask([{ client, params: questions.chat }, candidate(good)])
    expect(text).to.equal(answer)
    expect(failed).to.have.length(1)
  })

  for (const stallAfter of ['request', { events: 0 }, { events: 1 }] as const) {
    it(`asks the next one for one that is silent for too long, and aborts it: ${JSON.stringify(stallAfter)}`, async () => {
      await using silent = await serve({ script: script('late'), faults: { stallAfter } })
      await using good = await second()
      const { text, failed } = await ask([candidate(silent), candidate(good)], { firstToken: 400 })
      expect(text).to.equal(answer)
      expect(failed[0]?.error).to.include({ code: 'CS_ERR_STALLED', timeLimit: 'first', limit: 400 })
      expect((await silent.requests[0]?.over)?.aborted).to.equal(true)
    })
  }

  it('never asks another one when a token is out', async () => {
    for (const faults of [
      { cutAfter: { events: 3 } },
      { errorAfter: { events: 3 } },
      { stallAfter: { events: 3 } }
    ]) {
      await using broken = await serve({ script: script('One two three four'), faults })
      await using good = await second()
      const controller = new AbortController()
      const source = requestCompletion([candidate(broken), candidate(good)], {
        firstToken: 1000,
        signal: controller.signal
      })
      const chunks = toChunks()
      if ('stallAfter' in faults) chunks.once('data', () => setImmediate(() => controller.abort()))
      const { items, error } = await run<string>(source, chunks, toText())
      expect(items.join('')).to.match('stallAfter' in faults ? /^/ : /^One/)
      expect(error).to.be.an('error')
      expect(good.requests).to.have.length(0)
    }
  })

  it('takes the answer of the first, whole, from every API, with all that came before its first token', async () => {
    for (const endpoint of endpoints) {
      await using good = await second()
      await using other = await serve({ script: script('other') })
      const alone = await run(requestCompletion(clientOf(good), questions[endpoint]), toChunks())
      const source = requestCompletion([candidate(good, endpoint), candidate(other, endpoint)])
      expect(await run(source, toChunks())).to.deep.equal(alone)
      expect(other.requests).to.have.length(0)
    }
  })

  it('takes an answer without a word, and one of a tool call, for answers', async () => {
    for (const body of [
      [opening, finish(), endMark],
      [
        delta({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '' } }] }),
        finish('tool_calls')
      ]
    ]) {
      await using first = await serve({ script: raw(...body) })
      await using good = await second()
      const { error, failed } = await ask([candidate(first), candidate(good)])
      expect([error, failed]).to.deep.equal([undefined, []])
    }
  })

  it('tells the usage of one that failed', async () => {
    const error = event({ choices: [], usage, error: { message: 'overloaded' } })
    await using broken = await serve({ script: raw(opening, error) })
    await using good = await second()
    const { failed } = await ask([candidate(broken), candidate(good)])
    expect(failed[0]?.usage).to.deep.equal(usage)
  })

  it('fails with what the last one fails with', async () => {
    await using one = await serve({ script: script('x'), faults: { status: 500 } })
    await using two = await serve({ script: script('x'), faults: { status: 401 } })
    const { error, failed, text } = await ask([candidate(one), candidate(two)])
    expect(error).to.include({ status: 401 })
    expect(failed.map(({ index }) => index)).to.deep.equal([0])
    expect(text).to.equal('')
  })

  it('asks nobody else when it is aborted', async () => {
    await using silent = await serve({ script: script('late'), faults: { stallAfter: 'request' } })
    await using good = await second()
    const controller = new AbortController()
    const asked = ask([candidate(silent), candidate(good)], { signal: controller.signal })
    while (silent.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
    controller.abort()
    const { error, failed } = await asked
    expect(error).to.include({ name: 'AbortError' })
    expect([failed.length, good.requests.length]).to.deep.equal([0, 0])
    expect((await silent.requests[0]?.over)?.aborted).to.equal(true)
  })

  it('asks for as many choices as the one that answers was asked for', async () => {
    await using broken = await serve({ script: script('x'), faults: { status: 500 } })
    await using good = await serve({ script: raw(delta({ content: 'a' }), finish()) })
    const two = { client: clientOf(good), params: { ...questions.chat, n: 2 } }
    expect((await ask([candidate(broken), two])).error).to.include({ code: 'CS_ERR_TRUNCATED' })
  })

  it('checks the list and its options at the call', () => {
    const client = new OpenAI({ apiKey: 'none' })
    const params = questions.chat
    for (const wrong of [
      () => requestCompletion([]),
      () => requestCompletion([{ client }] as never),
      () => requestCompletion([null] as never),
      () => requestCompletion([{ client, params, firstToken: 5 }] as never),
      () => requestCompletion([{ client, params }], { firstToken: 0 }),
      () => requestCompletion([{ client, params }], { onFallback: 1 as never }),
      () => requestCompletion(client, params, { firstToken: 1 } as never)
    ])
      expect(wrong).to.throw(CompletionError).with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

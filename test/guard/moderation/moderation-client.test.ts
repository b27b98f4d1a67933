import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { type Chunk, moderate, moderation, respond, toChunks, toText } from 'completion-streams'
import { type CompletionServer, script } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { all, ask, clientOf, run, serve } from '../../answers.js'
import { serve as serveLocally } from '../../helpers.js'

/** The lists of texts that the server was asked about. */
function inputsOf({ requests }: CompletionServer): string[][] {
  return requests
    .filter(({ path }) => path.endsWith('/moderations'))
    .map(({ body }) => body.input as string[])
}

const flags = (text: string) => /KILL/.test(text) && ['violence', 'illicit']
const signal = new AbortController().signal
const about = { sofar: '', overlap: 0, kind: 'content', choice: 0, signal } as const

describe('moderation', () => {
  it('lets pass what the endpoint does not flag', async () => {
    await using server = await serve({ script: script('All is well.'), flags })
    const check = moderation(clientOf(server))
    expect((await all(ask(server), toChunks(), moderate<Chunk>(check), toText())).join('')).to.equal(
      'All is well.'
    )
    expect(inputsOf(server)).to.deep.equal([['All is well.']])
  })

  it('refuses what is flagged, with the categories, of which the reader has seen nothing', async () => {
    const answer = `${'We like tea. '.repeat(20)}Now KILL it. ${'And on it goes. '.repeat(40)}`
    await using server = await serve({ script: script(answer), flags })
    let seen = ''
    const reader = new Writable({
      decodeStrings: false,
      write(text, _encoding, callback) {
        seen += text
        callback()
      }
    })
    const polite = moderate<Chunk>(moderation(clientOf(server)), { window: 80, overlap: 20 })
    const error = await pipeline(ask(server), toChunks(), polite, toText(), reader).then(
      () => undefined,
      found => found
    )
    expect(error).to.include({
      code: 'CS_ERR_BLOCKED',
      reason: 'flagged: illicit, violence',
      kind: 'content',
      choice: 0
    })
    expect(seen).to.not.include('KILL').and.not.include('Now')
    expect(answer.startsWith(seen)).to.equal(true)
    expect(seen.length).to.be.at.least(answer.indexOf('Now') - 80)
    // The window that was refused is among what the server was asked, and no text of it was seen.
    expect(
      inputsOf(server)
        .flat()
        .filter(text => text.includes('KILL'))
    ).to.have.lengthOf.at.least(1)
  })

  it('shows a reader over HTTP nothing of a refused window, and tells it of the refusal', async () => {
    const answer = `${'We like tea. '.repeat(20)}Now KILL it. ${'And on it goes. '.repeat(40)}`
    await using server = await serve({ script: script(answer), flags })
    await using relay = await serveLocally((_incoming, outgoing) => {
      const check = moderation(clientOf(server))
      pipeline(
        ask(server),
        toChunks(),
        moderate<Chunk>(check, { window: 120, overlap: 40 }),
        respond(outgoing)
      ).catch(() => {})
    })
    const body = await (await fetch(relay.url)).text()
    expect(body).to.include('"content":" tea"')
    expect(body).to.match(/data: \{"error":\{[^\n]*"code":"CS_ERR_BLOCKED"\}\}\n\n$/)
    for (const word of ['Now', 'KILL', 'goes', '[DONE]']) expect(body).not.to.include(word)
  })

  it('asks about what comes up while it waits in one request', async () => {
    await using server = await serve({ script: script('') })
    const check = moderation(clientOf(server))
    const first = [check('a', about), check('b', about)]
    await Promise.race(first)
    const second = ['c', 'd', 'e'].map(text => check(text, about))
    expect(await Promise.all([...first, ...second])).to.deep.equal([true, true, true, true, true])
    expect(inputsOf(server)).to.deep.equal([
      ['a', 'b'],
      ['c', 'd', 'e']
    ])
  })

  it('asks about several windows of a stream in one request', async () => {
    await using server = await serve({ script: script('One is. Two is. Three is. Four is. '.repeat(20)) })
    const polite = moderate<Chunk>(moderation(clientOf(server)), { window: 20, ahead: 8 })
    await all(ask(server), toChunks(), polite)
    const inputs = inputsOf(server)
    expect(Math.max(...inputs.map(input => input.length))).to.be.above(1)
    expect(inputs.length).to.be.below(inputs.flat().length)
  })

  it('sends no more than 32 texts in one request', async () => {
    await using server = await serve({ script: script('') })
    const check = moderation(clientOf(server))
    await Promise.all(Array.from({ length: 80 }, (_, n) => check(`text ${n}`, about)))
    expect(inputsOf(server).map(input => input.length)).to.deep.equal([32, 32, 16])
  })

  it('gives each text the verdict that is its own', async () => {
    await using server = await serve({ script: script(''), flags })
    const check = moderation(clientOf(server))
    expect(await Promise.all(['a', 'KILL', 'b'].map(text => check(text, about)))).to.deep.equal([
      true,
      'flagged: illicit, violence',
      true
    ])
  })

  it('asks for the model that it is given', async () => {
    await using server = await serve({ script: script('') })
    await moderation(clientOf(server), { model: 'omni-moderation-latest' })('a', about)
    expect(server.requests[0]?.body).to.deep.equal({ input: ['a'], model: 'omni-moderation-latest' })
  })

  it('blocks with what the client fails with', async () => {
    await using server = await serve({ script: script('All is well.') })
    const gone = new OpenAI({ baseURL: 'http://127.0.0.1:9/v1', apiKey: 'none', maxRetries: 0 })
    const { items, error } = await run(ask(server), toChunks(), moderate<Chunk>(moderation(gone)), toText())
    expect(items).to.deep.equal([])
    expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
    expect(error?.cause).to.be.instanceOf(OpenAI.APIConnectionError)
  })

  it('blocks when the endpoint answers for fewer texts than it was asked', async () => {
    const client = { moderations: { create: async () => ({ results: [] }) } }
    const error = await Promise.resolve(moderation(client)('a', about)).catch(found => found)
    expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
  })

  it('aborts its request when nobody waits for any of its texts', async () => {
    const aborted = new Promise<void>(resolve => {
      const client = {
        moderations: {
          create: (_body: object, options?: { signal?: AbortSignal }) => {
            options?.signal?.addEventListener('abort', () => resolve())
            controllers[0]?.abort()
            controllers[1]?.abort()
            return new Promise<never>(() => {})
          }
        }
      }
      const controllers = [new AbortController(), new AbortController()]
      const check = moderation(client)
      for (const { signal } of controllers) check('a', { ...about, signal })
    })
    await aborted
  })

  it('takes the clients of all versions', async () => {
    await using server = await serve({ script: script(''), flags })
    const options = { baseURL: server.url, apiKey: 'none', maxRetries: 0 }
    for (const client of [new OpenAI4(options), new OpenAI5(options), new OpenAI(options)])
      expect(await moderation(client)('KILL', about)).to.equal('flagged: illicit, violence')
  })

  for (const [name, args] of Object.entries({
    'no client': [],
    'a client without moderations': [{}],
    'a model that is no text': [new OpenAI({ apiKey: 'none' }), { model: 1 }],
    'an empty model': [new OpenAI({ apiKey: 'none' }), { model: '' }],
    'an unknown option': [new OpenAI({ apiKey: 'none' }), { models: 'm' }]
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => moderation(...args))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

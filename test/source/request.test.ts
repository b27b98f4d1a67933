import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type CompletionParams,
  type RequestOptions,
  type RequestSource,
  requestCompletion,
  toChunks,
  toText
} from 'completion-streams'
import {
  type CompletionServer,
  type ServerOptions,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI, { AzureOpenAI } from 'openai'
import { allowNoComplaints, clientOf, failureOf, question, serve, turns, words } from '../helpers.js'

const whole = words(30).join('')
const scripted: ServerOptions = { script: script(whole), speed: Infinity }

const endpoints: Record<string, { params: CompletionParams; endpoint: string }> = {
  messages: { params: question, endpoint: 'chat' },
  prompt: { params: { model: 'm', prompt: 'Hello?' }, endpoint: 'completions' },
  'a prompt of tokens': { params: { model: 'm', prompt: [1, 2, 3] }, endpoint: 'completions' },
  input: { params: { model: 'm', input: 'Hello?' }, endpoint: 'responses' },
  'the prompt of a template': { params: { model: 'm', prompt: { id: 'pmpt_1' } }, endpoint: 'responses' }
}

async function textOf(source: Readable): Promise<string> {
  let text = ''
  await pipeline(source, toChunks(), toText(), async pieces => {
    for await (const piece of pieces) text += piece
  })
  return text
}

function ask(
  server: CompletionServer,
  options?: RequestOptions,
  params: CompletionParams = question
): RequestSource {
  return requestCompletion(clientOf(server), params, options)
}

/** A server whose request, when it has arrived, is told. */
async function serveAndTell(
  options: ServerOptions
): Promise<{ server: CompletionServer; arrived: Promise<void> }> {
  let tell = () => {}
  const arrived = new Promise<void>(resolve => {
    tell = resolve
  })
  const tellingScript = () => {
    tell()
    return script(whole)
  }
  return { server: await serveCompletions({ ...options, script: tellingScript }), arrived }
}

describe('requestCompletion', () => {
  allowNoComplaints()

  for (const [name, { params, endpoint }] of Object.entries(endpoints)) {
    it(`asks for ${name} at the endpoint of ${endpoint}`, async () => {
      await using server = await serveCompletions(scripted)
      expect(await textOf(ask(server, {}, params))).to.equal(whole)
      expect(server.requests).to.have.lengthOf(1)
      expect(server.requests[0]).to.include({ endpoint, finished: true })
      expect(server.requests[0]?.body).to.deep.include({ ...params, stream: true })
    })

    it(`ends for ${name} when the completion is over, though the server holds the socket open`, async () => {
      await using server = await serveCompletions({ ...scripted, faults: { holdOpen: true } })
      expect(await textOf(ask(server, {}, params))).to.equal(whole)
      expect(await server.requests[0]?.over).to.have.property('aborted', true)
    })

    it(`loses nothing for ${name} when the bytes come one by one`, async () => {
      await using server = await serveCompletions({
        script: script('à la 🍓 carte'),
        speed: Infinity,
        faults: { bytesPerWrite: 1 }
      })
      expect(await textOf(ask(server, {}, params))).to.equal('à la 🍓 carte')
    })

    it(`leaves the parameters with ${name} as they are`, async () => {
      await using server = await serveCompletions(scripted)
      const before = structuredClone(params)
      await textOf(ask(server, {}, params))
      expect(params).to.deep.equal(before)
    })
  }

  it('asks for usage', async () => {
    await using server = await serveCompletions(scripted)
    await textOf(ask(server))
    expect(server.requests[0]?.body.stream_options).to.deep.equal({ include_usage: true })
  })

  it('asks for no usage when told not to', async () => {
    await using server = await serveCompletions(scripted)
    await textOf(ask(server, {}, { ...question, stream_options: { include_usage: false } }))
    await textOf(ask(server, {}, { ...question, stream_options: null }))
    expect(server.requests[0]?.body.stream_options).to.deep.equal({ include_usage: false })
    // Some servers refuse the parameter at any value.
    expect(server.requests[1]?.body).not.to.have.property('stream_options')
  })

  it('asks for usage beside other stream options', async () => {
    await using server = await serveCompletions(scripted)
    await textOf(ask(server, {}, { ...question, stream_options: { include_obfuscation: false } }))
    expect(server.requests[0]?.body.stream_options).to.deep.equal({
      include_usage: true,
      include_obfuscation: false
    })
  })

  it('sends nothing before somebody reads', async () => {
    const { server, arrived } = await serveAndTell({})
    await using _ = server
    const source = ask(server)
    source.on('error', () => {})
    // A request of another's, made later, is there first.
    await textOf(ask(server))
    expect(server.requests).to.have.lengthOf(1)
    source.resume()
    await once(source, 'end')
    await arrived
    expect(server.requests).to.have.lengthOf(2)
  })

  it('sends nothing when it is destroyed before somebody reads', async () => {
    await using server = await serveCompletions(scripted)
    const source = ask(server)
    source.destroy()
    expect(await failureOf(source.response)).to.have.property('name', 'AbortError')
    await textOf(ask(server))
    expect(server.requests).to.have.lengthOf(1)
  })

  it('sends nothing when its signal has aborted before', async () => {
    await using server = await serveCompletions(scripted)
    const failure = await failureOf(textOf(ask(server, { signal: AbortSignal.abort() })))
    expect(failure).to.have.property('name', 'AbortError')
    await textOf(ask(server))
    expect(server.requests).to.have.lengthOf(1)
  })

  it('gives the head of the response as a promise and as an event', async () => {
    await using server = await serveCompletions(scripted)
    const source = ask(server)
    const heads: unknown[] = []
    source.on('response', head => heads.push(head))
    await textOf(source)
    const head = await source.response
    expect(heads).to.deep.equal([head])
    expect(head.status).to.equal(200)
    expect(head.headers.get('content-type')).to.include('text/event-stream')
  })

  it('gives the head before the body comes', async () => {
    await using server = await serveCompletions({ ...scripted, faults: { stallAfter: { events: 0 } } })
    const source = ask(server)
    source.on('error', () => {}).resume()
    expect((await source.response).status).to.equal(200)
    source.destroy()
  })

  it("sends the request's own options", async () => {
    await using server = await serveCompletions(scripted)
    await textOf(ask(server, { request: { headers: { 'x-trace': 'trace-1' } } }))
    expect(server.requests[0]?.headers['x-trace']).to.equal('trace-1')
  })

  it('works with AzureOpenAI', async () => {
    await using server = await serveCompletions(scripted)
    const client = new AzureOpenAI({
      endpoint: server.origin,
      apiKey: 'none',
      apiVersion: '2024-10-21',
      deployment: 'gpt'
    })
    expect(await textOf(requestCompletion(client, question))).to.equal(whole)
    expect(server.requests[0]?.path).to.match(/^\/openai\/deployments\/gpt\/chat\/completions\?api-version/)
  })

  it('reads the body of a client whose fetch gives Node streams', async () => {
    await using server = await serveCompletions(scripted)
    const withNodeBody: typeof fetch = async (url, init) => {
      const response = await fetch(url, init)
      // As node-fetch has it, which clients may be given.
      const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0])
      return Object.defineProperty(new Response(null, response), 'body', { value: body })
    }
    expect(await textOf(requestCompletion(clientOf(server, { fetch: withNodeBody }), question))).to.equal(
      whole
    )
  })

  describe('stops the work of the server', () => {
    const moments = {
      'before the headers': { stallAfter: 'request' },
      'between headers and body': { stallAfter: { events: 0 } },
      'in mid-stream': { stallAfter: { events: 5 } }
    } as const

    /** Reads until the moment has come. */
    async function untilMoment(moment: string, source: RequestSource, arrived: Promise<void>): Promise<void> {
      await arrived
      if (moment === 'before the headers') return
      await source.response
      if (moment === 'in mid-stream' && source.readableFlowing !== null) await once(source, 'data')
    }

    for (const [moment, faults] of Object.entries(moments)) {
      it(`when it is destroyed ${moment}`, async () => {
        const { server, arrived } = await serveAndTell({ speed: Infinity, faults })
        await using _ = server
        const source = ask(server).resume() as RequestSource
        await untilMoment(moment, source, arrived)
        source.destroy()
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })

      it(`when its signal aborts ${moment}`, async () => {
        const { server, arrived } = await serveAndTell({ speed: Infinity, faults })
        await using _ = server
        const controller = new AbortController()
        const source = ask(server, { signal: controller.signal })
        const failure = failureOf(textOf(source))
        await untilMoment(moment, source, arrived)
        controller.abort()
        expect(await failure).to.have.property('name', 'AbortError')
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })

      it(`when the signal of the pipeline aborts ${moment}`, async () => {
        const { server, arrived } = await serveAndTell({ speed: Infinity, faults })
        await using _ = server
        const { signal, abort } = abortable()
        const source = ask(server)
        const sink = new Writable({ write: (_text, _encoding, callback) => callback() })
        const failure = failureOf(pipeline(source, toChunks(), toText(), sink, { signal }))
        await untilMoment(moment, source, arrived)
        abort()
        expect(await failure).to.have.property('name', 'AbortError')
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })

      it(`when the sink fails ${moment}`, async () => {
        const { server, arrived } = await serveAndTell({ speed: Infinity, faults })
        await using _ = server
        const source = ask(server)
        const sink = new Writable({ write: (_text, _encoding, callback) => callback() })
        const failure = failureOf(pipeline(source, toChunks(), toText(), sink))
        await untilMoment(moment, source, arrived)
        const reason = new Error('the disk is full')
        sink.destroy(reason)
        expect(await failure).to.equal(reason)
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })
    }

    function abortable(): { signal: AbortSignal; abort(): void } {
      const controller = new AbortController()
      return { signal: controller.signal, abort: () => controller.abort() }
    }
  })

  describe("fails with the client's own error", () => {
    const statuses = {
      400: OpenAI.BadRequestError,
      401: OpenAI.AuthenticationError,
      429: OpenAI.RateLimitError,
      500: OpenAI.InternalServerError
    }
    for (const [status, type] of Object.entries(statuses)) {
      it(`for status ${status}, after no more requests than the client is configured for`, async () => {
        await using server = await serveCompletions({
          ...scripted,
          faults: { status: { code: Number(status), retryAfter: 0.001 } }
        })
        const client = clientOf(server, { maxRetries: 2 })
        const source = requestCompletion(client, question)
        const failure = await failureOf(textOf(source))
        expect(failure).to.be.instanceOf(type)
        expect(failure.status).to.equal(Number(status))
        expect(await failureOf(source.response)).to.equal(failure)
        expect(server.requests).to.have.lengthOf(Number(status) < 402 ? 1 : 3)
      })
    }

    it('and ends no process for it, when nobody reads but its `response`', async () => {
      const server = await serve(() => {})
      await server[Symbol.asyncDispose]()
      const source = requestCompletion(clientOf(server, { maxRetries: 0 }), question)
      const failure = await failureOf(source.response)
      // Mocha fails a test for an error event that nobody listens to.
      await turns(5)
      expect(source.destroyed).to.equal(true)
      expect(await failureOf(textOf(source))).to.equal(failure)
    })

    it('when it cannot connect', async () => {
      const server = await serve(() => {})
      await server[Symbol.asyncDispose]()
      const failure = await failureOf(textOf(requestCompletion(clientOf(server), question)))
      expect(failure).to.be.instanceOf(OpenAI.APIConnectionError)
    })

    it('when its own timeout passes before the headers', async () => {
      await using server = await serveCompletions({ ...scripted, faults: { stallAfter: 'request' } })
      const failure = await failureOf(textOf(ask(server, { request: { timeout: 5 } })))
      expect(failure).to.be.instanceOf(OpenAI.APIConnectionTimeoutError)
    })

    it('when a listener of the response event throws', async () => {
      await using server = await serveCompletions({ ...scripted, faults: { holdOpen: true } })
      const reason = new Error('a listener')
      const source = ask(server).on('response', () => {
        throw reason
      })
      expect(await failureOf(textOf(source))).to.equal(reason)
      expect(await server.requests[0]?.over).to.have.property('aborted', true)
    })
  })

  it('goes on when a retry of the client succeeds', async () => {
    await using server = await serveCompletions({
      ...scripted,
      faults: { status: { code: 429, times: 2, retryAfter: 0.001 } }
    })
    expect(await textOf(requestCompletion(clientOf(server, { maxRetries: 2 }), question))).to.equal(whole)
    expect(server.requests).to.have.lengthOf(3)
  })

  it('never asks again for what has begun to come', async () => {
    await using server = await serveCompletions({ ...scripted, faults: { cutAfter: { events: 5 } } })
    const client = clientOf(server, { maxRetries: 5 })
    expect((await failureOf(textOf(requestCompletion(client, question)))).code).to.equal('CS_ERR_TRUNCATED')
    expect(server.requests).to.have.lengthOf(1)
  })

  it('can be destroyed in any turn of the event loop', async () => {
    await using server = await serveCompletions(scripted)
    for (let count = 0; count < 40; count++) {
      const source = ask(server)
      source.on('error', () => {}).resume()
      await turns(count)
      source.destroy()
      if (!source.closed) await once(source, 'close')
    }
    expect(await textOf(ask(server))).to.equal(whole)
  })

  const client = clientOf({ url: 'http://127.0.0.1:1' })
  const wrong = {
    'no client': () => requestCompletion(undefined as never, question),
    'no parameters': () => requestCompletion(client, undefined as never),
    'parameters for no endpoint': () => requestCompletion(client, { model: 'm' } as never),
    'a high water mark that is no number': () =>
      requestCompletion(client, question, { highWaterMark: '1' as never }),
    'an endAtMark that is no boolean': () => requestCompletion(client, question, { endAtMark: 'no' as never })
  }
  for (const [name, call] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(call).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

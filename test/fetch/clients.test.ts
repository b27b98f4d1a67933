import { AsyncLocalStorage } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createGzip, gzipSync } from 'node:zlib'
import { expect } from 'chai'
import {
  directFetch,
  type Fetch,
  fromResponse,
  guardFetch,
  requestCompletion,
  type Source,
  type Summary,
  toChunks,
  toText
} from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { run, withResolvers } from '../answers.js'
import {
  allowNoComplaints,
  clientOf,
  completion,
  failureOf,
  finishEvent,
  question,
  serve,
  textEvent,
  turns,
  words
} from '../helpers.js'
import { freePort } from '../redis-server.js'

// Each major has types of its own. What is called here they share.
const clients = {
  'openai 4': OpenAI4 as object as typeof OpenAI,
  'openai 5': OpenAI5 as object as typeof OpenAI,
  'openai 6': OpenAI
}
const fetch = directFetch()
const whole = words(30)

/** The text of a source, read through a pipeline, with how that failed. */
async function read(source: Source<Uint8Array>): Promise<{ text: string; failure?: unknown }> {
  const { items, error } = await run<string>(source, toChunks(), toText())
  return { text: items.join(''), ...(error && { failure: error }) }
}

/** A server that answers with a list of answers in turn, the last one again and again. */
function serveInTurn(...answers: ((response: ServerResponse) => void)[]) {
  let count = 0
  return serve((request, response) => {
    request.resume().on('end', () => answers[Math.min(count++, answers.length - 1)]?.(response))
  })
}

function answerWhole(response: ServerResponse): void {
  response
    .writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'r1' })
    .end(completion(whole))
}

describe('directFetch, behind clients', () => {
  allowNoComplaints()

  for (const [name, Client] of Object.entries(clients)) {
    const options = { apiKey: 'none', fetch, maxRetries: 0 }

    it(`gives an answer to requestCompletion with ${name}, and makes no web stream`, async () => {
      await using server = await serveInTurn(answerWhole)
      const { ReadableStream } = globalThis
      let count = 0
      globalThis.ReadableStream = new Proxy(ReadableStream, {
        construct(target, args) {
          count++
          return Reflect.construct(target, args)
        }
      })
      try {
        const client = new Client({ ...options, baseURL: server.url })
        const source = requestCompletion(client, question)
        const { status, headers } = await source.response
        expect([status, headers.get('x-request-id')]).to.deep.equal([200, 'r1'])
        expect(await read(source)).to.deep.equal({ text: whole.join('') })
        expect(count).to.equal(0)
      } finally {
        globalThis.ReadableStream = ReadableStream
      }
    })

    it(`gives an answer to the loop of ${name}, and its response`, async () => {
      await using server = await serveInTurn(answerWhole)
      const client = new Client({ ...options, baseURL: server.url })
      const asked = client.chat.completions.create({ ...question, stream: true })
      const { data, response } = await asked.withResponse()
      let text = ''
      for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? ''
      expect(text).to.equal(whole.join(''))
      expect(response.status).to.equal(200)
      expect(response.bodyUsed).to.equal(true)
    })

    it(`closes the connection when the loop of ${name} is left`, async () => {
      const { promise: closed, resolve: close } = withResolvers()
      await using server = await serveInTurn(response => {
        response.on('close', close)
        response.write(textEvent('one'))
      })
      const client = new Client({ ...options, baseURL: server.url })
      for await (const _chunk of await client.chat.completions.create({ ...question, stream: true })) break
      await closed
    })

    const troubles: Record<string, (response: ServerResponse) => void> = {
      '429': response =>
        void response.writeHead(429, { 'retry-after-ms': '1' }).end('{"error":{"message":"slow"}}'),
      // Without an end, so that only a cancelled body frees its connection.
      '500': response => void response.writeHead(500, { 'retry-after-ms': '1' }).write('{"error"'),
      'a closed connection': response => void response.destroy()
    }
    for (const [trouble, answer] of Object.entries(troubles)) {
      it(`has ${name} try again after ${trouble}`, async () => {
        await using server = await serveInTurn(answer, answer, answerWhole)
        const client = new Client({ ...options, baseURL: server.url, maxRetries: 2 })
        expect(await read(requestCompletion(client, question))).to.deep.equal({ text: whole.join('') })
      })
    }

    it(`has ${name} say what a status says`, async () => {
      await using server = await serveInTurn(response => {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":{"message":"no key"}}')
      })
      const client = new Client({ ...options, baseURL: server.url })
      const { failure } = await read(requestCompletion(client, question))
      expect(failure).to.be.instanceOf(Client.AuthenticationError)
      expect(String(failure)).to.include('no key')
    })

    it(`has ${name} say that nobody listens`, async () => {
      const client = new Client({ ...options, baseURL: `http://127.0.0.1:${await freePort()}` })
      const { failure } = await read(requestCompletion(client, question))
      expect(failure).to.be.instanceOf(Client.APIConnectionError)
      expect(failure).to.have.nested.property('cause.cause.code', 'ECONNREFUSED')
    })

    it(`has ${name} say that its timeout has passed`, async () => {
      await using server = await serveInTurn(() => {})
      const client = new Client({ ...options, baseURL: server.url, timeout: 1 })
      const { failure } = await read(requestCompletion(client, question))
      expect(failure).to.be.instanceOf(Client.APIConnectionTimeoutError)
    })
  }

  const ends: Record<string, (response: ServerResponse, bytes: string) => void> = {
    'without a length': (response, bytes) => void response.write(bytes, () => response.destroy()),
    'with a length': (response, bytes) => {
      response.setHeader('content-length', 10_000)
      response.write(bytes, () => response.destroy())
    },
    'packed by gzip': (response, bytes) => {
      response.setHeader('content-encoding', 'gzip')
      const gzip = createGzip()
      gzip.on('data', piece => response.write(piece))
      gzip.write(bytes)
      gzip.flush(() => response.write('', () => response.destroy()))
    }
  }
  for (const [kind, cut] of Object.entries(ends)) {
    it(`fails with CS_ERR_TRUNCATED after all that arrived of a body ${kind} that is cut`, async () => {
      await using server = await serveInTurn(response => cut(response, textEvent('one ') + textEvent('two')))
      const { text, failure } = await read(requestCompletion(clientOf(server, { fetch }), question))
      expect(text).to.equal('one two')
      expect(failure).to.have.property('code', 'CS_ERR_TRUNCATED')
      expect(failure).to.have.nested.property('cause.message', 'terminated')
    })
  }

  it('fails with CS_ERR_TRUNCATED where the packed bytes are damaged', async () => {
    await using server = await serveInTurn(response => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('this is not gzip at all')
    })
    const { failure } = await read(requestCompletion(clientOf(server, { fetch }), question))
    expect(failure).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(failure).to.have.nested.property('cause.cause.code', 'Z_DATA_ERROR')
  })

  for (const place of [8, 4]) {
    it(`gives all that was packed where the check behind it is wrong, ${place} bytes before the end`, async () => {
      const packed = gzipSync(textEvent('one ') + textEvent('two'))
      packed[packed.length - place] = (packed.at(-place) as number) ^ 1
      await using server = await serveInTurn(response => {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed)
      })
      const { text, failure } = await read(requestCompletion(clientOf(server, { fetch }), question))
      expect(text).to.equal('one two')
      expect(failure).to.have.property('code', 'CS_ERR_TRUNCATED')
    })
  }

  it('reads an answer that is packed by gzip as it comes', async () => {
    let proceed = () => {}
    await using server = await serveInTurn(response => {
      const gzip = createGzip()
      response.setHeader('content-encoding', 'gzip')
      gzip.pipe(response)
      gzip.write(textEvent('one '))
      gzip.flush()
      proceed = () => gzip.end(textEvent('two') + finishEvent)
    })
    let text = ''
    const request = requestCompletion(clientOf(server, { fetch }), question)
    await pipeline(request, toChunks(), toText(), async pieces => {
      for await (const piece of pieces) {
        text += piece
        proceed()
      }
    })
    expect(text).to.equal('one two')
  })

  for (const abort of ['its signal', 'destroy()'] as const) {
    it(`closes the connection when a source is ended by ${abort}`, async () => {
      const { promise: closed, resolve: close } = withResolvers()
      await using server = await serveInTurn(response => {
        response.on('close', close)
        response.write(textEvent('one'))
      })
      const controller = new AbortController()
      const { signal } = controller
      const source = requestCompletion(clientOf(server, { fetch }), question, { signal })
      source.once('data', () => (abort === 'its signal' ? controller.abort() : source.destroy()))
      const failure = await failureOf(
        pipeline(source, toChunks(), toText(), async pieces => {
          for await (const _piece of pieces);
        })
      )
      expect(failure.code).to.equal(abort === 'its signal' ? 'ABORT_ERR' : 'ERR_STREAM_PREMATURE_CLOSE')
      await closed
    })
  }

  it('frees its connection at the end mark of an answer, for the next request', async () => {
    const sockets = new Set<unknown>()
    await using server = await serveInTurn(response => {
      sockets.add(response.socket)
      answerWhole(response)
    })
    const { Agent } = await import('undici')
    const dispatcher = new Agent({ connections: 1 })
    const client = clientOf(server, { fetch: directFetch({ dispatcher }) })
    for (let count = 0; count < 5; count++) await read(requestCompletion(client, question))
    expect(sockets.size).to.equal(1)
    await dispatcher.close()
  })

  it('closes the connection of a response that nobody can read any more', async () => {
    let isClosed = false
    await using server = await serve((_request, response) => {
      response.on('close', () => {
        isClosed = true
      })
      response.write('begun ')
    })
    await fetch(server.url)
    await (await fetch(server.url)).body
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    for (let count = 0; !isClosed && count < 1000; count++) {
      await turns(20)
      collect()
    }
    expect(isClosed).to.equal(true)
  })

  it('keeps nothing of a body that was cancelled', async () => {
    await using server = await serve((_request, response) => {
      response.write('begun ')
    })
    /** In a function of its own, whose variables are gone when it has returned. */
    async function cancelled(): Promise<WeakRef<object>> {
      const { body } = await fetch(server.url)
      const reader = (body as ReadableStream<Uint8Array>).getReader()
      await reader.read()
      await reader.cancel()
      return new WeakRef(reader)
    }
    const readers = await Promise.all(Array.from({ length: 10 }, cancelled))
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const left = () => readers.filter(reader => reader.deref())
    for (let count = 0; left().length > 1 && count < 200; count++) {
      await turns(20)
      collect()
    }
    // The newest may stand on a stack that is not used any more.
    expect(left().length).to.be.at.most(1)
  })

  for (const isSeen of [false, true]) {
    const name = isSeen
      ? 'though its response is gone after its body was looked at'
      : 'though its response is gone'
    it(`keeps a body alive that is read, ${name}`, async () => {
      let proceed = () => {}
      await using server = await serveInTurn(response => {
        response.write(textEvent('one '))
        proceed = () => response.end(completion(['two']))
      })
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void
      let response: Response | undefined
      const keeping: Fetch = async (...call) => {
        response = await fetch(...call)
        return response
      }
      const source = requestCompletion(clientOf(server, { fetch: keeping }), question)
      await source.response
      if (!isSeen) response = undefined
      await turns(5)
      collect()
      await turns(5)
      let text = ''
      await pipeline(source, toChunks(), toText(), async pieces => {
        for await (const piece of pieces) {
          text += piece
          if (isSeen && response) expect(response.body?.locked).to.equal(true)
          response = undefined
          await turns(5)
          collect()
          await turns(5)
          proceed()
        }
      })
      expect(text).to.equal('one two')
    })
  }

  it('runs what reads a body in the async context of its own request, on a connection that others have used', async () => {
    const context = new AsyncLocalStorage<number>()
    const { Agent } = await import('undici')
    const dispatcher = new Agent({ connections: 1 })
    await using server = await serveInTurn(response => {
      response.write(textEvent('one'))
      setImmediate(() => response.end(completion(['two'])))
    })
    const client = clientOf(server, { fetch: directFetch({ dispatcher }) })
    for (const place of [1, 2, 3]) {
      const found = new Set<unknown>()
      await context.run(place, async () => {
        const source = requestCompletion(client, question)
        source.on('data', () => found.add(context.getStore()))
        await read(source)
      })
      expect([...found]).to.deep.equal([place])
    }
    await dispatcher.close()
  })

  it('stands behind guardFetch', async () => {
    await using server = await serveInTurn(response => response.end(textEvent('one')), answerWhole)
    const summaries: Summary[] = []
    const { promise: told, resolve: tell } = withResolvers()
    const onSummary = (summary: Summary) => {
      if (summaries.push(summary) === 2) tell()
    }
    const guarded = guardFetch({ fetch, onSummary })
    const client = clientOf(server, { fetch: guarded })
    const { text, failure } = await read(requestCompletion(client, question))
    expect([text, (failure as { code?: string }).code]).to.deep.equal(['one', 'CS_ERR_TRUNCATED'])
    expect(await read(requestCompletion(client, question))).to.deep.equal({ text: whole.join('') })
    // A source ends with the end mark; the summary comes with the end of the body.
    await told
    expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['truncated', 'complete'])
  })

  it('gives fromResponse a response, and one that is read by another is refused', async () => {
    await using server = await serveInTurn(answerWhole)
    expect(await read(fromResponse(fetch(server.url)))).to.deep.equal({ text: whole.join('') })
    const response = await fetch(server.url)
    expect(await read(fromResponse(response))).to.deep.equal({ text: whole.join('') })
    expect(response.bodyUsed).to.equal(true)
    expect(await failureOf(response.text())).to.be.instanceOf(TypeError)
    const { failure } = await read(fromResponse(response))
    expect(failure).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    const looked = await fetch(server.url)
    expect(looked.body).to.be.instanceOf(ReadableStream)
    expect(await read(fromResponse(looked))).to.deep.equal({ text: whole.join('') })
  })

  it("gives the platform's own responses where a framework has put its class in place of Response", async () => {
    await using server = await serveInTurn(answerWhole)
    const { Request, Response } = globalThis
    const own = Response.error().constructor
    // By a name that the compiler does not follow: the types of the package want those of a browser.
    const framework: string = '@hono/node-server'
    const { getRequestListener } = await import(framework)
    getRequestListener(() => new Response())
    try {
      expect(globalThis.Response).not.to.equal(own)
      const response = await fetch(server.url)
      expect(Object.getPrototypeOf(response)).to.equal(own.prototype)
      expect(await read(fromResponse(response))).to.deep.equal({ text: whole.join('') })
      expect(await failureOf(response.text())).to.be.instanceOf(TypeError)
      const looked = await fetch(server.url)
      expect(looked.body).to.be.instanceOf(ReadableStream)
      expect(await read(fromResponse(looked))).to.deep.equal({ text: whole.join('') })
    } finally {
      Object.assign(globalThis, { Request, Response })
    }
  })

  it('gives fromResponse what a status says', async () => {
    await using server = await serveInTurn(response => {
      response.writeHead(503, { 'retry-after': '1' }).end('{"error":{"message":"busy"}}')
    })
    const { failure } = await read(fromResponse(signal => fetch(server.url, { signal })))
    expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 503, retryAfter: 1000 })
  })

  it('asks the next candidate', async () => {
    await using broken = await serveInTurn(response => void response.destroy())
    await using server = await serveCompletions({ script: script('Hello there'), speed: Infinity })
    const candidates = [broken, server].map(({ url }) => ({
      client: clientOf({ url }, { fetch }),
      params: question
    }))
    expect(await read(requestCompletion(candidates))).to.deep.equal({ text: 'Hello there' })
  })

  it('fits the places where a fetch is asked for', () => {
    const own: typeof globalThis.fetch = fetch
    expect(own).to.equal(fetch)
    expect(new OpenAI({ apiKey: 'none', fetch })).to.be.instanceOf(OpenAI)
    expect(new OpenAI5({ apiKey: 'none', fetch })).to.be.instanceOf(OpenAI5)
    expect(new OpenAI4({ apiKey: 'none', fetch: fetch as never })).to.be.instanceOf(OpenAI4)
  })
})

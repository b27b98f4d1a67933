import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { fromResponse, type ResponseLike, requestCompletion, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'
import { request as undiciRequest } from 'undici'
import {
  allowNoComplaints,
  endMark,
  event,
  failureOf,
  finishEvent,
  question,
  textEvent,
  turns
} from '../helpers.js'

const begun = textEvent('one ') + textEvent('two ')
const finished = begun + finishEvent

const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n'
const chunked = `${head}transfer-encoding: chunked\r\n\r\n`
const closing = `${head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n`
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** What a server sends, and how it leaves. Each brings the text of `begun`, and no more. */
const faults: Record<string, (socket: Socket) => void> = {
  'an end (FIN) within a chunked body': socket => socket.end(chunked + chunk(begun)),
  'an end (FIN) within a chunked body that says Connection: close': socket =>
    socket.end(closing + chunk(begun)),
  'a reset within a chunked body that says Connection: close': socket =>
    socket.write(closing + chunk(begun), () => socket.resetAndDestroy()),
  'a chunk that is cut': socket => socket.end(`${chunked + chunk(begun)}ff\r\ndata: {"cho`),
  'a page of a proxy within a chunked body': socket =>
    socket.end(`${chunked + chunk(begun)}HTTP/1.1 502 Bad Gateway\r\n\r\n<html>`),
  'a body that is shorter than its length': socket =>
    socket.end(`${head}content-length: 99999\r\n\r\n${begun}`),
  'a chunk size that is none': socket => socket.end(`${chunked + chunk(begun)}zz\r\n`)
}

const clients: Record<string, (url: string, signal: AbortSignal) => Promise<ResponseLike>> = {
  fetch: (url, signal) => fetch(url, { signal }),
  undici: (url, signal) => undiciRequest(url, { signal }),
  'http.request': async (url, signal) => {
    const [response] = await once(httpRequest(url, { signal }).end(), 'response')
    return response as IncomingMessage
  }
}

/** A server that answers every request by what is written to its socket. */
async function serveBytes(
  answer: (socket: Socket) => void
): Promise<AsyncDisposable & { url: string; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}

async function read(source: Readable): Promise<{ text: string; error?: Error & { code?: string } }> {
  let text = ''
  try {
    await pipeline(source, toChunks(), toText(), async pieces => {
      for await (const piece of pieces) text += piece
    })
    return { text }
  } catch (error) {
    return { text, error: error as Error }
  }
}

describe('fromResponse of a body that breaks', () => {
  allowNoComplaints()

  const three = textEvent('three')
  const error = event({ error: { message: 'overloaded' } })
  const terminal = event({
    type: 'response.completed',
    response: { id: 'r', object: 'response', status: 'completed', output: [] }
  })
  const half = textEvent('half').slice(0, -10)
  /** What comes last, with so many of its line ends. */
  const lastEvents: Record<string, { body: string; text: string; code?: string }> = {
    'an event of text': { body: begun + three, text: 'one two three', code: 'CS_ERR_TRUNCATED' },
    'a finish reason': { body: finished, text: 'one two ' },
    'a terminal of the Responses API': { body: terminal, text: '' },
    'the error of a provider': { body: begun + error, text: 'one two ', code: 'CS_ERR_PROVIDER' },
    'half an event': { body: `${begun}${half}\n\n`, text: 'one two ', code: 'CS_ERR_TRUNCATED' }
  }
  for (const [name, { body, text, code }] of Object.entries(lastEvents)) {
    for (const lacking of [1, 2]) {
      for (const [client, ask] of Object.entries(clients)) {
        it(`takes ${name} that lacks ${lacking} of its line ends, by ${client}`, async () => {
          const sent = body.slice(0, -lacking)
          await using server = await serveBytes(socket => socket.end(chunked + chunk(sent)))
          const outcome = await read(fromResponse(signal => ask(server.url, signal)))
          expect(outcome.text).to.equal(text)
          expect(outcome.error?.code).to.equal(code)
        })
      }
    }
  }

  for (const [client, send] of Object.entries(clients)) {
    for (const [fault, answer] of Object.entries(faults)) {
      it(`fails with CS_ERR_TRUNCATED and its cause for ${fault}, behind the text before it (${client})`, async () => {
        await using server = await serveBytes(answer)
        const { text, error } = await read(fromResponse(signal => send(server.url, signal)))
        expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
        expect('one two '.startsWith(text), text).to.equal(true)
        await turns(5)
      })
    }

    for (const [name, lost] of Object.entries<(socket: Socket) => void>({
      'a reset': (socket: Socket) =>
        void socket.write(chunked + chunk(finished), () => socket.resetAndDestroy()),
      'an end within the chunked body': socket => void socket.end(chunked + chunk(finished))
    })) {
      it(`takes an answer for whole whose choices have all finished before ${name} (${client})`, async () => {
        await using server = await serveBytes(lost)
        const { text, error } = await read(fromResponse(signal => send(server.url, signal)))
        // A reset may overtake what the client has not read, which is then missing.
        if (error) expect(text).not.to.equal('one two ')
        else expect(text).to.equal('one two ')
      })
    }

    for (const [name, body, expected] of [
      [
        'a whole answer in JSON',
        '{"object":"chat.completion","choices":[{"index":0,"message":{"content":"one two "},"finish_reason":"stop"}]}',
        { text: 'one two ' }
      ],
      [
        'an error in JSON',
        '{"error":{"message":"Too long","code":400}}',
        { code: 'CS_ERR_PROVIDER', status: 400 }
      ],
      [
        'a last line of JSON',
        '{"choices":[{"index":0,"delta":{"content":"one two "}}]}\n{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        { text: 'one two ' }
      ],
      ['a part of an answer in JSON', '{"object":"chat.completion","choices":[', { code: 'CS_ERR_TRUNCATED' }]
    ] as const) {
      it(`takes ${name} for what it is, though the connection ends within the chunked body (${client})`, async () => {
        await using server = await serveBytes(socket => void socket.end(chunked + chunk(body)))
        const { text, error } = await read(fromResponse(signal => send(server.url, signal)))
        expect({ text, ...error }).to.include(expected)
        if ('text' in expected) expect(error).to.equal(undefined)
      })
    }

    it(`tells the server of an abort before the head has come (${client})`, async () => {
      await using server = await serveBytes(() => {})
      const controller = new AbortController()
      const reading = read(fromResponse(signal => send(server.url, signal), { signal: controller.signal }))
      while (server.sockets.length === 0) await turns(1)
      const [socket] = server.sockets as [Socket]
      const gone = once(socket, 'close')
      socket.resume()
      controller.abort()
      await gone
      expect((await reading).error?.name).to.equal('AbortError')
    })
  }

  it('fails with CS_ERR_TRUNCATED for a stream of HTTP/2 that is reset, or whose session ends', async () => {
    const leave: ((stream: {
      close(code: number): void
      session?: { destroy(): void } | undefined
    }) => void)[] = [stream => stream.close(2), stream => stream.session?.destroy()]
    for (const go of leave) {
      const server = createHttp2Server()
      server.on('sessionError', () => {})
      server.on('stream', stream => {
        stream.on('error', () => {})
        stream.respond({ ':status': 200, 'content-type': 'text/event-stream' })
        stream.write(begun, () => go(stream))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const session = connectHttp2(`http://127.0.0.1:${port}`)
      session.on('error', () => {})
      const stream = session.request({ ':path': '/' })
      const [headers] = await once(stream, 'response')
      const response = { statusCode: headers[':status'] as number, headers, body: stream }
      const { error } = await read(fromResponse(response))
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
      session.destroy()
      server.close()
    }
  })

  it('fails with a code of its own for gzip that is damaged', async () => {
    const gzip = gzipSync(begun.repeat(50))
    const damaged = Buffer.concat([gzip.subarray(0, gzip.length - 40), Buffer.alloc(40, 7)])
    await using server = await serveBytes(socket => {
      socket.write(`${head}content-encoding: gzip\r\ncontent-length: ${damaged.length}\r\n\r\n`)
      socket.write(damaged)
    })
    const codes = ['CS_ERR_TRUNCATED', 'CS_ERR_INVALID_CHUNK']
    expect((await read(fromResponse(fetch(server.url)))).error?.code).to.be.oneOf(codes)
    const [response] = (await once(httpRequest(server.url).end(), 'response')) as [IncomingMessage]
    const gunzip = createGunzip()
    const source = fromResponse({ statusCode: 200, body: response.pipe(gunzip) })
    expect((await read(source)).error?.code).to.be.oneOf(codes)
  })

  it('leaves the error that somebody destroyed the body with as it is', async () => {
    await using server = await serveBytes(socket => void socket.write(chunked + chunk(begun)))
    const [response] = (await once(httpRequest(server.url).end(), 'response')) as [IncomingMessage]
    const reason = new Error('no more')
    const source = fromResponse(response)
    source.once('data', () => response.destroy(reason))
    expect((await read(source)).error).to.equal(reason)
  })

  it('does not end the process when the request fails behind its response', async () => {
    await using server = await serveBytes(socket =>
      socket.write(chunked + chunk(begun), () => socket.resetAndDestroy())
    )
    // A client that nobody listens to but for the response.
    const response = new Promise<IncomingMessage>(resolve =>
      httpRequest(server.url).end().once('response', resolve)
    )
    expect((await read(fromResponse(response))).error).to.have.property('code', 'CS_ERR_TRUNCATED')
    await turns(20)
  })
})

describe('fromResponse', () => {
  allowNoComplaints()

  it('keeps a surrogate pair whole that strings cut in two', async () => {
    const text = textEvent('a😀b') + finishEvent + endMark
    const place = text.indexOf('😀') + 1
    const pieces = [text.slice(0, place), '', text.slice(place)]
    expect(await read(fromResponse(Readable.from(pieces)))).to.deep.equal({ text: 'a😀b' })
    const half = await fromResponse(Readable.from(['a\ud83d'])).toArray()
    expect(Buffer.concat(half).toString()).to.equal('a\ufffd')
  })

  it("says of the official client's stream that it goes into the pipeline itself", async () => {
    await using server = await serveBytes(socket => void socket.end(`${head}\r\n${finished}`))
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
    const stream = client.chat.completions.create({ ...question, stream: true })
    const error = await failureOf(
      read(fromResponse(stream as never)).then(({ error }) => Promise.reject(error))
    )
    expect(error.code).to.equal('CS_ERR_INVALID_OPTION')
    expect(error.message).to.include('begin the pipeline with that stream itself')
  })

  it('fails with CS_ERR_INVALID_CHUNK for a stream of objects', async () => {
    const { error } = await read(fromResponse(Readable.from([{ choices: [] }]) as never))
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  it('gives the headers and the time to wait with the status', async () => {
    const refused =
      'HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\nset-cookie: a=b\r\nx-request-id: q1\r\ncontent-length: 0\r\n\r\n'
    await using server = await serveBytes(socket => void socket.end(refused))
    const { error } = await read(fromResponse(fetch(server.url)))
    expect(error).to.deep.include({ code: 'CS_ERR_PROVIDER', status: 429, retryAfter: 2000 })
    expect(error)
      .to.have.property('headers')
      .that.includes({ 'x-request-id': 'q1' })
      .and.not.has.property('set-cookie')
  })

  for (const [name, body] of Object.entries({
    'as an event': 'event:error\ndata:{"code":"InvalidParameter","message":"bad"}\n\n',
    'as a field': 'error: {"code":"InvalidParameter","message":"bad"}\n\n'
  })) {
    it(`reads what a refused request is told ${name}`, async () => {
      await using server = await serveBytes(
        socket => void socket.end(`HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n${body}`)
      )
      const { error } = await read(fromResponse(fetch(server.url)))
      expect(error).to.include({
        code: 'CS_ERR_PROVIDER',
        status: 400,
        providerCode: 'InvalidParameter',
        message: 'provider reported an error: bad'
      })
    })
  }

  for (const [name, end] of Object.entries({
    'whose keys are in order':
      'data: {"response":{"id":"r","output":[],"status":"completed"},"type":"response.completed"}\n\n',
    'with a space behind the brace':
      'data: { "type": "response.completed", "response": { "status": "completed" } }\n\n',
    'without its blank line':
      'data: {"type":"response.completed","response":{"output":[],"status":"completed"}}'
  })) {
    it(`ends at the terminal of a Responses stream without event lines ${name}, on a socket held open`, async () => {
      const body = `data: {"type":"response.output_text.delta","output_index":0,"delta":"Hi"}\n\n${end}`
      await using server = await serveBytes(socket => void socket.write(`${head}\r\n${body}`))
      expect(await read(fromResponse(fetch(server.url)))).to.deep.equal({ text: 'Hi' })
      const emitted = Buffer.concat(await fromResponse(fetch(server.url)).toArray()).toString()
      expect(emitted.trimEnd()).to.equal(body.trimEnd())
    })
  }

  it('takes fifty pipelines under one signal without a warning', async () => {
    const { signal } = new AbortController()
    const body = finished + endMark
    const reads = Array.from({ length: 50 }, () => read(fromResponse(Readable.from([body]), { signal })))
    for (const { text } of await Promise.all(reads)) expect(text).to.equal('one two ')
    await turns(5)
  })

  for (const signal of ['abort', {}, null]) {
    it(`throws CS_ERR_INVALID_OPTION for the signal ${JSON.stringify(signal)}`, () => {
      expect(() => fromResponse(Readable.from([]), { signal } as never))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

describe('requestCompletion', () => {
  allowNoComplaints()

  const clientOf = (url: string) => new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })

  it('sends the request when its response is awaited before anybody reads', async () => {
    await using server = await serveBytes(socket => void socket.write(chunked + chunk(finished + endMark)))
    const source = requestCompletion(clientOf(server.url), question)
    expect((await source.response).status).to.equal(200)
    expect(await read(source)).to.deep.equal({ text: 'one two ' })
  })

  it('lets go of a request whose response was awaited and that nobody reads', async () => {
    await using server = await serveBytes(socket => void socket.write(chunked + chunk(begun)))
    const source = requestCompletion(clientOf(server.url), question)
    await source.response
    const [socket] = server.sockets as [Socket]
    const gone = once(socket, 'close')
    source.destroy()
    await gone
  })

  it('fails with CS_ERR_TRUNCATED when a choice that was asked for never came', async () => {
    const first = event({ choices: [{ index: 0, delta: { content: 'one' }, finish_reason: 'stop' }] })
    await using server = await serveBytes(socket => void socket.end(`${head}\r\n${first}`))
    const { error } = await read(requestCompletion(clientOf(server.url), { ...question, n: 2 }))
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(await read(requestCompletion(clientOf(server.url), { ...question, n: 1 }))).to.deep.equal({
      text: 'one'
    })
  })

  it('takes any client that has the endpoint', async () => {
    const endpoint = { create: () => ({ asResponse: async () => new Response(finished + endMark) }) }
    const client = { chat: { completions: endpoint }, completions: endpoint, responses: endpoint }
    expect(await read(requestCompletion(client, question))).to.deep.equal({ text: 'one two ' })
  })

  for (const client of [null, {}, { chat: {} }, 'client']) {
    it(`throws CS_ERR_INVALID_OPTION for the client ${JSON.stringify(client)}`, () => {
      expect(() => requestCompletion(client as never, question))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { expect } from 'chai'
import { type ErrorShape, type Faults, script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import { Exchange, eventsOf, post, question, streamedQuestion } from './wire.js'

const hi = script('Hi there')
const asked = JSON.stringify(streamedQuestion)
const error = { message: 'Too much.', type: 'overloaded', param: null, code: 'busy' }

/** The body of a streamed answer with these faults, as text. */
async function bodyWith(faults: Faults): Promise<string> {
  await using server = await serveCompletions({ script: hi, speed: Infinity, faults })
  return await (await post(server, streamedQuestion)).text()
}

/** What stands on the wire behind the headers, with the chunk sizes of HTTP, until the socket closes. */
async function wireWith(faults: Faults): Promise<{ head: string; body: string }> {
  await using server = await serveCompletions({ script: hi, speed: Infinity, faults })
  const [head = '', ...rest] = (await new Exchange(server, asked).toEnd()).split('\r\n\r\n')
  return { head, body: rest.join('\r\n\r\n') }
}

describe('faults', () => {
  describe('cutAfter', () => {
    it('cuts before the headers', async () => {
      await using server = await serveCompletions({ script: hi, faults: { cutAfter: 'request' } })
      expect(await new Exchange(server, asked).toEnd()).to.equal('')
      expect(await server.requests[0]?.over).to.deep.include({ cut: true, aborted: false, bytesWritten: 0 })
    })

    it('cuts behind the headers', async () => {
      const { head, body } = await wireWith({ cutAfter: { events: 0 } })
      expect(head).to.match(/^HTTP\/1.1 200/)
      expect(body).to.equal('')
    })

    it('cuts after so many events', async () => {
      const { body } = await wireWith({ cutAfter: { events: 2 } })
      expect(body.match(/data: /g)).to.have.lengthOf(2)
      expect(body)
        .to.include('"content":"Hi"')
        .and.match(/\n\n\r\n$/)
    })

    it('cuts after so many bytes', async () => {
      const { body } = await wireWith({ cutAfter: { bytes: 20 } })
      expect(body).to.equal('14\r\ndata: {"id":"chatcmp\r\n')
    })

    it('cuts a whole answer too', async () => {
      await using server = await serveCompletions({
        script: hi,
        speed: Infinity,
        faults: { cutAfter: { bytes: 8 } }
      })
      expect(await new Exchange(server, JSON.stringify(question)).toEnd()).to.match(/\r\n8\r\n\{"id":"c\r\n$/)
    })

    it('lets an answer that is shorter end in good order', async () => {
      expect(await bodyWith({ cutAfter: { events: 99 } })).to.match(/\[DONE\]\n\n$/)
    })
  })

  describe('stallAfter', () => {
    for (const { place, last } of [
      { place: { events: 0 }, last: /\r\n\r\n$/ },
      { place: { events: 2 }, last: /"Hi"/ },
      { place: { bytes: 10 }, last: /data: \{"id/ }
    ]) {
      it(`stalls after ${JSON.stringify(place)} and holds the socket open`, async () => {
        await using server = await serveCompletions({
          script: hi,
          speed: Infinity,
          faults: { stallAfter: place }
        })
        const exchange = new Exchange(server, asked)
        await exchange.until(last)
        await (await fetch(`${server.url}/models`)).text()
        expect(exchange.received).not.to.include('there')
        expect(exchange.socket.readableEnded).to.equal(false)
        exchange.socket.destroy()
        expect(await server.requests[0]?.over).to.deep.include({ aborted: true, finished: false })
      })
    }

    it('goes on with comments while it stalls', async () => {
      const faults = { stallAfter: { events: 1 }, comments: { text: 'alive', every: 1 } }
      await using server = await serveCompletions({ script: hi, speed: Infinity, faults })
      const exchange = new Exchange(server, asked)
      await exchange.until(/data: [^:]*([^\n]*\n)+9\r\n: alive\n\n\r\n9\r\n: alive\n\n\r\n/)
      expect(exchange.received.match(/data: /g)).to.have.lengthOf(1)
      exchange.socket.destroy()
    })
  })

  describe('errorAfter', () => {
    const frames: Record<ErrorShape, (line: string) => void> = {
      data: line => expect(line).to.equal(`data: ${JSON.stringify({ error })}`),
      event: line => expect(line).to.equal(`event: error\ndata: ${JSON.stringify({ error })}`),
      'bare-event': line => expect(line).to.equal(`event: error\ndata: ${JSON.stringify(error)}`),
      field: line => expect(line).to.equal(`error: ${JSON.stringify(error)}`),
      'responses-error': line =>
        expect(line).to.equal(
          'event: error\ndata: {"type":"error","sequence_number":2,"code":"busy","message":"Too much.","param":null}'
        ),
      'responses-failed': line => {
        const { type, sequence_number, response } = JSON.parse(
          line.replace('event: response.failed\ndata: ', '')
        )
        expect({ type, sequence_number }).to.deep.equal({ type: 'response.failed', sequence_number: 2 })
        expect(response).to.deep.include({
          status: 'failed',
          error: { code: 'busy', message: 'Too much.' },
          output: []
        })
      }
    }
    for (const [shape, check] of Object.entries(frames) as [ErrorShape, (line: string) => void][]) {
      it(`reports an error as ${shape}, and ends`, async () => {
        const events = (await bodyWith({ errorAfter: { events: 2, shape, error } }))
          .split('\n\n')
          .slice(0, -1)
        expect(events).to.have.lengthOf(3)
        check(events[2] ?? '')
      })
    }

    it('sends an end mark behind the error when it is told to', async () => {
      expect(await bodyWith({ errorAfter: { events: 0, error }, endMark: true })).to.equal(
        `data: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`
      )
    })

    it('takes the shape of the API that is asked, and an error of its own', async () => {
      await using server = await serveCompletions({
        script: hi,
        speed: Infinity,
        faults: { errorAfter: { events: 1 } }
      })
      const events = await eventsOf(post(server, { input: 'Hello?', stream: true }, 'responses'))
      expect(events.at(-1)).to.match(
        /^event: error\ndata: \{"type":"error","sequence_number":1,"code":"server_error"/
      )
      const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
      const stream = await client.chat.completions.create({ model: 'm', messages: [], stream: true })
      const failure = await readAll(stream).catch(error => error)
      expect(failure).to.be.instanceOf(OpenAI.APIError)
      expect(failure).to.deep.include({ code: 'server_error', type: 'server_error' })
    })
  })

  describe('status', () => {
    it('answers with an error as OpenAI sends it', async () => {
      await using server = await serveCompletions({ faults: { status: 401 } })
      const response = await post(server, streamedQuestion)
      expect(response.status).to.equal(401)
      expect(await response.json()).to.deep.equal({
        error: { message: 'The server answers 401.', type: 'invalid_request_error', param: null, code: null }
      })
    })

    it('answers the first requests only, and the openai client tries again', async () => {
      await using server = await serveCompletions({
        script: hi,
        speed: Infinity,
        faults: { status: { code: 429, times: 2, retryAfter: 0 } }
      })
      const client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 2 })
      const { data, response } = await client.chat.completions
        .create({ model: 'm', messages: [] })
        .withResponse()
      expect(response.status).to.equal(200)
      expect(data.choices[0]?.message.content).to.equal('Hi there')
      expect(server.requests).to.have.lengthOf(3)
    })

    for (const { body, type, text } of [
      { body: { detail: 'busy' }, type: 'application/json', text: '{"detail":"busy"}' },
      { body: 'Bad gateway', type: 'text/plain; charset=utf-8', text: 'Bad gateway' }
    ]) {
      it(`sends ${JSON.stringify(body)} as the body, with retry-after`, async () => {
        await using server = await serveCompletions({
          faults: { status: { code: 502, retryAfter: 1.5, body } }
        })
        const response = await post(server, question)
        expect(response.headers.get('content-type')).to.equal(type)
        expect(response.headers.get('retry-after')).to.equal('1.5')
        expect(await response.text()).to.equal(text)
      })
    }
  })

  it('endMark: false leaves the end mark out', async () => {
    expect(await bodyWith({ endMark: false })).to.match(/"finish_reason":"stop"\}\]\}\n\n$/)
  })

  it('holdOpen holds the socket open behind the end mark', async () => {
    await using server = await serveCompletions({ script: hi, speed: Infinity, faults: { holdOpen: true } })
    const exchange = new Exchange(server, asked)
    await exchange.until(/data: \[DONE\]\n\n\r\n$/)
    await (await fetch(`${server.url}/models`)).text()
    expect(exchange.received).to.match(/\[DONE\]\n\n\r\n$/)
    expect(exchange.socket.readableEnded).to.equal(false)
    exchange.socket.destroy()
    expect(await server.requests[0]?.over).to.deep.include({ aborted: true })
  })

  it('bytesPerWrite: 1 writes byte by byte', async () => {
    const { body } = await wireWith({ bytesPerWrite: 1 })
    expect(body).to.match(/^1\r\nd\r\n1\r\na\r\n1\r\nt\r\n1\r\na\r\n1\r\n:\r\n(1\r\n[\s\S]\r\n)+0\r\n\r\n$/)
    expect(body.replace(/1\r\n([\s\S])\r\n/g, '$1')).to.include('"content":" there"')
  })

  for (const lineEnd of ['\r\n', '\r'] as const) {
    it(`lineEnd: ${JSON.stringify(lineEnd)} ends every line so`, async () => {
      const body = await bodyWith({ lineEnd, comments: true })
      expect(body.replaceAll(lineEnd, '\n')).to.equal(await bodyWith({ comments: true }))
      expect(body.replaceAll(lineEnd, '')).not.to.match(/[\r\n]/)
    })
  }

  for (const { comments, line } of [
    { comments: true, line: ': keep-alive' },
    { comments: 'PROCESSING', line: ': PROCESSING' },
    { comments: { text: 'here' }, line: ': here' }
  ]) {
    it(`comments: ${JSON.stringify(comments)} puts a comment before every event`, async () => {
      const events = (await bodyWith({})).split('\n\n').slice(0, -1)
      expect(await bodyWith({ comments })).to.equal(events.map(event => `${line}\n\n${event}\n\n`).join(''))
    })
  }

  it('comments with every shows life before the first event', async () => {
    const late = script('Hi', { start: 3_600_000 })
    await using server = await serveCompletions({ script: late, faults: { comments: { every: 1 } } })
    const exchange = new Exchange(server, asked)
    await exchange.until(/: keep-alive/)
    expect(exchange.received).not.to.include('data: ')
    exchange.socket.destroy()
  })

  it('ignoreStream answers whole', async () => {
    await using server = await serveCompletions({
      script: hi,
      speed: Infinity,
      faults: { ignoreStream: true }
    })
    const response = await post(server, streamedQuestion)
    expect(response.headers.get('content-type')).to.equal('application/json')
    expect(await response.json()).to.deep.include({ object: 'chat.completion' })
  })

  for (const body of [question, streamedQuestion]) {
    it(`contentType is sent as it is with stream: ${body === streamedQuestion}`, async () => {
      await using server = await serveCompletions({
        script: hi,
        speed: Infinity,
        faults: { contentType: 'text/html' }
      })
      const response = await post(server, body)
      expect(response.headers.get('content-type')).to.equal('text/html')
      await response.text()
    })
  }

  it('faults of a script replace those of the server, one by one', async () => {
    const own = script('Hi', { faults: { endMark: true } })
    const faults = { endMark: false, lineEnd: '\r' as const }
    await using server = await serveCompletions({ script: own, speed: Infinity, faults })
    expect(await (await post(server, streamedQuestion)).text()).to.match(/\r\rdata: \[DONE\]\r\r$/)
  })

  it('faults may be combined: byte by byte, CRLF, comments, an error, then a cut', async () => {
    const { body } = await wireWith({
      bytesPerWrite: 1,
      lineEnd: '\r\n',
      comments: true,
      errorAfter: { events: 1, error },
      cutAfter: { events: 2 }
    })
    const text = body.replace(/1\r\n([\s\S])\r\n/g, '$1')
    expect(text).to.match(/^: keep-alive\r\n\r\ndata: \{"id"/)
    expect(text.endsWith(`: keep-alive\r\n\r\ndata: ${JSON.stringify({ error })}\r\n\r\n`)).to.equal(true)
  })

  it('faults of the connection apply to a raw script', async () => {
    const writes = [{ bytes: 'one' }, { bytes: 'two' }, { bytes: 'three' }]
    await using server = await serveCompletions({
      script: { writes, faults: { cutAfter: { events: 2 }, bytesPerWrite: 2 } }
    })
    expect(await new Exchange(server, asked).toEnd()).to.match(
      /\r\n\r\n2\r\non\r\n1\r\ne\r\n2\r\ntw\r\n1\r\no\r\n$/
    )
  })
})

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

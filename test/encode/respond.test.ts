import { EventEmitter, once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { fromResponse, type ResponseForm, requestCompletion, respond, toChunks } from 'completion-streams'
import { type Faults, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { type Failure, failureOf, questions, withResolvers } from '../answers.js'
import { finishEvent, question, serve, textEvent } from '../helpers.js'
import { answer, Relay, read, readBody, textIn } from './relay.js'

const clients = { 'openai 4': OpenAI4, 'openai 5': OpenAI5, 'openai 6': OpenAI }
const forms: ResponseForm[] = ['events', 'text', 'lines']

describe('respond', () => {
  describe('a whole answer', () => {
    for (const as of forms) {
      it(`is sent as ${as}, with headers that keep it moving`, async () => {
        await using relay = await Relay.start({ as })
        const { status, headers, body } = await readBody(relay.url)
        expect(status).to.equal(200)
        expect(headers.get('cache-control')).to.equal('no-cache, no-transform')
        expect(headers.get('x-accel-buffering')).to.equal('no')
        expect(headers.get('content-type')).to.match(
          { events: /^text\/event-stream/, text: /^text\/plain/, lines: /^application\/x-ndjson/ }[as]
        )
        expect(textIn[as](body)).to.equal(answer)
        expect(await relay.outcome()).to.equal('whole')
      })
    }

    for (const [name, Client] of Object.entries(clients)) {
      it(`is read by ${name}`, async () => {
        await using relay = await Relay.start({})
        expect(await read(relay.url, Client)).to.deep.equal({ text: answer })
      })
    }

    it('keeps the headers and the status that its user has set', async () => {
      await using server = await serve((_incoming, outgoing) => {
        outgoing.statusCode = 203
        outgoing.setHeader('cache-control', 'private')
        outgoing.setHeader('x-mine', '1')
        pipeline(Readable.from(['a']), respond(outgoing, { as: 'text' })).catch(() => {})
      })
      const { status, headers } = await readBody(server.url)
      expect(status).to.equal(203)
      expect(headers.get('cache-control')).to.equal('private')
      expect(headers.get('x-mine')).to.equal('1')
    })

    it('of no text at all is an empty body', async () => {
      await using server = await serve((_incoming, outgoing) => {
        pipeline(Readable.from([]), respond(outgoing, { as: 'text' })).catch(() => {})
      })
      const { status, body } = await readBody(server.url)
      expect([status, body]).to.deep.equal([200, ''])
    })

    it('comes piece by piece: the first token arrives before the second is written', async () => {
      const source = new PassThrough({ objectMode: true })
      await using server = await serve((_incoming, outgoing) => {
        pipeline(source, respond(outgoing, { as: 'text' })).catch(() => {})
      })
      source.write('first')
      const response = await fetch(server.url)
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      expect(Buffer.from((await reader.read()).value ?? []).toString()).to.equal('first')
      source.end('second')
      expect(Buffer.from((await reader.read()).value ?? []).toString()).to.equal('second')
    })
  })

  describe('a request by HEAD', () => {
    for (const as of forms) {
      it(`gets the head alone, and nothing is asked of the provider: ${as}`, async () => {
        await using relay = await Relay.start({ as })
        const response = await fetch(relay.url, { method: 'HEAD' })
        expect(response.status).to.equal(200)
        expect(response.headers.get('cache-control')).to.equal('no-cache, no-transform')
        expect(await response.text()).to.equal('')
        expect(await relay.outcome()).to.have.property('name', 'AbortError')
        expect(relay.provider.requests).to.have.length(0)
        // The connection can be used again.
        expect(textIn[as]((await readBody(relay.url)).body)).to.equal(answer)
      })
    }

    it('ends a source that is read by iteration', async () => {
      let isLeft = false
      async function* words() {
        try {
          for (;;) yield 'word '
        } finally {
          isLeft = true
        }
      }
      const outcomes: Promise<unknown>[] = []
      await using server = await serve((_incoming, outgoing) => {
        outcomes.push(pipeline(words(), respond(outgoing, { as: 'text' })).catch(error => error))
      })
      expect((await fetch(server.url, { method: 'HEAD' })).status).to.equal(200)
      expect(await outcomes[0]).to.have.property('name', 'AbortError')
      expect(isLeft).to.equal(true)
    })
  })

  describe('a failure before the first byte', () => {
    const cases: Record<string, [faults: Faults, status: number]> = {
      '401': [{ status: 401 }, 401],
      '429': [{ status: { code: 429, retryAfter: 7 } }, 429],
      '500 with a page': [{ status: { code: 500, body: '<html>oops</html>' } }, 500],
      'an error as the first event': [{ errorAfter: { events: 0 } }, 502],
      'a cut before anything': [{ cutAfter: { events: 0 } }, 502]
    }
    for (const [name, [faults, status]] of Object.entries(cases)) {
      for (const as of forms) {
        it(`is a status and a body in JSON: ${name}, ${as}`, async () => {
          await using relay = await Relay.start({ as }, faults)
          const response = await readBody(relay.url)
          expect(response.status).to.equal(status)
          expect(response.headers.get('content-type')).to.equal('application/json')
          expect(response.headers.get('retry-after')).to.equal(name === '429' ? '7' : null)
          const { error } = JSON.parse(response.body)
          expect(error.message).to.be.a('string').that.does.not.include('<')
          expect(await relay.outcome()).to.be.an('error')
        })
      }
    }

    for (const [name, Client] of Object.entries(clients)) {
      for (const fault of [401, 429, 500, 503]) {
        it(`is to ${name} the same error as from the provider: ${fault}`, async () => {
          const body = {
            error: { message: 'No.', type: 'some_type', param: 'model', code: 'some_code' }
          }
          await using relay = await Relay.start({}, { status: { code: fault, retryAfter: 3, body } })
          const { error } = await read(relay.url, Client)
          const { error: direct } = await read(relay.provider.url, Client)
          expect(error?.constructor).to.equal(direct?.constructor)
          for (const member of ['message', 'status', 'type', 'param', 'code', 'error'])
            expect(error?.[member], member).to.deep.equal(direct?.[member])
          const headers = new Headers(error?.headers as Record<string, string>)
          expect(headers.get('retry-after')).to.equal('3')
        })
      }
    }

    it('shows no key that the provider quotes, of the client’s errors and of this library’s', async () => {
      const key = `sk-proj-${'a1B2'.repeat(6)}`
      const message = `Incorrect API key provided: ${key}.`
      const body = { error: { message, type: `of ${key}`, param: key, code: key } }
      await using provider = await serveCompletions({ faults: { status: { code: 401, body } } })
      const client = new OpenAI({ baseURL: provider.url, apiKey: key, maxRetries: 0 })
      const sources = [
        () => requestCompletion(client, question),
        () =>
          fromResponse(signal =>
            fetch(`${provider.url}/chat/completions`, {
              method: 'POST',
              body: JSON.stringify(question),
              signal
            })
          )
      ]
      for (const source of sources) {
        await using server = await serve((_incoming, outgoing) => {
          pipeline(source(), toChunks(), respond(outgoing)).catch(() => {})
        })
        const { status, body } = await readBody(server.url)
        expect(status).to.equal(401)
        expect(body).to.not.include(key)
        expect(JSON.parse(body).error.message).to.equal('Incorrect API key provided: [key].')
      }
    })

    it('is 502 where the provider cannot be reached, and 504 where it is silent', async () => {
      const nobody = createServer().listen(0, '127.0.0.1')
      await once(nobody, 'listening')
      const { port } = nobody.address() as AddressInfo
      nobody.close()
      await using silent = await serve(() => {})
      for (const [baseURL, status] of [
        [`http://127.0.0.1:${port}`, 502],
        [silent.url, 504]
      ] as const) {
        const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, timeout: 50 })
        await using server = await serve((_incoming, outgoing) => {
          pipeline(requestCompletion(client, questions.chat), toChunks(), respond(outgoing)).catch(() => {})
        })
        expect((await readBody(server.url)).status).to.equal(status)
      }
    })

    it('shows nothing of an error that is neither a provider’s nor this library’s', async () => {
      await using server = await serve((_incoming, outgoing) => {
        const source = new Readable({ read: () => void source.destroy(new Error('password=hunter2')) })
        pipeline(source, respond(outgoing)).catch(() => {})
      })
      const { status, body } = await readBody(server.url)
      expect(status).to.equal(500)
      expect(body).not.to.include('hunter2')
    })
  })

  describe('a failure behind the first byte', () => {
    for (const faults of [{ cutAfter: { events: 4 } }, { errorAfter: { events: 4 } }] satisfies Faults[]) {
      const name = Object.keys(faults)[0]
      for (const as of forms) {
        it(`comes behind the text, and is told: ${name}, ${as}`, async () => {
          await using relay = await Relay.start({ as }, faults)
          const { status, body, error } = await readBody(relay.url)
          expect(status).to.equal(200)
          expect(answer.startsWith(textIn[as](body))).to.equal(true)
          expect(textIn[as](body)).to.have.length.greaterThan(5)
          if (as === 'text') expect(error).to.be.an('error')
          else {
            const last =
              body
                .trim()
                .split('\n')
                .at(-1)
                ?.replace(/^data: /, '') ?? ''
            expect(JSON.parse(last).error).to.have.property('message')
            expect(body).not.to.include('[DONE]')
          }
          const outcome = await relay.outcome()
          expect(outcome).to.have.property('code')
        })
      }
      for (const [name, Client] of Object.entries(clients)) {
        it(`is an error to ${name}: ${Object.keys(faults)[0]}`, async () => {
          await using relay = await Relay.start({}, faults)
          const { text, error } = await read(relay.url, Client)
          expect(answer.startsWith(text)).to.equal(true)
          expect(text).not.to.equal('')
          expect(error).to.be.an('error')
        })
      }
    }

    it('is an error to the official client in the Responses API too', async () => {
      await using relay = await Relay.start({}, { cutAfter: { events: 8 } })
      await using server = await serve((_incoming, outgoing) => relay.answer(outgoing, 'responses'))
      for (const Client of Object.values(clients)) {
        const client = new (Client as typeof OpenAI)({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
        let text = ''
        const error = await failureOf(
          (async () => {
            for await (const event of await client.responses.create({ ...questions.responses, stream: true }))
              if (event.type === 'response.output_text.delta') text += event.delta
              else if (event.type === 'error') throw new Error(event.message)
          })()
        )
        expect(text).not.to.equal('')
        expect(error.message).to.match(/could not be read to its end/)
      }
    })

    it('resets the connection of a reader that speaks HTTP/1.0, whose body has no other end', async () => {
      await using relay = await Relay.start({ as: 'text' }, { cutAfter: { events: 4 } })
      const socket = connect(relay.port, '127.0.0.1')
      socket.write('GET / HTTP/1.0\r\n\r\n')
      let got = ''
      const error = await failureOf(
        (async () => {
          for await (const bytes of socket) got += bytes
        })()
      )
      expect(error.code).to.equal('ECONNRESET')
      expect(got).to.include('Hello')
    })

    it('of what is no chunk says so behind what came before', async () => {
      await using server = await serve((_incoming, outgoing) => {
        const items = [
          { id: 'c', choices: [] },
          { id: 'x', name: 'f', arguments: '' }
        ]
        pipeline(Readable.from(items), respond(outgoing)).catch(() => {})
      })
      const { body } = await readBody(server.url)
      expect(body).to.match(/^data: \{"id":"c","choices":\[\]\}\n\ndata: \{"error".*respond takes chunks/)
    })
  })

  describe('a reader that leaves', () => {
    /** A request that reads the beginning, and then goes. */
    async function leave(url: string): Promise<void> {
      const request = httpRequest(url).end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      await once(response, 'data')
      response.on('error', () => {})
      request.on('error', () => {})
      request.destroy()
    }

    it('is told apart from a response that is over before the answer begins', async () => {
      const { promise, resolve } = withResolvers<Promise<Failure>>()
      await using server = await serve((_incoming, outgoing) => {
        outgoing.end('no')
        resolve(failureOf(pipeline(Readable.from([]), respond(outgoing))))
      })
      await (await fetch(server.url)).text()
      const error = await promise
      expect(error).to.include({ name: 'AbortError', code: 'ABORT_ERR' })
      expect(error.message).to.include('the response is over already')
    })

    for (const as of forms) {
      it(`aborts the request at the provider, and is told apart: ${as}`, async () => {
        await using relay = await Relay.start({ as }, { stallAfter: { events: 4 } })
        await leave(relay.url)
        const outcome = await relay.outcome()
        expect(outcome).to.include({ name: 'AbortError', code: 'ABORT_ERR' })
        expect(relay.summaries.map(({ outcome }) => outcome)).to.deep.equal(['aborted'])
        const [request] = relay.provider.requests
        expect((await request?.over)?.aborted).to.equal(true)
      })
    }

    it('before the answer to the request before it has ended, on one connection, aborts all', async () => {
      const outcomes: Promise<unknown>[] = []
      await using server = await serve((_incoming, outgoing) => {
        const endless = new Readable({ objectMode: true, read: () => setImmediate(() => endless.push('x')) })
        outcomes.push(pipeline(endless, respond(outgoing)).catch(error => error.name))
      })
      const socket = connect(server.port, '127.0.0.1')
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(12))
      while (outcomes.length < 12) await new Promise(resolve => setImmediate(resolve))
      socket.destroy()
      expect(await Promise.all(outcomes)).to.deep.equal(Array(12).fill('AbortError'))
    })

    it('before the first byte aborts it too', async () => {
      await using relay = await Relay.start({}, { stallAfter: 'request' })
      const request = httpRequest(relay.url).end()
      request.on('error', () => {})
      while (relay.provider.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
      request.destroy()
      expect(await relay.outcome()).to.include({ name: 'AbortError' })
    })

    it('does not stop the reading where the usage is wanted', async () => {
      const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
      async function* writes() {
        yield { bytes: textEvent('one') }
        await relay.gone
        yield { bytes: `${textEvent(' two')}${finishEvent}` }
        yield { bytes: `data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n` }
      }
      await using relay = await Relay.start({ whenGone: 'drain' }, {}, { script: { writes: writes() } })
      await leave(relay.url)
      expect(await relay.outcome()).to.include({ name: 'AbortError' })
      expect(relay.usage).to.include(usage)
      expect(relay.summaries.map(({ outcome }) => outcome)).to.deep.equal(['complete'])
    })

    it('leaves no listener on a connection that outlives the answer', async () => {
      const counts: number[] = []
      await using relay = await Relay.start({})
      await using server = await serve((incoming, outgoing) => {
        const { socket } = incoming
        counts.push(
          ['close', 'error', 'drain', 'end'].reduce((sum, name) => sum + socket.listenerCount(name), 0)
        )
        relay.answer(outgoing)
      })
      for (let turn = 0; turn < 12; turn++) await read(server.url)
      expect(new Set(counts.slice(1)).size).to.equal(1)
    })
  })

  it('holds no more for a reader that takes nothing than the buffers on the way', async () => {
    let given = 0
    const piece = 'x'.repeat(16_384)
    const source = new Readable({
      objectMode: true,
      read() {
        given++
        this.push(piece)
      }
    })
    let response: ServerResponse | undefined
    await using server = await serve((_incoming, outgoing) => {
      response = outgoing
      pipeline(source, respond(outgoing, { as: 'text' })).catch(() => {})
    })
    const socket = connect(server.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    socket.pause()
    let before = -1
    // Until nothing moves any more, the kernel's buffers fill.
    while (given !== before) {
      before = given
      for (let turn = 0; turn < 2000; turn++) await new Promise(resolve => setImmediate(resolve))
    }
    expect(response?.writableLength).to.be.lessThan(200_000)
    socket.destroy()
    source.destroy()
  })

  it('sends comments behind the head while the model thinks', async () => {
    const source = new PassThrough({ objectMode: true })
    await using server = await serve((_incoming, outgoing) => {
      pipeline(source, respond(outgoing, { heartbeat: 2 })).catch(() => {})
    })
    source.write({ id: 'c', choices: [] })
    const response = await fetch(server.url)
    let body = ''
    for await (const bytes of response.body ?? []) {
      body += Buffer.from(bytes).toString()
      if (body.includes(': keep-alive') && !source.writableEnded) source.end()
    }
    expect(body).to.match(/^data: .*\n\n(: keep-alive\n\n)+data: \[DONE\]\n\n$/)
  })

  describe('over HTTP/2', () => {
    async function get(faults: Faults, as: ResponseForm) {
      await using relay = await Relay.start({ as }, faults)
      const server = http2.createServer((_incoming, outgoing) => relay.answer(outgoing)).listen(0)
      await once(server, 'listening')
      const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      try {
        const stream = session.request({ ':path': '/' })
        const [headers] = await once(stream, 'response')
        let body = ''
        let error: unknown
        try {
          for await (const bytes of stream) body += bytes
        } catch (failure) {
          error = failure
        }
        return { status: headers[':status'], body, error, code: stream.rstCode }
      } finally {
        session.destroy()
        server.close()
      }
    }

    for (const how of ['session', 'stream', 'cancel'] as const) {
      it(`tells when the reader leaves: ${how}`, async () => {
        const done = new EventEmitter()
        const server = http2
          .createServer((_incoming, outgoing) => {
            const chunk = { choices: [{ index: 0, delta: { content: 'a' } }] }
            const source = new Readable({
              objectMode: true,
              read: () => void setImmediate(() => source.push(chunk))
            })
            pipeline(source, respond(outgoing)).catch(error => done.emit('failed', error))
          })
          .listen(0)
        await once(server, 'listening')
        server.on('sessionError', () => {})
        const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
        const stream = session.request({ ':path': '/' })
        await once(stream, 'data')
        const failed = once(done, 'failed')
        if (how === 'session') session.destroy()
        else if (how === 'stream') stream.close()
        else stream.close(http2.constants.NGHTTP2_CANCEL)
        const [error] = await failed
        expect(error.name).to.equal('AbortError')
        session.destroy()
        server.close()
      })
    }

    it('sends whole answers, early failures and late ones', async () => {
      for (const as of forms) {
        const whole = await get({}, as)
        expect(textIn[as](whole.body), as).to.equal(answer)
        expect(whole.code).to.equal(0)
        expect((await get({ status: 429 }, as)).status).to.equal(429)
        const cut = await get({ cutAfter: { events: 4 } }, as)
        expect(textIn[as](cut.body)).to.have.length.greaterThan(5)
        if (as === 'text') expect(cut.code).to.equal(http2.constants.NGHTTP2_INTERNAL_ERROR)
        else expect(cut.body).to.include('"error"')
      }
    })
  })

  describe('options', () => {
    it('are checked at the call', async () => {
      await using server = await serve((_incoming, outgoing) => {
        outgoing.end(
          [
            // What the compiler would refuse is refused at run time too.
            () => respond(outgoing, { as: 'sse' as never }),
            () => respond(outgoing, { whenGone: 'x' as never }),
            () => respond(outgoing, { heartbeat: 0 }),
            () => respond(outgoing, { as: 'text', heartbeat: 10 }),
            () => respond(outgoing, { other: 1 } as never),
            () => respond({} as never)
          ]
            .map(call => {
              try {
                call()
                return 'no error'
              } catch (error) {
                return (error as Failure).code
              }
            })
            .join()
        )
      })
      const text = await textOf(Readable.fromWeb((await fetch(server.url)).body as never))
      expect(text).to.equal(Array(6).fill('CS_ERR_INVALID_OPTION').join())
    })
  })
})

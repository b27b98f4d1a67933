import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { finished, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type Chunk,
  compose,
  drain,
  fromResponse,
  isRetryable,
  type ResponseLike,
  tapUsage,
  timeLimits,
  toChunks,
  toText
} from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import { Agent, request as undiciRequest } from 'undici'
import {
  allowNoComplaints,
  completion,
  endMark,
  event,
  failureOf,
  finishEvent,
  question,
  serve,
  textEvent,
  turns,
  withFolder,
  words
} from '../helpers.js'

const texts = words(50)
const whole = texts.join('')
const scripted = { script: script(whole), speed: Infinity }
const post = { method: 'POST', body: JSON.stringify({ ...question, stream: true }) } as const

async function httpResponse(url: string): Promise<IncomingMessage> {
  const request = httpRequest(url, { method: 'POST' })
  request.end(post.body)
  // The event of a request that has been answered.
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** The ways to ask for a completion without the openai client. */
const clients: Record<string, (url: string) => Promise<ResponseLike>> = {
  fetch: url => fetch(url, post),
  'http.request': httpResponse,
  'undici.request': url => undiciRequest(url, post)
}

/** The text of a completion, read to the end by a pipeline. */
async function textOf(source: Readable): Promise<string> {
  let text = ''
  await pipeline(source, toChunks(), toText(), async pieces => {
    for await (const piece of pieces) text += piece
  })
  return text
}

/** A server that answers with what the test writes, and tells when the client has gone. */
async function serveOnce(write: (response: ServerResponse) => void) {
  let tellGone = () => {}
  const gone = new Promise<void>(resolve => {
    tellGone = resolve
  })
  const server = await serve((_request, response) => {
    response.once('close', tellGone)
    write(response)
  })
  return { url: server.url, gone, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const answer = {
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi there' }, finish_reason: 'stop' }]
}
const legacyAnswer = {
  object: 'text_completion',
  choices: [{ index: 0, text: 'Hi there', finish_reason: 'stop' }],
  usage: { total_tokens: 3 }
}
const responseAnswer = {
  object: 'response',
  status: 'completed',
  output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi there' }] }]
}
const wholeBodies = {
  'a chat completion': JSON.stringify(answer),
  'behind a byte order mark': `\uFEFF${JSON.stringify(answer)}`,
  'over many lines': JSON.stringify(answer, null, 1),
  'a legacy completion': JSON.stringify(legacyAnswer),
  'a response': JSON.stringify(responseAnswer),
  'a response over many lines': JSON.stringify(responseAnswer, null, 1)
}

describe('fromResponse', () => {
  allowNoComplaints()

  for (const [name, open] of Object.entries(clients)) {
    describe(`with ${name}`, () => {
      it('emits the bytes of a response', async () => {
        await using server = await serveCompletions(scripted)
        expect(await textOf(fromResponse(await open(`${server.url}/chat/completions`)))).to.equal(whole)
      })

      it('emits the bytes of a promise of a response', async () => {
        await using server = await serveCompletions(scripted)
        expect(await textOf(fromResponse(open(`${server.url}/chat/completions`)))).to.equal(whole)
      })

      it('emits the bytes that come one per write', async () => {
        await using server = await serveCompletions({
          script: script('à la 🍓 carte'),
          speed: Infinity,
          faults: { bytesPerWrite: 1 }
        })
        expect(await textOf(fromResponse(open(`${server.url}/chat/completions`)))).to.equal('à la 🍓 carte')
      })

      it('ends at the end mark though the server holds the socket open, and lets go of it', async () => {
        await using server = await serveCompletions({ ...scripted, faults: { holdOpen: true } })
        expect(await textOf(fromResponse(open(`${server.url}/chat/completions`)))).to.equal(whole)
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })

      it('lets go of a server that says ever more behind its end mark', async () => {
        await using server = await serveOnce(response => {
          response.write(completion(texts))
          const say = () => {
            while (response.write(': and another thing\n\n'.repeat(1000)));
          }
          response.on('drain', say)
          say()
        })
        expect(await textOf(fromResponse(open(server.url)))).to.equal(whole)
        await server.gone
      })

      it('goes on behind an event in which the type of a terminal is that of something else', async () => {
        const created = {
          id: 'r',
          status: 'in_progress',
          metadata: { type: 'response.completed' },
          output: []
        }
        const events = [
          { type: 'response.created', response: created },
          {
            type: 'response.output_text.delta',
            item_id: 'm',
            output_index: 0,
            content_index: 0,
            delta: 'Hi there'
          },
          { type: 'response.completed', response: { ...created, status: 'completed' } }
        ].map(event => `data: ${JSON.stringify(event)}\n\n`)
        await using server = await serveOnce(async response => {
          for (const event of events) await new Promise<unknown>(resolve => response.write(event, resolve))
        })
        expect(await textOf(fromResponse(open(server.url)))).to.equal('Hi there')
        await server.gone
      })

      for (const [name, body] of Object.entries(wholeBodies)) {
        it(`ends behind a whole answer in JSON though the server holds the socket open: ${name}`, async () => {
          await using server = await serveOnce(response => response.write(body))
          expect(await textOf(fromResponse(open(server.url)))).to.equal('Hi there')
          await server.gone
        })
      }

      for (const body of [
        '{"error":{"message":"No room"}}',
        '{"error":{"message":"No room"}}\n',
        '{\n "error": {\n  "message": "No room"\n }\n}'
      ]) {
        it(`fails with CS_ERR_PROVIDER behind an error in JSON though the server holds the socket open: ${JSON.stringify(body)}`, async () => {
          await using server = await serveOnce(response => response.write(body))
          const failure = await failureOf(textOf(fromResponse(open(server.url))))
          expect(failure.code).to.equal('CS_ERR_PROVIDER')
          expect(failure.message).to.include('No room')
          await server.gone
        })
      }

      it('fails with CS_ERR_PROVIDER, the status and the message for a status outside 2xx', async () => {
        const error = { message: 'Slow down, s’il vous plaît.', type: 'tokens', code: 'rate_limit_exceeded' }
        await using server = await serveCompletions({ faults: { status: { code: 429, body: { error } } } })
        const failure = await failureOf(textOf(fromResponse(open(`${server.url}/chat/completions`))))
        expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 429, type: 'tokens' })
        expect(failure.message).to.include('Slow down, s’il vous plaît.')
        expect(failure.cause).to.deep.equal({ error })
      })

      it('fails with CS_ERR_PROVIDER for a page of HTML with a status', async () => {
        const body = '<html><title>502 Bad Gateway</title></html>'
        await using server = await serveCompletions({ faults: { status: { code: 502, body } } })
        const failure = await failureOf(textOf(fromResponse(open(`${server.url}/chat/completions`))))
        expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 502 })
        expect(failure.message).to.include('Bad Gateway')
      })

      it('fails with CS_ERR_PROVIDER for a status without a body', async () => {
        await using server = await serveCompletions({ faults: { status: { code: 503, body: '' } } })
        const failure = await failureOf(textOf(fromResponse(open(`${server.url}/chat/completions`))))
        expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 503 })
      })

      it('keeps the characters of an error body that comes byte by byte', async () => {
        await using server = await serveOnce(async response => {
          response.writeHead(400)
          for (const byte of Buffer.from('{"error":{"message":"déjà vu"}}')) {
            await new Promise(resolve => response.write(Buffer.of(byte), resolve))
          }
          response.end()
        })
        const failure = await failureOf(textOf(fromResponse(open(server.url))))
        expect(failure.message).to.include('déjà vu')
      })

      it('reads no more of an error body than tells what is wrong', async () => {
        await using server = await serveOnce(response => {
          response.writeHead(500)
          const say = () => {
            while (response.write('x'.repeat(10_000)));
          }
          response.on('drain', say)
          say()
        })
        const failure = await failureOf(textOf(fromResponse(open(server.url))))
        expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 500 })
        await server.gone
      })

      it('fails with CS_ERR_PROVIDER where the JSON of an error body ends, though the body does not', async () => {
        await using server = await serveOnce(response => {
          response.writeHead(401)
          response.write('{"error":{"message":')
          response.write('"No such key"}}\n')
        })
        const failure = await failureOf(textOf(fromResponse(open(server.url))))
        expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 401 })
        expect(failure.message).to.include('No such key')
        await server.gone
      })

      for (const body of ['', '<html>']) {
        it(`fails with CS_ERR_PROVIDER where a time limit passes in an error body: ${body}`, async () => {
          await using server = await serveOnce(response => {
            response.writeHead(401, { 'x-request-id': 'q1' }).flushHeaders()
            if (body !== '') response.write(body)
          })
          for (const stages of [
            [timeLimits<Uint8Array>({ first: 50 }), toChunks()],
            [compose(toChunks(), timeLimits<Chunk>({ total: 50 }))]
          ]) {
            const failure = await failureOf(
              pipeline([fromResponse(open(server.url)), ...stages, drain()] as never)
            )
            expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 401 })
            expect(failure).to.have.nested.property('headers.x-request-id', 'q1')
            expect(isRetryable(failure)).to.equal(false)
          }
          await server.gone
        })
      }

      it('lets go of an error body that never ends when it is destroyed', async () => {
        await using server = await serveOnce(response => response.writeHead(500).write('{"error":'))
        const response = await open(server.url)
        const source = fromResponse(response)
        source.read()
        await turns(3)
        source.destroy()
        await server.gone
      })

      it('lets go of the connection when it is destroyed before anybody reads', async () => {
        await using server = await serveOnce(response => response.write(textEvent('a')))
        fromResponse(await open(server.url)).destroy()
        await server.gone
      })

      it('lets go of the connection when its signal has aborted before it was made', async () => {
        await using server = await serveOnce(response => response.write(textEvent('a')))
        const source = fromResponse(await open(server.url), { signal: AbortSignal.abort() })
        expect((await failureOf(textOf(source))).name).to.equal('AbortError')
        await server.gone
      })

      it('lets go of a response that comes after it was destroyed', async () => {
        await using server = await serveOnce(response => response.write(textEvent('a')))
        const response = open(server.url)
        const source = fromResponse(response)
        source.read()
        source.destroy()
        await server.gone
      })

      it('lets go of the connection when its signal aborts in mid-stream', async () => {
        await using server = await serveOnce(response => response.write(textEvent('a')))
        const controller = new AbortController()
        const source = fromResponse(open(server.url), { signal: controller.signal })
        source.once('data', () => controller.abort())
        const [error] = await once(source, 'error')
        expect(error).to.have.property('name', 'AbortError')
        await server.gone
      })

      it('lets go of the connection when a for await loop breaks off', async () => {
        await using server = await serveOnce(response => response.write(textEvent('a')))
        for await (const bytes of fromResponse(open(server.url))) {
          expect(Buffer.from(bytes).toString()).to.equal(textEvent('a'))
          break
        }
        await server.gone
      })

      it('fails with CS_ERR_TRUNCATED when the connection dies before any byte', async () => {
        await using server = await serveCompletions({ ...scripted, faults: { cutAfter: { events: 0 } } })
        const failure = await failureOf(textOf(fromResponse(open(`${server.url}/chat/completions`))))
        expect(failure.code).to.equal('CS_ERR_TRUNCATED')
        expect(failure.cause).to.be.instanceOf(Error)
      })

      it('fails with CS_ERR_TRUNCATED when the body ends in good order before the completion does', async () => {
        await using server = await serveOnce(response => response.end(textEvent('a')))
        expect((await failureOf(textOf(fromResponse(open(server.url))))).code).to.equal('CS_ERR_TRUNCATED')
      })

      it('fails with what the promise rejects with', async () => {
        const failure = await failureOf(textOf(fromResponse(open('http://127.0.0.1:1/'))))
        expect(failure.code).to.not.match(/^CS_ERR/)
        expect(String(failure.cause ?? failure)).to.match(/ECONNREFUSED|bad port/)
      })
    })
  }

  it('reads lines of JSON on that come late, and answers in JSON that do', async () => {
    const line = (payload: object) => `${JSON.stringify({ id: 'a', ...payload })}\n`
    const chunk = { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }] }
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
    for (const [first, second, wanted] of [
      [line(chunk).trimEnd(), `\n${line({ choices: [], usage })}`, 'Hi'],
      [`${JSON.stringify(answer).slice(0, 60)}`, JSON.stringify(answer).slice(60), 'Hi there']
    ] as const) {
      await using server = await serveOnce(response => {
        response.write(first)
        setTimeout(() => response.end(second), 700)
      })
      let seen: unknown
      const tap = tapUsage(given => {
        seen = given
      })
      let text = ''
      await pipeline(fromResponse(fetch(server.url, post)), toChunks(), tap, toText(), async pieces => {
        for await (const piece of pieces) text += piece
      })
      expect(text).to.equal(wanted)
      if (wanted === 'Hi') expect(seen).to.deep.equal(usage)
    }
  })

  it('reads an error body that trickles for 5 seconds', async () => {
    await using server = await serveOnce(response => {
      response.writeHead(500)
      const timer = setInterval(() => response.write('x'), 100)
      response.once('close', () => clearInterval(timer))
    })
    const failure = await failureOf(textOf(fromResponse(fetch(server.url, post))))
    expect(failure).to.include({ code: 'CS_ERR_PROVIDER', status: 500 })
    expect(failure.message).to.match(/xxx$/)
    await server.gone
  })

  it('fails with CS_ERR_STALLED when undici has waited too long for a byte', async () => {
    await using server = await serveOnce(response => response.write(textEvent('a')))
    const dispatcher = new Agent({ bodyTimeout: 1 })
    const failure = await failureOf(textOf(fromResponse(undiciRequest(server.url, { dispatcher }))))
    expect(failure.code).to.equal('CS_ERR_STALLED')
    expect(failure.message).to.include('bodyTimeout')
    expect(failure.cause).to.have.property('code', 'UND_ERR_BODY_TIMEOUT')
    await dispatcher.close()
  })

  it('keeps the connection for the next request when the server ends its response behind the mark', async () => {
    const ports = new Set<number | undefined>()
    await using server = await serve((request, response) => {
      ports.add(request.socket.remotePort)
      response.end(completion(texts))
    })
    const dispatcher = new Agent({ connections: 1 })
    for (let count = 0; count < 3; count++) {
      expect(await textOf(fromResponse(undiciRequest(server.url, { dispatcher })))).to.equal(whole)
    }
    expect(ports.size).to.equal(1)
    await dispatcher.close()
  })

  it('reads a file that is a log of many completions to its end', () =>
    withFolder(async folder => {
      const path = join(folder, 'log.sse')
      await writeFile(path, completion(texts) + completion(['and ', 'more']))
      expect(await textOf(fromResponse(createReadStream(path)))).to.equal(`${whole}and more`)
    }))

  it('ends at the mark of a file when told to', () =>
    withFolder(async folder => {
      const path = join(folder, 'log.sse')
      await writeFile(path, completion(texts) + completion(['and ', 'more']))
      expect(await textOf(fromResponse(createReadStream(path), { endAtMark: true }))).to.equal(whole)
    }))

  it('leaves out what comes behind the end mark in the same read', async () => {
    expect(await textOf(fromResponse(Readable.from([`${completion(texts)}data: {"id`])))).to.equal(whole)
  })

  it('fails with the error of a file that is not there, even when nobody has read for a while', async () => {
    const file = createReadStream('/no/such/file')
    const source = fromResponse(file)
    await new Promise(resolve => finished(file, resolve))
    await turns(1)
    expect((await failureOf(textOf(source))).code).to.equal('ENOENT')
  })

  it('reads a web stream', async () => {
    const { body } = new Response(completion(texts))
    // The DOM's type of a web stream and node's are one thing under two names.
    expect(await textOf(fromResponse(body as ResponseLike))).to.equal(whole)
  })

  it('reads an async iterable of bytes or of strings', async () => {
    async function* pieces(): AsyncGenerator<string | Uint8Array> {
      yield textEvent('bytes ')
      yield Buffer.from(textEvent('and strings'))
      yield finishEvent + endMark
    }
    expect(await textOf(fromResponse(pieces()))).to.equal('bytes and strings')
  })

  it('tells of usage that comes behind the end mark in the same read', async () => {
    const usages: unknown[] = []
    const usage = { total_tokens: 3 }
    await using server = await serve((_request, response) => {
      response.write(completion(['Hi']) + event({ choices: [], usage }))
    })
    const source = fromResponse(signal => fetch(server.url, { signal }))
    await pipeline(
      source,
      toChunks(),
      tapUsage(usage => void usages.push(usage)),
      drain()
    )
    expect(usages).to.deep.equal([usage])
  })

  it('is done with an iterable that never ends behind the end mark', async () => {
    let isOver = false
    async function* pieces(): AsyncGenerator<string> {
      try {
        yield completion(texts)
        for (;;) yield ': and another thing\n\n'
      } finally {
        isOver = true
      }
    }
    expect(await textOf(fromResponse(pieces()))).to.equal(whole)
    await turns(3)
    expect(isOver).to.equal(true)
  })

  it('fails with CS_ERR_INVALID_OPTION for a response whose body was read', async () => {
    const response = new Response(completion(texts))
    await response.text()
    expect((await failureOf(textOf(fromResponse(response)))).code).to.equal('CS_ERR_INVALID_OPTION')
  })

  it('fails with CS_ERR_TRUNCATED for a response without a body', async () => {
    expect((await failureOf(textOf(fromResponse(new Response(null, { status: 204 }))))).code).to.equal(
      'CS_ERR_TRUNCATED'
    )
  })

  const wrong = {
    'no response': () => fromResponse(undefined as never),
    'a string': () => fromResponse('data: [DONE]' as never),
    'an endAtMark that is no boolean': () => fromResponse(Readable.from([]), { endAtMark: 1 as never }),
    'a high water mark below zero': () => fromResponse(Readable.from([]), { highWaterMark: -1 })
  }
  for (const [name, call] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(call).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { expect } from 'chai'
import {
  type ReceivedRequest,
  type ServerOptions,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI, { AzureOpenAI } from 'openai'
import { Exchange, eventsOf, post, question, streamedQuestion } from './wire.js'

const messages = [{ role: 'user' as const, content: 'Hello?' }]
const model = 'model-1'
const hello = script(['Hello, you', 'Good day'], { start: 5, interval: 5 })

import { withResolvers } from '../answers.js'

describe('serveCompletions', () => {
  it('answers a chat completion of the openai client, whole and streamed', async () => {
    await using server = await serveCompletions({ script: hello, speed: 10 })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const whole = await client.chat.completions.create({ model, messages, n: 2 })
    expect(whole.choices.map(choice => choice.message.content)).to.deep.equal(['Hello, you', 'Good day'])
    const streamed = client.chat.completions.stream({
      model,
      messages,
      n: 2,
      stream_options: { include_usage: true }
    })
    const { choices, ...rest } = await streamed.finalChatCompletion()
    expect(choices.map(choice => choice.message.content)).to.deep.equal(['Hello, you', 'Good day'])
    expect(choices.map(choice => choice.finish_reason)).to.deep.equal(['stop', 'stop'])
    expect(rest).to.deep.include({ id: whole.id, model, usage: whole.usage })
  })

  it('answers a legacy completion of the openai client, whole and streamed', async () => {
    await using server = await serveCompletions({ script: hello, speed: 10 })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const whole = await client.completions.create({ model, prompt: 'Hello?' })
    expect(whole.choices.map(choice => choice.text)).to.deep.equal(['Hello, you', 'Good day'])
    const texts = ['', '']
    for await (const chunk of await client.completions.create({ model, prompt: 'Hello?', stream: true })) {
      for (const { index, text } of chunk.choices) texts[index] += text
    }
    expect(texts).to.deep.equal(['Hello, you', 'Good day'])
  })

  it('answers a response of the openai client, whole and streamed', async () => {
    const calls = {
      choices: [
        {
          pieces: [
            { at: 0, reasoning: 'Look it up.' },
            { at: 5, text: 'One ' },
            { at: 10, text: 'moment.' },
            { at: 15, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":' } },
            { at: 20, toolCall: { arguments: '"Rome"}' } }
          ]
        }
      ]
    }
    await using server = await serveCompletions({ script: calls, speed: 10 })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const whole = await client.responses.create({ model, input: 'Hello?' })
    expect(whole.output_text).to.equal('One moment.')
    const stream = await client.responses.create({ model, input: 'Hello?', stream: true })
    let text = ''
    for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta
    expect(text).to.equal('One moment.')
    const final = await client.responses.stream({ model, input: 'Hello?' }).finalResponse()
    expect(final.output.map(item => item.type)).to.deep.equal(['reasoning', 'message', 'function_call'])
    expect(final.output_text).to.equal('One moment.')
    expect(final.usage).to.deep.equal(whole.usage)
  })

  it('answers the client for Azure on all three APIs', async () => {
    await using server = await serveCompletions({ script: hello, speed: Infinity })
    const client = new AzureOpenAI({ endpoint: server.origin, apiKey: 'none', apiVersion: '2024-10-21' })
    let text = ''
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0]?.index === 0 ? (chunk.choices[0].delta.content ?? '') : ''
    }
    expect(text).to.equal('Hello, you')
    const legacy = await client.completions.create({ model, prompt: 'Hello?' })
    expect(legacy.choices[0]?.text).to.equal('Hello, you')
    expect((await client.responses.create({ model, input: 'Hello?' })).output_text).to.equal('Hello, you')
    expect(server.requests.map(request => request.path)).to.deep.equal([
      '/openai/deployments/model-1/chat/completions?api-version=2024-10-21',
      '/openai/deployments/model-1/completions?api-version=2024-10-21',
      '/openai/responses?api-version=2024-10-21'
    ])
    const newer = new OpenAI({ baseURL: `${server.origin}/openai/v1/`, apiKey: 'none' })
    expect((await newer.responses.create({ model, input: 'Hello?' })).output_text).to.equal('Hello, you')
  })

  it('streams as an event stream with an end mark', async () => {
    await using server = await serveCompletions({ script: script('Hi'), speed: Infinity })
    const response = post(server, streamedQuestion)
    expect((await response).headers.get('content-type')).to.equal('text/event-stream; charset=utf-8')
    const events = await eventsOf(response)
    expect(events.every(event => event.startsWith('data: '))).to.equal(true)
    expect(events.at(-1)).to.equal('data: [DONE]')
  })

  it('plays a script in its own time, divided by the speed', async () => {
    const anHour = {
      choices: [
        {
          pieces: [
            { at: 0, text: 'Now' },
            { at: 3_600_000, text: ' then' }
          ]
        }
      ]
    }
    for (const speed of [3_600_000, Infinity]) {
      await using server = await serveCompletions({ script: anHour, speed })
      expect(await eventsOf(post(server, streamedQuestion))).to.have.lengthOf(5)
    }
    await using server = await serveCompletions({ script: anHour })
    const exchange = new Exchange(server, JSON.stringify(streamedQuestion))
    await exchange.until(/Now/)
    await fetch(`${server.url}/models`)
    expect(exchange.received).not.to.include('then')
    exchange.socket.destroy()
    expect((await server.requests[0]?.over)?.aborted).to.equal(true)
  })

  it('sends the headers when the script says', async () => {
    const later = { ...script('Hi'), headersAt: 3_600_000 }
    await using server = await serveCompletions({
      script: request => (request.path === '/v1/completions' ? undefined : later)
    })
    const exchange = new Exchange(server, JSON.stringify(streamedQuestion))
    await post(server, { prompt: '1+1' }, 'completions')
    expect(exchange.received).to.equal('')
    exchange.socket.destroy()
  })

  it('asks a function for the script of each request', async () => {
    await using server = await serveCompletions({
      script: async ({ endpoint, headers, body }) =>
        script(`${endpoint} ${headers['x-tenant']} ${body.model}`)
    })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none', defaultHeaders: { 'x-tenant': 'one' } })
    const whole = await client.chat.completions.create({ model, messages })
    expect(whole.choices[0]?.message.content).to.equal('chat one model-1')
  })

  it('answers 500 when the function fails', async () => {
    await using server = await serveCompletions({
      script: () => {
        throw new Error('no such scene')
      }
    })
    const response = await post(server, question)
    expect(response.status).to.equal(500)
    const message = 'The script failed: no such scene'
    expect(await response.json()).to.deep.equal({
      error: { message, type: 'server_error', param: null, code: null }
    })
  })

  it('plays a raw script as it is', async () => {
    const headers = { 'content-type': 'text/plain', 'x-powered-by': 'nothing' }
    const writes = [{ bytes: 'a\0b' }, { at: 5, bytes: Uint8Array.of(0xc3) }, { bytes: Uint8Array.of(0xa9) }]
    await using server = await serveCompletions({ script: { status: 203, headers, writes } })
    const response = await post(server, streamedQuestion)
    expect(response.status).to.equal(203)
    expect(response.headers.get('content-type')).to.equal('text/plain')
    expect(response.headers.get('x-powered-by')).to.equal('nothing')
    expect(await response.text()).to.equal('a\0bé')
  })

  it('cuts the connection when a raw script throws', async () => {
    async function* writes(): AsyncGenerator<{ bytes: string }> {
      yield { bytes: 'half' }
      throw new Error('out of words')
    }
    await using server = await serveCompletions({ script: { writes: writes() } })
    expect(await new Exchange(server, JSON.stringify(streamedQuestion)).toEnd()).to.match(/half\r\n$/)
    expect(await server.requests[0]?.over).to.deep.include({ cut: true, aborted: false, finished: false })
  })

  for (const { name, path, method, body, status, message } of [
    {
      name: 'a wrong path',
      path: '/v1/chat',
      method: 'POST',
      body: '{}',
      status: 404,
      message: 'Invalid URL (POST /v1/chat)'
    },
    {
      name: 'a wrong method',
      path: '/v1/completions',
      method: 'PUT',
      body: '{}',
      status: 405,
      message: 'Not allowed to PUT on /v1/completions; use POST.'
    },
    {
      name: 'broken JSON',
      path: '/v1/completions',
      method: 'POST',
      body: '{"a":',
      status: 400,
      message: 'The body of the request is no JSON object.'
    },
    {
      name: 'JSON that is no object',
      path: '/v1/responses',
      method: 'POST',
      body: '[]',
      status: 400,
      message: 'The body of the request is no JSON object.'
    }
  ]) {
    it(`answers ${name} with ${status} and an error as OpenAI sends it`, async () => {
      await using server = await serveCompletions()
      const response = await fetch(server.origin + path, { method, body })
      expect(response.status).to.equal(status)
      expect(await response.json()).to.deep.equal({
        error: { message, type: 'invalid_request_error', param: null, code: null }
      })
    })
  }

  it('keeps what was asked and what became of it', async () => {
    await using server = await serveCompletions({ script: script('Hi'), speed: Infinity })
    const text = await (await post(server, streamedQuestion)).text()
    const [request] = server.requests
    expect(await request?.over).to.equal(request)
    expect(request).to.deep.include({
      method: 'POST',
      path: '/v1/chat/completions',
      endpoint: 'chat',
      body: streamedQuestion,
      finished: true,
      aborted: false,
      cut: false,
      bytesWritten: Buffer.byteLength(text)
    })
    expect(request?.headers.host).to.equal(new URL(server.url).host)
  })

  it('sees that the client goes away before the headers', async () => {
    const { promise: arrived, resolve } = withResolvers<ReceivedRequest>()
    await using server = await serveCompletions({
      script: request => {
        resolve(request)
        return script('Hi', { faults: { stallAfter: 'request' } })
      }
    })
    const exchange = new Exchange(server, JSON.stringify(streamedQuestion))
    const request = await arrived
    exchange.socket.destroy()
    expect(await request.over).to.deep.include({
      aborted: true,
      finished: false,
      cut: false,
      bytesWritten: 0
    })
  })

  it('stops writing while the client does not read', async () => {
    const bytes = Buffer.alloc(64 * 1024, 'x')
    const total = 1024 * bytes.length
    let taken = 0
    function* writes(): Generator<{ bytes: Uint8Array }> {
      for (; taken < 1024; taken++) yield { bytes }
    }
    await using server = await serveCompletions({
      script: request => (request.body.stream ? { writes: writes() } : undefined),
      speed: Infinity
    })
    const { hostname, port } = new URL(server.url)
    const client = httpRequest({ hostname, port, path: '/v1/chat/completions', method: 'POST' })
    client.on('error', () => {})
    client.end(JSON.stringify(streamedQuestion))
    const [response] = await once(client, 'response')
    response.on('error', () => {})
    // Other requests show that the server had the time to go on; one that ignored the client would be through.
    const [request] = server.requests
    let written = -1
    while (!request?.waiting || request.bytesWritten !== written) {
      written = request?.bytesWritten ?? -1
      expect(server.requests.length).to.be.lessThan(2000)
      for (let round = 0; round < 10; round++) await (await post(server, { messages: [] })).text()
    }
    expect(written).to.be.greaterThan(0)
    expect(written).to.be.lessThan(total / 2)
    expect(taken * bytes.length).to.be.lessThan(total / 2)
    client.destroy()
    expect((await request.over).aborted).to.equal(true)
  })

  it('survives clients that make no sense', async () => {
    await using server = await serveCompletions({ script: script('Hi'), speed: Infinity })
    const garbage = new Exchange(server, 'x', '/v1/chat/completions\r\n\0\r\n', 'NONSENSE')
    expect(await garbage.toEnd()).to.include('400')
    const half = new Exchange(server, '')
    half.socket.write('POST /v1/responses HTTP/1.1\r\ncontent-length: 100\r\n\r\n{"half')
    half.socket.destroy()
    expect((await post(server, question)).status).to.equal(200)
  })

  it('destroys open sockets when it is closed', async () => {
    const server = await serveCompletions({
      script: script('Hi'),
      speed: Infinity,
      faults: { holdOpen: true }
    })
    const exchange = new Exchange(server, JSON.stringify(streamedQuestion))
    await exchange.until(/\[DONE\]/)
    await Promise.all([server.close(), server.close(), exchange.toEnd()])
    expect(await server.requests[0]?.over).to.deep.include({ cut: true, aborted: false })
    const refused = await post(server, question).catch(error => error.cause.code)
    expect(refused).to.equal('ECONNREFUSED')
  })

  it('listens on the port that it is given', async () => {
    const first = await serveCompletions()
    const port = Number(new URL(first.url).port)
    const taken = await serveCompletions({ port }).catch(error => error.code)
    expect(taken).to.equal('EADDRINUSE')
    await first.close()
    await using again = await serveCompletions({ port })
    expect(again.url).to.equal(first.url)
  })

  for (const options of [
    { speed: 0 },
    { speed: -1 },
    { speed: Number.NaN },
    { faults: { bytesPerWrite: 0 } },
    { fault: {} },
    { faults: { cutAfer: { events: 1 } } },
    { faults: { cutAfter: { event: 1 } } },
    { faults: { stallAfter: 'headers' } }
  ] as ServerOptions[]) {
    it(`fails with CS_ERR_INVALID_OPTION for ${Object.keys(options)} ${Object.values(options).map(value => JSON.stringify(value))}`, async () => {
      const code = await serveCompletions(options).catch(error => error.code)
      expect(code).to.equal('CS_ERR_INVALID_OPTION')
    })
  }
})

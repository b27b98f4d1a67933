import { Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { type Fetch, guardFetch, type Summary } from 'completion-streams'
import {
  type CompletionServer,
  type RawScript,
  type ServerOptions,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import {
  allowNoComplaints,
  clientOf,
  endMark,
  event,
  failureOf,
  finishEvent,
  question,
  textEvent,
  turns
} from '../helpers.js'
import { eventStream, inPiecesOf } from '../pieces.js'

const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
const opening = event({
  choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]
})
const whole = [
  opening,
  textEvent('Hi '),
  textEvent('there'),
  finishEvent,
  event({ choices: [], usage }),
  endMark
]
/** Ends in good order for HTTP, but not for a completion. */
const cut = whole.slice(0, 3)

const responses = (events: readonly object[]) =>
  events.map(payload => `event: ${Reflect.get(payload, 'type')}\ndata: ${JSON.stringify(payload)}\n\n`)
const response = { id: 'r1', object: 'response', model: 'm', status: 'in_progress', output: [] }
const message = {
  id: 'm1',
  type: 'message',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text: 'Hi there', annotations: [] }]
}
const wholeResponse = responses([
  { type: 'response.created', response },
  {
    type: 'response.output_item.added',
    output_index: 0,
    item: { ...message, status: 'in_progress', content: [] }
  },
  {
    type: 'response.content_part.added',
    item_id: 'm1',
    output_index: 0,
    content_index: 0,
    part: { type: 'output_text', text: '', annotations: [] }
  },
  { type: 'response.output_text.delta', item_id: 'm1', output_index: 0, content_index: 0, delta: 'Hi there' },
  { type: 'response.output_item.done', output_index: 0, item: message },
  {
    type: 'response.completed',
    response: {
      ...response,
      status: 'completed',
      output: [message],
      usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 }
    }
  }
])

const eventStreamHead = { headers: { 'content-type': 'text/event-stream' } }

function finished(content: string): string {
  return event({ choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }] })
}

function serve(writes: readonly string[], options: Partial<RawScript> = {}): Promise<CompletionServer> {
  return serveCompletions({ script: { ...options, writes: writes.map(bytes => ({ bytes })) } })
}

/** Reads an answer in one client's way, to its text. */
type Reader = (server: CompletionServer, fetch: Fetch) => Promise<string>

const clients = { 'openai 4': OpenAI4, 'openai 5': OpenAI5, 'openai 6': OpenAI }

const chatReaders: Record<string, Reader> = {
  ...Object.fromEntries(
    Object.entries(clients).map(([name, Client]): [string, Reader] => [
      name,
      async ({ url }, fetch) => {
        // Each major has types of its own for fetch,
        // and of all else: what is called here they share.
        // The first sends a content-length that undici 7 refuses, which other tests put behind the global fetch.
        const client = new (Client as typeof OpenAI)({
          baseURL: url,
          apiKey: 'none',
          maxRetries: 0,
          fetch: ((url: string, { headers, ...init }: RequestInit) => {
            const sent = new Headers(headers)
            sent.delete('content-length')
            return fetch(url, { ...init, headers: sent })
          }) as never
        })
        let text = ''
        const stream = await client.chat.completions.create({ ...question, stream: true })
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
        return text
      }
    ])
  ),
  'openai 6, .stream()': async ({ url }, fetch) => {
    const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, fetch })
    return (await client.chat.completions.stream(question).finalContent()) ?? ''
  },
  '@langchain/openai': async ({ url }, fetch) => {
    const { ChatOpenAI } = await import('@langchain/openai')
    const model = new ChatOpenAI({
      model: 'm',
      apiKey: 'none',
      maxRetries: 0,
      configuration: { baseURL: url, fetch }
    })
    let text = ''
    for await (const chunk of await model.stream('Hello?')) text += chunk.text
    return text
  },
  'ai with @ai-sdk/openai-compatible': async ({ url }, fetch) => {
    // By names that the compiler does not follow: their types need those of the DOM.
    const names = ['ai', '@ai-sdk/openai-compatible']
    const [{ streamText }, { createOpenAICompatible }] = await Promise.all(names.map(name => import(name)))
    let failure: unknown
    const { textStream } = streamText({
      model: createOpenAICompatible({ name: 'local', baseURL: url, apiKey: 'none', fetch })('m'),
      prompt: 'Hello?',
      maxRetries: 0,
      onError({ error }: { error: unknown }) {
        failure = error
      }
    })
    let text = ''
    for await (const piece of textStream) text += piece
    // Its text stream ends on a failure, which it tells of here.
    if (failure) throw failure
    return text
  }
}

const responsesReaders: Record<string, Reader> = {
  'openai 6, Responses': async ({ url }, fetch) => {
    const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, fetch })
    let text = ''
    for await (const event of await client.responses.create({ model: 'm', input: 'Hello?', stream: true })) {
      if (event.type === 'response.output_text.delta') text += event.delta
    }
    return text
  }
}

/** The code of an error, or of what led to it. */
function codeOf(error: unknown): unknown {
  for (
    let cause = error as { code?: unknown; cause?: unknown } | undefined;
    cause;
    cause = cause.cause as typeof cause
  ) {
    if (typeof cause.code === 'string' && cause.code.startsWith('CS_ERR_')) return cause.code
  }
  return undefined
}

describe('guardFetch', () => {
  allowNoComplaints()

  const readers = [
    ...Object.entries(chatReaders).map(([name, read]) => ({ name, read, body: whole, cut })),
    ...Object.entries(responsesReaders).map(([name, read]) => ({
      name,
      read,
      body: wholeResponse,
      cut: wholeResponse.slice(0, -1)
    }))
  ]
  for (const { name, read, body, cut } of readers) {
    it(`leaves a whole answer to ${name} as it is, and tells of it once`, async () => {
      await using server = await serve(body)
      const summaries: Summary[] = []
      expect(await read(server, guardFetch({ onSummary: summary => void summaries.push(summary) }))).to.equal(
        'Hi there'
      )
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]?.outcome).to.equal('complete')
      expect(summaries[0]?.usage).to.include({ total_tokens: 3 })
    })

    it(`makes a cut answer a failure for ${name}, which takes it for whole without`, async () => {
      await using server = await serve(cut)
      const summaries: Summary[] = []
      expect(await read(server, fetch).catch(error => error)).not.to.have.property('code', 'CS_ERR_TRUNCATED')
      const error = await failureOf(
        read(server, guardFetch({ onSummary: summary => void summaries.push(summary) }))
      )
      expect(codeOf(error)).to.equal('CS_ERR_TRUNCATED')
      expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['truncated'])
    })
  }

  it('gives the body byte for byte, and all that had arrived before it fails', async () => {
    const body = [
      ...cut,
      ': comment\r\n\r\n',
      'data: {"choices":[{"index":0,"delta":{"content":"é😀"},"finish_reason":null}]}\n\n'
    ]
    await using server = await serve(body)
    const { body: stream } = await guardFetch()(`${server.url}/chat/completions`, {
      method: 'POST',
      body: '{}'
    })
    const pieces: Uint8Array[] = []
    const error = await failureOf(
      (async () => {
        for await (const piece of stream ?? []) pieces.push(piece)
      })()
    )
    expect(Buffer.concat(pieces).toString()).to.equal(body.join(''))
    expect(error.code).to.equal('CS_ERR_TRUNCATED')
  })

  const json = (event: string) => event.slice('data: '.length).trimEnd()
  const hi = opening + textEvent('Hi ')
  const there = textEvent('there')
  /** Bodies that `toChunks` calls whole, and of which a strict reader sees less, or at which it throws. */
  const odd: Record<string, string> = {
    'a last event without its blank line': hi + finished('there').trimEnd(),
    'a last event with one line end': `${hi}${finished('there').trimEnd()}\n`,
    'a last event before a mark, without blank lines': `${hi}${finished('there').trimEnd()}\ndata: [DONE]`,
    'a mark without its blank line': `${hi}${there}${finishEvent}data: [DONE]`,
    'events parted by a single line end': whole.join('').replaceAll('\n\n', '\n'),
    'JSON lines behind a comment': `: ok\n\n${whole.slice(0, 4).map(json).join('\n')}\n`,
    'a chunk without data:': `${opening}${json(textEvent('Hi '))}\n\n${there}${finishEvent}${endMark}`,
    'a chunk under a damaged name': `${opening}ata: ${json(textEvent('Hi '))}\n\n${there}${finishEvent}${endMark}`,
    'a chunk over many lines without data:': `${opening}${JSON.stringify(JSON.parse(json(textEvent('Hi '))), null, 1)}\n\n${there}${finishEvent}${endMark}`,
    'two byte order marks': `\uFEFF\uFEFF${whole.join('')}`,
    'line ends of CR alone': whole.join('').replaceAll('\n', '\r'),
    'a null': `${hi}data: null\n\n${there}${finishEvent}${endMark}`,
    'empty data': `${hi}data:\n\n${there}${finishEvent}${endMark}`,
    'a comment as data': `${hi}data: : keepalive\n\n${there}${finishEvent}${endMark}`,
    'an event ping': `${hi}event: ping\ndata: ping\n\n${there}${finishEvent}${endMark}`,
    'a name without data': `${hi}event: ping\n\n${there}${finishEvent}${endMark}`,
    'a keep-alive in JSON': `${hi}data: {}\n\n${there}${finishEvent}${endMark}`,
    'spaces around the mark': `${hi}${there}${finishEvent}data:  [DONE] \n\n`,
    'names of chunks':
      whole
        .slice(0, 4)
        .map(each => `event: completion\n${each}`)
        .join('') + endMark,
    'a whole completion as an event': event({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi there' }, finish_reason: 'stop' }]
    })
  }
  for (const [name, read] of Object.entries(chatReaders)) {
    for (const [kind, body] of Object.entries(odd)) {
      it(`gives ${name} all of a whole answer: ${kind}`, async () => {
        const summaries: Summary[] = []
        const fetch = guardFetch({ onSummary: summary => void summaries.push(summary) })
        for (const writes of [[body], body.split(/(?<=\n)/)]) {
          await using server = await serve(writes)
          expect(await read(server, fetch)).to.equal('Hi there')
        }
        expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['complete', 'complete'])
      })
    }
  }

  for (const [kind, body] of Object.entries({
    'without its last blank line': wholeResponse.join('').trimEnd(),
    'with its types in the names alone': wholeResponse.join('').replace(/"type":"response[^"]*",/g, ''),
    'parted by single line ends': wholeResponse.join('').replaceAll('\n\n', '\n'),
    'with a keep-alive': wholeResponse.join('event: keepalive\ndata: 1\n\n')
  })) {
    it(`gives the official client all of a response ${kind}`, async () => {
      await using server = await serve([body])
      expect(await responsesReaders['openai 6, Responses']?.(server, guardFetch())).to.equal('Hi there')
    })
  }

  it('gives usage that comes behind the mark before it', async () => {
    const usageEvent = event({ choices: [], usage })
    await using server = await serve([[...whole.slice(0, 4), endMark, usageEvent].join('')])
    const client = clientOf(server, { fetch: guardFetch() })
    const seen: unknown[] = []
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true }))
      seen.push(chunk.usage)
    expect(seen.at(-1)).to.deep.equal(usage)
  })

  for (const lineEnd of ['\n', '\r\n']) {
    it(`gives what a strict reader reads byte for byte, however it is cut (${JSON.stringify(lineEnd)})`, async () => {
      const body = `id: 1\nretry: 5\n: comment\n\n${whole.join(`: OPENROUTER PROCESSING\n\nid: 2\n`)}`
      const bytes = body.replaceAll('\n', lineEnd)
      for (const size of [1, 7, 100, bytes.length]) {
        const given = guardFetch({
          fetch: async () =>
            new Response(
              Readable.toWeb(Readable.from(inPiecesOf(Buffer.from(bytes), size))) as ReadableStream,
              eventStreamHead
            )
        })
        const response = await given('http://localhost/chat/completions')
        // The body ends at the mark, which may come without its line ends.
        const text = await response.text()
        expect(text.trimEnd()).to.equal(bytes.trimEnd())
        expect(text).to.match(/\[DONE\](?:\r?\n){2}$/)
      }
    })
  }

  it('keeps comments, ids and times to wait where it writes chunks anew', async () => {
    const body = `data: null\n\nid: 7\nretry: 5\n: é\n${hi}${there}${finishEvent}${endMark}`
    await using server = await serve([body])
    const response = await guardFetch()(`${server.url}/chat/completions`, { method: 'POST', body: '{}' })
    expect(await response.text()).to.equal(
      `id: 7\n\nretry: 5\n\n: é\n\n${hi}${there}${finishEvent}${endMark}`
    )
  })

  it('leaves what is behind a failure as it is, and the error that is one', async () => {
    for (const body of [
      `${hi}${event({ error: { message: 'No' } })}data: {"behi`,
      `${hi}event: error\ndata: {"message":"No"}\n\n: bye\n\nsome text`,
      `${hi}error: {"message":"No"}\n\n${there}`,
      `${hi}data: {"choices":[{"delta":`
    ]) {
      await using server = await serve([body])
      const response = await guardFetch()(`${server.url}/chat/completions`, { method: 'POST', body: '{}' })
      let text = ''
      const reading = (async () => {
        for await (const piece of response.body ?? []) text += Buffer.from(piece).toString()
      })()
      expect((await failureOf(reading)).code).to.match(/^CS_ERR_(?:PROVIDER|TRUNCATED)$/)
      expect(text).to.equal(body)
    }
  })

  it('fails with CS_ERR_PROVIDER for an error that the client does not see', async () => {
    await using server = await serve([...cut, 'error: {"code":500,"message":"out of memory"}\n\n'])
    const error = await failureOf(chatReaders['openai 6']?.(server, guardFetch()) ?? Promise.resolve())
    expect(error.code).to.equal('CS_ERR_PROVIDER')
    expect(error.message).to.include('out of memory')
  })

  it('keeps the head of the response and its address', async () => {
    await using server = await serve(whole, {
      headers: { 'content-type': 'text/event-stream', 'x-request-id': 'q1' }
    })
    const url = `${server.url}/chat/completions`
    const response = await guardFetch()(url, { method: 'POST', body: '{}' })
    expect(response.url).to.equal(url)
    expect(response.headers.get('x-request-id')).to.equal('q1')
    await response.text()
  })

  const untouched: Record<string, ServerOptions> = {
    'an answer for which no stream was asked': { script: script('Hi "stream":true', { interval: 0 }) },
    'a refused request': { script: script('Hi'), faults: { status: 429 } }
  }
  for (const [name, options] of Object.entries(untouched)) {
    it(`passes ${name} on untouched`, async () => {
      await using server = await serveCompletions(options)
      let answer: Response | undefined
      const guarded = guardFetch({
        async fetch(input, init) {
          answer = await fetch(input, init)
          return answer
        },
        onSummary: () => expect.fail('told of')
      })
      const body = JSON.stringify({
        ...question,
        stream: name === 'a refused request',
        user: '"stream":true'
      })
      const response = await guarded(`${server.url}/chat/completions`, { method: 'POST', body })
      expect(response).to.equal(answer)
      await response.text()
    })
  }

  it('passes the events of another endpoint on untouched', async () => {
    const events = 'data: {"type":"transcript.text.delta"}\n\n'
    const fetch = async () => new Response(events, { headers: { 'content-type': 'text/event-stream' } })
    const response = await guardFetch({ fetch })('http://localhost/v1/audio/transcriptions')
    expect(await response.text()).to.equal(events)
  })

  for (const [name, read] of [...Object.entries(chatReaders), ...Object.entries(responsesReaders)]) {
    it(`gives ${name} a whole answer in JSON, of which it sees nothing without`, async () => {
      await using server = await serveCompletions({
        script: script('Hi there', { interval: 0 }),
        faults: { ignoreStream: true }
      })
      const summaries: Summary[] = []
      expect(await read(server, guardFetch({ onSummary: summary => void summaries.push(summary) }))).to.equal(
        'Hi there'
      )
      expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['complete'])
      expect(await read(server, fetch).catch(() => '')).to.equal('')
    })

    it(`makes a web page a failure for ${name}`, async () => {
      await using server = await serve(['<html><title>Sign in</title></html>'], {
        headers: { 'content-type': 'text/html' }
      })
      const error = await failureOf(read(server, guardFetch()))
      expect(codeOf(error)).to.equal('CS_ERR_INVALID_CHUNK')
    })
  }

  it('fails with what a JSON answer reports, and for half of one', async () => {
    const error = '{"error":{"message":"out of memory"}}'
    for (const [body, code] of [
      [error, 'CS_ERR_PROVIDER'],
      ['{"object":"chat.completion","choices":[{"ind', 'CS_ERR_TRUNCATED'],
      ['', 'CS_ERR_TRUNCATED']
    ] as const) {
      await using server = await serve([body], { headers: { 'content-type': 'application/json' } })
      const failure = await failureOf(chatReaders['openai 6']?.(server, guardFetch()) ?? Promise.resolve())
      expect(failure.code).to.equal(code)
    }
  })

  it('gives lines of JSON as events, all that came before a failure too', async () => {
    const lines = ['Hi ', 'there'].map(content =>
      textEvent(content)
        .replace(/^data: /, '')
        .trimEnd()
    )
    await using server = await serve(['\n', `${lines[0]}\n`, `${lines[1]}\n`], {
      headers: { 'content-type': 'application/x-ndjson' }
    })
    const response = await guardFetch()(`${server.url}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...question, stream: true })
    })
    let text = ''
    const reading = (async () => {
      for await (const piece of response.body ?? []) text += Buffer.from(piece).toString()
    })()
    expect((await failureOf(reading)).code).to.equal('CS_ERR_TRUNCATED')
    expect(text.trimStart()).to.equal(lines.map(line => `data: ${line}\n\n`).join(''))
  })

  for (const [name, ask] of Object.entries({
    'bytes for a body': (url: string, body: string) =>
      guardFetch()(url, { method: 'POST', body: Buffer.from(body) }),
    'a Request': (url: string, body: string) => guardFetch()(new Request(url, { method: 'POST', body })),
    'stream=true in the address': (url: string) =>
      guardFetch()(`${url}?stream=true`, { method: 'POST', body: '{}' })
  })) {
    it(`sees that a stream is asked for by ${name}`, async () => {
      await using server = await serve(['no answer'], { headers: { 'content-type': 'text/plain' } })
      const response = await ask(
        `${server.url}/chat/completions`,
        JSON.stringify({ ...question, stream: true })
      )
      expect((await failureOf(response.text())).code).to.equal('CS_ERR_INVALID_CHUNK')
    })
  }

  for (const [name, read, script] of [
    ['[DONE]', chatReaders['openai 6'], whole],
    ['the terminal event', responsesReaders['openai 6, Responses'], wholeResponse]
  ] as const) {
    it(`ends at ${name}, even if the server holds the connection open, and lets go of it`, async () => {
      await using server = await serve(script, { faults: { holdOpen: true } })
      const summaries: Summary[] = []
      const fetch = guardFetch({ onSummary: summary => void summaries.push(summary) })
      expect(await read?.(server, fetch)).to.equal('Hi there')
      expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['complete'])
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    })
  }

  it('ends behind a whole answer in JSON, or an error, though the server holds the connection open', async () => {
    const answer = {
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi there' }, finish_reason: 'stop' }]
    }
    for (const body of [JSON.stringify(answer), JSON.stringify(answer, null, 1)]) {
      await using server = await serve([body], { faults: { holdOpen: true } })
      expect(await chatReaders['openai 6']?.(server, guardFetch())).to.equal('Hi there')
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    }
    for (const body of ['{"error":{"message":"No"}}', `${hi}error: {"message":"No"}\n\n`]) {
      await using server = await serve([body], { faults: { holdOpen: true } })
      const failure = await failureOf(chatReaders['openai 6']?.(server, guardFetch()) ?? Promise.resolve())
      expect(failure.code).to.equal('CS_ERR_PROVIDER')
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    }
  })

  it('gives all of an answer that goes on under other ids behind what it writes anew', async () => {
    const said = (id: string, content: string, finish_reason: string | null = null) =>
      eventStream({
        id,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta: { content }, finish_reason }]
      })
    const body = [said('a', 'Hi'), 'event: ping\ndata: {"type":"ping"}\n\n', said('b', '', 'tool_calls')]
    await using server = await serve([
      ...body,
      said('c', ' there'),
      said('c', '', 'stop'),
      'data: [DONE]\n\n'
    ])
    expect(await chatReaders['openai 6']?.(server, guardFetch())).to.equal('Hi there')
  })

  it('goes on behind an event in which the type of a terminal is that of something else', async () => {
    const [created, ...rest] = wholeResponse
    const echo = {
      type: 'response.created',
      response: { ...response, metadata: { type: 'response.completed' } }
    }
    expect(created).to.include('response.created')
    await using server = await serve([...responses([echo]), ...rest])
    expect(await responsesReaders['openai 6, Responses']?.(server, guardFetch())).to.equal('Hi there')
  })

  it('takes an answer for whole whose connection dies behind its finish reason', async () => {
    await using server = await serve(whole.slice(0, 4), { faults: { cutAfter: { events: 4 } } })
    expect(await chatReaders['openai 6']?.(server, guardFetch())).to.equal('Hi there')
  })

  it('tells of a reader who leaves as one who aborted, and lets the server know', async () => {
    await using server = await serveCompletions({
      script: script('one two three four five '.repeat(100), { interval: 20 })
    })
    let tell: (summary: Summary) => void = () => {}
    const told = new Promise<Summary>(resolve => {
      tell = resolve
    })
    const client = new OpenAI({
      baseURL: server.url,
      apiKey: 'none',
      fetch: guardFetch({ onSummary: tell })
    })
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
      if (chunk.choices[0]?.delta.content) break
    }
    expect((await told).outcome).to.equal('aborted')
    expect((await server.requests[0]?.over)?.aborted).to.equal(true)
  })

  it('leaves an abort an abort', async () => {
    await using server = await serveCompletions({
      script: script('one two three', { interval: 20 }),
      faults: { stallAfter: { events: 2 } }
    })
    const controller = new AbortController()
    const summaries: Summary[] = []
    const guarded = guardFetch({ onSummary: summary => void summaries.push(summary) })
    const body = JSON.stringify({ ...question, stream: true })
    const response = await guarded(`${server.url}/chat/completions`, {
      method: 'POST',
      body,
      signal: controller.signal
    })
    const reader = response.body?.getReader()
    await reader?.read()
    controller.abort()
    const error = await failureOf(
      (async () => {
        while (!(await reader?.read())?.done);
      })()
    )
    expect(error.name).to.equal('AbortError')
    expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['aborted'])
  })

  for (const [name, faults] of Object.entries({
    first: { stallAfter: { events: 0 } },
    idle: { stallAfter: { events: 3 }, comments: { every: 10 } },
    total: { stallAfter: { events: 3 } }
  })) {
    it(`fails with CS_ERR_STALLED when the limit \`${name}\` passes`, async () => {
      await using server = await serveCompletions({
        script: script('one two three four', { interval: 1 }),
        faults
      })
      const fetch = guardFetch({ timeLimits: { [name]: 100 } })
      const error = await failureOf(chatReaders['openai 6']?.(server, fetch) ?? Promise.resolve())
      expect(error.code).to.equal('CS_ERR_STALLED')
      expect(error).to.have.property('timeLimit', name)
    })
  }

  for (const name of ['first', 'idle', 'total'] as const) {
    it(`fails with CS_ERR_STALLED when the limit \`${name}\` passes before the head, and aborts the request`, async () => {
      await using server = await serveCompletions({ faults: { stallAfter: 'request' } })
      const client = clientOf(server, { fetch: guardFetch({ timeLimits: { [name]: 100 } }) })
      const error = await failureOf(client.chat.completions.create({ ...question, stream: true }))
      expect(error).to.be.instanceOf(OpenAI.APIConnectionError)
      expect(error.cause).to.include({ code: 'CS_ERR_STALLED', timeLimit: name, items: 0 })
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    })
  }

  it('does not limit the wait for an answer for which no stream was asked', async () => {
    await using server = await serveCompletions({
      script: { ...script('Hi', { interval: 0 }), wholeAt: 200 }
    })
    const client = clientOf(server, { fetch: guardFetch({ timeLimits: { first: 50, total: 50 } }) })
    const { choices } = await client.chat.completions.create(question)
    expect(choices[0]?.message.content).to.equal('Hi')
  })

  for (const place of ['request', { events: 2 }] as const) {
    it(`leaves an abort an abort where there are limits: behind ${JSON.stringify(place)}`, async () => {
      await using server = await serve(whole, { faults: { stallAfter: place } })
      const controller = new AbortController()
      const answer = guardFetch({ timeLimits: { idle: 60_000 } })(`${server.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ ...question, stream: true }),
        signal: controller.signal
      })
      const reading = answer.then(async ({ body }) => {
        for await (const _piece of body ?? []) controller.abort()
      })
      if (place === 'request') {
        while (server.requests.length === 0) await turns(1)
        controller.abort()
      }
      expect((await failureOf(reading)).name).to.equal('AbortError')
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    })
  }

  it('holds nothing by a signal that outlives its requests', async () => {
    const references: WeakRef<object>[] = []
    await using server = await serve(whole)
    const { signal } = new AbortController()
    const guarded = guardFetch({
      timeLimits: { idle: 60_000 },
      fetch(input, init) {
        references.push(new WeakRef(init?.signal as object))
        return fetch(input, init)
      }
    })
    for (let count = 0; count < 20; count++) {
      const body = JSON.stringify({ ...question, stream: true })
      await (await guarded(`${server.url}/chat/completions`, { method: 'POST', body, signal })).text()
    }
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    for (let count = 0; count < 10 && references.filter(found => found.deref()).length > 2; count++) {
      await turns(20)
      collect()
    }
    expect(references.filter(found => found.deref()).length).to.be.below(10)
    expect(signal.aborted).to.equal(false)
  })

  it('fails the body with what onSummary fails with', async () => {
    await using server = await serve(whole)
    const reason = new Error('no room for the bill')
    const fetch = guardFetch({ onSummary: () => Promise.reject(reason) })
    const response = await fetch(`${server.url}/chat/completions`, { method: 'POST', body: '{}' })
    expect(await failureOf(response.text())).to.equal(reason)
  })

  for (const [option, value] of [
    ['fetch', 'fetch'],
    ['onSummary', 1],
    ['timeLimits', {}],
    ['timeLimits', { idle: -1 }],
    ['timeLimits', { idle: 5, totl: 1 }]
  ] as const) {
    it(`throws CS_ERR_INVALID_OPTION for ${option}: ${JSON.stringify(value)}`, () => {
      expect(() => guardFetch({ [option]: value }))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type Chunk,
  compose,
  requestCompletion,
  respond,
  type Source,
  tapUsage,
  toChunks,
  toSSE,
  toText,
  webResponse
} from 'completion-streams'
import { follow, publish } from 'completion-streams/redis'
import { script } from 'completion-streams/testing'
import { EventSource, type MessageEvent } from 'undici'
import { all, clientOf, endpoints, failureOf, questions, serve as serveCompletions } from '../answers.js'
import { type LocalServer, serve } from '../helpers.js'
import { alike, joined, readingsOf } from '../readings.js'
import { clientFor, type RedisServer, redisProgram, startRedis, type TestClient } from '../redis-server.js'

const eventId = Symbol.for('completion-streams.eventId')

/** The id that a chunk has from `follow`. */
function idOf(chunk: Chunk | undefined): string {
  return String(Reflect.get(Object(chunk), eventId))
}

/** An event of a stream, by its fields. */
interface Event {
  readonly event: string
  readonly data: string
  readonly id: string
}

function eventsIn(body: string): Event[] {
  return body
    .split('\n\n')
    .filter(text => /^data:/m.test(text))
    .map(text => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1]
      return { event: field('event') ?? 'message', data: field('data') ?? '', id: field('id') ?? '' }
    })
}

/** Stands before a server, and cuts each connection behind so many events. */
function cutting(url: string, events: number): Promise<LocalServer> {
  return serve(async (incoming, outgoing) => {
    const last = incoming.headers['last-event-id']?.toString()
    const answer = await fetch(url, { headers: last === undefined ? {} : { 'last-event-id': last } })
    const body = await answer.text()
    outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
    if (answer.status !== 200) return void outgoing.end(body)
    const some = body.split(/(?<=\n\n)/).slice(0, events)
    outgoing.write(`retry: 1\n\n${some.join('')}`, () => outgoing.destroy())
  })
}

/** Reads as a page does, which comes back until it is told to come no more. */
async function readByEventSource(url: string, names: readonly string[]): Promise<Event[]> {
  const source = new EventSource(url)
  const events: Event[] = []
  for (const name of names) {
    source.addEventListener(name, message => {
      const { type, data, lastEventId } = message as MessageEvent
      events.push({ event: type, data, id: lastEventId })
    })
  }
  await new Promise<void>(resolve => {
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) resolve()
    }
  })
  return events
}

describe('a reader that comes back to an answer in Redis', () => {
  let redis: RedisServer
  let client: TestClient
  let id: string

  before(async function () {
    if (!redisProgram) return this.skip()
    redis = await startRedis()
    client = await clientFor('redis', redis.port)
  })
  beforeEach(() => {
    id = randomUUID()
  })
  after(async () => {
    if (!redisProgram) return
    client.close()
    await redis.stop()
  })

  async function publishAnswer(
    api: (typeof endpoints)[number],
    kind: string,
    given = script('Hello, dear world!')
  ): Promise<void> {
    await using provider = await serveCompletions({ script: given })
    const request = requestCompletion(clientOf(provider), questions[api])
    const sink = publish(client.redis, id)
    if (kind === 'bytes') await pipeline(request, sink)
    else if (kind === 'objects') await pipeline(request, toChunks(), sink)
    else await pipeline(request, toChunks(), toText(), sink)
  }

  /** Publishes an answer so many times in one log, under another id. */
  async function publishAgain(times: number): Promise<void> {
    const first = id
    id = randomUUID()
    await pipeline(
      async function* () {
        for (let time = 0; time < times; time++) yield* follow(client.redis, first)
      },
      publish(client.redis, id)
    )
  }

  type Answer = Source<Uint8Array | Chunk>
  const followFrom = (after: string | undefined) => follow<Uint8Array | Chunk>(client.redis, id, { after })

  const ways = {
    'toChunks and respond': (source: Answer, outgoing: ServerResponse) =>
      pipeline(source, toChunks(), respond(outgoing)),
    'toChunks, a tap and respond': (source: Answer, outgoing: ServerResponse) =>
      pipeline(
        source,
        toChunks(),
        tapUsage(() => {}),
        respond(outgoing)
      ),
    respond: (source: Answer, outgoing: ServerResponse) => pipeline(source, respond(outgoing)),
    'toChunks and webResponse': async (source: Answer, outgoing: ServerResponse) =>
      send(await webResponse(compose(source, toChunks())), outgoing),
    webResponse: async (source: Answer, outgoing: ServerResponse) => send(await webResponse(source), outgoing)
  }

  async function send({ status, headers, body }: Response, outgoing: ServerResponse): Promise<void> {
    outgoing.writeHead(status, Object.fromEntries(headers))
    for await (const bytes of body ?? []) outgoing.write(bytes)
    outgoing.end()
  }

  const answers = [
    ...endpoints.flatMap(api => [
      { api, kind: 'bytes', through: ['toChunks and respond', 'toChunks and webResponse'] as const },
      {
        api,
        kind: 'objects',
        through: [
          'toChunks and respond',
          'toChunks, a tap and respond',
          'respond',
          'toChunks and webResponse',
          'webResponse'
        ] as const
      }
    ]),
    { api: 'chat' as const, kind: 'texts', through: ['respond', 'webResponse'] as const }
  ]
  for (const { api, kind, through } of answers) {
    for (const way of through) {
      it(`gets each event once, the end mark too, wherever it is cut: ${api}, ${kind}, ${way}`, async () => {
        await publishAnswer(api, kind)
        const listener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
          const after = incoming.headers['last-event-id']?.toString()
          ways[way](followFrom(after), outgoing).catch(error => outgoing.destroy(error))
        }
        await using server = await serve(listener)
        const wanted = eventsIn(await (await fetch(server.url)).text())
        const [first, ...others] = wanted
        expect(others.every(({ id }) => id !== '' && id !== first?.id)).to.equal(true)
        expect(wanted.at(-1)?.data === '[DONE]').to.equal(api !== 'responses')
        const names = [...new Set(wanted.map(({ event }) => event))]
        for (const events of [1, 2, wanted.length - 1, wanted.length]) {
          await using relay = await cutting(server.url, events)
          expect(await readByEventSource(relay.url, names)).to.deep.equal(wanted)
        }
        const headers = { 'last-event-id': wanted.at(-1)?.id ?? '' }
        const again = await fetch(server.url, { headers })
        expect([again.status, await again.text()]).to.deep.equal([204, ''])
      })
    }
  }

  const piece = (content: string, finish_reason: string | null) =>
    JSON.stringify({ id: 'z', choices: [{ index: 0, delta: { content }, finish_reason }] })
  const message = { role: 'assistant', content: 'hello' }
  for (const [name, body, cuts] of [
    [
      'a whole answer in JSON',
      JSON.stringify({ object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }),
      []
    ],
    ['lines of JSON', `${piece('a', null)}\n${piece('b', null)}\r\n${piece('', 'stop')}\n`, [1, 2, 3]]
  ] as const) {
    it(`is told by 204 that it has all of ${name}`, async () => {
      await pipeline(Readable.from([Buffer.from(body)]), publish(client.redis, id))
      await using server = await serve((incoming, outgoing) => {
        const after = incoming.headers['last-event-id']?.toString()
        pipeline(followFrom(after), toChunks(), respond(outgoing)).catch(error => outgoing.destroy(error))
      })
      const wanted = eventsIn(await (await fetch(server.url)).text())
      expect(wanted.length).to.be.greaterThan(cuts.length)
      for (const events of [...cuts, wanted.length]) {
        await using relay = await cutting(server.url, events)
        expect(await readByEventSource(relay.url, ['message'])).to.deep.equal(wanted)
      }
    })
  }

  it('is told that the log is gone', async () => {
    await publishAnswer('chat', 'bytes')
    const [chunk] = await all<Chunk>(followFrom(undefined), toChunks())
    const after = idOf(chunk)
    id = randomUUID()
    for (const stages of [[toChunks()], []]) {
      const source = follow<Uint8Array | Chunk>(client.redis, id, { after, first: 20 })
      const error = await failureOf(all(source, ...stages))
      expect(error).to.include({ code: 'CS_ERR_ABANDONED' })
      expect(error.message).to.include('its log is gone from Redis')
    }
  })

  it('gets the end mark between two answers of one log', async () => {
    await publishAnswer('chat', 'bytes', script('one'))
    await publishAgain(2)
    const written = async (after?: string) =>
      (await all<Buffer>(followFrom(after), toChunks(), toSSE())).join('')
    const whole = await written()
    const events = eventsIn(whole)
    const end = events.findIndex(({ data }) => data === '[DONE]')
    expect(eventsIn(await written(events[end - 1]?.id))).to.deep.equal(events.slice(end))
    expect(eventsIn(await written(events[end + 1]?.id))).to.deep.equal(events.slice(end + 2))
  })

  for (const kind of ['bytes', 'objects']) {
    it(`gets what of a response is behind the last event that it has, and nothing twice: ${kind}`, async () => {
      await publishAnswer('responses', kind, alike)
      await expectRest(true)
      if (kind === 'objects') await expectRest(false)
    })
  }

  /** What came before each event and what comes behind it are the whole, with `toChunks` and without. */
  async function expectRest(withChunks: boolean): Promise<void> {
    const read = (after?: string) => {
      const source = followFrom(after)
      return all<Chunk>(withChunks ? compose(source, toChunks()) : source)
    }
    const chunks = await read()
    const whole = await readingsOf(chunks)
    for (const [place, chunk] of chunks.entries()) {
      const rest = await read(idOf(chunk))
      expect(rest).to.deep.equal(chunks.slice(place + 1))
      const before = await readingsOf(chunks.slice(0, place + 1))
      expect(joined(before, await readingsOf(rest)), `behind ${place}`).to.deep.equal(whole)
    }
  }

  it('gets a text that no delta has brought, once', async () => {
    const item = { id: 'm1', type: 'message', role: 'assistant', status: 'completed' }
    const call = { id: 'f1', type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' }
    const part = { type: 'output_text', text: 'all at once', annotations: [] }
    const place = { output_index: 0, item_id: 'm1', content_index: 0 }
    const message = { ...item, content: [part] }
    const events = [
      { type: 'response.created', response: { id: 'r', status: 'in_progress', output: [] } },
      { type: 'response.in_progress', response: { id: 'r', status: 'in_progress', output: [] } },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [] } },
      { type: 'response.content_part.added', ...place, part: { ...part, text: '' } },
      { type: 'response.output_text.done', ...place, text: part.text },
      { type: 'response.content_part.done', ...place, part },
      { type: 'response.output_item.done', output_index: 0, item: message },
      { type: 'response.completed', response: { id: 'r', status: 'completed', output: [message, call] } }
    ].map((event, sequence_number) => ({ ...event, sequence_number }))
    await pipeline(Readable.from(events), publish(client.redis, id))
    await expectRest(true)
  })

  it('gets a text that the end alone brings, without toChunks too', async () => {
    const message = { id: 'm1', type: 'message', content: [{ type: 'output_text', text: 'all at once' }] }
    const events = [
      { type: 'response.created', response: { id: 'r', status: 'in_progress', output: [] } },
      { type: 'response.completed', response: { id: 'r', status: 'completed', output: [message] } }
    ]
    await pipeline(Readable.from(events), publish(client.redis, id))
    await expectRest(true)
    await expectRest(false)
  })

  it('knows of a response that it has had before of another one', async () => {
    await publishAnswer('responses', 'bytes', script('one'))
    await publishAgain(3)
    await expectRest(true)
  })
})

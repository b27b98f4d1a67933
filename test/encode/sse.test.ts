import { readdir, readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { type Chunk, setEventId, toChunks, toEvents, toSSE } from 'completion-streams'
import { script } from 'completion-streams/testing'
import fc from 'fast-check'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { all, ask, delta, endMark, endpoints, event, finish, run, serve } from '../answers.js'
import { serve as serveLocally } from '../helpers.js'

const fixtures = new URL('../../../test/fixtures/', import.meta.url)

async function encoded(items: readonly unknown[], ...options: Parameters<typeof toSSE>): Promise<string> {
  return Buffer.concat(await all<Buffer>(Readable.from(items), toSSE(...options))).toString()
}

/** The events that a browser would be told of. */
async function eventsIn(text: string) {
  return all<{ event?: string; data: string; id?: string }>(Readable.from([Buffer.from(text)]), toEvents())
}

describe('toSSE', () => {
  describe('of chunks', () => {
    it('is read back by toChunks as the same chunks, for every recording', async () => {
      let count = 0
      for (const name of await readdir(fixtures)) {
        const body = await readFile(new URL(name, fixtures))
        const { items: chunks, error } = await run<Chunk>(
          Readable.from([body]),
          toChunks({ requireEnd: false })
        )
        const text = await encoded(chunks)
        // What failed upstream is a stream without its end here too.
        const back = await run(Readable.from([Buffer.from(text)]), toChunks({ requireEnd: false }))
        expect(back.items, name).to.deep.equal(chunks)
        if (!error) count++
      }
      expect(count).to.be.greaterThan(8)
    })

    for (const endpoint of endpoints) {
      it(`is read by the official client as the same, in each of its majors: ${endpoint}`, async () => {
        await using server = await serve({ script: script('Hello, world! \u2028 \ud83d\ude00') })
        const chunks = await all<Chunk>(ask(server, endpoint), toChunks())
        await using relay = await serveLocally((_incoming, outgoing) => {
          outgoing.setHeader('content-type', 'text/event-stream')
          Readable.from(chunks).pipe(toSSE()).pipe(outgoing)
        })
        for (const Client of [OpenAI4, OpenAI5, OpenAI]) {
          // What is called here all majors share.
          const client = new (Client as typeof OpenAI)({ baseURL: relay.url, apiKey: 'none', maxRetries: 0 })
          const stream: AsyncIterable<unknown> =
            endpoint === 'chat'
              ? await client.chat.completions.create({ model: 'm', messages: [], stream: true })
              : endpoint === 'completions'
                ? await client.completions.create({ model: 'm', prompt: '', stream: true })
                : await client.responses.create({ model: 'm', input: '', stream: true })
          const read: unknown[] = []
          for await (const chunk of stream) read.push(chunk)
          expect(read).to.deep.equal(chunks)
        }
      })
    }

    it('names the events of the Responses API, and has no end mark there', async () => {
      const text = await encoded([{ type: 'response.created', response: { id: 'r' } }])
      expect(text).to.equal(
        'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n'
      )
    })

    it('has an end mark behind each completion of a log', async () => {
      const log = delta({ content: 'a' }) + finish() + endMark + delta({ content: 'b' }) + finish() + endMark
      const chunks = await all(Readable.from([Buffer.from(log)]), toChunks())
      expect(await encoded(chunks)).to.equal(log)
    })

    it('has no end mark behind a failure', async () => {
      const { items, error } = await run<Buffer>(
        Readable.from([Buffer.from(delta({ content: 'a' }))]),
        toChunks(),
        toSSE()
      )
      expect(Buffer.concat(items).toString()).to.equal(delta({ content: 'a' }))
      expect(error).to.include({ code: 'CS_ERR_TRUNCATED' })
    })

    it('writes the id of a chunk, without a line end that would forge a field', async () => {
      const chunk = JSON.parse(event({ choices: [] }).slice(6))
      setEventId(chunk, '7-1\ndata: x')
      const [first] = await eventsIn(await encoded([chunk]))
      expect(first).to.include({ id: '7-1 data: x' })
      expect(JSON.parse(first?.data ?? '')).to.deep.equal(JSON.parse(event({ choices: [] }).slice(6)))
    })
  })

  describe('of text', () => {
    it('gives a reader exactly the text, line feeds included, at every cut', async () => {
      const char = fc.constantFrom(
        'a',
        ' ',
        '\n',
        ':',
        'data: ',
        'é',
        '\ud83d',
        '\ude00',
        '\ufeff',
        '\u2028',
        '\0'
      )
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(char).map(parts => parts.join(''))), async texts => {
          const all = texts.join('').toWellFormed()
          const events = await eventsIn(await encoded(texts.filter(text => text !== '')))
          const messages = events.filter(({ event }) => event === undefined)
          expect(messages.map(({ data }) => data).join('')).to.equal(all)
          expect(events.at(-1)).to.include({ event: 'done' })
        })
      )
    })

    it('makes a line feed of each other line end, also of one that is cut in two', async () => {
      const events = await eventsIn(await encoded(['a\r', '\nb\r', 'c\r\nd', 'e\r']))
      expect(
        events
          .filter(({ event }) => !event)
          .map(({ data }) => data)
          .join('')
      ).to.equal('a\nb\nc\nde\n')
    })

    it('tells a browser not to connect again, once', async () => {
      const text = await encoded(['a', 'b'])
      expect(text.match(/^retry: 2147483647$/gm)).to.have.length(1)
      expect(text.endsWith('event: done\ndata: [DONE]\n\n')).to.equal(true)
    })

    it('tells it so, and that the answer is whole, where there is no text at all', async () => {
      expect(await encoded([])).to.equal('retry: 2147483647\n\nevent: done\ndata: [DONE]\n\n')
    })
  })

  it('passes events on as they are', async () => {
    const events = [{ data: 'a\nb' }, { data: 'd' }, { event: 'x', data: ' c', id: '1' }]
    expect(await eventsIn(await encoded(events))).to.deep.equal(events)
  })

  it('fails for what is neither, and says what to write', async () => {
    for (const [item, message] of [
      [Buffer.from('x'), /not bytes: put toChunks\(\) before it, and nothing that is encoded already/],
      [{ id: 'call_1', name: 'f', arguments: '{}' }, /toSSE takes chunks, not a tool call/],
      [new Response(''), /fromResponse/]
    ] as const) {
      const { error } = await run(Readable.from([item], { objectMode: true }), toSSE())
      expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
      expect(error?.message).to.match(message)
    }
  })

  it('sends a comment when nothing else is sent, and none behind the end', async () => {
    const encoder = toSSE({ heartbeat: 1 })
    const source = new Readable({ objectMode: true, read() {} })
    const bytes: Buffer[] = []
    const done = new Promise(resolve => encoder.on('end', resolve))
    const beats = new Promise<void>(resolve => {
      encoder.on('data', (piece: Buffer) => {
        bytes.push(piece)
        if (piece.includes(': keep-alive')) resolve()
      })
    })
    source.pipe(encoder)
    await beats
    source.push('text')
    source.push(null)
    await done
    const text = Buffer.concat(bytes).toString()
    expect(text.indexOf(': keep-alive\n\n')).to.equal(0)
    expect(text.endsWith('data: [DONE]\n\n')).to.equal(true)
  })

  it('refuses a heartbeat that is no time', () => {
    for (const heartbeat of [0, -1, Number.NaN]) expect(() => toSSE({ heartbeat })).to.throw(/heartbeat/)
  })
})

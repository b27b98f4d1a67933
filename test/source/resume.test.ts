import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type Chunk,
  CompletionError,
  compose,
  readText,
  requestCompletion,
  resume,
  splitThinking,
  toArguments,
  toChunks,
  toCompletion,
  toText
} from 'completion-streams'
import { script } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { all, failureOf, run, serve } from '../answers.js'
import { serve as serveLocally, turns } from '../helpers.js'
import { alike, joined, readingsOf } from '../readings.js'

const text = 'One two three four five six seven.'

interface Event {
  type: string
  sequence_number: number
  response?: { id: string }
}

for (const [version, Client] of Object.entries({ 4: OpenAI4, 5: OpenAI5, 6: OpenAI })) {
  describe(`resume, with openai ${version}`, () => {
    const params = { model: 'm', input: 'Count.', background: true }

    it('goes on behind the last event, as often as it is cut, to the same events', async () => {
      await using server = await serve({ script: { ...script(text), faults: { cutAfter: { events: 3 } } } })
      await using whole = await serve({ script: script(text) })
      const client = new Client({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
      const events: Event[] = []
      let source = requestCompletion(client, params)
      let cuts = 0
      for (;;) {
        try {
          for await (const event of compose(source, toChunks<Event & OpenAI.Responses.ResponseStreamEvent>()))
            events.push(event)
          break
        } catch (error) {
          expect(error).to.be.instanceOf(CompletionError).with.property('code', 'CS_ERR_TRUNCATED')
          cuts++
          source = resume(client, events[0]?.response?.id ?? '', {
            after: events.at(-1)?.sequence_number ?? 0
          })
        }
      }
      expect(cuts).to.be.above(3)
      expect(events.map(event => event.sequence_number)).to.deep.equal(events.map((_event, place) => place))
      let answer = ''
      const other = new Client({ baseURL: whole.url, apiKey: 'none' })
      await pipeline(
        requestCompletion(other, params),
        toChunks(),
        toText(),
        async (pieces: AsyncIterable<string>) => {
          for await (const piece of pieces) answer += piece
        }
      )
      expect(answer).to.equal(text)
      const deltas = events.filter(({ type }) => type === 'response.output_text.delta') as unknown as {
        delta: string
      }[]
      expect(deltas.map(({ delta }) => delta).join('')).to.equal(text)
      expect(events.at(-1)?.type).to.equal('response.completed')
    })

    it('fails as a request does for a response that is not there', async () => {
      await using server = await serve({})
      const client = new Client({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
      const failure = await pipeline(resume(client, 'resp_none'), toChunks().resume()).catch(error => error)
      expect(failure).to.have.property('status', 404)
    })
  })
}

describe('resume', () => {
  const params = { model: 'm', input: 'Count.', background: true }

  it('gives stages what is behind the last event, and nothing that came before it', async () => {
    await using server = await serve({ script: alike })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const chunks = await all<Chunk>(requestCompletion(client, params), toChunks())
    const whole = await readingsOf(chunks)
    const [answer] = await all<OpenAI.Responses.Response>(Readable.from(chunks), toCompletion())
    const id = answer?.id ?? ''
    // Behind the terminal there is nothing.
    for (const after of chunks.keys()) {
      if (after === chunks.length - 1) break
      const before = await readingsOf(chunks.slice(0, after + 1))
      const rest = await all<Chunk>(resume(client, id, { after }), toChunks())
      const others = await all<Chunk>(Readable.from(rest), toChunks(), splitThinking())
      expect(joined(before, await readingsOf(rest)), `behind ${after}`).to.deep.equal(whole)
      expect(joined(before, await readingsOf(others)), `behind ${after}`).to.deep.equal(whole)
      expect(before.content + (await readText(resume(client, id, { after })))).to.equal(whole.content)
      expect(await all(resume(client, id, { after }), toChunks(), toCompletion())).to.deep.equal([answer])
    }
  })

  it('gives toArguments what is behind the last event', async () => {
    const pieces = [
      { at: 0, reasoning: 'hm' },
      ...['{"a":[', '1,', '1,', '1,', '1]}'].map((text, place) => ({
        at: 0,
        toolCall: { arguments: text, ...(place === 0 && { id: 'call_a', name: 'f' }) }
      })),
      { at: 0, text: 'done' }
    ]
    await using server = await serve({ script: { choices: [{ pieces }] } })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const chunks = await all<Chunk>(requestCompletion(client, params), toChunks())
    const id = (chunks[0] as unknown as Event).response?.id ?? ''
    for (const after of [...chunks.keys()].slice(0, -1)) {
      // Where no call has come yet, that is an error.
      const before = await run<string>(Readable.from(chunks.slice(0, after + 1)), toArguments())
      const rest = await all<string>(resume(client, id, { after }), toChunks(), toArguments())
      expect([...before.items, ...rest].join(''), `behind ${after}`).to.equal('{"a":[1,1,1,1]}')
    }
  })

  it('gives a whole text that comes behind the first events, though no delta brings it', async () => {
    const response = { id: 'resp_1', object: 'response', status: 'completed' }
    const output = [{ id: 'm', type: 'message', content: [{ type: 'output_text', text: 'whole' }] }]
    const completed = { type: 'response.completed', sequence_number: 1, response: { ...response, output } }
    await using server = await serveLocally((_incoming, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
      outgoing.end(`event: response.completed\ndata: ${JSON.stringify(completed)}\n\n`)
    })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    expect(await readText(resume(client, 'resp_1', { after: 0 }))).to.equal('whole')
  })

  it('cannot tell an answer of which nothing is left from one that was cut', async () => {
    await using server = await serve({ script: script('one') })
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const events = await all<Event>(requestCompletion(client, params), toChunks())
    const after = events.length - 1
    const { id = '' } = events[0]?.response ?? {}
    expect(await failureOf(readText(resume(client, id, { after })))).to.have.property(
      'code',
      'CS_ERR_TRUNCATED'
    )
  })

  it('sends nothing before it is read, and throws for wrong arguments', async () => {
    await using server = await serve({})
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const source = resume(client, 'resp_1')
    await turns(5)
    source.destroy()
    expect(server.requests).to.have.length(0)
    const code = 'CS_ERR_INVALID_OPTION'
    expect(() => resume({} as never, 'resp_1'))
      .to.throw(/responses\.retrieve/)
      .with.property('code', code)
    expect(() => resume(client, ''))
      .to.throw(/responseId/)
      .with.property('code', code)
    expect(() => resume(client, 'a', { after: -1 }))
      .to.throw(/after is -1/)
      .with.property('code', code)
    expect(() => resume(client, 'a', { first: 1 } as never)).to.throw(/has no option first/)
  })
})

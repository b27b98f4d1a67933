import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { CompletionError, compose, requestCompletion, resume, toChunks, toText } from 'completion-streams'
import { script } from 'completion-streams/testing'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { serve } from '../answers.js'
import { turns } from '../helpers.js'

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

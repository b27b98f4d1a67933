import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { type Chunk, toChunks, toText } from 'completion-streams'
import { clientOf, failureOf, question, SlowSink, serve, textEvent } from '../helpers.js'
import { outcomeOf } from '../pieces.js'

function said(content: string, finish_reason: string | null = null, id = 'o'): object {
  return { id, object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason }] }
}

describe('toChunks of chunk objects', () => {
  it('emits them as they are', async () => {
    const chunks = [said('One'), said(' two', 'stop')]
    const { items, error } = await outcomeOf(chunks, toChunks())
    expect(error).to.equal(undefined)
    expect(items[0]).to.equal(chunks[0])
    expect(items).to.deep.equal(chunks)
  })

  it('emits those of the other APIs', async () => {
    const legacy = [{ object: 'text_completion', choices: [{ index: 0, text: 'Hi', finish_reason: 'stop' }] }]
    const responses = [
      { type: 'response.output_text.delta', delta: 'Hi', item_id: 'm', output_index: 0 },
      { type: 'response.completed', response: { id: 'r', status: 'completed', output: [] } }
    ]
    for (const chunks of [legacy, responses]) {
      expect(await outcomeOf(chunks, toChunks(), toText())).to.deep.equal({ items: ['Hi'] })
    }
  })

  it('emits a frozen one that opens another completion', async () => {
    const chunks = [said('One', 'stop'), said('Two', null, 'p'), said('', 'stop', 'p')].map(Object.freeze)
    const { items, error } = await outcomeOf(chunks as object[], toChunks())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal(chunks)
  })

  it('fails with CS_ERR_TRUNCATED where the last one does not end the completion', async () => {
    const { items, error } = await outcomeOf([said('One'), said(' two')], toChunks(), toText())
    expect(items).to.deep.equal(['One', ' two'])
    expect(error?.code).to.equal('CS_ERR_TRUNCATED')
  })

  it('fails with CS_ERR_PROVIDER for one that reports an error, and for a finish reason that does', async () => {
    const late = [said('One'), { error: { message: 'No' } }]
    for (const chunks of [late, [said('One', 'network_error')]]) {
      const { items, error } = await outcomeOf(chunks, toChunks(), toText())
      expect(items).to.deep.equal(['One'])
      expect(error?.code).to.equal('CS_ERR_PROVIDER')
    }
  })

  it('knows the cut and the number of choices', async () => {
    const cut = await outcomeOf([said('One', 'length')], toChunks({ onCut: 'fail' }))
    expect(cut.error).to.include({ code: 'CS_ERR_TRUNCATED', finishReason: 'length' })
    const one = await outcomeOf([said('One', 'stop')], toChunks({ choices: 2 }))
    expect(one.error?.code).to.equal('CS_ERR_TRUNCATED')
  })

  const message = { role: 'assistant', content: 'Hi' }
  for (const [item, what] of [
    [
      { object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] },
      'a whole completion'
    ],
    [{ id: 'r', object: 'response', status: 'completed', output: [] }, 'a whole completion'],
    [{ type: 'content_block_delta', delta: { text: 'Hi' } }, "Anthropic's Messages API"],
    [{ hello: 'world' }, 'an object'],
    [[said('One')], 'an array: write its chunks one by one'],
    [7, '7']
  ] as const) {
    it(`fails with CS_ERR_INVALID_CHUNK that says what it is given: ${inspect(item, { depth: 0 })}`, async () => {
      const { error } = await outcomeOf(
        [said('One', 'stop'), item].slice(what === 'a whole completion' ? 1 : 0),
        toChunks()
      )
      expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
      expect(error?.message).to.include(what)
    })
  }

  const usage = { total_tokens: 1 }
  for (const [item, says] of [
    [{ hello: 1 }, 'an object of another kind: put the stage that makes such objects behind it'],
    [
      {
        object: 'chat.completion',
        choices: [{ index: 0, message: { content: 'Hi' }, finish_reason: 'stop' }]
      },
      'a whole completion: ask for it with stream: true, or write JSON.stringify(completion)'
    ],
    [new Response('{}'), 'a Response: begin the pipeline with fromResponse(response)'],
    [{ id: 'a', name: 'f', arguments: '{}' }, 'a tool call: put toChunks() before toToolCalls()'],
    [5, '5'],
    [
      { key: '1', row: 1, text: 'Hi', usage, attempts: 1, elapsed: 1 },
      'a record of completeEach: its answer is whole, so read its text, its completion or its error; stages that take chunks stand in the option through'
    ],
    [
      { outcome: 'complete', usageStatus: 'reported', usage },
      'a summary: put the stage behind tapSummary(), which passes the chunks on'
    ],
    [
      { usage, text: 'Hi' },
      'an object with a text in a form of its own: emit that text itself, behind the stages that take chunks'
    ]
  ] as const) {
    it(`says in a whole sentence what to write instead of ${says.replace(/:.*/, '')}`, async () => {
      const { error } = await outcomeOf([item], toChunks())
      expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
      expect(error?.message).to.equal(`toChunks takes bytes, strings, events or chunks, not ${says}`)
    })
  }

  it('reads the JSON of a whole completion, as its message says', async () => {
    const whole = {
      object: 'chat.completion',
      choices: [{ index: 0, message: { content: 'Hi' }, finish_reason: 'stop' }]
    }
    const { error } = await outcomeOf([JSON.stringify(whole)], toChunks())
    expect(error).to.equal(undefined)
  })

  it('fails with CS_ERR_INVALID_CHUNK for a promise, and says to await it', async () => {
    const stage = toChunks()
    const failed = once(stage, 'error')
    stage.write(Promise.resolve(said('One')))
    const [error] = await failed
    expect(error.code).to.equal('CS_ERR_INVALID_CHUNK')
    expect(error.message).to.equal(
      'toChunks takes bytes, strings, events or chunks, not a promise: await it first'
    )
  })

  it("makes a cut answer of the official client's stream a CS_ERR_TRUNCATED, which its own loop takes for an end", async () => {
    await using server = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(textEvent('Half of') + textEvent(' an answer'))
    })
    const client = clientOf(server)
    const ask = () => client.chat.completions.create({ ...question, stream: true })
    let text = ''
    for await (const chunk of await ask()) text += chunk.choices[0]?.delta.content
    expect(text).to.equal('Half of an answer')
    const sink = new SlowSink(1)
    const failure = await failureOf(
      pipeline(Readable.from((await ask()) as AsyncIterable<Chunk>), toChunks(), toText(), sink)
    )
    expect(failure.code).to.equal('CS_ERR_TRUNCATED')
    expect(sink.text).to.equal('Half of an answer')
  })
})

import { expect } from 'chai'
import { serveCompletions } from 'completion-streams/testing'
import { clientOf } from '../../answers.js'

describe('the moderations endpoint', () => {
  it('answers the openai client for one text, a list, and parts', async () => {
    await using server = await serveCompletions({ flags: text => text.includes('bad') })
    const { moderations } = clientOf(server)
    const flagged = async (input: Parameters<typeof moderations.create>[0]['input']) =>
      (await moderations.create({ input })).results.map(result => result.flagged)
    expect(await flagged('bad')).to.deep.equal([true])
    expect(await flagged(['bad', 'good'])).to.deep.equal([true, false])
    expect(await flagged([{ type: 'text', text: 'bad' }])).to.deep.equal([true])
  })

  it('flags for the categories that it is told, or for violence', async () => {
    await using server = await serveCompletions({ flags: text => (text === 'a' ? ['hate', 'own'] : true) })
    const { results } = await clientOf(server).moderations.create({ input: ['a', 'b'] })
    expect(results[0]?.categories).to.include({ hate: true, own: true, violence: false })
    expect(results[1]?.categories).to.include({ hate: false, violence: true })
  })

  it('flags nothing by itself, and keeps what it was asked', async () => {
    await using server = await serveCompletions()
    const { model, results } = await clientOf(server).moderations.create({ input: 'a', model: 'm' })
    expect([model, results[0]?.flagged]).to.deep.equal(['m', false])
    expect(server.requests[0]).to.deep.include({
      path: '/v1/moderations',
      endpoint: undefined,
      body: { input: 'a', model: 'm' }
    })
  })

  it('answers 500 when the function fails, and 405 to another method', async () => {
    await using server = await serveCompletions({
      flags() {
        throw new Error('no')
      }
    })
    const post = await fetch(`${server.url}/moderations`, { method: 'POST', body: '{"input": "a"}' })
    expect(post.status).to.equal(500)
    expect((await fetch(`${server.url}/moderations`)).status).to.equal(405)
  })
})

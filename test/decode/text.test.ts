import { Transform } from 'node:stream'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { CompletionError, compose, type TextOptions, toChunks, toText } from 'completion-streams'
import { eventStream, outcomeOf } from '../pieces.js'

const delta = (index: number, fields: object) => ({ choices: [{ index, delta: fields }] })

describe('toText', () => {
  it('emits a string for each delta that holds text', async () => {
    const chunks = ['', 'Hel', null, 'lo', ''].map(content => delta(0, { content }))
    expect(await outcomeOf(chunks, toText())).to.deep.equal({ items: ['Hel', 'lo'] })
  })

  for (const [options, items] of [
    [{}, ['a']],
    [{ choice: 1 }, ['b']],
    [{ from: 'content' }, ['a']],
    [{ from: 'refusal' }, ['no']],
    [{ from: 'reasoning' }, ['why']],
    [{ choice: 1, from: 'refusal' }, ['never']]
  ] satisfies [TextOptions, string[]][]) {
    it(`emits the text that ${inspect(options)} asks for`, async () => {
      const chunks = [
        delta(0, { reasoning_content: 'why' }),
        delta(1, { content: 'b' }),
        delta(0, { content: 'a' }),
        delta(1, { refusal: 'never' }),
        delta(0, { refusal: 'no' })
      ]
      expect(await outcomeOf(chunks, toText(options))).to.deep.equal({ items })
    })
  }

  it('emits the text of interleaved choices (n = 3), each by its own stage', async () => {
    const order = [0, 0, 1, 1, 2, 2, 0, 1, 2]
    const chunks = order.map((index, n) => delta(index, { content: `${index}${n} ` }))
    for (const choice of [0, 1, 2]) {
      const { items } = await outcomeOf(chunks, toText({ choice }))
      expect(items.join('')).to.equal(['00 01 06 ', '12 13 17 ', '24 25 28 '][choice])
    }
  })

  it('emits the text of legacy completions and of the Responses API', async () => {
    const chunks = [
      { choices: [{ index: 0, text: 'a' }] },
      { type: 'response.output_text.delta', delta: 'b' }
    ]
    expect(await outcomeOf(chunks, toText())).to.deep.equal({ items: ['a', 'b'] })
  })

  it('is a Transform of node', () => {
    expect(toText()).to.be.instanceOf(Transform)
  })

  for (const options of [{ choice: -1 }, { choice: 0.5 }, { choice: '0' }, { choice: null }]) {
    it(`throws CS_ERR_INVALID_OPTION for ${inspect(options)}`, () => {
      expect(() => toText(options as TextOptions))
        .to.throw(CompletionError, /^choice is /)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const from of ['text', '', null]) {
    it(`throws CS_ERR_INVALID_OPTION for from: ${inspect(from)}`, () => {
      expect(() => toText({ from } as TextOptions))
        .to.throw(CompletionError, 'give one of content, refusal, reasoning')
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const [item, shown] of [
    ['Dear diary', 'a string'],
    [Buffer.from('data: {}'), 'bytes'],
    [{ data: '{}' }, 'an event'],
    [12, '12']
  ]) {
    it(`fails with CS_ERR_INVALID_CHUNK for ${inspect(item)}, after the text before it, and does not show text`, async () => {
      const { items, error } = await outcomeOf([delta(0, { content: 'a' }), item], toText())
      expect(items).to.deep.equal(['a'])
      expect(error).to.be.instanceOf(CompletionError).with.property('code', 'CS_ERR_INVALID_CHUNK')
      expect(error?.message).to.equal(`toText takes chunks, not ${shown}: put toChunks() before it`)
    })
  }

  it('emits all text that came before a failure', async () => {
    const stream = eventStream(delta(0, { content: 'a' }), delta(0, { content: 'b' }), '{"half')
    const { items, error } = await outcomeOf([stream], compose(toChunks(), toText()))
    expect(items).to.deep.equal(['a', 'b'])
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })
})

import { expect } from 'chai'
import { isRefusal } from '#lib/chunk/refusal.js'

describe('isRefusal', () => {
  it('sees a refusal of either API', () => {
    expect(isRefusal({ choices: [{ delta: { refusal: 'No' } }] })).to.equal(true)
    expect(isRefusal({ type: 'response.refusal.delta', delta: 'No' })).to.equal(true)
  })

  const part = { type: 'refusal', refusal: 'No' }
  const item = { type: 'message', content: [part] }
  for (const event of [
    { type: 'response.content_part.done', part },
    { type: 'response.output_item.done', item },
    { type: 'response.completed', response: { output: [item] } },
    { type: 'response.completed', output: [item] }
  ]) {
    it(`sees one that no delta brings: ${Object.keys(event)} of ${event.type}`, () => {
      expect(isRefusal(event)).to.equal(true)
    })
  }

  it('sees none in an answer', () => {
    expect(isRefusal({ choices: [{ delta: { refusal: null, content: 'Yes' } }, null] })).to.equal(false)
    expect(isRefusal({ type: 'response.output_text.delta', delta: 'No' })).to.equal(false)
    expect(
      isRefusal({ type: 'response.content_part.done', part: { type: 'output_text', text: 'a' } })
    ).to.equal(false)
    expect(isRefusal({ type: 'response.completed', response: { output: [{ type: 'reasoning' }] } })).to.equal(
      false
    )
  })
})

import { expect } from 'chai'
import { isRefusal } from '#lib/chunk/refusal.js'

describe('isRefusal', () => {
  it('sees a refusal of either API', () => {
    expect(isRefusal({ choices: [{ delta: { refusal: 'No' } }] })).to.equal(true)
    expect(isRefusal({ type: 'response.refusal.delta', delta: 'No' })).to.equal(true)
  })

  it('sees none in an answer', () => {
    expect(isRefusal({ choices: [{ delta: { refusal: null, content: 'Yes' } }, null] })).to.equal(false)
    expect(isRefusal({ type: 'response.output_text.delta', delta: 'No' })).to.equal(false)
  })
})

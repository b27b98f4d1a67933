import { expect } from 'chai'
import { HeldFailure } from '#lib/decode/held-failure.js'

const ended = (finish_reason: string) => ({ choices: [{ index: 0, delta: {}, finish_reason }] })

describe('HeldFailure', () => {
  it('keeps what tells most: the report of the provider, then a finish reason, then a cut', () => {
    const held = new HeldFailure(true)
    held.judge(ended('length'))
    expect(held.error).to.include({ code: 'CS_ERR_TRUNCATED', finishReason: 'length' })
    held.judge(ended('error'))
    expect(held.error).to.include({ code: 'CS_ERR_PROVIDER', type: 'error' })
    held.report({ error: { message: 'No capacity' } }, false)
    held.judge(ended('abort'))
    expect(held.error?.message).to.equal('provider reported an error: No capacity')
    expect(held.isOfChoice).to.equal(false)
    expect(() => held.throw()).to.throw('No capacity')
  })

  it('holds nothing of a good end, nor of a cut that passes', () => {
    const held = new HeldFailure(false)
    for (const reason of ['stop', 'length', 'tool_calls']) held.judge(ended(reason))
    expect(held.error).to.equal(undefined)
    held.throw()
  })

  it('shows a finish reason shortened and without control characters', () => {
    const held = new HeldFailure(false)
    held.judge(ended(`error\nlevel=info ${'x'.repeat(100)}`))
    expect(held.error?.message).to.match(/finish reason "error level=info x{23}"$/)
  })
})

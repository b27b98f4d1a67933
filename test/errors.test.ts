import { inspect } from 'node:util'
import { expect } from 'chai'
import { CompletionError } from 'completion-streams'

describe('CompletionError', () => {
  it('is an Error with a name, a code and a message', () => {
    const error = new CompletionError('CS_ERR_TRUNCATED', 'the input ended')
    expect(error).to.be.instanceOf(Error).and.to.be.instanceOf(CompletionError)
    expect(error).to.include({
      name: 'CompletionError',
      code: 'CS_ERR_TRUNCATED',
      message: 'the input ended'
    })
    expect(String(error)).to.equal('CompletionError: the input ended')
    expect(error.stack).to.include('errors.test')
  })

  it('carries the facts it is given as properties', () => {
    const facts = {
      type: 'server_error',
      providerCode: 502,
      status: 502,
      param: 'model',
      residue: '{"id',
      limit: 10
    }
    expect(new CompletionError('CS_ERR_PROVIDER', 'provider reported an error', facts)).to.include(facts)
  })

  it('lacks the facts that are not given, or undefined', () => {
    const error = new CompletionError('CS_ERR_PROVIDER', 'provider reported an error', {
      type: undefined,
      status: 500
    })
    expect(Object.keys(error)).to.have.members(['name', 'code', 'status'])
    expect(error).to.not.have.property('cause')
  })

  for (const cause of [new Error('socket hang up'), { error: { message: 'x' } }, 'text', null, 0]) {
    it(`keeps ${inspect(cause)} as its cause`, () => {
      expect(new CompletionError('CS_ERR_PROVIDER', 'failed', { cause }).cause).to.equal(cause)
    })
  }

  it('shows its code and its facts where it is logged', () => {
    const shown = inspect(new CompletionError('CS_ERR_EVENT_TOO_LARGE', 'too large', { limit: 12 }))
    expect(shown).to.include('CS_ERR_EVENT_TOO_LARGE').and.to.include('limit: 12')
  })
})

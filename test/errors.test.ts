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

  it('has one line for a message, whatever it was made of', () => {
    const error = new CompletionError(
      'CS_ERR_PROVIDER',
      'no\r\n2026-01-01 root logged in\u001b[2J\u2028\u0000'
    )
    expect(error.message).to.equal('no  2026-01-01 root logged in [2J  ')
  })

  it('gives JSON its name, code, message, facts and the cause, but nothing of a completion', () => {
    const error = new CompletionError('CS_ERR_PROVIDER', 'refused', {
      status: 429,
      retryAfter: 1500,
      headers: { 'retry-after': '1.5' },
      residue: 'the answer',
      beginning: 'the ans',
      cause: new TypeError('terminated\n')
    })
    expect(JSON.parse(JSON.stringify({ error }))).to.deep.equal({
      error: {
        name: 'CompletionError',
        code: 'CS_ERR_PROVIDER',
        message: 'refused',
        status: 429,
        retryAfter: 1500,
        headers: { 'retry-after': '1.5' },
        cause: { name: 'TypeError', message: 'terminated ' }
      }
    })
    expect(error.residue).to.equal('the answer')
    expect(inspect(error)).not.to.include('the ans')
  })

  it('leaves a payload out of its JSON', () => {
    const cause = { error: { message: 'secret' } }
    expect(new CompletionError('CS_ERR_PROVIDER', 'refused', { cause }).toJSON()).not.to.have.property(
      'cause'
    )
  })

  it('knows the errors of another copy of the library, and no others', async () => {
    // A copy of the module, as a CommonJS build is beside the ESM one.
    const copy: { CompletionError: typeof CompletionError } = await import(
      `${new URL('../../dist/errors.js', import.meta.url)}?copy`
    )
    const error = new copy.CompletionError('CS_ERR_TRUNCATED', 'cut')
    expect(copy.CompletionError).not.to.equal(CompletionError)
    expect(error instanceof CompletionError).to.equal(true)
    expect(new Error('cut') instanceof CompletionError).to.equal(false)
    class OfTheirs extends CompletionError {}
    expect(error instanceof OfTheirs).to.equal(false)
    expect(new OfTheirs('CS_ERR_TRUNCATED', 'cut') instanceof OfTheirs).to.equal(true)
  })
})

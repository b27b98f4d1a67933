import { inspect } from 'node:util'
import { expect } from 'chai'
import { isKeepAlive, isKeepAliveName, isKeepAliveText } from '#lib/chunk/keep-alive.js'

describe('isKeepAliveText', () => {
  for (const text of [
    '',
    ': keepalive',
    'ping',
    'PONG',
    'keep-alive',
    '[HEARTBEAT]',
    '"ping"',
    '(keepalive)'
  ]) {
    it(`is true for ${inspect(text)}`, () => {
      expect(isKeepAliveText(text)).to.equal(true)
    })
  }

  for (const text of ['pinged', 'ping pong', '{"type":"ping"}', '[DONE]', 'null', 'Hello: keepalive']) {
    it(`is false for ${inspect(text)}`, () => {
      expect(isKeepAliveText(text)).to.equal(false)
    })
  }
})

describe('isKeepAliveName', () => {
  it('knows the names of events', () => {
    expect(['ping', 'keepalive', 'heartbeat', '', 'error', 'message'].filter(isKeepAliveName)).to.deep.equal([
      'ping',
      'keepalive',
      'heartbeat'
    ])
  })
})

describe('isKeepAlive', () => {
  for (const payload of [
    {},
    { type: 'ping' },
    { type: 'keepalive', n: 1 },
    { event: 'heartbeat' },
    { object: 'keep_alive' }
  ]) {
    it(`is true for ${inspect(payload)}`, () => {
      expect(isKeepAlive(payload)).to.equal(true)
    })
  }

  for (const payload of [{ type: 'response.created' }, { text: 'ping' }, { type: 7 }, { id: 'a' }]) {
    it(`is false for ${inspect(payload)}`, () => {
      expect(isKeepAlive(payload)).to.equal(false)
    })
  }
})

import { expect } from 'chai'
import { setEventId } from 'completion-streams'

describe('setEventId', () => {
  for (const [name, chunk, id] of [
    ['a chunk that is no object', 'text', '1'],
    ['no chunk', undefined, '1'],
    ['a chunk that is frozen', Object.freeze({}), '1'],
    ['an id that is no text', {}, 1]
  ] as const) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(() => setEventId(chunk as never, id as never))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

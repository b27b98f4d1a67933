import { expect } from 'chai'
import { type Chunk, isChatChunk, isLegacyChunk, isResponsesEvent } from 'completion-streams'

describe('isChatChunk, isLegacyChunk, isResponsesEvent', () => {
  for (const [name, chunk, api] of [
    ['a chat chunk', { object: 'chat.completion.chunk', choices: [{ index: 0, delta: {} }] }, 'chat'],
    ['usage alone', { choices: [], usage: {} }, 'chat'],
    ['a legacy chunk', { object: 'text_completion', choices: [{ text: 'a' }] }, 'legacy'],
    ['a legacy chunk without its name', { choices: [{ text: 'a' }] }, 'legacy'],
    ['a Responses event', { type: 'response.created', response: {} }, 'responses'],
    ['a keep-alive', { type: 'ping' }, 'none']
  ] as const) {
    it(`tells ${name} by its API`, () => {
      const item = chunk as object as Chunk
      expect([isChatChunk(item), isLegacyChunk(item), isResponsesEvent(item)]).to.deep.equal(
        ['chat', 'legacy', 'responses'].map(name => name === api)
      )
    })
  }
})

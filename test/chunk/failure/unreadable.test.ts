import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { drain, toCompletion, toText, toToolCalls } from 'completion-streams'
import { unreadableIn } from '#lib/chunk/failure/unreadable.js'
import { expectRead } from '../../decode/ways.js'
import { eventStream } from '../../pieces.js'

const call = { id: 'a', type: 'function', function: { name: 'pay', arguments: '{"n":1}' } }
const said = { id: 'c', choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] }

function withDelta(delta: unknown): object {
  return { id: 'c', choices: [{ index: 0, delta, finish_reason: null }] }
}

const unreadable: Record<string, object> = {
  'choices as an object': {
    id: 'c',
    object: 'chat.completion.chunk',
    choices: { 0: { index: 0, delta: { content: ' all' } } }
  },
  'choices as a text': { id: 'c', object: 'chat.completion.chunk', choices: ' all' },
  'a choice as a text': { id: 'c', choices: [' all'] },
  'a choice as a list': { id: 'c', choices: [[{ index: 0, delta: { content: ' all' } }]] },
  'a delta as a list': withDelta([{ content: ' all' }]),
  'a delta as a number': withDelta(5),
  'tool_calls as an object': withDelta({ tool_calls: call }),
  'tool_calls as a text': withDelta({ tool_calls: JSON.stringify([call]) })
}

const readable: Record<string, object> = {
  'choices that are null': { id: 'c', choices: null, usage: { total_tokens: 3 } },
  'choices that are {}': { id: 'c', choices: {}, usage: { total_tokens: 3 } },
  'a choice that is null': { id: 'c', choices: [null] },
  'a delta that is null': withDelta(null),
  'a delta that is []': withDelta([]),
  'a delta that is a text': withDelta(''),
  'tool_calls that are {}': withDelta({ tool_calls: {} }),
  "tool_calls that are ''": withDelta({ tool_calls: '' })
}

describe('unreadableIn', () => {
  for (const [name, chunk] of Object.entries(unreadable)) {
    it(`finds ${name}`, () => {
      expect(unreadableIn(Reflect.get(chunk, 'choices'))).to.be.a('string')
    })

    it(`${name} is CS_ERR_INVALID_CHUNK after the text before it, at every cut`, async () => {
      const body = eventStream(said, chunk, '[DONE]')
      await expectRead(body, { text: 'Hi', code: 'CS_ERR_INVALID_CHUNK' })
    })
  }

  for (const [name, chunk] of Object.entries(readable)) {
    it(`finds nothing in ${name}`, async () => {
      expect(unreadableIn(Reflect.get(chunk, 'choices'))).to.equal(undefined)
      await expectRead(eventStream(said, chunk, '[DONE]'), { text: 'Hi' })
    })
  }

  for (const [name, stage, forms] of [
    ['toText', toText, ['choices', 'a delta']],
    ['toCompletion', toCompletion, ['choices', 'tool_calls']],
    ['toToolCalls', toToolCalls, ['choices', 'tool_calls']]
  ] as const) {
    it(`${name} fails with CS_ERR_INVALID_CHUNK for such chunks where toChunks does not stand before it`, async () => {
      for (const [form, chunk] of Object.entries(unreadable)) {
        if (!forms.some(beginning => form.startsWith(beginning))) continue
        const failure = await pipeline(Readable.from([chunk]), stage(), drain()).catch(
          (error: unknown) => error
        )
        expect(failure, form).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
      }
    })
  }
})

import { Readable } from 'node:stream'
import { expect } from 'chai'
import {
  moderate,
  type ToolCall,
  toArguments,
  toChunks,
  toCompletion,
  toText,
  toToolCalls
} from 'completion-streams'
import { all } from '../answers.js'

type Fields = Readonly<Record<string, unknown>>

const event = (type: string, fields: Fields) =>
  `event: response.${type}\ndata: ${JSON.stringify({ type: `response.${type}`, ...fields })}\n\n`
const added = (item: Fields, place: Fields = { output_index: 0 }) =>
  event('output_item.added', {
    ...place,
    item: { ...item, content: [], ...('arguments' in item && { arguments: '' }) }
  })
const itemDone = (item: Fields, place: Fields = { output_index: 0 }) =>
  event('output_item.done', { ...place, item })
const completed = (...output: Fields[]) =>
  event('completed', { response: { id: 'r', object: 'response', status: 'completed', output } })

const message = (text: string, id = 'm1') => ({
  type: 'message',
  id,
  content: [{ type: 'output_text', text }]
})
const refusal = { type: 'message', id: 'm2', content: [{ type: 'refusal', refusal: 'No.' }] }
const thought = { type: 'reasoning', id: 'rs', content: [{ type: 'reasoning_text', text: 'Hm.' }] }
const summed = { type: 'reasoning', id: 'su', summary: [{ type: 'summary_text', text: 'Hm.' }] }
const call = (name: string) => ({
  type: 'function_call',
  id: `fc_${name}`,
  call_id: `call_${name}`,
  name,
  arguments: `{"${name}":1}`
})

/** The text in pieces. */
function pieces(text: string, place: Fields = {}, name = 'output_text'): string {
  const where = { item_id: 'm1', output_index: 0, content_index: 0, ...place }
  return (text.match(/.{1,2}/g) ?? []).map(delta => event(`${name}.delta`, { ...where, delta })).join('')
}

function read(body: string, from: 'content' | 'reasoning' | 'refusal' = 'content'): Promise<string> {
  return all<string>(Readable.from([body]), toChunks(), toText({ from })).then(texts => texts.join(''))
}

/** Each call, as its name, its id and its arguments. */
async function callsIn(body: string): Promise<string[]> {
  const calls = await all<ToolCall>(Readable.from([body]), toChunks(), toToolCalls())
  return calls.map(({ id, name, arguments: text }) => `${name} ${id} ${text}`)
}

/** The items of the completion, by their ids. */
async function itemsIn(body: string): Promise<unknown[]> {
  const [completion] = await all<{ output: Fields[] }>(Readable.from([body]), toChunks(), toCompletion())
  return (completion?.output ?? []).map(({ id, content, arguments: text }) => [
    id,
    text ?? (Array.isArray(content) ? content.map(part => part.text ?? part.refusal).join('') : undefined)
  ])
}

describe('the items of a response', () => {
  const hello = message('Hello')
  const place = { item_id: 'm1', output_index: 1, content_index: 1 }
  const once: Record<string, string> = {
    'vLLM counts the parts on from item to item':
      added(thought) +
      pieces('Hm.', { item_id: 'rs' }, 'reasoning_text') +
      itemDone(thought) +
      added(hello, { output_index: 1 }) +
      pieces('Hello', place) +
      event('output_text.done', { ...place, text: 'Hello' }) +
      event('content_part.done', { ...place, part: hello.content[0] }) +
      itemDone(hello, { output_index: 1 }) +
      completed(thought, hello),
    'an item stands elsewhere at the end': pieces('Hello') + completed(thought, hello),
    'an item stands elsewhere when it is done':
      pieces('Hello') + itemDone(hello, { output_index: 3 }) + completed(hello),
    'items are counted from 1':
      added(hello, { output_index: 1 }) +
      pieces('Hello', { output_index: 1 }) +
      itemDone(hello, { output_index: 1 }) +
      completed(hello),
    'parts are counted from 1': pieces('Hello', { content_index: 1 }) + completed(hello),
    'parts have the place -1': pieces('Hello', { content_index: -1 }) + itemDone(hello) + completed(hello),
    'each piece has a part of its own':
      ['He', 'll', 'o'].map((delta, content_index) => pieces(delta, { content_index })).join('') +
      itemDone(hello) +
      completed(hello),
    'all items have one place':
      added(thought) +
      pieces('Hm.', { item_id: 'rs' }, 'reasoning_text') +
      added(hello) +
      pieces('Hello') +
      itemDone(thought) +
      itemDone(hello) +
      completed(thought, hello),
    'an item is left out at the end':
      added(thought) +
      itemDone(thought) +
      added(hello, { output_index: 1 }) +
      pieces('Hello', { output_index: 1 }) +
      itemDone(hello, { output_index: 1 }) +
      completed(hello),
    'each event has another id (Copilot)':
      added(message('', 'a')) +
      pieces('Hel', { item_id: 'b' }) +
      pieces('lo', { item_id: 'c' }) +
      itemDone(message('Hello', 'd')) +
      completed(message('Hello', 'e')),
    'ids are others at the end': added(hello) + pieces('Hello') + completed(message('Hello', 'other'))
  }
  for (const [name, body] of Object.entries(once)) {
    it(`give a text once where ${name}`, async () => {
      expect(await read(body)).to.equal('Hello')
    })

    it(`give what no delta has brought once where ${name}`, async () => {
      const cut = body.replace(/event: response\.output_text\.delta\n.*"delta":"l?o"\}\n\n/, '')
      expect(cut).to.not.equal(body)
      expect(await read(cut)).to.equal('Hello')
    })

    // Where each piece has a part of its own, each may be asked about alone.
    if (name.startsWith('each piece')) continue
    it(`are asked about once where ${name}`, async () => {
      const asked: string[] = []
      await all(
        Readable.from([body]),
        toChunks(),
        moderate((text: string) => void asked.push(text))
      )
      expect(asked.filter(text => text !== 'Hm.')).to.deep.equal(['Hello'])
    })
  }

  it('give refusals and reasoning once', async () => {
    const body =
      pieces('No.', { item_id: 'm2' }, 'refusal') +
      pieces('Hm.', { item_id: 'rs', output_index: 1, content_index: 1 }, 'reasoning_text') +
      pieces('Hm.', { item_id: 'su', output_index: 2, summary_index: 4 }, 'reasoning_summary_text') +
      completed(thought, summed, refusal)
    expect(await read(body, 'refusal')).to.equal('No.')
    expect(await read(body, 'reasoning')).to.equal('Hm.Hm.')
  })

  it('lose no text where two messages have one place', async () => {
    const [one, two] = [message('One. '), message('Two.', 'm9')]
    const said = added(one) + pieces('One. ') + added(two) + pieces('Two.', { item_id: 'm9' })
    for (const last of [itemDone(one) + itemDone(two) + completed(one, two), completed()]) {
      expect(await read(said + last)).to.equal('One. Two.')
      expect(await itemsIn(said + last)).to.deep.equal([
        ['m1', 'One. '],
        ['m9', 'Two.']
      ])
    }
  })

  it('lose no text where all items have one id', async () => {
    const [one, two] = [message('One. '), message('Two.')]
    const said =
      added(one) +
      pieces('One. ') +
      added(two, { output_index: 1 }) +
      pieces('Tw', { output_index: 1 }) +
      itemDone(one) +
      itemDone(two, { output_index: 1 })
    expect(await read(said + completed(one, two))).to.equal('One. Two.')
    expect(await itemsIn(said + completed())).to.have.lengthOf(2)
  })

  it('lose no text that a tidied one stands before', async () => {
    const both = (...texts: string[]) => ({
      ...message(''),
      content: texts.map(text => ({ type: 'output_text', text }))
    })
    expect(await read(pieces('One ') + completed(both('One', 'Two')))).to.equal('One Two')
    const counted = pieces('One ', { content_index: 1 }) + pieces('Two', { content_index: 2 })
    expect(await read(counted + completed(both('One ', 'Two!')))).to.equal('One Two!')
  })

  const f = 'f call_f {"f":1}'
  const g = 'g call_g {"g":1}'
  const argued = (name: string, output_index = 0, item_id = `fc_${name}`) =>
    pieces(call(name).arguments, { item_id, output_index }, 'function_call_arguments')

  for (const [name, last] of Object.entries({
    'and are left out at the end': completed(),
    'and come again at the end': completed(call('f'), call('g')),
    'and are done': itemDone(call('f')) + itemDone(call('g')) + completed(call('f'), call('g'))
  })) {
    it(`are both calls where two have one place ${name}`, async () => {
      const behind = added(call('f')) + argued('f') + added(call('g')) + argued('g') + last
      const [first = '', ...others] = argued('f').split(/(?<=\n\n)/)
      const among = added(call('f')) + added(call('g')) + first + argued('g') + others.join('') + last
      for (const body of [behind, among]) {
        expect(await callsIn(body)).to.deep.equal([f, g])
        expect(await itemsIn(body)).to.deep.equal([
          ['fc_f', '{"f":1}'],
          ['fc_g', '{"g":1}']
        ])
      }
    })
  }

  it('give a call once where it stands elsewhere at the end', async () => {
    const shifted = added(call('f'), { output_index: 1 }) + argued('f', 1) + completed(call('f'))
    const later = added(call('f')) + argued('f') + completed(thought, call('f'))
    const changed =
      added({ ...call('f'), id: 'a' }) +
      argued('f', 0, 'b') +
      itemDone({ ...call('f'), id: 'c' }) +
      completed()
    for (const body of [shifted, later, changed]) {
      expect(await callsIn(body)).to.deep.equal([f])
      const texts = await all<string>(Readable.from([body]), toChunks(), toArguments())
      expect(texts.join('')).to.equal('{"f":1}')
    }
  })
})

describe('events whose type is in the line event: only', () => {
  it('are a whole response, with usage', async () => {
    const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 }
    const response = { id: 'r', object: 'response', status: 'completed', output: [message('Hello')], usage }
    const named = (type: string, data: Fields) => `event: response.${type}\ndata: ${JSON.stringify(data)}\n\n`
    const delta = { item_id: 'm1', output_index: 0, content_index: 0, delta: 'Hello' }
    const body = named('output_text.delta', delta) + named('completed', { response })
    expect(await read(body)).to.equal('Hello')
    const [completion] = await all<Fields>(Readable.from([body]), toChunks(), toCompletion())
    expect(completion).to.deep.include({ id: 'r', usage })
  })
})

import { Readable } from 'node:stream'
import { expect } from 'chai'
import {
  guardRepetition,
  moderate,
  type ToolCall,
  toArguments,
  toChunks,
  toCompletion,
  toText,
  toToolCalls
} from 'completion-streams'
import { all, run } from '../../answers.js'

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

/** What each reader gives of a body; the completion as its items' ids, or types, with their texts. */
async function readings(body: string) {
  const [completion] = await all<{ output: Fields[] }>(Readable.from([body]), toChunks(), toCompletion())
  const textIn = (list: unknown) =>
    Array.isArray(list) ? list.map(part => part.text ?? part.refusal).join('') : ''
  const of = (...types: unknown[]) => (completion?.output ?? []).filter(({ type }) => types.includes(type))
  return {
    text: await read(body),
    reasoning: await read(body, 'reasoning'),
    calls: await callsIn(body),
    messages: of('message').map(({ content }) => textIn(content)),
    thoughts: of('reasoning').map(({ content, summary }) => textIn(summary) + textIn(content)),
    callItems: of('function_call').map(item => `${item.name} ${item.call_id} ${item.arguments}`)
  }
}

async function askedOf(body: string, of?: 'content' | 'reasoning'): Promise<string[]> {
  const asked: string[] = []
  const note = (text: string) => void asked.push(text)
  await all(Readable.from([body]), toChunks(), of ? moderate(note, { of }) : moderate(note))
  return asked
}

describe('what a response says again', () => {
  const created = event('created', {
    response: { id: 'r', object: 'response', status: 'in_progress', output: [] }
  })
  const d = (delta: unknown, place: Fields = {}) =>
    event('output_text.delta', { item_id: 'm', output_index: 0, content_index: 0, ...place, delta })
  const textDone = (text: string, place: Fields = {}) =>
    event('output_text.done', { item_id: 'm', output_index: 0, content_index: 0, ...place, text })
  const partDone = (text: string, place: Fields = {}) =>
    event('content_part.done', {
      ...{ item_id: 'm', output_index: 0, content_index: 0, ...place },
      part: { type: 'output_text', text }
    })
  const msg = (id: string, text: string) => ({ ...message(text, id), role: 'assistant' })
  const pay = (id: string | undefined, callId: string, rest: Fields = {}) => ({
    ...(id !== undefined && { id }),
    type: 'function_call',
    call_id: callId,
    name: 'pay',
    arguments: '{"n":1}',
    ...rest
  })
  const argued = (text: string, item_id = 'a', output_index = 0) =>
    event('function_call_arguments.delta', { item_id, output_index, delta: text })
  const argumentsDone = (text: string, item_id = 'a', output_index = 0) =>
    event('function_call_arguments.done', { item_id, output_index, arguments: text })

  const paid = 'pay call_a {"n":1}'
  const paidTwice = ['pay call_a {"n":1}', 'pay call_b {"n":1}']
  const openPay = added(pay('a', 'call_a'))
  const streamed = openPay + argued('{"n"') + argued(':1}')
  const calls: Record<string, [body: string, calls: string[]]> = {
    'under other ids at the end (vLLM)': [
      itemDone(pay('a', 'call_a')) + completed(pay('b', 'call_b')),
      [paid]
    ],
    'under other ids, behind what was left out at first': [
      itemDone(pay('a', 'call_a')) + completed(thought, pay('b', 'call_b')),
      [paid]
    ],
    'two under other ids at the end': [
      itemDone(pay('a', 'call_a')) +
        itemDone(pay('b', 'call_b', { arguments: '{"n":2}' }), { output_index: 1 }) +
        completed(pay('c', 'call_c'), pay('d', 'call_d', { arguments: '{"n":2}' })),
      [paid, 'pay call_b {"n":2}']
    ],
    'two that are alike, under other ids at the end': [
      itemDone(pay('a', 'call_a')) +
        itemDone(pay('b', 'call_b'), { output_index: 1 }) +
        completed(pay('c', 'call_c'), pay('d', 'call_d')),
      paidTwice
    ],
    'under another call id at the end': [streamed + completed(pay('a', 'call_b')), [paid]],
    'under another call id when it is done': [
      streamed + itemDone(pay('a', 'call_b')) + completed(pay('a', 'call_c')),
      [paid]
    ],
    'with item_id, at the next place (vLLM, gpt-oss)': [
      streamed +
        argumentsDone('{"n":1}', 'a', 1) +
        itemDone({ ...pay(undefined, 'call_b'), item_id: 'a', output_index: 1 }, { output_index: 1 }) +
        completed(thought, pay('c', 'call_c')),
      [paid]
    ],
    'under ids and at a place that are not known': [
      streamed +
        argumentsDone('{"n":1}', 'x', 1) +
        itemDone(pay('y', 'call_b'), { output_index: 1 }) +
        completed(pay('z', 'call_c')),
      [paid]
    ],
    'two at the places behind their own (vLLM, gpt-oss)': [
      streamed +
        itemDone({ ...pay(undefined, 'call_x'), item_id: 'a' }, { output_index: 1 }) +
        added(pay('b', 'call_b'), { output_index: 1 }) +
        argued('{"n":1}', 'b', 1) +
        itemDone({ ...pay(undefined, 'call_y'), item_id: 'b' }, { output_index: 2 }) +
        completed(pay('c', 'call_c'), pay('d', 'call_d')),
      paidTwice
    ],
    'twice alone': [itemDone(pay('a', 'call_a')).repeat(2) + completed(pay('a', 'call_a')), [paid]],
    'two honest ones': [
      itemDone(pay('a', 'call_a')) +
        itemDone(pay('b', 'call_b'), { output_index: 1 }) +
        completed(pay('a', 'call_a'), pay('b', 'call_b')),
      paidTwice
    ],
    'two honest ones at one place': [
      itemDone(pay('a', 'call_a')) +
        itemDone(pay('b', 'call_b')) +
        completed(pay('a', 'call_a'), pay('b', 'call_b')),
      paidTwice
    ],
    'two honest ones, of which only the end has the second': [
      itemDone(pay('a', 'call_a')) + completed(pay('a', 'call_a'), pay('b', 'call_b')),
      paidTwice
    ],
    'two honest ones that have one item id': [
      itemDone(pay('x', 'call_a')) +
        itemDone(pay('x', 'call_b', { arguments: '{"n":2}' }), { output_index: 1 }) +
        completed(pay('x', 'call_a'), pay('x', 'call_b', { arguments: '{"n":2}' })),
      [paid, 'pay call_b {"n":2}']
    ],
    'two honest ones without ids and places': [
      event('output_item.done', { item: { type: 'function_call', name: 'f', arguments: '{}' } }) +
        event('output_item.done', { item: { type: 'function_call', name: 'g', arguments: '{}' } }) +
        completed(),
      ['f  {}', 'g  {}']
    ],
    'without its call id': [
      streamed + itemDone(pay('a', '')) + completed(pay('a', '', { name: '', arguments: '' })),
      [paid]
    ],
    'without its name and arguments': [
      streamed + itemDone(pay('a', 'call_a', { name: '', arguments: '' })) + completed(),
      [paid]
    ],
    'no more at the end (SGLang)': [
      streamed +
        argumentsDone('{"n":1}') +
        completed({ id: 'm', type: 'message', role: 'assistant', content: [{ type: 'text', text: '' }] }),
      [paid]
    ]
  }
  for (const [name, [body, expected]] of Object.entries(calls)) {
    it(`is a call that comes ${name}`, async () => {
      const found = await readings(created + body)
      expect(found.calls).to.deep.equal(expected)
      expect(found.callItems.map(call => call.replace('undefined', ''))).to.deep.equal(expected)
      if (expected.length === 1) {
        const texts = await all<string>(Readable.from([created + body]), toChunks(), toArguments())
        expect(texts.join('')).to.equal('{"n":1}')
      }
    })
  }

  const moved = d('Hel', { content_index: 1 }) + d('lo', { content_index: 2 })
  const saidAgain =
    textDone('Hello', { content_index: 3 }) +
    partDone('Hello', { content_index: 4 }) +
    itemDone(msg('m', 'Hello'))
  const reasoned = msg('m', 'Yes')
  const hmm = { id: 'rs', type: 'reasoning', content: [{ type: 'output_text', text: 'Hmm.' }] }
  const fetched = {
    id: 'f',
    type: 'mcp_tools_fetched',
    role: 'system',
    content: [{ type: 'output_text', text: 'x' }]
  }
  const summary = { id: 'rs', type: 'reasoning', summary: [] }
  const texts: Record<string, [body: string, text: string, messages?: string[], thoughts?: string[]]> = {
    'under a place of its own (vLLM)': [
      moved + textDone('Hello', { content_index: 3 }) + completed(),
      'Hello'
    ],
    'under a place of its own four times (vLLM)': [moved + saidAgain + completed(msg('m', 'Hello')), 'Hello'],
    'under a place of its own three times, and no more': [moved + saidAgain + completed(), 'Hello'],
    'with more than its pieces, under a place of its own': [
      moved + textDone('Hello!', { content_index: 3 }) + completed(),
      'Hello!'
    ],
    'in two parts that are alike': [
      [0, 1].map(content_index => textDone('Ha', { content_index })).join('') + completed(),
      'HaHa'
    ],
    'in two parts, each in pieces': [
      d('Ha') +
        d('Ha', { content_index: 1 }) +
        [0, 1].map(content_index => textDone('Ha', { content_index })).join('') +
        completed(),
      'HaHa'
    ],
    'with reasoning as output_text (LiteLLM)': [
      d('Yes') + completed(reasoned, hmm),
      'Yes',
      ['Yes'],
      ['Hmm.']
    ],
    'with reasoning that is done as output_text (LiteLLM)': [
      d('Yes') + itemDone(hmm, { output_index: 1 }) + completed(reasoned, hmm),
      'Yes',
      ['Yes'],
      ['Hmm.']
    ],
    'with an item of the gateway (LiteLLM)': [d('Yes') + completed(fetched, reasoned), 'Yes', ['Yes']],
    'under the id of its pieces, elsewhere (LiteLLM)': [
      added(msg('b', '')) + d('Yes', { item_id: 'a' }) + completed(summary, msg('a', 'Yes')),
      'Yes'
    ],
    'under another id, elsewhere': [d('Yes') + completed(summary, msg('x', 'Yes')), 'Yes'],
    'under another id, elsewhere, and is done there': [
      d('Yes') + itemDone(msg('x', 'Yes!'), { output_index: 4 }) + completed(summary, msg('y', 'Yes!')),
      'Yes!'
    ],
    'without an id, elsewhere': [
      added(summary) + d('Yes', { output_index: 1 }) + completed({ ...msg('', 'Yes'), id: undefined }),
      'Yes'
    ],
    'in an item that is called otherwise when it is done': [
      added({ ...msg('m', ''), type: 'output_message' }) +
        d('Yes') +
        itemDone(msg('m', 'Yes')) +
        completed(msg('m', 'Yes')),
      'Yes'
    ],
    'behind an item of the gateway, under another id (LiteLLM)': [
      d('Yes') + completed(fetched, msg('x', 'Yes')),
      'Yes'
    ],
    'poorer than its pieces (vLLM)': [
      d('Hello') + d(' world') + d('!') + completed(msg('m', '!')),
      'Hello world!'
    ],
    'poorer than its pieces, each of which has a place of its own': [
      d('Hello', { content_index: 1 }) + d('!', { content_index: 2 }) + completed(msg('m', '!')),
      'Hello!'
    ],
    'before its last pieces': [
      d('cod') + textDone('cod') + itemDone(msg('m', 'cod')) + d('ex') + d('-') + d('ok') + completed(),
      'codex-ok'
    ],
    'before its last pieces, and again': [
      d('cod') + textDone('cod') + itemDone(msg('m', 'cod')) + d('ex-ok') + completed(msg('m', 'cod')),
      'codex-ok'
    ],
    'twice in messages without ids and places': [
      ['One. ', 'Two.']
        .map(text => event('output_item.done', { item: { ...msg('', text), id: undefined } }))
        .join('') + completed(),
      'One. Two.',
      ['One. ', 'Two.']
    ],
    'as a part where a delta belongs (better-ccflare)': [
      d('Hello ') + d({ type: 'output_text', text: 'world' }) + completed(),
      'Hello world'
    ],
    'as a list of parts where a delta belongs': [
      d(['Hello ', { type: 'output_text', text: 'world' }]) + completed(),
      'Hello world'
    ],
    'as a text where parts belong': [
      completed({ id: 'm', type: 'message', role: 'assistant', content: 'Hello' }),
      'Hello'
    ],
    'as a text where parts belong, behind its pieces': [
      d('Hel') + completed({ id: 'm', type: 'message', role: 'assistant', content: 'Hello' }),
      'Hello'
    ]
  }
  for (const [name, [body, text, messages = [text], thoughts = []]] of Object.entries(texts)) {
    it(`is a text that comes ${name}`, async () => {
      const found = await readings(created + body)
      expect(found.text).to.equal(text)
      expect(found.messages).to.deep.equal(messages)
      expect(found.thoughts.filter(thought => thought !== '')).to.deep.equal(thoughts)
      expect(found.reasoning).to.equal(thoughts.join(''))
    })
  }

  it('is a text that was tidied in a completion, and is there once', async () => {
    for (const places of [
      [0, 0],
      [1, 2]
    ]) {
      const said = ['he', 'llo'].map((delta, at) => d(delta, { content_index: places[at] })).join('')
      const found = await readings(created + said + completed(msg('m', 'Hello')))
      expect(found).to.deep.include({ text: 'hello', messages: ['Hello'] })
    }
  })

  it('is reasoning that comes under a place of its own (vLLM)', async () => {
    const where = { item_id: 'rs', output_index: 0 }
    const body =
      added({ id: 'rs', type: 'reasoning', summary: [] }) +
      event('reasoning_text.delta', { ...where, content_index: 1, delta: 'H' }) +
      event('reasoning_text.delta', { ...where, content_index: 2, delta: 'm.' }) +
      event('reasoning_text.done', { ...where, content_index: 3, text: 'Hm.' }) +
      itemDone({ ...thought, id: 'rs' }) +
      completed()
    const found = await readings(body)
    expect([found.reasoning, found.thoughts]).to.deep.equal(['Hm.', ['Hm.']])
  })

  it('is reasoning whose pieces have no id and no place, while two items are open', async () => {
    const body =
      event('output_item.added', { item: { id: 'rs', type: 'reasoning', summary: [] } }) +
      event('output_item.added', { item: msg('m', '') }) +
      event('reasoning_text.delta', { delta: 'th' }) +
      event('output_text.delta', { delta: 'Hi' }) +
      completed({ ...thought, content: [{ type: 'reasoning_text', text: 'th' }] }, msg('m', 'Hi'))
    const found = await readings(body)
    expect(found).to.deep.include({ text: 'Hi', reasoning: 'th', messages: ['Hi'], thoughts: ['th'] })
  })

  it('is reasoning or nothing in a whole body (LiteLLM)', async () => {
    const body = JSON.stringify({
      id: 'r',
      object: 'response',
      status: 'completed',
      output: [fetched, hmm, reasoned]
    })
    const found = await readings(body)
    expect(found).to.deep.include({ text: 'Yes', reasoning: 'Hmm.', messages: ['Yes'], thoughts: ['Hmm.'] })
    expect(await askedOf(body)).to.deep.equal(['Hmm.', 'Yes'])
  })

  it('is asked about once, and watched as one text, under places of its own (vLLM)', async () => {
    expect(await askedOf(moved + saidAgain + completed(msg('m', 'Hello')))).to.deep.equal(['Hello'])
    const loop = Array.from({ length: 2000 }, (_, content_index) => d('ab', { content_index })).join('')
    const { error } = await run(Readable.from([loop + completed()]), toChunks(), guardRepetition())
    expect(error).to.have.property('code', 'CS_ERR_REPETITION')
  })

  it('is asked about as what it is (LiteLLM)', async () => {
    const body = d('Yes') + completed(fetched, hmm, reasoned)
    expect(await askedOf(body, 'content')).to.deep.equal(['Yes'])
    expect(await askedOf(body, 'reasoning')).to.deep.equal(['Hmm.'])
  })

  it('is arguments that come parsed', async () => {
    const body = openPay + argued({ n: 1 } as unknown as string) + itemDone(pay('a', 'call_a')) + completed()
    const found = await readings(body)
    expect([found.calls, found.callItems]).to.deep.equal([[paid], [paid]])
    const texts = await all<string>(Readable.from([body]), toChunks(), toArguments())
    expect(texts.join('')).to.equal('{"n":1}')
  })

  const unreadable = { image: 'x' }
  const badText = d('Hi') + d(unreadable) + completed()
  const badCall = openPay + argued('{"n"') + argued(unreadable as unknown as string) + completed()
  for (const [name, body, stage] of [
    ['toText', badText, () => toText()],
    ['toCompletion', badText, () => toCompletion()],
    ['moderate', badText, () => moderate(() => true)],
    ['toToolCalls', badCall, () => toToolCalls()],
    ['toArguments', badCall, () => toArguments()],
    ['toCompletion, of a call,', badCall, () => toCompletion()],
    ['moderate, of a call,', badCall, () => moderate(() => true)]
  ] as const) {
    it(`fails ${name} with CS_ERR_INVALID_CHUNK where a delta is filled and cannot be read`, async () => {
      const { error } = await run(Readable.from([body]), toChunks(), stage())
      expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  }
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

  it('are whole where their data is the bare response', async () => {
    const response = (status: string, ...output: Fields[]) => ({
      id: 'r',
      object: 'response',
      status,
      output
    })
    const named = (type: string, data: Fields) => `event: response.${type}\ndata: ${JSON.stringify(data)}\n\n`
    const delta = { item_id: 'm1', output_index: 0, content_index: 0, delta: 'Hi' }
    const [begun, said] = [named('created', response('in_progress')), named('output_text.delta', delta)]
    const body = begun + said + named('completed', response('completed', message('Hi')))
    expect(await readings(body)).to.deep.include({ text: 'Hi', messages: ['Hi'] })
    const { error } = await run(Readable.from([begun + said]), toChunks(), toText())
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    const failed = { ...response('failed'), error: { code: 'server_error', message: 'no' } }
    const broken = await run(Readable.from([begun + said + named('failed', failed)]), toChunks(), toText())
    expect(broken.items).to.deep.equal(['Hi'])
    expect(broken.error).to.have.property('code', 'CS_ERR_PROVIDER')
  })
})

import { expect } from 'chai'
import type { TextKind } from '#lib/chunk/fields.js'
import { markOpening } from '#lib/chunk/progress.js'
import { ResponseText } from '#lib/chunk/responses/response-text.js'
import { markResumed } from '#lib/chunk/responses/resumed.js'

function read(events: readonly object[], kind: TextKind = 'content'): string {
  const reader = new ResponseText(kind)
  return events.map(event => reader.read(event, String(Reflect.get(event, 'type')))).join('')
}

const place = { output_index: 1, item_id: 'm1', content_index: 0 }
const part = { type: 'output_text', text: 'Hello there', annotations: [] }
const message = { id: 'm1', type: 'message', content: [part, { type: 'refusal', refusal: 'No.' }] }
const thinking = {
  id: 'r1',
  type: 'reasoning',
  summary: [{ type: 'summary_text', text: 'Sum' }],
  content: [{ type: 'reasoning_text', text: 'Think' }]
}
const deltas = [
  { type: 'response.output_text.delta', ...place, delta: 'Hello ' },
  { type: 'response.output_text.delta', ...place, delta: 'there' }
]
const done = [
  { type: 'response.output_text.done', ...place, text: 'Hello there' },
  { type: 'response.content_part.done', ...place, part },
  { type: 'response.output_item.done', output_index: 1, item: message }
]
const completed = { type: 'response.completed', response: { id: 'r', output: [thinking, message] } }

describe('ResponseText', () => {
  it('gives the text of the deltas once, though it is said again four times', () => {
    expect(read([...deltas, ...done, completed])).to.equal('Hello there')
  })

  for (const event of [...done, completed]) {
    it(`gives the text that ${event.type} alone brings`, () => {
      expect(read([event])).to.equal('Hello there')
      const rest = event === completed ? [completed] : [...done, completed]
      expect(read([event, ...rest])).to.equal('Hello there')
    })

    it(`gives what ${event.type} holds beyond the deltas`, () => {
      expect(read([...deltas.slice(0, 1), event, completed])).to.equal('Hello there')
    })
  }

  it('gives refusals and reasoning that come whole', () => {
    const events = [
      { type: 'response.output_item.done', output_index: 0, item: thinking },
      { type: 'response.output_item.done', output_index: 1, item: message },
      completed
    ]
    expect(read(events, 'refusal')).to.equal('No.')
    expect(read(events, 'reasoning')).to.equal('SumThink')
    expect(read([completed], 'reasoning')).to.equal('SumThink')
  })

  it('gives every part of every item', () => {
    const item = { id: 'm', type: 'message', content: [part, { ...part, text: ', again' }] }
    expect(read([{ type: 'response.completed', response: { output: [item, item] } }])).to.equal(
      'Hello there, againHello there, again'
    )
  })

  it('knows an item by its id where its events have no place (gateways)', () => {
    const events = [
      { type: 'response.output_text.delta', item_id: 'm1', content_index: 0, delta: 'Hello' },
      completed
    ]
    expect(read(events)).to.equal('Hello there')
  })

  it('knows an item by its place where each event has another id (Copilot)', () => {
    const events = [
      {
        type: 'response.output_text.delta',
        output_index: 0,
        item_id: 'x1',
        content_index: 0,
        delta: 'Hello there'
      },
      {
        type: 'response.output_text.done',
        output_index: 0,
        item_id: 'x2',
        content_index: 0,
        text: 'Hello there'
      },
      { type: 'response.completed', response: { output: [{ ...message, id: 'x3' }] } }
    ]
    expect(read(events)).to.equal('Hello there')
  })

  it('takes no more of a text that was tidied when it was done', () => {
    const events = [...deltas, { type: 'response.output_text.done', ...place, text: 'HELLO THERE!' }]
    expect(read(events)).to.equal('Hello there')
  })

  it('gives the parts of a message once whose events all have one place', () => {
    const parts = ['Hello', 'World'].map(text => ({ type: 'output_text', text }))
    const events = parts.map(({ text }) => ({ type: 'response.output_text.delta', ...place, delta: text }))
    const item = { id: 'm1', type: 'message', content: parts }
    const end = { type: 'response.completed', response: { id: 'r', output: [thinking, item] } }
    expect(read([...events, end])).to.equal('HelloWorld')
    expect(read([...events.slice(0, 1), end])).to.equal('HelloWorld')
  })

  it('gives the text that a response has in which it says that it has failed', () => {
    const failed = { type: 'response.failed', response: { id: 'r', output: [thinking, message] } }
    expect(read([...deltas.slice(0, 1), failed])).to.equal('Hello there')
  })

  it('gives the output of a terminal that has the fields of the response itself (Perplexity)', () => {
    const own = { type: 'response.completed', id: 'r', output: [thinking, message] }
    expect(read([own])).to.equal('Hello there')
    expect(read([...deltas, own])).to.equal('Hello there')
    expect(read([own], 'reasoning')).to.equal('SumThink')
  })

  it('reads response.text as response.output_text, and a delta that is called text', () => {
    const named = deltas.map(({ delta, ...event }) => ({ ...event, text: delta }))
    for (const pieces of [named, deltas.map(event => ({ ...event, type: 'response.text.delta' }))]) {
      expect(read(pieces)).to.equal('Hello there')
      expect(read([...pieces, ...done, completed])).to.equal('Hello there')
    }
    const whole = { ...done[0], type: 'response.text.done' }
    expect(read([whole])).to.equal('Hello there')
    expect(read([...deltas.slice(0, 1), whole, ...done, completed])).to.equal('Hello there')
  })

  it('gives output_text where nothing of the answer came in any other way', () => {
    const end = (output: object[]) => ({
      type: 'response.completed',
      response: { output, output_text: 'Hello there' }
    })
    expect(read([end([])])).to.equal('Hello there')
    expect(read([end([thinking]), end([thinking])])).to.equal('Hello there')
    expect(read([end([thinking])], 'reasoning')).to.equal('SumThink')
    for (const events of [deltas, done, deltas.slice(0, 1)])
      expect(read([...events, end([])])).to.equal(read(events))
    expect(read([end([message])])).to.equal('Hello there')
  })

  describe('with a text that its item has when it is added', () => {
    const added = { type: 'response.output_item.added', output_index: 1, item: message }
    const partAdded = { type: 'response.content_part.added', ...place, part }
    const bare = { type: 'response.completed', response: { output: [] } }
    for (const [name, events] of Object.entries({
      'in the item': [added],
      'in the part': [partAdded],
      'in both': [added, partAdded]
    })) {
      it(`gives it at the end where it came in no other way: ${name}`, () => {
        expect(read([...events, bare])).to.equal('Hello there')
        expect(read([...events, bare, bare])).to.equal('Hello there')
        const { content, ...empty } = message
        const itemDone = { type: 'response.output_item.done', output_index: 1, item: empty }
        expect(read([...events, itemDone, bare])).to.equal('Hello there')
      })

      it(`gives it once where it comes again: ${name}`, () => {
        expect(read([...events, ...deltas, ...done, completed])).to.equal('Hello there')
        expect(read([...events, ...deltas, bare])).to.equal('Hello there')
        expect(read([...events, completed])).to.equal('Hello there')
        const renamed = { ...message, id: 'x' }
        const end = { type: 'response.completed', response: { output: [renamed] } }
        expect(read([...events, end])).to.equal('Hello there')
      })
    }

    it('gives it to a reader that comes back before the end', () => {
      const reader = new ResponseText('content')
      reader.read(added, added.type)
      const texts = {
        content: reader,
        refusal: new ResponseText('refusal'),
        reasoning: new ResponseText('reasoning')
      }
      const marked = { ...bare }
      markResumed(marked, { texts, items: { all: [], isOver: false }, lanes: new Set() })
      expect(read([marked])).to.equal('Hello there')
    })
  })

  it('begins anew with a terminal that opens another completion, and not with one that comes twice', () => {
    const other = { type: 'response.completed', response: { id: 's', output: [thinking, message] } }
    expect(read([completed, { ...completed }])).to.equal('Hello there')
    markOpening(other)
    expect(read([completed, other])).to.equal('Hello thereHello there')
  })

  it('begins anew with each response', () => {
    const event = { type: 'response.output_text.delta', ...place, delta: 'Hello there' }
    expect(read([event, completed, { type: 'response.created', response: {} }, event, completed])).to.equal(
      'Hello thereHello there'
    )
  })

  describe('behind events that its reader has, of which nothing is known', () => {
    const resumed = (...events: object[]) => {
      const [first = {}, ...others] = events
      const marked = { ...first }
      markResumed(marked, 'unknown')
      return read([marked, ...others])
    }
    const added = { type: 'response.content_part.added', ...place, part: { ...part, text: '' } }
    const opened = { type: 'response.output_item.added', output_index: 1, item: { ...message, content: [] } }

    for (const [index, { type }] of [...done, completed].entries()) {
      it(`gives nothing that ${type} says again`, () => {
        expect(resumed(...[...done, completed].slice(index))).to.equal('')
      })
    }

    it('gives the deltas, and nothing that the text holds beyond them', () => {
      expect(resumed(...deltas.slice(1), ...done, completed)).to.equal('there')
      const laugh = { ...deltas[0], delta: 'ha' }
      const text = 'hahahaha'
      expect(resumed(laugh, laugh, { ...done[0], text })).to.equal('haha')
    })

    for (const event of [added, opened]) {
      it(`gives all of a part behind ${event.type}`, () => {
        expect(resumed(event, ...done, completed)).to.equal('Hello there')
        expect(resumed(event, ...deltas.slice(0, 1), ...done, completed)).to.equal('Hello there')
        expect(resumed(event, completed)).to.equal('Hello there')
      })
    }

    it('gives all of the next response', () => {
      const created = { type: 'response.created', response: {} }
      expect(resumed(completed, created, completed)).to.equal('Hello there')
    })

    it('goes on with what it has read itself', () => {
      const [, second] = deltas
      const marked = { ...second }
      markResumed(marked, 'unknown')
      expect(read([...deltas.slice(0, 1), marked, ...done, completed])).to.equal('Hello there')
      const again = { ...done[0] }
      markResumed(again, 'unknown')
      expect(read([...deltas.slice(0, 1), again, ...done, completed])).to.equal('Hello there')
    })
  })

  it('takes events apart whose fields are of other types', () => {
    expect(
      read([
        {
          type: 'response.completed',
          response: { output: [null, 1, { content: [null, { type: 'output_text' }] }] }
        }
      ])
    ).to.equal('')
    expect(read([{ type: 'response.output_item.done' }, { type: 'response.completed' }])).to.equal('')
  })
})

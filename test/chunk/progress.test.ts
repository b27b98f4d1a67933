import { inspect } from 'node:util'
import { expect } from 'chai'
import { markOpening, Progress } from '#lib/chunk/progress.js'

function chunk(content: string, finish_reason: string | null = null, more: object = {}): object {
  return { id: 'a', choices: [{ index: 0, delta: { content }, finish_reason }], ...more }
}

function choice(index: number, finish_reason?: string): object {
  return { id: 'a', choices: [{ index, delta: {}, finish_reason }] }
}

/** What `add` says of each chunk. */
function openings(...chunks: object[]): boolean[] {
  const progress = new Progress()
  return chunks.map(item => progress.add(item))
}

function completeAfter(...chunks: object[]): boolean {
  const progress = new Progress()
  for (const item of chunks) progress.add(item)
  return progress.complete
}

const usage = { id: 'a', choices: [], usage: { total_tokens: 3 } }

describe('Progress', () => {
  describe('complete', () => {
    it('is false while there is nothing', () => {
      expect(new Progress().complete).to.equal(false)
    })

    for (const [name, chunks, complete] of [
      ['an unfinished choice', [chunk('a')], false],
      ['a finish reason', [chunk('a'), chunk('', 'stop')], true],
      ['a finish reason of another word', [chunk('a', 'eos')], true],
      ['a finish reason that is ""', [chunk('a', '')], false],
      ['a finish reason that comes twice', [chunk('', 'stop'), chunk('', 'stop')], true],
      ['a finish reason, then an empty delta without one', [chunk('a', 'stop'), chunk('')], true],
      ['a finish reason, then usage', [chunk('a', 'stop'), usage], true],
      ['usage alone', [usage], false],
      ['one of three choices unfinished', [choice(0, 'stop'), choice(1), choice(2, 'stop')], false],
      [
        'three choices finished out of order',
        [choice(0), choice(1), choice(2), choice(2, 'stop'), choice(0, 'stop'), choice(1, 'length')],
        true
      ],
      [
        'choices without an index',
        [{ choices: [{ delta: {} }] }, { choices: [{ finish_reason: 'stop' }] }],
        true
      ],
      [
        'a chunk that holds finished and unfinished choices',
        [{ choices: [{ index: 0, finish_reason: 'stop' }, { index: 1 }] }],
        false
      ],
      ['a choice that is null', [{ choices: [null] }], false],
      ['response.completed', [{ type: 'response.created' }, { type: 'response.completed' }], true],
      ['response.incomplete', [{ type: 'response.incomplete' }], true],
      ['response.output_text.done', [{ type: 'response.output_text.done' }], false],
      ['an index that is far out', [{ choices: [{ index: 4_294_967_295, finish_reason: 'stop' }] }], true]
    ] as const) {
      it(`is ${complete} after ${name}`, () => {
        expect(completeAfter(...chunks)).to.equal(complete)
      })
    }

    it('is true after an end mark, finish reason or not (Snowflake)', () => {
      const progress = new Progress()
      progress.add(chunk('a'))
      progress.end()
      expect(progress.complete).to.equal(true)
    })

    it('is false again when the next completion has begun', () => {
      const progress = new Progress()
      progress.add(chunk('a', 'stop'))
      progress.end()
      progress.add(chunk('b', null, { id: 'b' }))
      expect(progress.complete).to.equal(false)
      expect(progress.ended).to.equal(false)
    })
  })

  describe('add', () => {
    it('tells of no opening within a completion', () => {
      expect(openings(chunk('a'), chunk('b'), chunk('', 'stop'), usage)).to.deep.equal([
        false,
        false,
        false,
        false
      ])
    })

    it('tells of the first chunk after an end mark', () => {
      const progress = new Progress()
      progress.add(chunk('a'))
      progress.end()
      expect([progress.add(chunk('b')), progress.add(chunk('c'))]).to.deep.equal([true, false])
    })

    it('counts usage behind the end mark to the completion before it', () => {
      const progress = new Progress()
      progress.add(chunk('a'))
      progress.end()
      expect(progress.add(usage)).to.equal(false)
      expect(progress.complete).to.equal(true)
      expect(progress.add(chunk('b'))).to.equal(true)
    })

    for (const item of [{}, { type: 'ping' }, { id: 'a', usage: { total_tokens: 3 } }]) {
      it(`tells of none for ${inspect(item)} behind an end mark, and stays complete`, () => {
        const progress = new Progress()
        progress.add(chunk('a'))
        progress.end()
        expect(progress.add(item)).to.equal(false)
        expect(progress.complete).to.equal(true)
      })
    }

    for (const item of [
      { type: 'response.created' },
      { choices: [], id: '', prompt_filter_results: [] },
      { choices: [{ delta: {} }] }
    ]) {
      it(`tells of ${inspect(item)} behind an end mark`, () => {
        const progress = new Progress()
        progress.add(chunk('a'))
        progress.end()
        expect(progress.add(item)).to.equal(true)
        expect(progress.complete).to.equal(false)
      })
    }

    it('tells of a marked chunk, and the mark does not show', () => {
      const second = chunk('b')
      const plain = structuredClone(second)
      markOpening(second)
      expect(openings(chunk('a'), second)).to.deep.equal([false, true])
      expect(second).to.deep.equal(plain)
      expect(Object.keys(second)).to.deep.equal(['id', 'choices'])
      expect(inspect(second)).to.equal(inspect(plain))
    })

    it('tells of response.created, unless it is the first', () => {
      const [created, completed] = [{ type: 'response.created' }, { type: 'response.completed' }]
      expect(openings(created, completed, created)).to.deep.equal([false, false, true])
    })

    it('tells of a choice that goes on under another id when all had finished (Perplexity)', () => {
      const next = chunk('b', null, { id: 'b' })
      expect(openings(chunk('a', 'stop'), next, next)).to.deep.equal([false, true, false])
    })

    it('knows the id of the completion behind a usage chunk without one', () => {
      const next = chunk('b', null, { id: 'b' })
      expect(openings(chunk('a', 'stop'), { ...usage, id: '' }, next)).to.deep.equal([false, false, true])
    })

    for (const [name, next] of Object.entries({
      'a tool call': { choices: [{ delta: { tool_calls: [{ index: 0 }] } }] },
      reasoning: { choices: [{ delta: { reasoning_content: 'w' } }] },
      'text of a legacy completion': { choices: [{ text: 't' }] },
      'the role alone': { choices: [{ delta: { role: 'assistant' } }] }
    })) {
      it(`tells of another completion that begins with ${name}`, () => {
        expect(openings(chunk('a', 'stop'), { id: 'b', ...next })).to.deep.equal([false, true])
      })
    }

    for (const [name, next] of Object.entries({
      'another id while a choice is unfinished (groq/compound)': [chunk('a'), chunk('b', null, { id: 'b' })],
      'another id with an empty delta': [chunk('a', 'stop'), chunk('', null, { id: 'b' })],
      'another id with empty tool calls': [
        chunk('a', 'stop'),
        { id: 'b', choices: [{ delta: { tool_calls: [], content: null } }] }
      ],
      'another id with a null delta': [chunk('a', 'stop'), { id: 'b', choices: [{ delta: null }, null] }],
      'another id with a finish reason': [chunk('a', 'stop'), chunk('a', 'stop', { id: 'b' })],
      'another id without choices': [chunk('a', 'stop'), { ...usage, id: 'b' }],
      'the same id': [chunk('a', 'stop'), chunk('b')],
      'no id': [chunk('a', 'stop'), { choices: [{ delta: { content: 'b' } }] }],
      'an empty id (Azure)': [chunk('a', 'stop'), chunk('b', null, { id: '' })]
    })) {
      it(`tells of none for ${name}`, () => {
        expect(openings(...next)).to.deep.equal([false, false])
      })
    }
  })

  describe('leftIncomplete', () => {
    it('tells of a completion that another one begins behind', () => {
      const progress = new Progress()
      for (const item of [choice(0, 'stop'), choice(1)]) progress.add(item)
      progress.end()
      expect([progress.complete, progress.leftIncomplete]).to.deep.equal([false, false])
      progress.add(chunk('b', null, { id: 'b' }))
      expect(progress.leftIncomplete).to.equal(true)
    })

    it('tells nothing of one that was complete', () => {
      const progress = new Progress()
      progress.add(chunk('a'))
      progress.end()
      progress.add(chunk('b', null, { id: 'b' }))
      expect(progress.leftIncomplete).to.equal(false)
    })
  })

  describe('expected', () => {
    it('has a choice that is still to come belong to the completion at hand, whatever its id', () => {
      const progress = new Progress()
      progress.expected = 2
      const second = { id: 'b', choices: [{ index: 1, delta: { content: 'b' } }] }
      expect([chunk('a', 'stop'), second].map(item => progress.add(item))).to.deep.equal([false, false])
      const done = { id: 'c', choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] }
      expect(progress.add(done)).to.equal(false)
      expect(progress.complete).to.equal(true)
      expect(progress.add(chunk('next', null, { id: 'd' }))).to.equal(true)
    })

    it('is how many choices a completion must have', () => {
      const progress = new Progress()
      progress.expected = 2
      progress.add(choice(0, 'stop'))
      expect([progress.choices, progress.complete]).to.deep.equal([1, false])
      progress.end()
      expect(progress.complete).to.equal(false)
      progress.add({ id: 'b', choices: [{ index: 1, delta: { role: 'assistant' }, finish_reason: 'stop' }] })
      expect(progress.choices).to.equal(1)
    })
  })

  describe('a Responses stream', () => {
    const created = (id: string) => ({ type: 'response.created', response: { id } })
    it('opens with response.created of another id, not with that of the same (llama.cpp)', () => {
      expect(openings(created('a'), created('a'), created('b'))).to.deep.equal([false, false, true])
    })

    for (const [status, complete] of [
      ['completed', true],
      ['incomplete', true],
      [undefined, true],
      ['cancelled', false],
      ['in_progress', false]
    ] as const) {
      it(`is ${complete ? '' : 'not '}complete after response.done of the status ${status}`, () => {
        expect(completeAfter(created('a'), { type: 'response.done', response: { status } })).to.equal(
          complete
        )
      })
    }

    for (const type of ['response.cancelled', 'response.completed', 'response.done'])
      it(`is not complete behind ${type} of a response that was cancelled, whatever end marks come`, () => {
        const progress = new Progress()
        progress.add(created('a'))
        progress.add({ type, response: { status: 'cancelled' } })
        progress.end()
        expect(progress).to.include({ complete: false, brokenStatus: 'cancelled' })
        expect(progress.add(created('a'))).to.equal(true)
        expect(progress).to.include({ leftIncomplete: true, brokenStatus: undefined })
      })
  })
})

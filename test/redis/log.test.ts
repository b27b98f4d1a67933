import { expect } from 'chai'
import { CompletionError } from 'completion-streams'
import fc from 'fast-check'
import {
  Batch,
  endingFields,
  type LogItem,
  lastId,
  pieceOf,
  placeOf,
  readEntry,
  streamsOf
} from '#lib/redis/log.js'
import { isBehind } from '#lib/redis/tail.js'

/** What a client makes of the fields that were written. */
function fieldsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1] ?? '']] : [])))
}

function readBack(items: readonly LogItem[]): readonly LogItem[] {
  const batch = new Batch()
  for (const item of items) batch.add(pieceOf(item))
  const entry = readEntry({ id: `1-${batch.count + 5}`, fields: fieldsOf(batch.field) })
  if (entry.kind !== 'items') throw new Error('no items')
  expect(entry.start).to.equal(5)
  return entry.items
}

describe('an entry of a log', () => {
  it('holds any texts', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), texts => {
        expect(readBack(texts)).to.deep.equal(texts)
      })
    )
  })

  it('holds any objects of JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1 }), objects => {
        expect(JSON.stringify(readBack(objects))).to.equal(JSON.stringify(objects))
      })
    )
  })

  it('holds any bytes, as one piece', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1 }), { minLength: 1 }), pieces => {
        expect(Buffer.concat(readBack(pieces) as Uint8Array[]).equals(Buffer.concat(pieces))).to.equal(true)
      })
    )
  })

  it('holds what an item was when it was taken, in bytes', () => {
    const numbers = new Uint16Array([1, 2, 65_535])
    const piece = pieceOf(numbers)
    numbers.fill(0)
    expect(piece).to.deep.include({ kind: 'bytes', count: 6, size: 6 })
    expect([...(piece.kept as Buffer)]).to.deep.equal([1, 0, 2, 0, 255, 255])
    expect(pieceOf('語')).to.deep.include({ kind: 'texts', count: 1, size: 3 })
    expect(pieceOf({ a: '語' })).to.deep.include({ kind: 'objects', count: 1 })
  })

  for (const item of [1, null, undefined, { toJSON: () => null }, new Date(0), () => {}]) {
    it(`takes no ${typeof item} that is no item: ${String(item)}`, () => {
      expect(() => pieceOf(item)).to.throw(/takes|publish/)
    })
  }

  it('keeps an error as what it was', () => {
    const failure = new CompletionError('CS_ERR_PROVIDER', 'slow down', { status: 429, retryAfter: 7000 })
    const entry = readEntry({
      id: lastId,
      fields: fieldsOf(endingFields('failed', { last: 3, of: 'texts' }, failure))
    })
    expect(entry).to.deep.include({ kind: 'ending', ending: 'failed', last: 3, of: 'texts' })
    if (entry.kind === 'ending')
      expect((entry.error as CompletionError).toJSON()).to.deep.equal(failure.toJSON())
  })

  for (const error of ['', '{"name":', 'null', '5', '[]', '{}', '{"name":"E","message":5}']) {
    it(`ends the answer with an error, though nothing is to be read in it: ${error}`, () => {
      const entry = readEntry({ id: lastId, fields: { end: 'failed', error } })
      expect(entry).to.include({ kind: 'ending', ending: 'failed' })
      if (entry.kind === 'ending') expect(entry.error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  }

  const foreign: Record<string, string>[] = [{}, { texts: '["a' }, { what: 'else' }]
  for (const fields of foreign) {
    it(`that is not ours is an error: ${JSON.stringify(fields)}`, () => {
      expect(() => readEntry({ id: '1-1', fields }))
        .to.throw(CompletionError)
        .with.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  }
})

describe('the replies of clients', () => {
  const entries = [['1-1', ['texts', '["a"]']]]
  for (const [what, reply] of Object.entries({
    'a list of pairs': [['key', entries]],
    'a flat list': ['key', entries],
    'a map': new Map([['key', entries]]),
    'an object': { key: entries },
    buffers: [[Buffer.from('key'), [[Buffer.from('1-1'), [Buffer.from('texts'), Buffer.from('["a"]')]]]]]
  })) {
    it(`are read as ${what}`, () => {
      expect(streamsOf(reply)).to.deep.equal([['key', [{ id: '1-1', fields: { texts: '["a"]' } }]]])
    })
  }

  it('may be empty', () => expect(streamsOf(null)).to.deep.equal([]))
})

describe('an id', () => {
  it('is less than another by its numbers, of any size', () => {
    const ids = ['0-0', '1-0', '1-9', '1-10', '2-0', '10-0', lastId]
    for (const [place, id] of ids.entries()) {
      for (const [other, next] of ids.entries()) expect(isBehind(id, next)).to.equal(place < other)
    }
  })

  it('that comes from outside is checked', () => {
    expect(placeOf('1-17')).to.deep.equal({ epoch: 1, sequence: 17 })
    expect(placeOf(lastId)).to.equal('end')
    for (const id of [
      '',
      '1',
      '1-',
      '-1',
      'x',
      '1-1-1',
      '01-1',
      '1-01',
      '1-00',
      '1-9999999999999999999',
      '1-1\n'
    ])
      expect(() => placeOf(id))
        .to.throw(CompletionError)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

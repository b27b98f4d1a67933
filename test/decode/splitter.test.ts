import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import type { Stage } from 'completion-streams'
import { type RecordParser, splitter } from '#lib/decode/splitter.js'
import { inPiecesOf, outcomeOf } from '../pieces.js'

interface Word {
  word: string
}

/** Makes a record of each word that a space ends, and of each number that it takes. */
function wordsTo(emit: (record: Word) => void, failsAt?: string, fed: string[] = []): RecordParser {
  let rest = ''
  return {
    isBetweenEvents: false,
    scan() {},
    feed(text) {
      fed.push(text)
      const words = (rest + text).split(' ')
      rest = words.pop() ?? ''
      for (const word of words) {
        if (word === failsAt) throw new Error(`no ${word}`)
        emit({ word })
      }
    },
    take(item) {
      if (typeof item !== 'number') throw new TypeError('not a number')
      emit({ word: String(item) })
    },
    end() {
      if (rest === failsAt) throw new Error(`no ${rest} at the end`)
      if (rest !== '') emit({ word: rest })
    }
  }
}

/** A stage of such a parser; `fed` is given what the parser was fed. */
function wordStage({ failsAt, fed }: { failsAt?: string; fed?: string[] } = {}): Stage<Uint8Array, Word> {
  return splitter(Number.POSITIVE_INFINITY, emit => wordsTo(emit, failsAt, fed))
}

const words = (...list: string[]): Word[] => list.map(word => ({ word }))

describe('splitter', () => {
  it('emits the records of each piece, and those of the end', async () => {
    const { items, error } = await outcomeOf(['a b', 'c d ', 'e'].map(Buffer.from), wordStage())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal(words('a', 'bc', 'd', 'e'))
  })

  it('feeds UTF-8 that is cut anywhere as whole characters', async () => {
    const fed: string[] = []
    await outcomeOf(inPiecesOf(Buffer.from('é€😀'), 1), wordStage({ fed }))
    expect(fed.join('')).to.equal('é€😀')
    expect(fed.join('')).to.not.include('\uFFFD')
  })

  it('feeds UTF-8 that is cut off at the end as U+FFFD', async () => {
    const { items } = await outcomeOf([Buffer.from('a b'), Buffer.from([0xe2, 0x82])], wordStage())
    expect(items).to.deep.equal(words('a', 'b\uFFFD'))
  })

  it('feeds strings as they are, a cut surrogate pair too', async () => {
    const { items } = await outcomeOf(['a\uD83D', '\uDE00 '], wordStage())
    expect(items).to.deep.equal(words('a😀'))
  })

  it('hands what is neither bytes nor a string to the parser as it is, in its place', async () => {
    const { items } = await outcomeOf(['a ', 1, Buffer.from('b '), 2], wordStage())
    expect(items).to.deep.equal(words('a', '1', 'b', '2'))
  })

  it('emits the records that came before the parser threw, then fails with what it threw', async () => {
    for (const pieces of [['a b no c '], ['a ', 'b no c', ' '], [...'a b no c ']]) {
      const { items, error } = await outcomeOf(pieces, wordStage({ failsAt: 'no' }))
      expect(items).to.deep.equal(words('a', 'b'))
      expect(error).to.be.an('error').with.property('message', 'no no')
    }
  })

  it('emits the records that came before the parser threw at the end', async () => {
    const { items, error } = await outcomeOf(['a b no'], wordStage({ failsAt: 'no' }))
    expect(items).to.deep.equal(words('a', 'b'))
    expect(error).to.have.property('message', 'no no at the end')
  })

  it('emits the records that came before an item that the parser refused', async () => {
    const { items, error } = await outcomeOf(['a ', 1, {}, 'b '], wordStage())
    expect(items).to.deep.equal(words('a', '1'))
    expect(error).to.be.instanceOf(TypeError)
  })

  it('asks the parser for nothing more once it has thrown', async () => {
    const fed: string[] = []
    await outcomeOf(['no ', 'b ', 'c '], wordStage({ failsAt: 'no', fed }))
    expect(fed).to.deep.equal(['no '])
  })

  it('lets a reader that is slow take all records before it fails', async () => {
    const taken: string[] = []
    const source = Readable.from([`${'a '.repeat(200)}no `])
    const failure = await pipeline(source, wordStage({ failsAt: 'no' }), async records => {
      for await (const { word } of records) {
        await new Promise(resolve => setImmediate(resolve))
        taken.push(word)
      }
    }).catch(error => error)
    expect(failure).to.have.property('message', 'no no')
    expect(taken).to.have.length(200)
  })

  it('stops taking bytes when nobody reads', async () => {
    let sent = 0
    function* endless() {
      for (;;) {
        sent++
        yield Buffer.from('a b c d ')
      }
    }
    const source = Readable.from(endless())
    const stage = source.pipe(wordStage())
    for (let turn = 0; turn < 100; turn++) await new Promise(resolve => setImmediate(resolve))
    expect(sent).to.be.within(1, 100)
    source.destroy()
    stage.destroy()
  })

  it('ends without records for an empty input', async () => {
    expect(await outcomeOf([], wordStage())).to.deep.equal({ items: [] })
    expect(await outcomeOf([Buffer.alloc(0), ''], wordStage())).to.deep.equal({ items: [] })
  })

  it('is a Transform of node that emits objects', () => {
    const stage = wordStage()
    expect(stage).to.be.instanceOf(Transform)
    expect(stage.readableObjectMode).to.equal(true)
  })
})

import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { type RecordParser, splitter } from '#lib/decode/splitter.js'
import { inPiecesOf, outcomeOf } from '../pieces.js'

interface Word {
  word: string
}

/** Makes a record of each word that a space ends, and of each number that it takes. */
function wordParser({ failsAt }: { failsAt?: string } = {}): RecordParser<Word> & { fed: string[] } {
  let rest = ''
  return {
    records: [],
    fed: [],
    feed(text) {
      this.fed.push(text)
      const words = (rest + text).split(' ')
      rest = words.pop() ?? ''
      for (const word of words) {
        if (word === failsAt) throw new Error(`no ${word}`)
        this.records.push({ word })
      }
    },
    take(item) {
      if (typeof item !== 'number') throw new TypeError('not a number')
      this.records.push({ word: String(item) })
    },
    end() {
      if (rest === failsAt) throw new Error(`no ${rest} at the end`)
      if (rest !== '') this.records.push({ word: rest })
    }
  }
}

const words = (...list: string[]): Word[] => list.map(word => ({ word }))

describe('splitter', () => {
  it('emits the records of each piece, and those of the end', async () => {
    const { items, error } = await outcomeOf(['a b', 'c d ', 'e'].map(Buffer.from), splitter(wordParser()))
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal(words('a', 'bc', 'd', 'e'))
  })

  it('feeds UTF-8 that is cut anywhere as whole characters', async () => {
    const parser = wordParser()
    await outcomeOf(inPiecesOf(Buffer.from('é€😀'), 1), splitter(parser))
    expect(parser.fed.join('')).to.equal('é€😀')
    expect(parser.fed.join('')).to.not.include('\uFFFD')
  })

  it('feeds UTF-8 that is cut off at the end as U+FFFD', async () => {
    const { items } = await outcomeOf([Buffer.from('a b'), Buffer.from([0xe2, 0x82])], splitter(wordParser()))
    expect(items).to.deep.equal(words('a', 'b\uFFFD'))
  })

  it('feeds strings as they are, a cut surrogate pair too', async () => {
    const { items } = await outcomeOf(['a\uD83D', '\uDE00 '], splitter(wordParser()))
    expect(items).to.deep.equal(words('a😀'))
  })

  it('hands what is neither bytes nor a string to the parser as it is, in its place', async () => {
    const { items } = await outcomeOf(['a ', 1, Buffer.from('b '), 2], splitter(wordParser()))
    expect(items).to.deep.equal(words('a', '1', 'b', '2'))
  })

  it('emits the records that came before the parser threw, then fails with what it threw', async () => {
    for (const pieces of [['a b no c '], ['a ', 'b no c', ' '], [...'a b no c ']]) {
      const { items, error } = await outcomeOf(pieces, splitter(wordParser({ failsAt: 'no' })))
      expect(items).to.deep.equal(words('a', 'b'))
      expect(error).to.be.an('error').with.property('message', 'no no')
    }
  })

  it('emits the records that came before the parser threw at the end', async () => {
    const { items, error } = await outcomeOf(['a b no'], splitter(wordParser({ failsAt: 'no' })))
    expect(items).to.deep.equal(words('a', 'b'))
    expect(error).to.have.property('message', 'no no at the end')
  })

  it('emits the records that came before an item that the parser refused', async () => {
    const { items, error } = await outcomeOf(['a ', 1, {}, 'b '], splitter(wordParser()))
    expect(items).to.deep.equal(words('a', '1'))
    expect(error).to.be.instanceOf(TypeError)
  })

  it('asks the parser for nothing more once it has thrown', async () => {
    const parser = wordParser({ failsAt: 'no' })
    await outcomeOf(['no ', 'b ', 'c '], splitter(parser))
    expect(parser.fed).to.deep.equal(['no '])
  })

  it('lets a reader that is slow take all records before it fails', async () => {
    const taken: string[] = []
    const source = Readable.from([`${'a '.repeat(200)}no `])
    const failure = await pipeline(source, splitter(wordParser({ failsAt: 'no' })), async records => {
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
    const stage = source.pipe(splitter<Uint8Array, Word>(wordParser()))
    for (let turn = 0; turn < 100; turn++) await new Promise(resolve => setImmediate(resolve))
    expect(sent).to.be.within(1, 100)
    source.destroy()
    stage.destroy()
  })

  it('ends without records for an empty input', async () => {
    expect(await outcomeOf([], splitter(wordParser()))).to.deep.equal({ items: [] })
    expect(await outcomeOf([Buffer.alloc(0), ''], splitter(wordParser()))).to.deep.equal({ items: [] })
  })

  it('is a Transform of node that emits objects', () => {
    const stage = splitter(wordParser())
    expect(stage).to.be.instanceOf(Transform)
    expect(stage.readableObjectMode).to.equal(true)
  })
})

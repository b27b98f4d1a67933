import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import type { Stage } from 'completion-streams'
import { type RecordParser, splitter } from '#lib/decode/splitter.js'
import { cutAt, inPiecesOf, outcomeOf } from '../pieces.js'

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
  return splitter('a stage', Number.POSITIVE_INFINITY, emit => wordsTo(emit, failsAt, fed))
}

/** A stage that also makes a record of the data of each event that it has scanned. */
function scanStage(fed: string[] = [], failsAt?: string): Stage<Uint8Array, Word> {
  return splitter('a stage', Number.POSITIVE_INFINITY, emit => {
    const parser = wordsTo(emit, undefined, fed)
    return {
      ...parser,
      get isBetweenEvents() {
        return fed.length === 0 || fed.at(-1)?.endsWith('\n\n') === true
      },
      scan(scanner) {
        while (scanner.find()) {
          const word = scanner.data()
          scanner.take()
          if (word === failsAt) throw new Error(`no ${word}`)
          emit({ word })
        }
      }
    }
  })
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
        yield Buffer.from('a b c d \n')
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

  describe('with events that stand whole in the bytes', () => {
    const event = (name: string) => `data: {"a":"${name}"}\n\n`
    const data = (...names: string[]) => words(...names.map(name => `{"a":"${name}"}`))

    it('has them scanned, and feeds what is between them', async () => {
      const fed: string[] = []
      const bytes = Buffer.from(`${event('é')}1 \n\n2 \n\n${event('b')}3 é`)
      const { items } = await outcomeOf([bytes], scanStage(fed))
      expect(items).to.deep.equal([
        ...data('é'),
        ...words('1', '\n\n2'),
        ...data('b'),
        ...words('\n\n3', 'é')
      ])
      expect(fed).to.deep.equal(['1 \n\n', '2 \n\n', '3 é'])
    })

    it('has one scanned that comes in reads, the last of which brings its blank line', async () => {
      const bytes = Buffer.from(event('é'))
      const places = Array.from(bytes.subarray(2), (_, place) => [place])
      for (const cuts of [...places, places.flat()]) {
        const fed: string[] = []
        const { items } = await outcomeOf(cutAt(bytes, cuts), scanStage(fed))
        expect(items, `cut at ${cuts}`).to.deep.equal(data('é'))
        expect(fed, `cut at ${cuts}`).to.deep.equal([])
      }
    })

    it('feeds the beginning of one when a string, an item or the end comes', async () => {
      const beginning = Buffer.from(event('é').slice(0, -3))
      for (const [rest, wanted] of [
        [[' b '], words('data:', '{"a":"é"', 'b')],
        [[1], words('data:', '1', '{"a":"é"')],
        [[], words('data:', '{"a":"é"')]
      ] as const) {
        const { items } = await outcomeOf([beginning, ...rest], scanStage())
        expect(items).to.deep.equal(wanted)
      }
    })

    it('emits the records that came before the scan threw, and asks for nothing more', async () => {
      const fed: string[] = []
      const bytes = Buffer.from(`${event('a')}${event('b')}${event('c')}: d\n\n`)
      for (const pieces of [[bytes], inPiecesOf(bytes, 30)]) {
        const { items, error } = await outcomeOf(pieces, scanStage(fed, '{"a":"b"}'))
        expect(items).to.deep.equal(data('a'))
        expect(error).to.be.an('error').with.property('message', 'no {"a":"b"}')
        expect(fed).to.deep.equal([])
      }
    })
  })

  it('is a Transform of node that emits objects', () => {
    const stage = wordStage()
    expect(stage).to.be.instanceOf(Transform)
    expect(stage.readableObjectMode).to.equal(true)
  })
})

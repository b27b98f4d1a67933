import { expect } from 'chai'
import fc from 'fast-check'
import { JsonBody } from '#lib/decode/json-body.js'
import { CompletionError } from '#lib/errors.js'
import { cutAt, inPiecesOf, places } from '../pieces.js'

interface Read {
  values: unknown[]
  invalid: string[]
  residue?: string
  code?: string
}

function read(pieces: Iterable<string>, maxSize = Infinity): Read {
  const result: Read = { values: [], invalid: [] }
  const body = new JsonBody(maxSize, {
    onValue: value => result.values.push(value),
    onInvalid(text, cause) {
      expect(cause).to.be.instanceOf(SyntaxError)
      result.invalid.push(text)
    },
    onResidue(residue) {
      result.residue = residue
    }
  })
  try {
    for (const piece of pieces) body.feed(piece)
    body.end()
  } catch (error) {
    if (!(error instanceof CompletionError)) throw error
    result.code = error.code
  }
  return result
}

describe('JsonBody', () => {
  it('gives the value of each line as soon as the line has ended', () => {
    const values: unknown[] = []
    const body = new JsonBody(Infinity, {
      onValue: value => values.push(value),
      onInvalid() {},
      onResidue() {}
    })
    body.feed('{"a":1}\n{"a"')
    expect(values).to.deep.equal([{ a: 1 }])
    body.feed(':2}\r\n\n{"a":3}')
    expect(values).to.deep.equal([{ a: 1 }, { a: 2 }])
    body.end()
    expect(values).to.deep.equal([{ a: 1 }, { a: 2 }, { a: 3 }])
  })

  it('gives the text of a value beside it', () => {
    const texts: string[] = []
    const body = new JsonBody(Infinity, {
      onValue: (_, text) => texts.push(text),
      onInvalid() {},
      onResidue() {}
    })
    body.feed('{"a": 1}\n[2]')
    body.end()
    expect(texts).to.deep.equal(['{"a": 1}', '[2]'])
  })

  it('gives one value that is spread over many lines', () => {
    const value = { error: { message: 'no\nsuch model', code: [1, 2] } }
    expect(read([JSON.stringify(value, null, 2), '\n'])).to.deep.equal({ values: [value], invalid: [] })
  })

  it('tells of a line that is no JSON, and goes on with the next', () => {
    expect(read(['{"a":1}\n{"a":}\n{"a":2}'])).to.deep.equal({
      values: [{ a: 1 }, { a: 2 }],
      invalid: ['{"a":}']
    })
  })

  it('tells of a first line that is no JSON, and goes on with the next', () => {
    expect(read(['{"a":}\n', '{"b":1}\n'])).to.deep.equal({ values: [{ b: 1 }], invalid: ['{"a":}'] })
  })

  it('tells of a text of many lines that is no JSON when it ends', () => {
    expect(read(['{\n"a":}\n', '{"b":1}\n'])).to.deep.equal({ values: [], invalid: ['{\n"a":}\n{"b":1}\n'] })
  })

  it('tells of what follows a whole value on its line', () => {
    expect(read(['{"a":1} trailing'])).to.deep.equal({ values: [], invalid: ['{"a":1} trailing'] })
  })

  for (const residue of ['{', '{"a":"}', '{"a":"\\"}', '[{"a":1},', '{"a":1,\n "b"']) {
    it(`gives ${JSON.stringify(residue)} as residue when the body breaks off in it`, () => {
      expect(read([residue])).to.deep.equal({ values: [], invalid: [], residue })
    })
  }

  it('gives the residue of the last line only', () => {
    expect(read(['{"a":1}\n{"a":'])).to.deep.equal({ values: [{ a: 1 }], invalid: [], residue: '{"a":' })
  })

  const sizes: [name: string, text: string, size: number][] = [
    ['a line', '{"a":"é"}\n', 10],
    ['a line without its end', '{"a":"é"}', 10],
    ['a value over many lines', '{\n"a":\n1}', 9]
  ]
  for (const [name, text, size] of sizes) {
    for (const length of [1, 3, text.length]) {
      it(`accepts ${name} of exactly the largest size in pieces of ${length}`, () => {
        expect(read(inPiecesOf(text, length), size))
          .to.have.property('values')
          .with.length(1)
      })

      it(`fails with CS_ERR_EVENT_TOO_LARGE for ${name} of one byte more in pieces of ${length}`, () => {
        expect(read(inPiecesOf(text, length), size - 1)).to.include({ code: 'CS_ERR_EVENT_TOO_LARGE' })
      })
    }
  }

  it('reads the same however the body is cut', () => {
    const part = fc.constantFrom(
      '{"a":1}',
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      '\n',
      '\r\n',
      'é',
      '😀',
      '1',
      ',',
      ' '
    )
    const body = fc.array(part, { maxLength: 20 }).map(parts => parts.join(''))
    const limit = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 30 }))
    fc.assert(
      fc.property(body, places, limit, (text, cuts, maxSize) => {
        expect(read(cutAt(text, cuts), maxSize)).to.deep.equal(read([text], maxSize))
      }),
      { numRuns: 2000 }
    )
  })

  for (const [text, isTaken] of [
    ['{"a":1}', true],
    ['{"a":1} \r\n', false],
    ['{\n"a":\n1}', true],
    ['{\n"a":1\n}\n', true]
  ] as [string, boolean][]) {
    it(`takes what is whole and wanted before its end, if its line has not ended: ${JSON.stringify(text)}`, () => {
      const values: unknown[] = []
      const body = new JsonBody(Infinity, {
        onValue: value => values.push(value),
        onInvalid: () => expect.fail('invalid'),
        onResidue: () => expect.fail('cut')
      })
      const taken: boolean[] = []
      for (const piece of inPiecesOf(text, 3)) {
        body.feed(piece)
        taken.push(body.takeWhole(() => true))
      }
      expect(taken.filter(Boolean)).to.have.lengthOf(isTaken ? 1 : 0)
      expect(values).to.deep.equal([{ a: 1 }])
      body.feed('\n{"b":2}\n')
      body.end()
      expect(values).to.deep.equal([{ a: 1 }, { b: 2 }])
    })

    it(`keeps what is not wanted: ${JSON.stringify(text)}`, () => {
      const values: unknown[] = []
      const body = new JsonBody(Infinity, {
        onValue: value => values.push(value),
        onInvalid: () => expect.fail('invalid'),
        onResidue: () => expect.fail('cut')
      })
      for (const piece of inPiecesOf(text, 3)) {
        body.feed(piece)
        body.takeWhole(() => false)
      }
      body.end()
      expect(values).to.deep.equal([{ a: 1 }])
    })
  }
})

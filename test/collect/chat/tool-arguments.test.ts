import { expect } from 'chai'
import fc from 'fast-check'
import { ToolArguments } from '#lib/collect/chat/tool-arguments.js'

function settled(pieces: readonly string[]): { text: string; parsed?: unknown } {
  const args = new ToolArguments()
  for (const piece of pieces) args.add(piece)
  return args.settle()
}

const object = fc.dictionary(fc.string(), fc.jsonValue()).map(value => JSON.stringify(value))

function cut(text: string, size: number): string[] {
  return text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
}

describe('ToolArguments', () => {
  it('joins the pieces', () => {
    fc.assert(
      fc.property(object, fc.integer({ min: 1, max: 9 }), (text, size) => {
        expect(settled(cut(text, size))).to.deep.equal({ text, parsed: JSON.parse(text) })
      })
    )
  })

  it('takes the last of arguments that are sent again, whole or in pieces', () => {
    fc.assert(
      fc.property(object, object, fc.integer({ min: 1, max: 9 }), (one, other, size) => {
        expect(settled([one, ...cut(other, size)]).text).to.equal(other)
        expect(settled([...cut(one, size), other]).text).to.equal(other)
      })
    )
  })

  it('takes the last of arguments that are sent as far as they have come', () => {
    fc.assert(
      fc.property(object, fc.integer({ min: 1, max: 9 }), (text, size) => {
        const pieces = cut(text, size).map((_, place) => text.slice(0, (place + 1) * size))
        expect(settled(pieces).text).to.equal(text)
      })
    )
  })

  it('takes arguments that come whole behind a part of them', () => {
    expect(settled(['{"a', '":', '{"a":1}']).text).to.equal('{"a":1}')
  })

  for (const pieces of [
    ['{"a":', '{"x":1}'],
    ['{"a":1}', '{"b":'],
    ['no', ' JSON'],
    ['{"a":{"b":1}'],
    [']', '{}']
  ]) {
    it(`finds no JSON in ${pieces.join('')}, of which a part may be missing`, () => {
      expect(settled(pieces)).to.deep.equal({ text: pieces.join('') })
    })
  }

  it('gives the same whether it is asked at every piece or at the end only', () => {
    const part = fc.oneof(
      fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', '"a":', '1', 'x', ' ', '\u00a0', '{}', '{"a":"}"}'),
      object
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), pieces => {
        const args = new ToolArguments()
        for (const [place, piece] of pieces.entries()) {
          args.add(piece)
          const found = args.settle()
          expect(found).to.deep.equal(settled(pieces.slice(0, place + 1)))
          expect(args.whole()).to.deep.equal('parsed' in found ? found : undefined)
        }
      }),
      { numRuns: 500 }
    )
  })

  it('takes time that is linear in the pieces', () => {
    const { text } = settled(Array.from({ length: 300_000 }, () => '{'))
    expect(text).to.have.lengthOf(300_000)
  })
})

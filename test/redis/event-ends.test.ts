import { expect } from 'chai'
import fc from 'fast-check'
import { eventEnds } from '#lib/redis/event-ends.js'

const piecesOf = (text: string) =>
  [...eventEnds(Buffer.from(text))].map(({ begin, end, isEvent }) => [text.slice(begin, end), isEvent])

describe('eventEnds', () => {
  for (const [text, pieces] of [
    [
      'data: a\n\ndata: b\n\nda',
      [
        ['data: a\n\n', true],
        ['data: b\n\n', true],
        ['da', false]
      ]
    ],
    [
      'a\r\n\r\nb\r\r',
      [
        ['a\r\n\r', true],
        ['\nb\r\r', true]
      ]
    ],
    [
      'a\n\rb',
      [
        ['a\n\r', true],
        ['b', false]
      ]
    ],
    [
      '{"a":1}\n{"b":2}\r\n{"c"',
      [
        ['{"a":1}\n', true],
        ['{"b":2}\r\n', true],
        ['{"c"', false]
      ]
    ],
    ['data: {}\ndata: {}\n', [['data: {}\ndata: {}\n', true]]],
    ['a\nb\r\nc', [['a\nb\r\nc', false]]],
    ['', []]
  ] as const) {
    it(`cuts ${JSON.stringify(text)} where an event ends`, () => {
      expect(piecesOf(text)).to.deep.equal(pieces)
    })
  }

  it('loses nothing, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        const pieces = [...eventEnds(bytes)]
        expect(
          Buffer.concat(pieces.map(({ begin, end }) => bytes.subarray(begin, end))).equals(Buffer.from(bytes))
        ).to.equal(true)
        expect(pieces.every(({ begin, end }) => end > begin)).to.equal(true)
      })
    )
  })
})

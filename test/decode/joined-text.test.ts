import { expect } from 'chai'
import { JoinedText } from '#lib/decode/joined-text.js'

describe('JoinedText', () => {
  for (const separator of ['\n', '']) {
    for (const count of [0, 1, 2, 1023, 1024, 1025, 5000]) {
      it(`gives ${count} parts with ${JSON.stringify(separator)} between them, once`, () => {
        const parts = Array.from({ length: count }, (_, n) => `${n % 7 ? n : ''}`)
        const joined = new JoinedText(separator)
        for (const part of parts) joined.add(part)
        expect(joined.count).to.equal(count)
        expect(joined.take()).to.equal(parts.join(separator))
        expect([joined.count, joined.take()]).to.deep.equal([0, ''])
      })
    }

    for (const [name, odd] of [
      ['ASCII', 'a'],
      ['Latin-1', 'é'],
      ['no Latin-1', '𝄞'],
      ['half of a surrogate pair', '\ud834']
    ] as const) {
      it(`gives large parts with ${JSON.stringify(separator)} between them: ${name}`, () => {
        for (const place of [0, 59]) {
          const parts = Array.from(
            { length: 60 },
            (_, n) => `${n}`.repeat(170_000) + (n === place ? odd : '')
          )
          const joined = new JoinedText(separator)
          for (const part of [...parts, '', 'b', '']) joined.add(part)
          expect(joined.take() === [...parts, '', 'b', ''].join(separator)).to.equal(true)
        }
      })
    }
  }
})

import { expect } from 'chai'
import { JoinedLines } from '#lib/decode/joined-lines.js'

describe('JoinedLines', () => {
  for (const count of [0, 1, 2, 1023, 1024, 1025, 5000]) {
    it(`gives ${count} lines with LF between them, once`, () => {
      const lines = Array.from({ length: count }, (_, n) => `${n % 7 ? n : ''}`)
      const joined = new JoinedLines()
      for (const line of lines) joined.add(line)
      expect(joined.count).to.equal(count)
      expect(joined.take()).to.equal(lines.join('\n'))
      expect([joined.count, joined.take()]).to.deep.equal([0, ''])
    })
  }
})

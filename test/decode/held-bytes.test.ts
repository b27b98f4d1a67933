import { expect } from 'chai'
import { HeldBytes } from '#lib/decode/held-bytes.js'

describe('HeldBytes', () => {
  it('gives what was added, in a copy, over and over', () => {
    const held = new HeldBytes()
    for (const sizes of [[1], [3, 5, 2], [5000, 1, 70_000], [2, 2]]) {
      const parts = sizes.map((size, at) => Buffer.alloc(size, at + 1))
      for (const part of parts) held.add(part)
      const wanted = Buffer.concat(parts)
      for (const part of parts) part.fill(0)
      expect(held.length).to.equal(wanted.length)
      expect(held.take().equals(wanted)).to.equal(true)
      expect(held.length).to.equal(0)
    }
  })

  it('takes again the end of what it has given', () => {
    const held = new HeldBytes()
    held.add(Buffer.from('abcdef'))
    held.add(held.take().subarray(2))
    held.add(Buffer.from('gh'))
    expect(held.take().toString()).to.equal('cdefgh')
  })
})

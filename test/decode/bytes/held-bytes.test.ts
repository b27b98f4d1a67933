import { expect } from 'chai'
import { HeldBytes } from '#lib/decode/bytes/held-bytes.js'

describe('HeldBytes', () => {
  it('gives what was added, in a copy, over and over', () => {
    const held = new HeldBytes()
    for (const sizes of [[1], [3, 5, 2], [5000, 1, 70_000], [2, 2]]) {
      const parts = sizes.map((size, at) => Buffer.alloc(size, at + 1))
      for (const part of parts) held.add(part, 0, part.length)
      const wanted = Buffer.concat(parts)
      for (const part of parts) part.fill(0)
      expect(held.length).to.equal(wanted.length)
      expect(held.room.subarray(0, held.length).equals(wanted)).to.equal(true)
      held.clear()
      expect(held.length).to.equal(0)
    }
  })

  it('takes again the end of what it has held', () => {
    const held = new HeldBytes()
    held.add(Buffer.from('abcdef'), 0, 6)
    const { room } = held
    held.clear()
    held.add(room, 2, 6)
    held.add(Buffer.from('fghi'), 1, 3)
    expect(held.room.subarray(0, held.length).toString()).to.equal('cdefgh')
  })

  it('keeps no large room when it is empty', () => {
    const held = new HeldBytes()
    held.add(Buffer.alloc(100_000), 0, 100_000)
    held.clear()
    expect(held.room.length).to.be.below(5000)
  })
})

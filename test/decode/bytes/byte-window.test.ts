import { expect } from 'chai'
import fc from 'fast-check'
import { ByteWindow, Piece } from '#lib/decode/bytes/byte-window.js'

function windowOf(buffer: Buffer, length = buffer.length): ByteWindow {
  const bytes = new ByteWindow()
  bytes.load(buffer, length)
  return bytes
}

/** Letters that may stand in a piece. */
const letters = fc.string({ unit: fc.constantFrom(...' ~\r\na"{0'), maxLength: 40 })

describe('ByteWindow', () => {
  it('ends where it is said to end, whatever the buffer holds behind', () => {
    const bytes = windowOf(Buffer.from('abcabc'), 3)
    expect([0, 2, 3, 5, -1].map(place => bytes.byteAt(place))).to.deep.equal([97, 99, NaN, NaN, NaN])
    expect([bytes.indexOf(0x63, 0), bytes.indexOf(0x63, 3), bytes.indexOf(0x7a, 0)]).to.deep.equal([
      2, -1, -1
    ])
    expect([bytes.holds(new Piece('bc'), 1), bytes.holds(new Piece('ca'), 2)]).to.deep.equal([true, false])
  })

  for (const letter of ['a', 'é', '漢']) {
    it(`decodes a text of more than a megabyte that ends in ${letter}`, () => {
      const text = `${'a'.repeat(1_100_000)}${letter}`
      const buffer = Buffer.from(`x${text}x`)
      expect(windowOf(buffer).read(1, buffer.length - 1)).to.equal(text)
    })
  }

  it('is read beside others, which do not change it', () => {
    const texts = ['a', 'b', 'c'].map(letter => letter.repeat(30))
    const windows = texts.map(text => windowOf(Buffer.from(text)))
    for (const unloaded of [undefined, 0, 1]) {
      if (unloaded !== undefined) windows[unloaded]?.load(Buffer.from(texts[unloaded] as string), 30)
      for (const [at, text] of texts.entries()) {
        expect(windows[at]?.read(0, 30)).to.equal(text)
        expect(windows[at]?.holds(new Piece(text), 0)).to.equal(true)
      }
    }
    for (const bytes of windows) bytes.unload()
  })

  it('reads each buffer in its own memory, small or large, and none when it has let go', () => {
    const bytes = new ByteWindow()
    const piece = new Piece('0123456789')
    for (const size of [20, 100_000, 20, 70_000]) {
      for (const memory of [new ArrayBuffer(size), new SharedArrayBuffer(size)]) {
        const buffer = Buffer.from(memory, 7)
        buffer.write('x0123456789')
        bytes.load(buffer, buffer.length)
        expect([bytes.holds(piece, 1), bytes.holds(piece, 0)]).to.deep.equal([true, false])
        expect(bytes.read(1, 4)).to.equal('012')
        bytes.unload()
        expect([bytes.holds(piece, 1), bytes.byteAt(1)]).to.deep.equal([false, NaN])
      }
    }
  })
})

describe('Piece', () => {
  it('is found where its text stands, and nowhere else', () => {
    fc.assert(
      fc.property(
        letters,
        fc.uint8Array({ maxLength: 20 }),
        fc.uint8Array({ maxLength: 20 }),
        (text, before, behind) => {
          const buffer = Buffer.concat([before, Buffer.from(text), behind])
          const bytes = windowOf(buffer)
          const piece = new Piece(text)
          for (let at = 0; at <= buffer.length; at++) {
            const stands = buffer.subarray(at, at + text.length).equals(Buffer.from(text))
            expect(bytes.holds(piece, at)).to.equal(stands)
          }
        }
      )
    )
  })

  it('is not found where a single bit differs', () => {
    for (const text of [
      'data: {',
      'event: a',
      '{"id":"chatcmpl"',
      'of some other length, ~ and all\r\n\r\n'
    ]) {
      const piece = new Piece(text)
      for (let bit = 0; bit < 8 * text.length; bit++) {
        const buffer = Buffer.from(text)
        expect(windowOf(buffer).holds(piece, 0)).to.equal(true)
        buffer[bit >> 3] = (buffer[bit >> 3] as number) ^ (1 << (bit & 7))
        expect(windowOf(buffer).holds(piece, 0), `${text}, bit ${bit}`).to.equal(false)
      }
    }
  })
})

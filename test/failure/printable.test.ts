import { expect } from 'chai'
import fc from 'fast-check'
import { beginningOf, printable } from '#lib/failure/printable.js'

describe('printable', () => {
  it('puts a space for what ends a line, moves the cursor or turns the direction', () => {
    expect(printable('a\r\nb\u001b[2Jc\u0085d\u2028e\u202ef\u2066g\u0000')).to.equal('a  b [2Jc d e f g ')
  })

  it('shows no key', () => {
    expect(printable(`no: sk-${'a1'.repeat(10)}`)).to.equal('no: [key]')
  })

  it('keeps text as it is', () => {
    const text = 'Grüße, 你好, 👍🏽 – “ok”'
    expect(printable(text)).to.equal(text)
  })

  it('leaves no control character of any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(printable(text)).to.not.match(/\p{Cc}/u)
      })
    )
  })
})

describe('beginningOf', () => {
  it('gives 200 characters', () => {
    expect(beginningOf(`\n${'x'.repeat(300)}`)).to.equal(` ${'x'.repeat(199)}`)
  })

  it('shows no half of a key', () => {
    expect(beginningOf(`${'x'.repeat(190)} sk-${'a1'.repeat(10)}`)).to.equal(`${'x'.repeat(190)} [key]`)
  })
})

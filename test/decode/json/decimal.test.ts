import { expect } from 'chai'
import fc from 'fast-check'
import { decimal, headDigits } from '#lib/decode/json/decimal.js'

/** What `decimal` makes of a number as it is written. */
function decimalOf(text: string): number | undefined {
  const [whole = '', fraction = ''] = text.split('.')
  const digits = whole + fraction
  const tail = digits.slice(headDigits)
  return decimal(Number(digits.slice(0, headDigits)), Number(tail), digits.length, fraction.length)
}

/** Writes an integer with so many decimals. */
function withPoint(integer: bigint, decimals: number): string {
  if (decimals === 0) return String(integer)
  const digits = String(integer).padStart(decimals + 1, '0')
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

const runs = { numRuns: 20_000 }

describe('decimal', () => {
  it('gives what JSON.parse gives, or nothing', () => {
    const written = fc
      .tuple(fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }), fc.nat(17), fc.nat(17))
      .map(([integer, drop, decimals]) => withPoint(integer / 10n ** BigInt(drop), decimals))
    fc.assert(
      fc.property(written, text => {
        const number = decimalOf(text)
        if (number !== undefined) expect(number, text).to.equal(JSON.parse(text))
      }),
      runs
    )
  })

  it('gives what JSON.parse gives for what JSON.stringify writes of a double', () => {
    let given = 0
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e17, noNaN: true }), double => {
        const text = JSON.stringify(double)
        if (text.replace('.', '').length > 18) return
        const number = decimalOf(text)
        if (number === undefined) return
        given++
        expect(number).to.equal(double)
      }),
      runs
    )
    expect(given).to.be.above(runs.numRuns * 0.5)
  })

  it('rounds to the nearer of two doubles just beside the middle between them, and leaves the middle to others', () => {
    // Above 2^53 doubles are 2 apart, above 2^54 they are 4 apart, and so on: so the middles are integers.
    const middle = fc
      .tuple(fc.integer({ min: 0, max: 5 }), fc.bigInt({ min: 0n, max: 2n ** 40n }))
      .map(([power, odd]) => (2n ** 53n + odd * 2n + 1n) * 2n ** BigInt(power))
      .filter(integer => String(integer).length <= 17)
    fc.assert(
      fc.property(middle, integer => {
        expect(decimalOf(String(integer))).to.be.oneOf([undefined, Number(integer)])
        for (const beside of [integer * 10n - 1n, integer * 10n + 1n]) {
          const text = withPoint(beside, 1)
          expect(decimalOf(text), text).to.be.oneOf([undefined, Number(text)])
        }
      }),
      runs
    )
  })

  it('is exact where a product and a quotient by themselves are not', () => {
    for (const text of [
      '97.63454821675139',
      '10.242296367118498',
      '259.2016588906169',
      '0.30000000000000004'
    ])
      expect(decimalOf(text)).to.equal(Number(text))
  })

  it('leaves more than 18 digits to others', () => {
    expect(decimalOf('1234567890123456789')).to.equal(undefined)
    expect(decimalOf('123456789012345678')).to.equal(Number('123456789012345678'))
  })
})

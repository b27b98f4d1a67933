import { expect } from 'chai'
import * as library from 'completion-streams'
import { readBody, recordings } from './bodies.js'
import { Choice, cases } from './choice.js'

/** What a body that ends early may fail with: what was on its way may have been an error. */
const codes = ['CS_ERR_TRUNCATED', 'CS_ERR_PROVIDER']

describe('a body that is cut at every byte', () => {
  it('gives the beginning of the text, and says that it is cut unless all was there', async () => {
    let count = 0
    for (const [name, body] of await recordings()) {
      const whole = await readBody(library, [body])
      const choice = new Choice(`cuts ${name}`)
      const step = cases(1, 29)
      let longest = 0
      for (let at = choice.below(step); at < body.length; at += step) {
        const read = await readBody(library, [body.subarray(0, at)])
        const place = `${name}, cut at ${at}`
        expect(whole.text.startsWith(read.text), place).to.equal(true)
        // A longer beginning never gives less text.
        expect(read.text.length, place).to.be.at.least(longest)
        longest = read.text.length
        if (read.code === undefined) expect(read.text, place).to.equal(whole.text)
        else expect(codes, place).to.include(read.code)
        count++
      }
    }
    console.log(`      ${count} cuts`)
  })

  it('gives the same where only the reads are cut there', async () => {
    let count = 0
    for (const [name, body] of await recordings()) {
      const whole = await readBody(library, [body])
      const choice = new Choice(`reads ${name}`)
      const step = cases(3, 61)
      for (let at = choice.below(step); at < body.length; at += step) {
        expect(
          await readBody(library, [body.subarray(0, at), body.subarray(at)]),
          `${name}, ${at}`
        ).to.deep.equal(whole)
        count++
      }
    }
    console.log(`      ${count} cuts`)
  })
})

import { expect } from 'chai'
import { checkDensity } from '#lib/decode/json/density.js'

const limit = 2 ** 26

describe('checkDensity', () => {
  for (const [name, text] of Object.entries({
    'a million choices': JSON.stringify({
      choices: Array.from({ length: 1_000_000 }, (_, index) => ({ index, delta: { content: 'a' } }))
    }),
    'lists in lists': '['.repeat(4_000_000),
    'empty objects': `[${'{},'.repeat(2_000_000)}{}]`,
    numbers: `[${'1,'.repeat(8_000_000)}1]`
  })) {
    it(`throws CS_ERR_EVENT_TOO_LARGE for ${name}`, () => {
      expect(() => checkDensity(text, limit))
        .to.throw()
        .that.includes({ code: 'CS_ERR_EVENT_TOO_LARGE', limit })
      expect(() => checkDensity(text, Number.POSITIVE_INFINITY)).to.not.throw()
    })
  }

  for (const [name, text] of Object.entries({
    'a large image': JSON.stringify({ image: 'A'.repeat(20_000_000) }),
    'a large text of brackets': JSON.stringify({ text: '{[,"\\'.repeat(3_000_000) }),
    'log probabilities': JSON.stringify(
      Array.from({ length: 100_000 }, () => ({ token: ' a', logprob: -0.25, bytes: [32, 97] }))
    ),
    'a string without an end': `"${'{'.repeat(3_000_000)}`
  })) {
    it(`lets ${name} pass`, () => {
      expect(() => checkDensity(text, limit)).to.not.throw()
    })
  }
})

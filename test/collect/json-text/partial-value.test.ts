import { expect } from 'chai'
import fc from 'fast-check'
import { PartialValue } from '#lib/collect/json-text/partial-value.js'

/** Whether a value may be shown for a whole one: strings may be shorter, lists and objects may lack their end. */
function isBeginningOf(part: unknown, whole: unknown, isOpen = true): boolean {
  if (typeof part === 'string' && typeof whole === 'string')
    return isOpen ? whole.startsWith(part) : part === whole
  if (typeof part !== 'object' || part === null || typeof whole !== 'object' || whole === null)
    return Object.is(part, whole)
  const names = Object.keys(part)
  const wholeNames = Object.keys(whole).slice(0, names.length)
  if (Array.isArray(part) !== Array.isArray(whole) || names.join('\n') !== wholeNames.join('\n')) return false
  return names.every((name, place) =>
    isBeginningOf(
      (part as Record<string, unknown>)[name],
      (whole as Record<string, unknown>)[name],
      isOpen && place === names.length - 1
    )
  )
}

const value = fc
  .oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()))
  .map(value => JSON.stringify(value))

describe('PartialValue', () => {
  it('gives a beginning of the value for every beginning of the text', () => {
    fc.assert(
      fc.property(value, fc.constantFrom('', 'Here it is:\n```json\n'), (text, before) => {
        // Names that are numbers are not in the order of the text.
        fc.pre(!/"\d+":/.test(text))
        const partial = new PartialValue()
        partial.feed(before)
        for (const character of text) {
          partial.feed(character)
          if (partial.hasBegun)
            expect(isBeginningOf(partial.snapshot(), JSON.parse(text)), text).to.equal(true)
        }
        partial.end()
        expect(partial.isWhole).to.equal(true)
        expect(partial.snapshot()).to.deep.equal(JSON.parse(text))
      })
    )
  })

  it('gives the same, however the text is cut', () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 1, max: 20 }), (text, size) => {
        const pieces = new PartialValue()
        for (let at = 0; at < text.length; at += size) pieces.feed(text.slice(at, at + size))
        const whole = new PartialValue()
        whole.feed(text)
        expect(pieces.size).to.equal(whole.size)
        expect(pieces.isWhole).to.equal(whole.isWhole)
      })
    )
  })

  it('can be shown, whatever stands in its text, and is only whole where it is JSON', () => {
    const parts = fc.constantFrom(...'{}[],:"\'\\ \n01a', 'true', '-1e5', '"a"', '"b":')
    fc.assert(
      fc.property(value, fc.nat(), fc.nat({ max: 3 }), parts, (text, place, length, part) => {
        const at = 1 + (place % text.length)
        const changed = text.slice(0, at) + part + text.slice(at + length)
        const partial = new PartialValue()
        partial.feed(changed)
        partial.end()
        if (!partial.hasBegun) return
        expect(() => partial.snapshot(), changed).not.to.throw()
        if (partial.isWhole) expect(partial.isInvalid).to.equal(false)
        else if (!partial.isInvalid) expect(() => JSON.parse(changed)).to.throw()
      }),
      { numRuns: 3000 }
    )
  })

  for (const [text, wanted] of [
    ['{"a":"x\\', '{"a":"x"}'],
    ['{"a":"x\\u00', '{"a":"x"}'],
    ['{"a":"x\\u00e9', '{"a":"xé"}'],
    ['{"a":"x\\ud83d', '{"a":"x"}'],
    ['{"a":"x\\ud83d\\ude0', '{"a":"x"}'],
    ['{"a":"x\\ud83d\\ude00', '{"a":"x😀"}'],
    ['{"a":"x\\ud83d"', '{"a":"x\\ud83d"}'],
    ['{"a":"x\ud83d', '{"a":"x"}'],
    ['{"a":1', '{}'],
    ['{"a":1 ', '{"a":1}'],
    ['{"a":-1.5,', '{"a":-1.5}'],
    ['{"a":tru', '{}'],
    ['{"a":true,"b', '{"a":true}'],
    ['{"a":true,"b":', '{"a":true}'],
    ['{"a":{"b":[1,[2,', '{"a":{"b":[1,[2]]}}'],
    ['{"a":"}"', '{"a":"}"}']
  ] as const) {
    it(`gives ${wanted} of ${JSON.stringify(text)}`, () => {
      const partial = new PartialValue()
      partial.feed(text)
      expect(partial.snapshot()).to.deep.equal(JSON.parse(wanted))
    })
  }

  it('takes no notice of what comes behind the value', () => {
    const partial = new PartialValue()
    partial.feed('[1] and {"b":2}')
    partial.feed('[3]')
    expect(partial.hasBegun).to.equal(true)
    expect(partial.snapshot()).to.deep.equal({ b: 2 })
  })
})

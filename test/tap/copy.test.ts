import { expect } from 'chai'
import fc from 'fast-check'
import { copyOf } from '#lib/tap/copy.js'

describe('copyOf', () => {
  it('gives the same JSON, and shares no object with it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const text = JSON.stringify(value)
        const original = JSON.parse(text)
        const copy = copyOf(original)
        expect(JSON.stringify(copy)).to.equal(text)
        const change = (part: unknown): void => {
          if (typeof part !== 'object' || part === null) return
          for (const name of Object.keys(part)) change(Reflect.get(part, name))
          for (const name of Object.keys(part)) Reflect.deleteProperty(part, name)
        }
        change(copy)
        expect(JSON.stringify(original)).to.equal(text)
      })
    )
  })

  it('keeps __proto__ a name and what stands under symbols', () => {
    const mark = Symbol('mark')
    const item = Object.defineProperty(JSON.parse('{"__proto__":{"a":1}}'), mark, { value: true })
    const copy = copyOf(item)
    expect(Object.keys(copy)).to.deep.equal(['__proto__'])
    expect(Object.getPrototypeOf(copy)).to.equal(Object.prototype)
    expect(copy[mark]).to.equal(true)
  })

  it('copies what is nested deeper than a stack goes', () => {
    let deep: object = {}
    for (let depth = 0; depth < 100_000; depth++) deep = { deep }
    expect(copyOf(deep)).not.to.equal(deep)
  })

  it('copies bytes, and leaves instances of classes as they are', () => {
    const bytes = Uint8Array.of(1, 2)
    const copy = copyOf(bytes)
    bytes[0] = 9
    expect([...copy]).to.deep.equal([1, 2])
    const date = new Date()
    expect(copyOf({ date }).date).to.equal(date)
    expect(copyOf('text')).to.equal('text')
  })
})

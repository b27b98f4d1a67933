import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  CompletionError,
  guardFetch,
  timeLimits,
  toChunks,
  toCompletion,
  toElements,
  toEvents,
  toPartials,
  toText,
  toToolCalls
} from 'completion-streams'
import {
  checkBoolean,
  checkFunction,
  checkIndex,
  checkLimit,
  checkOneOf,
  invalid,
  settled,
  show
} from '#lib/options.js'

interface Check {
  name: string
  // What a caller without types may give.
  check: (name: string, value: never) => void
  good: unknown[]
  bad: unknown[]
  wanted: string
}

const checks: Check[] = [
  {
    name: 'checkLimit',
    check: checkLimit,
    good: [1, 0.5, 64 * 1024 * 1024, Infinity],
    bad: [0, -1, Number.NaN, '5', null, undefined, 5n, {}],
    wanted: 'a number over zero'
  },
  {
    name: 'checkIndex',
    check: checkIndex,
    good: [0, 1, 127],
    bad: [-1, 0.5, Number.NaN, Infinity, '0', null, undefined, []],
    wanted: 'a whole number from zero'
  },
  {
    name: 'checkBoolean',
    check: checkBoolean,
    good: [true, false],
    bad: [0, 1, 'true', null, undefined],
    wanted: 'true or false'
  },
  {
    name: 'checkFunction',
    check: checkFunction,
    good: [() => {}, async () => {}, class {}],
    bad: [undefined, null, {}, 'log'],
    wanted: 'a function'
  },
  {
    name: 'checkOneOf',
    check: (name, value) => checkOneOf(name, value, ['fail', 'skip'] as never[]),
    good: ['fail', 'skip'],
    bad: ['Fail', '', 'toString', undefined, null, 0],
    wanted: 'one of fail, skip'
  }
]

describe('options', () => {
  for (const { name, check, good, bad, wanted } of checks) {
    for (const value of good) {
      it(`${name} accepts ${inspect(value)}`, () => {
        expect(() => check('option', value as never)).to.not.throw()
      })
    }

    for (const value of bad) {
      it(`${name} throws CS_ERR_INVALID_OPTION for ${inspect(value)}`, () => {
        expect(() => check('option', value as never))
          .to.throw(CompletionError, `option is ${show(value)}: give ${wanted}`)
          .with.property('code', 'CS_ERR_INVALID_OPTION')
      })
    }
  }

  it('invalid names the option, its value and what to give', () => {
    const error = invalid('choice', -1, 'a whole number from zero')
    expect(error.message).to.equal('choice is -1: give a whole number from zero')
    expect(error.code).to.equal('CS_ERR_INVALID_OPTION')
  })

  for (const [value, shown] of [
    ['skip', 'a string of 4 characters'],
    ['', 'an empty string'],
    [Buffer.from('sk-1'), 'bytes'],
    [new Writable(), 'a stream'],
    [[1, 2], 'an array'],
    [[], 'an empty list'],
    [{ apiKey: 'sk-1' }, 'an object'],
    [() => 'sk-1', 'a function'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Number.NaN, 'NaN'],
    [5n, '5'],
    [Symbol('s'), 'Symbol(s)']
  ] as const) {
    it(`show gives ${inspect(shown)} for ${inspect(value)}`, () => {
      expect(show(value)).to.equal(shown)
    })
  }

  describe('settled', () => {
    const defaults = { choice: 0, from: 'content' }

    it('gives the defaults of what is not given', () => {
      expect(settled('toText', undefined, defaults)).to.deep.equal(defaults)
      expect(settled('toText', { choice: 2, from: undefined }, defaults)).to.deep.equal({
        choice: 2,
        from: 'content'
      })
      expect(defaults).to.deep.equal({ choice: 0, from: 'content' })
    })

    for (const [name, given, says] of [
      ['a stream', Readable.from([]), /write toText\(\), with parentheses/],
      ['a web stream', new ReadableStream(), /write toText\(\), with parentheses/],
      ['an async generator', (async function* () {})(), /write toText\(\), with parentheses/],
      ['a string', 'sk-secret', /^the options of toText is a string of 9 characters/],
      ['null', null, /is null/],
      ['an array', [1], /is an array/],
      ['an unknown name', { chioce: 1 }, /^toText has no option chioce: it has choice, from$/],
      ['a name that may be a secret', { 'sk-secret': 1 }, /^toText has no option of that name/]
    ] as const) {
      it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
        expect(() => settled('toText', given as object, defaults))
          .to.throw(says)
          .with.property('code', 'CS_ERR_INVALID_OPTION')
      })
    }
  })

  const factories: Record<string, (options: never) => unknown> = {
    toEvents,
    toChunks,
    toText,
    toCompletion,
    toToolCalls,
    toElements,
    toPartials,
    timeLimits,
    guardFetch
  }
  for (const [name, factory] of Object.entries(factories)) {
    it(`${name} without its parentheses in a pipeline fails at once and says what to write`, async () => {
      const error = await pipeline([Readable.from([]), factory, new Writable()] as never).catch(
        error => error
      )
      expect(error.code).to.equal('CS_ERR_INVALID_OPTION')
      expect(error.message).to.include(`write ${name}()`)
    })

    it(`${name} throws CS_ERR_INVALID_OPTION for an unknown option`, () => {
      expect(() => factory({ unknown: 1 } as never))
        .to.throw(`${name} has no option unknown`)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { inspect } from 'node:util'
import { expect } from 'chai'
import { CompletionError } from 'completion-streams'
import {
  checkBoolean,
  checkFunction,
  checkIndex,
  checkLimit,
  checkOneOf,
  invalid,
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
    ['skip', '"skip"'],
    ['sk-'.padEnd(41, 'x'), 'a long string'],
    [[1, 2], 'an array'],
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
})

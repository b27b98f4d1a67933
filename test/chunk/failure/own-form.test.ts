import { expect } from 'chai'
import { ownFormOf } from '#lib/chunk/failure/own-form.js'

const error = { name: 'CompletionError', message: 'Hi' }

describe('ownFormOf', () => {
  for (const [what, item] of [
    ['a record of completeEach', { key: '1', row: {}, text: 'Hi', attempts: 1, elapsed: 1 }],
    ['a record of completeEach', { key: '1', row: {}, error, attempts: 1, elapsed: 1 }],
    ['a result of fromBatchFile', { key: '1', completion: { choices: [] } }],
    ['a result of fromBatchFile', { key: '1', error }],
    ['what readCompletion resolves to', { text: 'Hi', completion: {}, usage: {}, summary: {} }],
    ['a summary', { outcome: 'complete', usageStatus: 'missing', chunks: 1 }]
  ] as const) {
    it(`knows ${what}, and says what to write instead: ${JSON.stringify(item)}`, () => {
      expect(ownFormOf(item)).to.have.property('what', what)
      expect(ownFormOf(item)?.advice).to.match(/^(its answer is whole, so read|put the stage behind) /)
    })
  }

  for (const item of [
    {},
    { usage: { total_tokens: 1 } },
    { error: { message: 'overloaded' }, key: 'k-1' },
    { outcome: 'complete' },
    { key: 1, attempts: 1 },
    { completion: 'Hi', summary: null }
  ]) {
    it(`is undefined for ${JSON.stringify(item)}`, () => {
      expect(ownFormOf(item)).to.equal(undefined)
    })
  }
})

import { expect } from 'chai'
import { isPayload, lastDataOf, payloadsIn } from '#lib/decode/event-data.js'

describe('lastDataOf', () => {
  for (const data of [
    '{}',
    '[]',
    '{"a":"}"}',
    '[DONE]',
    ' [DONE] ',
    'Overloaded',
    '12',
    '{}\n[DONE]',
    'a\n{'
  ]) {
    it(`is whole: ${JSON.stringify(data)}`, () => {
      expect(lastDataOf(data)).to.deep.equal({ whole: data })
    })
  }

  for (const data of ['', '[', '[DO', '[DONE', 'n', 'nul']) {
    it(`is nothing that is lost: ${JSON.stringify(data)}`, () => {
      expect(lastDataOf(data)).to.deep.equal({})
    })
  }

  for (const data of ['{', '{"a":"}"', ' {"a"', '[DONE {', '{"a":\n1']) {
    it(`is cut: ${JSON.stringify(data)}`, () => {
      expect(lastDataOf(data)).to.deep.equal({ residue: data })
    })
  }

  it('gives what is whole before what is cut', () => {
    expect(lastDataOf('{}\n[]\n{"a')).to.deep.equal({ whole: '{}\n[]', residue: '{"a' })
    expect(lastDataOf('{}\n[DON')).to.deep.equal({ whole: '{}' })
    expect(lastDataOf('{}\nwords')).to.deep.equal({ whole: '{}\nwords' })
  })
})

describe('payloadsIn', () => {
  it('gives the lines of data that are payloads, all of them', () => {
    expect(payloadsIn('{"a":1}\n: ping\n[DONE]')).to.deep.equal(['{"a":1}', '[DONE]'])
  })

  for (const data of ['{"a":1}', '{\n"a":1}', '{"a":1}\nwords', '{}\n{"a']) {
    it(`is undefined for ${JSON.stringify(data)}`, () => {
      expect(payloadsIn(data)).to.equal(undefined)
    })
  }
})

describe('isPayload', () => {
  it('is true for JSON in brackets and the end mark', () => {
    const all = ['{"a":1}', '[1]', ' [DONE]', '{', '12', 'null', '']
    expect(all.filter(isPayload)).to.deep.equal(['{"a":1}', '[1]', ' [DONE]'])
  })
})

import { expect } from 'chai'
import { CompletionError } from 'completion-streams'
import { errorTypeOf, requestFacts, statusMessageOf } from '#lib/tap/operation.js'
import type { Summary } from '#lib/tap/summary-record.js'

const summaryOf = (outcome: Summary['outcome'], error?: Error) =>
  ({ outcome, ...(error && { error }) }) as Summary

describe('requestFacts', () => {
  it('reads the three APIs, and lets the caller say otherwise', () => {
    const given = { 'gen_ai.provider.name': 'groq', 'gen_ai.operation.name': 'ask' }
    expect(requestFacts({ model: 'm', prompt: ['a'] }, {}, false).shared).to.deep.equal({
      'gen_ai.operation.name': 'text_completion',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'm'
    })
    expect(requestFacts(undefined, given, false).shared).to.deep.equal(given)
  })

  it('takes parameters that attributes may be, and leaves out one choice', () => {
    const params = {
      n: 2,
      stop: ['a', 'b'],
      seed: 1,
      max_output_tokens: 5,
      reasoning_effort: 'low',
      top_p: null,
      temperature: {}
    }
    expect(requestFacts(params, {}, false).ofSpan).to.deep.equal({
      'gen_ai.request.stream': true,
      'gen_ai.request.choice.count': 2,
      'gen_ai.request.stop_sequences': ['a', 'b'],
      'gen_ai.request.seed': 1,
      'gen_ai.request.max_tokens': 5,
      'gen_ai.request.reasoning.level': 'low'
    })
    expect(requestFacts({ n: 1, stop: [1] }, {}, false).ofSpan).to.deep.equal({
      'gen_ai.request.stream': true
    })
  })

  it('has the messages of each API, when asked', () => {
    const user = (content: string) => [{ role: 'user', parts: [{ type: 'text', content }] }]
    for (const { params, messages } of [
      { params: { input: 'Hello?' }, messages: user('Hello?') },
      { params: { prompt: ['Hello?'] }, messages: user('Hello?') },
      { params: { messages: [{ role: 'user', content: [1] }] }, messages: user('[1]') },
      { params: {}, messages: undefined }
    ]) {
      const { 'gen_ai.input.messages': said } = requestFacts(params, {}, true).ofSpan
      expect(said && JSON.parse(String(said))).to.deep.equal(messages)
    }
  })
})

describe('errorTypeOf', () => {
  class RateLimitError extends Error {
    status = 429
  }
  class Odd extends Error {}
  Object.defineProperty(Odd, 'name', { value: '' })
  for (const { summary, type } of [
    { summary: summaryOf('complete'), type: undefined },
    { summary: summaryOf('stopped'), type: undefined },
    { summary: summaryOf('aborted'), type: 'aborted' },
    { summary: summaryOf('failed', new RateLimitError()), type: '429' },
    {
      summary: summaryOf('truncated', new CompletionError('CS_ERR_TRUNCATED', 'm')),
      type: 'CS_ERR_TRUNCATED'
    },
    { summary: summaryOf('failed', Object.assign(new Error(), { code: 'ECONNRESET' })), type: 'ECONNRESET' },
    { summary: summaryOf('failed', Object.assign(new RangeError(), { code: 'a text' })), type: 'RangeError' },
    { summary: summaryOf('failed', new Odd()), type: '_OTHER' }
  ]) {
    it(`is ${type} for ${summary.outcome}, ${summary.error?.name ?? 'no error'}`, () => {
      expect(errorTypeOf(summary)).to.equal(type)
    })
  }

  it('is told beside a message only where that is ours', () => {
    expect(statusMessageOf(new CompletionError('CS_ERR_TRUNCATED', 'it was cut'))).to.equal('it was cut')
    expect(statusMessageOf(new TypeError('the key is sk-1'))).to.equal('TypeError')
  })
})

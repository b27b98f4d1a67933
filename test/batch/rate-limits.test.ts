import { Readable } from 'node:stream'
import { expect } from 'chai'
import { completeEach, type RowRecord } from 'completion-streams'
import { waitInHeaders } from '#lib/batch/rate-limits.js'
import { run } from '../answers.js'
import { clientOf, finishEvent, question, serve, textEvent } from '../helpers.js'

describe('waitInHeaders', () => {
  for (const [headers, wait] of [
    [{}, 0],
    [{ 'x-ratelimit-remaining-requests': '1', 'x-ratelimit-reset-requests': '1s' }, 0],
    [{ 'x-ratelimit-remaining-requests': '0' }, 0],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1s' }, 1000],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '6m0s' }, 360_000],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '120ms' }, 120],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1h1.5s' }, 3_601_500],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '2.5' }, 2500],
    [
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '2s'
      },
      2000
    ]
  ] as const) {
    it(`is ${wait} ms for ${JSON.stringify(headers)}`, () => {
      expect(waitInHeaders(new Headers(headers))).to.equal(wait)
    })
  }
})

describe('completeEach, of a provider that says what is left', () => {
  it('asks for nothing while nothing is left, before a request is refused', async () => {
    const asked: number[] = []
    await using server = await serve((_request, response) => {
      asked.push(performance.now())
      if (asked.length === 1)
        response
          .setHeader('x-ratelimit-remaining-requests', '0')
          .setHeader('x-ratelimit-reset-requests', '300ms')
      response.setHeader('content-type', 'text/event-stream').end(textEvent('yes') + finishEvent)
    })
    const each = completeEach(clientOf(server), () => question, { concurrency: 1 })
    const { items, error } = await run<RowRecord>(Readable.from(['a', 'b']), each)
    expect(error).to.equal(undefined)
    expect(items.map(({ text, attempts }) => [text, attempts])).to.deep.equal([
      ['yes', 1],
      ['yes', 1]
    ])
    // The reset counts from the head of the response, which comes behind the request.
    expect((asked[1] ?? 0) - (asked[0] ?? 0)).to.be.above(299)
  })
})

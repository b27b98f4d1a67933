import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { drain, fromResponse, type ResponseLike, toChunks } from 'completion-streams'
import { request as undiciRequest } from 'undici'
import { headerFacts, waitOf } from '#lib/source/response/headers.js'
import { failureOf, serve } from '../../helpers.js'

const now = Date.parse('2026-11-28T12:00:00Z')
const inTenSeconds = 'Sat, 28 Nov 2026 12:00:10 GMT'

describe('waitOf', () => {
  for (const [field, wait] of [
    ['3', 3000],
    [' 3 ', 3000],
    ['0', 0],
    ['1.5', 1500],
    [inTenSeconds, 10_000],
    ['Saturday, 28-Nov-26 12:00:10 GMT', 10_000],
    ['Sat Nov 28 12:00:10 2026', 10_000],
    ['Sat, 28 Nov 2026 11:00:00 GMT', 0],
    ['3, 5', 5000],
    ['5, 3', 5000],
    ['3, soon', 3000],
    ['soon, 3', 3000],
    [`3, ${inTenSeconds}`, 10_000],
    [`${inTenSeconds}, 30`, 30_000],
    ['-5', undefined],
    ['+5', undefined],
    ['0x10', undefined],
    ['1e3', undefined],
    ['Infinity', undefined],
    ['9'.repeat(400), undefined],
    ['', undefined],
    [',', undefined],
    ['5 seconds', undefined],
    ['2026', 2_026_000],
    ['2026-11-28', undefined],
    ['Sunday, 5', undefined],
    ['Sat, 99 Nov 2026 12:00:10 GMT', undefined]
  ] as const) {
    it(`reads retry-after: ${field.slice(0, 40)}`, () => {
      expect(waitOf({ 'retry-after': field }, now)).to.equal(wait)
    })
  }

  for (const [field, wait] of [
    ['50', 50],
    ['50.5', 50.5],
    ['0', 0],
    ['50, 70', 70],
    ['Infinity', 3000],
    ['0x10', 3000],
    ['-1', 3000],
    ['', 3000],
    [inTenSeconds, 3000]
  ] as const) {
    it(`reads retry-after-ms before retry-after, where it is one: ${field}`, () => {
      expect(waitOf({ 'retry-after-ms': field, 'retry-after': '3' }, now)).to.equal(wait)
    })
  }
})

/** A response as each client gives it. */
const clients: Record<string, (url: string) => Promise<ResponseLike>> = {
  fetch: url => fetch(url),
  'http.request': async url => {
    // The event of a request that has been answered.
    const [response] = (await once(httpRequest(url).end(), 'response')) as [IncomingMessage]
    return response
  },
  'undici.request': url => undiciRequest(url)
}

describe('headerFacts', () => {
  for (const [name, open] of Object.entries(clients)) {
    it(`has the longest wait where a response has several, with ${name}`, async () => {
      await using server = await serve((_incoming, outgoing) => {
        outgoing.writeHead(429, [
          ['retry-after', '3'],
          ['retry-after', '5']
        ])
        outgoing.end('{"error":{"message":"slow"}}')
      })
      const error = await failureOf(pipeline(fromResponse(await open(server.url)), toChunks(), drain()))
      expect(error).to.include({ code: 'CS_ERR_PROVIDER', status: 429, retryAfter: 5000 })
    })
  }

  it('has no wait where the response has none', () => {
    expect(headerFacts({ 'retry-after': '-5' })).to.deep.equal({ headers: { 'retry-after': '-5' } })
  })
})

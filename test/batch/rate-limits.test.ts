import { syncBuiltinESMExports } from 'node:module'
import { Readable } from 'node:stream'
import timersModule from 'node:timers'
import { expect } from 'chai'
import { completeEach, type RowRecord } from 'completion-streams'
import { RateLimiter, waitInHeaders } from '#lib/batch/rate-limits.js'
import { run, settle, withResolvers } from '../answers.js'
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
    ],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1800000030' }, 30_000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1800000000250' }, 250],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2027-01-15T08:00:02Z' }, 2000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2027-01-15T00:00:00Z' }, 0],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1732752000' }, 0],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2027-99-99T' }, 0]
  ] as const) {
    it(`is ${wait} ms for ${JSON.stringify(headers)}`, () => {
      expect(waitInHeaders(new Headers(headers), 1_800_000_000_000)).to.equal(wait)
    })
  }
})

describe('a limiter', () => {
  const timers = async () => {
    const warnings: Error[] = []
    const warn = (warning: Error) => void warnings.push(warning)
    process.on('warning', warn)
    await settle()
    process.off('warning', warn)
    return warnings.map(({ name }) => name)
  }

  it('has no timer that is longer than those of Node, and waits as long as it must', async () => {
    const controller = new AbortController()
    const limiter = new RateLimiter({ tokens: 1 })
    await limiter.reserve(1e9, controller.signal)
    const later = limiter.reserve(1, controller.signal).then(
      () => 'granted',
      error => error.name
    )
    expect(await timers()).to.deep.equal([])
    controller.abort()
    expect(await later).to.equal('AbortError')
  })

  /** Runs with a clock that goes on when it is told to, so that nothing runs in meanwhile. */
  async function byHand(run: (pass: (milliseconds: number) => void) => Promise<void>): Promise<void> {
    let time = performance.now()
    performance.now = () => time
    try {
      await run(milliseconds => {
        time += milliseconds
      })
    } finally {
      // What stands on the prototype is Node's own.
      Reflect.deleteProperty(performance, 'now')
    }
  }

  /** How many of some requests may go at once. */
  async function grantedAtOnce(limiter: RateLimiter, count: number, tokens: number): Promise<number> {
    const controller = new AbortController()
    let granted = 0
    const all = Array.from({ length: count }, () =>
      limiter.reserve(tokens, controller.signal).then(
        () => void granted++,
        () => {}
      )
    )
    // What may go, goes before anything else does.
    controller.abort()
    await Promise.all(all)
    return granted
  }

  it('lets others use what was reserved and was not used, though the time for it has come in again since', async () => {
    await byHand(async pass => {
      const { signal } = new AbortController()
      const limiter = new RateLimiter({ tokens: 600_000 })
      const first = await limiter.reserve(2000, signal)
      // The second waits until the first is paid for: a tenth of a second.
      const second = limiter.reserve(1, signal)
      pass(102)
      await second
      limiter.settle(first, 100)
      expect(await grantedAtOnce(limiter, 5, 1000)).to.equal(2)
    })
  })

  it('learns how much is used of what is estimated', async () => {
    await byHand(async () => {
      const { signal } = new AbortController()
      const limiter = new RateLimiter({ tokens: 600_000 })
      for (let times = 0; times < 60; times++) limiter.settle(await limiter.reserve(100, signal), 10)
      expect(await grantedAtOnce(limiter, 30, 100)).to.equal(30)
    })
  })

  it('reserves no less for requests that fail, and gives back what they had', async () => {
    await byHand(async () => {
      const { signal } = new AbortController()
      const limiter = new RateLimiter({ tokens: 600_000 })
      for (let times = 0; times < 60; times++) limiter.settle(await limiter.reserve(100, signal), 0)
      expect(await grantedAtOnce(limiter, 30, 100)).to.be.within(10, 12)
    })
  })

  it('pauses for no longer than ten minutes', async () => {
    const controller = new AbortController()
    const waits: number[] = []
    const limiter = new RateLimiter({})
    limiter.pause(30 * 24 * 3_600_000)
    const { setTimeout } = timersModule
    try {
      timersModule.setTimeout = ((callback: () => void, wait: number) => {
        waits.push(wait)
        return setTimeout(callback, wait)
      }) as typeof setTimeout
      syncBuiltinESMExports()
      limiter.reserve(1, controller.signal).catch(() => {})
    } finally {
      timersModule.setTimeout = setTimeout
      syncBuiltinESMExports()
    }
    controller.abort()
    expect(waits).to.have.length(1)
    expect(waits[0]).to.be.within(599_000, 600_000)
  })
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

describe('completeEach, of a provider that refuses one request after the other', () => {
  for (const headers of [{}, { 'retry-after': '0' }]) {
    it(`pauses for longer and longer, and tries with one request at a time: ${JSON.stringify(headers)}`, async () => {
      const asked: number[] = []
      const open = new Set<number>()
      let mostOpen = 0
      const { promise: allAreOpen, resolve: release } = withResolvers()
      await using server = await serve(async (_request, response) => {
        const number = asked.push(performance.now())
        if (number <= 9)
          return void response
            .writeHead(429, headers)
            .end('{"error":{"message":"slowly","code":"rate_limit_exceeded"}}')
        open.add(number)
        // The tenth ends the storm: the other seven come together then.
        mostOpen = Math.max(mostOpen, open.size)
        if (number === 17) release()
        if (number > 10) await allAreOpen
        open.delete(number)
        response.setHeader('content-type', 'text/event-stream').end(textEvent('yes') + finishEvent)
      })
      const each = completeEach(clientOf(server), () => question, { concurrency: 8, retries: 2 })
      const { items, error } = await run<RowRecord>(Readable.from([...'abcdefgh']), each)
      expect(error).to.equal(undefined)
      expect(items.map(({ text }) => text)).to.deep.equal(Array(8).fill('yes'))
      expect(asked).to.have.length(17)
      expect(mostOpen).to.equal(7)
      const gap = (from: number, to: number) => (asked[to] ?? 0) - (asked[from] ?? 0)
      // Half of 500 ms at the least, behind the fourth refusal, and of twice as much behind the next one.
      expect(gap(3, 8)).to.be.above(249)
      expect(gap(8, 9)).to.be.above(499)
    })
  }

  it('goes as fast as the provider allows, where it says only by refusals how fast that is', async () => {
    const perSecond = 40
    let [level, at, refused] = [perSecond / 8, performance.now(), 0]
    await using server = await serve((_request, response) => {
      const now = performance.now()
      level = Math.min(perSecond / 8, level + ((now - at) / 1000) * perSecond)
      at = now
      if (level < 1) {
        refused++
        const wait = ((1 - level) / perSecond) * 1000
        return void response.writeHead(429, { 'retry-after-ms': String(Math.ceil(wait)) }).end('{}')
      }
      level--
      response.setHeader('content-type', 'text/event-stream').end(textEvent('yes') + finishEvent)
    })
    const each = completeEach(clientOf(server), () => question, { concurrency: 32 })
    const { items, error } = await run<RowRecord>(Readable.from(Array(150).fill('a row')), each)
    expect(error).to.equal(undefined)
    expect(items).to.have.length(150)
    expect(items.filter(({ error }) => error)).to.deep.equal([])
    expect(refused).to.be.below(75)
  })
})

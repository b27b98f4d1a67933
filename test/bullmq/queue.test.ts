import { randomUUID } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Queue } from 'bullmq'
import { expect } from 'chai'
import { CompletionError, type RowRecord } from 'completion-streams'
import { fromQueue, type QueueLike, toQueue, workOn } from 'completion-streams/bullmq'
import {
  type CompletionServer,
  type ReceivedRequest,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI from 'openai'
import { settle } from '../answers.js'
import { clientOf, failureOf } from '../helpers.js'
import { clientFor, type RedisServer, redisProgram, startRedis } from '../redis-server.js'
import { expectEachOnce } from './workers.js'

interface Row {
  id: number
}

const paramsOf = ({ id }: Row) => ({
  model: 'm',
  messages: [{ role: 'user' as const, content: `row ${id}` }]
})
const rows = (count: number): Row[] => Array.from({ length: count }, (_, id) => ({ id }))
const keyOf = ({ id }: Row) => `row-${id}`

/** The row that a request asks for. */
const rowOf = ({ body }: ReceivedRequest) => String((body.messages as { content: string }[])[0]?.content)

describe('toQueue, workOn and fromQueue', function () {
  this.timeout(30_000)
  let redis: RedisServer
  let server: CompletionServer
  let queue: Queue
  let name: string
  let faultOf: (row: string) => object | undefined

  before(async function () {
    if (!redisProgram) return this.skip()
    redis = await startRedis()
    server = await serveCompletions({
      speed: Infinity,
      script: request => ({ ...script(`answer to ${rowOf(request)}`), faults: faultOf(rowOf(request)) ?? {} })
    })
  })
  beforeEach(() => {
    faultOf = () => undefined
    name = `rows-${randomUUID()}`
    queue = new Queue(name, { connection: connection() })
  })
  afterEach(() => queue?.close())
  after(async () => {
    if (!redisProgram) return
    await server.close()
    await redis.stop()
  })

  const connection = () => ({ host: '127.0.0.1', port: redis.port })
  const run = 'a run'

  async function recordsOf(): Promise<RowRecord<Row>[]> {
    const records: RowRecord<Row>[] = []
    for await (const record of fromQueue<Row>(queue, { run })) records.push(record)
    return records
  }

  it('give each row its record, as completeEach does, to the last', async () => {
    const reading = recordsOf()
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await pipeline(Readable.from(rows(250)), toQueue(queue, { run, key: keyOf }))
    const records = await reading
    expectEachOnce({ records, repeated: 0, requests: 0 }, 250)
    const [record] = records
    expect(record).to.have.keys([
      'key',
      'row',
      'completion',
      'text',
      'usage',
      'tokens',
      'attempts',
      'elapsed'
    ])
    await worker.close()
  })

  it('add no row twice when the same program runs again, and ask for none twice', async () => {
    const before = server.requests.length
    await pipeline(Readable.from(rows(10)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await recordsOf()
    await pipeline(Readable.from(rows(10)), toQueue(queue, { run, key: keyOf }))
    expect(await recordsOf()).to.have.length(10)
    expect(server.requests.length - before).to.equal(10)
    await worker.close()
  })

  it('refuse a row that a run did not have, when all of its rows are there', async () => {
    const before = server.requests.length
    await pipeline(Readable.from(rows(5)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    expect(await recordsOf()).to.have.length(5)
    // Fewer of them, in whatever order, are no others.
    await pipeline(Readable.from(rows(4).reverse()), toQueue(queue, { run, key: keyOf }))
    const more = await pipeline(Readable.from(rows(7)), toQueue(queue, { run, key: keyOf })).catch(
      error => error
    )
    expect(more).to.include({ code: 'CS_ERR_JOURNAL', index: 5 })
    expect(more.message).to.match(/the row of key "row-5" is not one of them/)
    expect(await recordsOf()).to.have.length(5)
    expect(server.requests.length - before).to.equal(5)
    await worker.close()
  })

  for (const isAlone of [true, false]) {
    it(`give the rows of a sink that was killed, too, where the next one has others (${isAlone ? 'in a queue of its own' : 'beside another run'})`, async () => {
      let isFirst = true
      faultOf = row => {
        if (row === 'row 1000') return { stallAfter: { events: 0 } }
        if (row !== 'row 499' || !isFirst) return undefined
        isFirst = false
        return { status: 500 }
      }
      const killed = toQueue<Row>(queue, { run, key: keyOf })
      for (const { id } of rows(300)) killed.write({ id: id + 200 })
      while (((await queue.getJobCounts()).waiting ?? 0) < 300) await settle()
      killed.destroy()
      if (!isAlone) await pipeline(Readable.from([{ id: 1000 }]), toQueue(queue, { run: 'another' }))
      await pipeline(Readable.from(rows(200)), toQueue(queue, { run, key: keyOf }))
      const leave = new AbortController()
      const worker = workOn(name, clientOf(server), paramsOf, {
        connection: connection(),
        signal: leave.signal
      })
      expectEachOnce({ records: await recordsOf(), repeated: 0, requests: 0 }, 500)
      leave.abort()
      await worker.ended.catch(() => {})
    })
  }

  it('keep the runs of one queue apart', async () => {
    await pipeline(Readable.from(rows(3)), toQueue(queue, { run, key: keyOf }))
    await pipeline(Readable.from(rows(5)), toQueue(queue, { run: 'another', key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    expect(await recordsOf()).to.have.length(3)
    await worker.close()
  })

  it('a sink may take all records of a look before the look is over', async () => {
    await pipeline(Readable.from(rows(120)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await recordsOf()
    await worker.close()
    let isNearlyEmpty = () => {}
    const nearlyEmpty = new Promise<void>(resolve => {
      isNearlyEmpty = resolve
    })
    const slow: QueueLike = {
      addBulk: jobs => queue.addBulk(jobs),
      async getJobs(states, ...range) {
        const jobs = await queue.getJobs(states, ...range)
        if (states[0] === 'failed') await nearlyEmpty
        return jobs
      }
    }
    const taken: RowRecord<Row>[] = []
    const sink = new Writable({
      objectMode: true,
      highWaterMark: 1,
      write(record, _encoding, callback) {
        if (taken.push(record) === 95) isNearlyEmpty()
        setImmediate(callback)
      }
    })
    await pipeline(fromQueue<Row>(slow, { run }), sink)
    expectEachOnce({ records: taken, repeated: 0, requests: 0 }, 120)
  })

  it('a sink may be slow while looks find nothing new', async () => {
    await pipeline(Readable.from(rows(40)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await recordsOf()
    await worker.close()
    let looks = 0
    let seeRest = () => {}
    const half: QueueLike = {
      addBulk: jobs => queue.addBulk(jobs),
      async getJobs(states, start, end, ascending) {
        if (++looks === 20) seeRest()
        return queue.getJobs(states, start, looks < 20 ? Math.min(end, 19) : end, ascending)
      }
    }
    const taken: RowRecord<Row>[] = []
    const sink = new Writable({
      objectMode: true,
      highWaterMark: 1,
      write(record, _encoding, callback) {
        if (taken.push(record) === 10) seeRest = callback
        else setImmediate(callback)
      }
    })
    await pipeline(fromQueue<Row>(half, { run }), sink)
    expectEachOnce({ records: taken, repeated: 0, requests: 0 }, 40)
  })

  it('find a row that was done before others by the clock of its worker, and read no others again for it', async () => {
    await pipeline(Readable.from(rows(350)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await recordsOf()
    await worker.close()
    const done = `bull:${name}:completed`
    const client = await clientFor('ioredis', redis.port)
    const [late = ''] = (await client.command('ZRANGE', done, '0', '0')) as string[]
    await client.command('ZREM', done, late)
    const taken: RowRecord<Row>[] = []
    const idle: number[] = []
    const watched: QueueLike = {
      addBulk: jobs => queue.addBulk(jobs),
      async getJobs(states, start, end, ascending) {
        if (taken.length === 349 && states[0] === 'completed' && idle.push(start) === 5)
          await client.command('ZADD', done, '1', late)
        return queue.getJobs(states, start, end, ascending)
      }
    }
    for await (const record of fromQueue<Row>(watched, { run })) taken.push(record)
    expectEachOnce({ records: taken, repeated: 0, requests: 0 }, 350)
    expect(Math.min(...idle.slice(0, 5))).to.be.at.least(299)
    client.close()
  })

  it('a sink of rows fails when Redis does not answer for too long', async () => {
    await using away = await startRedis()
    const own = new Queue(name, { connection: { host: '127.0.0.1', port: away.port } })
    own.on('error', () => {})
    await own.waitUntilReady()
    away.signal('SIGSTOP')
    const adding = pipeline(Readable.from(rows(1)), toQueue(own, { run, key: keyOf, maxOutage: 100 }))
    expect(await failureOf(adding)).to.include({ code: 'CS_ERR_STALLED', limit: 100 })
    away.signal('SIGCONT')
    await own.close()
  })

  it('a reader is told how many rows are gone, behind the records that there are', async () => {
    await pipeline(Readable.from(rows(5)), toQueue(queue, { run, key: keyOf }))
    const waiting = await queue.getJobs(['waiting'])
    await waiting.find(({ data }) => data.key === 'row-2')?.remove()
    await waiting.find(({ data }) => data.key === 'row-3')?.remove()
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    const records: RowRecord<Row>[] = []
    const reading = async () => {
      for await (const record of fromQueue<Row>(queue, { run })) records.push(record)
    }
    const failure = await failureOf(reading())
    expect(failure).to.include({ code: 'CS_ERR_JOURNAL' })
    expect(failure.message).to.match(/^2 of 5 rows of the run are gone/)
    expect(records.map(({ key }) => key)).to.have.members(['row-0', 'row-1', 'row-4'])
    await worker.close()
  })

  it('a reader waits for rows that are being asked, or for which there is no worker', async () => {
    faultOf = row => (row === 'row 1' ? { stallAfter: { events: 1 } } : undefined)
    await pipeline(Readable.from(rows(3)), toQueue(queue, { run, key: keyOf }))
    const leave = new AbortController()
    const { signal } = leave
    const stalled = workOn(name, clientOf(server), paramsOf, { connection: connection(), signal })
    let looks = 0
    const counted: QueueLike = {
      addBulk: jobs => queue.addBulk(jobs),
      getJobs: (states, ...range) => queue.getJobs(states, ...range),
      async getJobCounts() {
        looks++
        if (looks === 3) leave.abort()
        return queue.getJobCounts()
      }
    }
    const records: RowRecord<Row>[] = []
    const reading = pipeline(fromQueue<Row>(counted, { run }), async source => {
      for await (const record of source) records.push(record)
    })
    expect(await stalled.ended.catch(error => error.name)).to.equal('AbortError')
    faultOf = () => undefined
    while (looks < 6) await settle()
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    await reading
    expectEachOnce({ records, repeated: 1, requests: 0 }, 3)
    await worker.close()
  })

  for (const [when, isEnded] of [
    ['while rows are added', false],
    ['when all were added', true]
  ] as const) {
    it(`a reader is told when Redis has lost the run ${when}`, async () => {
      const source = new Readable({ objectMode: true, read() {} })
      const adding = pipeline(source, toQueue(queue, { run, key: keyOf }))
      for (const row of rows(3)) source.push(row)
      if (isEnded) {
        source.push(null)
        await adding
      }
      faultOf = row => (row === 'row 2' && isEnded ? { stallAfter: { events: 1 } } : undefined)
      const leave = new AbortController()
      const { signal } = leave
      const worker = workOn(name, clientOf(server), paramsOf, { connection: connection(), signal })
      const records: RowRecord<Row>[] = []
      const reading = async () => {
        for await (const record of fromQueue<Row>(queue, { run })) records.push(record)
      }
      const failing = failureOf(reading())
      const expected = isEnded ? 2 : 3
      while (
        records.length < expected ||
        (await queue.getJobCounts()).completed !== expected + 1 + Number(isEnded)
      )
        await settle()
      const client = await clientFor('ioredis', redis.port)
      await client.command('FLUSHALL')
      expect(await failing).to.include({ code: 'CS_ERR_JOURNAL' })
      client.close()
      leave.abort()
      await worker.ended.catch(() => {})
      source.push(null)
      await adding
    })
  }

  it('a reader waits for rows that are added later than others are done', async () => {
    const source = new Readable({ objectMode: true, read() {} })
    const adding = pipeline(source, toQueue(queue, { run, key: keyOf }))
    source.push({ id: 0 })
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    let looks = 0
    let seeMore = () => {}
    const waited = new Promise<void>(resolve => {
      seeMore = resolve
    })
    const watched: QueueLike = {
      addBulk: jobs => queue.addBulk(jobs),
      getJobs: (states, ...range) => queue.getJobs(states, ...range),
      getJobCounts: () => queue.getJobCounts(),
      async getJobState(id) {
        if (++looks === 3) seeMore()
        return queue.getJobState(id)
      }
    }
    const records: RowRecord<Row>[] = []
    const reading = pipeline(fromQueue<Row>(watched, { run }), async each => {
      for await (const record of each) records.push(record)
    })
    await waited
    source.push({ id: 1 })
    source.push(null)
    await adding
    await reading
    expectEachOnce({ records, repeated: 0, requests: 0 }, 2)
    await worker.close()
  })

  it('an empty run ends', async () => {
    await pipeline(Readable.from([]), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    expect(await recordsOf()).to.deep.equal([])
    await worker.close()
  })

  it('a row that fails for good is a record with its error', async () => {
    faultOf = row => (row === 'row 1' ? { status: 400 } : undefined)
    await pipeline(Readable.from(rows(3)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    const records = await recordsOf()
    expect(records.find(({ key }) => key === 'row-1')?.error).to.include({
      name: 'BadRequestError',
      status: 400
    })
    expect(records.filter(({ error }) => error === undefined)).to.have.length(2)
    await worker.close()
  })

  it('what all rows would fail with ends the worker, and its row is for the next one', async () => {
    faultOf = () => ({ status: 401 })
    await pipeline(Readable.from(rows(3)), toQueue(queue, { run, key: keyOf }))
    const failure = await workOn(name, clientOf(server), paramsOf, { connection: connection() }).ended.catch(
      error => error
    )
    expect(failure).to.be.instanceOf(OpenAI.AuthenticationError)
    faultOf = () => undefined
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    expectEachOnce({ records: await recordsOf(), repeated: 0, requests: 0 }, 3)
    await worker.close()
  })

  it('a worker that is aborted gives its rows back', async () => {
    faultOf = () => ({ stallAfter: { events: 1 } })
    await pipeline(Readable.from(rows(3)), toQueue(queue, { run, key: keyOf }))
    const leave = new AbortController()
    const before = server.requests.length
    const stalled = workOn(name, clientOf(server), paramsOf, {
      connection: connection(),
      signal: leave.signal
    })
    while (server.requests.length < before + 3) await queue.getJobCounts()
    leave.abort()
    expect(await stalled.ended.catch(error => error.name)).to.equal('AbortError')
    faultOf = () => undefined
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    expectEachOnce({ records: await recordsOf(), repeated: 0, requests: 0 }, 3)
    await worker.close()
  })

  it('a worker that is closed as Redis has just come back ends', async () => {
    await using lost = await startRedis()
    const own = { host: '127.0.0.1', port: lost.port }
    const rowsOfOwn = new Queue(name, { connection: own })
    rowsOfOwn.on('error', () => {})
    const worker = workOn(name, clientOf(server), paramsOf, { connection: own })
    await pipeline(Readable.from(rows(1)), toQueue(rowsOfOwn, { run: 'r' }))
    for await (const _record of fromQueue(rowsOfOwn, { run: 'r' }));
    await lost.kill()
    await lost.start()
    await worker.close()
    await rowsOfOwn.close()
  })

  it('a reader that wants no more leaves, and the next one has all', async () => {
    await pipeline(Readable.from(rows(300)), toQueue(queue, { run, key: keyOf }))
    const worker = workOn(name, clientOf(server), paramsOf, { connection: connection() })
    for await (const record of fromQueue(queue, { run })) {
      expect(record.key).to.be.a('string')
      break
    }
    expectEachOnce({ records: await recordsOf(), repeated: 0, requests: 0 }, 300)
    await worker.close()
  })

  it('refuse a key that comes twice, and wrong arguments', async () => {
    const twice = await pipeline(
      Readable.from([{ id: 1 }, { id: 1 }]),
      toQueue(queue, { run, key: keyOf })
    ).catch(error => error)
    expect(twice).to.be.instanceOf(CompletionError).with.property('code', 'CS_ERR_JOURNAL')
    const wrong: [() => unknown, RegExp][] = [
      [() => toQueue({} as never, { run }), /queue is an object/],
      [() => toQueue(queue, {} as never), /run is an empty string/],
      [() => fromQueue(queue, { run, speed: 1 } as never), /fromQueue has no option speed/],
      [() => workOn('', clientOf(server), paramsOf, { connection: {} }), /queueName/],
      [() => workOn(name, clientOf(server), paramsOf, {} as never), /connection is undefined/],
      [
        () => workOn(name, clientOf(server), paramsOf, { connection: {}, concurrency: 0 }),
        /concurrency is 0/
      ],
      [
        () => workOn(name, clientOf(server), paramsOf, { connection: {}, timeLimits: { totl: 1 } as never }),
        /timeLimits of workOn has no option totl/
      ]
    ]
    for (const [call, message] of wrong)
      expect(call).to.throw(CompletionError, message).with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

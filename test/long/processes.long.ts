import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { follow, publish } from 'completion-streams/redis'
import { words } from '../helpers.js'
import { answerOf, hashOf, readAll, sizeOf } from '../redis/answers.js'
import type { Task } from '../redis/party.child.js'
import { party } from '../redis/party.js'
import {
  clientFor,
  clientNames,
  type RedisServer,
  redisProgram,
  startRedis,
  type TestClient
} from '../redis-server.js'

const task: Task = { role: 'publish', client: 'redis', port: 0, ids: [], pace: 5, lease: 400, longestStay: 7 }

describe('answers outlive what serves them', function () {
  this.timeout(30_000)
  let server: RedisServer
  let client: TestClient
  let id: string

  before(async function () {
    if (!redisProgram) return this.skip()
    server = await startRedis({ appendOnly: true })
    client = await clientFor('redis', server.port)
  })
  beforeEach(() => {
    id = randomUUID()
  })
  after(async () => {
    if (!redisProgram) return
    client.close()
    await server.stop()
  })

  it('a producer is killed: all readers have what had come, and are told', async () => {
    const producer = party({ ...task, port: server.port, ids: [id], pace: 20 })
    const reading = Array.from({ length: 5 }, () => readAll(follow(client.redis, id)))
    await follow(client.redis, id)[Symbol.asyncIterator]().next()
    producer.kill()
    const { pieces } = answerOf(id)
    const read = await Promise.all(reading)
    for (const { items, error } of read) {
      expect(error?.code).to.equal('CS_ERR_ABANDONED')
      expect(hashOf(items)).to.equal(hashOf(pieces, sizeOf(items)))
      expect(items).to.deep.equal(read[0]?.items)
    }
    // One entry has ended it, for whoever comes later too.
    expect((await readAll(follow(client.redis, id))).error?.code).to.equal('CS_ERR_ABANDONED')
  })

  it('a producer that slept for longer than its lease finds its answer closed, and adds nothing', async () => {
    const producer = party({ ...task, port: server.port, ids: [id] })
    const reading = readAll(follow(client.redis, id))
    await follow(client.redis, id)[Symbol.asyncIterator]().next()
    producer.process.kill('SIGSTOP')
    const { items, error } = await reading
    expect(error?.code).to.equal('CS_ERR_ABANDONED')
    producer.process.kill('SIGCONT')
    await producer.ended
    expect(producer.reports.get(id)?.code).to.equal('CS_ERR_ABANDONED')
    expect((await readAll(follow(client.redis, id))).items).to.deep.equal(items)
  })

  for (const name of clientNames) {
    it(`Redis is killed and comes back: producer and readers go on, with ${name}`, async () => {
      const own = await clientFor(name, server.port)
      const source = new Readable({ objectMode: true, read() {} })
      const done = pipeline(source, publish(own.redis, id))
      const reader = follow(own.redis, id)[Symbol.asyncIterator]()
      const seen: unknown[] = []
      for (const [place, word] of words(9).entries()) {
        source.push(word)
        seen.push((await reader.next()).value)
        if (place % 4 !== 3) continue
        await server.kill()
        source.push(`while it was away ${place} `)
        await server.start()
        seen.push((await reader.next()).value)
      }
      source.push(null)
      await done
      expect((await reader.next()).done).to.equal(true)
      const wanted = words(9).flatMap((word, place) =>
        place % 4 === 3 ? [word, `while it was away ${place} `] : [word]
      )
      expect(seen).to.deep.equal(wanted)
      own.close()
    })

    it(`Redis stays away: producer and readers fail, with ${name}`, async () => {
      const lost = await startRedis()
      const own = await clientFor(name, lost.port)
      const source = new Readable({ objectMode: true, read() {} })
      const done = pipeline(source, publish(own.redis, id, { maxOutage: 200 })).catch(error => error)
      source.push('a')
      const reading = readAll(follow(own.redis, id, { maxOutage: 200 }))
      await follow(own.redis, id)[Symbol.asyncIterator]().next()
      await lost.kill()
      source.push('b')
      const { items, error } = await reading
      expect(items).to.deep.equal(['a'])
      expect(error).to.be.instanceOf(Error)
      expect(await done).to.be.instanceOf(Error)
      own.close()
      await lost.stop()
    })

    it(`Redis does not answer: whether an answer has begun is asked again when it does, with ${name}`, async () => {
      // Goes on, and ends, also where this fails.
      await using slow = await startRedis()
      const own = await clientFor(name, slow.port)
      await pipeline(Readable.from(['a']), publish(own.redis, id))
      slow.signal('SIGSTOP')
      const begun = readAll(follow(own.redis, id, { first: 20 }))
      const never = readAll(follow(own.redis, `${id}-never`, { first: 20 }))
      // Its time is over last.
      await readAll(follow(client.redis, `${id}-never`, { first: 20 }))
      slow.signal('SIGCONT')
      expect(await begun).to.deep.equal({ items: ['a'] })
      const { error } = await never
      expect([error?.code, error?.timeLimit, error?.limit]).to.deep.equal(['CS_ERR_STALLED', 'first', 20])
      own.close()
    })

    it(`Redis does not answer for longer than it may: readers fail, with ${name}`, async () => {
      await using slow = await startRedis()
      const own = await clientFor(name, slow.port)
      const source = new Readable({ objectMode: true, read() {} })
      const done = pipeline(source, publish(own.redis, id, { maxOutage: 100 })).catch(error => error)
      source.push('a')
      const reader = follow(own.redis, id, { maxOutage: 100 })[Symbol.asyncIterator]()
      expect((await reader.next()).value).to.equal('a')
      slow.signal('SIGSTOP')
      const failure = await reader.next().catch(error => error)
      expect([failure.code, failure.limit]).to.deep.equal(['CS_ERR_STALLED', 100])
      slow.signal('SIGCONT')
      source.destroy(new Error('over'))
      await done
      own.close()
    })

    it(`connections are cut at any byte: nothing is lost or doubled, with ${name}`, async () => {
      await using proxy = await cuttingProxy(server.port)
      const own = await clientFor(name, proxy.port)
      const pieces = words(4500).map(word => word.repeat(9))
      const source = Readable.from(
        (async function* () {
          for (const [index, piece] of pieces.entries()) {
            yield piece
            // So that there are many entries, and some as large as they get.
            if (index < 1500) await client.command('PING')
          }
        })()
      )
      const reading = readAll(follow(own.redis, id))
      await pipeline(source, publish(own.redis, id, { flush: 1 }))
      expect(await reading).to.deep.equal({ items: pieces })
      expect(proxy.cuts).to.be.above(0)
      own.close()
    })
  }
})

interface Proxy extends AsyncDisposable {
  readonly port: number
  readonly cuts: number
}

/** Cuts each connection after some bytes that came from Redis, now a thousand, now half a million. */
async function cuttingProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let cuts = 0
  const server = createServer(socket => {
    const inner = connect(target, '127.0.0.1')
    let left = 1000 * 2 ** ((sockets.size + cuts * 7) % 10) + cuts
    for (const each of [socket, inner]) {
      sockets.add(each)
      each.on('error', () => {})
      each.on('close', () => {
        sockets.delete(each)
        socket.destroy()
        inner.destroy()
      })
    }
    socket.pipe(inner)
    inner.on('data', bytes => {
      socket.write(bytes.subarray(0, left))
      left -= bytes.length
      if (left > 0) return
      cuts++
      socket.destroySoon()
      inner.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    get cuts() {
      return cuts
    },
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    }
  }
}

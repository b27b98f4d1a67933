import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import { answerOf, hashOf, sizeOf } from '../redis/answers.js'
import type { Report, Task } from '../redis/party.child.js'
import { type Party, party } from '../redis/party.js'
import { clientFor, clientNames, type RedisServer, redisProgram, startRedis } from '../redis-server.js'
import { Choice, cases, isShort } from './choice.js'

/** How long a lease is, in milliseconds: short, so that the test is. */
const lease = 1500

/** A TCP proxy in front of Redis that cuts all its connections, in the middle of whatever they carry, when it is told. */
async function proxyTo(port: number): Promise<{ port: number; cut(choice: Choice): void; close(): void }> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer(socket => {
    const inner = connect(port, '127.0.0.1')
    const pair = [socket, inner] as const
    pairs.add(pair)
    for (const each of pair) {
      each.on('error', () => {})
      each.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
    socket.pipe(inner)
    inner.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut(choice) {
      for (const pair of pairs) {
        const [socket, inner] = pair
        pairs.delete(pair)
        // A part of what comes next still arrives.
        inner.unpipe(socket)
        inner.once('data', (bytes: Buffer) => {
          socket.write(bytes.subarray(0, choice.below(bytes.length + 1)))
          if (choice.below(2) === 0) socket.resetAndDestroy()
          else socket.end(() => socket.destroy())
        })
        inner.resume()
      }
    },
    close() {
      server.close()
      for (const pair of pairs) for (const each of pair) each.destroy()
    }
  }
}

/** What happened to somebody, and when; with Redis, when it was there again. */
interface Fault {
  readonly what: string
  readonly at: number
  /** The producer that it was done to. */
  readonly victim?: Party
  readonly isOfRedis?: boolean
}

/** What happens to whom, at random, until all is over. */
async function chaos(
  choice: Choice,
  redis: RedisServer,
  cut: () => void,
  producers: () => Party[],
  isOver: () => boolean
): Promise<Fault[]> {
  const faults: Fault[] = []
  while (!isOver()) {
    await wait(200 + choice.below(400))
    const victims = producers()
    const victim = victims[choice.below(victims.length || 1)]
    const kind = choice.below(10)
    if (kind < 1 && victim?.hasBegun) {
      victim.kill()
      faults.push({ what: 'producers killed', at: Date.now(), victim })
    } else if (kind < 3 && victim?.hasBegun) {
      victim.process.kill('SIGSTOP')
      setTimeout(() => victim.process.kill('SIGCONT'), lease * 2)
      faults.push({ what: 'producers stopped and woken', at: Date.now(), victim })
    } else if (kind < 4) {
      await redis.kill()
      await wait(choice.below(500))
      await redis.start()
      faults.push({ what: 'Redis killed and started again', at: Date.now(), isOfRedis: true })
    } else if (kind < 5) {
      redis.signal('SIGSTOP')
      await wait(choice.below(1000))
      redis.signal('SIGCONT')
      faults.push({ what: 'Redis stopped and woken', at: Date.now(), isOfRedis: true })
    } else {
      cut()
      faults.push({ what: 'connections cut', at: Date.now() })
    }
  }
  return faults
}

/** How a reader has ended. One that has not, long after it must have, is told with what it has not read. */
async function endOf(reader: Party): Promise<unknown> {
  const late = new AbortController()
  const tooLong = wait(60_000, 'late', { signal: late.signal }).catch(() => {})
  const end = await Promise.race([reader.ended, tooLong])
  late.abort()
  if (end !== 'late') return end
  const missing = reader.ids.filter(id => !reader.reports.has(id))
  throw new Error(
    `the reader ${reader.process.pid} has not ended, and not read ${missing.join(', ') || 'nothing'}`
  )
}

describe('answers in Redis', () => {
  it('are read whole, or up to where they were broken off, whoever dies', async function () {
    if (!redisProgram) return this.skip()
    const choice = new Choice('resumable')
    const ids = Array.from({ length: cases(1000, 100) }, (_, place) => `answer-${place}`)
    const redis = await startRedis({ appendOnly: true })
    const proxy = await proxyTo(redis.port)
    const task: Task = {
      role: 'follow',
      client: 'redis',
      port: proxy.port,
      ids: [],
      pace: 20,
      lease,
      longestStay: 25
    }
    const readersOf = new Map<Party, Party[]>()
    const producers: Party[] = []
    const running = () =>
      producers.filter(({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null)
    let isOver = false
    const storm = chaos(
      choice,
      redis,
      () => proxy.cut(choice),
      running,
      () => isOver
    )
    const together = isShort ? 25 : 50
    for (let at = 0; at < ids.length; at += together) {
      const own = ids.slice(at, at + together)
      const client = clientNames[(at / together) % 2] ?? 'redis'
      const producer = party({ ...task, role: 'publish', client, ids: own })
      readersOf.set(
        producer,
        clientNames.map(name => party({ ...task, client: name, ids: own }))
      )
      producers.push(producer)
      // Four at a time.
      while (running().length >= 4) await Promise.race(running().map(each => each.ended))
    }
    await Promise.all(producers.map(each => each.ended))
    isOver = true
    const faults = await storm
    for (const reader of [...readersOf.values()].flat()) expect(await endOf(reader)).to.deep.equal([0, null])

    const outcomes: Record<string, number> = {}
    /** How long readers waited for a silent producer, while Redis was there, in milliseconds; and whether in peace. */
    const waits: { time: number; isInPeace: boolean }[] = []
    for (const producer of producers) {
      for (const id of producer.ids) {
        const { pieces } = answerOf(id)
        const reports = (readersOf.get(producer) ?? []).map(reader => reader.reports.get(id) as Report)
        const [first] = reports
        const own = producer.reports.get(id)?.code ?? 'killed'
        for (const { code, size, hash } of reports) {
          expect(hash, `what a reader has of ${id}`).to.equal(hashOf(pieces, size))
          if (code === 'complete') expect(size, id).to.equal(sizeOf(pieces))
          // The log has ended once, for everybody.
          expect({ code, size }, JSON.stringify(reports)).to.deep.equal({
            code: first?.code,
            size: first?.size
          })
          if (own === 'complete') expect(code, id).to.equal('complete')
          // Whoever has ended it takes his own ending for nobody else's. While Redis is away, he may not hear of it.
          else if (code === 'complete') expect(own, id).to.not.match(/ABANDONED|STOPPED|PUBLISHED/)
        }
        if (first?.code === 'CS_ERR_ABANDONED')
          for (const { at } of reports) {
            const before = faults.filter(fault => fault.at < at)
            // Whoever was hit last, the producer or Redis: only then begins what a reader has to wait for.
            const from = before.findLast(fault => fault.victim === producer || fault.isOfRedis)?.at ?? 0
            const isInPeace = !before.some(fault => fault.at > from && fault.what === 'connections cut')
            waits.push({ time: at - from, isInPeace })
          }
        const outcome = `producer ${own}, readers ${first?.code}`
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      }
    }
    const count: Record<string, number> = {}
    for (const { what } of faults) count[what] = (count[what] ?? 0) + 1
    console.log(count, outcomes)
    for (const isInPeace of [true, false]) {
      const times = waits.filter(each => each.isInPeace === isInPeace).map(({ time }) => time)
      const prompt = times.filter(time => time <= lease + 1000).length
      console.log(
        `${prompt} of ${times.length} waits for a silent producer, ${isInPeace ? 'in peace' : 'while connections were cut'}, were within the lease and a second, the longest ${Math.max(0, ...times)} ms; lease ${lease} ms`
      )
    }
    const client = await clientFor('redis', redis.port)
    for (const id of ids) {
      const log = (await client.command('XRANGE', `completion-streams:log:${id}`, '-', '+')) as [
        string,
        string[]
      ][]
      expect(log.filter(([, fields]) => fields[0] === 'end')).to.have.length(log.length === 0 ? 0 : 1)
    }
    client.close()
    proxy.close()
    await redis.stop()
  })
})

import { finished } from 'node:stream/promises'
import { expect } from 'chai'
import { follow, publish, type RedisClient } from 'completion-streams/redis'
import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster, createSentinel, TimeoutError } from 'redis'
import { inTime } from '#lib/in-time.js'
import { connectLike, Outage } from '#lib/redis/connection.js'
import { failureOf } from '../helpers.js'
import { clientFor, clientNames, redisProgram, startRedis } from '../redis-server.js'
import { expectToPass } from './passing.js'

describe('the connection to Redis', () => {
  it('is followed where ioredis puts a prefix before each key', async function () {
    if (!redisProgram) return this.skip()
    await using server = await startRedis()
    const redis = new Redis(server.port, '127.0.0.1', { keyPrefix: 'app:' })
    await expectToPass(redis)
    redis.disconnect()
  })

  it('has no prefix before each key where the client has no such option', async function () {
    if (!redisProgram) return this.skip()
    await using server = await startRedis()
    // What is no option of this client is passed on by some who use either.
    const options = { url: server.url, keyPrefix: 'app:' }
    const redis = await createClient(options).connect()
    await expectToPass(redis)
    redis.destroy()
  })

  it('waits in Redis for longer than the client lets a command take', async function () {
    if (!redisProgram) return this.skip()
    await using server = await startRedis()
    const redis = await createClient({ url: server.url, commandOptions: { timeout: 200 } }).connect()
    const ioredis = new Redis(server.port, '127.0.0.1', { commandTimeout: 200 })
    await ioredis.xadd('completion-streams:log:a', '1-0', 'version', '1', 'producer', 'p', 'lease', '100')
    // Nobody writes to it any more, as a read that waits finds out.
    for (const each of [redis, ioredis])
      expect(await failureOf(finished(follow(each, 'a').resume()))).to.have.property(
        'code',
        'CS_ERR_ABANDONED'
      )
    redis.destroy()
    ioredis.disconnect()
  })

  it('is not over one of several: pools, clusters and sentinels are refused', () => {
    const clients = [
      createClientPool(),
      createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }),
      createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] }),
      new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })
    ]
    for (const client of clients)
      expect(() => publish(client as never, 'an-answer')).to.throw(/no pool, cluster or sentinel/)
  })

  for (const name of clientNames) {
    it(`is closed while it opens too, though the client never replies again, with ${name}`, async function () {
      if (!redisProgram) return this.skip()
      await using server = await startRedis()
      const client = await clientFor(name, server.port)
      const other = await clientFor('redis', server.port)
      let asked = () => {}
      const isAsked = new Promise<void>(resolve => {
        asked = resolve
      })
      const silent = () => {
        asked()
        return new Promise<unknown>(() => {})
      }
      const duplicate = (options: object) => (client.redis.duplicate as (options: object) => unknown)(options)
      const redis = {
        [name === 'redis' ? 'sendCommand' : 'call']: silent,
        duplicate
      } as unknown as RedisClient
      const connection = connectLike(redis)
      await isAsked
      client.close()
      connection.close()
      expect(await failureOf(connection.opened)).to.have.property(
        'message',
        'the connection to Redis was lost'
      )
      // Redis hears of it a moment later.
      const clients = async () =>
        String(await other.command('CLIENT', 'LIST'))
          .trim()
          .split('\n')
      while ((await clients()).length > 1);
      other.close()
    })
  }

  it('is waited for no longer than it may be away, by what comes next neither', async () => {
    const outage = new Outage(30)
    const failure = await failureOf(outage.bridge(() => new Promise(() => {})))
    expect(failure).to.have.property('code', 'CS_ERR_STALLED')
    expect(outage.left).to.be.at.most(0)
    // A client may have a time of its own, which says no more, and which counts from when the command was sent.
    const slow = new Outage(60)
    const late = () => inTime(new Promise(() => {}), 40, () => new TimeoutError())
    expect(await failureOf(slow.bridge(late))).to.have.property('code', 'CS_ERR_STALLED')
    // When it is back, it may be away for as long again.
    await outage.bridge(() => Promise.resolve())
    expect(outage.left).to.equal(30)
  })

  it('has a reply in time that came while the process stood still', async function () {
    if (!redisProgram) return this.skip()
    await using server = await startRedis()
    const client = await clientFor('redis', server.port)
    const reply = new Outage(20).bridge(() => client.command('PING'))
    // The command leaves behind this turn, and the reply comes within the next.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200))
    expect(await reply).to.equal('PONG')
    client.close()
  })
})

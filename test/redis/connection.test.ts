import { expect } from 'chai'
import { publish } from 'completion-streams/redis'
import { Cluster, Redis } from 'ioredis'
import { createClientPool, createCluster } from 'redis'
import { Outage } from '#lib/redis/connection.js'
import { failureOf } from '../helpers.js'
import { redisProgram, startRedis } from '../redis-server.js'
import { expectToPass } from './passing.js'

describe('the connection to Redis', () => {
  it('is followed where ioredis puts a prefix before each key', async function () {
    if (!redisProgram) return this.skip()
    await using server = await startRedis()
    const redis = new Redis(server.port, '127.0.0.1', { keyPrefix: 'app:' })
    await expectToPass(redis)
    redis.disconnect()
  })

  it('is not over one of several: pools and clusters are refused', () => {
    const clients = [
      createClientPool(),
      createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] }),
      new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })
    ]
    for (const client of clients)
      expect(() => publish(client as never, 'an-answer')).to.throw(/no pool or cluster/)
  })

  it('is waited for no longer than it may be away, by what comes next neither', async () => {
    const outage = new Outage(30)
    const failure = await failureOf(outage.bridge(() => new Promise(() => {})))
    expect(failure).to.have.property('code', 'CS_ERR_STALLED')
    expect(outage.left).to.be.at.most(0)
    // When it is back, it may be away for as long again.
    await outage.bridge(() => Promise.resolve())
    expect(outage.left).to.equal(30)
  })
})

import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Queue } from 'bullmq'
import { expect } from 'chai'
import { drain } from 'completion-streams'
import { fromQueue, toQueue, workOn } from 'completion-streams/bullmq'
import { script, serveCompletions } from 'completion-streams/testing'
import { expectEachOnce, killedBatch } from '../bullmq/workers.js'
import { clientOf } from '../helpers.js'
import { redisProgram, startRedis } from '../redis-server.js'
import { Choice, cases } from './choice.js'

describe('batches over BullMQ', () => {
  it('lose no row and double none, whatever is killed', async function () {
    if (!redisProgram) return this.skip()
    const choice = new Choice('bullmq')
    const [rows, kills] = [cases(2000, 100), cases(10, 3)]
    const survived = await killedBatch(rows, kills, limit => choice.below(limit))
    expectEachOnce(survived, rows)
    console.log(
      `${rows} rows, ${kills} workers killed, Redis once: ${survived.requests - rows} requests beyond one for each row, ${survived.repeated} rows begun again`
    )
    expect(survived.requests - rows).to.be.at.most(kills * 4 + survived.repeated)
  })

  it('keep their limits over all workers, and use them', async function () {
    if (!redisProgram) return this.skip()
    const seconds = cases(60, 10)
    const perMinute = 1200
    const redis = await startRedis()
    await using server = await serveCompletions({ script: script('yes'), speed: Infinity })
    const connection = { host: '127.0.0.1', port: redis.port }
    const name = `rows-${randomUUID()}`
    const queue = new Queue(name, { connection })
    const run = 'limits'
    const input = Readable.from(
      Array.from({ length: (perMinute / 60) * (seconds + 30) }, (_, id) => ({ id }))
    )
    await pipeline(input, toQueue(queue, { run }))
    const paramsOf = ({ id }: { id: number }) => ({
      model: 'm',
      messages: [{ role: 'user' as const, content: String(id) }]
    })
    const start = () =>
      workOn(name, clientOf(server), paramsOf, { connection, limits: { requests: perMinute } })
    const workers = [start(), start(), start()]
    const leave = new AbortController()
    const reading = pipeline(fromQueue(queue, { run, signal: leave.signal }), drain()).catch(() => {})
    // Until each knows of the others.
    await new Promise(resolve => setTimeout(resolve, 3000))
    const before = server.requests.length
    await new Promise(resolve => setTimeout(resolve, seconds * 1000))
    const share = (server.requests.length - before) / ((perMinute / 60) * seconds)
    console.log(`three workers used ${(share * 100).toFixed(1)} % of what is allowed`)
    expect(share).to.be.within(0.9, 1.001)
    leave.abort()
    await reading
    await Promise.all(workers.map(worker => worker.close()))
    await queue.close()
    await redis.stop()
  })
})

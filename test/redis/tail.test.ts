import { expect } from 'chai'
import type { RawEntry } from '#lib/redis/log.js'
import { Tail, type Waiter } from '#lib/redis/tail.js'
import { clientFor, clientNames, redisProgram, startRedis } from '../redis-server.js'

/** Waits at the end of a stream. */
function waiterOf(
  key: string,
  take: (entries: readonly RawEntry[]) => void,
  fail = (_error: Error) => {}
): Waiter {
  return { key, last: '0-0', take, fail, onOutage: () => {}, onReturn: () => {} }
}

describe('the read that all readers share', () => {
  for (const name of clientNames) {
    it(`is not begun where all have left while its connection was opened, with ${name}`, async function () {
      if (!redisProgram) return this.skip()
      await using server = await startRedis()
      const client = await clientFor(name, server.port)
      const tail = new Tail(client.redis)
      tail.retain()
      const early = waiterOf('early', () => {})
      tail.add(early)
      // By then it opens its connection.
      await new Promise(resolve => setImmediate(resolve))
      tail.remove(early)
      // The last that it asks before it reads.
      while (!/cmd=(info|xread)/.test(String(await client.command('CLIENT', 'LIST'))));
      const entries = new Promise<readonly RawEntry[]>((resolve, reject) => {
        tail.add(waiterOf('late', resolve, reject))
      })
      await client.command('XADD', 'late', '1-0', 'a', 'b')
      expect(await entries).to.deep.equal([{ id: '1-0', fields: { a: 'b' } }])
      // Redis counts what it has refused.
      expect(String(await client.command('INFO', 'commandstats'))).to.match(
        /cmdstat_xread:.*rejected_calls=0,failed_calls=0/
      )
      tail.release()
      client.close()
    })
  }
})

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { expect } from 'chai'
import type { RowRecord } from 'completion-streams'
import { fromQueue, toQueue } from 'completion-streams/bullmq'
import { script, serveCompletions } from 'completion-streams/testing'
import { startRedis } from '../redis-server.js'

/** What became of a batch whose workers, and whose Redis, were killed. */
export interface Survived {
  readonly records: RowRecord<{ id: number }>[]
  /** Rows that a worker had begun before. */
  readonly repeated: number
  readonly requests: number
}

/**
 * Rows for three workers in processes of their own. After each part of the records, one of the workers is killed and started
 * again; and once Redis is.
 */
export async function killedBatch(
  rows: number,
  kills: number,
  choose: (limit: number) => number
): Promise<Survived> {
  const redis = await startRedis({ appendOnly: true })
  await using server = await serveCompletions({
    script: ({ body }) => script(`answer to ${String((body.messages as { content: string }[])[0]?.content)}`),
    speed: Infinity
  })
  const connection = { host: '127.0.0.1', port: redis.port }
  const queue = new Queue('rows', { connection })
  queue.on('error', () => {})
  const run = 'killed'
  const workers: ChildProcess[] = []
  const startWorker = async (place: number) => {
    const child = fork(
      new URL('worker.child.js', import.meta.url),
      [String(redis.port), server.url, '1000'],
      {
        env: { ...process.env, NODE_V8_COVERAGE: undefined }
      }
    )
    workers[place] = child
    await once(child, 'message')
  }
  await Promise.all([0, 1, 2].map(startWorker))
  const input = Readable.from(Array.from({ length: rows }, (_, id) => ({ id })))
  await pipeline(input, toQueue(queue, { run, key: ({ id }: { id: number }) => `row-${id}` }))
  const records: RowRecord<{ id: number }>[] = []
  const source = fromQueue<{ id: number }>(queue, { run })
  let killed = 0
  const sink = new Writable({
    objectMode: true,
    highWaterMark: 1,
    async write(record, _encoding, callback) {
      records.push(record)
      if (killed < kills && records.length >= ((killed + 1) * rows) / (kills + 2)) {
        killed++
        const place = choose(3)
        workers[place]?.kill('SIGKILL')
        await startWorker(place)
        if (killed === Math.ceil(kills / 2)) {
          await redis.kill()
          await wait(choose(100))
          await redis.start()
        }
      }
      callback()
    }
  })
  await pipeline(source, sink)
  for (const worker of workers) worker.disconnect()
  await Promise.all(workers.map(worker => once(worker, 'exit')))
  await queue.close()
  await redis.stop()
  expect(killed).to.equal(kills)
  return { records, repeated: source.repeated, requests: server.requests.length }
}

export function expectEachOnce({ records }: Survived, rows: number): void {
  const keys = Array.from({ length: rows }, (_, id) => `row-${id}`)
  expect(records.map(({ key }) => key).sort()).to.deep.equal(keys.sort())
  for (const { key, row, text, error } of records) {
    expect(error, key).to.equal(undefined)
    expect(text).to.equal(`answer to row ${row.id}`)
    expect(key).to.equal(`row-${row.id}`)
  }
}

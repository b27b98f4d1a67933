import { redisProgram, startRedis } from '../redis-server.js'
import { reportOf, start } from './child.js'
import { type Table, verdict } from './measure.js'

const seconds = '10'

/** What answers cost that go through Redis. */
export async function answersInRedis(): Promise<Table> {
  const notes = [
    `Redis 7, one process that publishes the answers at 50 chunks a second each, and one that follows each of them twice, on this machine; ${seconds} seconds. The share of a core is that of each process, the making of the chunks included, which is the last row.`,
    'Late: milliseconds from the moment at which a chunk is made to that at which a reader has it; `publish` gathers for 45 ms.'
  ]
  const columns = [
    'answers',
    'readers',
    'publisher, of a core',
    'reader, of a core',
    'late, median',
    '99th percentile',
    'most'
  ]
  const rows: string[][] = []
  if (!redisProgram)
    return { title: 'Answers in Redis', notes: ['redis-server is not installed.'], columns, rows }
  for (const count of [50, 500]) {
    const redis = await startRedis()
    const reader = start('redis.child.js', 'follow', String(redis.port), String(count), seconds)
    const publisher = start('redis.child.js', 'publish', String(redis.port), String(count), seconds)
    const [read, published] = await Promise.all([reportOf(reader), reportOf(publisher)])
    const { p50 = Number.NaN, p99 = Number.NaN, max = Number.NaN, share = Number.NaN } = read
    const shares = [published.share ?? Number.NaN, share].map(each => verdict(each, 0.5))
    rows.push([
      String(count),
      String(count * 2),
      ...shares,
      p50.toFixed(0),
      verdict(p99, 100),
      max.toFixed(0)
    ])
    await redis.stop()
  }
  const redis = await startRedis()
  const { share = Number.NaN } = await reportOf(
    start('redis.child.js', 'source', String(redis.port), '500', seconds)
  )
  rows.push(['500 that go nowhere', '', share.toFixed(2), '', '', '', ''])
  await redis.stop()
  return { title: 'Answers in Redis', notes, columns, rows }
}

/** What readers cost that wait. */
export async function idleFollowers(): Promise<Table> {
  const columns = ['readers', 'KB each', 'of a core']
  const title = 'Readers in Redis that wait'
  const rows: string[][] = []
  if (!redisProgram) return { title, notes: ['redis-server is not installed.'], columns, rows }
  for (const count of [1000, 10_000]) {
    const redis = await startRedis()
    const { kilobytes = Number.NaN, share = Number.NaN } = await reportOf(
      start('redis.child.js', 'idle', String(redis.port), String(count), '5')
    )
    rows.push([String(count), kilobytes.toFixed(1), share.toFixed(2)])
    await redis.stop()
  }
  return {
    title,
    notes: [
      'One process with so many readers, each of another answer, none of which comes: memory and processor time of the process.'
    ],
    columns,
    rows
  }
}

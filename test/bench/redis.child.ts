import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { drain, stage } from 'completion-streams'
import { follow, publish } from 'completion-streams/redis'
import { clientFor } from '../redis-server.js'
import { report } from './child.js'

const [role, port, given, seconds] = process.argv.slice(2)
const count = Number(given)
const { redis, close } = await clientFor('redis', Number(port))
const ids = Array.from({ length: count }, (_, place) => `answer-${place}`)

/** Fifty chunks a second, each with the moment at which it was made. */
async function* chunks(): AsyncGenerator<object> {
  // Answers do not all begin at the same moment.
  await wait(Math.random() * 2000)
  const end = performance.now() + Number(seconds) * 1000
  for (let due = performance.now(); due < end; due += 20) {
    await wait(Math.max(due - performance.now(), 0))
    yield {
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: { content: ' word' }, finish_reason: null }],
      at: Date.now()
    }
  }
}

if (role === 'publish') {
  const start = process.cpuUsage()
  const began = performance.now()
  await Promise.all(ids.map(id => pipeline(Readable.from(chunks()), publish(redis, id))))
  const { user, system } = process.cpuUsage(start)
  report({ share: (user + system) / 1000 / (performance.now() - began) })
} else if (role === 'source') {
  // What the making of the chunks takes by itself.
  const start = process.cpuUsage()
  const began = performance.now()
  await Promise.all(ids.map(() => pipeline(Readable.from(chunks()), drain())))
  const { user, system } = process.cpuUsage(start)
  report({ share: (user + system) / 1000 / (performance.now() - began) })
} else if (role === 'follow') {
  const late: number[] = []
  const start = process.cpuUsage()
  const began = performance.now()
  const look = () =>
    stage<{ at: number }, never>({
      transform(chunk) {
        late.push(Date.now() - chunk.at)
      }
    })
  await Promise.all([...ids, ...ids].map(id => pipeline(follow(redis, id), look().resume())))
  const { user, system } = process.cpuUsage(start)
  late.sort((one, other) => one - other)
  const at = (share: number) => late[Math.ceil(late.length * share) - 1] ?? Number.NaN
  report({
    share: (user + system) / 1000 / (performance.now() - began),
    chunks: late.length,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1)
  })
} else {
  // Readers of answers that nobody begins.
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  const leave = new AbortController()
  const all = ids.map(id =>
    pipeline(follow(redis, id, { first: Infinity, signal: leave.signal }), drain()).catch(() => {})
  )
  await wait(2000)
  const start = process.cpuUsage()
  const began = performance.now()
  await wait(Number(seconds) * 1000)
  const { user, system } = process.cpuUsage(start)
  const share = (user + system) / 1000 / (performance.now() - began)
  globalThis.gc?.()
  const kilobytes = (process.memoryUsage().rss - before) / 1024 / count
  leave.abort()
  await Promise.all(all)
  report({ share, kilobytes })
}
close()

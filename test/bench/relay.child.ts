// A relay: a server that asks a provider for each request, in one of the ways of relay-ways.ts. To profile one way:
//
//     node --cpu-prof --cpu-prof-dir=/tmp build/test/bench/relay.child.js request 450 1000
//
// The name of the way, the tokens of an answer (default: 450), and how many answers there are in each of five rounds (default:
// 500), 100 of them at once. It starts its provider and its readers in a process of their own, prints the processor
// time of each round, and ends by itself, in good order, so that the profile is written; on SIGTERM, SIGINT or the end of its
// parent as well.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Load, Seen } from './relay-load.child.js'
import { ways } from './relay-ways.js'

/** What the parent asks for: a load, without the port, and whether to look at the memory while answers are held. */
export type Task = Omit<Load, 'port'>

/** What a relay says of itself. */
export interface Cost extends Seen {
  /** Microseconds of processor time, of user and system. */
  readonly cpu: number
  /** Milliseconds. */
  readonly elapsed: number
  /** Bytes of each open answer, where answers are held. */
  readonly heapEach: number
  readonly residentEach: number
}

const [name = '', tokens = '450', answers = '500'] = process.argv.slice(2)
const named = ways.get(name)
if (!named) throw new Error(`${name} is no way to relay; there are ${[...ways.keys()].join(', ')}`)

// Without the flags of this process, which may be those of a profiler.
const load = fork(new URL('relay-load.child.js', import.meta.url), { execArgv: [] })
const [providerPort] = await once(load, 'message')
const relay = await named.make(`http://127.0.0.1:${providerPort}`)

const server = createServer(async (request, response) => {
  const question = decodeURIComponent(request.url?.slice(1) ?? '')
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  try {
    await relay(question, response)
  } catch (error) {
    console.error(error)
    response.destroy()
  }
})
server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
const { port } = server.address() as AddressInfo

async function perform(task: Task): Promise<Cost> {
  const idle = task.holdAt === undefined ? undefined : await memory()
  const before = process.cpuUsage()
  const began = performance.now()
  load.send({ ...task, port })
  let open = idle
  if (idle) {
    await once(load, 'message')
    open = await memory()
    load.send('release')
  }
  const [seen] = await once(load, 'message')
  const { user, system } = process.cpuUsage(before)
  return {
    ...seen,
    cpu: user + system,
    elapsed: performance.now() - began,
    heapEach: ((open?.heap ?? 0) - (idle?.heap ?? 0)) / task.answers,
    residentEach: ((open?.resident ?? 0) - (idle?.resident ?? 0)) / task.answers
  }
}

async function memory(): Promise<{ heap: number; resident: number }> {
  for (let turn = 0; turn < 5; turn++) {
    await setImmediate()
    globalThis.gc?.()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, resident: rss }
}

/** Ends on its own terms, so that Node writes the profile. */
function leave(): never {
  load.kill()
  process.exit()
}

process.on('SIGTERM', leave).on('SIGINT', leave).on('disconnect', leave)
load.on('exit', leave)
if (process.send) {
  process.on('message', async (task: Task) => process.send?.(await perform(task)))
  process.send(load.pid)
} else {
  for (let round = 1; round <= 5; round++) {
    const { cpu, elapsed } = await perform({
      tokens: Number(tokens),
      answers: Number(answers),
      atOnce: 100
    })
    const each = cpu / Number(answers) / Number(tokens)
    const busy = ((cpu / elapsed / 1000) * 100).toFixed(0)
    console.log(`${name}, round ${round}: ${each.toFixed(2)} µs a token, ${busy} % of a core`)
  }
  leave()
}

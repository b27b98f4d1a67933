/**
 * A process that publishes answers, or follows them. It is told in its first argument what to do, and says on its standard
 * output that it has begun one, and what became of each, in lines of JSON.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { follow, publish } from 'completion-streams/redis'
import { type ClientName, clientFor } from '../redis-server.js'
import { answerOf, hashOf, sizeOf } from './answers.js'

export interface Task {
  role: 'publish' | 'follow'
  client: ClientName
  port: number
  ids: readonly string[]
  /** Milliseconds between two pieces. */
  pace: number
  lease: number
  /** How many items a reader takes before it leaves and comes back, at the most. */
  longestStay: number
}

export interface Report {
  id: string
  code: string
  /** What the error says. */
  message: string | undefined
  /** Of a reader: what it has. */
  size: number
  hash: string
  /** When it was over. */
  at: number
}

/** How long Redis may be away, in milliseconds: for as long as connections are cut faster than they can be opened, on a busy machine. */
const maxOutage = 120_000

const { role, client: name, port, ids, pace, lease, longestStay } = JSON.parse(process.argv[2] ?? '') as Task
const client = await clientFor(name, port)

function report(id: string, error: unknown, items: readonly unknown[]): void {
  const { code, message } = (error ?? { code: 'complete' }) as { code?: string; message?: string }
  const line: Report = {
    id,
    code: code ?? message ?? '',
    message,
    size: sizeOf(items),
    hash: hashOf(items),
    at: Date.now()
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function* slowly(pieces: readonly unknown[]): AsyncGenerator<unknown> {
  for (const piece of pieces) {
    await wait(pace)
    yield piece
  }
}

async function publishOne(id: string): Promise<void> {
  process.stdout.write('begun\n')
  const source = Readable.from(slowly(answerOf(id).pieces))
  const error = await pipeline(source, publish(client.redis, id, { lease, maxOutage })).catch(
    failure => failure
  )
  report(id, error, [])
}

/** Leaves and comes back again and again. */
async function followOne(id: string): Promise<void> {
  const items: unknown[] = []
  let stay = 1
  for (;;) {
    let taken = 0
    try {
      // A producer that is stopped again and again, while Redis is away, may take its time to begin.
      const after = `1-${sizeOf(items)}`
      for await (const item of follow(client.redis, id, { after, first: 30_000, maxOutage })) {
        items.push(item)
        if (++taken === stay) break
      }
    } catch (error) {
      return report(id, error, items)
    }
    if (taken < stay) return report(id, undefined, items)
    stay = (stay % longestStay) + 1
  }
}

await Promise.all(ids.map(role === 'publish' ? publishOne : followOne))
client.close()

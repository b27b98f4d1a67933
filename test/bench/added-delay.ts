import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks, toText } from 'completion-streams'
import { start } from './child.js'
import { quantile, type Table, verdict } from './measure.js'

/** What the goal speaks of, and before it what more machines can do. */
const goalStreams = 1000
const streamCounts = [200, 500, goalStreams]
const tokensPerSecond = 50
const seconds = 8
/** Connecting, and code that is not compiled yet, take the machine for themselves at first. */
const warmUpSeconds = 3
const rounds = 3
/** Below this share of the tokens that were due, or with a longer delay than from one token to the next, the machine is what is measured. */
const leastShare = 0.95
const longestDelay = 1000 / tokensPerSecond

/** The time from the server's write to the sink: with the library's stages, with two that do nothing, and with none. */
export async function addedDelay(): Promise<Table> {
  const rows: string[][] = []
  for (const streams of streamCounts) {
    const bare: Delays[] = []
    const empty: Delays[] = []
    const full: Delays[] = []
    for (let round = 0; round < rounds; round++) {
      bare.push(await delays(streams, bareSink))
      empty.push(await delays(streams, throughNothing))
      full.push(await delays(streams, throughStages))
    }
    const added = p99(full) - p99(bare)
    const isMeasured = rateOf(bare) >= leastShare * streams * tokensPerSecond && p99(bare) <= longestDelay
    const result = streams === goalStreams ? verdict(added, 5) : added.toFixed(3)
    const told = isMeasured ? result : `${result}, on a machine that is too slow for this`
    rows.push(
      rowOf(streams, 'source, sink', bare, ''),
      rowOf(streams, 'source, two empty stages, sink', empty, (p99(empty) - p99(bare)).toFixed(3)),
      rowOf(streams, 'source, `toChunks`, `toText`, sink', full, told)
    )
  }
  return {
    title: 'Added delay',
    notes: [
      `Milliseconds from the server's write to the sink, for many streams at once on loopback, ${tokensPerSecond} tokens a second each; what is written in the first ${warmUpSeconds} s of ${seconds} is not counted. Medians of ${rounds} rounds. The server is a process of its own, on the same processor. The sources are sockets that carry the events alone, since an HTTP client takes as much of the processor as the stages do. Without the stages, the sink searches the bytes for the time that they were written; two stages that only hand on what they are given show which part of what is added is that of Node's streams. Where without stages less than ${leastShare * 100} % of the tokens arrive in time, or the 99th percentile is above ${longestDelay} ms, the machine has more to do than it can, and all that is added becomes waiting.`
    ],
    columns: ['streams', 'pipeline', 'tokens a second: due', 'arrived', 'median', '99th percentile', 'added'],
    rows
  }
}

function rowOf(streams: number, name: string, all: Delays[], added: string): string[] {
  const typical = median(all.map(({ sorted }) => quantile(sorted, 0.5)))
  const rates = [streams * tokensPerSecond, rateOf(all)].map(rate => rate.toFixed(0))
  return [String(streams), name, ...rates, typical.toFixed(2), p99(all).toFixed(2), added]
}

function p99(all: Delays[]): number {
  return median(all.map(({ sorted }) => quantile(sorted, 0.99)))
}

function rateOf(all: Delays[]): number {
  return median(all.map(({ perSecond }) => perSecond))
}

function median(numbers: number[]): number {
  return quantile(
    numbers.sort((a, b) => a - b),
    0.5
  )
}

interface Delays {
  /** In milliseconds, in order. */
  readonly sorted: readonly number[]
  /** How many tokens arrived in a second: fewer than were to be sent means that the machine was too slow for this. */
  readonly perSecond: number
}

type Consume = (source: Socket, onToken: (writtenAt: string) => void) => Promise<void>

const bareSink: Consume = (source, onToken) => pipeline(source, bytesSink(onToken))

const throughNothing: Consume = (source, onToken) =>
  pipeline(source, emptyStage(), emptyStage(), bytesSink(onToken))

function bytesSink(onToken: (writtenAt: string) => void): Writable {
  return new Writable({
    write(bytes: Buffer, _encoding, callback) {
      for (const [, writtenAt] of bytes.toString('latin1').matchAll(/"content":"(\d+)/g))
        onToken(writtenAt as string)
      callback()
    }
  })
}

/** In object mode on both sides, as the library's stages are. */
function emptyStage(): Transform {
  return new Transform({
    objectMode: true,
    transform(bytes: Buffer, _encoding, callback) {
      callback(null, bytes)
    }
  })
}

const throughStages: Consume = (source, onToken) =>
  pipeline(
    source,
    toChunks(),
    toText(),
    new Writable({
      objectMode: true,
      write(writtenAt: string, _encoding, callback) {
        onToken(writtenAt)
        callback()
      }
    })
  )

async function delays(streams: number, consume: Consume): Promise<Delays> {
  const server = start('added-delay.child.js', String(tokensPerSecond), String(seconds))
  const [port] = await once(server, 'message')
  const found: number[] = []
  let countFrom: bigint | undefined
  let lastAt = 0n
  const one = () =>
    consume(connect(port, '127.0.0.1'), text => {
      const now = process.hrtime.bigint()
      const writtenAt = BigInt(text)
      countFrom ??= writtenAt + BigInt(warmUpSeconds * 1e9)
      if (writtenAt < countFrom) return
      found.push(Number(now - writtenAt) / 1e6)
      lastAt = now
    })
  await Promise.all(Array.from({ length: streams }, one))
  const perSecond = (found.length / Number(lastAt - (countFrom ?? 0n))) * 1e9
  server.kill()
  await once(server, 'exit')
  return { sorted: found.sort((a, b) => a - b), perSecond }
}

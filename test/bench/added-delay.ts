import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks, toText } from 'completion-streams'
import { start } from './child.js'
import { quantile, type Table, verdict } from './measure.js'

const streams = 1000
const tokensPerSecond = 50
const seconds = 6
const rounds = 3

/** The time from the server's write to the sink, with the library's stages and without. */
export async function addedDelay(): Promise<Table> {
  const bare: number[][] = []
  const full: number[][] = []
  for (let round = 0; round < rounds; round++) {
    bare.push(await delays(bareSink))
    full.push(await delays(throughStages))
  }
  const median = (all: number[][], share: number) =>
    quantile(
      all.map(sorted => quantile(sorted, share)).sort((a, b) => a - b),
      0.5
    )
  const row = (name: string, all: number[][]) => [
    name,
    String(Math.round(all.reduce((sum, { length }) => sum + length, 0) / all.length / seconds)),
    median(all, 0.5).toFixed(2),
    median(all, 0.99).toFixed(2)
  ]
  return {
    title: 'Added delay',
    notes: [
      `Milliseconds from the server's write to the sink, for ${streams} streams at once on loopback, ${tokensPerSecond} tokens a second each for ${seconds} s; medians of ${rounds} rounds. The server is a process of its own. Without the stages, the sink searches the bytes for the time that they were written.`
    ],
    columns: ['pipeline', 'tokens a second that arrived', 'median', '99th percentile', 'added'],
    rows: [
      [...row('source, sink', bare), ''],
      [
        ...row('source, `toChunks`, `toText`, sink', full),
        verdict(median(full, 0.99) - median(bare, 0.99), 5)
      ]
    ]
  }
}

type Consume = (response: IncomingMessage, onToken: (writtenAt: string) => void) => Promise<void>

const bareSink: Consume = (response, onToken) =>
  pipeline(
    response,
    new Writable({
      write(bytes: Buffer, _encoding, callback) {
        for (const [, writtenAt] of bytes.toString('latin1').matchAll(/"content":"(\d+)/g))
          onToken(writtenAt as string)
        callback()
      }
    })
  )

const throughStages: Consume = (response, onToken) =>
  pipeline(
    response,
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

/** The delays of all tokens, in milliseconds and in order. */
async function delays(consume: Consume): Promise<number[]> {
  const server = start('added-delay.child.js', String(tokensPerSecond), String(seconds))
  const [port] = await once(server, 'message')
  const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY })
  const found: number[] = []
  const one = async () => {
    const [response] = await once(get({ port, host: '127.0.0.1', agent }), 'response')
    await consume(response, writtenAt => {
      found.push(Number(process.hrtime.bigint() - BigInt(writtenAt)) / 1e6)
    })
  }
  await Promise.all(Array.from({ length: streams }, one))
  agent.destroy()
  server.kill()
  await once(server, 'exit')
  return found.sort((a, b) => a - b)
}

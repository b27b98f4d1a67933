import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { drain, fromResponse, record, replay } from 'completion-streams'
import { serveCompletions } from 'completion-streams/testing'
import { report } from './child.js'

const [kind, given] = process.argv.slice(2)
const count = Number(given)
const folder = await mkdtemp(join(tmpdir(), 'replay-'))
const file = join(folder, 'demo.ndjson')

const server = await serveCompletions({ speed: kind === 'at-once' ? Infinity : 1 })
const messages = [{ role: 'user', content: 'Count to 100' }]
const body = JSON.stringify({ stream: true, messages })
const source = fromResponse(signal =>
  fetch(`${server.url}/chat/completions`, { method: 'POST', body, signal })
)
await pipeline(source, record(createWriteStream(file)), drain())
await server.close()

const lines = (await readFile(file, 'utf8')).trim().split('\n')
const pieces = lines
  .map(line => JSON.parse(line) as { at: number; text?: string })
  .filter(({ text }) => text !== undefined)

if (kind !== 'at-once') {
  const play = kind === 'timing' ? playedInTime : timersAlone
  const errors = (await Promise.all(Array.from({ length: count }, play))).flat()
  errors.sort((one, other) => one - other)
  const at = (share: number) => errors[Math.ceil(errors.length * share) - 1] ?? Number.NaN
  report({ pieces: errors.length, p50: at(0.5), p99: at(0.99), max: at(1) })
} else {
  const size = pieces.reduce((sum, { text = '' }) => sum + Buffer.byteLength(text), 0)
  const start = performance.now()
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 50)
  const sizes = await Promise.all(Array.from({ length: count }, playedAtOnce))
  clearInterval(watch)
  if (sizes.some(played => played !== size)) throw new Error('a recording was not played whole')
  report({ seconds: (performance.now() - start) / 1000, megabytes: peak / 1e6, kilobytes: size / 1000 })
}
await rm(folder, { recursive: true })

/** How many milliseconds each piece came before or behind its time, which counts from the first read. */
async function playedInTime(): Promise<number[]> {
  const source = replay(file)
  const read = source._read
  let start = Number.NaN
  source._read = size => {
    if (Number.isNaN(start)) start = performance.now()
    read.call(source, size)
  }
  const errors: number[] = []
  for await (const _piece of source) {
    errors.push(Math.abs(performance.now() - start - (pieces[errors.length]?.at ?? Number.NaN)))
  }
  return errors
}

/** The same with Node's timers and nothing else. */
async function timersAlone(): Promise<number[]> {
  const start = performance.now()
  const errors: number[] = []
  for (const { at } of pieces) {
    await setTimeout(at - (performance.now() - start))
    errors.push(Math.abs(performance.now() - start - at))
  }
  return errors
}

async function playedAtOnce(): Promise<number> {
  let size = 0
  for await (const piece of replay(file, { speed: Infinity })) size += piece.length
  return size
}

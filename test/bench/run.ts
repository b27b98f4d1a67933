import { writeFileSync } from 'node:fs'
import { arch, cpus, loadavg, platform, totalmem } from 'node:os'
import { addedDelay } from './added-delay.js'
import { batch } from './batch.js'
import { composed } from './composed.js'
import { elements, partials } from './elements.js'
import { encoding } from './encoding.js'
import { guardDelays } from './guards.js'
import { idle } from './idle.js'
import { largeEvent } from './large-event.js'
import { manyEvents } from './many-events.js'
import { type Table, toMarkdown } from './measure.js'
import { memory } from './memory.js'
import { openPipelines } from './open-pipelines.js'
import { payloads } from './payloads.js'
import { answersInRedis, idleFollowers } from './redis.js'
import { relay } from './relay.js'
import { replayAtOnce, replayTiming } from './replay.js'
import { stages } from './stages.js'
import { startUp } from './start.js'
import { throughput } from './throughput.js'

const benches: ReadonlyMap<string, (isShort: boolean) => Promise<Table>> = new Map([
  ['relay', relay],
  ['throughput', throughput],
  ['payloads', payloads],
  ['large-event', largeEvent],
  ['many-events', manyEvents],
  ['idle', idle],
  ['stages', stages],
  ['composed', composed],
  ['encoding', encoding],
  ['elements', elements],
  ['partials', partials],
  ['guards', guardDelays],
  ['batch', batch],
  ['memory', memory],
  ['open-pipelines', openPipelines],
  ['replay', replayTiming],
  ['replay-at-once', replayAtOnce],
  ['redis', answersInRedis],
  ['redis-idle', idleFollowers],
  ['added-delay', addedDelay],
  ['start', startUp]
])

const loadBefore = load()
const isShort = process.argv.includes('--short')
const wanted = process.argv.slice(2).filter(name => name !== '--short')
const tables: string[] = []
for (const [name, bench] of benches) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const table = toMarkdown(await bench(isShort))
  process.stdout.write(`${table}\n`)
  tables.push(table)
}
// Part of a run does not replace the results of a whole one.
if (wanted.length === 0 && !isShort) {
  const results = [caveats(), ...tables].join('\n')
  writeFileSync(new URL('../../../test/bench/RESULTS.md', import.meta.url), results)
}

function caveats(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const machine = `${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}`
  return `# Benchmark results

Written by \`npm run bench\`. The caveats first:

- One machine, one run: ${machine}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}. Other machines and other versions of Node give other numbers; the ratios travel better than the times.
- The load of the machine was ${loadBefore} before the run and ${load()} after it. Where it is more than one, something else took its share, and the spread shows it.
- The streams are made up, in the shape of what providers send. The text is as repetitive as made-up text is.
- In all but the first and the last table the bytes are in memory already. In a program the network and the model take most of the time.
- The peers run in the same process and in turn, on the same bytes, and must find the same text. They do not do the same work: only the library tells a truncated completion, or a provider's error, from an end.
- What missed its goal says so.
`
}

function load(): string {
  return (loadavg()[0] ?? Number.NaN).toFixed(1)
}

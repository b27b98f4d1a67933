/**
 * Asks for each row of a CSV file, eight at a time, with a bar on a terminal and plain lines elsewhere. Stop it with Ctrl-C and
 * start it again: what is finished is in the journal, and is not asked for again.
 */
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { SingleBar } from 'cli-progress'
import { type BatchProgress, completeEach, toNDJSON } from 'completion-streams'
import { parse } from 'csv-parse'
import OpenAI from 'openai'

interface Product {
  sku: string
  name: string
}

const total = 200
const things = ['a lamp', 'a chair', 'a door', 'a kettle', 'a bicycle']
if (!existsSync('products.csv')) {
  const lines = Array.from({ length: total }, (_, n) => `sku-${n},${things[n % things.length]}`)
  await writeFile('products.csv', `sku,name\n${lines.join('\n')}\n`)
}

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort())

const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'
/** What this model costs for a million tokens, in dollars; the answers cost the most by far. */
const price = 0.6
const show = process.stderr.isTTY ? bar() : lines()

const describe = completeEach(
  new OpenAI(),
  ({ name }: Product) => ({
    model,
    messages: [{ role: 'user', content: `Describe this product in one sentence: ${name}` }]
  }),
  {
    concurrency: 8,
    key: ({ sku }) => sku,
    journal: 'products.journal',
    total,
    signal: interrupt.signal,
    onProgress: show.update
  }
)
try {
  await pipeline(
    createReadStream('products.csv'),
    parse({ columns: true }),
    describe,
    toNDJSON(),
    createWriteStream('answers.ndjson')
  )
  show.stop()
  console.log('answers.ndjson holds an answer or an error for each row')
} catch (error) {
  show.stop()
  if (!interrupt.signal.aborted) throw error
  console.log('stopped: run it again to go on, products.journal has what is finished')
  process.exitCode = 130
}

interface Shown {
  update(progress: BatchProgress): void
  stop(): void
}

function bar(): Shown {
  const format =
    '{bar} {value}/{total}, {failed} failed, {inFlight} in flight, {tokens} tokens, ${cost}, {left} left'
  const single = new SingleBar({ format, stream: process.stderr })
  single.start(total, 0, { failed: 0, inFlight: 0, tokens: 0, cost: '0.00', left: '?' })
  return {
    update: ({ done, failed, inFlight, tokens, left }) =>
      single.update(done + failed, { failed, inFlight, tokens, cost: costOf(tokens), left: secondsOf(left) }),
    stop: () => single.stop()
  }
}

function lines(): Shown {
  return {
    update({ done, failed, tokens, left }) {
      const all = done + failed
      if (all % 50 === 0)
        console.error(
          `${all}/${total}, ${failed} failed, ${tokens} tokens, $${costOf(tokens)}, ${secondsOf(left)} left`
        )
    },
    stop() {}
  }
}

function costOf(tokens: number): string {
  return ((tokens / 1e6) * price).toFixed(2)
}

function secondsOf(left: number | undefined): string {
  return left === undefined ? '?' : `${Math.ceil(left / 1000)} s`
}

/**
 * How much time streaming saves: asks the same question whole and streamed, prints when what arrived, and draws
 * it in time-saved.svg. Both at once, so that neither finds a connection that the other has opened.
 */
import { writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, type Summary, tapSummary, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'
import { type Arrival, drawArrivals } from './time-saved/picture.js'

const client = new OpenAI()
const question = {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [
    {
      role: 'user' as const,
      content: 'Count to 100, with a comma between each number and no newlines. E.g., 1, 2, 3, ...'
    }
  ],
  temperature: 0
}
const [wholeAt, { arrivals, summary }] = await Promise.all([askWhole(), askStreamed()])

console.log('seconds  tokens  text')
for (const { at, tokens, text } of byHundredth(arrivals)) {
  console.log(`${seconds(at).padStart(7)}  ${String(tokens).padStart(6)}  ${text.trim()}`)
}
console.log(`
            first token  whole answer
streamed  ${seconds(summary?.firstToken).padStart(9)} s  ${seconds(summary?.total).padStart(10)} s
whole     ${seconds(wholeAt).padStart(9)} s  ${seconds(wholeAt).padStart(10)} s`)
await writeFile('time-saved.svg', drawArrivals(arrivals, wholeAt))
console.log('\ntime-saved.svg shows it')

/** Milliseconds until the whole answer was there. */
async function askWhole(): Promise<number> {
  const start = performance.now()
  await client.chat.completions.create(question)
  return performance.now() - start
}

async function askStreamed(): Promise<{ arrivals: Arrival[]; summary: Summary | undefined }> {
  const arrivals: Arrival[] = []
  let summary: Summary | undefined
  const request = requestCompletion(client, question)
  const start = performance.now()
  await pipeline(
    request,
    toChunks(),
    tapSummary(result => {
      summary = result
    }),
    toText(),
    async texts => {
      for await (const text of texts) {
        arrivals.push({ at: performance.now() - start, tokens: arrivals.length + 1, text })
      }
    }
  )
  return { arrivals, summary }
}

/** What arrived within the same hundredth of a second, as one. */
function byHundredth(arrivals: Arrival[]): Arrival[] {
  const groups = new Map<string, Arrival>()
  for (const arrival of arrivals) {
    const time = seconds(arrival.at)
    groups.set(time, { ...arrival, text: (groups.get(time)?.text ?? '') + arrival.text })
  }
  return [...groups.values()]
}

function seconds(milliseconds = Number.NaN): string {
  return (milliseconds / 1000).toFixed(2)
}

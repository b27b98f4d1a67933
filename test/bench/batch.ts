import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ChatOpenAI } from '@langchain/openai'
import { completeEach } from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import pMap from 'p-map'
import type { Table } from './measure.js'

const rowsAtOnce = [1, 32, 512]
const count = 2000

/** How fast rows are answered, and what each costs: all by one local server in the same process, whose share is in the cost. */
export async function batch(): Promise<Table> {
  await using server = await serveCompletions({
    script: script('A sentence of some words, which is the answer.'),
    speed: Infinity
  })
  const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
  const ids = Array.from({ length: count }, (_, id) => id)
  const messagesOf = (id: number) => [{ role: 'user' as const, content: `row ${id}` }]
  const model = new ChatOpenAI({
    model: 'm',
    apiKey: 'none',

    configuration: { baseURL: server.url }
  })
  const ways: Record<string, (concurrency: number) => Promise<unknown>> = {
    '`completeEach`': concurrency =>
      pipeline(
        Readable.from(ids),
        completeEach(client, (id: number) => ({ model: 'm', messages: messagesOf(id) }), { concurrency }),
        new Writable({ objectMode: true, write: (_record, _encoding, done) => done() })
      ),
    "`p-map` with the official SDK's stream": concurrency =>
      pMap(
        ids,
        async id => {
          let text = ''
          const stream = await client.chat.completions.create({
            model: 'm',
            messages: messagesOf(id),
            stream: true
          })
          for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
          return text
        },
        { concurrency }
      ),
    "LangChain's `.batch`, whole answers": maxConcurrency =>
      model.batch(
        ids.map(id => `row ${id}`),
        { maxConcurrency }
      )
  }
  const rows: string[][] = []
  for (const concurrency of rowsAtOnce) {
    for (const [name, run] of Object.entries(ways)) {
      await run(concurrency)
      const start = performance.now()
      const before = process.cpuUsage()
      await run(concurrency)
      const { user, system } = process.cpuUsage(before)
      const seconds = (performance.now() - start) / 1000
      rows.push([
        name,
        String(concurrency),
        (count / seconds).toFixed(0),
        ((user + system) / 1000 / count).toFixed(2)
      ])
    }
  }
  return {
    title: 'Batches',
    notes: [`${count.toLocaleString('en')} rows against a server in the same process, which does not wait.`],
    columns: ['way', 'rows at once', 'rows a second', 'ms of processor time a row, the server’s included'],
    rows
  }
}

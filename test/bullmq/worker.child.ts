/** A worker of a queue, in a process of its own. Tells its parent when it runs. */
import { workOn } from 'completion-streams/bullmq'
import OpenAI from 'openai'

const [port, url, lease] = process.argv.slice(2)
const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })
const worker = workOn(
  'rows',
  client,
  ({ id }: { id: number }) => ({ model: 'm', messages: [{ role: 'user', content: `row ${id}` }] }),
  { connection: { host: '127.0.0.1', port: Number(port) }, concurrency: 4, lease: Number(lease) }
)
process.on('disconnect', () => void worker.close())
process.send?.('runs')
await worker.ended

/** Records an answer, plays it back ten times as fast, and serves it to the official client, which has no network for it. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { drain, record, replay, requestCompletion, tee, toChunks, toText } from 'completion-streams'
import { recordedScript, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'

const question = {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [
    { role: 'user' as const, content: 'Count to 100, with a comma between each number and no newlines.' }
  ]
}
const request = requestCompletion(new OpenAI(), question)
await pipeline(request, record(createWriteStream('demo.ndjson')), toChunks(), drain())

console.log('demo.ndjson, ten times as fast:')
await pipeline(replay('demo.ndjson', { speed: 10 }), toChunks(), toText(), tee(process.stdout), drain())

console.log('\nthe official client reads it from a server on this machine:')
const server = await serveCompletions({ script: await recordedScript('demo.ndjson'), speed: Infinity })
const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
for await (const chunk of await client.chat.completions.create({ ...question, stream: true }))
  process.stdout.write(chunk.choices[0]?.delta.content ?? '')
await server.close()

console.log('\n\nnow try: npx completion-streams check demo.ndjson, replay demo.ndjson, serve demo.ndjson')

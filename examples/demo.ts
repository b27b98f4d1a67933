import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, type Summary, tapSummary, tee, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Count to 100, with a comma between each number and no newlines.' }]
})
let summary: Summary | undefined
await pipeline(
  request, // bytes, as the server sends them
  toChunks(), // the chunk objects in them
  tapSummary(result => {
    summary = result
  }),
  toText(), // the text in those
  tee(process.stdout),
  createWriteStream('answer.txt')
)
console.log('\n\nusage:', summary?.usage)
console.log(
  `first token after ${summary?.firstToken?.toFixed()} ms, all after ${summary?.total.toFixed()} ms`
)

/** Appends what each answer cost to a log. A log that cannot be written fails the pipeline: no answer goes unbilled. */
import { appendFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, tapUsage, toChunks, toText, type Usage } from 'completion-streams'
import OpenAI from 'openai'

const client = new OpenAI()
const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'

async function logUsage(usage: Usage): Promise<void> {
  await appendFile('usage.ndjson', `${JSON.stringify({ model, usage })}\n`)
}

for (const content of ["What's 1+1? Answer in one word.", 'What is a stream? Answer in sixty words.']) {
  const request = requestCompletion(client, { model, messages: [{ role: 'user', content }] })
  await pipeline(request, toChunks(), tapUsage(logUsage), toText(), process.stdout, { end: false })
  process.stdout.write('\n')
}

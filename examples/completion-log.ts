/** Logs one line of JSON per request, however it ends: a summary, and the whole completion if it came to one. */
import { appendFile } from 'node:fs/promises'
import {
  compose,
  requestCompletion,
  type Summary,
  tapSummary,
  toChunks,
  toCompletion
} from 'completion-streams'
import OpenAI from 'openai'

const client = new OpenAI()
const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'

async function ask(content: string): Promise<void> {
  const signal = AbortSignal.timeout(2000)
  const request = requestCompletion(client, { model, messages: [{ role: 'user', content }] }, { signal })
  let summary: Summary | undefined
  let completion: unknown
  const keepSummary = (result: Summary) => {
    summary = result
  }
  // With its text, so that what had arrived is in the log also when there is no whole completion.
  const tap = tapSummary(keepSummary, { text: true })
  try {
    for await (completion of compose(request, toChunks(), tap, toCompletion()));
  } catch (error) {
    console.error(`${content} ${error}`)
  }
  await appendFile('completions.ndjson', `${JSON.stringify({ summary, completion })}\n`)
}

await ask("What's 1+1? Answer in one word.")
await ask('Count to 100, with a comma between each number and no newlines.')

/** Asks for three answers at once and writes each to a file of its own. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { byChoice, requestCompletion, toChunks } from 'completion-streams'
import OpenAI from 'openai'

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'A motto for a plumber, in five words at most.' }],
  n: 3
})
const files = byChoice(index => createWriteStream(`answer-${index}.txt`))
await pipeline(request, toChunks(), files)
console.log('answer-0.txt, answer-1.txt and answer-2.txt are written')

/** Writes an answer to a file, as it arrives. If the promise resolves, the file holds the whole answer. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: "What's 1+1? Answer in one word." }]
})
try {
  await pipeline(request, toChunks(), toText(), createWriteStream('answer.txt'))
  console.log('answer.txt holds the whole answer')
} catch (error) {
  console.error('answer.txt holds what had arrived before this:', error)
  process.exitCode = 1
}

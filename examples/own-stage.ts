/** Puts a stage of one's own between the others: here one that makes text safe for an HTML page. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, tee, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'
import { objectTransform } from 'through2'

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\n': '<br>' }

// A character is never cut in two, so it does not matter where the model cuts the text.
const toHtml = objectTransform(async (text: string) =>
  text.replace(/[&<>\n]/g, found => entities[found] ?? '')
)

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Is 1 < 2? Answer as a chain of comparisons.' }]
})
await pipeline(request, toChunks(), toText(), toHtml, tee(process.stdout), createWriteStream('answer.html'))
process.stdout.write('\n')

/** Stops half way: when the reader has enough, the request is aborted, and the provider stops writing. */
import { compose, requestCompletion, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Count to 100, with a comma between each number and no newlines.' }]
})
for await (const text of compose(request, toChunks(), toText())) {
  process.stdout.write(text)
  if (text.includes('50')) break
}
console.log(`\nthat is enough; the request is ${request.destroyed ? 'aborted' : 'still running'}`)

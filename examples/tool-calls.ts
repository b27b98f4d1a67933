/** Executes each tool call as soon as it is whole, while the model still writes the next one. */
import { compose, requestCompletion, toChunks, toToolCalls } from 'completion-streams'
import OpenAI from 'openai'

const request = requestCompletion(new OpenAI(), {
  model: process.env.OPENAI_MODEL ?? 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Is it warmer in Oslo or in Rome?' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'weather',
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
      }
    }
  ]
})
const degrees = new Map([
  ['Oslo', 4],
  ['Rome', 19]
])
for await (const { id, name, arguments: text, parsed } of compose(request, toChunks(), toToolCalls())) {
  // The arguments are what a model wrote, perhaps no JSON at all: check them before use.
  const { city } = (parsed ?? {}) as { city?: unknown }
  const content = typeof city === 'string' ? `${degrees.get(city)} °C` : 'error: name a city'
  console.log(`${name}(${text}) is ${content}`)
  console.log('to send back:', { role: 'tool', tool_call_id: id, content })
}

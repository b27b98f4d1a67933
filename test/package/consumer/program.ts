import { createWriteStream } from 'node:fs'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  byChoice,
  type Chunk,
  CompletionError,
  type CompletionErrorCode,
  compose,
  fromResponse,
  requestCompletion,
  type Stage,
  type Summary,
  tapSummary,
  tapUsage,
  tee,
  timeLimits,
  toChunks,
  toCompletion,
  toEvents,
  toText,
  toToolCalls,
  type Usage
} from 'completion-streams'
import { type CompletionServer, script, serveCompletions } from 'completion-streams/testing'
import OpenAI, { AzureOpenAI } from 'openai'

const server: CompletionServer = await serveCompletions({ script: script('A whole answer.'), speed: 10 })
const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
const azure = new AzureOpenAI({ endpoint: server.origin, apiKey: 'none', apiVersion: '2024-10-21' })
const messages = [{ role: 'user' as const, content: 'Say it.' }]

await pipeline(
  requestCompletion(client, { model: 'model-1', messages, temperature: 0 }),
  timeLimits({ first: 10_000 }),
  toChunks(),
  tapUsage((usage: Usage) => console.log(usage)),
  tapSummary(({ outcome, total }: Summary) => console.log(outcome, total)),
  toText(),
  createWriteStream('answer.txt')
)
requestCompletion(azure, { model: 'model-1', prompt: 'Say it.' }).destroy()
requestCompletion(client, { model: 'model-1', input: 'Say it.' }).destroy()

const toPlainText: Stage<Uint8Array, string> = compose(toEvents(), toChunks(), toText())
for await (const text of fromResponse(fetch(server.url)).pipe(toPlainText)) console.log(text.length)

const chunks: Chunk[] = []
for await (const chunk of requestCompletion(client, { model: 'model-1', messages }).pipe(toChunks())) {
  chunks.push(chunk)
}
for await (const call of compose(toChunks(), toToolCalls())) console.log(call.arguments)
for await (const whole of compose(toChunks(), toCompletion())) console.log(whole.id)
tee(new Writable(), { whenSlow: 'drop', limit: 100 }).destroy()
byChoice(index => createWriteStream(`answer-${index}.txt`)).destroy()

const code: CompletionErrorCode = 'CS_ERR_TRUNCATED'
console.log(new CompletionError(code, 'an example').code === code)

// @ts-expect-error: text does not fit before the stage that takes bytes
compose(toText(), toChunks())
// @ts-expect-error: there is no such option
toText({ choices: 1 })
await server.close()

/**
 * A chat in the browser: one page without a framework, and this server. The answer comes word by word; the stop button aborts
 * it at the provider; a failure is shown as one.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, respond, splitThinking, toChunks } from 'completion-streams'
import OpenAI from 'openai'

const client = new OpenAI()
const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'
const manner = {
  role: 'system' as const,
  content: 'You are in a chat. The page shows plain text, no markup.'
}
const page = join(import.meta.dirname, '../../examples/chat')
const types: Record<string, string> = {
  'index.html': 'text/html; charset=utf-8',
  'chat.css': 'text/css; charset=utf-8',
  'chat.js': 'text/javascript; charset=utf-8',
  'ask.js': 'text/javascript; charset=utf-8'
}

const server = createServer(async (incoming, outgoing) => {
  const path = new URL(incoming.url ?? '/', 'http://localhost').pathname.slice(1) || 'index.html'
  try {
    if (incoming.method === 'POST' && path === 'chat') {
      const { messages } = (await json(incoming)) as { messages: OpenAI.ChatCompletionMessageParam[] }
      await answer(messages, outgoing)
    } else if (types[path]) {
      outgoing.setHeader('content-type', types[path])
      // The page loads nothing from elsewhere, and runs no text of an answer.
      outgoing.setHeader('content-security-policy', "default-src 'self'; img-src data:")
      outgoing.end(await readFile(join(page, path)))
    } else outgoing.writeHead(404).end()
  } catch (error) {
    if (!outgoing.headersSent) outgoing.writeHead(400).end()
    // A reader that leaves is no failure of ours.
    if (!(error instanceof Error && error.name === 'AbortError')) console.error('chat:', error)
  }
})

/** The whole chat, on this side: the answer of the model is the answer of the server. */
async function answer(
  messages: OpenAI.ChatCompletionMessageParam[],
  outgoing: ServerResponse
): Promise<void> {
  const request = requestCompletion(client, { model, messages: [manner, ...messages] })
  await pipeline(request, toChunks(), splitThinking(), respond(outgoing, { heartbeat: 15_000 }))
}

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
await once(server, 'close')

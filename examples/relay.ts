/**
 * Relays answers as plain text over HTTP. A reader that goes away stops the request at the provider; a completion
 * that fails cuts the reader's connection, so that half an answer never looks whole.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'

const client = new OpenAI()
const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'

const relay = createServer((incoming, outgoing) => {
  const content = new URL(incoming.url ?? '/', 'http://localhost').searchParams.get('ask') ?? ''
  const request = requestCompletion(client, { model, messages: [{ role: 'user', content }] })
  outgoing.setHeader('content-type', 'text/plain; charset=utf-8')
  pipeline(request, toChunks(), toText(), outgoing).catch(error => console.error('relay:', error))
})
await once(relay.listen(0, '127.0.0.1'), 'listening')
const { port } = relay.address() as AddressInfo

// And a reader, to see it work.
const question = encodeURIComponent("What's 1+1? Answer in one word.")
const response = await fetch(`http://127.0.0.1:${port}/?ask=${question}`)
console.log(response.headers.get('content-type'))
console.log(await response.text())
relay.close()

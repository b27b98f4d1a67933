/**
 * Relays answers as plain text over HTTP: `respond` is the response and the end of the pipeline in one. A reader that goes away stops
 * the request at the provider. A completion that fails before its first word is an honest status; one that fails later cuts
 * the reader's connection, so that half an answer never looks whole.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, respond, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'

const client = new OpenAI()
const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'

const relay = createServer((incoming, outgoing) => {
  const content = new URL(incoming.url ?? '/', 'http://localhost').searchParams.get('ask') ?? ''
  const request = requestCompletion(client, { model, messages: [{ role: 'user', content }] })
  pipeline(request, toChunks(), toText(), respond(outgoing, { as: 'text' })).catch(error =>
    console.error('relay:', error)
  )
})
await once(relay.listen(0, '127.0.0.1'), 'listening')
const { port } = relay.address() as AddressInfo

// And a reader, to see it work.
const question = encodeURIComponent("What's 1+1? Answer in one word.")
const response = await fetch(`http://127.0.0.1:${port}/?ask=${question}`)
console.log(response.headers.get('content-type'))
console.log(await response.text())
relay.close()

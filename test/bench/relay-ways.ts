import { once } from 'node:events'
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  compose,
  directFetch,
  fromResponse,
  requestCompletion,
  respond,
  toChunks,
  toSSE,
  toText
} from 'completion-streams'
import OpenAI from 'openai'

/** Asks the provider the question, and writes the answer to the reader. */
export type Way = (question: string, response: ServerResponse) => Promise<unknown>

/** A way to relay, made for the provider at a base URL. */
export interface NamedWay {
  /** What it does, in a table. */
  readonly title: string
  /** A promise where a peer has to be loaded, which no other way's process should hold. */
  make(url: string): Way | Promise<Way>
}

const model = 'gpt-4o'

export const ways: ReadonlyMap<string, NamedWay> = new Map([
  ['http', { title: '`http.request`, nothing read', make: piped }],
  ['http-empty', { title: '`http.request`, two empty stages', make: pipedThroughEmpty }],
  ['http-text', { title: '`http.request`, `toChunks`, `toText`', make: pipedAsText }],
  ['from-response', { title: '`fromResponse(http.request)`, `toChunks`, `toText`', make: fromMessage }],
  ['fetch', { title: "the client's fetch, nothing read", make: fetched }],
  ['request', { title: '`requestCompletion`, `toChunks`, `toText`', make: requested }],
  ['direct', { title: 'the same, with `directFetch` for the client', make: requestedDirectly }],
  ['sdk', { title: "the official SDK's loop", make: looped }],
  ['compose', { title: '`compose(requestCompletion, toChunks, toText)`', make: composed }],
  ['respond', { title: "`requestCompletion`, `toChunks`, `respond({ as: 'events' })`", make: responded }],
  ['sse', { title: '`requestCompletion`, `toChunks`, `toSSE`', make: encoded }],
  ['ai', { title: "the AI SDK's `pipeTextStreamToResponse`", make: aiSdk }],
  ['langchain', { title: "the loop over LangChain's stream", make: langchain }]
])

function piped(url: string): Way {
  const send = senderTo(url)
  return async (question, response) => pipeline(await send(question), response)
}

/** What stages of Node's cost that do nothing: in object mode, as they are between chunks. */
function pipedThroughEmpty(url: string): Way {
  const send = senderTo(url)
  const empty = () => new PassThrough({ objectMode: true })
  return async (question, response) => pipeline(await send(question), empty(), empty(), response)
}

function pipedAsText(url: string): Way {
  const send = senderTo(url)
  return async (question, response) => pipeline(await send(question), toChunks(), toText(), response)
}

function fromMessage(url: string): Way {
  const send = senderTo(url)
  return async (question, response) =>
    pipeline(fromResponse(await send(question)), toChunks(), toText(), response)
}

/** A loop over the reader of the body: `Readable.fromWeb`, and a web stream in a pipeline, take about a fifth longer. */
function fetched(url: string): Way {
  const client = clientOf(url)
  return async (question, response) => {
    const { body } = await client.chat.completions.create(paramsOf(question)).asResponse()
    if (!body) throw new Error('the response has no body')
    const reader = body.getReader()
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      if (!response.write(value)) await once(response, 'drain')
    }
    response.end()
  }
}

function requested(url: string): Way {
  const client = clientOf(url)
  return (question, response) =>
    pipeline(requestCompletion(client, paramsOf(question)), toChunks(), toText(), response)
}

function requestedDirectly(url: string): Way {
  const client = clientOf(url).withOptions({ fetch: directFetch() })
  return (question, response) =>
    pipeline(requestCompletion(client, paramsOf(question)), toChunks(), toText(), response)
}

function looped(url: string): Way {
  const client = clientOf(url)
  return async (question, response) => {
    for await (const chunk of await client.chat.completions.create(paramsOf(question))) {
      const delta = chunk.choices[0]?.delta.content
      if (delta && !response.write(delta)) await once(response, 'drain')
    }
    response.end()
  }
}

function composed(url: string): Way {
  const client = clientOf(url)
  return (question, response) =>
    pipeline(compose(requestCompletion(client, paramsOf(question)), toChunks(), toText()), response)
}

function responded(url: string): Way {
  const client = clientOf(url)
  return (question, response) =>
    pipeline(requestCompletion(client, paramsOf(question)), toChunks(), respond(response, { as: 'events' }))
}

function encoded(url: string): Way {
  const client = clientOf(url)
  return (question, response) =>
    pipeline(requestCompletion(client, paramsOf(question)), toChunks(), toSSE(), response)
}

async function aiSdk(url: string): Promise<Way> {
  // By names that the compiler does not follow: the types of the package want those of a browser.
  const [compatible, core]: string[] = ['@ai-sdk/openai-compatible', 'ai']
  const { createOpenAICompatible } = await import(compatible as string)
  const { streamText } = await import(core as string)
  const provider = createOpenAICompatible({ name: 'provider', baseURL: url, apiKey: 'none' })
  return async (question, response) => {
    const result = streamText({ model: provider(model), prompt: question })
    result.pipeTextStreamToResponse(response)
    await once(response, 'finish')
  }
}

async function langchain(url: string): Promise<Way> {
  const { ChatOpenAI } = await import('@langchain/openai')
  const chat = new ChatOpenAI({ model, apiKey: 'none', configuration: { baseURL: url } })
  return async (question, response) => {
    for await (const { text } of await chat.stream(question)) {
      if (text && !response.write(text)) await once(response, 'drain')
    }
    response.end()
  }
}

function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })
}

function paramsOf(question: string) {
  return { model, messages: [{ role: 'user' as const, content: question }], stream: true as const }
}

/** Sends a question with `http.request`, over connections that are kept. */
function senderTo(url: string): (question: string) => Promise<IncomingMessage> {
  const agent = new Agent({ keepAlive: true })
  const headers = { 'content-type': 'application/json', authorization: 'Bearer none' }
  return question =>
    new Promise((resolve, reject) => {
      request(`${url}/chat/completions`, { method: 'POST', agent, headers }, resolve)
        .on('error', reject)
        .end(JSON.stringify(paramsOf(question)))
    })
}

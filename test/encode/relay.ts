import { pipeline } from 'node:stream/promises'
import {
  type RespondOptions,
  type ResponseForm,
  requestCompletion,
  respond,
  type ServerResponseLike,
  type Summary,
  tapSummary,
  tapUsage,
  toChunks,
  toText,
  type Usage
} from 'completion-streams'
import { type CompletionServer, type Faults, type ServerOptions, script } from 'completion-streams/testing'
import OpenAI from 'openai'
import { clientOf, type Failure, questions, serve as serveScript } from '../answers.js'
import { type LocalServer, serve } from '../helpers.js'

export const answer = 'Hello, world! One\ntwo \ud83d\ude00'
/** A provider that plays the answer, and a relay that answers with it. */
export class Relay implements AsyncDisposable {
  readonly outcomes: (Failure | 'whole')[] = []
  readonly summaries: Summary[] = []
  usage: Usage | undefined
  #wake: (() => void) | undefined
  #leave = () => {}
  /** Resolves when the reader of an answer has gone, as its server sees it. */
  readonly gone: Promise<void> = new Promise(resolve => {
    this.#leave = resolve
  })

  readonly provider: CompletionServer
  readonly options: RespondOptions
  server: LocalServer | undefined

  private constructor(provider: CompletionServer, options: RespondOptions) {
    this.provider = provider
    this.options = options
  }

  static async start(options: RespondOptions, faults: Faults = {}, more: ServerOptions = {}) {
    const provider = await serveScript({ script: { ...script(answer), faults }, ...more })
    const relay = new Relay(provider, options)
    const server = await serve((_incoming, outgoing) => relay.answer(outgoing))
    return Object.assign(relay, { server, url: server.url, port: server.port })
  }

  /** What the server of a relay does with each request. */
  answer(response: ServerResponseLike, endpoint: 'chat' | 'responses' = 'chat'): void {
    response.once('close', this.#leave)
    const source = requestCompletion(clientOf(this.provider), questions[endpoint])
    const stages = this.options.as === 'text' ? [toText()] : []
    pipeline([
      source,
      toChunks(),
      tapUsage(usage => {
        this.usage = usage
      }),
      tapSummary(summary => void this.summaries.push(summary)),
      ...stages,
      respond(response, this.options)
    ])
      .then(() => 'whole' as const)
      // What is thrown is an error; the tests say which.
      .catch(error => error as Failure)
      .then(outcome => {
        this.outcomes.push(outcome)
        this.#wake?.()
      })
  }

  /** How the pipeline of the first request ended. */
  async outcome(): Promise<Failure | 'whole'> {
    if (this.outcomes.length === 0) await new Promise<void>(resolve => (this.#wake = resolve))
    return this.outcomes[0] as Failure | 'whole'
  }

  async [Symbol.asyncDispose]() {
    await this.server?.[Symbol.asyncDispose]()
    await this.provider[Symbol.asyncDispose]()
  }
}

/** Reads a chat completion by the official client to its text. */
export async function read(
  url: string,
  Client: unknown = OpenAI
): Promise<{ text: string; error?: Failure }> {
  // What is called here all majors share.
  const client = new (Client as typeof OpenAI)({ baseURL: url, apiKey: 'none', maxRetries: 0 })
  let text = ''
  try {
    for await (const chunk of await client.chat.completions.create({ ...questions.chat, stream: true }))
      text += chunk.choices[0]?.delta.content ?? ''
    return { text }
  } catch (error) {
    // What is thrown is an error; the tests say which.
    return { text, error: error as Failure }
  }
}

/** Reads a body as far as it comes. */
export async function readBody(
  url: string
): Promise<{ status: number; headers: Headers; body: string; error?: Failure }> {
  const response = await fetch(url)
  const decoder = new TextDecoder()
  let body = ''
  const { status, headers } = response
  try {
    for await (const bytes of response.body ?? []) body += decoder.decode(bytes, { stream: true })
    return { status, headers, body }
  } catch (error) {
    // What is thrown is an error; the tests say which.
    return { status, headers, body, error: error as Failure }
  }
}

/** The text of the answer in a body of each form, as far as it came. */
export const textIn: Record<ResponseForm, (body: string) => string> = {
  events: body =>
    body
      .split('\n\n')
      .filter(event => event.startsWith('data: {'))
      .map(event => JSON.parse(event.slice(6)).choices?.[0]?.delta?.content ?? '')
      .join(''),
  text: body => body,
  lines: body =>
    body
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line).choices?.[0]?.delta?.content ?? '')
      .join('')
}

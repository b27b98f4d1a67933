import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type CompletionParams, requestCompletion } from 'completion-streams'
import {
  type CompletionServer,
  type Endpoint,
  type ServerOptions,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI from 'openai'

/** The same question in the words of each API. */
export const questions = {
  chat: { model: 'm', messages: [{ role: 'user' as const, content: 'Hello?' }] },
  completions: { model: 'm', prompt: 'Hello?' },
  responses: { model: 'm', input: 'Hello?' }
} satisfies Record<Endpoint, CompletionParams>

export const endpoints = ['chat', 'completions', 'responses'] as const

/** A local server that does not wait for the times of its script. */
export function serve(options: ServerOptions): Promise<CompletionServer> {
  return serveCompletions({ speed: Infinity, ...options })
}

export function clientOf({ url }: CompletionServer): OpenAI {
  return new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })
}

/** Asks a local server, streamed. */
export function ask(server: CompletionServer, endpoint: Endpoint = 'chat') {
  return requestCompletion(clientOf(server), questions[endpoint])
}

/** The whole answer to the same question, as JSON. */
export async function askWhole({ url }: CompletionServer, endpoint: Endpoint = 'chat'): Promise<object> {
  const path = { chat: 'chat/completions', completions: 'completions', responses: 'responses' }[endpoint]
  const response = await fetch(`${url}/${path}`, {
    method: 'POST',
    body: JSON.stringify(questions[endpoint])
  })
  // JSON is anything; what it must be is compared.
  return (await response.json()) as object
}

type Streams = (NodeJS.ReadableStream | NodeJS.WritableStream | NodeJS.ReadWriteStream)[]

/** Runs a pipeline to its end: what came out of its last stage, and what it failed with. */
export async function run<Item>(...streams: Streams): Promise<{ items: Item[]; error?: Failure }> {
  const items: Item[] = []
  const sink = new Writable({
    objectMode: true,
    write(item, _encoding, callback) {
      items.push(item)
      callback()
    }
  })
  try {
    await pipeline([...streams, sink])
    return { items }
  } catch (error) {
    // What is thrown is an error; the tests say which.
    return { items, error: error as Failure }
  }
}

/** What comes out of a pipeline that must not fail. */
export async function all<Item>(...streams: Streams): Promise<Item[]> {
  const { items, error } = await run<Item>(...streams)
  if (error) throw error
  return items
}

/** An error with the facts it may carry. */
export type Failure = Error & Readonly<Record<string, unknown>>

/** What a pipeline fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise
  } catch (error) {
    // What is thrown is an error; the tests say which.
    return error as Failure
  }
  throw new Error('it did not fail')
}

/** A sink that takes a write only when it is told to. */
export class GatedSink extends Writable {
  readonly received: unknown[] = []
  #isOpen = false
  #taken: (() => void) | undefined

  constructor({ highWaterMark = 1, objectMode = false } = {}) {
    super({ highWaterMark, objectMode, decodeStrings: false })
  }

  override _write(item: unknown, _encoding: string, callback: () => void): void {
    this.#taken = () => {
      this.#taken = undefined
      this.received.push(item)
      callback()
    }
    if (this.#isOpen) this.#taken()
  }

  /** Lets the write that waits pass. False if none waits. */
  take(): boolean {
    const taken = this.#taken
    taken?.()
    return taken !== undefined
  }

  /** Lets everything pass from now on. */
  open(): void {
    this.#isOpen = true
    this.take()
  }

  get text(): string {
    return this.received.join('')
  }
}

/** Waits until a stream is closed, with an error or without. */
export async function closed(stream: Readable | Writable): Promise<void> {
  if (!stream.closed) await new Promise(resolve => void stream.once('close', resolve))
}

/** Lets everything that can go on without news from outside go on. */
export async function settle(turns = 50): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn()
}

/** An answer in pieces of lines, ten in each turn of the event loop. */
export function piecesOfLines(): Readable {
  const answer = delta({ content: 'word' }).repeat(400)
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let start = 0; start < answer.length; start += 500) {
      if (start % 5000 === 0) await nextTurn()
      yield Buffer.from(answer.slice(start, start + 500))
    }
  }
  return Readable.from(pieces())
}

/** An event of a chat completion. */
export function event(payload: object): string {
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', ...payload })}\n\n`
}

/** An event whose delta adds to one choice. */
export function delta(fields: object, index = 0): string {
  return event({ choices: [{ index, delta: fields, finish_reason: null }] })
}

/** An event that finishes one choice. */
export function finish(reason = 'stop', index = 0): string {
  return event({ choices: [{ index, delta: {}, finish_reason: reason }] })
}

export const endMark = 'data: [DONE]\n\n'

/** A folder that is gone behind the work. */
export async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'completion-streams-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A promise, and what resolves it: Node 20 has no `Promise.withResolvers`. */
export function withResolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}

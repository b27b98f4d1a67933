import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable, type WritableOptions } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'chai'
import OpenAI, { type ClientOptions } from 'openai'

/** An event of a chat completion whose delta holds a text. */
export function textEvent(content: string): string {
  return event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
}

/** An event of a chat completion, with what all of them have. */
export function event(payload: object): string {
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', ...payload })}\n\n`
}

export const finishEvent: string = event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
export const endMark = 'data: [DONE]\n\n'

/** As many words as asked for, each with its place in it, so that a lost or doubled one shows. */
export function words(count: number): string[] {
  return Array.from({ length: count }, (_, place) => `word${place} `)
}

/** The bytes of a whole chat completion. */
export function completion(texts: readonly string[]): string {
  return texts.map(textEvent).join('') + finishEvent + endMark
}

/** A server of one's own on loopback, for what the completion server does not do. */
export interface LocalServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
}

export async function serve(listener: RequestListener): Promise<LocalServer> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

export function clientOf(server: { url: string }, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0, ...options })
}

export const question = { model: 'm', messages: [{ role: 'user' as const, content: 'Hello?' }] }

/** A folder that is gone behind the work. */
export async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'completion-streams-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export { readFile }

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn()
}

/** A sink that takes many turns of the event loop for each write. */
export class SlowSink extends Writable {
  text = ''
  isFinished = false

  constructor(turnsPerWrite = 5, options: WritableOptions = {}) {
    super({
      decodeStrings: false,
      highWaterMark: 64,
      ...options,
      write: (text, _encoding, callback) => {
        turns(turnsPerWrite).then(() => {
          this.text += text
          callback()
        }, callback)
      }
    })
    this.once('finish', () => {
      this.isFinished = true
    })
  }
}

/** What a promise rejects with. Fails when it does not. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  let result: unknown
  try {
    result = await work
  } catch (error) {
    // Whatever it is, each test says what it must be.
    return error as Failure
  }
  return expect.fail(`resolved with ${String(result)} instead of rejecting`)
}

/** An error with what the tests read off it. */
export type Failure = Error & { code?: string; status?: number; cause?: unknown }

/** Makes the tests of a suite fail when a rejection goes unhandled or Node warns of leaking listeners. */
export function allowNoComplaints(): void {
  const complaints: unknown[] = []
  const complain = (complaint: unknown) => void complaints.push(complaint)
  const warn = (warning: Error) => {
    if (warning.name === 'MaxListenersExceededWarning') complain(warning)
  }
  before(() => {
    process.on('unhandledRejection', complain)
    process.on('warning', warn)
  })
  afterEach(async () => {
    await turns(3)
    expect(complaints.splice(0)).to.deep.equal([])
  })
  after(() => {
    process.off('unhandledRejection', complain)
    process.off('warning', warn)
  })
}

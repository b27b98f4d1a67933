import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { CompletionError } from '../errors.js'
import { invalid, settled } from '../options.js'
import { Backgrounds, type Played } from './answers/backgrounds.js'
import { type Flags, isModerationsPath, moderationOf } from './answers/moderations.js'
import {
  type Answer,
  errorAnswer,
  json as jsonAnswer,
  raw,
  statusAnswer,
  streamed,
  whole
} from './answers/wire.js'
import type { Faults } from './faults.js'
import { guideScript } from './guide.js'
import { play } from './player.js'
import { isRecord, questionOf, type ReceivedRequest, type RequestRecord, recordOf } from './requests.js'
import { type RawScript, type Script, settle } from './script.js'

/** A script, or what gives one for a request. Undefined is the answer that the server has of its own. */
export type ScriptSource =
  | Script
  | RawScript
  | ((request: ReceivedRequest) => Script | RawScript | undefined | Promise<Script | RawScript | undefined>)

/** The options of `serveCompletions`. */
export interface ServerOptions {
  /**
   * What the server answers. Default: "count to 100" and "1+1" as OpenAI's guide to streaming shows them, by the
   * last message of the user, and sixty words for anything else.
   */
  script?: ScriptSource
  /** 1 plays in the script's own time, 10 ten times faster, Infinity without any waiting. Default 1. */
  speed?: number
  /** How the answers misbehave. Default: not at all. */
  faults?: Faults
  /** Which texts the moderations endpoint flags. Default: none. */
  flags?: Flags
  /** The port on 127.0.0.1. Default 0: any free one. */
  port?: number
}

/** A running server. */
export interface CompletionServer {
  /** The base URL for the client of the openai package: `http://127.0.0.1:PORT/v1`. */
  readonly url: string
  /** The same without a path: the `endpoint` for the package's `AzureOpenAI`. */
  readonly origin: string
  /** The requests so far, oldest first; of more than 10,000 the newest are kept. */
  readonly requests: readonly ReceivedRequest[]
  /** Stops listening, destroys the open sockets, and resolves when all are gone. */
  close(): Promise<void>
  /** Closes it: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

const maxRequestsKept = 10_000

/** Enough for a conversation with pictures in it. */
const maxBodySize = 64 * 2 ** 20

/**
 * Starts a server on 127.0.0.1 that speaks chat completions, legacy completions and responses, streamed and
 * whole, under OpenAI's paths and Azure's. It plays scripted completions in their own time and misbehaves on
 * request. A response that was asked for with `background: true` goes on when its client has gone, and can be retrieved from
 * any event on. The moderations endpoint flags what it is told to. No key is checked. Rejects with `CS_ERR_INVALID_OPTION`, or with Node's error when the port is taken.
 *
 * @example
 * await using server = await serveCompletions({ script: script('Two.') })
 * const local = new OpenAI({ baseURL: server.url, apiKey: 'none' })
 * console.log(await local.chat.completions.create({ model: 'any', messages: [{ role: 'user', content: '1+1?' }] }))
 */
export async function serveCompletions(options: ServerOptions = {}): Promise<CompletionServer> {
  const { script, speed, faults, flags, port } = settled('serveCompletions', options, {
    script: undefined as ScriptSource | undefined,
    speed: 1,
    faults: {} as Faults,
    flags: (() => false) as Flags,
    port: 0
  })
  checkSpeed(speed)
  checkFaults(faults)
  const requests: RequestRecord[] = []
  const backgrounds = new Backgrounds()
  const open = new Set<RequestRecord>()
  let requestCount = 0

  const server = createServer((request, response) => {
    const startedAt = performance.now()
    // A client that goes away in the middle of anything is what this server is for.
    response.on('error', () => {})
    answerRequest(request, response, startedAt).catch(() => response.destroy())
  })

  async function answerRequest(
    request: IncomingMessage,
    response: ServerResponse,
    startedAt: number
  ): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const body = await readBody(request)
    gone.signal.throwIfAborted()
    const record = recordOf(request, response, body === undefined ? undefined : parsed(body))
    requestCount++
    requests.push(record)
    if (requests.length > maxRequestsKept) requests.shift()
    open.add(record)
    response.once('close', () => open.delete(record))

    const {
      answer,
      faults: ownFaults,
      began = startedAt
    } = await answerTo(record, body, requestCount, startedAt)
    await play(answer, {
      response,
      record,
      startedAt: began,
      speed,
      faults: ownFaults,
      signal: gone.signal
    }).catch(error => {
      if (!gone.signal.aborted) record.cut = true
      throw error
    })
  }

  async function answerTo(
    record: RequestRecord,
    body: string | undefined,
    count: number,
    startedAt: number
  ): Promise<Played> {
    const resumed = backgrounds.resume(record)
    if (resumed) return resumed
    const refusal = refusalOf(record, body)
    if (refusal) return { answer: refusal, faults: {} }
    try {
      if (isModerationsPath(record.path)) {
        return { answer: jsonAnswer(200, moderationOf(record.body, flags)), faults: {} }
      }
      return await scriptedAnswer(record, count, startedAt)
    } catch (error) {
      const message = `The script failed: ${error instanceof Error ? error.message : String(error)}`
      return { answer: errorAnswer(500, { message, type: 'server_error' }), faults: {} }
    }
  }

  async function scriptedAnswer(record: RequestRecord, count: number, startedAt: number): Promise<Played> {
    const { endpoint = 'chat', body } = record
    const question = questionOf(body)
    const given = typeof script === 'function' ? await script(record) : script
    const chosen = given ?? guideScript(question)
    const allFaults = { ...faults, ...chosen.faults }
    checkFaults(allFaults)
    const answered = (answer: Answer): Played => ({ answer, faults: allFaults })

    const error = statusAnswer(allFaults, count)
    if (error) return answered(error)
    if ('writes' in chosen) return answered(raw(chosen, allFaults))
    const settled = settle(chosen, typeof body.model === 'string' ? body.model : 'scripted', question)
    if (body.stream !== true || allFaults.ignoreStream) return answered(whole(settled, endpoint, allFaults))
    if (endpoint === 'responses' && body.background === true)
      return answered(backgrounds.begin(settled, allFaults, startedAt))
    const asksUsage = isRecord(body.stream_options) && body.stream_options.include_usage === true
    return answered(streamed(settled, endpoint, asksUsage, allFaults))
  }

  const origin = await new Promise<string>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' ? address?.port : port}`)
    })
  })
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    closed ??= new Promise(resolve => {
      for (const record of open) record.cut = true
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closed
  }
  return { url: `${origin}/v1`, origin, requests, close, [Symbol.asyncDispose]: close }
}

/** The answer to a request that is none of ours; undefined when there is nothing to refuse. */
function refusalOf({ method, path, endpoint }: RequestRecord, body: string | undefined): Answer | undefined {
  if (!endpoint && !isModerationsPath(path))
    return errorAnswer(404, { message: `Invalid URL (${method} ${path})` })
  if (method !== 'POST')
    return errorAnswer(405, { message: `Not allowed to ${method} on ${path}; use POST.` })
  if (body === undefined)
    return errorAnswer(413, { message: `The body is larger than ${maxBodySize} bytes.` })
  return isRecord(parsed(body))
    ? undefined
    : errorAnswer(400, { message: 'The body of the request is no JSON object.' })
}

/** The body as text; undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request) {
    size += part.length
    // What comes too much is read on, so that the client gets to read the answer.
    if (size <= maxBodySize) parts.push(part)
  }
  return size > maxBodySize ? undefined : Buffer.concat(parts).toString()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const noFaults = {
  cutAfter: undefined as never,
  stallAfter: undefined as never,
  errorAfter: undefined as never,
  status: undefined as never,
  endMark: undefined as never,
  holdOpen: undefined as never,
  bytesPerWrite: 1,
  lineEnd: undefined as never,
  comments: undefined as never,
  ignoreStream: undefined as never,
  contentType: undefined as never
} satisfies Required<Faults>

function checkSpeed(speed: number): void {
  if (speed > 0) return
  throw new CompletionError('CS_ERR_INVALID_OPTION', `speed is ${speed}; it must be a number above 0`)
}

/** Throws for a fault of an unknown name, or at no place: a test would pass without it. */
function checkFaults(faults: Faults): void {
  const { bytesPerWrite, cutAfter, stallAfter } = settled<Faults & { bytesPerWrite: number }>(
    'faults',
    faults,
    noFaults
  )
  for (const [name, place] of Object.entries({ cutAfter, stallAfter })) {
    const { events, bytes } = Object(place) as { events?: unknown; bytes?: unknown }
    if (place !== undefined && place !== 'request' && typeof (events ?? bytes) !== 'number')
      throw invalid(name, place, "'request', { events } or { bytes }")
  }
  if (bytesPerWrite >= 1 && (Number.isInteger(bytesPerWrite) || bytesPerWrite === Infinity)) return
  throw new CompletionError(
    'CS_ERR_INVALID_OPTION',
    `bytesPerWrite is ${bytesPerWrite}; it must be a whole number above 0`
  )
}

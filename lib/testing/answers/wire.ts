import type { ErrorShape, Faults, KeepAlive, ReportedError } from '../faults.js'
import type { Endpoint } from '../requests.js'
import type { RawScript, SettledScript } from '../script.js'
import { chatEvents, wholeChat } from './chat.js'
import { legacyEvents, wholeLegacy } from './legacy.js'
import { failedResponse, responseEvents, wholeResponse } from './responses.js'
import type { TimedEvent } from './timed-event.js'

/** Bytes of a body with their time. Comments are no events. */
export interface Frame {
  at: number
  bytes: Uint8Array
  isEvent: boolean
}

/** An answer, ready to be played. */
export interface Answer {
  status: number
  headers: Record<string, string>
  headersAt: number
  frames: Iterable<Frame> | AsyncIterable<Frame>
  /** What is sent when nothing else was for `every` milliseconds. */
  keepAlive?: { bytes: Uint8Array; every: number } | undefined
}

/** A scripted completion as an event stream; of the Responses API, what comes behind an event. */
export function streamed(
  script: SettledScript,
  endpoint: Endpoint,
  asksUsage: boolean,
  faults: Faults,
  after = -1
): Answer {
  const { comments, lineEnd = '\n', contentType = 'text/event-stream; charset=utf-8' } = faults
  const { text, every } = keepAliveOf(comments)
  const comment = comments ? Buffer.from(`: ${text}${lineEnd}${lineEnd}`) : undefined
  return {
    status: 200,
    headers: { 'content-type': contentType, 'cache-control': 'no-cache' },
    headersAt: script.headersAt,
    frames: eventFrames(
      eventsBehind(after, eventsOf(script, endpoint, asksUsage)),
      script,
      endpoint,
      faults,
      comment
    ),
    keepAlive: comment && every !== undefined ? { bytes: comment, every } : undefined
  }
}

/** A scripted completion as one JSON text. */
export function whole(script: SettledScript, endpoint: Endpoint, { contentType }: Faults): Answer {
  const at = script.wholeAt
  return json(200, wholeOf(script, endpoint), at, contentType)
}

/** A body that is sent as it is. */
export function raw(
  { status = 200, headers, headersAt = 0, writes }: RawScript,
  { contentType }: Faults
): Answer {
  return {
    status,
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      ...headers,
      ...(contentType !== undefined && { 'content-type': contentType })
    },
    headersAt,
    frames: rawFrames(writes)
  }
}

/** An error body as OpenAI sends it. */
export function errorAnswer(status: number, error: ReportedError): Answer {
  return json(status, {
    error: { message: '', type: 'invalid_request_error', param: null, code: null, ...error }
  })
}

/** The HTTP error that a fault asks for; undefined when this request is to be answered in earnest. */
export function statusAnswer({ status, contentType }: Faults, requestCount: number): Answer | undefined {
  if (status === undefined) return undefined
  const { code, times = Infinity, retryAfter, body } = typeof status === 'number' ? { code: status } : status
  if (requestCount > times) return undefined
  const answer =
    body === undefined
      ? errorAnswer(code, {
          message: `The server answers ${code}.`,
          type: code < 500 ? 'invalid_request_error' : 'server_error'
        })
      : json(code, body)
  if (typeof body === 'string') answer.headers['content-type'] = 'text/plain; charset=utf-8'
  if (contentType !== undefined) answer.headers['content-type'] = contentType
  if (retryAfter !== undefined) answer.headers['retry-after'] = String(retryAfter)
  return answer
}

/** One JSON text, or a text as it is. */
export function json(
  status: number,
  body: object | string,
  at = 0,
  contentType = 'application/json'
): Answer {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return {
    status,
    headers: { 'content-type': contentType },
    headersAt: at,
    frames: [{ at, bytes, isEvent: true }]
  }
}

function eventsOf(script: SettledScript, endpoint: Endpoint, asksUsage: boolean): Iterable<TimedEvent> {
  switch (endpoint) {
    case 'chat':
      return chatEvents(script, asksUsage)
    case 'completions':
      return legacyEvents(script, asksUsage)
    case 'responses':
      return responseEvents(script)
  }
}

/** Each event of the Responses API is numbered. */
function* eventsBehind(after: number, events: Iterable<TimedEvent>): Iterable<TimedEvent> {
  let number = 0
  for (const event of events) if (number++ > after) yield event
}

function wholeOf(script: SettledScript, endpoint: Endpoint): object {
  switch (endpoint) {
    case 'chat':
      return wholeChat(script)
    case 'completions':
      return wholeLegacy(script)
    case 'responses':
      return wholeResponse(script)
  }
}

function* eventFrames(
  events: Iterable<TimedEvent>,
  script: SettledScript,
  endpoint: Endpoint,
  faults: Faults,
  comment: Uint8Array | undefined
): Generator<Frame> {
  const { errorAfter, lineEnd = '\n', endMark = errorAfter === undefined } = faults
  const frame = (at: number, ...lines: string[]): Frame[] => {
    const bytes = Buffer.from([...lines, '', ''].join(lineEnd))
    const event = { at, bytes, isEvent: true }
    return comment ? [{ at, bytes: comment, isEvent: false }, event] : [event]
  }
  let sent = 0
  let at = script.headersAt
  for (const { at: eventAt, event, data } of events) {
    if (sent === errorAfter?.events) break
    at = eventAt
    sent++
    yield* frame(at, ...(event === undefined ? [] : [`event: ${event}`]), `data: ${JSON.stringify(data)}`)
  }
  if (errorAfter) {
    const shape = errorAfter.shape ?? (endpoint === 'responses' ? 'responses-error' : 'data')
    yield* frame(at, ...errorLines(shape, errorAfter.error, script, sent))
  }
  if (endMark && endpoint !== 'responses') yield* frame(at, 'data: [DONE]')
}

function errorLines(
  shape: ErrorShape,
  reported: ReportedError = {},
  script: SettledScript,
  sequence_number: number
): string[] {
  const error = {
    message: 'The server had an error while processing your request.',
    type: 'server_error',
    param: null,
    code: 'server_error',
    ...reported
  }
  switch (shape) {
    case 'data':
      return [`data: ${JSON.stringify({ error })}`]
    case 'event':
      return ['event: error', `data: ${JSON.stringify({ error })}`]
    case 'bare-event':
      return ['event: error', `data: ${JSON.stringify(error)}`]
    case 'field':
      return [`error: ${JSON.stringify(error)}`]
    case 'responses-error': {
      const { message, param, code } = error
      return [
        'event: error',
        `data: ${JSON.stringify({ type: 'error', sequence_number, code, message, param })}`
      ]
    }
    case 'responses-failed': {
      const type = 'response.failed'
      const response = failedResponse(script, error)
      return [`event: ${type}`, `data: ${JSON.stringify({ type, sequence_number, response })}`]
    }
  }
}

function keepAliveOf(comments: Faults['comments']): { text: string; every: number | undefined } {
  const { text = 'keep-alive', every }: KeepAlive =
    typeof comments === 'string' ? { text: comments } : typeof comments === 'object' ? comments : {}
  return { text, every }
}

async function* rawFrames(writes: RawScript['writes']): AsyncGenerator<Frame> {
  for await (const { at = 0, bytes } of writes) {
    yield { at, bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes, isEvent: true }
  }
}

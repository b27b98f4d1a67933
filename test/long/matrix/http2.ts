import { once } from 'node:events'
import { connect, constants, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { fromResponse, requestCompletion } from 'completion-streams'
import { Agent, fetch as undiciFetch, request as undiciRequest } from 'undici'
import { certificate, key } from '../../encode/certificate.js'
import type { Choice } from '../choice.js'
import { body, failedWithin, isFinished, isFinishedButForLineEnds, unfinished } from './answer.js'
import { aborted, cut, type Fault, lossy, silent, whole } from './faults.js'
import { majors } from './openai.js'
import { type Case, judge } from './oracle.js'
import type { Client } from './sources.js'

/** The stream of an answer, and the connection below its session. */
interface Connection {
  stream: ServerHttp2Stream
  socket: Socket
}

export interface HTTP2Case extends Case {
  outcome: Fault<Connection>
}

const dispatcher = new Agent({ allowH2: true, connect: { ca: certificate } })
const refusal = () => 'CS_ERR_PROVIDER'

export const clients: readonly Client[] = [
  {
    name: 'node:http2',
    open: (url, signal) =>
      fromResponse(
        async inner => {
          const session = connect(url, { ca: certificate }).on('error', () => {})
          const stream = session.request({ ':path': '/' }, { signal: inner })
          stream.once('close', () => session.destroy())
          const [headers] = await once(stream, 'response')
          return { statusCode: headers[':status'], headers, body: stream }
        },
        { signal }
      ),
    refusal,
    unreached: 'Error',
    closed: 'Error ERR_HTTP2_STREAM_ERROR',
    reset: 'Error ECONNRESET'
  },
  {
    name: 'fetch of undici',
    open: (url, signal) => fromResponse(inner => undiciFetch(url, { signal: inner, dispatcher }), { signal }),
    refusal,
    unreached: 'TypeError',
    closed: 'TypeError ERR_HTTP2_STREAM_ERROR',
    reset: 'TypeError ECONNRESET'
  },
  {
    name: 'undici',
    open: (url, signal) =>
      fromResponse(inner => undiciRequest(url, { signal: inner, dispatcher }), { signal }),
    refusal,
    unreached: 'Error',
    closed: 'Error ERR_HTTP2_STREAM_ERROR',
    reset: 'Error ECONNRESET'
  },
  ...[...majors].map(
    ([name, OpenAI]): Client => ({
      name,
      open(url, signal) {
        // The types of undici's fetch are its own.
        const over = ((to: string, init: object) => undiciFetch(to, { ...init, dispatcher })) as never
        const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, fetch: over })
        return requestCompletion(client, { model: 'm', messages: [] }, { signal })
      },
      refusal: String,
      unreached: 'APIConnectionError',
      closed: 'APIConnectionError ERR_HTTP2_STREAM_ERROR',
      reset: 'APIConnectionError ECONNRESET'
    })
  )
]

const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants

/** Sends the head and the beginning of the answer, and goes on when they have been written. */
function begin({ stream }: Connection, at: number, then: () => void = () => {}): void {
  stream.respond({ ':status': 200, 'content-type': 'text/event-stream' })
  stream.write(body.subarray(0, at), then)
}

function resetWith(code: number): Pick<Fault<Connection>, 'answer'> {
  return { answer: (to, at) => begin(to, at, () => to.stream.close(code)) }
}

/** undici mostly closes the streams of a session at a GOAWAY, also those that the server would still have answered. */
function ofGoAway(...codes: string[]): Pick<Fault<Connection>, 'codes' | 'holds'> {
  return {
    codes: ({ name }) => (name === 'node:http2' ? codes : ['CS_ERR_TRUNCATED', ...codes]),
    holds: 'a beginning'
  }
}

export const faults: readonly Fault<Connection>[] = [
  {
    name: 'nothing',
    answer: to => begin(to, body.length, () => to.stream.end()),
    ...whole
  },
  {
    name: 'GOAWAY before the rest of the answer',
    answer: (to, at) =>
      begin(to, at, () => {
        to.stream.session?.goaway(NGHTTP2_NO_ERROR)
        to.stream.end(body.subarray(at))
      }),
    ...whole,
    ...ofGoAway()
  },
  {
    name: 'an end of the stream',
    answer: (to, at) => begin(to, at, () => to.stream.end()),
    ...cut,
    isWhole: isFinishedButForLineEnds
  },
  { name: 'RST_STREAM without an error', ...resetWith(NGHTTP2_NO_ERROR), ...lossy },
  { name: 'RST_STREAM, internal error', ...resetWith(NGHTTP2_INTERNAL_ERROR), ...lossy },
  { name: 'RST_STREAM, cancelled', ...resetWith(NGHTTP2_CANCEL), ...lossy },
  { name: 'RST_STREAM, refused', ...resetWith(NGHTTP2_REFUSED_STREAM), ...lossy },
  {
    name: 'GOAWAY and the end of the session',
    answer: (to, at) =>
      begin(to, at, () => {
        to.stream.session?.goaway(NGHTTP2_INTERNAL_ERROR)
        to.stream.session?.destroy()
      }),
    ...lossy
  },
  {
    name: 'GOAWAY without an end',
    answer: (to, at) => begin(to, at, () => to.stream.session?.goaway(NGHTTP2_NO_ERROR)),
    ...silent,
    ...ofGoAway('CS_ERR_STALLED'),
    // Where undici closes the stream, the connection is lost behind what had finished.
    isWhole: isFinished
  },
  {
    name: 'GOAWAY with an error, without an end',
    answer: (to, at) => begin(to, at, () => to.stream.session?.goaway(NGHTTP2_INTERNAL_ERROR)),
    ...lossy
  },
  {
    name: 'a session that is destroyed',
    answer: (to, at) => begin(to, at, () => to.stream.session?.destroy()),
    ...lossy
  },
  {
    name: 'a connection that is cut',
    answer: (to, at) => begin(to, at, () => to.socket.destroy()),
    ...lossy
  },
  {
    name: 'a connection that is reset',
    answer: (to, at) => begin(to, at, () => to.socket.resetAndDestroy()),
    ...lossy
  },
  {
    name: 'an error in the stream',
    answer({ stream }, at) {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' })
      stream.end(failedWithin(at))
    },
    isWhole: () => false,
    codes: () => ['CS_ERR_PROVIDER'],
    holds: 'all that was sent'
  },
  { name: 'silence', answer: (to, at) => begin(to, at), ...silent },
  { name: 'an abort in the middle', answer: (to, at) => begin(to, unfinished(at).length), ...aborted },
  {
    name: 'a refusal',
    answer({ stream }) {
      stream.respond({ ':status': 429, 'content-type': 'application/json' })
      stream.end('{"error":{"message":"slowly"}}')
    },
    isWhole: () => false,
    codes: client => [client.refusal(429)],
    holds: 'nothing'
  },
  {
    name: 'RST_STREAM before the head',
    answer: ({ stream }) => stream.close(NGHTTP2_INTERNAL_ERROR),
    isWhole: () => false,
    codes: client => [client.closed],
    holds: 'nothing'
  },
  {
    name: 'a RST before the head',
    answer: ({ socket }) => socket.resetAndDestroy(),
    isWhole: () => false,
    codes: client => [client.reset],
    holds: 'nothing'
  }
]

/** Tries one case, with a server of its own. */
export async function tryOverHTTP2(
  each: HTTP2Case,
  path: string,
  choice: Choice
): Promise<string | undefined> {
  const at = choice.below(body.length)
  const sockets: Socket[] = []
  const streams: ServerHttp2Stream[] = []
  const server = createSecureServer({ key, cert: certificate })
  server.on('connection', (socket: Socket) => void sockets.push(socket.on('error', () => {})))
  server.on('session', session => session.on('error', () => {}))
  server.on('stream', stream => {
    streams.push(stream.on('error', () => {}))
    each.outcome.answer({ stream, socket: sockets[0] as Socket }, at)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const found = await judge(each, {
    url: `https://127.0.0.1:${port}`,
    at,
    path,
    choice,
    isTold: () => streams.every(stream => stream.destroyed || stream.writableEnded)
  })
  for (const socket of sockets) socket.destroy()
  server.close()
  return found && `at ${at}, ${found}`
}

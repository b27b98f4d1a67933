import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { body, failedWithin, isFinished, isFinishedButForLineEnds, isMarked, unfinished } from './answer.js'
import type { Outcome } from './oracle.js'

/** Something that a server does, once so many bytes of the answer have been sent, and what must come of it. */
export interface Fault<Connection> extends Outcome {
  name: string
  answer(connection: Connection, at: number): void
}

const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n'
const chunkedHead = `${head}transfer-encoding: chunked\r\n\r\n`
const lastChunk = '0\r\n\r\n'
const zipped = gzipSync(body)

export const whole = {
  isWhole: () => true,
  codes: () => [],
  holds: 'all that was sent'
} as const satisfies Outcome

export const cut = {
  isWhole: isFinished,
  codes: () => ['CS_ERR_TRUNCATED'],
  holds: 'all that was sent'
} as const satisfies Outcome

/** What was sent before may be lost on its way. */
export const lossy = { ...cut, holds: 'a beginning' } as const satisfies Outcome

export const silent = {
  isWhole: isMarked,
  codes: () => ['CS_ERR_STALLED'],
  holds: 'all that was sent',
  needs: 'a time limit'
} as const satisfies Outcome

export const aborted = {
  isWhole: () => false,
  codes: () => ['ABORT_ERR'],
  holds: 'a beginning',
  needs: 'an abort'
} as const satisfies Outcome

/** What HTTP/1.1 allows, and what it does not. */
export const faults: readonly Fault<Socket>[] = [
  {
    name: 'nothing, chunked',
    answer: socket => socket.end(bytes(chunked(body.length), lastChunk)),
    ...whole
  },
  {
    name: 'nothing, with a length',
    answer: socket => socket.end(bytes(`${head}content-length: ${body.length}\r\n\r\n`, body)),
    ...whole
  },
  {
    name: 'nothing, ended by the connection',
    answer: socket => socket.end(bytes(`${head}connection: close\r\n\r\n`, body)),
    ...whole
  },
  {
    name: 'an early end of the chunks',
    answer: (socket, at) => socket.end(bytes(chunked(at), lastChunk)),
    ...cut,
    isWhole: isFinishedButForLineEnds
  },
  { name: 'a FIN among the chunks', answer: (socket, at) => socket.end(chunked(at)), ...cut },
  {
    name: 'a FIN within a chunk',
    answer: (socket, at) => socket.end(bytes(chunked(at), 'ffff\r\n')),
    ...cut
  },
  {
    name: 'a RST',
    answer: (socket, at) => socket.write(chunked(at), () => socket.resetAndDestroy()),
    ...lossy
  },
  {
    name: 'a FIN before the length',
    answer: (socket, at) =>
      socket.end(bytes(`${head}content-length: ${body.length + 9}\r\n\r\n`, body.subarray(0, at))),
    ...cut
  },
  {
    name: 'a FIN without a length',
    answer: (socket, at) => socket.end(bytes(`${head}connection: close\r\n\r\n`, body.subarray(0, at))),
    ...cut
  },
  {
    // It comes in one read with what was before it, of which node-fetch then gives nothing.
    name: 'garbage for a chunk',
    answer: (socket, at) => socket.end(bytes(chunked(at), 'zz\r\nHTTP/1.1 502 Bad Gateway\r\n\r\n')),
    ...lossy
  },
  {
    name: 'an error in the stream',
    answer(socket, at) {
      const sent = failedWithin(at)
      socket.end(bytes(`${head}content-length: ${sent.length}\r\n\r\n`, sent))
    },
    isWhole: () => false,
    codes: () => ['CS_ERR_PROVIDER'],
    holds: 'all that was sent'
  },
  {
    name: 'a gzip that is whole',
    answer: socket =>
      socket.end(bytes(`${head}content-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`, zipped)),
    ...whole
  },
  {
    name: 'a gzip that is cut',
    answer(socket, at) {
      const part = zipped.subarray(0, Math.max(1, Math.min(at, zipped.length - 20)))
      socket.end(bytes(`${head}content-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`, part))
    },
    ...lossy,
    isWhole: () => false
  },
  { name: 'silence', answer: (socket, at) => socket.write(chunked(at)), ...silent },
  {
    name: 'an abort in the middle',
    answer: (socket, at) => socket.write(chunked(unfinished(at).length)),
    ...aborted
  },
  {
    name: 'a refusal',
    answer(socket) {
      const error = '{"error":{"message":"slowly"}}'
      socket.end(
        `HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: ${error.length}\r\n\r\n${error}`
      )
    },
    isWhole: () => false,
    codes: client => [client.refusal(429)],
    holds: 'nothing'
  },
  {
    name: 'a FIN before the head',
    answer: socket => socket.end(),
    isWhole: () => false,
    codes: client => [client.closed],
    holds: 'nothing'
  },
  {
    name: 'a RST before the head',
    answer: socket => socket.resetAndDestroy(),
    isWhole: () => false,
    codes: client => [client.reset],
    holds: 'nothing'
  }
]

/**
 * openai 4 is not told by its node-fetch of a connection that ends before the length that was announced. Only a time limit ends
 * the waiting.
 */
export function through(name: string, fault: Fault<Socket>): Fault<Socket> {
  const isUntold =
    name === 'openai 4' && ['a FIN before the length', 'a gzip that is cut'].includes(fault.name)
  return isUntold ? { ...fault, codes: silent.codes, needs: silent.needs } : fault
}

/** The head of a response and so many bytes of the answer in one chunk. */
function chunked(at: number): Buffer {
  return at === 0
    ? bytes(chunkedHead)
    : bytes(chunkedHead, `${at.toString(16)}\r\n`, body.subarray(0, at), '\r\n')
}

function bytes(...parts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.map(part => Buffer.from(part)))
}

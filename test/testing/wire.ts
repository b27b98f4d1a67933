import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { CompletionServer } from 'completion-streams/testing'

export const question = { messages: [{ role: 'user', content: 'Hello?' }] }
export const streamedQuestion = { ...question, stream: true }

/** Posts JSON with Node's own fetch. */
export function post(server: CompletionServer, body: object, path = 'chat/completions'): Promise<Response> {
  return fetch(`${server.url}/${path}`, { method: 'POST', body: JSON.stringify(body) })
}

/** A body that is one JSON text, parsed. */
export async function jsonOf(response: Promise<Response>): Promise<Payload> {
  // JSON is anything; every test of it says what it must hold.
  return (await (await response).json()) as Payload
}

/** The events of a body as they stand on the wire, without their blank lines. */
export async function eventsOf(response: Promise<Response>): Promise<string[]> {
  const text = await (await response).text()
  return text.split('\n\n').slice(0, -1)
}

/** The payloads of a body, parsed. The end mark is left out. */
export async function payloadsOf(response: Promise<Response>): Promise<Payload[]> {
  const lines = (await eventsOf(response)).flatMap(event => event.split('\n'))
  const data = lines.flatMap(line => (line.startsWith('data: ') ? line.slice(6) : []))
  return data.filter(text => text !== '[DONE]').map(text => JSON.parse(text))
}

/** What the tests read off a payload; any field may be missing. */
// biome-ignore lint/suspicious/noExplicitAny: payloads are JSON, and a wrong guess fails the test
export type Payload = Record<string, any>

/** One request over a socket of its own, and what comes back byte for byte. */
export class Exchange {
  readonly socket: Socket
  received = ''

  constructor(server: CompletionServer, body: string, path = '/v1/chat/completions', method = 'POST') {
    this.socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    this.socket.setEncoding('latin1')
    this.socket.on('error', () => {})
    this.socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    )
    this.socket.on('data', text => {
      this.received += text
      this.socket.emit('more')
    })
    this.socket.on('close', () => this.socket.emit('more'))
  }

  /** Reads until what came matches. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.received)) {
      if (this.socket.closed || this.received.length > 1e6)
        throw new Error(`nothing came that matches ${pattern}`)
      await once(this.socket, 'more')
    }
  }

  /** Reads until the server closes the connection. */
  async toEnd(): Promise<string> {
    if (!this.socket.closed) await once(this.socket, 'close')
    return this.received
  }
}

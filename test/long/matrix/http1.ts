import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { certificate, key } from '../../encode/certificate.js'
import type { Choice } from '../choice.js'
import { body } from './answer.js'
import type { Fault } from './faults.js'
import { type Case, judge } from './oracle.js'

/** A case in which a server answers over HTTP/1.1. */
export interface HTTP1Case extends Case {
  isSecure: boolean
  outcome: Fault<Socket>
}

/** Tries one case. The client asks at the URL that `urlOf` makes of the port of the server. */
export async function tryOverHTTP1(
  each: HTTP1Case,
  path: string,
  choice: Choice,
  urlOf: (port: number) => string
): Promise<string | undefined> {
  const at = choice.below(body.length)
  const sockets: Socket[] = []
  const server = createServer(below => {
    const socket = each.isSecure ? overTLS(below) : below
    sockets.push(socket)
    below.on('error', () => {})
    socket.on('error', () => {})
    socket.once('data', () => each.outcome.answer(socket, at))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const found = await judge(each, {
    url: urlOf(port),
    at,
    path,
    choice,
    isTold: () => sockets.every(socket => socket.destroyed || socket.readableEnded || socket.writableEnded)
  })
  for (const socket of sockets) socket.destroy()
  server.close()
  return found && `at ${at}, ${found}`
}

/** The server's end of a connection over TLS, which can be reset as the one below it. */
function overTLS(below: Socket): Socket {
  const socket = new TLSSocket(below, { isServer: true, key, cert: certificate })
  return Object.assign(socket, { resetAndDestroy: () => below.resetAndDestroy() })
}

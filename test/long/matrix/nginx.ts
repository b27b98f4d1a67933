import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Fault } from './faults.js'

const program = '/usr/sbin/nginx'

export const hasNginx: boolean = existsSync(program)

/** An nginx of one process, before any server on this machine. */
export interface Nginx {
  child: ChildProcess
  /** The URL that leads to the server on a port. */
  urlOf(port: number): string
}

/** Starts an nginx that listens on a port of its own; with what `proxy_buffering` is to be. */
export async function startNginx(folder: string, buffering: 'on' | 'off'): Promise<Nginx> {
  const port = await freePort()
  const name = join(folder, `nginx-${port}`)
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(kind => `${kind}_temp_path ${name}-${kind};`)
    .join('\n')
  await writeFile(
    `${name}.conf`,
    `daemon off; master_process off; pid ${name}.pid; error_log /dev/null;
    events {}
    http {
      access_log off;
      ${paths}
      server {
        listen 127.0.0.1:${port};
        location ~ ^/(?<behind>[0-9]+) {
          proxy_pass http://127.0.0.1:$behind;
          proxy_http_version 1.1;
          proxy_buffering ${buffering};
        }
      }
    }`
  )
  const child = spawn(program, ['-c', `${name}.conf`, '-p', folder], { stdio: 'ignore' })
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`nginx exited with ${child.exitCode}`)
  }
  return { child, urlOf: behind => `http://127.0.0.1:${port}/${behind}` }
}

/** Nobody listens on a port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** What comes of a fault behind nginx, where that differs. */
export function behindNginx(fault: Fault<Socket>, buffering: 'on' | 'off'): Fault<Socket> {
  // It answers in the place of a provider that does not.
  if (fault.name.endsWith('before the head')) return { ...fault, codes: client => [client.refusal(502)] }
  // It may read the garbage with the head, and then closes the connection without either.
  if (fault.name === 'garbage for a chunk')
    return { ...fault, codes: client => [...fault.codes(client), client.closed] }
  // It keeps what is less than a buffer until more comes.
  if (fault.name === 'silence' && buffering === 'on') return { ...fault, holds: 'a beginning' }
  return fault
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { ResponseForm } from 'completion-streams'
import { answer, Relay, read, readBody, textIn } from './relay.js'

const program = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find(existsSync)

/** How nginx speaks to the server behind it. */
const ways = {
  'HTTP/1.1': 'proxy_http_version 1.1; proxy_set_header Connection "";',
  'HTTP/1.1, buffering although it is told not to':
    'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;',
  'HTTP/1.0': 'proxy_http_version 1.0;',
  'HTTP/1.0, buffering although it is told not to':
    'proxy_http_version 1.0; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('respond behind nginx', () => {
  let folder: string
  let running: ChildProcess | undefined

  before(async function () {
    if (!program) return this.skip()
    folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  })

  afterEach(async () => {
    if (!running || running.exitCode !== null) return
    running.kill()
    await once(running, 'exit')
  })

  after(async () => {
    if (program) await rm(folder, { recursive: true, force: true })
  })

  /** Starts nginx before a server, and gives its address. */
  async function startBefore(port: number, way: string): Promise<string> {
    const own = await freePort()
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map(name => `${name}_temp_path ${folder}/${name};`)
      .join(' ')
    await writeFile(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
      events {}
      http { access_log off; ${temporary}
        server { listen 127.0.0.1:${own}; location / { proxy_pass http://127.0.0.1:${port}; ${way} } } }`
    )
    running = spawn(program as string, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' })
    for (;;) {
      const isUp = await fetch(`http://127.0.0.1:${own}/`, { method: 'HEAD' }).then(
        () => true,
        () => false
      )
      if (isUp || running.exitCode !== null) return `http://127.0.0.1:${own}`
    }
  }

  for (const [name, way] of Object.entries(ways)) {
    for (const as of ['events', 'lines', 'text'] satisfies ResponseForm[]) {
      it(`${name}: a whole answer is whole, a cut one is not taken for whole (${as})`, async () => {
        for (const faults of [{}, { cutAfter: { events: 4 } }, { status: 429 }]) {
          await using relay = await Relay.start({ as }, faults)
          const url = await startBefore(relay.port, way)
          const { status, body, error } = await readBody(url)
          if ('status' in faults) expect(status).to.equal(429)
          else if (!('cutAfter' in faults)) {
            expect(error).to.equal(undefined)
            expect(textIn[as](body)).to.equal(answer)
          } else {
            // A reset is the only end that HTTP/1.0 does not take for a whole body; nginx then forgets what it held.
            const isForgotten = as === 'text' && name.startsWith('HTTP/1.0, buffering')
            if (!isForgotten) expect(textIn[as](body)).to.match(/^Hello/)
            // What a reader goes by: an error in the body, or the connection that breaks off.
            expect(as === 'text' ? error !== undefined || status === 502 : body.includes('"error"')).to.equal(
              true
            )
          }
          if (as === 'events' && 'cutAfter' in faults) {
            const told = await read(url)
            expect(told.error).to.be.an('error')
            expect(answer.startsWith(told.text)).to.equal(true)
          }
          running?.kill()
          await once(running as ChildProcess, 'exit')
        }
      })
    }
  }
})

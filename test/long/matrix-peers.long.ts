import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  createSecureServer,
  type ServerHttp2Stream
} from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { fromResponse, requestCompletion, type Source, toChunks, toText } from 'completion-streams'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'
import { Agent, fetch as undiciFetch } from 'undici'
import { certificate, key } from '../encode/certificate.js'
import { Choice, cases } from './choice.js'

const words = Array.from({ length: 60 }, (_, place) => `word${place} \ud83d\ude00 `)
const event = (payload: object) => `data: ${JSON.stringify({ id: 'c', ...payload })}\n\n`
const unfinished = words.map(content => event({ choices: [{ index: 0, delta: { content } }] }))
const body = Buffer.from(unfinished.join(''))
const whole = Buffer.concat([
  body,
  Buffer.from(`${event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}data: [DONE]\n\n`)
])
const text = words.join('')
const question = { model: 'm', messages: [] }

/** Reads to the text, and says with what it ended; `onText` is called as soon as there is any. */
async function read(source: Source<Uint8Array>, onText = () => {}) {
  let got = ''
  const sink = new Writable({
    decodeStrings: false,
    write(piece, _encoding, callback) {
      if (got === '') onText()
      got += piece
      callback()
    }
  })
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<string>(resolve => {
    timer = setTimeout(resolve, 20_000, 'hangs')
  })
  const run = pipeline(source, toChunks(), toText(), sink).then(
    () => 'whole',
    (error: Error & { code?: string }) => error.code ?? error.constructor.name
  )
  const ended = await Promise.race([run, hangs])
  clearTimeout(timer)
  return { got, ended }
}

/** What is wrong with the end of an answer that was cut. */
function wrongWith({ got, ended }: { got: string; ended: string }): string | undefined {
  if (!text.startsWith(got)) return `the sink holds what was never sent: ${got.slice(-60)}`
  return ended === 'CS_ERR_TRUNCATED' ? undefined : `it ends with ${ended}`
}

/** The clients that speak HTTP/1.1. */
const clients: Record<string, (url: string) => Source<Uint8Array>> = {
  ...Object.fromEntries(
    Object.entries({ 'openai 4': OpenAI4, 'openai 5': OpenAI5, 'openai 6': OpenAI }).map(([name, Client]) => [
      name,
      // What is called here all majors share.
      (baseURL: string) =>
        requestCompletion(new (Client as typeof OpenAI)({ baseURL, apiKey: 'none', maxRetries: 0 }), question)
    ])
  ),
  fetch: url => fromResponse(signal => fetch(url, { signal }))
}

describe('the matrix of HTTP/2', () => {
  const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants
  const faults: Record<string, (stream: ServerHttp2Stream, socket: Socket) => void> = {
    'an end of the stream': stream => stream.end(),
    'RST_STREAM without an error': stream => stream.close(NGHTTP2_NO_ERROR),
    'RST_STREAM, internal error': stream => stream.close(NGHTTP2_INTERNAL_ERROR),
    'RST_STREAM, cancelled': stream => stream.close(NGHTTP2_CANCEL),
    'RST_STREAM, refused': stream => stream.close(NGHTTP2_REFUSED_STREAM),
    'GOAWAY and the end of the session': stream => {
      stream.session?.goaway(NGHTTP2_INTERNAL_ERROR)
      stream.session?.destroy()
    },
    'a session that is destroyed': stream => stream.session?.destroy(),
    'a connection that is cut': (_stream, socket) => socket.destroy(),
    'a connection that is reset': (_stream, socket) => socket.resetAndDestroy()
  }
  const sources: Record<
    string,
    (url: string, dispatcher: Agent, open: () => ClientHttp2Session) => Source<Uint8Array>
  > = {
    'node:http2': (_url, _dispatcher, open) =>
      fromResponse(async () => {
        const stream = open().request({ ':path': '/' })
        const [headers] = await once(stream, 'response')
        return { statusCode: headers[':status'], headers, body: stream }
      }),
    fetch: (url, dispatcher) => fromResponse(signal => undiciFetch(url, { signal, dispatcher })),
    'openai 6': (url, dispatcher) =>
      requestCompletion(
        new OpenAI({
          baseURL: url,
          apiKey: 'none',
          maxRetries: 0,
          fetch: ((to: string, init: object) => undiciFetch(to, { ...init, dispatcher })) as never
        }),
        question
      )
  }

  it('gives a whole answer, and tells of each that is cut', async () => {
    const choice = new Choice('http2')
    const wrong: string[] = []
    let count = 0
    for (let turn = 0; turn < cases(20, 1); turn++) {
      for (const [sourceName, source] of Object.entries(sources)) {
        for (const [faultName, fault] of [['nothing', undefined] as const, ...Object.entries(faults)]) {
          const at = 1 + choice.below(body.length - 1)
          const sockets: Socket[] = []
          const server = createSecureServer({ key, cert: certificate })
          server.on('connection', (socket: Socket) => void sockets.push(socket.on('error', () => {})))
          server.on('session', session => session.on('error', () => {}))
          server.on('stream', stream => {
            stream.on('error', () => {})
            stream.respond({ ':status': 200, 'content-type': 'text/event-stream' })
            if (fault !== undefined)
              stream.write(body.subarray(0, at), () => fault(stream, sockets[0] as Socket))
            else stream.end(whole)
          })
          await once(server.listen(0, '127.0.0.1'), 'listening')
          const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
          const dispatcher = new Agent({ allowH2: true, connect: { ca: certificate } })
          // Opened only by who uses it: the connection that is cut must be the one with the answer.
          let session: ClientHttp2Session | undefined
          const open = () => {
            session = connectHttp2(url, { ca: certificate }).on('error', () => {})
            return session
          }
          const ended = await read(source(url, dispatcher, open))
          const isWhole = ended.ended === 'whole' && ended.got === text
          const found = fault ? wrongWith(ended) : isWhole ? undefined : `it ends with ${ended.ended}`
          if (found) wrong.push(`${sourceName}, ${faultName}, at ${at}: ${found}`)
          count++
          session?.destroy()
          await dispatcher.destroy()
          for (const socket of sockets) socket.destroy()
          server.close()
        }
      }
    }
    console.log(`      ${count} cases`)
    expect(wrong).to.deep.equal([])
  })
})

describe('the matrix of processes that are killed', () => {
  const program = fileURLToPath(new URL('provider.child.js', import.meta.url))

  async function start(...args: string[]): Promise<[child: ChildProcess, port: string]> {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [port] = await once(child.stdout as NodeJS.EventEmitter, 'data')
    return [child, String(port).trim()]
  }

  it('tells of a provider, or a proxy before it, that is killed in the middle', async () => {
    const choice = new Choice('killed')
    const wrong: string[] = []
    let count = 0
    for (let turn = 0; turn < cases(10, 1); turn++) {
      for (const [name, client] of Object.entries(clients)) {
        for (const victim of ['provider', 'proxy'] as const) {
          // At least one event, since the kill follows the first text.
          const events = 1 + choice.below(unfinished.length - 1)
          const [provider, port] = await start(unfinished.slice(0, events).join(''))
          const [proxy, proxyPort] = await start('', port)
          const killed = victim === 'provider' ? provider : proxy
          const ended = await read(client(`http://127.0.0.1:${proxyPort}`), () => killed.kill('SIGKILL'))
          const found = wrongWith(ended)
          if (found) wrong.push(`${name}, ${victim}, after ${events} events: ${found}`)
          count++
          provider.kill('SIGKILL')
          proxy.kill('SIGKILL')
        }
      }
    }
    console.log(`      ${count} cases`)
    expect(wrong).to.deep.equal([])
  })
})

describe('the matrix of providers that cannot be reached', () => {
  it('tells of a name that does not resolve, and of a refused connection', async () => {
    // Nobody listens on a port that was free a moment ago.
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise(resolve => server.close(resolve))
    const ends: Record<string, string> = {}
    for (const [name, client] of Object.entries(clients)) {
      for (const [fault, url] of [
        ['refused', `http://127.0.0.1:${port}`],
        ['no name', 'http://provider.invalid']
      ] as const)
        ends[`${name}, ${fault}`] = (await read(client(url))).ended
    }
    console.log(`      ${Object.keys(ends).length} cases`)
    const failures = ['APIConnectionError', 'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'TypeError']
    for (const [place, ended] of Object.entries(ends))
      expect(failures, `${place}: ${ended}`).to.include(ended)
  })
})

describe('the matrix behind nginx', () => {
  const nginx = '/usr/sbin/nginx'

  it('never takes an answer for whole that was cut behind it', async function () {
    if (!existsSync(nginx)) return this.skip()
    const choice = new Choice('nginx')
    const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
    const wrong: string[] = []
    let count = 0
    let leave: ((socket: Socket) => void) | undefined
    let at = 0
    const provider = createServer(socket => {
      socket.on('error', () => {})
      socket.once('data', () => {
        const bytes = leave ? body.subarray(0, at) : whole
        socket.write(
          'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
        )
        const sent = Buffer.concat([
          Buffer.from(`${bytes.length.toString(16)}\r\n`),
          bytes,
          Buffer.from('\r\n')
        ])
        if (leave) socket.write(sent, () => leave?.(socket))
        else socket.end(Buffer.concat([sent, Buffer.from('0\r\n\r\n')]))
      })
    }).listen(0, '127.0.0.1')
    await once(provider, 'listening')
    const behind = (provider.address() as AddressInfo).port
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map(name => `${name}_temp_path ${join(folder, name)};`)
      .join('\n')
    for (const buffering of ['on', 'off']) {
      const place = join(folder, `${buffering}.sock`)
      const config = join(folder, `${buffering}.conf`)
      await writeFile(
        config,
        `daemon off; master_process off; pid ${join(folder, `${buffering}.pid`)}; error_log /dev/null;
        events {}
        http {
          access_log off;
          ${paths}
          server {
            listen unix:${place};
            location / {
              proxy_pass http://127.0.0.1:${behind};
              proxy_http_version 1.1;
              proxy_buffering ${buffering};
            }
          }
        }`
      )
      const child = spawn(nginx, ['-c', config, '-p', folder], { stdio: 'ignore' })
      while (!existsSync(place) && child.exitCode === null) await new Promise(setImmediate)
      const dispatcher = new Agent({ connect: { socketPath: place } })
      const over = ((to: string, init: object) => undiciFetch(to, { ...init, dispatcher })) as never
      const sources: Record<string, () => Source<Uint8Array>> = {
        fetch: () => fromResponse(signal => undiciFetch('http://nginx', { signal, dispatcher })),
        'openai 6': () =>
          requestCompletion(
            new OpenAI({ baseURL: 'http://nginx', apiKey: 'none', maxRetries: 0, fetch: over }),
            question
          )
      }
      const faults: Record<string, typeof leave> = {
        nothing: undefined,
        'a FIN': socket => socket.end(),
        'a RST': socket => socket.resetAndDestroy()
      }
      for (let turn = 0; turn < cases(50, 2); turn++) {
        for (const [sourceName, source] of Object.entries(sources)) {
          for (const [faultName, fault] of Object.entries(faults)) {
            leave = fault
            at = 1 + choice.below(body.length - 1)
            const { got, ended } = await read(source())
            const isRight = fault
              ? text.startsWith(got) && ended !== 'whole' && ended !== 'hangs'
              : got === text && ended === 'whole'
            if (!isRight)
              wrong.push(`${sourceName}, buffering ${buffering}, ${faultName}, at ${at}: ${ended}`)
            count++
          }
        }
      }
      await dispatcher.destroy()
      child.kill()
    }
    provider.close()
    await rm(folder, { recursive: true })
    console.log(`      ${count} cases`)
    expect(wrong).to.deep.equal([])
  })
})

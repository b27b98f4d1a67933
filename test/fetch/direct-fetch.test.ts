import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { expect } from 'chai'
import { directFetch, type Fetch, fromResponse } from 'completion-streams'
import { withResolvers } from '../answers.js'
import { certificate, key } from '../encode/certificate.js'
import { allowNoComplaints, failureOf, serve } from '../helpers.js'
import { freePort } from '../redis-server.js'

// Whoever comes first sets the global dispatcher: the undici of this Node, so that its own interface is tested too.
await fetch('data:,')
const { Agent, ProxyAgent } = await import('undici')

/** Nobody listens there. */
const closedPort = await freePort()

const text = 'A text that is long enough to be packed, packed, packed, packed and packed. '.repeat(40)
const gzipped = zlib.gzipSync(text)

/** What a server answers at each path. */
const answers: Record<string, (request: IncomingMessage, response: ServerResponse, body: string) => void> = {
  // Behind a reader's back, fetch sorts its headers in its own way.
  echo: ({ method, headers }, response, body) =>
    response.end(JSON.stringify({ method, headers: Object.entries(headers).sort(), body })),
  head: (_request, response) =>
    response
      .writeHead(299, 'Very well', {
        'x-one': ['1', '2'],
        'set-cookie': ['a=1', 'b=2'],
        'x-bytes': 'caf\xe9'
      })
      .end('body'),
  pieces: (_request, response) => {
    response.write('one ')
    setImmediate(() => response.end('two'))
  },
  empty: (_request, response) => response.end(),
  'no-content': (_request, response) => response.writeHead(204).end(),
  'not-modified': (_request, response) => response.writeHead(304, { etag: 'a' }).end(),
  refused: (_request, response) => response.writeHead(429, { 'retry-after': '1' }).end('{"error":1}'),
  early: (_request, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' })
    response.end('late')
  },
  gzip: packed('gzip', gzipped),
  'x-gzip': packed('X-GZip', gzipped),
  br: packed('br', zlib.brotliCompressSync(text)),
  deflate: packed('deflate', zlib.deflateSync(text)),
  'raw-deflate': packed('deflate', zlib.deflateRawSync(text)),
  'both-codings': packed('gzip, br', zlib.brotliCompressSync(gzipped)),
  'unknown-coding': packed('rot13', Buffer.from('grkg')),
  'empty-gzip': packed('gzip', Buffer.alloc(0)),
  'short-gzip': packed('gzip', gzipped.subarray(0, -8)),
  'broken-gzip': packed('gzip', Buffer.concat([gzipped.subarray(0, 20), Buffer.alloc(200, 255)])),
  'no-gzip': packed('gzip', Buffer.from('this is not gzip at all')),
  cut: (_request, response) => {
    response.write('begun ', () => response.destroy())
  },
  'cut-length': (_request, response) => {
    response.setHeader('content-length', 100)
    response.write('begun ', () => response.destroy())
  },
  'cut-gzip': (_request, response) => {
    response.setHeader('content-encoding', 'gzip')
    response.write(gzipped.subarray(0, 40), () => response.destroy())
  },
  'no-answer': (_request, response) => void response.destroy(),
  'no-http': (_request, response) => void response.socket?.end('220 this is mail\r\n\r\n'),
  loop: (_request, response) => response.writeHead(302, { location: '/loop' }).end('elsewhere'),
  nowhere: (_request, response) => response.writeHead(302).end('no location'),
  'to-ftp': redirectTo('ftp://127.0.0.1/'),
  'to-nonsense': redirectTo('http://[nonsense/'),
  'to-fragment': redirectTo('/echo#there'),
  'to-cafe': redirectTo('/echo?caf\xc3\xa9'),
  'to-user': (request, response) =>
    response.writeHead(302, { location: `http://user:word@${request.headers.host}/echo` }).end(),
  'to-cut': redirectTo('/cut')
}

function packed(coding: string, bytes: Uint8Array) {
  return (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-encoding': coding }).end(bytes)
  }
}

function redirectTo(location: string, status = 302) {
  return (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, { location }).end('elsewhere')
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const piece of request.setEncoding('utf8')) body += piece
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
  const status = searchParams.get('status')
  if (status) redirectTo(searchParams.get('to') ?? '/echo', Number(status))(request, response)
  else answers[pathname.slice(1)]?.(request, response, body)
}

/** All that can be seen of a response, or of the failure in its place, on a server of any port. */
async function seen(work: Promise<Response>): Promise<unknown> {
  try {
    const response = await work
    const { status, statusText, ok, type, redirected, headers } = response
    const lines = [...headers].filter(([name]) => name !== 'date')
    const url = response.url.replace(/:\d+/, '')
    return { status, statusText, ok, type, redirected, url, lines, ...(await seenBody(response)) }
  } catch (error) {
    return facts(error)
  }
}

async function seenBody(response: Response): Promise<object> {
  if (response.body === null) return { body: null, text: await response.text() }
  let body = ''
  try {
    for await (const piece of response.body) body += Buffer.from(piece).toString('latin1')
    return { body: body.replace(/127\.0\.0\.1:\d+/, ''), bodyUsed: response.bodyUsed }
  } catch (error) {
    return { body, ...facts(error) }
  }
}

/** Of an error, what clients go by. */
function facts(error: unknown): object {
  const { name, message, cause } = error as Error
  const { name: kind, code } = (cause ?? {}) as Error & { code?: string }
  return { name, message, kind, code }
}

describe('directFetch, beside fetch', () => {
  allowNoComplaints()

  const direct = directFetch()
  const cases: Record<string, RequestInit & { path?: string; cache?: string }> = {
    ...Object.fromEntries(Object.keys(answers).map(path => [`GET /${path}`, { path: `/${path}` }])),
    'a query and a fragment': { path: '/echo?a=b&c=%20#d' },
    'POST of text': { method: 'POST', body: 'caf\u00e9' },
    'POST of nothing': { method: 'POST' },
    'POST of JSON with headers': {
      method: 'post',
      body: '{"a":1}',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer none', 'X-Empty': '' }
    },
    'PUT of bytes': { method: 'PUT', body: new TextEncoder().encode('bytes').subarray(1, 4) },
    'PUT of an ArrayBuffer': { method: 'PUT', body: new TextEncoder().encode('bytes').buffer },
    'POST of parameters': { method: 'POST', body: new URLSearchParams({ a: 'b c' }) },
    'POST of a blob': { method: 'POST', body: new Blob(['a'], { type: 'text/csv' }) },
    'PATCH with headers as pairs': {
      method: 'PATCH',
      body: 'a',
      headers: [
        ['x-a', '1'],
        ['X-A', '2']
      ]
    },
    'DELETE of nothing': { method: 'DELETE' },
    OPTIONS: { method: 'OPTIONS' },
    'HEAD of a packed body': { method: 'HEAD', path: '/gzip' },
    'headers of its own in the place of the usual ones': {
      headers: {
        accept: 'text/event-stream',
        'accept-encoding': 'identity',
        'user-agent': 'me',
        'accept-language': 'fr'
      }
    },
    'a Host header': { headers: { host: 'elsewhere' } },
    'a range': { headers: { range: 'bytes=0-1' } },
    'a conditional request': { headers: { 'if-none-match': '"a"' } },
    'cache: no-cache': { cache: 'no-cache' },
    'GET with a body': { body: 'a' },
    'a method that is forbidden': { method: 'TRACE' },
    'a method of its own': { method: 'QUERY' },
    'a header that is none': { headers: { 'a b': '1' } },
    'a wrong redirect mode': { redirect: 'never' as 'error' },
    'a wrong connection header': { headers: { connection: 'a b' } },
    'transfer-encoding': { method: 'POST', body: 'a', headers: { 'transfer-encoding': 'chunked' } },
    'redirect: error': { path: '/to-fragment', redirect: 'error' },
    'redirect: manual': { path: '/to-fragment', redirect: 'manual' },
    ...Object.fromEntries(
      [301, 302, 303, 307, 308].flatMap(status =>
        ['GET', 'HEAD', 'POST', 'PUT'].map(method => {
          const body = method.startsWith('P') ? '{"a":1}' : null
          const headers = {
            'content-type': 'application/json',
            authorization: 'Bearer none',
            cookie: 'a=1',
            'x-a': '1'
          }
          return [`${status} of ${method}`, { path: `/?status=${status}`, method, body, headers }]
        })
      )
    )
  }

  for (const [name, { path = '/echo', ...init }] of Object.entries(cases)) {
    it(`gives the same: ${name}`, async () => {
      await using server = await serve(answer)
      const own = await seen(direct(server.url + path, init))
      expect(own).to.deep.equal(await seen(fetch(server.url + path, init)))
    })
  }

  for (const status of [302, 307]) {
    it(`drops what is for one server alone at a ${status} to another`, async () => {
      await using other = await serve(answer)
      await using server = await serve(answer)
      const url = `${server.url}/?status=${status}&to=${other.url}/echo`
      const headers = { authorization: 'Bearer none', cookie: 'a=1', 'x-a': '1' }
      const own = await seen(direct(url, { method: 'POST', body: 'a', headers }))
      expect(own).to.deep.equal(await seen(fetch(url, { method: 'POST', body: 'a', headers })))
      expect(JSON.stringify(own)).not.to.include('Bearer')
    })
  }

  const inputs: Record<string, (origin: string) => [Parameters<Fetch>[0], RequestInit?]> = {
    'a URL': origin => [new URL('/echo', origin)],
    'a Request': origin => [new Request(`${origin}/echo`, { method: 'POST', body: 'a' })],
    'an address that is none': () => ['nonsense'],
    'an address with a password': origin => [origin.replace('//', '//a:b@')],
    'data:': () => ['data:text/plain,hello'],
    'file:': () => ['file:///etc/hostname'],
    'a port where nobody listens': () => [`http://127.0.0.1:${closedPort}`],
    'a host that does not exist': () => ['http://nowhere.invalid'],
    'a form': origin => {
      const form = new FormData()
      form.set('a', 'b')
      return [`${origin}/head`, { method: 'POST', body: form }]
    },
    'a stream': origin => {
      const body = new Blob(['piece']).stream()
      return [`${origin}/echo`, { method: 'POST', body, duplex: 'half' }]
    }
  }
  for (const [name, make] of Object.entries(inputs)) {
    it(`takes ${name} as fetch does`, async () => {
      await using server = await serve(answer)
      const own = await seen(direct(...make(server.url)))
      expect(own).to.deep.equal(await seen(fetch(...make(server.url))))
    })
  }

  for (const reading of ['text', 'json', 'arrayBuffer', 'blob'] as const) {
    it(`reads a body once by ${reading}()`, async () => {
      await using server = await serve(answer)
      for (const send of [direct, fetch]) {
        const response = await send(`${server.url}/echo`)
        const copy = response.clone()
        expect(response.bodyUsed).to.equal(false)
        const value = await response[reading]()
        expect(response.bodyUsed).to.equal(true)
        const failure = await failureOf(response[reading]())
        expect(failure).to.be.instanceOf(TypeError)
        expect(failure.message).to.match(/unusable|already/i)
        expect(copy.url).to.equal(response.url)
        expect(copy.bodyUsed).to.equal(false)
        const again = await copy[reading]()
        if (reading === 'text' || reading === 'json') expect(again).to.deep.equal(value)
        expect(() => response.clone()).to.throw(TypeError)
      }
    })
  }

  for (const first of ['copy', 'response'] as const) {
    it(`gives a copy, and both can be read by a source: the ${first} first`, async () => {
      await using server = await serve(answer)
      for (const send of [direct, fetch]) {
        const response = await send(`${server.url}/pieces`)
        const both = { copy: response.clone(), response }
        const second = first === 'copy' ? 'response' : 'copy'
        const whole = await both[first].text()
        expect([both[first].bodyUsed, both[second].bodyUsed]).to.deep.equal([true, false])
        expect(await textOf(fromResponse(both[second]))).to.equal(whole)
        expect(both[second].bodyUsed).to.equal(true)
      }
    })
  }

  it('gives a Response, with a body that can be read into memory of the reader', async () => {
    await using server = await serve(answer)
    const response = await direct(`${server.url}/pieces`)
    expect(response).to.be.instanceOf(Response)
    expect(response.body).to.equal(response.body)
    const reader = response.body?.getReader({ mode: 'byob' })
    const found = await reader?.read(new Uint8Array(3))
    expect(Buffer.from(found?.value ?? []).toString()).to.equal('one')
    await reader?.cancel()
  })

  const reasons: Record<string, unknown[]> = {
    'without a reason': [],
    'with an error': [new Error('enough')],
    'with a text': ['enough']
  }
  for (const [name, reason] of Object.entries(reasons)) {
    it(`rejects with the same when it is aborted ${name}, at whatever moment`, async () => {
      const found: unknown[][] = []
      for (const send of [direct, fetch]) {
        const of: unknown[] = []
        const aborted = AbortSignal.abort(...reason)
        await using server = await serve((_request, response) => {
          response.write('begun ')
        })
        const { promise: arrived, resolve: arrive } = withResolvers()
        await using silent = await serve(() => arrive())

        of.push(await failureOf(send(server.url, { signal: aborted })))

        const early = new AbortController()
        const failed = failureOf(send(silent.url, { signal: early.signal }))
        await arrived
        early.abort(...reason)
        of.push(await failed)

        const late = new AbortController()
        const body = (await send(server.url, { signal: late.signal })).body?.getReader()
        await body?.read()
        const reading = failureOf(body?.read() ?? Promise.resolve())
        late.abort(...reason)
        of.push(await reading)

        found.push(of.map(error => (error instanceof Error ? [error.name, error.message] : error)))
      }
      expect(found[0]).to.deep.equal(found[1])
    })

    it(`fails the body with the reason when it is aborted ${name} before anybody reads`, async () => {
      await using server = await serve((_request, response) => {
        response.write('begun ')
      })
      const controller = new AbortController()
      const { signal } = controller
      const response = await direct(server.url, { signal })
      controller.abort(...reason)
      expect(await failureOf(response.text())).to.equal(signal.reason)
    })
  }

  it('aborts a request that waits for a connection', async () => {
    const { promise: arrived, resolve: arrive } = withResolvers()
    let count = 0
    await using server = await serve(() => {
      count++
      arrive()
    })
    const dispatcher = new Agent({ connections: 1 })
    const one = directFetch({ dispatcher })
    const [first, second] = [new AbortController(), new AbortController()]
    const failures = [first, second].map(({ signal }) => failureOf(one(server.url, { signal })))
    await arrived
    second.abort()
    expect(await failures[1]).to.have.property('name', 'AbortError')
    first.abort()
    expect(await failures[0]).to.have.property('name', 'AbortError')
    await dispatcher.close()
    expect(count).to.equal(1)
  })

  const exits: Record<string, (response: Response) => unknown> = {
    'its body is cancelled': response => response.body?.cancel(),
    'its iterator returns': response => response.body?.[Symbol.asyncIterator]().return?.(),
    'a reader of it cancels': response => response.body?.getReader().cancel()
  }
  for (const [name, leave] of Object.entries(exits)) {
    it(`closes the connection when ${name}`, async () => {
      const { promise: closed, resolve: close } = withResolvers()
      await using server = await serve((_request, response) => {
        response.on('close', close)
        response.write('begun ')
      })
      await leave(await direct(server.url))
      await closed
    })
  }

  it('lets the server wait when a body is not read, and reads all of it later', async () => {
    const size = 16 * 2 ** 20
    let socket: Socket | null = null
    await using server = await serve((_request, response) => {
      socket ??= response.socket
      response.end(Buffer.alloc(size, 'a'))
    })
    const response = await direct(server.url)
    for (let count = 0; count < 10; count++) await (await direct(server.url, { method: 'HEAD' })).text()
    expect(socket).to.have.property('writableLength').above(0)
    expect((await response.arrayBuffer()).byteLength).to.equal(size)
  })

  it('uses a connection again', async () => {
    const sockets = new Set<Socket | undefined>()
    await using server = await serve((request, response) => {
      sockets.add(request.socket)
      response.end('a')
    })
    const dispatcher = new Agent({ connections: 1 })
    for (let count = 0; count < 5; count++)
      await (await directFetch({ dispatcher })(server.url, { method: 'POST', body: 'a' })).text()
    expect(sockets.size).to.equal(1)
    await dispatcher.close()
  })

  for (const way of ['the dispatcher of its own', 'the dispatcher of a request'] as const) {
    it(`goes through a proxy with ${way}`, async () => {
      await using server = await serve(answer)
      await using proxy = await serveProxy()
      const dispatcher = new ProxyAgent({ uri: proxy.url, proxyTunnel: true })
      const isOwn = way === 'the dispatcher of its own'
      const send = isOwn ? directFetch({ dispatcher }) : direct
      const init = { method: 'POST', body: 'a', ...(!isOwn && { dispatcher }) } as object
      const { status, statusText } = await send(`${server.url}/head`, init)
      expect([status, statusText]).to.deep.equal([299, 'Very well'])
      expect(proxy.targets).to.deep.equal([new URL(server.url).host])
      await dispatcher.destroy()
    })
  }

  // So does fetch since undici 6.23 and 7.18.2; before that it undoes any number of them.
  it('undoes no more than five codings', async () => {
    await using server = await serve(packed('gzip, gzip, gzip, gzip, gzip, gzip', gzipped))
    const { name, message, cause } = await failureOf(direct(server.url))
    expect([name, message]).to.deep.equal(['TypeError', 'fetch failed'])
    expect(cause).to.have.property('message').that.includes('6, maximum allowed is 5')
  })

  // Since Node 22.15.
  const { zstdCompressSync: compress } = zlib as { zstdCompressSync?: (text: string) => Buffer }
  if (compress)
    it('decodes zstd where Node can, also where fetch does not', async () => {
      await using server = await serve((_request, response) => {
        response.writeHead(200, { 'content-encoding': 'zstd' }).end(compress(text))
      })
      expect(await (await direct(server.url)).text()).to.equal(text)
    })

  it('sends the same over TLS', async () => {
    const server = createSecureServer({ cert: certificate, key }, answer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const dispatcher = new Agent({ connect: { ca: certificate } })
    const init = { method: 'POST', body: 'a', dispatcher } as object
    const url = `https://127.0.0.1:${port}/echo`
    const own = await seen(direct(url, init))
    // The fetch of Node 26 would also offer zstd.
    const headers = { 'accept-encoding': 'br, gzip, deflate' }
    expect(own).to.deep.equal(await seen(fetch(url, { ...init, headers })))
    expect(own).to.have.property('status', 200)
    // Its certificate is not one that the global dispatcher knows.
    expect(await seen(direct(url))).to.deep.equal(await seen(fetch(url)))
    await dispatcher.close()
    server.close()
    await once(server, 'close')
  })

  it('fails the body when what reads it aborts the request', async () => {
    await using server = await serve((_request, response) => {
      response.write('begun ')
    })
    const controller = new AbortController()
    const { signal } = controller
    const response = await direct(server.url, { signal })
    const source = fromResponse(response)
    source.once('data', () => controller.abort())
    expect(await failureOf(finished(source))).to.have.property('name', 'AbortError')
  })

  it("tells of a dispatcher's time limits as fetch does", async () => {
    await using server = await serve((request, response) => {
      if (request.url === '/body') response.write('begun ')
    })
    const dispatcher = new Agent({ headersTimeout: 1, bodyTimeout: 1 })
    const found: unknown[] = []
    for (const send of [directFetch({ dispatcher }), fetch]) {
      const init = { dispatcher } as object
      found.push([
        await seen(send(server.url, init)),
        facts(await failureOf((await send(`${server.url}/body`, init)).text()))
      ])
    }
    expect(found[0]).to.deep.equal(found[1])
    expect(JSON.stringify(found[0]))
      .to.include('UND_ERR_HEADERS_TIMEOUT')
      .and.to.include('UND_ERR_BODY_TIMEOUT')
    await dispatcher.destroy()
  })

  it('is imported where there is no Response, as in a test of a page', async () => {
    const program =
      "delete globalThis.Response; const { directFetch } = await import('completion-streams'); console.log(typeof directFetch())"
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    expect(stdout).to.equal('function\n')
  })

  it('refuses wrong options', () => {
    expect(() => directFetch({ dispatcher: {} as never }))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
    expect(() => directFetch({ agent: 1 } as object))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

async function serveProxy() {
  const targets: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer().on('connect', ({ url = '' }, socket: Socket) => {
    targets.push(url)
    const [host = '', port] = url.split(':')
    const target = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n')
      socket.pipe(target).pipe(socket)
    })
    for (const end of [socket, target]) sockets.add(end.on('error', () => {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}

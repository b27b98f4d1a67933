import { lookup } from 'node:dns/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faults, through } from './matrix/faults.js'
import { type HTTP1Case, tryOverHTTP1 } from './matrix/http1.js'
import { clients, type HTTP2Case, faults as http2Faults, tryOverHTTP2 } from './matrix/http2.js'
import { type KilledCase, tryKilled, victims } from './matrix/killed.js'
import { behindNginx, freePort, hasNginx, type Nginx, startNginx } from './matrix/nginx.js'
import { type Case, judge, tryAll } from './matrix/oracle.js'
import { shapes } from './matrix/shapes.js'
import { plain } from './matrix/sources.js'

const shapeNames = [...shapes.keys()]

describe('the matrix of HTTP/2', () => {
  const all: HTTP2Case[] = clients.flatMap(client =>
    http2Faults.flatMap(outcome =>
      shapeNames.map(shape => ({ name: `${client.name}, ${outcome.name}`, shape, client, outcome }))
    )
  )

  it('keeps the promise in every case', () => tryAll(all, { repeats: 1, short: 100 }, tryOverHTTP2))
})

describe('the matrix of processes that are killed', () => {
  const all: KilledCase[] = plain.flatMap(client =>
    victims
      .filter(({ before }) => hasNginx || !before.startsWith('nginx'))
      .flatMap(killed =>
        shapeNames.map(shape => ({
          name: `${client.name}, ${killed.before} before the provider, ${killed.victim} is killed`,
          shape,
          client,
          ...killed
        }))
      )
  )

  it('keeps the promise in every case', () => tryAll(all, { repeats: 1, short: 15 }, tryKilled))
})

describe('the matrix of providers that cannot be reached', () => {
  it('fails in every case with what the client says of it', async () => {
    const refused = `http://127.0.0.1:${await freePort()}`
    // Without a name server it is another code.
    const noName = await lookup('provider.invalid').catch(error => error.code)
    const all: (Case & { url: string })[] = plain.flatMap(client =>
      [
        { name: 'a refused connection', url: refused, code: 'ECONNREFUSED' },
        { name: 'a name that does not resolve', url: 'http://provider.invalid', code: noName }
      ].flatMap(({ name, url, code }) =>
        shapeNames.map(shape => ({
          name: `${client.name}, ${name}`,
          shape,
          client,
          url,
          outcome: {
            isWhole: () => false,
            codes: ({ unreached }) => [`${unreached} ${code}`],
            holds: 'nothing'
          }
        }))
      )
    )
    await tryAll(all, { repeats: 1, short: 60 }, (each, path, choice) =>
      judge(each, { url: each.url, at: 0, path, choice, isTold: () => true })
    )
  })
})

for (const buffering of ['on', 'off'] as const) {
  describe(`the matrix behind nginx, with proxy_buffering ${buffering}`, () => {
    const all: HTTP1Case[] = plain.flatMap(client =>
      faults.flatMap(fault =>
        shapeNames.map(shape => ({
          name: `${client.name}, ${fault.name}`,
          shape,
          client,
          outcome: behindNginx(through(client.name, fault), buffering),
          isSecure: false
        }))
      )
    )
    let folder = ''
    let nginx: Nginx | undefined

    before(async function () {
      if (!hasNginx) return this.skip()
      folder = await mkdtemp(join(tmpdir(), 'nginx-'))
      nginx = await startNginx(folder, buffering)
    })
    after(async () => {
      nginx?.child.kill()
      await rm(folder, { recursive: true, force: true })
    })

    it('keeps the promise in every case', () =>
      tryAll(all, { repeats: 1, short: 60 }, (each, path, choice) =>
        tryOverHTTP1(each, path, choice, (nginx as Nginx).urlOf)
      ))
  })
}

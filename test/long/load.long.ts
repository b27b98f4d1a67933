import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { compose, fromResponse, requestCompletion, tapUsage, toChunks, toText } from 'completion-streams'
import { Agent, request } from 'undici'
import { clientOf, completion, failureOf, question, SlowSink, serve, words } from '../helpers.js'
import { Choice, cases } from './choice.js'

const event = (payload: object) => `data: ${JSON.stringify({ id: 'c', ...payload })}\n\n`
const delta = (content: string) => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
const ending = `${event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}data: [DONE]\n\n`

/** The text of the answer with a number: no two are alike. */
function textOf(number: number): string {
  return Array.from({ length: 20 }, (_, place) => `${number}:${place} `).join('')
}

/** A server that answers `/N` with the text of N, word by word. */
async function startServer() {
  const open = new Set<ServerResponse>()
  let aborted = 0
  const server = createServer(async (incoming, outgoing) => {
    open.add(outgoing)
    outgoing.once('close', () => {
      open.delete(outgoing)
      if (!outgoing.writableFinished) aborted++
    })
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const word of textOf(Number(incoming.url?.slice(1))).match(/\S+ /g) ?? []) {
      outgoing.write(delta(word))
      await new Promise(resolve => setImmediate(resolve))
      if (outgoing.destroyed) return
    }
    outgoing.end(ending)
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', 4096)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    open,
    get aborted() {
      return aborted
    },
    close() {
      server.closeAllConnections()
      server.close()
    }
  }
}

async function ask(url: string, dispatcher: Agent, signal?: AbortSignal): Promise<string> {
  let text = ''
  const sink = new Writable({
    decodeStrings: false,
    write(piece, _encoding, callback) {
      text += piece
      callback()
    }
  })
  const source = fromResponse(inner => request(url, { dispatcher, signal: inner }), signal ? { signal } : {})
  await pipeline(source, toChunks(), toText(), sink)
  return text
}

describe('load', () => {
  const warnings: unknown[] = []
  const complain = (warning: unknown) => void warnings.push(warning)

  before(() => process.on('warning', complain).on('unhandledRejection', complain))

  after(() => {
    process.off('warning', complain).off('unhandledRejection', complain)
    expect(warnings).to.deep.equal([])
  })

  it('many pipelines one behind the other over the same connections leave nothing behind', async () => {
    const server = await startServer()
    const dispatcher = new Agent({ connections: 8 })
    const count = cases(20_000, 1000)
    let number = 0
    const grown: number[] = []
    const work = async () => {
      while (number < count) {
        const mine = number++
        expect(await ask(`${server.url}/${mine}`, dispatcher)).to.equal(textOf(mine))
        if (mine % (count / 4) === 0) {
          globalThis.gc?.()
          grown.push(process.memoryUsage().heapUsed)
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, work))
    await dispatcher.close()
    server.close()
    console.log(
      `      ${count} answers; the heap at each quarter: ${grown.map(size => `${(size / 1e6).toFixed(0)} MB`).join(', ')}`
    )
    // What is left of each answer would be seen: one text alone has more than 100 bytes.
    expect((grown.at(-1) ?? 0) - (grown[1] ?? 0)).to.be.below(count * 50 + 30_000_000)
  })

  for (const count of [cases(1000, 200), cases(5000, 500)]) {
    it(`${count} at once each give their own text`, async () => {
      const server = await startServer()
      const dispatcher = new Agent({ connections: count, headersTimeout: 0, bodyTimeout: 0 })
      const texts = await Promise.all(
        Array.from({ length: count }, (_, n) => ask(`${server.url}/${n}`, dispatcher))
      )
      for (const [n, text] of texts.entries()) expect(text).to.equal(textOf(n))
      await dispatcher.close()
      server.close()
    })
  }

  it('runs a thousand pipelines at once', async () => {
    const whole = words(20).join('')
    // A connection that is kept open may be closed at the very moment in which a busy client sends over it again.
    await using server = await serve((request, response) => {
      request.resume()
      response.writeHead(200, { connection: 'close' }).end(completion(words(20)))
    })
    const client = clientOf(server)
    const texts = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const sink = new SlowSink(1)
        await pipeline(
          requestCompletion(client, question),
          compose(
            toChunks(),
            tapUsage(() => {})
          ),
          toText(),
          sink
        )
        return sink.text
      })
    )
    expect(new Set(texts)).to.deep.equal(new Set([whole]))
  })

  it('fails a thousand pipelines at once', async () => {
    const answer = Array.from({ length: 20 }, (_, n) => delta(`${n} `)).join('')
    const codes = await Promise.all(
      Array.from({ length: 1000 }, () =>
        failureOf(pipeline(Readable.from([answer]), toChunks(), toText(), new SlowSink(1))).then(
          ({ code }) => code
        )
      )
    )
    expect(new Set(codes)).to.deep.equal(new Set(['CS_ERR_TRUNCATED']))
  })

  it('storms of aborts leave no request at the server, and lose no answer of others', async () => {
    const server = await startServer()
    const dispatcher = new Agent({ connections: 64 })
    const choice = new Choice('aborts')
    const count = cases(5000, 400)
    let failed = 0
    let whole = 0
    for (let start = 0; start < count; start += 100) {
      const storm = new AbortController()
      const asked = Array.from({ length: 100 }, (_, n) => {
        const isOfStorm = choice.percent(70)
        return ask(`${server.url}/${start + n}`, dispatcher, isOfStorm ? storm.signal : undefined).then(
          text => {
            expect(text).to.equal(textOf(start + n))
            whole++
          },
          error => {
            expect(isOfStorm, String(error)).to.equal(true)
            expect(error).to.include({ name: 'AbortError' })
            failed++
          }
        )
      })
      for (let turn = choice.below(30); turn > 0; turn--) await new Promise(resolve => setImmediate(resolve))
      storm.abort()
      await Promise.all(asked)
    }
    while (server.open.size > 0) await new Promise(resolve => setImmediate(resolve))
    console.log(`      ${failed} aborted, ${whole} whole`)
    expect(failed + whole).to.equal(count)
    expect(failed).to.be.above(0)
    await dispatcher.close()
    server.close()
  })
})

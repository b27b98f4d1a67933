import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { expect } from 'chai'
import { compose, requestCompletion, tapSummary, toChunks, toText, webResponse } from 'completion-streams'
import { type CompletionServer, type Faults, script } from 'completion-streams/testing'
import OpenAI from 'openai'
import { clientOf, type Failure, failureOf, questions, serve } from '../answers.js'

const answer = 'Hello, world! One\ntwo \ud83d\ude00'

const provider = (faults: Faults = {}) => serve({ script: { ...script(answer), faults } })
const request = (server: CompletionServer) => requestCompletion(clientOf(server), questions.chat)

async function read(response: Response): Promise<{ body: string; error?: Failure }> {
  const decoder = new TextDecoder()
  let body = ''
  try {
    for await (const bytes of response.body ?? []) body += decoder.decode(bytes, { stream: true })
    return { body }
  } catch (error) {
    // What is thrown is an error; the tests say which.
    return { body, error: error as Failure }
  }
}

describe('webResponse', () => {
  it('is a response with the whole answer, in each form', async () => {
    await using server = await provider()
    const text = await webResponse(compose(request(server), toChunks(), toText()), { as: 'text' })
    expect(text.status).to.equal(200)
    expect(text.headers.get('content-type')).to.equal('text/plain; charset=utf-8')
    expect(await text.text()).to.equal(answer)
    const events = await webResponse(compose(request(server), toChunks()))
    expect(events.headers.get('cache-control')).to.equal('no-cache, no-transform')
    expect(await events.text()).to.match(/data: \[DONE\]\n\n$/)
    const lines = await webResponse(compose(request(server), toChunks()), { as: 'lines' })
    const chunks = (await lines.text())
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).to.equal(answer)
  })

  it('has the status of a failure before the first byte, and tells of it', async () => {
    for (const [faults, status] of [
      [{ status: { code: 429, retryAfter: 2 } }, 429],
      [{ cutAfter: { events: 0 } }, 502]
    ] satisfies [Faults, number][]) {
      await using server = await provider(faults)
      const errors: Error[] = []
      const response = await webResponse(compose(request(server), toChunks()), {
        onError: error => void errors.push(error)
      })
      expect(response.status).to.equal(status)
      expect(response.headers.get('retry-after')).to.equal(status === 429 ? '2' : null)
      expect(await response.json()).to.have.nested.property('error.message')
      expect(errors).to.have.length(1)
    }
  })

  it('has an error event, or an error of the body, for a failure behind it, after the text', async () => {
    await using server = await provider({ cutAfter: { events: 4 } })
    const events = await read(await webResponse(compose(request(server), toChunks())))
    expect(events.error).to.equal(undefined)
    expect(events.body).to.match(/"content":"Hello".*data: \{"error":.*\n\n$/s)
    const text = await read(await webResponse(compose(request(server), toChunks(), toText()), { as: 'text' }))
    expect(text.body).to.match(/^Hello/)
    expect(text.error).to.include({ code: 'CS_ERR_TRUNCATED' })
  })

  it('stops the request when its reader leaves, by the body or by the signal', async () => {
    for (const way of ['body', 'signal'] as const) {
      await using server = await provider({ stallAfter: { events: 4 } })
      const controller = new AbortController()
      const outcomes: string[] = []
      const failed = new Promise<Error>(resolve => {
        const tap = tapSummary(({ outcome }) => void outcomes.push(outcome))
        webResponse(compose(request(server), toChunks(), tap), {
          signal: controller.signal,
          onError: resolve
        }).then(async response => {
          const reader = (response.body as ReadableStream).getReader()
          await reader.read()
          if (way === 'body') await reader.cancel()
          else controller.abort()
        })
      })
      expect(await failed).to.include({ name: 'AbortError' })
      expect(outcomes).to.deep.equal(['aborted'])
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    }
  })

  it('answers even where the reader has left before the first byte', async () => {
    await using server = await provider({ stallAfter: 'request' })
    const response = await webResponse(compose(request(server), toChunks()), {
      signal: AbortSignal.abort(),
      onError: () => {}
    })
    expect(response.status).to.equal(499)
  })

  it('takes nothing from its source that its reader has not asked for, beyond the buffers', async () => {
    const source = new PassThrough({ objectMode: true, highWaterMark: 1 })
    const response = await Promise.all([
      webResponse(source, { as: 'text' }),
      new Promise<void>(resolve => source.write('a', () => resolve()))
    ]).then(([response]) => response)
    let taken = 0
    const write = () => source.write('b', () => taken++ < 100 && write())
    write()
    for (let turn = 0; turn < 500; turn++) await new Promise(resolve => setImmediate(resolve))
    expect(taken).to.be.lessThan(40)
    await response.body?.cancel()
  })

  it('is what a handler of Hono returns, behind a real server', async () => {
    // By names that the compiler does not follow: their types need those of the DOM.
    const names = ['hono', '@hono/node-server']
    const [{ Hono }, { serve: serveHono }] = await Promise.all(names.map(name => import(name)))
    for (const [faults, outcome] of [
      [{}, 'whole'],
      [{ cutAfter: { events: 4 } }, 'error'],
      [{ status: 429 }, '429']
    ] satisfies [Faults, string][]) {
      await using server = await provider(faults)
      const app = new Hono()
      app.post('/chat/completions', ({ req }: { req: { raw: Request } }) =>
        webResponse(compose(request(server), toChunks()), { signal: req.raw.signal, onError: () => {} })
      )
      const hono = await new Promise<{ url: string; close(): void }>(resolve => {
        const listening = serveHono(
          { fetch: app.fetch, port: 0, hostname: '127.0.0.1' },
          ({ port }: AddressInfo) =>
            resolve({ url: `http://127.0.0.1:${port}`, close: () => void listening.close() })
        )
      })
      try {
        const client = new OpenAI({ baseURL: hono.url, apiKey: 'none', maxRetries: 0 })
        let text = ''
        const reading = (async () => {
          for await (const chunk of await client.chat.completions.create({ ...questions.chat, stream: true }))
            text += chunk.choices[0]?.delta.content ?? ''
        })()
        if (outcome === 'whole') {
          await reading
          expect(text).to.equal(answer)
        } else {
          const error = await failureOf(reading)
          if (outcome === '429') expect(error).to.include({ status: 429 })
          else expect(text).to.match(/^Hello/)
        }
      } finally {
        hono.close()
      }
    }
  })

  it('checks its arguments', async () => {
    for (const wrong of [
      () => webResponse('text' as never),
      () => webResponse(Readable.from([]), { as: 'x' as never }),
      () => webResponse(Readable.from([]), { onError: 1 as never })
    ])
      expect(await failureOf(wrong())).to.include({ code: 'CS_ERR_INVALID_OPTION' })
  })
})

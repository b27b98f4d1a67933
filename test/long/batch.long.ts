import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { type CompletionClient, completeEach, type RowRecord } from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import { Choice, cases, isShort } from './choice.js'

interface Row {
  id: number
}

const paramsOf = ({ id }: Row) => ({
  model: 'm',
  messages: [{ role: 'user' as const, content: `row ${id}` }]
})

function* rows(count: number): Generator<Row> {
  for (let id = 0; id < count; id++) yield { id }
}

const event = (payload: object) => `data: ${JSON.stringify({ id: 'c', ...payload })}\n\n`
const usage = { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 }

/** A client that answers without a network. */
function scriptedClient(): CompletionClient {
  const body = Buffer.from(
    event({ choices: [{ index: 0, delta: { content: 'yes' }, finish_reason: 'stop' }] }) +
      event({ choices: [], usage }) +
      'data: [DONE]\n\n'
  )
  const create = () => ({
    asResponse: async () => ({ status: 200, headers: new Headers(), body: Readable.from([body]) })
  })
  return { chat: { completions: { create } }, completions: { create }, responses: { create } }
}

/** Rows whose first answer is no chunk. */
const isMalformed = (id: number) => id % 100 === 53

describe('batches', () => {
  it('hold no more for many rows than for few', async () => {
    const count = cases(1_000_000, 10_000)
    const heaps: number[] = []
    let seen = 0
    const sink = new Writable({
      objectMode: true,
      write(_record, _encoding, callback) {
        if (++seen % (count / 10) !== 0) return callback()
        // Within one turn of the event loop nothing goes that a WeakRef was asked for, and without a network there is but one.
        setImmediate(() => {
          globalThis.gc?.()
          heaps.push(process.memoryUsage().heapUsed)
          callback()
        })
      }
    })
    await pipeline(
      Readable.from(rows(count)),
      completeEach(scriptedClient(), paramsOf, { concurrency: 32 }),
      sink
    )
    console.log(
      `      ${count} rows; the heap at each tenth: ${heaps.map(size => (size / 1e6).toFixed(0)).join(', ')} MB`
    )
    expect(seen).to.equal(count)
    const least = (some: number[]) => Math.min(...some)
    expect(least(heaps.slice(-4)) - least(heaps.slice(1, 5))).to.be.below(20_000_000)
  })

  it('use what a provider allows, and are refused next to nothing', async () => {
    // A provider that counts requests and tokens over the last minute, or the last seconds in short.
    const window = isShort ? 5_000 : 60_000
    const limits = { requests: 3000, tokens: 45_000 }
    const allowed = {
      requests: (limits.requests * window) / 60_000,
      tokens: (limits.tokens * window) / 60_000
    }
    const past: { at: number; tokens: number }[] = []
    let refused = 0
    let served = 0
    const start = performance.now()
    const server = createServer(async (incoming, outgoing) => {
      incoming.resume()
      await once(incoming, 'end')
      const now = performance.now()
      while (past[0] && past[0].at < now - window) past.shift()
      const tokens = past.reduce((sum, { tokens }) => sum + tokens, 0)
      if (past.length >= allowed.requests || tokens >= allowed.tokens) {
        if (now - start > window) refused++
        return void outgoing.writeHead(429, { 'retry-after': '0.1' }).end('{"error":{"message":"slowly"}}')
      }
      past.push({ at: now, tokens: usage.total_tokens })
      served++
      outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
      outgoing.end(
        event({ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] }) +
          event({ choices: [], usage }) +
          'data: [DONE]\n\n'
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = new OpenAI({
      baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      apiKey: 'none'
    })
    const controller = new AbortController()
    const duration = window * 2
    const timer = setTimeout(() => controller.abort(), duration)
    // The first guess is too high; what came is put right.
    const batch = completeEach(client, paramsOf, {
      concurrency: 64,
      limits,
      estimate: () => 30,
      signal: controller.signal
    })
    await pipeline(
      Readable.from(rows(1_000_000)),
      batch,
      new Writable({ objectMode: true, write: (_record, _encoding, callback) => callback() })
    ).catch(() => {})
    clearTimeout(timer)
    server.closeAllConnections()
    server.close()
    const possible = (limits.tokens / usage.total_tokens) * ((performance.now() - start) / 60_000)
    console.log(
      `      ${served} of ${possible.toFixed(0)} that were possible, ${refused} refused behind the first ${window / 1000} s`
    )
    expect(served / possible).to.be.above(0.9)
    expect(refused / served).to.be.below(0.01)
  })

  it('lose and double no row when their process is killed again and again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'batch-'))
    const count = cases(10_000, 300)
    const kills = cases(20, 3)
    const concurrency = 32
    const choice = new Choice('kills')
    const seen = new Map<number, number>()
    await using server = await serveCompletions({
      speed: Infinity,
      script({ body }) {
        const id = Number(/row (\d+)/.exec(JSON.stringify(body.messages))?.[1])
        const attempt = (seen.get(id) ?? 0) + 1
        seen.set(id, attempt)
        const faults = [
          { status: { code: 429, retryAfter: 0.01 } },
          { status: 429 },
          { status: 500 },
          { cutAfter: { events: 2 } },
          { stallAfter: { events: 1 } },
          { errorAfter: { events: 1 } }
        ]
        if (attempt === 1 && isMalformed(id))
          return { writes: [{ bytes: Buffer.from('data: {"choices":[}\n\n') }] }
        return {
          ...script(`answer ${id}`),
          ...(attempt === 1 && id % 25 === 0 && { faults: choice.of(faults) })
        }
      }
    })
    const answers = join(folder, 'answers.ndjson')
    const program = join(folder, 'program.mjs')
    await writeFile(
      program,
      `import { createWriteStream } from 'node:fs'
      import { Readable } from 'node:stream'
      import { pipeline } from 'node:stream/promises'
      import OpenAI from ${JSON.stringify(import.meta.resolve('openai'))}
      import { completeEach, toNDJSON } from ${JSON.stringify(import.meta.resolve('completion-streams'))}
      let asked = 0
      const client = new OpenAI({
        baseURL: ${JSON.stringify(server.url)},
        apiKey: 'none',
        // Now and then nobody listens at the port.
        fetch: (url, init) => fetch(++asked % 40 === 0 ? 'http://127.0.0.1:1/' : url, init)
      })
      const rows = Array.from({ length: ${count} }, (_, id) => ({ id }))
      await pipeline(Readable.from(rows), completeEach(client, ({ id }) => ({ model: 'm', messages: [{ role: 'user', content: 'row ' + id }] }), {
        concurrency: ${concurrency}, timeLimits: { idle: 500 }, key: ({ id }) => String(id), journal: ${JSON.stringify(join(folder, 'run.ndjson'))}
      }), toNDJSON(), createWriteStream(${JSON.stringify(answers)}))`
    )
    let killed = 0
    for (let code: number | null = null; code !== 0; ) {
      const child = spawn(process.execPath, [program], { stdio: ['ignore', 'ignore', 'inherit'] })
      const aim = [...seen.values()].reduce((sum, times) => sum + times, 0) + 1 + choice.below(count / kills)
      let isOver = false
      const closed = once(child, 'close').then(([code]) => {
        isOver = true
        return code as number | null
      })
      const asked = () => [...seen.values()].reduce((sum, times) => sum + times, 0)
      while (!isOver && killed < kills && asked() < aim) await new Promise(resolve => setTimeout(resolve, 1))
      if (!isOver && killed < kills) {
        killed++
        child.kill('SIGKILL')
      }
      code = await closed
    }
    const records = (await readFile(answers, 'utf8'))
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as RowRecord<Row>)
    const asked = [...seen.values()].reduce((sum, times) => sum + times, 0)
    const beyond = asked - count
    console.log(
      `      ${count} rows, ${killed} kills, ${beyond} requests beyond one per row, of them ${Math.ceil(count / 25)} retries`
    )
    expect(records.map(({ key }) => Number(key)).sort((a, b) => a - b)).to.deep.equal(
      Array.from({ length: count }, (_, id) => id)
    )
    for (const { key, text, error } of records) {
      // What is malformed is not asked again: that is the row's record.
      if (error && isMalformed(Number(key))) expect(error.code, key).to.equal('CS_ERR_INVALID_CHUNK')
      else expect([text, error], key).to.deep.equal([`answer ${key}`, undefined])
    }
    expect(beyond).to.be.at.most(Math.ceil(count / 25) + killed * concurrency)
    await rm(folder, { recursive: true })
  })
})

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, rmSync, writeFileSync } from 'node:fs'
import { appendFile, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { clearInterval, setInterval } from 'node:timers'
import { expect } from 'chai'
import {
  type BatchOptions,
  type BatchProgress,
  CompletionError,
  type CompletionParams,
  completeEach,
  drain,
  isRetryable,
  type RowRecord,
  splitThinking,
  toElements,
  toNDJSON,
  toText
} from 'completion-streams'
import {
  type CompletionServer,
  type ReceivedRequest,
  type ServerOptions,
  script
} from 'completion-streams/testing'
import OpenAI from 'openai'
import { all, clientOf, event, GatedSink, run, serve, settle, withFolder, withResolvers } from '../answers.js'

type Row = { id: number; text?: string }

const rows = (count: number): Row[] => Array.from({ length: count }, (_, id) => ({ id }))
const cyclic: { self?: unknown } = {}
cyclic.self = cyclic
const paramsOf = ({ id, text }: Row): CompletionParams => ({
  model: 'm',
  messages: [{ role: 'user', content: text ?? `row ${id}` }]
})
const idIn = ({ body }: ReceivedRequest) => Number(/row (\d+)/.exec(JSON.stringify(body.messages))?.[1])
const echo: ServerOptions = { script: request => script(`answer ${idIn(request)}`) }

function complete(server: CompletionServer, input: readonly Row[], options: BatchOptions<Row> = {}) {
  return run<RowRecord<Row>>(Readable.from(input), completeEach(clientOf(server), paramsOf, options))
}

/** A server of which each row's first requests get a fault of their own. */
function faulty(faultOf: (id: number, attempt: number) => object | undefined) {
  const seen = new Map<number, number>()
  return serve({
    script(request) {
      const id = idIn(request)
      const attempt = (seen.get(id) ?? 0) + 1
      seen.set(id, attempt)
      return { ...script(`answer ${id}`), faults: faultOf(id, attempt) ?? {} }
    }
  })
}

describe('completeEach', () => {
  it('gives a record for each row, with the answer and what it took', async () => {
    await using server = await serve(echo)
    const { items, error } = await complete(server, rows(20))
    expect(error).to.equal(undefined)
    expect(items.map(({ key }) => Number(key)).sort((a, b) => a - b)).to.deep.equal(
      rows(20).map(({ id }) => id)
    )
    for (const { key, row, text, completion, usage, tokens, attempts, elapsed } of items) {
      expect(row).to.deep.equal({ id: Number(key) })
      expect(text).to.equal(`answer ${key}`)
      expect(completion).to.have.nested.property('choices[0].message.content', text)
      expect(usage).to.have.property('total_tokens', tokens?.total)
      expect([attempts, typeof elapsed]).to.deep.equal([1, 'number'])
    }
  })

  it('asks no more rows at once than it may, and as many as it may', async () => {
    let open = 0
    let most = 0
    const { promise: allAreOpen, resolve: release } = withResolvers()
    await using server = await serve({
      async script(request) {
        most = Math.max(most, ++open)
        request.over.then(() => open--)
        if (open === 7) release()
        await allAreOpen
        // One too many would come now.
        await settle(30)
        return script('x')
      }
    })
    await complete(server, rows(60), { concurrency: 7 })
    expect(most).to.equal(7)
  })

  it('lets no slow row delay another, or keeps the order of the rows', async () => {
    const { promise: slow, resolve: release } = withResolvers()
    await using server = await serve({
      async script(request) {
        if (idIn(request) === 0) await slow
        return script(`answer ${idIn(request)}`)
      }
    })
    const done: number[] = []
    const stage = completeEach(clientOf(server), paramsOf, { concurrency: 3 })
    stage.on('data', ({ row }: RowRecord<Row>) => {
      done.push(row.id)
      if (done.length === 9) release()
    })
    await pipeline(Readable.from(rows(10)), stage)
    expect(done.at(-1)).to.equal(0)
    const { items } = await complete(server, rows(10), { concurrency: 3, order: 'input' })
    expect(items.map(({ row }) => row.id)).to.deep.equal(rows(10).map(({ id }) => id))
  })

  it('asks again after a failure that may pass, and tells of it', async () => {
    const faults = [
      { status: { code: 429, retryAfter: 0.01 } },
      { status: 500 },
      { cutAfter: { events: 2 } },
      { errorAfter: { events: 2, error: { type: 'server_error' } } },
      { status: { code: 503, retryAfter: 0.001, body: '<html>' } }
    ]
    await using server = await faulty((id, attempt) =>
      attempt === 1 ? faults[id % faults.length] : undefined
    )
    const told: string[] = []
    const warnings: Error[] = []
    const warn = (warning: Error) => void warnings.push(warning)
    process.on('warning', warn)
    const { items, error } = await complete(server, rows(30), {
      concurrency: 30,
      onRetry: ({ key }) => void told.push(key)
    })
    expect(error).to.equal(undefined)
    process.off('warning', warn)
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).to.deep.equal([])
    expect(items).to.have.length(30)
    for (const { text, key, attempts } of items) expect([text, attempts]).to.deep.equal([`answer ${key}`, 2])
    expect(told.map(Number).sort((a, b) => a - b)).to.deep.equal(rows(30).map(({ id }) => id))
    expect(server.requests).to.have.length(60)
  })

  it('gives a record with the error for a row that fails for good, and the tokens of its attempts', async () => {
    const usage = { prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 }
    await using server = await serve({
      script: request =>
        idIn(request) === 1
          ? {
              writes: [
                {
                  bytes: `data: ${JSON.stringify({ choices: [], usage, error: { message: 'no', type: 'server_error' } })}\n\n`
                }
              ]
            }
          : idIn(request) === 2
            ? {
                ...script('x'),
                faults: { status: { code: 400, body: { error: { message: 'bad', code: 'bad_thing' } } } }
              }
            : script('x')
    })
    const { items, error } = await complete(server, rows(4), { retries: 1 })
    expect(error).to.equal(undefined)
    const failed = new Map(items.filter(({ error }) => error).map(item => [item.key, item]))
    expect([...failed.keys()].sort()).to.deep.equal(['1', '2'])
    expect(failed.get('1')).to.deep.include({ attempts: 2, tokens: { input: 6, output: 0, total: 6 } })
    expect(failed.get('1')?.error).to.include({
      code: 'CS_ERR_PROVIDER',
      message: 'provider reported an error: no'
    })
    expect(failed.get('2')).to.include({ attempts: 1 }).and.not.have.property('text')
    expect(failed.get('2')?.error).to.deep.equal({
      name: 'BadRequestError',
      message: '400 bad',
      status: 400,
      code: 'bad_thing'
    })
  })

  it('ends with the first failure where that is asked for, and with one that all rows share', async () => {
    await using server = await faulty(id => (id === 3 ? { status: 400 } : undefined))
    const first = await complete(server, rows(10), { onFailure: 'fail', concurrency: 1 })
    expect(first.items).to.have.length(3)
    expect(first.error).to.include({ status: 400, row: '3' })
    for (const fault of [
      { status: 401 },
      { status: 403 },
      { status: { code: 404, body: { error: { message: 'no such model', code: 'model_not_found' } } } },
      { status: { code: 404, body: '<html>' } },
      {
        status: { code: 400, body: { error: { message: 'Model Not Exist', type: 'invalid_request_error' } } }
      },
      { status: { code: 429, body: { error: { message: 'pay', code: 'insufficient_quota' } } } }
    ]) {
      await using refusing = await faulty(id => (id >= 2 ? fault : undefined))
      const { items, error } = await complete(refusing, rows(100), { concurrency: 2 })
      expect(items.length).to.be.at.most(3)
      expect(error?.status).to.be.oneOf([400, 401, 403, 404, 429])
      expect(refusing.requests.length).to.be.below(10)
    }
  })

  it('gives a record for a row whose input a provider has flagged, though the status is that of a wrong key', async () => {
    const error = { code: 403, message: 'no', metadata: { reasons: ['violence'], flagged_input: 'row 1' } }
    await using server = await faulty(id =>
      id === 1 ? { status: { code: 403, body: { error } } } : undefined
    )
    const batch = await complete(server, rows(5), { concurrency: 1 })
    expect(batch.error).to.equal(undefined)
    expect(batch.items.map(({ error }) => error?.status)).to.deep.equal(
      rows(5).map(({ id }) => (id === 1 ? 403 : undefined))
    )
  })

  it("takes a failure of a stage between chunks and record for that row's, whatever its status", async () => {
    await using server = await serve(echo)
    let count = 0
    for (const status of [401, 404, 429]) {
      const through = () => {
        const isFailing = count++ % 3 === 1
        return [
          new Transform({
            objectMode: true,
            transform(chunk, _encoding, next) {
              if (isFailing) next(Object.assign(new Error('of another server'), { status }))
              else next(null, chunk)
            }
          })
        ]
      }
      const { items, error } = await complete(server, rows(3), { through, concurrency: 1, retries: 0 })
      expect(error).to.equal(undefined)
      expect(items.map(({ error }) => error?.status)).to.deep.equal([undefined, status, undefined])
    }
  })

  it('lets timers and signals come about where no row needs a network', async () => {
    const body = Buffer.from(
      `${event({ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }] })}data: [DONE]\n\n`
    )
    const create = () => ({
      asResponse: async () => ({ status: 200, headers: new Headers(), body: Readable.from([body]) })
    })
    const client = { chat: { completions: { create } }, completions: { create }, responses: { create } }
    let count = 0
    let ticks = 0
    const ticking = setInterval(() => ticks++, 10)
    const input = function* () {
      for (const start = performance.now(); performance.now() - start < 1000 && ticks < 3; )
        yield { id: count++ }
    }
    const { items, error } = await run(Readable.from(input()), completeEach(client, paramsOf))
    clearInterval(ticking)
    expect(error).to.equal(undefined)
    expect(items).to.have.length(count)
    expect(ticks).to.be.at.least(3)
  })

  it('fails with the error of the row itself, and its key', async () => {
    for (const [fault, type, isPassing] of [
      [{ cutAfter: { events: 2 } }, CompletionError, true],
      [{ status: 500 }, OpenAI.InternalServerError, true],
      [{ status: 400 }, OpenAI.BadRequestError, false]
    ] as const) {
      await using server = await faulty(() => fault)
      const { error } = await complete(server, rows(1), { onFailure: 'fail', retries: 0 })
      expect(error).to.be.instanceOf(type).with.property('row', '0')
      expect(isRetryable(error)).to.equal(isPassing)
    }
  })

  it('fails in the order of the rows where that is asked for: those before are finished, and no more are taken', async () => {
    const { promise: slow, resolve: release } = withResolvers()
    await using server = await serve({
      async script(request) {
        const id = idIn(request)
        if (id === 0) await slow
        return { ...script(`answer ${id}`), ...(id === 3 && { faults: { status: 400 } }) }
      }
    })
    const work = complete(server, rows(30), { order: 'input', onFailure: 'fail', concurrency: 4 })
    let before = -1
    while (server.requests.length !== before) {
      before = server.requests.length
      await settle(200)
    }
    release()
    const { items, error } = await work
    expect(items.map(({ key }) => key)).to.deep.equal(['0', '1', '2'])
    expect(error).to.include({ status: 400, row: '3' })
    expect(server.requests.length).to.be.below(12)
  })

  it('holds no more than 1000 finished rows for a slow one, and no more than are in flight', async () => {
    const { promise: slow, resolve: release } = withResolvers()
    await using server = await serve({
      async script(request) {
        if (idIn(request) === 0) await slow
        return script('x')
      }
    })
    const work = complete(server, rows(1200), { order: 'input', concurrency: 100 })
    let before = -1
    while (server.requests.length !== before) {
      before = server.requests.length
      await settle(500)
    }
    expect(before).to.equal(1001)
    release()
    expect((await work).items.map(({ row }) => row.id)).to.deep.equal(rows(1200).map(({ id }) => id))
  })

  it('asks for no more rows than its sink takes', async () => {
    await using server = await serve(echo)
    const sink = new GatedSink({ objectMode: true })
    const work = pipeline(
      Readable.from(rows(150)),
      completeEach(clientOf(server), paramsOf, { concurrency: 4 }),
      sink
    )
    let before = -1
    while (server.requests.length !== before) {
      before = server.requests.length
      await settle(500)
    }
    expect(before).to.be.below(40)
    sink.open()
    await work
    expect(sink.received).to.have.length(150)
  })

  it('puts stages between the chunks and the record', async () => {
    await using server = await serve({ script: script('<think>hm</think>[{"a":1},{"a":2}]') })
    const [split] = await all<RowRecord<Row>>(
      Readable.from(rows(1)),
      completeEach(clientOf(server), paramsOf, { through: () => [splitThinking()] })
    )
    expect(split?.text).to.equal('[{"a":1},{"a":2}]')
    const [elements] = await all<RowRecord<Row>>(
      Readable.from(rows(1)),
      completeEach(clientOf(server), paramsOf, { through: () => [splitThinking(), toText(), toElements()] })
    )
    expect(elements?.elements).to.deep.equal([{ a: 1 }, { a: 2 }])
    expect(elements).to.not.have.property('completion')
  })

  it('has elements in its record that have members as chunks have them', async () => {
    const elements = [{ cost: 5 }, { error: 'none' }, { usage: { total: 1 } }, { type: 'ping' }, {}]
    await using server = await serve({ script: script(JSON.stringify(elements)) })
    const [record] = await all<RowRecord<Row>>(
      Readable.from(rows(1)),
      completeEach(clientOf(server), paramsOf, { through: () => [toText(), toElements()] })
    )
    expect(record?.elements).to.deep.equal(elements)
  })

  it('has the usage of a chunk that has nothing else in its completion', async () => {
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
    const chunk = { id: 'a', object: 'chat.completion.chunk', created: 1, model: 'm' }
    const said = { ...chunk, choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }] }
    const writes = [{ usage }, said].map(payload => ({ bytes: `data: ${JSON.stringify(payload)}\n\n` }))
    await using server = await serve({ script: { writes: [...writes, { bytes: 'data: [DONE]\n\n' }] } })
    const [record] = await all<RowRecord<Row>>(
      Readable.from(rows(1)),
      completeEach(clientOf(server), paramsOf)
    )
    expect(record).to.not.have.property('elements')
    expect(record?.completion?.usage).to.deep.equal(usage)
  })

  it('has the tool calls of a row in its record', async () => {
    const pieces = [{ at: 0, toolCall: { id: 'c', name: 'f', arguments: '{"x":1}' } }]
    await using server = await serve({ script: { choices: [{ pieces }] } })
    const { items } = await complete(server, rows(1))
    expect(items[0]?.toolCalls?.[0]).to.include({ name: 'f', arguments: '{"x":1}' })
  })

  it('tells how far it is', async () => {
    await using server = await faulty(id => (id === 2 ? { status: 400 } : undefined))
    const told: BatchProgress[] = []
    await complete(server, rows(5), { total: 5, onProgress: progress => void told.push(progress) })
    expect(told).to.have.length(5)
    expect(told.at(-1)).to.include({ done: 4, failed: 1, resumed: 0, inFlight: 0, left: 0 })
    expect(told.at(-1)?.tokens).to.be.above(0)
  })

  for (const order of ['done', 'input'] as const) {
    it(`tells of no row as in flight that is done, with a journal (order: '${order}')`, () =>
      withFolder(async folder => {
        await using server = await serve(echo)
        const told: BatchProgress[] = []
        await complete(server, rows(100), {
          order,
          concurrency: 20,
          journal: join(folder, 'run.ndjson'),
          onProgress: progress => void told.push(progress)
        })
        expect(told.at(-1)).to.include({ done: 100, inFlight: 0 })
        for (const { done, inFlight } of told) expect(done + inFlight).to.be.at.most(100)
      }))
  }

  it('ends when it is aborted, and stops what is in flight', async () => {
    await using server = await serve({ script: script('x'), faults: { stallAfter: { events: 1 } } })
    const controller = new AbortController()
    const work = complete(server, rows(5), { signal: controller.signal, concurrency: 3 })
    while (server.requests.length < 3) await settle(1)
    controller.abort()
    const { error } = await work
    expect(error).to.include({ name: 'AbortError' })
    for (const request of server.requests) expect((await request.over).aborted).to.equal(true)
  })

  it('keeps to its limits', async () => {
    await using server = await serve(echo)
    // 600 a minute are one in a tenth of a second, or seven tokens in seven.
    for (const options of [{ limits: { requests: 600 } }, { limits: { tokens: 600 }, estimate: () => 1 }]) {
      const start = performance.now()
      await complete(server, rows(6), { concurrency: 20, ...options })
      expect(performance.now() - start).to.be.above(450)
    }
  })

  it('fails with what its callbacks throw', async () => {
    await using server = await serve(echo)
    const oops = new Error('oops')
    const throwing = () => {
      throw oops
    }
    for (const options of [
      { key: throwing },
      { onProgress: throwing },
      { through: throwing },
      { estimate: throwing }
    ]) {
      const { error } = await complete(server, rows(3), options)
      expect(error, Object.keys(options)[0]).to.equal(oops)
    }
  })

  it('fails with what a callback that is an async function throws', async () => {
    const oops = new Error('oops')
    for (const name of ['onProgress', 'onRetry'] as const) {
      await using server = await faulty((_id, attempt) => (attempt === 1 ? { status: 500 } : undefined))
      const { error } = await complete(server, rows(3), { [name]: () => Promise.reject(oops) })
      expect(error, name).to.equal(oops)
    }
    await using server = await serve(echo)
    const { error } = await complete(server, rows(3), { key: (() => Promise.reject(oops)) as never })
    expect(error).to.include({ code: 'CS_ERR_INVALID_OPTION' })
  })

  it('asks once for an answer that its length limit cuts, whatever its stages want', async () => {
    const choices = [{ pieces: [{ at: 0, text: '[1,2' }], finish_reason: 'length' }]
    await using server = await serve({ script: { choices } })
    const responses = () => ({ model: 'm', input: 'list them' })
    for (const params of [paramsOf, responses]) {
      const each = completeEach(clientOf(server), params, { through: () => [toText(), toElements()] })
      const { items } = await run<RowRecord>(Readable.from(rows(1)), each)
      expect(items[0]).to.include({ attempts: 1 })
      expect(items[0]?.error).to.include({ code: 'CS_ERR_TRUNCATED' })
    }
  })

  for (const [name, broken, says] of [
    [
      'throws',
      () => {
        throw new Error('of Jane Doe')
      },
      /^paramsOf threw at the row of key "row 2"/
    ],
    ['rejects', () => Promise.reject(new Error('of Jane Doe')), /^paramsOf threw at the row of key "row 2"/],
    ['gives nothing', () => undefined, /^what paramsOf gave for the row of key "row 2" is undefined/],
    ['gives text', () => 'of Jane Doe', /^what paramsOf gave for the row of key "row 2" is a string/],
    [
      'gives a list',
      () => ['of Jane Doe'],
      /^what paramsOf gave for the row of key "row 2" is an array: give messages/
    ],
    [
      'gives neither messages, prompt nor input',
      () => ({ model: 'm', messages: undefined, text: 'of Jane Doe' }),
      /^what paramsOf gave for the row of key "row 2" is an object: give messages/
    ]
  ] satisfies [string, () => unknown, RegExp][]) {
    it(`fails with an error that names the row by its key where paramsOf ${name}`, async () => {
      await using server = await serve(echo)
      const stage = completeEach<Row>(
        clientOf(server),
        // What a caller without types may give.
        row => (row.id === 2 ? (broken() as never) : paramsOf(row)),
        { key: ({ id }) => `row ${id}`, concurrency: 1 }
      )
      const { items, error } = await run<RowRecord<Row>>(Readable.from(rows(4)), stage)
      expect(items.map(({ key }) => key)).to.deep.equal(['row 0', 'row 1'])
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
      expect(error?.message).to.match(says).and.to.not.include('Jane')
      if (/threw/.test(says.source)) expect(error).to.have.nested.property('cause.message', 'of Jane Doe')
    })
  }

  for (const [name, estimate] of Object.entries<() => unknown>({
    NaN: () => Number.NaN,
    Infinity: () => Number.POSITIVE_INFINITY,
    'a negative number': () => -1,
    nothing: () => undefined,
    text: () => '100',
    'a promise that rejects': () => Promise.reject(new Error('nobody waits for this'))
  })) {
    it(`fails with an error that names the row where estimate gives ${name}`, async () => {
      await using server = await serve(echo)
      const { error } = await complete(server, rows(3), {
        estimate: estimate as never,
        limits: { tokens: 60 }
      })
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
      expect(error?.message).to.match(/^what estimate gave for the row of key "0" is .*: give a number/)
      expect(server.requests).to.have.length(0)
    })
  }

  for (const [name, through] of Object.entries<() => unknown>({
    'a number': () => 5,
    nothing: () => undefined,
    'one stage': () => splitThinking(),
    'a promise': async () => [],
    'a promise that rejects': () => Promise.reject(new Error('nobody waits for this')),
    'what is no stage': () => [{}],
    'no stage in its list': () => [splitThinking(), undefined],
    'a sink': () => [splitThinking(), drain()],
    'a source': () => [Readable.from([])]
  })) {
    it(`fails with an error that names the row where through gives ${name}`, async () => {
      await using server = await serve(echo)
      const { items, error } = await complete(server, rows(3), { through: through as never })
      // An error that nobody waits for would come now.
      await settle()
      expect(items).to.deep.equal([])
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
      expect(error?.message).to.match(/what through gave for the row of key "0" is /)
      expect(server.requests).to.have.length(0)
    })
  }

  it('fails where through gives the same stage again', async () => {
    await using server = await serve(echo)
    const stage = splitThinking()
    const { items, error } = await complete(server, rows(3), { through: () => [stage], concurrency: 1 })
    expect(items.map(({ text }) => text)).to.deep.equal(['answer 0'])
    expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    expect(error?.message).to.match(/for the row of key "1" is a stream: give new stages at each call/)
  })

  it('keeps the key that a provider quotes out of its records', async () => {
    const body = { error: { message: `Incorrect API key provided: sk-${'a1'.repeat(10)}.` } }
    await using server = await faulty(() => ({ status: { code: 400, body } }))
    const { items } = await complete(server, rows(1))
    expect(items[0]?.error?.message).to.equal('400 Incorrect API key provided: [key].')
  })

  it('checks its options at the call', () => {
    const client = new OpenAI({ apiKey: 'none' })
    for (const options of [
      { concurrency: 0 },
      { order: 'x' },
      { retries: -1 },
      { onFailure: 'x' },
      { retryFailed: 1 },
      { key: 'sku' },
      { journal: 1 },
      { journal: '' },
      { request: 5 },
      { request: { maxRetries: 5 } },
      { request: { signal: AbortSignal.abort() } },
      { limits: { requests: 0 } },
      { limits: { other: 1 } },
      { timeLimits: {} },
      { timeLimits: { idle: 5000, totl: 1 } },
      { total: -1 },
      { signal: {} },
      { other: 1 }
    ])
      expect(() => completeEach(client, paramsOf, options as never), JSON.stringify(options))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    expect(() => completeEach(client, undefined as never)).to.throw(/paramsOf/)
    expect(() => completeEach(undefined as never, paramsOf)).to.throw(/client/)
  })

  describe('with a journal', () => {
    const journaled = (folder: string, more: BatchOptions<Row> = {}): BatchOptions<Row> => ({
      journal: join(folder, 'run.ndjson'),
      key: ({ id }) => `row ${id}`,
      concurrency: 4,
      ...more
    })

    it('asks for no row twice, and emits all of them again', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const first = await complete(server, rows(10), journaled(folder))
        const asked = server.requests.length
        let last: BatchProgress | undefined
        const again = await complete(
          server,
          rows(15),
          journaled(folder, {
            onProgress(told) {
              last = told
            }
          })
        )
        expect(server.requests.length - asked).to.equal(5)
        expect(again.items).to.have.length(15)
        const byKey = new Map(again.items.map(item => [item.key, item]))
        for (const item of first.items)
          expect(byKey.get(item.key)).to.deep.equal(JSON.parse(JSON.stringify(item)))
        expect(last).to.include({ done: 15, resumed: 10 })
      })
    })

    it('can be opened again as soon as its pipeline is done, whole or failed', async () => {
      await withFolder(async folder => {
        await using server = await faulty(id => (id === 3 ? { status: 400 } : undefined))
        for (const onFailure of ['fail', 'emit', 'fail', 'emit'] as const) {
          const { error } = await complete(server, rows(5), journaled(folder, { onFailure, concurrency: 1 }))
          expect(error?.status).to.equal(onFailure === 'fail' ? 400 : undefined)
        }
      })
    })

    it('takes a line off that was cut, and asks for its row again', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        await complete(server, rows(5), journaled(folder))
        const file = join(folder, 'run.ndjson')
        const { size } = await stat(file)
        const text = await readFile(file, 'utf8')
        await writeFile(file, text.slice(0, size - 20))
        const { items, error } = await complete(server, rows(5), journaled(folder))
        expect(error).to.equal(undefined)
        expect(items).to.have.length(5)
        expect(server.requests).to.have.length(6)
        const lines = (await readFile(file, 'utf8')).trim().split('\n')
        expect(lines.map(line => JSON.parse(line)).slice(1)).to.have.length(5)
      })
    })

    it('refuses a file that is no journal, one of another run, and one in use, and changes none of them', async () => {
      await withFolder(async folder => {
        const asked = withResolvers()
        const answer = withResolvers()
        await using server = await serve({
          async script(request) {
            asked.resolve()
            await answer.promise
            return script(`answer ${idIn(request)}`)
          }
        })
        const file = join(folder, 'run.ndjson')
        for (const text of [
          '{"a":1}\n',
          'no line end',
          '{"completionStreamsJournal":1,"run":"other"}\n',
          '{"completionStreamsJournal":1,"run":""}\nbroken\n'
        ]) {
          await writeFile(file, text)
          const { error } = await complete(server, rows(1), journaled(folder))
          expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
          expect(await readFile(file, 'utf8')).to.equal(text)
        }
        await writeFile(file, '')
        // One of them has the file open when its row is asked, and until it is answered.
        const together = [1, 2, 3, 4].map(() => complete(server, rows(1), journaled(folder)))
        await asked.promise
        const late = await complete(server, rows(1), journaled(folder))
        answer.resolve()
        const errors = [late, ...(await Promise.all(together))].flatMap(({ error }) => error ?? [])
        expect(errors).to.have.length(4)
        for (const error of errors) {
          expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
          expect(error.message).to.match(/in use by process \d+/)
        }
        expect(server.requests).to.have.length(1)
        // A process that is no more, and one whose number has been given again: in a container both may be number 1.
        for (const owner of ['999999999', '999999999 17', `${process.pid} 17`, `${process.ppid} 17`]) {
          await writeFile(`${file}.lock`, owner)
          expect((await complete(server, rows(1), journaled(folder))).error, owner).to.equal(undefined)
        }
        expect(server.requests).to.have.length(1)
      })
    })

    for (const [what, harm] of Object.entries({
      deleted: (file: string) => rmSync(file),
      changed: (file: string) => writeFileSync(file, '')
    })) {
      it(`fails with CS_ERR_JOURNAL, behind all records, where its journal was ${what} while it ran`, async () => {
        await withFolder(async folder => {
          await using server = await serve(echo)
          const file = join(folder, 'run.ndjson')
          const onProgress = ({ done }: BatchProgress) => {
            if (done === 2) harm(file)
          }
          const { items, error } = await complete(
            server,
            rows(5),
            journaled(folder, { onProgress, concurrency: 1 })
          )
          expect(items).to.have.length(5)
          expect(error).to.have.property('code', 'CS_ERR_JOURNAL')
          expect(error?.message).to.match(new RegExp(`run\\.ndjson was ${what} by somebody else`))
        })
      })
    }

    it('refuses a line that is no record', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const file = join(folder, 'run.ndjson')
        await writeFile(file, '{"completionStreamsJournal":1,"run":""}\n{"key":"row 0"}\n')
        const { items, error } = await complete(server, rows(3), journaled(folder))
        expect(items).to.deep.equal([])
        expect(error).to.have.property('code', 'CS_ERR_JOURNAL')
        expect(error?.message).to.match(/^line 2 of .*run\.ndjson is damaged/)
      })
    })

    it('names the line that is damaged', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const file = join(folder, 'run.ndjson')
        await complete(server, rows(3), journaled(folder))
        const lines = (await readFile(file, 'utf8')).split('\n')
        await writeFile(file, lines.with(2, '{"key":').join('\n'))
        const { error } = await complete(server, rows(3), journaled(folder))
        expect(error).to.have.property('code', 'CS_ERR_JOURNAL')
        expect(error?.message).to.match(/^line 3 of .*run\.ndjson is damaged/)
      })
    })

    it('gives no row the answer of another that stood at its place', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const journal = join(folder, 'run.ndjson')
        // As JSON the rows are the same, whatever the order of their members and what JSON does not have.
        const before = [
          { id: 0, text: 'a' },
          { id: 1, text: 'b' }
        ]
        const same = [
          { text: 'a', id: 0, more: undefined },
          { text: 'b', id: 1 }
        ]
        await complete(server, before, { journal, concurrency: 1 })
        expect((await complete(server, same, { journal })).error).to.equal(undefined)
        expect(server.requests).to.have.length(2)

        const changed = [before[0] as Row, { id: 1, text: 'changed text' }]
        const { items, error } = await complete(server, changed, { journal, concurrency: 1 })
        expect(items.map(({ key }) => key)).to.deep.equal(['0'])
        expect(error).to.include({ code: 'CS_ERR_JOURNAL', index: 1 })
        expect(error?.message)
          .to.match(/^the row of key "1" .*Begin another journal, or/)
          .and.to.not.include('changed text')
        expect(server.requests).to.have.length(2)
      })
    })

    it('takes the word of the option key for which rows are the same', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        await complete(server, [{ id: 0, text: 'a' }], journaled(folder))
        const { items, error } = await complete(server, [{ id: 0, text: 'b' }], journaled(folder))
        expect(error).to.equal(undefined)
        expect(items[0]).to.deep.include({ row: { id: 0, text: 'b' }, text: 'answer NaN' })
        expect(server.requests).to.have.length(1)
      })
    })

    it('has in a record the row that was read, also where JSON would change it', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const given = [{ id: 0, at: new Date(0), more: new Map([[1, 2]]), none: Number.NaN }]
        for (const key of [undefined, () => 'a key'])
          for (const _run of ['first', 'second']) {
            const journal = join(folder, key ? 'by-key' : 'by-place')
            const { items, error } = await complete(server, given, { journal, ...(key && { key }) })
            expect(error).to.equal(undefined)
            expect(items[0]?.row).to.equal(given[0])
          }
        expect(server.requests).to.have.length(2)
      })
    })

    for (const [name, extra] of [
      ['a BigInt', 10n],
      ['a cycle', cyclic]
    ] as const) {
      it(`asks for no row that its journal could not hold: ${name}`, async () => {
        await withFolder(async folder => {
          await using server = await serve(echo)
          const { error } = await complete(server, [{ id: 3, extra } as Row], journaled(folder))
          expect(error).to.include({ code: 'CS_ERR_INVALID_OPTION' }).and.have.property('cause')
          expect(error?.message).to.match(/^the row of key "row 3" cannot be kept in a journal/)
          expect(server.requests).to.have.length(0)
        })
      })
    }

    it('names the row whose record JSON cannot hold', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const counts = () =>
          new Transform({ objectMode: true, transform: (_chunk, _encoding, next) => next(null, 1n) })
        const { error } = await complete(server, rows(1), journaled(folder, { through: () => [counts()] }))
        expect(error).to.include({ code: 'CS_ERR_INVALID_OPTION' })
        expect(error?.message).to.match(/^the record of the row of key "row 0" cannot be kept/)
      })
    })

    it('asks for rows that failed in an earlier run where that is asked for, and the later record counts', async () => {
      await withFolder(async folder => {
        let isDown = true
        await using server = await faulty(id => (id === 3 && isDown ? { status: 503 } : undefined))
        const errorsOf = async (more: BatchOptions<Row> = {}) => {
          let last: BatchProgress | undefined
          const { items, error } = await complete(
            server,
            rows(5),
            journaled(folder, {
              retries: 0,
              onProgress(told) {
                last = told
              },
              ...more
            })
          )
          expect(error).to.equal(undefined)
          expect(items).to.have.length(5)
          return [items.filter(({ error }) => error).length, last?.resumed, server.requests.length]
        }
        expect(await errorsOf()).to.deep.equal([1, 0, 5])
        expect(await errorsOf({ retryFailed: true })).to.deep.equal([1, 4, 6])
        isDown = false
        expect(await errorsOf()).to.deep.equal([1, 5, 6])
        expect(await errorsOf({ retryFailed: true })).to.deep.equal([0, 4, 7])
        expect(await errorsOf()).to.deep.equal([0, 5, 7])
      })
    })

    it('keeps no failure that ends the batch, and asks again for one that was kept, so that running again goes on', async () => {
      await withFolder(async folder => {
        let isDown = true
        await using server = await faulty(id => (id === 2 && isDown ? { status: 503 } : undefined))
        const options = (onFailure: 'emit' | 'fail') =>
          journaled(folder, { retries: 0, concurrency: 1, onFailure })
        expect((await complete(server, rows(5), options('fail'))).error).to.include({ row: 'row 2' })
        expect(await readFile(join(folder, 'run.ndjson'), 'utf8')).to.not.include('row 2')
        expect((await complete(server, rows(5), options('emit'))).error).to.equal(undefined)
        expect((await complete(server, rows(5), options('fail'))).error).to.include({ status: 503 })
        isDown = false
        const { items, error } = await complete(server, rows(5), options('fail'))
        expect(error).to.equal(undefined)
        expect(items.map(({ text }) => text)).to.deep.equal(rows(5).map(({ id }) => `answer ${id}`))
        // Rows 0 and 1 once, row 2 in each of the four runs, rows 3 and 4 in the second one.
        expect(server.requests).to.have.length(8)
      })
    })

    it('knows its file by whatever name it is given', async () => {
      await withFolder(async folder => {
        const { promise: asked, resolve: tell } = withResolvers()
        const { promise: answer, resolve: release } = withResolvers()
        await using server = await serve({
          async script() {
            tell()
            await answer
            return script('x')
          }
        })
        // A link may come before its file.
        await symlink('run.ndjson', join(folder, 'link.ndjson'))
        const first = complete(server, rows(1), journaled(folder, { journal: join(folder, 'link.ndjson') }))
        await asked
        const { error } = await complete(server, rows(1), journaled(folder))
        release()
        expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
        expect((await first).error).to.equal(undefined)
        expect(server.requests).to.have.length(1)
      })
    })

    it('sees that a process with numbers of its own has the journal, as in another container', async function () {
      const own = ['--pid', '--fork', '--mount-proc', '--kill-child']
      if (spawnSync('unshare', [...own, 'true']).status !== 0) return this.skip()
      await withFolder(async folder => {
        const { promise: asked, resolve: tell } = withResolvers()
        await using server = await serve({
          script() {
            tell()
            return new Promise(() => {})
          }
        })
        const program = join(folder, 'program.mjs')
        await writeFile(
          program,
          `import OpenAI from ${JSON.stringify(import.meta.resolve('openai'))}
          import { completeEach } from ${JSON.stringify(import.meta.resolve('completion-streams'))}
          const client = new OpenAI({ baseURL: ${JSON.stringify(server.url)}, apiKey: 'none' })
          const each = completeEach(client, () => ({ model: 'm', messages: [] }), { journal: ${JSON.stringify(join(folder, 'run.ndjson'))} })
          each.resume().end({})`
        )
        const child = spawn('unshare', [...own, process.execPath, program], { stdio: 'inherit' })
        const closed = once(child, 'close')
        try {
          await asked
          const { error } = await complete(server, rows(1), journaled(folder))
          expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
          expect(error?.message).to.match(/in use by process \d+ of /)
          expect(server.requests).to.have.length(1)
        } finally {
          child.kill('SIGKILL')
          await closed
        }
      })
    })

    it('refuses a key that comes twice', async () => {
      await withFolder(async folder => {
        await using server = await serve(echo)
        const { error } = await complete(server, rows(3), journaled(folder, { key: () => 'same' }))
        expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
      })
    })

    it('fails with the error of a disk that is full', async () => {
      await using server = await serve(echo)
      const { error } = await complete(server, rows(3), { journal: '/dev/full' })
      expect(error?.code).to.be.oneOf(['ENOSPC', 'CS_ERR_JOURNAL', 'EINVAL'])
    })

    it('loses and doubles nothing when its process is killed and started again', async () => {
      await withFolder(async folder => {
        await using server = await faulty((id, attempt) =>
          attempt === 1 && id % 10 === 0 ? { cutAfter: { events: 2 } } : undefined
        )
        const count = 60
        const program = join(folder, 'program.mjs')
        await appendFile(
          program,
          `import { createWriteStream } from 'node:fs'
          import { Readable } from 'node:stream'
          import { pipeline } from 'node:stream/promises'
          import OpenAI from ${JSON.stringify(import.meta.resolve('openai'))}
          import { completeEach, toNDJSON } from ${JSON.stringify(import.meta.resolve('completion-streams'))}
          const client = new OpenAI({ baseURL: ${JSON.stringify(server.url)}, apiKey: 'none' })
          const rows = Array.from({ length: ${count} }, (_, id) => ({ id }))
          await pipeline(Readable.from(rows), completeEach(client, ({ id }) => ({ model: 'm', messages: [{ role: 'user', content: 'row ' + id }] }), {
            concurrency: 8, key: ({ id }) => String(id), journal: ${JSON.stringify(join(folder, 'run.ndjson'))}, onRetry: () => process.stdout.write('r')
          }), toNDJSON(), createWriteStream(${JSON.stringify(join(folder, 'answers.ndjson'))}))`
        )
        let kills = 0
        let code: number | null = null
        while (code !== 0) {
          const child = spawn(process.execPath, [program], {
            stdio: ['ignore', 'ignore', 'inherit'],
            env: { ...process.env, NODE_V8_COVERAGE: undefined }
          })
          const before = server.requests.length
          let isOver = false
          const closed = once(child, 'close').then(([code]) => {
            isOver = true
            return code as number | null
          })
          // Killed when a third of the rows has been asked for since.
          while (!isOver && server.requests.length < before + count / 3)
            await new Promise(resolve => setImmediate(resolve))
          if (!isOver && kills < 2) {
            kills++
            child.kill('SIGKILL')
          }
          code = await closed
        }
        const keys = (await readFile(join(folder, 'answers.ndjson'), 'utf8'))
          .trim()
          .split('\n')
          .map(line => JSON.parse(line).key as string)
        expect(keys.map(Number).sort((a, b) => a - b)).to.deep.equal(rows(count).map(({ id }) => id))
        expect(kills).to.be.above(0)
        // One for each row, one more for each that was cut, and what was in flight at each kill.
        expect(server.requests.length).to.be.at.most(count + count / 10 + 8 * kills * 2)
      })
    }).timeout(30_000)
  })

  it('goes into a file as lines', async () => {
    await withFolder(async folder => {
      await using server = await serve(echo)
      const file = join(folder, 'answers.ndjson')
      await pipeline(
        Readable.from(rows(3)),
        completeEach(clientOf(server), paramsOf),
        toNDJSON(),
        createWriteStream(file)
      )
      expect((await readFile(file, 'utf8')).trim().split('\n')).to.have.length(3)
    })
  })

  it('leaves the process nothing to wait for', async () => {
    await using server = await serve(echo)
    const stage = completeEach(clientOf(server), paramsOf)
    const sink = new Writable({
      objectMode: true,
      write: (_record, _encoding, callback) => callback(new Error('full'))
    })
    const error = await pipeline(Readable.from(rows(5)), stage, sink).catch((error: Error) => error)
    expect(error).to.have.property('message', 'full')
  })
})

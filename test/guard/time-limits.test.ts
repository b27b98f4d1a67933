import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { type Chunk, compose, timeLimits, toChunks, toText } from 'completion-streams'
import { script } from 'completion-streams/testing'
import { all, ask, closed, failureOf, GatedSink, run, serve, settle } from '../answers.js'

const answer = 'one two three four five'

describe('timeLimits', () => {
  it('passes everything on', async () => {
    await using server = await serve({ script: script(answer) })
    const limits = timeLimits<Uint8Array>({ first: 60_000, idle: 60_000, total: 60_000 })
    expect((await all(ask(server), limits, toChunks(), toText())).join('')).to.equal(answer)
  })

  for (const { limits, timeLimit } of [
    { limits: { first: 300 }, timeLimit: 'first' },
    { limits: { first: 300, idle: 60_000 }, timeLimit: 'first' },
    { limits: { first: 300, total: 60_000 }, timeLimit: 'first' },
    { limits: { idle: 300 }, timeLimit: 'idle' },
    { limits: { total: 300 }, timeLimit: 'total' },
    { limits: { first: 60_000, idle: 60_000, total: 300 }, timeLimit: 'total' }
  ]) {
    for (const stallAfter of ['request', { events: 0 }] as const) {
      const place = stallAfter === 'request' ? 'before the headers' : 'behind the headers'
      it(`fails with CS_ERR_STALLED when nothing comes, ${place} (${JSON.stringify(limits)})`, async () => {
        await using server = await serve({ script: script(answer), faults: { stallAfter } })
        const { items, error } = await run(ask(server), timeLimits<Uint8Array>(limits), toChunks(), toText())
        expect(error).to.include({ code: 'CS_ERR_STALLED', timeLimit, limit: 300, items: 0 })
        expect(error?.elapsed).to.be.at.least(300)
        expect(error?.message).to.include(`300 ms (${timeLimit})`)
        expect(items).to.deep.equal([])
        expect(await server.requests[0]?.over).to.have.property('aborted', true)
      })
    }
  }

  it('fails when the whole takes too long, however soon each item comes', async () => {
    async function* items() {
      for (let item = 0; ; item++) {
        await nextTurn()
        yield item
      }
    }
    const { error } = await run(Readable.from(items()), timeLimits({ total: 60 }))
    expect(error).to.include({ code: 'CS_ERR_STALLED', timeLimit: 'total', limit: 60 })
  })

  for (const { limits, timeLimit } of [
    { limits: { idle: 300 }, timeLimit: 'idle' },
    { limits: { first: 60_000, idle: 300 }, timeLimit: 'idle' },
    { limits: { idle: 300, total: 60_000 }, timeLimit: 'idle' },
    { limits: { first: 60_000, total: 300 }, timeLimit: 'total' }
  ]) {
    it(`fails with CS_ERR_STALLED when nothing more comes, and all that came is there (${JSON.stringify(limits)})`, async () => {
      await using server = await serve({ script: script(answer), faults: { stallAfter: { events: 3 } } })
      const { items, error } = await run(ask(server), toChunks(), timeLimits<Chunk>(limits), toText())
      expect(error).to.include({ code: 'CS_ERR_STALLED', timeLimit, limit: 300, items: 3 })
      expect(items).to.deep.equal(['one', ' two'])
      expect(await server.requests[0]?.over).to.have.property('aborted', true)
    })
  }

  it('adds up in total what each wait takes', async () => {
    // No wait is as long as the limit; all of them together are.
    await using server = await serve({ script: script(answer, { interval: 60 }), speed: 1 })
    const { items, error } = await run(ask(server), toChunks(), timeLimits<Chunk>({ total: 100 }), toText())
    expect(error).to.include({ code: 'CS_ERR_STALLED', timeLimit: 'total', limit: 100 })
    expect(answer.startsWith(items.join(''))).to.equal(true)
    expect(items.length).to.be.at.most(4)
  })

  it('takes comments for life before toChunks, and for no progress behind it', async () => {
    const comments = { text: 'alive', every: 10 }
    const faults = { stallAfter: { events: 2 }, comments }
    await using server = await serve({ script: script(answer), faults })
    const life = timeLimits<Uint8Array>({ idle: 10_000 })
    const progress = timeLimits<Chunk>({ first: 60_000, idle: 100 })
    let bytes = 0
    life.on('data', () => bytes++)
    const { items, error } = await run(ask(server), life, toChunks(), progress, toText())
    expect(error).to.include({ code: 'CS_ERR_STALLED', limit: 100, items: 2 })
    expect(items).to.deep.equal(['one'])
    expect(bytes).to.be.above(4)
  })

  /** A sink that takes so many milliseconds for each item. */
  function slowSink(milliseconds: number, taken: unknown[]): Writable {
    return new Writable({
      objectMode: true,
      highWaterMark: 1,
      write(item, _encoding, callback) {
        taken.push(item)
        setTimeout(callback, milliseconds)
      }
    })
  }

  const items = Array.from({ length: 40 }, (_, place) => ({ place }))

  it('takes no lag of the process itself for a stall', async () => {
    async function* behind() {
      yield 'a'
      // Each turn of the event loop takes long, and what comes takes several of them to be read.
      const start = performance.now()
      while (performance.now() - start < 550) {
        const turn = performance.now()
        while (performance.now() - turn < 100);
        await nextTurn()
      }
      yield 'b'
    }
    const taken: unknown[] = []
    await pipeline(Readable.from(behind()), timeLimits({ idle: 400 }), async source => {
      for await (const item of source) taken.push(item)
    })
    expect(taken).to.deep.equal(['a', 'b'])
  })

  it('waits while a sink is what is slow', async () => {
    const taken: unknown[] = []
    await pipeline(Readable.from(items), timeLimits({ idle: 5, total: 300 }), slowSink(12, taken))
    expect(taken).to.deep.equal(items)
  })

  it('waits while a sink is what is slow, after the source has ended', async () => {
    const taken: unknown[] = []
    await pipeline(Readable.from(items.slice(0, 5)), timeLimits({ idle: 20 }), slowSink(60, taken))
    expect(taken).to.have.lengthOf(5)
  })

  it('waits while nobody reads', async () => {
    const limits = timeLimits({ first: 10 })
    const error = once(limits, 'error')
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(limits.errored).to.equal(null)
    // The time begins with the first read.
    limits.resume()
    expect((await error)[0]).to.have.property('timeLimit', 'first')
  })

  it('takes a source for no slower than it is when the process was busy', async () => {
    let place = 0
    const source = new Readable({
      objectMode: true,
      highWaterMark: 1,
      // It answers in the next turn of the event loop.
      read: () => void setImmediate(() => source.push(items[place++] ?? null))
    })
    const taken: unknown[] = []
    for await (const item of source.pipe(timeLimits({ idle: 5 }))) {
      taken.push(item)
      const start = performance.now()
      while (performance.now() - start < 15);
    }
    expect(taken).to.deep.equal(items)
  })

  it('has given a slow sink all that came before it fails with CS_ERR_STALLED', async () => {
    await using server = await serve({ script: script(answer), faults: { stallAfter: { events: 4 } } })
    const sink = new GatedSink()
    const done = failureOf(
      pipeline(ask(server), toChunks(), timeLimits<Chunk>({ first: 60_000, idle: 50 }), toText(), sink)
    )
    let isOver = false
    done.then(() => {
      isOver = true
    })
    while (!isOver) {
      sink.take()
      await settle(20)
    }
    const error = await done
    expect(error).to.have.property('code', 'CS_ERR_STALLED')
    expect(sink.text).to.equal('one two three')
    expect([sink.errored, sink.writableFinished]).to.deep.equal([error, false])
  })

  it('passes on nothing that comes after the failure', async () => {
    const source = new PassThrough({ objectMode: true })
    const sink = new GatedSink({ objectMode: true })
    const limits = timeLimits({ idle: 10 })
    const done = failureOf(pipeline(source, limits, sink))
    source.write('in time')
    // The failure waits for the sink, which does not take what is there.
    while (limits.writableNeedDrain || !sink.writableLength) await settle(1)
    await new Promise(resolve => setTimeout(resolve, 60))
    source.write('too late')
    await settle()
    sink.open()
    expect(await done).to.include({ code: 'CS_ERR_STALLED', items: 1 })
    expect(sink.received).to.deep.equal(['in time'])
  })

  it('works inside compose', async () => {
    await using server = await serve({ script: script(answer), faults: { stallAfter: { events: 3 } } })
    const texts: string[] = []
    const stream = compose(
      ask(server),
      timeLimits<Uint8Array>({ first: 60_000, idle: 50 }),
      toChunks(),
      toText()
    )
    const error = await failureOf(
      (async () => {
        for await (const text of stream) texts.push(text)
      })()
    )
    expect(error).to.have.property('code', 'CS_ERR_STALLED')
    expect(texts).to.deep.equal(['one', ' two'])
  })

  it('fails no more when it has been destroyed', async () => {
    const limits = timeLimits({ idle: 5 })
    const errors: unknown[] = []
    limits.on('error', error => errors.push(error))
    limits.resume()
    await settle()
    limits.destroy()
    await closed(limits)
    await new Promise(resolve => setTimeout(resolve, 40))
    expect(errors).to.deep.equal([])
  })

  it('keeps no process alive', async () => {
    const program = `
      import { timeLimits } from 'completion-streams'
      timeLimits({ first: 3_600_000, idle: 3_600_000, total: 3_600_000 }).resume()
      process.on('exit', () => console.log('over'))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    expect(stdout).to.equal('over\n')
  })

  it('takes a limit that is longer than a timer can be', async () => {
    const limits = timeLimits({ first: 2 ** 33, idle: Number.POSITIVE_INFINITY, total: Number.MAX_VALUE })
    expect(await all(Readable.from(items), limits)).to.deep.equal(items)
  })

  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: at least one limit is to be given
    'no limit': () => timeLimits({}),
    // @ts-expect-error: at least one limit is to be given
    'no options': () => timeLimits(),
    'idle: 0': () => timeLimits({ idle: 0 }),
    'first: -1': () => timeLimits({ first: -1 }),
    'total: NaN': () => timeLimits({ total: Number.NaN }),
    // @ts-expect-error: a limit is a number
    "idle: '5s'": () => timeLimits({ idle: '5s' }),
    // @ts-expect-error: null is no limit
    'total: null': () => timeLimits({ idle: 5, total: null })
  }
  it('says what to give where there is no limit', () => {
    expect(wrong['no limit']).to.throw(/^timeLimits has no limit: give one or more of first, idle and total/)
  })

  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { once } from 'node:events'
import stream, { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  compose,
  record,
  requestCompletion,
  tapMetrics,
  tapSummary,
  tapUsage,
  tee,
  timeLimits,
  toChunks,
  toCompletion,
  toEvents,
  toText,
  toToolCalls
} from 'completion-streams'
import pumpify from 'pumpify'
import { objectTransform } from 'through2'
import {
  allowNoComplaints,
  clientOf,
  completion,
  failureOf,
  question,
  SlowSink,
  turns,
  words
} from './helpers.js'

const texts = words(100)
const pieces = completion(texts)
  .split(/(?<=\n\n)/)
  .map(text => Buffer.from(text))
const events = await Readable.from(pieces).pipe(toEvents()).toArray()
const chunks = await Readable.from(pieces).pipe(toChunks()).toArray()
const completions = await Readable.from(chunks).pipe(toCompletion()).toArray()
const calling = texts.map((text, index) => {
  const call = { index, id: text, function: { name: 'take', arguments: JSON.stringify({ text }) } }
  return { choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }
})
const calls = await Readable.from(calling).pipe(toToolCalls()).toArray()
const reason = new Error('the tap failed')

/** A tracer that keeps nothing. */
const telemetry = { startSpan: () => ({ setAttributes() {}, setStatus() {}, end() {} }) }

/** A stage, what it makes of what, and what makes it fail. */
interface Case {
  make(): Duplex
  input: readonly unknown[]
  output: readonly unknown[]
  /** A stage that fails at the end of the input, or with what is added to it. */
  makeFailing(): Duplex
  bad: readonly unknown[]
  code: string | undefined
}

const cases: Record<string, Case> = {
  toEvents: {
    make: () => toEvents(),
    input: pieces,
    output: events,
    makeFailing: () => toEvents(),
    bad: [{}],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  toChunks: {
    make: () => toChunks(),
    input: pieces,
    output: chunks,
    makeFailing: () => toChunks(),
    bad: ['data: {"error":{"message":"overloaded"}}\n\n'],
    code: 'CS_ERR_PROVIDER'
  },
  toText: {
    make: () => toText(),
    input: chunks,
    output: texts,
    makeFailing: () => toText(),
    bad: ['no chunk'],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  tapUsage: {
    make: () => tapUsage(() => {}),
    input: chunks,
    output: chunks,
    makeFailing: () => tapUsage(() => Promise.reject(reason)),
    bad: [{ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }],
    code: undefined
  },
  tapSummary: {
    make: () => tapSummary(() => {}),
    input: chunks,
    output: chunks,
    makeFailing: () => tapSummary(() => Promise.reject(reason)),
    bad: [{ choices: [] }],
    code: undefined
  },
  tee: {
    make: () => tee(new PassThrough({ objectMode: true }).resume()),
    input: chunks,
    output: chunks,
    makeFailing() {
      const sink = collector([])
      sink._final = callback => callback(reason)
      return tee(sink)
    },
    bad: [{ choices: [] }],
    code: undefined
  },
  record: {
    make: () => record(new PassThrough().resume()),
    input: pieces,
    output: pieces,
    makeFailing() {
      const sink = collector([])
      sink._final = callback => callback(reason)
      return record(sink)
    },
    bad: [Buffer.from('data: [DONE]\n\n')],
    code: undefined
  },
  tapMetrics: {
    make: () => tapMetrics({ tracer: telemetry }),
    input: chunks,
    output: chunks,
    makeFailing: () => tapMetrics({ tracer: telemetry }),
    bad: ['no chunk'],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  timeLimits: {
    make: () => timeLimits({ first: 60_000, idle: 60_000, total: 60_000 }),
    input: chunks,
    output: chunks,
    makeFailing: () => compose(timeLimits({ idle: 60_000 }), toText()),
    bad: ['no chunk'],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  toCompletion: {
    make: () => toCompletion(),
    input: chunks,
    output: completions,
    makeFailing: () => toCompletion(),
    // The first of another completion makes it emit the one before.
    bad: [{ type: 'response.created', response: {} }, 'no chunk'],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  toToolCalls: {
    make: () => toToolCalls(),
    input: calling,
    output: calls,
    makeFailing: () => toToolCalls(),
    bad: ['no chunk'],
    code: 'CS_ERR_INVALID_CHUNK'
  },
  compose: {
    make: () =>
      compose(
        toEvents(),
        toChunks(),
        tapUsage(() => {}),
        toText()
      ),
    input: pieces,
    output: texts,
    makeFailing: () => compose(toChunks(), toText()),
    bad: ['data: {"error":{"message":"overloaded"}}\n\n'],
    code: 'CS_ERR_PROVIDER'
  }
}

/** Ways to run a stage that are not this library's. Each gives what the stage emits. */
const ways: Record<string, (input: Readable, stage: Duplex) => Promise<unknown[]>> = {
  'pipeline with promises': async (input, stage) => {
    const items: unknown[] = []
    await pipeline(input, stage, collector(items))
    return items
  },
  'pipeline with a callback': (input, stage) =>
    new Promise((resolve, reject) => {
      const items: unknown[] = []
      stream.pipeline(input, stage, collector(items), error => (error ? reject(error) : resolve(items)))
    }),
  'pipeline into an async function': (input, stage) => pipeline(input, stage, allOf),
  'pipeline from an async generator through another': async (input, stage) => {
    const items: unknown[] = []
    async function* through(all: AsyncIterable<unknown>): AsyncGenerator<unknown> {
      for await (const item of all) yield item
    }
    await pipeline(() => input, stage, through, collector(items))
    return items
  },
  pipe: async (input, stage) => {
    const items: unknown[] = []
    const sink = collector(items)
    const failed = new Promise<never>((_resolve, reject) => stage.once('error', reject))
    await Promise.race([once(input.pipe(stage).pipe(sink), 'finish'), failed])
    return items
  },
  'for await': (input, stage) => allOf(input.pipe(stage)),
  'data events': (input, stage) =>
    new Promise((resolve, reject) => {
      const items: unknown[] = []
      input.pipe(stage)
      stage.on('data', item => items.push(item))
      stage.on('end', () => resolve(items))
      stage.on('error', reject)
    }),
  'readable events': (input, stage) =>
    new Promise((resolve, reject) => {
      const items: unknown[] = []
      input.pipe(stage)
      stage.on('readable', () => {
        for (let item = stage.read(); item !== null; item = stage.read()) items.push(item)
      })
      stage.on('end', () => resolve(items))
      stage.on('error', reject)
    }),
  'stream.compose': (input, stage) => allOf(composeOfNode(input, stage)),
  'stream.compose of stages': async (input, stage) => {
    const items: unknown[] = []
    await pipeline(input, composeOfNode(passing(), stage, passing()), collector(items))
    return items
  },
  'Readable.prototype.compose': (input, stage) => allOf(input.compose(stage)),
  'Readable.toWeb': (input, stage) => allOf(Readable.toWeb(input.pipe(stage))),
  'Duplex.toWeb': (input, stage) => allOf(Readable.toWeb(input).pipeThrough(Duplex.toWeb(stage) as WebPair)),
  'Duplex.from': (input, stage) => allOf(input.pipe(Duplex.from(stage))),
  'a foreign pumpify': async (input, stage) => {
    const items: unknown[] = []
    await pipeline(input, new pumpify.obj(objectTransform(), stage, objectTransform()), collector(items))
    return items
  },
  'pipeline between foreign through2 stages': async (input, stage) => {
    const items: unknown[] = []
    const asynchronous = objectTransform(async (item: unknown) => item)
    await pipeline(input, objectTransform(), asynchronous, stage, objectTransform(), collector(items))
    return items
  },
  'the operators of streams': (input, stage) =>
    input
      .pipe(stage)
      .map(item => item)
      .toArray()
}

/** Node's own `compose`, which its types have left out. */
const composeOfNode: (...streams: [Readable, ...Duplex[]]) => Duplex = Reflect.get(stream, 'compose')

/** What node's types take for a pair of web streams. */
type WebPair = Parameters<ReturnType<typeof Readable.toWeb>['pipeThrough']>[0]

function collector(items: unknown[]): Writable {
  return new Writable({
    objectMode: true,
    write(item, _encoding, callback) {
      items.push(item)
      callback()
    }
  })
}

function passing(): Transform {
  return new PassThrough({ objectMode: true })
}

async function allOf(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('every stage, among what others make', () => {
  allowNoComplaints()

  for (const [name, { make, input, output, makeFailing, bad, code }] of Object.entries(cases)) {
    describe(name, () => {
      for (const [way, run] of Object.entries(ways)) {
        it(`works with ${way}`, async () => {
          expect(await run(Readable.from(input), make())).to.deep.equal(output)
        })

        it(`fails with ${way}, and the error arrives`, async () => {
          const failure = await failureOf(run(Readable.from([...input.slice(0, 30), ...bad]), makeFailing()))
          if (code === undefined) expect(failure).to.equal(reason)
          else expect(failure.code).to.equal(code)
        })
      }

      it('is aborted by the signal of a pipeline before it begins', async () => {
        const stage = make()
        const signal = AbortSignal.abort()
        const failure = await failureOf(pipeline(Readable.from(input), stage, collector([]), { signal }))
        expect(failure.name).to.equal('AbortError')
        expect(stage.destroyed).to.equal(true)
      })

      it('is aborted by the signal of a pipeline in the middle', async () => {
        const stage = make()
        const controller = new AbortController()
        stage.once('data', () => controller.abort())
        const source = Readable.from(input)
        const sink = collector([])
        const failure = await failureOf(pipeline(source, stage, sink, { signal: controller.signal }))
        expect(failure.name).to.equal('AbortError')
        expect([source.destroyed, stage.destroyed, sink.destroyed]).to.deep.equal([true, true, true])
      })

      it('is aborted by the signal of a pipeline while it holds an error back', async () => {
        const stage = makeFailing()
        const controller = new AbortController()
        const stuck = new Writable({ objectMode: true, write() {} })
        const source = Readable.from([...input.slice(0, 30), ...bad])
        const failure = failureOf(pipeline(source, stage, stuck, { signal: controller.signal }))
        await turns(30)
        controller.abort()
        expect((await failure).name).to.equal('AbortError')
      })

      it('ends a for await loop that breaks off, and its source', async () => {
        const source = Readable.from(input)
        const stage = make()
        await failureOf(
          pipeline(source, stage, async (items: AsyncIterable<unknown>) => {
            for await (const _ of items) throw reason
          })
        )
        expect([source.destroyed, stage.destroyed]).to.deep.equal([true, true])
      })

      for (let count = 0; count < 12; count++) {
        it(`can be destroyed after ${count} turns of a pipeline`, async () => {
          const stage = make()
          const work = pipeline(Readable.from(input), stage, new SlowSink(1, { objectMode: true })).then(
            () => 'finished',
            error => error.code
          )
          await turns(count)
          stage.destroy()
          expect(await work).to.be.oneOf(['ERR_STREAM_PREMATURE_CLOSE', 'finished'])
        })
      }

      it('can be destroyed before anything, with an error or without one', async () => {
        for (const error of [undefined, reason]) {
          const stage = make()
          const errors: unknown[] = []
          stage.on('error', failure => errors.push(failure))
          stage.destroy(error)
          await turns(3)
          expect(stage.destroyed).to.equal(true)
          expect(errors).to.deep.equal(error ? [error] : [])
        }
      })

      it('can be destroyed after its end', async () => {
        const stage = make()
        expect(await allOf(Readable.from(input).pipe(stage))).to.have.lengthOf(output.length)
        stage.destroy()
        await turns(2)
        expect(stage.destroyed).to.equal(true)
      })
    })
  }

  it("is node's own Transform or Duplex wherever it leaves the library", () => {
    for (const stage of [toEvents(), toChunks(), toText()]) expect(stage).to.be.instanceOf(Transform)
    expect(compose(toChunks(), toText())).to.be.instanceOf(Duplex)
    expect(requestCompletion(clientOf({ url: 'http://127.0.0.1:1' }), question)).to.be.instanceOf(Readable)
  })
})

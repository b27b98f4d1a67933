import { EventEmitter, once } from 'node:events'
import { type Duplex, PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  compose,
  drain,
  fromResponse,
  isRetryable,
  tapUsage,
  tee,
  timeLimits,
  toChunks,
  toCompletion,
  toEvents,
  toText,
  webResponse
} from 'completion-streams'
import { type Stage, type StageWork, stage } from '#lib/stage.js'
import { allowNoComplaints, failureOf, SlowSink, turns } from './helpers.js'

const reason = new Error('the work failed')

/** Passes strings on, but for what a test replaces. */
function passing(work: Partial<StageWork<string, string>> = {}): Stage<string, string> {
  return stage({ transform: (item, push) => push(item), ...work })
}

const failures: Record<string, Partial<StageWork<string, string>>> = {
  'transform throws': {
    transform(item, push) {
      if (item === 'bad') throw reason
      push(item)
    }
  },
  'the promise of transform rejects': {
    async transform(item, push) {
      if (item === 'bad') throw reason
      push(item)
    }
  },
  'transform pushes and then throws': {
    transform(item, push) {
      if (item !== 'bad') push(item)
      if (item === 'bad') throw reason
    }
  },
  'flush throws': {
    transform: (item, push) => (item === 'bad' ? undefined : push(item)),
    flush() {
      throw reason
    }
  },
  'the promise of flush rejects': {
    transform: (item, push) => (item === 'bad' ? undefined : push(item)),
    flush: () => Promise.reject(reason)
  }
}

const items = Array.from({ length: 100 }, (_, place) => `item${place} `)

describe('stage', () => {
  allowNoComplaints()

  it('passes on any number of items for each', async () => {
    const doubled = passing({
      transform(item, push) {
        push(item)
        push(item.toUpperCase())
      },
      flush: push => push('end')
    })
    expect(await Readable.from(['a', 'b']).pipe(doubled).toArray()).to.deep.equal(['a', 'A', 'b', 'B', 'end'])
  })

  it('waits for a promise before it takes the next item', async () => {
    let running = 0
    let most = 0
    const slow = passing({
      async transform(item, push) {
        most = Math.max(most, ++running)
        await turns(2)
        running--
        push(item)
      }
    })
    expect(await Readable.from(items).pipe(slow).toArray()).to.deep.equal(items)
    expect(most).to.equal(1)
  })

  it('ends only when the promise of flush has resolved', async () => {
    let isFlushed = false
    const stream = passing({
      async flush(push) {
        await turns(3)
        isFlushed = true
        push('last')
      }
    })
    expect(await Readable.from(['a']).pipe(stream).toArray()).to.deep.equal(['a', 'last'])
    expect(isFlushed).to.equal(true)
  })

  it('stops taking items when its reader does', async () => {
    let taken = 0
    const stream = passing({
      transform(item, push) {
        taken++
        push(item)
      }
    })
    Readable.from(items).pipe(stream)
    await turns(20)
    expect(taken).to.be.lessThan(40)
    expect(await stream.toArray()).to.deep.equal(items)
  })

  const wrong: [string, unknown][] = [
    ['nothing', undefined],
    ['a function', () => {}],
    ['no transform', {}],
    ['a transform that is none', { transform: 'upper' }],
    ['a flush that is none', { transform: () => {}, flush: true }],
    ['a destroy that is none', { transform: () => {}, destroy: null }],
    ['an unknown option', { transform: () => {}, final: () => {} }]
  ]
  for (const [name, work] of wrong) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(() => stage(work as StageWork<string, string>))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const nothing of [null, undefined]) {
    for (const part of ['transform', 'flush'] as const) {
      it(`fails with CS_ERR_INVALID_OPTION when ${part} pushes ${nothing}, after all that came before`, async () => {
        const sink = new SlowSink()
        const work: Partial<StageWork<string, string>> = {
          transform: (item, push) => push(part === 'transform' && item === 'bad' ? (nothing as never) : item),
          flush: push => (part === 'flush' ? push(nothing as never) : undefined)
        }
        const error = await failureOf(pipeline(Readable.from([...items, 'bad', 'more']), passing(work), sink))
        expect(error.code).to.equal('CS_ERR_INVALID_OPTION')
        expect(error.message).to.include(`pushed ${nothing}`)
        expect(sink.text).to.equal(items.join('') + (part === 'flush' ? 'badmore' : ''))
        expect(sink.isFinished).to.equal(false)
      })
    }
  }

  for (const [name, work] of Object.entries(failures)) {
    it(`fails with the very error when ${name}, after all that came before`, async () => {
      const sink = new SlowSink()
      expect(await failureOf(pipeline(Readable.from([...items, 'bad']), passing(work), sink))).to.equal(
        reason
      )
      expect(sink.text).to.equal(items.join(''))
      expect(sink.isFinished).to.equal(false)
    })

    it(`throws nothing from write when ${name}`, async () => {
      const stream = passing(work)
      const failure = once(stream, 'error')
      stream.end('bad')
      stream.resume()
      // `once` rejects for no event but another one named error.
      expect((await failure.catch(error => [error]))[0]).to.equal(reason)
    })
  }

  it('calls destroy once when the stream completes, without an error', async () => {
    const calls: unknown[] = []
    const stream = passing({ destroy: error => void calls.push(error) })
    await Readable.from(['a']).pipe(stream).toArray()
    await turns(2)
    expect(calls).to.deep.equal([null])
  })

  it('calls destroy once when the stream fails, with its error', async () => {
    const calls: unknown[] = []
    const stream = passing({
      transform() {
        throw reason
      },
      destroy: error => void calls.push(error)
    })
    await failureOf(pipeline(Readable.from(['a']), stream, new SlowSink()))
    expect(calls).to.deep.equal([reason])
  })

  it('calls destroy when the stream is destroyed before anything came', async () => {
    const calls: unknown[] = []
    const stream = passing({ destroy: error => void calls.push(error) })
    stream.destroy()
    await once(stream, 'close')
    expect(calls).to.deep.equal([null])
  })

  it('closes when the promise of destroy has resolved', async () => {
    let isDone = false
    const stream = passing({
      async destroy() {
        await turns(3)
        isDone = true
      }
    })
    stream.destroy()
    await once(stream, 'close')
    expect(isDone).to.equal(true)
  })

  it('fails with what destroy fails with', async () => {
    const stream = passing({ destroy: () => Promise.reject(reason) })
    stream.destroy()
    expect(await failureOf(once(stream, 'close'))).to.equal(reason)
  })

  it('fails with its first error when destroy fails too', async () => {
    const stream = passing({ destroy: () => Promise.reject(new Error('another')) })
    stream.destroy(reason)
    expect(await failureOf(once(stream, 'close'))).to.equal(reason)
  })

  it('can be destroyed while it waits for a promise', async () => {
    let finish = () => {}
    const stream = passing({
      transform: () =>
        new Promise(resolve => {
          finish = resolve
        })
    })
    stream.write('a')
    stream.destroy()
    await once(stream, 'close')
    finish()
    await turns(2)
    expect(stream.destroyed).to.equal(true)
  })

  it('can be destroyed while it holds an error back', async () => {
    const stream = passing({
      transform(item, push) {
        push(item)
        throw reason
      }
    })
    const errors: unknown[] = []
    stream.on('error', error => errors.push(error))
    stream.write('unread')
    await turns(2)
    stream.destroy()
    await once(stream, 'close')
    await turns(20)
    expect(errors).to.deep.equal([])
  })

  it('takes no more while it holds an error back', async () => {
    let taken = 0
    const stream = passing({
      transform(item, push) {
        taken++
        push(item)
        throw reason
      }
    })
    stream.on('error', () => {})
    stream.write('a')
    stream.write('b')
    stream.end()
    await turns(20)
    expect(taken).to.equal(1)
    expect(await failureOf(stream.toArray())).to.equal(reason)
    expect(taken).to.equal(1)
  })
})

describe('a stage used a second time', () => {
  const stages: Record<string, () => Duplex> = {
    toEvents: () => toEvents(),
    toChunks: () => toChunks(),
    toText: () => toText(),
    toCompletion: () => toCompletion(),
    tapUsage: () => tapUsage(() => {}),
    tee: () => tee(drain()),
    timeLimits: () => timeLimits({ idle: 60_000 }),
    compose: () => compose(toChunks(), toText())
  }
  // From version 24 on, Node itself refuses a stream that is closed, before it asks the stage.
  const codes = ['CS_ERR_INVALID_OPTION', 'ERR_STREAM_UNABLE_TO_PIPE']
  const text = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
  const chunk = { choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }] }

  for (const [name, make] of Object.entries(stages)) {
    const items = ['toEvents', 'toChunks', 'compose', 'tee', 'timeLimits'].includes(name) ? [text] : [chunk]

    it(`fails at once behind its first use, with CS_ERR_INVALID_OPTION or Node's own code (${name})`, async () => {
      const used = make()
      await pipeline(Readable.from(items), used, drain())
      const error = await failureOf(pipeline(Readable.from(items), used, drain()))
      expect(error.code).to.be.oneOf(codes)
      expect(() => Readable.from(items).pipe(used)).to.throw(/is used a second time|closed or destroyed/)
      expect(() => compose(used)).to.throw(/is used a second time/)
    })

    it(`fails at once while it runs, and goes on with its first use (${name})`, async () => {
      const used = make()
      const first = pipeline(Readable.from(items), used, drain())
      const error = await failureOf(pipeline(Readable.from(items), used, drain()))
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
      await first.catch(() => {})
      expect(used.destroyed).to.equal(true)
    })
  }

  it('may be taken off its source and put behind it again, but not stand behind it twice', () => {
    const source = new PassThrough({ objectMode: true })
    const used = toChunks()
    source.pipe(used)
    source.unpipe(used)
    source.pipe(used)
    expect(() => source.pipe(used)).to.throw(/is used a second time/)
  })

  it('is named in the error', () => {
    for (const [name, used] of [
      ['toChunks', toChunks()],
      ['toEvents', toEvents()],
      ['toCompletion', toCompletion()],
      ['tapUsage', tapUsage(() => {})],
      ['a stage', passing()],
      ['shout', passing({ name: 'shout' })]
    ] as const) {
      new PassThrough({ objectMode: true }).pipe(used)
      expect(() => Readable.from([]).pipe(used)).to.throw(`${name} is used a second time`)
    }
    expect(() => passing({ name: 1 as never })).to.throw(/name is 1/)
  })

  it('is none when its source was taken off it', async () => {
    const both = toText()
    const read = both.toArray()
    const one = new Readable({ objectMode: true, read() {} })
    one.pipe(both)
    one.unpipe(both)
    Readable.from([chunk]).pipe(both)
    expect(await read).to.deep.equal(['a'])
  })

  it('is one while a source of another make is piped into it, which does not say so', () => {
    const both = toText()
    both.emit('pipe', new EventEmitter())
    expect(() => Readable.from([chunk]).pipe(both)).to.throw(/is used a second time/)
  })

  it('is none when one source comes behind the other', async () => {
    const both = toText()
    const read = both.toArray()
    const one = Readable.from([chunk])
    one.pipe(both, { end: false })
    await once(one, 'end')
    Readable.from([chunk]).pipe(both)
    expect(await read).to.deep.equal(['a', 'a'])
  })
})

describe('a source used a second time', () => {
  allowNoComplaints()

  const answer = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
  const sources: Record<string, () => Readable> = {
    fromResponse: () => fromResponse(new Response(answer)),
    "a stream of Node's": () => Readable.from([answer]),
    'a composed source': () => compose(fromResponse(new Response(answer)), toChunks())
  }
  const takers: Record<string, () => Duplex> = {
    toChunks: () => toChunks(),
    tee: () => tee(drain()),
    timeLimits: () => timeLimits({ idle: 60_000 })
  }
  for (const [name, make] of Object.entries(sources)) {
    for (const [taker, take] of Object.entries(takers)) {
      it(`fails with CS_ERR_INVALID_OPTION, not as an answer that was cut: ${name} into ${taker}`, async () => {
        const source = make()
        await pipeline(source, take(), drain())
        const sink = drain()
        const error = await failureOf(pipeline(source, take(), sink))
        expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
        expect(error.message).to.include('a source is used a second time')
        expect(isRetryable(error)).to.equal(false)
        expect(sink.destroyed).to.equal(true)
      })
    }
  }

  it('is no answer to a request', async () => {
    const source = compose(fromResponse(new Response(answer)), toChunks())
    await pipeline(source, drain())
    const response = await webResponse(source)
    expect(response.status).to.equal(500)
  })
})

import { once } from 'node:events'
import { Readable, Transform } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { inspect } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import {
  type ChunksOptions,
  CompletionError,
  compose,
  type ServerSentEvent,
  type Stage,
  tapUsage,
  toChunks,
  toEvents,
  toText
} from 'completion-streams'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import fc from 'fast-check'
import { cutAt, eventStream, fixture, inPiecesOf, outcomeOf, places } from '../pieces.js'

const text = (content: string) => ({
  id: 'a',
  choices: [{ index: 0, delta: { content }, finish_reason: null }]
})
const finish = { id: 'a', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }

describe('toChunks', () => {
  it('emits the chunks in bytes', async () => {
    const bytes = Buffer.from(eventStream(text('é'), finish, '[DONE]'))
    for (const size of [1, 2, 7, 1000]) {
      const { items, error } = await outcomeOf(inPiecesOf(bytes, size), toChunks())
      expect(error, `pieces of ${size}`).to.equal(undefined)
      expect(items, `pieces of ${size}`).to.deep.equal([text('é'), finish])
    }
  })

  it('emits the chunks in strings', async () => {
    const { items } = await outcomeOf(inPiecesOf(eventStream(text('😀'), finish), 1), toChunks())
    expect(items).to.deep.equal([text('😀'), finish])
  })

  for (const [form, inForm] of [
    ['bytes', Buffer.from],
    ['text', String]
  ] as const) {
    it(`emits a fresh object for each payload, which the caller may change (${form})`, async () => {
      const payloads = Array.from({ length: 20 }, (_, n) => text(n % 2 ? 'same' : `${n}`))
      const seen: unknown[] = []
      const spoil = new Transform({
        objectMode: true,
        transform(chunk, _encoding, callback) {
          seen.push(structuredClone(chunk))
          const [choice] = chunk.choices
          choice.delta.content = 'spoilt'
          choice.delta.more = 'spoilt'
          chunk.choices.push('spoilt')
          delete chunk.id
          callback()
        }
      })
      const { error } = await outcomeOf(
        [inForm(eventStream(...payloads, finish))],
        toChunks(),
        spoil as Stage<never, never>
      )
      expect(error).to.equal(undefined)
      expect(seen).to.deep.equal([...payloads, finish])
    })
  }

  it('emits the chunks in events, behind a filter of the caller', async () => {
    const withoutPings = new Transform({
      objectMode: true,
      transform: (event: ServerSentEvent, _encoding, callback) =>
        event.event === 'ping' ? callback() : callback(null, event)
    })
    const stream = `event: ping\ndata: pong\n\n${eventStream(text('a'), finish)}event: ping\ndata: pong\n\ndata: [DONE]`
    const { items, error } = await outcomeOf([Buffer.from(stream)], toEvents(), withoutPings, toChunks())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('a'), finish])
  })

  it("emits the chunks in eventsource-parser's events", async () => {
    const events = Readable.toWeb(Readable.from([eventStream(text('a'), finish, '[DONE]')])).pipeThrough(
      new EventSourceParserStream()
    )
    const { items, error } = await outcomeOf(Readable.fromWeb(events, { objectMode: true }), toChunks())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('a'), finish])
  })

  it('emits the same chunks from bytes as from the events in them', async () => {
    for (const name of [
      'openai-chat',
      'azure-chat',
      'mistral-parts',
      'openai-responses',
      'openrouter-error'
    ]) {
      const bytes = [fixture(name)]
      const direct = await outcomeOf(bytes, toChunks())
      const filtered = await outcomeOf(bytes, toEvents(), toChunks())
      expect(filtered.items, name).to.deep.equal(direct.items)
      expect(filtered.error?.message, name).to.equal(direct.error?.message)
    }
  })

  for (const indent of [0, 2]) {
    it(`emits chunks for a whole completion, from a server that ignored stream: true (indented by ${indent})`, async () => {
      const message = { role: 'assistant', content: 'Aye' }
      const choices = [{ index: 0, message, finish_reason: 'stop' }]
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
      const body = JSON.stringify({ id: 'a', object: 'chat.completion', choices, usage }, null, indent)
      const totals: number[] = []
      const tap = tapUsage(({ total_tokens }) => void totals.push(total_tokens))
      const { items, error } = await outcomeOf(inPiecesOf(body, 7), toChunks(), tap, toText())
      expect(error).to.equal(undefined)
      expect(items).to.deep.equal(['Aye'])
      expect(totals).to.deep.equal([2])
    })
  }

  for (const [name, input, code] of [
    ['a provider error', eventStream({ error: { message: 'Overloaded' } }), 'CS_ERR_PROVIDER'],
    ['the end of the input', '', 'CS_ERR_TRUNCATED'],
    ['half a payload', 'data: {"id":"a"', 'CS_ERR_TRUNCATED'],
    ['malformed JSON', eventStream('{"id":'), 'CS_ERR_INVALID_CHUNK'],
    ['an event over maxEventSize', eventStream(text('x'.repeat(1000))), 'CS_ERR_EVENT_TOO_LARGE']
  ] as const) {
    for (const size of [1, 20, 10_000]) {
      it(`fails with ${code} for ${name}, after all that came before (pieces of ${size})`, async () => {
        const texts = Array.from({ length: 40 }, (_, n) => `${n} `)
        const stream = eventStream(...texts.map(text)) + input
        const { items, error } = await outcomeOf(
          inPiecesOf(stream, size),
          compose(toChunks({ maxEventSize: 500 }), toText())
        )
        expect(error).to.be.instanceOf(CompletionError).with.property('code', code)
        expect(items.join('')).to.equal(texts.join(''))
      })
    }
  }

  it('lets a reader that is slow take all chunks before it fails', async () => {
    const taken: object[] = []
    const source = Readable.from([eventStream(...Array.from({ length: 100 }, () => text('a')), 'broken')])
    const failure = await pipeline(source, toChunks(), async chunks => {
      for await (const chunk of chunks) {
        await new Promise(resolve => setImmediate(resolve))
        taken.push(chunk)
      }
    }).catch(error => error)
    expect(failure).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    expect(taken).to.have.length(100)
  })

  it('may be left early', async () => {
    const stage = Readable.from([eventStream(text('a'), text('b'))]).pipe(toChunks())
    for await (const chunk of stage) {
      expect(chunk).to.deep.equal(text('a'))
      break
    }
    expect(stage.destroyed).to.equal(true)
  })

  it('counts the payloads that onInvalid: skip leaves out', async () => {
    const stage = toChunks({ onInvalid: 'skip' })
    expect(stage.skipped).to.equal(0)
    const { items, error } = await outcomeOf([eventStream(text('a'), '{"a', '12', finish)], stage)
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('a'), finish])
    expect(stage.skipped).to.equal(2)
  })

  it('does not fail at an end that is none when requireEnd is false', async () => {
    const { items, error } = await outcomeOf([eventStream(text('a'))], toChunks({ requireEnd: false }))
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('a')])
  })

  for (const item of [12, { data: 12 }]) {
    it(`fails with CS_ERR_INVALID_CHUNK for ${inspect(item)}, after the chunks before it`, async () => {
      const { items, error } = await outcomeOf([{ data: JSON.stringify(text('a')) }, item], toChunks())
      expect(items).to.deep.equal([text('a')])
      expect(error).to.be.instanceOf(CompletionError).with.property('code', 'CS_ERR_INVALID_CHUNK')
    })
  }

  for (const options of [
    { onInvalid: 'ignore' },
    { onInvalid: true },
    { requireEnd: 'no' },
    { requireEnd: 0 },
    { maxEventSize: 0 },
    { maxEventSize: -1 },
    { maxEventSize: '1' },
    { maxEventSize: Number.NaN }
  ]) {
    it(`throws CS_ERR_INVALID_OPTION for ${inspect(options)}`, () => {
      expect(() => toChunks(options as ChunksOptions))
        .to.throw(CompletionError, `${Object.keys(options)[0]} is `)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  it('is a Transform of node', () => {
    expect(toChunks()).to.be.instanceOf(Transform)
  })

  it('emits the same chunks and fails the same however the bytes are cut', async () => {
    const part = fc.oneof(
      {
        weight: 2,
        arbitrary: fc.constantFrom(eventStream(text('é😀')), eventStream(finish), eventStream('[DONE]'))
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom('\n', '\r\n', 'data: ', 'error: ', '{"error":"x"}', '{', '<p>', ': c\n')
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }) }
    )
    const body = fc
      .array(part, { maxLength: 12 })
      .map(parts => Buffer.concat(parts.map(item => Buffer.from(item))))
    await fc.assert(
      fc.asyncProperty(body, places, async (bytes, cuts) => {
        const uncut = await outcomeOf([bytes], toChunks())
        const { items, error } = await outcomeOf(cutAt(bytes, cuts), toChunks())
        expect(items).to.deep.equal(uncut.items)
        expect([error?.code, error?.message, error?.residue]).to.deep.equal([
          uncut.error?.code,
          uncut.error?.message,
          uncut.error?.residue
        ])
      }),
      { numRuns: 200 }
    )
  })

  describe('while its source stays open', () => {
    /** Writes bytes to a stage and waits until it has taken them. */
    const write = (stage: Transform, bytes: Uint8Array) => new Promise(resolve => stage.write(bytes, resolve))

    it('emits a chunk as soon as its blank line is there', async () => {
      const stage = toChunks()
      for (const content of ['a', 'b', 'c']) {
        await write(stage, Buffer.from(eventStream(text(content))))
        expect(stage.read()).to.deep.equal(text(content))
      }
    })

    it('emits a chunk that two reads bring when the second one is there', async () => {
      const bytes = Buffer.from(eventStream(text('a'), text('é'), text('b')))
      for (let cut = eventStream(text('a')).length; cut < bytes.length; cut++) {
        const stage = toChunks()
        await write(stage, bytes.subarray(0, cut))
        await write(stage, bytes.subarray(cut))
        expect([stage.read(), stage.read(), stage.read()]).to.deep.equal([text('a'), text('é'), text('b')])
      }
    })

    it('keeps nothing of the buffer that a source uses again', async () => {
      const stage = toChunks()
      const [first, second] = [eventStream(text('a')), eventStream(text('longer than twelve'))]
      const buffer = Buffer.alloc(first.length + second.length)
      buffer.write(first + second.slice(0, -30))
      await write(stage, buffer.subarray(0, first.length + second.length - 30))
      buffer.fill('x')
      buffer.write(second.slice(-30))
      await write(stage, buffer.subarray(0, 30))
      buffer.fill('x')
      expect([stage.read(), stage.read()]).to.deep.equal([text('a'), text('longer than twelve')])
    })

    it('keeps no read alive for a text that was in it', async () => {
      setFlagsFromString('--expose-gc')
      const collectGarbage: () => void = runInNewContext('gc')
      const kept: unknown[] = []
      const stage = toChunks()
      const grown = async (contents: readonly string[]): Promise<number> => {
        const before = process.memoryUsage().heapUsed
        for (const content of contents) {
          await write(stage, Buffer.from(`${eventStream(text(content))}: ${'x'.repeat(65_536)}\n\n`))
          kept.push(stage.read().choices[0].delta.content)
        }
        collectGarbage()
        return process.memoryUsage().heapUsed - before
      }
      for (const length of [1, 12, 13, 24, 25, 300]) {
        for (const letter of ['x', 'é', '\n']) {
          const contents = Array.from({ length: 100 }, (_, at) => `${at}`.padEnd(length, letter))
          await grown(contents.slice(0, 3))
          // All reads together are 6.5 MB.
          expect(await grown(contents), `${length} ${letter}`).to.be.below(2_000_000)
        }
      }
      expect(kept).to.have.lengthOf(6 * 3 * 103)
    })

    it('fails with CS_ERR_PROVIDER at an error field, without its blank line', async () => {
      const stage = toChunks()
      stage.write(Buffer.from(`${eventStream(text('a'))}error: {"message":"no"}\n`))
      stage.resume()
      const [error] = await once(stage, 'error')
      expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
    })

    it('fails with CS_ERR_EVENT_TOO_LARGE within an event', async () => {
      const stage = toChunks({ maxEventSize: 100 })
      stage.write(Buffer.from(`${eventStream(text('a'))}data: {"${'x'.repeat(200)}`))
      stage.resume()
      const [error] = await once(stage, 'error')
      expect(error).to.have.property('code', 'CS_ERR_EVENT_TOO_LARGE')
    })
  })

  it('emits the chunks before a failure in the same read, and none behind it', async () => {
    const bytes = Buffer.from(eventStream(text('a'), text('b'), { error: { message: 'no' } }, text('c')))
    const { items, error } = await outcomeOf([bytes], toChunks())
    expect(items).to.deep.equal([text('a'), text('b')])
    expect(error?.code).to.equal('CS_ERR_PROVIDER')
  })

  it('takes bytes in views of any kind', async () => {
    const bytes = new Uint8Array(Buffer.from(`xx${eventStream(text('é'), text('b'), finish)}`))
    const views = [new DataView(bytes.buffer, 2, 40), new Uint8Array(bytes.buffer, 42, 1), bytes.subarray(43)]
    const { items, error } = await outcomeOf(views, toChunks())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('é'), text('b'), finish])
  })

  for (const [name, arrayOf] of [
    ['a buffer', Buffer.from],
    ['an array', (memory: ArrayBuffer) => new Uint8Array(memory)],
    ['a view', (memory: ArrayBuffer) => new DataView(memory)]
  ] as const) {
    it(`fails with CS_ERR_INVALID_CHUNK for ${name} whose memory was given away, after the chunks before it`, async () => {
      const memory = new ArrayBuffer(8)
      const array = arrayOf(memory)
      structuredClone(memory, { transfer: [memory] })
      const { items, error } = await outcomeOf([Buffer.from(eventStream(text('a'))), array], toChunks())
      expect(items).to.deep.equal([text('a')])
      expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
    })
  }

  it('takes an empty buffer for nothing', async () => {
    const bytes = Buffer.from(eventStream(text('a'), finish))
    const pieces = [
      Buffer.alloc(0),
      bytes.subarray(0, 40),
      Buffer.alloc(0),
      bytes.subarray(40),
      Buffer.alloc(0)
    ]
    const { items, error } = await outcomeOf(pieces, toChunks())
    expect(error).to.equal(undefined)
    expect(items).to.deep.equal([text('a'), finish])
  })

  it('reads its bytes undisturbed where each chunk makes another stage read some', async () => {
    const chunks = [...Array.from({ length: 20 }, (_, at) => text(`${at}`.repeat(at % 7))), finish]
    const events = chunks.map(chunk => Buffer.from(eventStream(chunk)))
    const comment = Buffer.from(`: ${'x'.repeat(3000)}\n\n`)
    const stages = [toChunks(), toChunks(), toChunks()] as const
    const seen: unknown[][] = stages.map(() => [])
    for (const [at, stage] of stages.entries()) {
      stage.write(Buffer.from(eventStream(text('first'))))
      await once(stage, 'data')
      // From here on it emits while it reads.
      stage.on('data', chunk => {
        const count = seen[at]?.push(chunk) as number
        stages[at + 1]?.write(Buffer.concat([comment, events[count - 1] as Buffer]))
      })
    }
    stages[0].write(Buffer.concat(events))
    for (const [at, stage] of stages.entries()) {
      stage.end()
      await finished(stage)
      expect(seen[at]).to.deep.equal(chunks)
    }
  })

  it('takes bytes, strings and events in one input', async () => {
    const [, second = ''] = eventStream(text('a'), text('b')).split('\n\n')
    const pieces = [eventStream(text('a')), Buffer.from(second.slice(0, 20)), second.slice(20), '\n\n']
    const { items } = await outcomeOf([...pieces, { data: JSON.stringify(finish) }], toChunks())
    expect(items).to.deep.equal([text('a'), text('b'), finish])
  })

  it('fails with CS_ERR_TRUNCATED where bytes go on behind an end mark that came as an event', async () => {
    const alike = ['a', 'b', 'c'].map(content => Buffer.from(eventStream(text(content))))
    const { items, error } = await outcomeOf([...alike, { data: '[DONE]' }, ...alike], toChunks())
    expect(items).to.have.length(6)
    expect(error?.code).to.equal('CS_ERR_TRUNCATED')
  })

  it('counts what it leaves out as it comes, each stage for itself', async () => {
    const [one, other] = [toChunks({ onInvalid: 'skip' }), toChunks({ onInvalid: 'skip' })]
    for (const count of [1, 2]) {
      await new Promise(resolve => one.write(eventStream('{"a":'), resolve))
      expect([one.skipped, other.skipped]).to.deep.equal([count, 0])
    }
  })

  it('counts in a field, since a getter for each stage would slow all streams down', () => {
    expect(Object.getOwnPropertyDescriptor(toChunks(), 'skipped')).to.include({ value: 0, writable: true })
  })
})

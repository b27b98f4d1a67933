import { PassThrough, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { compose, tee, timeLimits, toChunks, toEvents, toText } from 'completion-streams'
import { type CompletionReader, readersBehind } from '#lib/reader.js'
import { eventStream } from './pieces.js'

const said = { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] }
const finish = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }

/** A source that finds its readers when it is first read, as one does that waits for a response. */
function source(body: string, meet: (readers: CompletionReader[]) => void): Readable {
  let isMet = false
  const stream = new Readable({
    read() {
      if (!isMet) meet(readersBehind(stream))
      isMet = true
      stream.push(body)
      stream.push(null)
    }
  })
  return stream
}

function sink(): Writable {
  return new Writable({ write: (_bytes, _encoding, callback) => callback() })
}

const whole = eventStream(said, finish)

describe('readersBehind', () => {
  const text = () => [toChunks(), toText(), sink()] as const
  for (const [name, run] of Object.entries({
    'in a pipeline': (from: Readable) => pipeline([from, ...text()]),
    'behind other stages': (from: Readable) =>
      pipeline([from, timeLimits({ idle: 60_000 }), new PassThrough(), toEvents(), ...text()]),
    'in a composed stage': (from: Readable) => pipeline(from, compose(toChunks(), toText()), sink()),
    'with the source in a composed stream': (from: Readable) =>
      pipeline(compose(from, new PassThrough(), toChunks()), toText(), sink()),
    'behind a composed source': (from: Readable) => pipeline([compose(from, new PassThrough()), ...text()]),
    'beside, in a tee': (from: Readable) =>
      pipeline(from, tee(compose(toChunks(), toText()).resume()), sink())
  })) {
    it(`finds what reads completions ${name}, which knows how many choices are to come`, async () => {
      let found = 0
      const tell = (readers: CompletionReader[]) => {
        found = readers.length
        for (const reader of readers) reader.expect(2)
      }
      const work = run(source(whole, tell))
      const failure = await work.then(
        () => undefined,
        (error: { code: string }) => error.code
      )
      expect([found, failure]).to.deep.equal([1, 'CS_ERR_TRUNCATED'])
    })
  }

  it('gives way to the option choices', async () => {
    const tell = ([reader]: CompletionReader[]) => reader?.expect(2)
    await pipeline(source(whole, tell), toChunks({ choices: 1 }), toText(), sink())
  })

  it('finds none where nobody reads', () => {
    expect(readersBehind(Readable.from([]))).to.deep.equal([])
  })

  for (const [name, end] of Object.entries({
    'an end mark': 'data: [DONE]\n\n',
    'a terminal in a line without its event, and with its keys in any order':
      'data: {"response": {"id": "r", "status": "completed"}, "type": "response.completed"}\n\n'
  })) {
    it(`says when a completion is over, at ${name}`, async () => {
      let isOver = false
      const stage = toChunks({ requireEnd: false }).resume()
      const from = new PassThrough()
      from.pipe(stage)
      const [reader] = readersBehind(from)
      reader?.onOver(() => {
        isOver = true
      })
      from.write(whole)
      await new Promise(setImmediate)
      expect([isOver, reader?.isComplete]).to.deep.equal([false, true])
      from.write(end)
      await new Promise(setImmediate)
      expect(isOver).to.equal(true)
      from.destroy()
    })
  }

  it('tells of a failure that waits for usage', async () => {
    const from = new PassThrough()
    from.pipe(toChunks().resume()).on('error', () => {})
    const [reader] = readersBehind(from)
    from.write(eventStream(said, { error: { message: 'No' } }))
    await new Promise(setImmediate)
    expect(reader?.heldFailure).to.have.property('code', 'CS_ERR_PROVIDER')
    expect(reader?.isComplete).to.equal(false)
    from.destroy()
  })
})

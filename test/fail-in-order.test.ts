import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import {
  brotliDecompressSync,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGzip,
  gunzipSync
} from 'node:zlib'
import { expect } from 'chai'
import {
  CompletionError,
  compose,
  fromResponse,
  requestCompletion,
  tapUsage,
  toChunks,
  toEvents,
  toText
} from 'completion-streams'
import { serveCompletions } from 'completion-streams/testing'
import pumpify from 'pumpify'
import through2, { objectTransform } from 'through2'
import { request as undiciRequest } from 'undici'
import { deliveryTimeout, failInOrder } from '#lib/fail-in-order.js'
import {
  allowNoComplaints,
  clientOf,
  event,
  type Failure,
  failureOf,
  question,
  readFile,
  SlowSink,
  serve,
  textEvent,
  turns,
  withFolder,
  words
} from './helpers.js'

const code = 'CS_ERR_TRUNCATED'
const texts = words(300)
const whole = texts.join('')
const answer = texts.map(textEvent)

interface Fault {
  name: string
  code: string
  /** Calls back with a source that fails, or that makes `toChunks` fail, behind the whole text. */
  withSource(use: (source: Readable) => Promise<void>): Promise<void>
}

function inBytes(name: string, code: string, last: string): Fault[] {
  return [
    {
      name: `${name} in the same read as the text`,
      code,
      withSource: use => use(Readable.from([Buffer.from(answer.join('') + last)]))
    },
    {
      name: `${name} in a read of its own`,
      code,
      withSource: use => use(Readable.from([...answer, last].map(text => Buffer.from(text))))
    }
  ]
}

/** A server that sends the text and then cuts the connection. */
function onWire(name: string, open: (url: string) => Readable): Fault {
  return {
    name: `a connection that dies under ${name}`,
    code: 'CS_ERR_TRUNCATED',
    async withSource(use) {
      const script = { writes: answer.map(bytes => ({ bytes })) }
      await using server = await serveCompletions({ script, faults: { cutAfter: { events: texts.length } } })
      await use(open(server.url))
    }
  }
}

async function httpResponse(url: string): Promise<IncomingMessage> {
  const request = httpRequest(`${url}/chat/completions`, { method: 'POST' })
  request.end('{}')
  // The event of a request that has been answered.
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

const post = { method: 'POST', body: '{}' } as const
const faults: Fault[] = [
  ...inBytes('a provider error', 'CS_ERR_PROVIDER', 'data: {"error":{"message":"overloaded"}}\n\n'),
  ...inBytes('a truncation', 'CS_ERR_TRUNCATED', 'data: {"id":"chatcmpl-1","choices":[{"del'),
  ...inBytes('malformed JSON', 'CS_ERR_INVALID_CHUNK', 'data: {"id":}\n\n'),
  ...inBytes('an event that is too large', 'CS_ERR_EVENT_TOO_LARGE', event({ padding: 'x'.repeat(5000) })),
  onWire('requestCompletion', url => requestCompletion(clientOf({ url }), question)),
  onWire('fromResponse of fetch', url => fromResponse(fetch(`${url}/chat/completions`, post))),
  onWire('fromResponse of http.request', url => fromResponse(httpResponse(url))),
  onWire('fromResponse of undici.request', url =>
    fromResponse(undiciRequest(`${url}/chat/completions`, post))
  )
]

const maxEventSize = 4096

type Stages = Duplex[]

/** What may stand between the source and the sink. */
const lines: Record<string, (source: Readable) => [Readable, ...Stages]> = {
  'the stages': source => [source, toChunks({ maxEventSize }), toText()],
  'the stages with toEvents': source => [source, toEvents({ maxEventSize }), toChunks(), toText()],
  'an async tap among the stages': source => [
    source,
    toChunks({ maxEventSize }),
    tapUsage(async () => {}),
    toText()
  ],
  'foreign through2 stages between': source => [
    source,
    through2(),
    toChunks({ maxEventSize }),
    objectTransform((chunk: unknown, _encoding, callback) => callback(null, chunk)),
    objectTransform(async (chunk: unknown) => chunk),
    toText(),
    through2()
  ],
  'a slow foreign Transform between': source => [
    source,
    toChunks({ maxEventSize }),
    toText(),
    new Transform({
      objectMode: true,
      transform(text, _encoding, callback) {
        turns(2).then(() => callback(null, text), callback)
      }
    })
  ],
  'a foreign pumpify between': source => [
    source,
    toChunks({ maxEventSize }),
    toText(),
    // Made of an older generation of streams, which keep what they are piped into in another form.
    new pumpify.obj(objectTransform(), objectTransform())
  ],
  compose: source => [source, compose(toChunks({ maxEventSize }), toText())],
  'compose with the source in it': source => [compose(source, toChunks({ maxEventSize }), toText())],
  'compose of one stage': source => [source, compose(toChunks({ maxEventSize })), compose(toText())],
  'compose in compose': source => [
    source,
    compose(compose(through2(), compose(toChunks({ maxEventSize }))), compose(toText(), through2.obj()))
  ]
}

const theStages = (source: Readable) =>
  [source, toChunks({ maxEventSize }), toText()] as [Readable, ...Stages]

/** Runs a line into a sink and expects the sink to be destroyed with the very error, never finished. */
async function expectFailure(code: string, streams: [Readable, ...Stages], sink: Writable): Promise<void> {
  let isFinished = false
  sink.once('finish', () => {
    isFinished = true
  })
  const closed = new Promise<void>(resolve => void sink.once('close', resolve))
  const error = await failureOf(pipeline([...streams, sink]))
  expect(error.code).to.equal(code)
  await closed
  expect(sink.errored).to.equal(error)
  expect(isFinished, 'finished').to.equal(false)
}

describe('failure in order', () => {
  allowNoComplaints()

  for (const { name, code, withSource } of faults) {
    describe(`on ${name} (${code})`, () => {
      for (const [between, line] of Object.entries(lines)) {
        it(`leaves all text in a slow sink behind ${between}`, () =>
          withSource(async source => {
            const sink = new SlowSink()
            await expectFailure(code, line(source), sink)
            expect(sink.text).to.equal(whole)
          }))
      }

      // The folder first: what a fetch has begun to take is lost when it dies before anybody reads.
      it('leaves all text in a file', () =>
        withFolder(folder =>
          withSource(async source => {
            const path = join(folder, 'answer.txt')
            await expectFailure(code, theStages(source), createWriteStream(path, { highWaterMark: 64 }))
            expect(await readFile(path, 'utf8')).to.equal(whole)
          })
        ))

      it('gives all text to a slow async iteration before it throws', () =>
        withSource(async source => {
          let text = ''
          let reading: Promise<void> | undefined
          async function read(pieces: AsyncIterable<string>): Promise<void> {
            for await (const piece of pieces) {
              await turns(2)
              text += piece
            }
          }
          const work = pipeline(source, toChunks({ maxEventSize }), toText(), pieces => {
            reading = read(pieces)
            return reading
          })
          const error = await failureOf(work)
          expect(error.code).to.equal(code)
          // A pipeline may reject while its reader has the last piece in hand.
          expect(await failureOf(reading as Promise<void>)).to.equal(error)
          expect(text).to.equal(whole)
        }))

      it('relays all text to a slow HTTP client, whose response breaks off', () =>
        withSource(async source => {
          let failure: Promise<Failure> | undefined
          await using relay = await serve((_request, response) => {
            failure = failureOf(pipeline([...theStages(source), response]))
          })
          const request = httpRequest(relay.url).end()
          // As above.
          const [response] = (await once(request, 'response')) as [IncomingMessage]
          let text = ''
          const clientFailure = await failureOf(
            (async () => {
              for await (const piece of fromResponse(response, { endAtMark: false, highWaterMark: 1 })) {
                text += Buffer.from(piece).toString()
                await turns(2)
              }
            })()
          )
          expect((await failure)?.code).to.equal(code)
          expect(clientFailure.code).to.equal('CS_ERR_TRUNCATED')
          expect(text).to.equal(whole)
        }))

      it('leaves all text in two sinks, the slower one too', () =>
        withSource(async source => {
          const text = toText()
          const [fast, slow, slower] = [new SlowSink(0), new SlowSink(3), new SlowSink(9)]
          text.pipe(slow)
          text.pipe(new PassThrough({ objectMode: true })).pipe(slower)
          await expectFailure(code, [source, toChunks({ maxEventSize }), text], fast)
          expect([fast.text, slow.text, slower.text]).to.deep.equal([whole, whole, whole])
          expect([slow.isFinished, slower.isFinished]).to.deep.equal([false, false])
        }))
    })
  }

  describe('in a process that has nothing else to do', () => {
    /** What a program prints whose reader takes the text in so many turns for each piece, or never. */
    async function printed(reader: string, body: string): Promise<string> {
      const program = `
        import { Readable } from 'node:stream'
        import { pipeline } from 'node:stream/promises'
        import { toChunks, toText } from 'completion-streams'
        const turn = () => new Promise(resolve => setImmediate(resolve))
        let text = ''
        const failure = pipeline(Readable.from([Buffer.from(process.argv[1])]), toChunks(), toText(), ${reader})
        failure.catch(error => console.log(text.length, error.code))
        process.on('exit', () => console.log('exit', process.listenerCount('beforeExit')))`
      const args = ['--input-type=module', '--eval', program, body]
      const { stdout } = await promisify(execFile)(process.execPath, args)
      return stdout
    }

    it('tells of the failure when a slow reader has taken all', async () => {
      const reader = 'async pieces => { for await (const piece of pieces) { await turn(); text += piece } }'
      expect(await printed(reader, answer.join(''))).to.equal(`${whole.length} CS_ERR_TRUNCATED\nexit 0\n`)
    })

    // From version 22 on, Node's pipeline waits for the reader itself, a function that never returns; the stage has failed.
    it('tells of the failure at once when the reader takes no more', async () => {
      const reader = 'async pieces => { for await (const piece of pieces) await new Promise(() => {}) }'
      expect(await printed(reader, answer.slice(0, 3).join(''))).to.match(/^(0 CS_ERR_TRUNCATED\n)?exit 0\n$/)
    })
  })

  describe('when nobody takes what came before', () => {
    /** A source that fails behind three items, and waits for its reader no longer than the test. */
    function failing(): Readable {
      const source = new Readable({ objectMode: true, read() {} })
      Object.assign(source, { [deliveryTimeout]: 50 })
      for (const item of ['one', 'two', 'three']) source.push(item)
      failInOrder(source, new CompletionError('CS_ERR_TRUNCATED', 'cut'))
      return source
    }
    const hung = () => new Writable({ objectMode: true, highWaterMark: 1, write() {} })

    const readers: Record<string, (source: Readable) => void> = {
      'is not there': () => {},
      'is paused': source => void source.on('data', () => {}).pause(),
      hangs: source => void source.pipe(hung()),
      'hangs behind a stage': source => void source.pipe(new PassThrough({ objectMode: true })).pipe(hung()),
      'was unpiped': source => {
        const sink = hung()
        source.pipe(sink)
        source.unpipe(sink)
      }
    }
    for (const [name, read] of Object.entries(readers)) {
      it(`is told with what is undelivered when the reader ${name}`, async () => {
        const source = failing()
        read(source)
        const [error] = await once(source, 'error')
        expect(error)
          .to.include({ code: 'CS_ERR_TRUNCATED' })
          .and.to.have.property('undelivered')
          .that.is.above(0)
      })
    }

    it('is told to a pipeline whose sink hangs, by the option of toChunks', async () => {
      const body = Buffer.from(answer.slice(0, 3).join(''))
      const work = pipeline(Readable.from([body]), toChunks({ deliveryTimeout: 50 }), hung())
      expect(await failureOf(work)).to.include({ code })
    })

    it('is what a sink throws, at once: it will take no more', async () => {
      const thrown = new Error('it takes nothing')
      for (const stages of [
        [toChunks()],
        [toChunks(), toText()],
        [toChunks(), tapUsage(() => {}), toText()]
      ]) {
        const sink = new Writable({
          objectMode: true,
          write() {
            throw thrown
          }
        })
        expect(
          await failureOf(pipeline([Readable.from([Buffer.from(answer.join(''))]), ...stages, sink]))
        ).to.equal(thrown)
      }
    }).timeout(5000)

    it('costs one timer, however many wait', async () => {
      const sources = Array.from({ length: 2000 }, failing)
      await Promise.all(sources.map(source => once(source, 'error')))
      expect(process.listenerCount('beforeExit')).to.equal(0)
    })
  })

  it('loses nothing behind an async generator that goes into a file', () =>
    withFolder(async folder => {
      for (let run = 0; run < 20; run++) {
        const path = join(folder, `${run}.txt`)
        const shout = async function* (pieces: AsyncIterable<string>) {
          for await (const piece of pieces) yield piece.toUpperCase()
        }
        const body = Readable.from(answer.map(text => Buffer.from(text)))
        const work = pipeline(body, toChunks(), toText(), shout, createWriteStream(path))
        expect(await failureOf(work)).to.include({ code })
        expect(await readFile(path, 'utf8')).to.equal(whole.toUpperCase())
      }
    }))

  for (const [name, between] of [
    ['a web stream', () => [Duplex.fromWeb(new TransformStream())]],
    ['a packer and an unpacker', () => [createBrotliCompress(), createBrotliDecompress()]]
  ] as [string, () => Duplex[]][]) {
    it(`is the first cause behind ${name} that still holds a part of a line`, async () => {
      const cut = Math.floor(textEvent('last').length / 2)
      const [begun, rest] = [textEvent('last').slice(0, cut), textEvent('last').slice(cut)]
      for (let run = 0; run < 20; run++) {
        const sink = new SlowSink(0)
        const source = new Readable({ read() {} })
        for (const piece of [...answer, begun, rest]) source.push(piece)
        setImmediate(() => failInOrder(source, new CompletionError('CS_ERR_STALLED', 'cut')))
        const work = pipeline([source, ...between(), toChunks(), toText(), sink])
        expect(await failureOf(work)).to.have.property('code', 'CS_ERR_STALLED')
        expect(sink.text).to.equal(`${whole}last`)
      }
    })
  }

  for (const [name, compress, decompress] of [
    ['gzip', createGzip, (bytes: Buffer) => gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })],
    [
      'brotli',
      createBrotliCompress,
      (bytes: Buffer) => brotliDecompressSync(bytes, { finishFlush: constants.BROTLI_OPERATION_FLUSH })
    ]
  ] as const) {
    it(`leaves all text in the file behind ${name}`, () =>
      withFolder(async folder => {
        const path = join(folder, 'answer')
        const body = Readable.from(answer.map(text => Buffer.from(text)))
        const work = pipeline(body, toChunks(), toText(), compress(), createWriteStream(path))
        expect(await failureOf(work)).to.include({ code })
        expect(decompress(await readFile(path)).toString()).to.equal(whole)
      }))
  }
})

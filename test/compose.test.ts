import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { Duplex, finished, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { expect } from 'chai'
import { compose, requestCompletion, tapUsage, toChunks, toEvents, toText } from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import through2, { objectTransform } from 'through2'
import {
  allowNoComplaints,
  clientOf,
  completion,
  failureOf,
  question,
  SlowSink,
  textEvent,
  turns,
  words
} from './helpers.js'

const texts = words(200)
const whole = texts.join('')
const answer = completion(texts)
const reason = new Error('a part failed')

/** Of readable-stream 3, which pumpify brings with duplexify. */
const placeOfPumpify = createRequire(import.meta.url).resolve('pumpify')
const placeOfDuplexify = createRequire(placeOfPumpify).resolve('duplexify')
const { PassThrough: OlderPassThrough } = createRequire(placeOfDuplexify)('readable-stream')

/** A Transform that passes on, and fails at a certain item. */
function failingAt(count: number): Transform {
  let items = 0
  return new Transform({
    objectMode: true,
    transform(item, _encoding, callback) {
      if (++items === count) callback(reason)
      else callback(null, item)
    }
  })
}

/** A source of nothing, and how often it was read. */
function emptySource(): { source: Readable; reads: () => number } {
  let reads = 0
  const source = new Readable({
    read() {
      reads++
      this.push(null)
    }
  })
  return { source, reads: () => reads }
}

describe('compose', () => {
  allowNoComplaints()

  it('makes one stage of several', async () => {
    const sink = new SlowSink(0)
    await pipeline(
      Readable.from([answer]),
      compose(
        toEvents(),
        toChunks(),
        tapUsage(() => {}),
        toText()
      ),
      sink
    )
    expect(sink.text).to.equal(whole)
    expect(sink.isFinished).to.equal(true)
  })

  it('makes one source of a source and stages', async () => {
    expect(await text(compose(Readable.from([answer]), toChunks(), toText()))).to.equal(whole)
  })

  it('makes a stage of one stage, and a source of one source', async () => {
    const stage = compose(toText())
    expect(await text(Readable.from([answer]).pipe(compose(toChunks())).pipe(stage))).to.equal(whole)
    expect(await compose(Readable.from(['a', 'b'])).toArray()).to.deep.equal(['a', 'b'])
  })

  it('composes what was composed, and streams of other libraries', async () => {
    const stage = compose(
      compose(through2(), compose(toChunks())),
      objectTransform((chunk: unknown, _encoding, callback) => callback(null, chunk)),
      compose(compose(toText()), new PassThrough({ objectMode: true }))
    )
    expect(await text(Readable.from([answer]).pipe(stage))).to.equal(whole)
  })

  it('composes a source that was composed', async () => {
    const source = compose(Readable.from([answer]), toChunks())
    expect(await text(compose(source, toText()))).to.equal(whole)
  })

  it("gives node's own Duplex, which can be written to unless it begins with a source", async () => {
    const stage = compose(toChunks(), toText())
    const source = compose(Readable.from([answer]), toChunks())
    expect(stage).to.be.instanceOf(Duplex)
    expect(source).to.be.instanceOf(Duplex).and.instanceOf(Readable)
    expect(stage).to.have.property('writable', true)
    expect(source).to.have.property('writable', false)
  })

  it('closes by itself when a source has been read to its end', async () => {
    const source = compose(Readable.from([answer]), toChunks(), toText())
    source.resume()
    await new Promise<void>((resolve, reject) => {
      finished(source, error => (error ? reject(error) : resolve()))
    })
    if (!source.closed) await once(source, 'close')
    expect(source.destroyed).to.equal(true)
  })

  it('reads nothing before it is read', async () => {
    const { source, reads } = emptySource()
    const composed = compose(source, toText())
    await turns(10)
    expect(reads()).to.equal(0)
    expect(await composed.toArray()).to.deep.equal([])
    expect(reads()).to.equal(1)
  })

  it('sends no request before it is read', async () => {
    await using server = await serveCompletions({ script: script(whole), speed: Infinity })
    const composed = compose(requestCompletion(clientOf(server), question), toChunks(), toText())
    // A request of another's, made later, is there first.
    await text(requestCompletion(clientOf(server), question))
    expect(server.requests).to.have.lengthOf(1)
    expect(await text(composed)).to.equal(whole)
  })

  it('is finished when its last part is, the flush of all included', async () => {
    let isFlushed = false
    const stage = compose(
      toChunks(),
      new Transform({
        objectMode: true,
        transform: (chunk, _encoding, callback) => callback(null, chunk),
        flush(callback) {
          turns(5).then(() => {
            isFlushed = true
            callback()
          }, callback)
        }
      })
    )
    stage.resume()
    await pipeline(Readable.from([answer]), stage)
    expect(isFlushed).to.equal(true)
  })

  it('never finishes when a part fails at the end', async () => {
    const stage = compose(toChunks(), toText())
    let isFinished = false
    stage.once('finish', () => {
      isFinished = true
    })
    stage.resume()
    const failure = await failureOf(pipeline(Readable.from([textEvent('a')]), stage))
    expect(failure.code).to.equal('CS_ERR_TRUNCATED')
    expect(isFinished).to.equal(false)
  })

  it('stops taking when its reader does', async () => {
    let taken = 0
    const events = Readable.from(
      (function* () {
        for (const text of words(10_000)) {
          taken++
          yield textEvent(text)
        }
      })()
    )
    const stage = events.pipe(compose(compose(toEvents()), toChunks(), compose(toText())))
    stage.once('readable', () => {})
    await turns(200)
    expect(taken).to.be.greaterThan(0).and.lessThan(500)
    stage.destroy()
    events.destroy()
  })

  const places: Record<string, (part: Transform) => Duplex> = {
    first: part => compose(part, toChunks(), toText()),
    middle: part => compose(toChunks(), part, toText()),
    last: part => compose(toChunks(), toText(), part),
    only: part => compose(part),
    'nested first': part => compose(compose(part, toChunks()), toText()),
    'nested last': part => compose(toChunks(), compose(toText(), part))
  }
  for (const [place, build] of Object.entries(places)) {
    it(`fails with the very error of its ${place} part, and destroys the others and the sink`, async () => {
      const sink = new SlowSink(0)
      const events = Readable.from(texts.map(textEvent))
      expect(await failureOf(pipeline(events, build(failingAt(3)), sink))).to.equal(reason)
      expect(sink.errored).to.equal(reason)
      expect(events.destroyed).to.equal(true)
    })

    it(`is destroyed when its ${place} part is`, async () => {
      const part = new PassThrough({ objectMode: true })
      const composed = build(part)
      composed.resume()
      composed.write(textEvent('a'))
      await turns(3)
      part.destroy()
      await new Promise(resolve => composed.once('close', resolve).on('error', () => {}))
      expect(composed.destroyed).to.equal(true)
    })

    it(`is destroyed when its ${place} part is, before it has begun`, async () => {
      const part = new PassThrough({ objectMode: true })
      const composed = build(part)
      part.destroy()
      await turns(2)
      const failure = await failureOf(pipeline(Readable.from([answer]), composed, new SlowSink(0)))
      expect(failure.code).to.match(/^ERR_STREAM/)
    })

    for (const moment of ['before', 'during', 'after'] as const) {
      it(`destroys its ${place} part when it is destroyed ${moment} its work`, async () => {
        const part = new PassThrough({ objectMode: true })
        const composed = build(part)
        composed.on('error', () => {})
        if (moment !== 'before') composed.write(moment === 'during' ? textEvent('a') : answer)
        if (moment === 'after') {
          composed.end()
          await composed.toArray()
        }
        await turns(3)
        composed.destroy(reason)
        if (!composed.closed) await new Promise(resolve => composed.once('close', resolve))
        await turns(3)
        expect(part.destroyed).to.equal(true)
      })
    }
  }

  it('fails with the error of its source', async () => {
    const source = new Readable({ read: () => void source.destroy(reason) })
    expect(await failureOf(text(compose(source, toChunks(), toText())))).to.equal(reason)
  })

  it('stops the work of the server when it is destroyed', async () => {
    await using server = await serveCompletions({
      script: script(whole),
      speed: Infinity,
      faults: { stallAfter: { events: 3 } }
    })
    for await (const piece of compose(requestCompletion(clientOf(server), question), toChunks(), toText())) {
      expect(whole.startsWith(piece)).to.equal(true)
      break
    }
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })

  it('reads nothing for an iterator that is asked for nothing', async () => {
    const { source, reads } = emptySource()
    const composed = compose(source, toText())
    const items = composed[Symbol.asyncIterator]()
    await turns(10)
    expect(await items.return?.()).to.deep.equal({ value: undefined, done: true })
    expect(reads()).to.equal(0)
    expect(composed.destroyed).to.equal(false)
    expect(await composed.toArray()).to.deep.equal([])
  })

  it('has ended for everybody when a loop over it has', async () => {
    const source = compose(Readable.from([answer]), toChunks(), toText())
    const stage = compose(toChunks(), toText())
    stage.end(answer)
    for (const composed of [source, stage]) {
      const over = new Promise(resolve => finished(composed, resolve))
      let all = ''
      for await (const piece of composed) all += piece
      expect(all).to.equal(whole)
      expect(await over).to.equal(undefined)
      expect(composed.readableEnded).to.equal(true)
      expect(composed.destroyed).to.equal(true)
    }
  })

  for (const [way, leave] of Object.entries({
    'is left': async (composed: Readable) => {
      for await (const _ of composed) break
    },
    throws: async (composed: Readable) => {
      const loop = async () => {
        for await (const _ of composed) throw reason
      }
      expect(await failureOf(loop())).to.equal(reason)
    },
    'is thrown into': async (composed: Readable) => {
      const items = composed[Symbol.asyncIterator]()
      await items.next()
      expect(await failureOf(items.throw?.(reason) ?? Promise.resolve())).to.equal(reason)
    }
  })) {
    it(`is destroyed with all its parts when a loop over it ${way}`, async () => {
      const parts = [Readable.from(texts.map(textEvent)), compose(toChunks(), toText())] as const
      const composed = compose(...parts)
      await leave(composed)
      for (const stream of [composed, ...parts]) expect(stream.destroyed).to.equal(true)
    })
  }

  it('gives a loop all that came before the very error of a part', async () => {
    let all = ''
    const loop = async () => {
      for await (const piece of compose(Readable.from(texts.map(textEvent)), toChunks(), toText()))
        all += piece
    }
    expect((await failureOf(loop())).code).to.equal('CS_ERR_TRUNCATED')
    expect(all).to.equal(whole)
    const failing = async () => {
      for await (const _ of compose(Readable.from(texts), new PassThrough(), failingAt(3)));
    }
    expect(await failureOf(failing())).to.equal(reason)
  })

  // The iterator of readable-stream 3 would take it for its end.
  it('fails a loop when its last part is destroyed, also one of an older make of streams', async () => {
    const older = new OlderPassThrough({ objectMode: true })
    for (const part of [new PassThrough({ objectMode: true }), older]) {
      const loop = async () => {
        for await (const _ of compose(Readable.from(texts.map(textEvent)), toChunks(), part)) part.destroy()
      }
      expect((await failureOf(loop())).code).to.equal('ERR_STREAM_PREMATURE_CLOSE')
    }
  })

  for (const [way, begin] of Object.entries<(composed: Readable) => unknown>({
    'a read': composed => composed.read(),
    'a listener for what is readable': composed => once(composed, 'readable'),
    'a text that was put back': composed => composed.unshift(''),
    'a loop over some of it': async composed => {
      for await (const text of composed.iterator({ destroyOnReturn: false })) {
        composed.unshift(text)
        break
      }
    }
  })) {
    it(`loses nothing in a loop behind ${way}`, async () => {
      const composed = compose(Readable.from([answer]), toChunks(), toText())
      await begin(composed)
      let all = ''
      for await (const piece of composed) all += piece
      expect(all).to.equal(whole)
    })
  }

  it('goes on in a loop behind a look at the first item', async () => {
    const composed = compose(Readable.from([answer]), toChunks(), toText())
    const { value: first } = await composed[Symbol.asyncIterator]().next()
    let rest = ''
    for await (const piece of composed) rest += piece
    expect(first + rest).to.equal(whole)
  })

  it('ends behind a loop that pauses it and puts an item back', async () => {
    const composed = compose(Readable.from([answer]), toChunks(), toText())
    let isBack = false
    let all = ''
    for await (const piece of composed) {
      composed.pause()
      if (isBack) all += piece
      else composed.unshift(piece)
      isBack = true
    }
    expect(all).to.equal(whole)
    expect(composed.destroyed).to.equal(true)
  })

  it('gives a loop and a listener for data the same', async () => {
    const composed = compose(Readable.from([answer]), toChunks(), toText())
    let heard = ''
    composed.on('data', piece => {
      heard += piece
    })
    let all = ''
    for await (const piece of composed) all += piece
    expect(all).to.equal(whole)
    expect(heard).to.equal(whole)
  })

  const wrong = {
    'no part': () => (compose as (...parts: unknown[]) => unknown)(),
    'a part that is no stream': () => compose(toChunks(), {} as never),
    'a last part that emits nothing': () => compose(toChunks(), new Writable() as never),
    'a part that comes twice': () => {
      const part = new PassThrough()
      return compose(Readable.from([answer]), part, part)
    }
  }
  for (const [name, call] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(call).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

/** What a bucket holds, and what was asked of it. */
interface Bucket extends AsyncDisposable {
  readonly client: S3Client
  readonly objects: Map<string, string>
  readonly asked: string[]
}

/** Speaks as much of S3 as an upload needs: PutObject, and the five requests of an upload in parts. */
async function serveBucket(): Promise<Bucket> {
  const objects = new Map<string, string>()
  const asked: string[] = []
  const parts = new Map<number, Buffer>()
  const xml = (name: string, inner: string) => `<?xml version="1.0"?><${name}>${inner}</${name}>`

  async function answer(request: IncomingMessage): Promise<{ etag?: string; body: string }> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const body = await bodyOf(request)
    const partNumber = searchParams.get('partNumber')
    if (request.method === 'PUT' && partNumber !== null) {
      asked.push('UploadPart')
      parts.set(Number(partNumber), body)
      return { etag: `"part-${partNumber}"`, body: '' }
    }
    if (request.method === 'PUT') {
      asked.push('PutObject')
      objects.set(pathname, body.toString())
      return { etag: '"object"', body: '' }
    }
    if (request.method === 'POST' && searchParams.has('uploads')) {
      asked.push('CreateMultipartUpload')
      return { body: xml('InitiateMultipartUploadResult', '<UploadId>upload-1</UploadId>') }
    }
    if (request.method === 'POST') {
      asked.push('CompleteMultipartUpload')
      const numbers = [...parts.keys()].sort((one, other) => one - other)
      objects.set(pathname, Buffer.concat(numbers.map(number => parts.get(number) ?? Buffer.of())).toString())
      return { body: xml('CompleteMultipartUploadResult', '<ETag>"object"</ETag>') }
    }
    asked.push('AbortMultipartUpload')
    return { body: '' }
  }

  const server = createServer((request, response) => {
    answer(request).then(
      ({ etag, body }) => {
        if (etag !== undefined) response.setHeader('etag', etag)
        response.end(body)
      },
      () => response.destroy()
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new S3Client({
    // A server that listens on a port has such an address.
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'local',
    forcePathStyle: true,
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
    // Checksums are framed into the body, which this server takes as it comes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    maxAttempts: 1
  })
  return {
    client,
    objects,
    asked,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

/** What S3 wants a part to have at least, in bytes. */
const partSize = 5 * 1024 * 1024

describe('compose as the body of an S3 upload', () => {
  allowNoComplaints()

  async function upload(bucket: Bucket, pieces: string[], faults = {}): Promise<void> {
    const choices = [{ pieces: pieces.map(text => ({ at: 0, text })) }]
    await using server = await serveCompletions({ script: { choices }, speed: Infinity, faults })
    const Body = compose(requestCompletion(clientOf(server), question), toChunks(), toText())
    await new Upload({
      client: bucket.client,
      params: { Bucket: 'bucket', Key: 'answer.txt', Body },
      partSize
    }).done()
  }

  it('stores a short answer whole', async () => {
    await using bucket = await serveBucket()
    await upload(bucket, texts)
    expect(bucket.objects.get('/bucket/answer.txt')).to.equal(whole)
    expect(bucket.asked).to.deep.equal(['PutObject'])
  })

  it('stores a long answer whole, in parts', async () => {
    await using bucket = await serveBucket()
    const long = Array.from({ length: 12 }, (_, place) =>
      `${place}`.repeat(1024 * 1024).slice(0, 1024 * 1024)
    )
    await upload(bucket, long)
    expect(bucket.objects.get('/bucket/answer.txt') === long.join('')).to.equal(true)
    expect(bucket.asked).to.include('CreateMultipartUpload').and.include('CompleteMultipartUpload')
  })

  it('leaves no object of a short answer that breaks off', async () => {
    await using bucket = await serveBucket()
    const failure = await failureOf(upload(bucket, texts, { cutAfter: { events: 50 } }))
    expect(failure.code).to.equal('CS_ERR_TRUNCATED')
    expect([...bucket.objects.keys()]).to.deep.equal([])
  })

  it('leaves no object of a long answer that breaks off', async () => {
    await using bucket = await serveBucket()
    const long = Array.from({ length: 12 }, () => 'x'.repeat(1024 * 1024))
    const failure = await failureOf(upload(bucket, long, { errorAfter: { events: 11 } }))
    expect(failure.code).to.equal('CS_ERR_PROVIDER')
    expect([...bucket.objects.keys()]).to.deep.equal([])
    expect(bucket.asked).to.not.include('CompleteMultipartUpload')
  })
})

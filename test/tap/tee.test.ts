import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip, createGzip, gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import { compose, tapSummary, tee, toChunks, toText } from 'completion-streams'
import { script } from 'completion-streams/testing'
import {
  all,
  ask,
  closed,
  delta,
  endMark,
  failureOf,
  finish,
  GatedSink,
  piecesOfLines,
  run,
  serve,
  settle,
  withFolder
} from '../answers.js'

const answer = 'one two three four five'
const pieces = ['one', ' two', ' three', ' four', ' five']
const manners = ['wait', 'drop', 'fail'] as const

/** A sink that takes everything at once. */
function openSink(options?: ConstructorParameters<typeof GatedSink>[0]): GatedSink {
  const sink = new GatedSink(options)
  sink.open()
  return sink
}

/** A sink that takes a while for each item, and measures how much was written and not taken. */
class Meter extends Writable {
  written = 0
  taken = 0
  most = 0
  #turns = 0

  constructor(objectMode: boolean) {
    super({ objectMode, highWaterMark: 1 })
  }

  override write(...[item, ...rest]: unknown[]): boolean {
    this.written += sizeOf(item)
    this.most = Math.max(this.most, this.written - this.taken)
    // The arguments are those of one of the forms of the method.
    return super.write(...([item, ...rest] as Parameters<Writable['write']>))
  }

  override async _write(item: unknown, _encoding: string, callback: () => void): Promise<void> {
    await settle(this.#turns++ % 3)
    this.taken += sizeOf(item)
    callback()
  }
}

function sizeOf(item: unknown): number {
  if (typeof item === 'string') return Buffer.byteLength(item)
  return ArrayBuffer.isView(item) ? item.byteLength : 1
}

describe('tee', () => {
  for (const whenSlow of manners) {
    it(`passes everything on and writes a copy to the destination (whenSlow: '${whenSlow}')`, async () => {
      await using server = await serve({ script: script(answer) })
      await withFolder(async folder => {
        const log = createWriteStream(join(folder, 'log.sse'))
        const copy = tee<Uint8Array>(log, { whenSlow })
        const texts = await all<string>(ask(server), copy, toChunks(), toText())
        await closed(log)
        const copied = await readFile(join(folder, 'log.sse'))
        expect(texts.join('')).to.equal(answer)
        expect(await all(Readable.from([copied]), toChunks(), toText())).to.deep.equal(texts)
        expect(copied.toString()).to.match(/\[DONE\]\n\n$/)
        expect(copy.dropped).to.equal(0)
        expect(copy.detached).to.equal(undefined)
      })
    })
  }

  it('copies text', async () => {
    await using server = await serve({ script: script(answer) })
    const sink = openSink()
    expect(await all(ask(server), toChunks(), toText(), tee<string>(sink))).to.deep.equal(pieces)
    expect(sink.text).to.equal(answer)
    expect(sink.writableFinished).to.equal(true)
  })

  it('gives the destination objects of its own, which later stages do not change', async () => {
    await using server = await serve({ script: script(answer) })
    const sink = openSink({ objectMode: true })
    const chunks = await all(ask(server), toChunks(), tee(sink))
    expect(sink.received).to.deep.equal(chunks)
    for (const chunk of chunks) expect(sink.received).not.to.include(chunk)
  })

  it('gives the destination the same objects with copy: false', async () => {
    await using server = await serve({ script: script(answer) })
    const sink = openSink({ objectMode: true })
    const chunks = await all(ask(server), toChunks(), tee(sink, { copy: false }))
    expect(sink.received).to.have.lengthOf(chunks.length).and.include.members(chunks)
  })

  it("ends the copy of a failed stream in good order with onFailure: 'end', so that a gzip of it can be read", async () => {
    await using server = await serve({ script: script(answer), faults: { cutAfter: { events: 5 } } })
    const pieces: Buffer[] = []
    const gzip = createGzip().on('data', piece => void pieces.push(piece))
    const copy = tee(gzip, { onFailure: 'end' })
    const texts: string[] = []
    const error = await failureOf(
      pipeline(ask(server), toChunks(), toText(), copy, async source => {
        for await (const text of source) texts.push(text)
      })
    )
    expect(error.code).to.equal('CS_ERR_TRUNCATED')
    await closed(copy)
    await closed(gzip)
    expect(gunzipSync(Buffer.concat(pieces)).toString())
      .to.equal(texts.join(''))
      .and.not.to.equal('')
  })

  it('takes an item that cannot be copied for a failure of the destination, and passes it on', async () => {
    const error = new Error('no content')
    const item = {
      get content(): string {
        throw error
      }
    }
    const copy = tee<object>(openSink({ objectMode: true }), { onError: 'detach' })
    expect(await all<object>(Readable.from([item, { content: 'a' }]), copy)).to.have.lengthOf(2)
    expect(copy.detached).to.equal(error)
    const failing = tee<object>(openSink({ objectMode: true }))
    expect(await failureOf(all(Readable.from([item]), failing))).to.equal(error)
  })

  it("tells of the stream's own failure after it has detached a destination whose write throws", async () => {
    await using server = await serve({ script: script(answer), faults: { cutAfter: { events: 5 } } })
    const sink = openSink()
    sink.write = () => {
      throw new Error('no write')
    }
    const copy = tee(sink, { onError: 'detach' })
    const error = await failureOf(pipeline(ask(server), copy, toChunks(), toText(), openSink()))
    expect(error.code).to.equal('CS_ERR_TRUNCATED')
    expect(copy.detached?.message).to.equal('no write')
  })

  it('makes an error of what a destination failed with in the place of one', async () => {
    const sink = () => new Writable({ write: (_item, _encoding, callback) => callback('disk full' as never) })
    const error = await failureOf(pipeline(Readable.from(['a', 'b']), tee(sink()), openSink()))
    expect(error).to.be.an('error').with.property('cause', 'disk full')
    const copy = tee(sink(), { onError: 'detach' })
    await pipeline(Readable.from(['a', 'b']), copy, openSink())
    expect(copy.detached).to.be.an('error').with.property('cause', 'disk full')
  })

  it('works inside compose', async () => {
    await using server = await serve({ script: script(answer) })
    const sink = openSink()
    const texts: string[] = []
    for await (const piece of compose(ask(server), toChunks(), toText(), tee<string>(sink))) texts.push(piece)
    expect(texts).to.deep.equal(pieces)
    expect(sink.writableFinished).to.equal(true)
  })

  describe("whenSlow: 'wait'", () => {
    it('waits while the destination holds its limit, and goes on when it has taken some', async () => {
      const sink = new GatedSink()
      const main = openSink()
      const done = pipeline(Readable.from(pieces), tee(sink, { limit: 8 }), main)
      await settle()
      expect([sink.writableLength, main.text]).to.deep.equal([7, 'one two'])
      sink.take()
      await settle()
      expect([sink.text, main.text]).to.deep.equal(['one', 'one two'])
      sink.take()
      await settle()
      expect([sink.text, main.text]).to.deep.equal(['one two', 'one two three'])
      sink.open()
      await done
      expect([sink.text, main.text]).to.deep.equal([answer, answer])
    })

    it('writes an item that is larger than the limit alone', async () => {
      const sink = new GatedSink({ highWaterMark: 1000 })
      const main = openSink()
      const done = pipeline(Readable.from(['a', 'longer than four', 'b']), tee(sink, { limit: 4 }), main)
      await settle()
      expect([sink.writableLength, main.text]).to.deep.equal([1, 'a'])
      sink.take()
      await settle()
      expect([sink.writableLength, main.text]).to.deep.equal([16, 'alonger than four'])
      sink.open()
      await done
      expect(sink.text).to.equal('alonger than fourb')
    })

    it('ends only when the destination has finished', async () => {
      const sink = new GatedSink({ highWaterMark: 1000 })
      let isDone = false
      const done = pipeline(Readable.from(pieces), tee(sink), openSink()).then(() => {
        isDone = true
      })
      await settle()
      expect(isDone).to.equal(false)
      sink.open()
      await done
      expect(sink.writableFinished).to.equal(true)
    })
  })

  describe("whenSlow: 'drop'", () => {
    it('drops and counts what does not fit, and never waits', async () => {
      const sink = new GatedSink()
      const main = openSink()
      const copy = tee(sink, { whenSlow: 'drop', limit: 8 })
      await pipeline(Readable.from(pieces), copy, main)
      expect(main.text).to.equal(answer)
      expect(copy.dropped).to.equal(3)
      sink.open()
      await settle()
      expect(sink.text).to.equal('one two')
      expect(sink.writableFinished).to.equal(true)
    })

    it('goes on copying when the destination has room again', async () => {
      const sink = new GatedSink()
      const source = new PassThrough({ objectMode: true })
      const copy = tee(sink, { whenSlow: 'drop', limit: 4 })
      const done = pipeline(source, copy, openSink())
      source.write('aaaa')
      source.write('lost')
      await settle()
      sink.open()
      await settle()
      source.end('bbbb')
      await done
      await settle()
      expect(sink.text).to.equal('aaaabbbb')
      expect(copy.dropped).to.equal(1)
    })

    it('drops an item that is larger than the limit', async () => {
      const sink = openSink()
      const copy = tee(sink, { whenSlow: 'drop', limit: 4 })
      await pipeline(Readable.from(['a', 'longer than four', 'b']), copy, openSink())
      await settle()
      expect(sink.text).to.equal('ab')
      expect(copy.dropped).to.equal(1)
    })
  })

  describe("whenSlow: 'fail'", () => {
    it('fails with CS_ERR_TEE_OVERFLOW when all that came has been passed on, whatever the destination does', async () => {
      const sink = new GatedSink()
      const main = new GatedSink()
      const done = failureOf(pipeline(Readable.from(pieces), tee(sink, { whenSlow: 'fail', limit: 8 }), main))
      await settle()
      main.open()
      const error = await done
      expect(error).to.include({ code: 'CS_ERR_TEE_OVERFLOW', limit: 8 })
      expect(main.text).to.equal('one two three')
      expect([main.errored, sink.errored]).to.deep.equal([error, error])
    })

    it('fails with CS_ERR_TEE_OVERFLOW where the piece that is too much holds the rest of a line', async () => {
      const [begun, rest] = [
        `${delta({ content: 'one' })}${delta({ content: ' two' }).slice(0, 40)}`,
        delta({ content: ' two' }).slice(40)
      ]
      const copy = tee(new GatedSink(), { whenSlow: 'fail', limit: begun.length })
      const { items, error } = await run(Readable.from([begun, rest]), copy, toChunks(), toText())
      expect(error).to.have.property('code', 'CS_ERR_TEE_OVERFLOW')
      expect(items).to.deep.equal(['one', ' two'])
    })

    it('fails with CS_ERR_TEE_OVERFLOW for an item that is larger than the limit', async () => {
      const { items, error } = await run(
        Readable.from(['a', 'longer than four', 'b']),
        tee(openSink(), { whenSlow: 'fail', limit: 4 })
      )
      expect(error).to.include({ code: 'CS_ERR_TEE_OVERFLOW', limit: 4 })
      expect(items).to.deep.equal(['a', 'longer than four'])
    })
  })

  describe('limit', () => {
    const sizes = Array.from({ length: 300 }, (_, place) => ((place * 7919) % 40) + 1)
    const kinds: Record<string, { limit: number; items: unknown[] }> = {
      bytes: { limit: 64, items: sizes.map(size => Buffer.alloc(size, 'a')) },
      text: { limit: 64, items: sizes.map(size => 'é'.repeat(Math.ceil(size / 2))) },
      objects: { limit: 5, items: sizes.map(size => ({ size })) }
    }
    for (const [kind, { limit, items }] of Object.entries(kinds)) {
      for (const whenSlow of ['wait', 'drop'] as const) {
        it(`is never passed by what is written and not taken (${kind}, whenSlow: '${whenSlow}')`, async () => {
          const meter = new Meter(kind === 'objects')
          const copy = tee<unknown>(meter, { whenSlow, limit })
          expect(await all(Readable.from(items), copy)).to.deep.equal(items)
          expect(meter.most)
            .to.be.at.most(limit)
            .and.above(limit / 2)
          const given = items.map(sizeOf).reduce((sum, size) => sum + size)
          if (whenSlow === 'wait') expect(meter.taken).to.equal(given)
          else expect(copy.dropped).to.be.above(0)
        })
      }
    }

    for (const { kind, item } of [
      { kind: 'bytes', item: Buffer.alloc(1024) },
      { kind: 'text', item: 'a'.repeat(1024) }
    ]) {
      it(`is 1 MiB by default (${kind})`, async () => {
        const sink = new GatedSink()
        const copy = tee(sink, { whenSlow: 'drop' })
        await pipeline(Readable.from(Array.from({ length: 1025 }, () => item)), copy, openSink())
        expect([sink.writableLength, copy.dropped]).to.deep.equal([2 ** 20, 1])
        sink.destroy()
      })
    }

    it('is 1024 items by default (objects)', async () => {
      const sink = new GatedSink({ objectMode: true })
      const copy = tee(sink, { whenSlow: 'drop' })
      const items = Array.from({ length: 1025 }, () => ({}))
      await pipeline(Readable.from(items), copy, openSink({ objectMode: true }))
      expect([sink.writableLength, copy.dropped]).to.deep.equal([1024, 1])
      sink.destroy()
    })
  })

  describe('with a destination that fails', () => {
    const error = new Error('disk full')

    /** A sink that fails behind so many writes. */
    function failingSink(count: number): Writable {
      let left = count
      return new Writable({
        highWaterMark: 1,
        write: (_item, _encoding, callback) => callback(--left < 0 ? error : null)
      })
    }

    for (const whenSlow of manners) {
      it(`fails with its error, by default (whenSlow: '${whenSlow}')`, async () => {
        const source = new PassThrough({ objectMode: true })
        const main = openSink()
        const done = failureOf(pipeline(source, tee(failingSink(1), { whenSlow }), main))
        for (const piece of pieces) source.write(piece)
        expect(await done).to.equal(error)
        expect(main.errored).to.equal(error)
        expect(answer.startsWith(main.text)).to.equal(true)
        expect(main.text.length).to.be.at.least(7)
      })

      it(`goes on without it with onError: 'detach' (whenSlow: '${whenSlow}')`, async () => {
        const source = new PassThrough({ objectMode: true })
        const copy = tee(failingSink(1), { whenSlow, onError: 'detach' })
        const passed = all(source, copy)
        for (const piece of pieces) source.write(piece)
        await settle()
        source.end()
        expect(await passed).to.deep.equal(pieces)
        expect(copy.detached).to.equal(error)
      })

      it(`fails with its error though the input ends meanwhile (whenSlow: '${whenSlow}')`, async () => {
        const source = new PassThrough({ objectMode: true })
        const sink = failingSink(0)
        const done = run(source, tee(sink, { whenSlow }))
        sink.once('error', () => source.end())
        source.write('one')
        expect(await done).to.deep.equal({ items: ['one'], error })
      })

      it(`fails when it has been destroyed before (whenSlow: '${whenSlow}')`, async () => {
        const gone = new PassThrough()
        gone.destroy()
        await settle()
        const { error: failure } = await run(Readable.from(pieces), tee(gone, { whenSlow }))
        expect(failure).to.be.an('error')
        const copy = tee(gone, { whenSlow, onError: 'detach' })
        expect(await all(Readable.from(pieces), copy)).to.deep.equal(pieces)
        expect(copy.detached).to.be.an('error')
      })

      it(`fails when somebody else has ended it (whenSlow: '${whenSlow}')`, async () => {
        const ended = new PassThrough().resume()
        ended.end()
        const source = new PassThrough({ objectMode: true })
        const done = run(source, tee(ended, { whenSlow }))
        source.write('one')
        const { items, error: failure } = await done
        expect(failure).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END')
        expect(items).to.deep.equal(['one'])
      })

      it(`fails when it is closed early (whenSlow: '${whenSlow}')`, async () => {
        const sink = new GatedSink({ highWaterMark: 1000 })
        const source = new PassThrough({ objectMode: true })
        const main = openSink()
        const done = failureOf(pipeline(source, tee(sink, { whenSlow }), main))
        source.write('one')
        await settle()
        sink.destroy()
        expect((await done).message).to.match(/destination of a tee was closed/)
        expect(main.text).to.equal('one')
      })

      it(`fails when it takes no objects and is given some (whenSlow: '${whenSlow}')`, async () => {
        const copy = tee<object>(new PassThrough(), { whenSlow })
        const { items, error: failure } = await run(Readable.from([{ a: 1 }]), copy)
        expect(failure).to.have.property('code', 'CS_ERR_INVALID_OPTION')
        expect(failure?.message).to.match(/takes bytes or text, and was given an object: .*toNDJSON\(\)/)
        expect(failure?.cause).to.have.property('code', 'ERR_INVALID_ARG_TYPE')
        expect(items).to.deep.equal([{ a: 1 }])
      })
    }

    it("goes on without it with onError: 'detach' when it takes no objects and is given some", async () => {
      const copy = tee<object>(new PassThrough(), { onError: 'detach' })
      const { items, error } = await run(Readable.from([{ a: 1 }]), copy)
      expect(error).to.equal(undefined)
      expect(items).to.deep.equal([{ a: 1 }])
      expect(copy.detached).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    })

    it("goes on without it with onError: 'detach' while it waits for it", async () => {
      const sink = new GatedSink()
      const main = openSink()
      const copy = tee(sink, { limit: 4, onError: 'detach' })
      const done = pipeline(Readable.from(pieces), copy, main)
      await settle()
      expect(main.text).to.equal('one')
      sink.destroy(error)
      await done
      expect(main.text).to.equal(answer)
      expect(copy.detached).to.equal(error)
    })

    it('passes on the item that it waits with before it fails', async () => {
      const sink = new GatedSink()
      const main = openSink()
      const done = failureOf(pipeline(Readable.from(pieces), tee(sink, { limit: 4 }), main))
      await settle()
      sink.destroy(error)
      expect(await done).to.equal(error)
      expect(main.text).to.equal('one two')
    })

    it('fails with its error though pieces of lines still come', () =>
      withFolder(async folder => {
        for (let time = 0; time < 40; time++) {
          // A folder is no file, which is found out while the first pieces come.
          const { error } = await run(piecesOfLines(), tee(createWriteStream(folder)), toChunks(), toText())
          expect(error).to.have.property('code', 'EISDIR')
        }
      }))

    it('fails with its error though the main path has ended', async () => {
      const { items, error: failure } = await run(Readable.from(pieces), tee(failingSink(4)))
      expect(failure).to.equal(error)
      expect(items).to.deep.equal(pieces)
    })

    for (const { onError, told } of [
      { onError: 'fail', told: [error, undefined] },
      { onError: 'detach', told: [undefined, error] }
    ] as const) {
      it(`tells of a failure at its very end (onError: '${onError}')`, async () => {
        const sink = new Writable({
          write: (_item, _encoding, callback) => callback(),
          final: callback => callback(error)
        })
        const copy = tee(sink, { onError })
        const { items, error: failure } = await run(Readable.from(pieces), copy)
        expect(items).to.deep.equal(pieces)
        expect([failure, copy.detached]).to.deep.equal(told)
      })
    }
  })

  for (const whenSlow of manners) {
    it(`destroys the destination when the stream fails (whenSlow: '${whenSlow}')`, async () => {
      await using server = await serve({ script: script(answer), faults: { cutAfter: { events: 3 } } })
      const sink = openSink()
      const copy = tee<string>(sink, { whenSlow, onError: 'detach' })
      const { items, error } = await run(ask(server), toChunks(), toText(), copy)
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
      expect(items).to.deep.equal(['one', ' two'])
      expect(sink.text).to.equal('one two')
      expect([sink.errored, sink.writableFinished]).to.deep.equal([error, false])
      // It is the stream that has failed, not the destination.
      expect(copy.detached).to.equal(undefined)
    })

    it(`destroys the destination when the sink of the main path fails (whenSlow: '${whenSlow}')`, async () => {
      const error = new Error('disk full')
      const sink = openSink()
      const source = new PassThrough({ objectMode: true })
      const main = new Writable({ write: (_item, _encoding, callback) => callback(error) })
      const done = failureOf(pipeline(source, tee(sink, { whenSlow }), main))
      source.write('one')
      expect(await done).to.equal(error)
      expect([sink.destroyed, sink.writableFinished]).to.deep.equal([true, false])
    })

    it(`destroys the destination when it is destroyed itself (whenSlow: '${whenSlow}')`, async () => {
      const sink = new GatedSink()
      const copy = tee(sink, { whenSlow, onError: 'detach' })
      copy.write('one')
      copy.destroy()
      await settle()
      expect([sink.destroyed, sink.writableFinished]).to.deep.equal([true, false])
      expect(copy.detached).to.equal(undefined)
    })
  }

  for (const whenSlow of ['wait', 'fail'] as const) {
    it(`has copied all that came to a slow destination before the stream fails (whenSlow: '${whenSlow}')`, async () => {
      await using server = await serve({ script: script(answer), faults: { errorAfter: { events: 4 } } })
      const sink = new GatedSink()
      const main = openSink()
      const copy = tee<string>(sink, { whenSlow })
      const done = failureOf(pipeline(ask(server), toChunks(), toText(), copy, main))
      let isOver = false
      done.then(() => {
        isOver = true
      })
      while (!isOver) {
        sink.take()
        await settle(3)
      }
      const error = await done
      expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
      expect([main.text, sink.text]).to.deep.equal(['one two three', 'one two three'])
      expect([main.errored, sink.errored]).to.deep.equal([error, error])
    })
  }

  it('leaves what the destination has to give to those who read it', async () => {
    const zip = createGzip()
    await pipeline(Readable.from(pieces), tee(zip), openSink())
    await settle()
    expect(await text(zip.pipe(createGunzip()))).to.equal(answer)
  })

  it('makes a summary tell of a copy that failed', async () => {
    const outcomes: string[] = []
    const error = new Error('disk full')
    const log = new Writable({ write: (_item, _encoding, callback) => callback(error) })
    const body = [delta({ content: 'one' }), finish(), endMark]
    const summary = tapSummary(({ outcome }) => void outcomes.push(outcome))
    const { error: failure } = await run(Readable.from(body), tee<Uint8Array>(log), toChunks(), summary)
    expect(failure).to.equal(error)
    expect(outcomes).to.deep.equal(['failed'])
  })

  it('leaves stdout open, and nothing on it, also where many write to it at once', async () => {
    const program = `
      import { Readable, Writable } from 'node:stream'
      import { pipeline } from 'node:stream/promises'
      import { tee } from 'completion-streams'
      process.on('warning', warning => console.log(warning.name))
      const count = () => process.stdout.eventNames().reduce((sum, name) => sum + process.stdout.listenerCount(name), 0)
      const before = count()
      const all = []
      for (let turn = 0; turn < 12; turn++) {
        const main = new Writable({ write: (_text, _encoding, callback) => callback(turn % 2 ? new Error('no') : null) })
        const run = pipeline(Readable.from(['Hello ']), tee(process.stdout), main).catch(() => {})
        if (turn < 3) await run
        else all.push(run)
      }
      await Promise.all(all)
      const turn = () => new Promise(resolve => setImmediate(resolve))
      for (let left = 5; left > 0; left--) await turn()
      console.log('open', count() - before)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    expect(stdout).to.equal(`${'Hello '.repeat(12)}open 0\n`)
  })

  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: the destination is missing
    'no destination': () => tee(),
    // @ts-expect-error: a name is no stream
    'a name for a destination': () => tee('log.txt'),
    // @ts-expect-error: no such word
    "whenSlow: 'now'": () => tee(new PassThrough(), { whenSlow: 'now' }),
    // @ts-expect-error: no such word
    "onError: 'ignore'": () => tee(new PassThrough(), { onError: 'ignore' }),
    'limit: 0': () => tee(new PassThrough(), { limit: 0 }),
    'limit: NaN': () => tee(new PassThrough(), { limit: Number.NaN })
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

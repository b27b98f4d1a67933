import { createWriteStream } from 'node:fs'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import {
  CompletionError,
  drain,
  fromResponse,
  record,
  replay,
  stopAt,
  toChunks,
  toText
} from 'completion-streams'
import { type Faults, script } from 'completion-streams/testing'
import fc from 'fast-check'
import { all, ask, closed, questions, run, serve, withFolder } from '../answers.js'
import { allowNoComplaints } from '../helpers.js'

const counting = script('one two €three')
const fast = { speed: Infinity }

/** Records an answer with these faults into a file, and calls back with it and with what came. */
async function withRecording(
  faults: Faults,
  use: (file: string, came: { items: Buffer[]; error?: Error }) => Promise<void>
): Promise<void> {
  await using server = await serve({ script: counting, faults })
  const body = JSON.stringify({ ...questions.chat, stream: true })
  const source = fromResponse(signal =>
    fetch(`${server.url}/chat/completions`, { method: 'POST', body, signal })
  )
  await withFolder(async folder => {
    const file = join(folder, 'recording.ndjson')
    const recorder = record(createWriteStream(file))
    const came = await run<Buffer>(source, recorder)
    await closed(recorder)
    await use(file, came)
  })
}

const lines = (...entries: object[]) =>
  [{ recording: 1, began: '' }, ...entries].map(entry => `${JSON.stringify(entry)}\n`).join('')

describe('replay', () => {
  allowNoComplaints()

  for (const { what, faults } of [
    { what: 'a whole answer', faults: {} },
    { what: 'pieces that are cut within characters', faults: { bytesPerWrite: 7 } },
    { what: 'an answer whose connection is cut', faults: { cutAfter: { bytes: 500 } } },
    { what: 'a request that is refused', faults: { status: { code: 503, retryAfter: 3 } } },
    { what: 'an error page', faults: { status: { code: 502, body: '<html>Bad Gateway</html>' } } }
  ] satisfies { what: string; faults: Faults }[]) {
    it(`gives the same pieces and the same end as ${what}`, async () => {
      await withRecording(faults, async (file, came) => {
        const { items, error } = await run<Buffer>(replay(file, fast))
        expect(items.map(String)).to.deep.equal(came.items.map(String))
        expect(JSON.stringify(error)).to.equal(JSON.stringify(came.error))
        expect(error instanceof CompletionError).to.equal(came.error !== undefined)
      })
    })
  }

  it('gives the same pieces for any bytes, cut anywhere, packed or not', async () => {
    const pieces = fc.array(fc.uint8Array({ minLength: 1 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.boolean(), async (pieces, gzip) => {
        const sink = new PassThrough({ highWaterMark: 2 ** 20 })
        await pipeline(Readable.from(pieces), record(sink, { gzip }), drain())
        const played = await all<Buffer>(replay(sink, fast))
        expect(played.map(piece => [...piece])).to.deep.equal(pieces.map(piece => [...piece]))
      })
    )
  })

  it("gives the same end after a provider's error in the stream", async () => {
    await withRecording({ errorAfter: { events: 2 } }, async file => {
      const { items, error } = await run<string>(replay(file, fast), toChunks(), toText())
      expect(items.join('')).to.equal('one')
      expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
    })
  })

  it('reads a URL, gzip, a stream, and a last line without its line end', async () => {
    await withRecording({}, async (file, { items: came }) => {
      const text = Buffer.concat(came).toString()
      const bytes = await readFile(file)
      await writeFile(`${file}.gz`, gzipSync(bytes))
      await writeFile(`${file}.cut`, bytes.subarray(0, -1))
      for (const source of [pathToFileURL(file), `${file}.gz`, `${file}.cut`, Readable.from([bytes])])
        expect(Buffer.concat(await all<Buffer>(replay(source, fast))).toString()).to.equal(text)
    })
  })

  it('waits as long as it was recorded, at its speed', async () => {
    const recording = lines({ at: 40, text: 'a' }, { at: 90, text: 'b' }, { at: 120, end: 'end' })
    for (const speed of [1, 2]) {
      const start = performance.now()
      const times: number[] = []
      for await (const _piece of replay(Readable.from([recording]), { speed }))
        times.push(performance.now() - start)
      times.push(performance.now() - start)
      for (const [place, at] of [40, 90, 120].entries()) expect(times[place]).to.be.at.least(at / speed - 1)
    }
  })

  it('fails with CS_ERR_TRUNCATED, after all pieces, when the recording has no end', async () => {
    for (const tail of ['', '{"at":2,"text":"data: half']) {
      const { items, error } = await run<Buffer>(
        replay(Readable.from([lines({ at: 1, text: 'a' }) + tail]), fast)
      )
      expect(items.map(String)).to.deep.equal(['a'])
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    }
  })

  it('fails as an aborted stream does when the reader had left', async () => {
    const recording = lines({ at: 1, text: 'a' }, { at: 2, end: 'left' })
    const { error } = await run(replay(Readable.from([recording]), fast))
    expect(error).to.have.property('name', 'AbortError')
  })

  it('ends in good order where a stage behind wants no more, and so does what was recorded then', async () => {
    await using server = await serve({ script: counting })
    await withFolder(async folder => {
      const file = join(folder, 'stopped.ndjson')
      const texts = await all<string>(
        ask(server),
        record(createWriteStream(file)),
        toChunks(),
        toText(),
        stopAt([' two'])
      )
      expect(texts.join('')).to.equal('one')
      expect(await readFile(file, 'utf8')).to.match(/"end":"left"\}\n$/)
      const again = await all<string>(replay(file, fast), toChunks(), toText(), stopAt([' two']))
      expect(again.join('')).to.equal('one')
    })
    const hour = lines(
      { at: 0, text: 'data: {"choices":[{"delta":{"content":"a b"}}]}\n\n' },
      { at: 3_600_000, end: 'end' }
    )
    const text = await all<string>(replay(Readable.from([hour])), toChunks(), toText(), stopAt([' b']))
    expect(text.join('')).to.equal('a')
  })

  it('plays any of several recordings in one file, also behind one that was broken off', async () => {
    await withFolder(async folder => {
      const file = join(folder, 'recordings.ndjson')
      await writeFile(file, `${lines({ at: 1, text: 'first' })}{"at":2,"te`)
      await appendFile(file, lines({ at: 1, text: 'second' }, { at: 2, end: 'end' }))
      expect((await all<Buffer>(replay(file, { ...fast, index: 1 }))).map(String)).to.deep.equal(['second'])
      const { items } = await run<Buffer>(replay(file, fast))
      expect(items.map(String)).to.deep.equal(['first'])
      const { error } = await run(replay(file, { ...fast, index: 2 }))
      expect(error).to.include({
        code: 'CS_ERR_INVALID_RECORDING',
        message: 'the file has 2 recordings, of index 0 to 1: there is none of index 2'
      })
    })
  })

  for (const { what, text, says = '' } of [
    { what: 'is empty', text: '' },
    { what: 'is a body', text: 'data: {}\n\n' },
    { what: 'begins in the middle', text: '{"at":1,"text":"a"}\n' },
    { what: 'is of a later version', text: '{"recording":2}\n' },
    {
      what: 'is a body',
      text: 'data: {"choices":[]}\n\ndata: [DONE]\n\n',
      says: 'the file is no recording of record: a body as it came has no times'
    },
    { what: 'is damaged', text: `${lines()}damage\n{"at":2,"end":"end"}\n`, says: 'line 2 is no JSON' },
    {
      what: 'has damaged base64',
      text: lines({ at: 1, text: 'a' }, { at: 1, base64: 'ZGF0*TogoII=' }, { at: 2, end: 'end' }),
      says: 'line 3 has damaged base64'
    },
    { what: 'has a time for ever', text: lines({ at: 1e300, text: 'a' }), says: 'line 2 has a time of more' }
  ]) {
    it(`fails with CS_ERR_INVALID_RECORDING for a file that ${what}`, async () => {
      const { error } = await run(replay(Readable.from([text]), fast))
      expect(error).to.have.property('code', 'CS_ERR_INVALID_RECORDING')
      expect(error?.message).to.include(says)
    })
  }

  it("fails with Node's error for a file that is not there", async () => {
    const { error } = await run(replay('/no/such/file', fast))
    expect(error).to.have.property('code', 'ENOENT')
  })

  it('can be aborted while it waits', async () => {
    const recording = lines({ at: 3_600_000, text: 'a' }, { at: 3_600_000, end: 'end' })
    const controller = new AbortController()
    const work = run(replay(Readable.from([recording]), { signal: controller.signal }))
    setImmediate(() => controller.abort())
    expect((await work).error).to.have.property('name', 'AbortError')
  })

  it('plays a hundred at once', async () => {
    await withRecording({}, async (file, { items }) => {
      const text = Buffer.concat(items).toString()
      const all100 = await Promise.all(Array.from({ length: 100 }, () => all<Buffer>(replay(file, fast))))
      for (const pieces of all100) expect(Buffer.concat(pieces).toString()).to.equal(text)
    })
  })

  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: the file is missing
    'no file': () => replay(),
    'an empty path': () => replay(''),
    // @ts-expect-error: bytes are no file
    'an object': () => replay({}),
    'speed: 0': () => replay('a', { speed: 0 }),
    'index: -1': () => replay('a', { index: -1 }),
    // @ts-expect-error: no such option
    'an unknown option': () => replay('a', { fast: true })
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

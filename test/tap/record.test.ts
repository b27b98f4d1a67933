import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import {
  compose,
  drain,
  fromResponse,
  record,
  replay,
  requestCompletion,
  toChunks,
  toText
} from 'completion-streams'
import { type Faults, script } from 'completion-streams/testing'
import {
  all,
  ask,
  clientOf,
  closed,
  delta,
  failureOf,
  piecesOfLines,
  questions,
  run,
  serve,
  settle,
  withFolder
} from '../answers.js'
import { allowNoComplaints } from '../helpers.js'

const counting = script('one two three')

type Line = Record<string, unknown> & { headers?: Record<string, string>; error?: Record<string, unknown> }

async function linesIn(file: string): Promise<Line[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  expect(lines.pop()).to.equal('')
  return lines.map(line => JSON.parse(line))
}

/** Records an answer with these faults, read to its end or not: the lines of the recording, and what the reader failed with. */
async function recorded(faults: Faults = {}, options?: Parameters<typeof record>[1]) {
  await using server = await serve({ script: counting, faults })
  return await withFolder(async folder => {
    const file = join(folder, 'recording.ndjson')
    const recorder = record(createWriteStream(file), options)
    const { error } = await run(ask(server), recorder, toChunks(), toText())
    await closed(recorder)
    return { error, lines: await linesIn(file) }
  })
}

function throwing(): never {
  throw new Error('no write')
}

describe('record', () => {
  allowNoComplaints()

  it('writes what the file is, the head, each piece and the end, with their times', async () => {
    const { lines } = await recorded()
    const [beginning, head, first, ...rest] = lines
    expect(beginning).to.have.property('recording', 1)
    expect(new Date(String(beginning?.began)).getTime()).to.be.closeTo(Date.now(), 60_000)
    expect(head).to.include({ status: 200 })
    expect(head?.headers).to.include({ 'content-type': 'text/event-stream; charset=utf-8' })
    expect(first?.text).to.match(/^data: \{"id":"chatcmpl-scripted"/)
    expect(rest.at(-1)).to.have.property('end', 'end')
    const times = lines.slice(1).map(({ at }) => at as number)
    expect(times).to.deep.equal(times.toSorted((one, other) => one - other))
    const text = lines.map(({ text }) => text ?? '').join('')
    expect(text).to.match(/data: \[DONE\]\n\n$/)
  })

  it('passes the bytes on as they came', async () => {
    await using server = await serve({ script: counting })
    const bytes = Buffer.concat(await all<Buffer>(ask(server), record(drain())))
    expect(bytes.toString()).to.match(/^data: .*"one".*\[DONE\]\n\n$/s)
  })

  it('knows the response inside compose, too', async () => {
    await using server = await serve({ script: counting })
    await withFolder(async folder => {
      const file = join(folder, 'recording.ndjson')
      await all(compose(ask(server), record(createWriteStream(file)), toChunks()))
      expect((await linesIn(file))[1]).to.include({ status: 200 })
    })
  })

  it('records a response of fetch, and says in the types that it takes bytes', async () => {
    await using server = await serve({ script: counting })
    await withFolder(async folder => {
      const file = join(folder, 'recording.ndjson')
      const body = JSON.stringify({ ...questions.chat, stream: true })
      const response = fetch(`${server.url}/chat/completions`, { method: 'POST', body })
      await all(fromResponse(response), record(createWriteStream(file)), toChunks())
      expect((await linesIn(file))[1]).to.include({ status: 200 })
    })
  })

  describe('leaves out secrets', () => {
    const headers = {
      'Set-Cookie': 'a=b',
      'X-Api-Key': 'k',
      Authorization: 'Bearer s',
      'x-amz-security-token': 't',
      'x-request-id': 'r',
      'x-ratelimit-remaining-tokens': '7'
    }
    const raw = { headers, writes: [{ bytes: 'data: [DONE]\n\n' }] }

    for (const { which, names } of [
      { which: 'safe' as const, names: ['x-request-id', 'x-ratelimit-remaining-tokens'] },
      { which: 'all' as const, names: Object.keys(headers).map(name => name.toLowerCase()) },
      { which: 'none' as const, names: [] },
      { which: ['X-Request-Id'], names: ['x-request-id'] }
    ]) {
      it(`of the headers with ${JSON.stringify(which)}`, async () => {
        await using server = await serve({ script: raw })
        await withFolder(async folder => {
          const file = join(folder, 'recording.ndjson')
          await all(ask(server), record(createWriteStream(file), { headers: which }))
          const kept = Object.keys((await linesIn(file))[1]?.headers ?? {})
          const ours = Object.keys(headers).map(name => name.toLowerCase())
          expect(kept.filter(name => ours.includes(name))).to.have.members(names)
        })
      })
    }

    it('of the request: a recording has nothing of it', async () => {
      const { lines } = await recorded()
      expect(JSON.stringify(lines)).to.not.match(/Hello\?|Bearer|authorization/i)
    })
  })

  describe('says how it ended', () => {
    it('when something is thrown that is no error', async () => {
      const lines = await withFolder(async folder => {
        const file = join(folder, 'recording.ndjson')
        const recorder = record(createWriteStream(file))
        async function* source() {
          yield Buffer.from('a')
          throw 'out of credit'
        }
        expect(await failureOf(pipeline(source(), recorder, drain()))).to.equal('out of credit')
        await closed(recorder)
        return linesIn(file)
      })
      expect(lines.at(-1)).to.have.property('end', 'failed')
      expect(lines.at(-1)?.error?.message).to.include('out of credit')
    })

    it('when the connection is cut: after all that came, with the error', async () => {
      const { lines, error } = await recorded({ cutAfter: { events: 3 } })
      expect(lines.at(-1)).to.include({ end: 'cut' })
      expect(lines.at(-1)?.error).to.include({ code: 'CS_ERR_TRUNCATED', message: error?.message })
    })

    it('when the body ends without its end mark: in good order, which is what came', async () => {
      const { lines, error } = await recorded({ endMark: false, errorAfter: { events: 2 } })
      expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
      expect(lines.at(-1)).to.have.property('end', 'end')
    })

    it('when its reader leaves: left', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 3 } } })
      await withFolder(async folder => {
        const file = join(folder, 'recording.ndjson')
        const controller = new AbortController()
        const sink = new Writable({
          write(text, _encoding, callback) {
            if (String(text) === ' two') controller.abort()
            callback()
          }
        })
        const { signal } = controller
        const recorder = record(createWriteStream(file))
        const gone = closed(recorder)
        await failureOf(pipeline(ask(server), recorder, toChunks(), toText(), sink, { signal }))
        await gone
        expect((await linesIn(file)).at(-1)).to.include({ end: 'left' })
      })
    })

    it('when the request is refused: with the status, the headers and the body', async () => {
      const { lines, error } = await recorded({ status: { code: 429, retryAfter: 2 } })
      expect(error).to.have.property('status', 429)
      expect(lines[1]).to.include({ status: 429 })
      expect(lines[1]?.headers).to.include({ 'retry-after': '2' })
      expect(lines[2]?.text).to.include('The server answers 429.')
      expect(lines[3]).to.include({ end: 'failed' })
    })

    it('with the error of a refusal, of whose headers only those that are wanted', async () => {
      for (const [headers, kept] of [
        ['safe', { 'retry-after': '2' }],
        ['none', {}]
      ] as const) {
        const { lines } = await recorded({ status: { code: 429, retryAfter: 2 } }, { headers })
        expect(lines.at(-1)?.error).to.deep.include({ status: 429, headers: kept })
      }
    })

    it('without the key that a refusal quotes', async () => {
      const body = { error: { message: `Incorrect API key provided: sk-${'a1'.repeat(10)}.` } }
      const { lines } = await recorded({ status: { code: 401, body } })
      expect(lines[2]?.text).to.include('Incorrect API key provided: [key].')
      expect(JSON.stringify(lines)).to.not.include('sk-')
    })
  })

  it('packs with gzip', async () => {
    await using server = await serve({ script: counting })
    await withFolder(async folder => {
      const file = join(folder, 'recording.ndjson.gz')
      await all(ask(server), record(createWriteStream(file), { gzip: true }))
      expect(gunzipSync(await readFile(file)).toString()).to.match(/^\{"recording":1.*"end":"end"\}\n$/s)
    })
  })

  for (const gzip of [false, true]) {
    it(`leaves what can be read when its process is killed (gzip: ${gzip})`, async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 4 } } })
      await withFolder(async folder => {
        const file = join(folder, 'recording')
        const program = join(folder, 'program.mjs')
        const library = new URL('../../../dist/index.js', import.meta.url)
        await writeFile(
          program,
          `import { createWriteStream } from 'node:fs'
          import { record, fromResponse, toChunks, toText, compose } from ${JSON.stringify(library.href)}
          const response = fetch(process.argv[2] + '/chat/completions', { method: 'POST', body: ${JSON.stringify(JSON.stringify({ ...questions.chat, stream: true }))} })
          const stages = [fromResponse(response), record(createWriteStream(process.argv[3]), { gzip: ${gzip} }), toChunks(), toText()]
          for await (const _text of compose(...stages));`
        )
        const child = spawn(process.execPath, [program, server.url, file])
        const read = () => run<string>(replay(file, { speed: Infinity }), toChunks(), toText())
        // The file may be read while it is written: it is killed when all that the server sends is there.
        let items: string[] = []
        while (items.join('') !== 'one two three') ({ items } = await read())
        child.kill('SIGKILL')
        await once(child, 'close')
        const { items: left, error } = await read()
        expect(left.join('')).to.equal('one two three')
        expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
      })
    })
  }

  describe('when its sink fails', () => {
    const full = () =>
      new Writable({ write: (_line, _encoding, callback) => callback(new Error('disk full')) })

    it('fails with its error, after all text has been taken', async () => {
      await using server = await serve({ script: counting })
      const { error } = await run(ask(server), record(full()), toChunks(), toText())
      expect(error).to.have.property('message', 'disk full')
    })

    it('passes on the rest of a line that it waits with before it fails', async () => {
      const sink = new Writable({ write() {} })
      const source = new PassThrough()
      const done = run(source, record(sink), toChunks(), toText())
      const event = delta({ content: 'one' })
      source.write(event.slice(0, 40))
      await settle()
      source.write(`${event.slice(40)}: ${'x'.repeat(2_000_000)}\n`)
      await settle()
      sink.destroy(new Error('disk full'))
      const { items, error } = await done
      expect(error).to.have.property('message', 'disk full')
      expect(items).to.deep.equal(['one'])
    })

    it('fails with its error though pieces of lines still come', () =>
      withFolder(async folder => {
        for (let time = 0; time < 40; time++) {
          // A folder is no file, which is found out while the first pieces come.
          const { error } = await run(
            piecesOfLines(),
            record(createWriteStream(folder)),
            toChunks(),
            toText()
          )
          expect(error).to.have.property('code', 'EISDIR')
        }
      }))

    it('goes on without it with detach', async () => {
      await using server = await serve({ script: counting })
      const recorder = record(full(), { onError: 'detach' })
      const texts = await all<string>(ask(server), recorder, toChunks(), toText())
      expect(texts.join('')).to.equal('one two three')
      expect(recorder.detached).to.have.property('message', 'disk full')
    })

    for (const [how, write] of [
      ['throws', throwing],
      [
        'fails with what is no error',
        (_line: unknown, _encoding: unknown, callback: (error: never) => void) => callback('full' as never)
      ]
    ] as const) {
      for (const gzip of [false, true]) {
        it(`which ${how}, fails, or goes on without it, with gzip ${gzip}`, async () => {
          await using server = await serve({ script: counting })
          const { error } = await run(
            ask(server),
            record(new Writable({ write }), { gzip }),
            toChunks(),
            toText()
          )
          expect(error).to.be.an('error')
          const recorder = record(new Writable({ write }), { onError: 'detach', gzip })
          const texts = await all<string>(ask(server), recorder, toChunks(), toText())
          expect(texts.join('')).to.equal('one two three')
          expect(recorder.detached).to.be.an('error')
        })
      }
    }

    it('fails when somebody closes the sink', async () => {
      await using server = await serve({ script: counting })
      const sink = new Writable({ write: (_line, _encoding, callback) => callback() })
      const recorder = record(sink)
      sink.destroy()
      const { error } = await run(ask(server), recorder, toChunks(), toText())
      expect(error)
        .to.have.property('message')
        .that.matches(/closed before/)
    })
  })

  it('waits for a slow sink', async () => {
    let isOpen = false
    let most = 0
    const taken: (() => void)[] = []
    const sink = new Writable({
      write(_line, _encoding, callback) {
        most = Math.max(most, sink.writableLength)
        if (isOpen) callback()
        else taken.push(callback)
      }
    })
    let asked = 0
    async function* pieces() {
      for (; asked < 100; asked++) yield Buffer.alloc(100_000, 'a')
      isOpen = true
    }
    const work = pipeline(pieces, record(sink), drain())
    // The sink takes one write at a time, each as soon as the loop has nothing else to do.
    while (!isOpen) {
      await new Promise(setImmediate)
      taken.shift()?.()
    }
    for (const callback of taken) callback()
    await work
    expect(most).to.be.at.most(2_500_000)
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is no bytes', async () => {
    await using server = await serve({ script: counting })
    const { error } = await run(ask(server), toChunks(), record(drain()) as never)
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: the sink is missing
    'no sink': () => record(),
    // @ts-expect-error: no such choice
    "headers: 'some'": () => record(drain(), { headers: 'some' }),
    // @ts-expect-error: not a list of names
    'headers: [1]': () => record(drain(), { headers: [1] }),
    // @ts-expect-error: neither true nor false
    'gzip: 1': () => record(drain(), { gzip: 1 }),
    // @ts-expect-error: no such option
    'an unknown option': () => record(drain(), { zip: true })
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  it('keeps an error of the client as it was, with requestCompletion', async () => {
    await using server = await serve({ faults: { status: 401 } })
    const request = requestCompletion(clientOf(server), questions.chat)
    const { error } = await run(request, record(drain()))
    expect(error?.constructor.name).to.equal('AuthenticationError')
  })
})

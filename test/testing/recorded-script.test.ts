import { createWriteStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { fromResponse, record, timeLimits, toChunks, toText } from 'completion-streams'
import { type Faults, type RecordingFile, recordedScript, script } from 'completion-streams/testing'
import { ask, closed, questions, run, serve, withFolder } from '../answers.js'
import { allowNoComplaints } from '../helpers.js'

const counting = script('one two three')

// Mocha has it. A user gives the parser of the package that he has.
const { load } = createRequire(import.meta.url)('js-yaml') as { load(text: string): unknown }

/** What a client reads from a server that plays a file. */
async function played(
  file: RecordingFile,
  faults: Faults = {},
  options?: Parameters<typeof recordedScript>[1]
) {
  await using server = await serve({ script: await recordedScript(file, options), faults })
  const { items, error } = await run<string>(
    ask(server),
    timeLimits<Uint8Array>({ first: 60_000, idle: 100 }),
    toChunks(),
    toText()
  )
  return { text: items.join(''), code: error?.code, status: error?.status }
}

/** Records an answer with these faults, and calls back with the file. */
async function withRecording(faults: Faults, use: (file: string) => Promise<void>): Promise<void> {
  await using server = await serve({ script: counting, faults })
  await withFolder(async folder => {
    const file = join(folder, 'incident.ndjson')
    const body = JSON.stringify({ ...questions.chat, stream: true })
    const source = fromResponse(signal =>
      fetch(`${server.url}/chat/completions`, { method: 'POST', body, signal })
    )
    const recorder = record(createWriteStream(file))
    await run(source, recorder, timeLimits<Uint8Array>({ first: 60_000, idle: 100 }))
    await closed(recorder)
    await use(file)
  })
}

const said = (content: string, finish_reason: string | null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`
const body = `${said('one', null)}${said(' €', 'stop')}data: [DONE]\n\n`
const text = 'one €'

describe('recordedScript', () => {
  allowNoComplaints()

  it('plays a recording to every request, as the answer was', async () => {
    await withRecording({}, async file => {
      const script = await recordedScript(file)
      await using server = await serve({ script })
      for (let count = 0; count < 2; count++) {
        const { items } = await run<string>(ask(server), toChunks(), toText())
        expect(items.join('')).to.equal('one two three')
      }
      expect(script).to.include({ status: 200 })
    })
  })

  for (const { faults, played: came } of [
    { faults: { cutAfter: { events: 3 } }, played: { text: 'one two', code: 'CS_ERR_TRUNCATED' } },
    { faults: { stallAfter: { events: 3 } }, played: { text: 'one two', code: 'CS_ERR_STALLED' } },
    { faults: { errorAfter: { events: 3 } }, played: { text: 'one two', code: 'CS_ERR_PROVIDER' } },
    { faults: { status: 503 }, played: { text: '', status: 503 } }
  ] satisfies { faults: Faults; played: object }[]) {
    it(`plays the end of a recording with ${JSON.stringify(faults)}`, async () => {
      await withRecording(faults, async file => void expect(await played(file)).to.include(came))
    })
  }

  it('is broken anywhere else by the faults of the server', async () => {
    await withRecording({}, async file => {
      expect(await played(file, { cutAfter: { bytes: 700 } })).to.include({
        text: 'one two',
        code: 'CS_ERR_TRUNCATED'
      })
      expect(await played(file, { stallAfter: { bytes: 500 } })).to.include({
        text: 'one',
        code: 'CS_ERR_STALLED'
      })
      expect(await played(file, { bytesPerWrite: 1 })).to.include({ text: 'one two three', code: undefined })
    })
  })

  it('plays a plain body, event by event, packed or not', async () => {
    const { writes } = await recordedScript(Readable.from([body]))
    expect([...(writes as Iterable<unknown>)]).to.have.lengthOf(3)
    await withFolder(async folder => {
      const file = join(folder, 'body.sse')
      await writeFile(file, body)
      await writeFile(`${file}.gz`, gzipSync(body))
      for (const name of [file, `${file}.gz`])
        expect(await played(name)).to.include({ text, code: undefined })
    })
  })

  const har = (content: object, headers: object[] = []) =>
    JSON.stringify({
      log: {
        version: '1.2',
        entries: [
          { request: { url: 'https://a/v1/models' }, response: { status: 200, content: { text: '{}' } } },
          {
            request: {
              url: 'https://a/v1/chat/completions',
              headers: [{ name: 'Authorization', value: 's' }]
            },
            response: { status: 200, headers, content },
            timings: { blocked: -1, wait: 12, receive: 30 }
          }
        ]
      }
    })
  const ruby = {
    http_interactions: [
      {
        request: { uri: 'https://a/v1/chat/completions' },
        response: {
          status: { code: 200 },
          headers: { 'Content-Type': ['text/event-stream'], 'Set-Cookie': ['secret'] },
          body: { encoding: 'UTF-8', string: body }
        }
      }
    ]
  }
  const python = `interactions:
- request:
    uri: https://a/v1/chat/completions
  response:
    body:
      string: ${JSON.stringify(body)}
    headers:
      content-type: [text/event-stream]
    status: {code: 200, message: OK}
version: 1
`
  const files: Record<string, string> = {
    'a HAR file': har({ mimeType: 'text/event-stream', text: body }),
    'a HAR file with base64': har({ encoding: 'base64', text: Buffer.from(body).toString('base64') }),
    'a HAR file of Polly, packed': har(
      { encoding: 'base64', text: JSON.stringify([gzipSync(body).toString('base64')]) },
      [{ name: 'content-encoding', value: 'gzip' }]
    ),
    'a HAR file whose body was unpacked': har({ text: body }, [{ name: 'content-encoding', value: 'br' }]),
    "a cassette of Ruby's VCR, as JSON": JSON.stringify(ruby),
    "a cassette of Python's, as YAML": python
  }
  for (const [what, file] of Object.entries(files)) {
    it(`plays ${what}`, async () => {
      const bytes = () => Readable.from([file])
      expect(await played(bytes(), {}, { parse: load })).to.include({ text, code: undefined })
      expect(JSON.stringify(await recordedScript(bytes(), { parse: load }))).to.not.include('secret')
    })
  }

  it('plays a body that a reader of YAML has made bytes of', async () => {
    const { response } = { response: { body: { string: gzipSync(body) }, status: { code: 200 } } }
    const parse = () => ({ interactions: [{ request: {}, response }] })
    expect(await played(Readable.from([python]), {}, { parse })).to.include({ text, code: undefined })
  })

  it('keeps the times that a HAR file has', async () => {
    const { headersAt } = await recordedScript(Readable.from([files['a HAR file'] ?? '']))
    expect(headersAt).to.equal(12)
  })

  const broken: Record<string, { file: string; says: RegExp }> = {
    'a HAR file without a second completion': { file: files['a HAR file'] ?? '', says: /one exchange/ },
    'a damaged HAR file': { file: '{"log": {"entries": [', says: /no JSON/ },
    'YAML without a parser': { file: python, says: /\{ parse \}/ },
    'a recording of a later version': { file: '{"recording":9}\n', says: /version 9/ }
  }
  for (const [what, { file, says }] of Object.entries(broken)) {
    it(`rejects with CS_ERR_INVALID_RECORDING for ${what}`, async () => {
      const { error } = await run(Readable.from(failing(recordedScript(Readable.from([file]), { index: 1 }))))
      expect(error).to.have.property('code', 'CS_ERR_INVALID_RECORDING')
      expect(error?.message).to.match(says)
    })
  }

  it('rejects with CS_ERR_INVALID_OPTION for a wrong option', async () => {
    for (const options of [{ index: -1 }, { parse: 1 }, { speed: 1 }]) {
      const { error } = await run(Readable.from(failing(recordedScript('a', options as object))))
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    }
  })
})

async function* failing(promise: Promise<unknown>) {
  yield await promise
}

import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { fromResponse, record, timeLimits } from 'completion-streams'
import { type Endpoint, type Faults, script } from 'completion-streams/testing'
import { check, type Findings } from '#lib/cli/check.js'
import type { Entry } from '#lib/recording/format.js'
import { bytesOf, entriesOf } from '#lib/recording/read.js'
import { closed, questions, run, serve, withFolder } from '../answers.js'

const counting = script('one two three')

const bodyOf = (...pieces: string[]): Entry[] =>
  pieces.map(text => ({ kind: 'piece', at: 0, bytes: Buffer.from(text) }))

const event = (payload: object) => `data: ${JSON.stringify(payload)}\n\n`
const said = (content: string, finish_reason: string | null = null, index = 0) =>
  event({ choices: [{ index, delta: { content }, finish_reason }] })

/** What a check says of the recording of an answer with these faults, and of its body alone. */
async function checked(
  faults: Faults,
  endpoint: Endpoint = 'chat'
): Promise<{ recorded: Findings; body: Findings }> {
  await using server = await serve({ script: counting, faults })
  const path = { chat: 'chat/completions', completions: 'completions', responses: 'responses' }[endpoint]
  const body = JSON.stringify({
    ...questions[endpoint],
    stream: true,
    stream_options: { include_usage: true }
  })
  const source = fromResponse(signal => fetch(`${server.url}/${path}`, { method: 'POST', body, signal }))
  return await withFolder(async folder => {
    const file = join(folder, 'recording.ndjson')
    const limits = timeLimits<Uint8Array>({ first: 60_000, idle: 100 })
    // The recorder learns of the response from the source before it, and of the stall from the stage behind.
    const recorder = record(createWriteStream(file))
    await run(source, recorder, limits)
    await closed(recorder)
    const lines = (await readFile(file, 'utf8')).trim().split('\n')
    const text = lines.map(line => JSON.parse(line).text ?? '').join('')
    return { recorded: await check(entriesOf(bytesOf(file))), body: await check(bodyOf(text)) }
  })
}

const noReason = 'no finish reason: the model never said why it ended'
const noMark = 'no end mark: data: [DONE] never came'
const theError = 'The server had an error while processing your request.'

describe('check', () => {
  describe('finds nothing wrong with', () => {
    for (const faults of [
      {},
      { bytesPerWrite: 1 },
      { lineEnd: '\r' as const },
      { lineEnd: '\r\n' as const },
      { comments: true },
      { holdOpen: true },
      { contentType: 'text/plain' }
    ] satisfies Faults[]) {
      for (const endpoint of ['chat', 'completions', 'responses'] as const) {
        it(`an answer of ${endpoint} with ${JSON.stringify(faults)}`, async () => {
          const { recorded, body } = await checked(faults, endpoint)
          expect(recorded).to.include({}).and.have.deep.property('problems', [])
          expect(body.problems).to.deep.equal([])
          expect(recorded.facts).to.match(/^[\d,]+ bytes, \d+ chunks, 13 characters of text$/)
        })
      }
    }

    it('an answer in JSON, of which it says so', async () => {
      const { body } = await checked({ ignoreStream: true })
      expect(body).to.deep.include({ problems: [], notes: ['it is an answer in JSON, not a stream'] })
    })
  })

  describe('says of the fault', () => {
    const half = /^half an event at byte [\d,]+: the body ends within it$/
    const cut = /^the connection was cut behind byte [\d,]+$/
    for (const { faults, endpoint = 'chat', recorded, body } of [
      { faults: { endMark: false }, recorded: [`${noMark}, though every choice has its finish reason`] },
      { faults: { cutAfter: { events: 3 } }, recorded: [cut, noReason, noMark], body: [noReason, noMark] },
      {
        faults: { cutAfter: { bytes: 300 } },
        recorded: [cut, half, noReason, noMark],
        body: [half, noReason, noMark]
      },
      {
        faults: { cutAfter: { events: 4 } },
        endpoint: 'responses' as const,
        recorded: [cut, 'no terminal event: response.completed never came'],
        body: ['no terminal event: response.completed never came']
      },
      {
        faults: { cutAfter: { events: 0 } },
        recorded: ['the body is empty', cut],
        body: ['the body is empty']
      },
      {
        faults: { stallAfter: { events: 3 } },
        recorded: [/^nothing more came behind byte \d+, until a time limit passed$/, noReason, noMark],
        body: [noReason, noMark]
      },
      {
        faults: { status: 429 },
        recorded: ['the request was refused with status 429: The server answers 429.'],
        body: ['an error of the provider: The server answers 429. (type invalid_request_error)']
      },
      {
        faults: { status: { code: 502, body: '<html><title>502 Bad Gateway</title>nginx/1.25</html>' } },
        recorded: [
          'the request was refused with status 502: a web page instead of an answer, as a proxy sends it: "502 Bad Gateway", of nginx'
        ],
        body: ['a web page instead of an answer, as a proxy sends it: "502 Bad Gateway", of nginx']
      },
      ...(['data', 'event', 'bare-event', 'field'] as const).map(shape => ({
        faults: { errorAfter: { events: 2, shape } },
        recorded: [`an error of the provider: ${theError} (type server_error, code server_error)`]
      })),
      ...(['responses-error', 'responses-failed'] as const).map(shape => ({
        faults: { errorAfter: { events: 2, shape } },
        endpoint: 'responses' as const,
        recorded: [
          /^an error of the provider: The server had an error while processing your request\. \(.*code server_error\)$/
        ]
      }))
    ] as {
      faults: Faults
      endpoint?: Endpoint
      recorded: (string | RegExp)[]
      body?: (string | RegExp)[]
    }[]) {
      it(`${JSON.stringify(faults)} (${endpoint})`, async () => {
        const found = await checked(faults, endpoint)
        expectAll(found.recorded.problems, recorded)
        expectAll(found.body.problems, body ?? recorded)
      })
    }
  })

  describe('says of a body', () => {
    const bodies: Record<string, { pieces: string[]; problems: (string | RegExp)[] }> = {
      'that is empty': { pieces: [], problems: ['the body is empty'] },
      'of another API': {
        pieces: [event({ type: 'message_start', message: {} })],
        problems: [/^another format: .*Anthropic's Messages API/]
      },
      'with damage in the middle': {
        pieces: [said('one'), 'data: {"choices":[{\n\n', said('two', 'stop'), 'data: [DONE]\n\n'],
        problems: [/^at byte 80: the data of an event is not JSON/]
      },
      'with a text of a gateway': {
        pieces: ['event: error\ndata: upstream connect error\n\n'],
        problems: ['an error of a proxy or gateway: upstream connect error']
      },
      'with an error of a provider behind a router': {
        pieces: [
          said('one'),
          event({ error: { message: 'Overloaded', code: 502, metadata: { provider_name: 'Fireworks' } } })
        ],
        problems: ['an error of the provider Fireworks: Overloaded (code 502, status 502)']
      },
      'with one of two choices cut': {
        pieces: [said('one', 'stop'), said('two', null, 1), 'data: [DONE]\n\n'],
        problems: ['no finish reason for choice 1 of 2']
      },
      'with an end mark and no finish reason': {
        pieces: [said('one'), 'data: [DONE]\n\n'],
        problems: [noReason]
      }
    }
    for (const [what, { pieces, problems }] of Object.entries(bodies)) {
      it(what, async () => {
        expectAll((await check(bodyOf(...pieces))).problems, problems)
        // However it is cut.
        const bytes = pieces.join('')
        expectAll((await check(bodyOf(...bytes))).problems, problems)
      })
    }

    it('that it holds bytes which are no UTF-8, and where', async () => {
      const first = said('one')
      const bytes = Buffer.from(`${first}${said('€?', 'stop')}data: [DONE]\n\n`)
      bytes[bytes.indexOf('?')] = 0xff
      for (const pieces of [[bytes], Array.from(bytes, byte => Uint8Array.of(byte))]) {
        const { problems } = await check(pieces.map(bytes => ({ kind: 'piece', at: 0, bytes })))
        expect(problems).to.deep.equal([
          `bytes that are no UTF-8, first in the event at byte ${first.length}: they are read as \ufffd`
        ])
      }
    })

    it('no more than that it is cut where that is within a character', async () => {
      const bytes = Buffer.from(`${said('one')}data: {"choices":[{"index":0,"delta":{"content":"€`)
      const { problems } = await check([{ kind: 'piece', at: 0, bytes: bytes.subarray(0, -1) }])
      expect(problems.join()).to.include('half an event').and.to.not.include('UTF-8')
    })

    it('that the model did not end itself, in a note', async () => {
      const { problems, notes } = await check(bodyOf(said('one', 'length'), 'data: [DONE]\n\n'))
      expect(problems).to.deep.equal([])
      expect(notes).to.deep.equal(['the model was stopped before its end: length', 'no usage was reported'])
    })
  })
})

function expectAll(found: readonly string[], wanted: readonly (string | RegExp)[]): void {
  expect(found, found.join('\n')).to.have.lengthOf(wanted.length)
  for (const [place, problem] of wanted.entries()) {
    if (typeof problem === 'string') expect(found[place]).to.equal(problem)
    else expect(found[place]).to.match(problem)
  }
}

import { Readable } from 'node:stream'
import { expect } from 'chai'
import { type BatchResult, type CompletionParams, fromBatchFile, toBatchFile } from 'completion-streams'
import { script } from 'completion-streams/testing'
import { all, askWhole, endpoints, questions, run, serve } from '../answers.js'

const linesOf = async (paramsOf: (row: string) => CompletionParams, rows = ['a', 'b']) =>
  Buffer.concat(await all<Buffer>(Readable.from(rows), toBatchFile(paramsOf)))
    .toString()
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

describe('toBatchFile', () => {
  it('gives a line per row, for the endpoint of its parameters', async () => {
    const urls = { chat: '/v1/chat/completions', completions: '/v1/completions', responses: '/v1/responses' }
    for (const endpoint of endpoints)
      expect(await linesOf(() => questions[endpoint])).to.deep.equal(
        ['0', '1'].map(custom_id => ({
          custom_id,
          method: 'POST',
          url: urls[endpoint],
          body: questions[endpoint]
        }))
      )
  })

  it('names the rows as it is told, and awaits their parameters', async () => {
    const stage = toBatchFile(async (row: string) => ({ model: 'm', prompt: row }), {
      key: row => `row ${row}`
    })
    const [bytes] = await all<Buffer>(Readable.from(['a\nb']), stage)
    expect(JSON.parse(String(bytes))).to.include({ custom_id: 'row a\nb' })
  })

  it('refuses parameters of no endpoint and of two, and wrong options', async () => {
    const two = (row: string) => (row === 'a' ? questions.chat : questions.responses)
    for (const paramsOf of [two, () => ({ model: 'm' }) as never, () => undefined as never]) {
      const { error } = await run(Readable.from(['a', 'b']), toBatchFile(paramsOf))
      expect(error).to.include({ code: 'CS_ERR_INVALID_OPTION' })
    }
    const twice = await run(
      Readable.from(['a', 'b']),
      toBatchFile(() => questions.chat, { key: () => 'x' })
    )
    expect(twice.error).to.include({ code: 'CS_ERR_INVALID_OPTION' })
    expect(twice.error?.message).to.equal('the row of key "x" comes twice')
    expect(() => toBatchFile(undefined as never)).to.throw(/paramsOf/)
    const { error } = await run(
      Readable.from(['a']),
      toBatchFile(() => questions.chat, { key: () => 1 as never })
    )
    expect(error).to.include({ code: 'CS_ERR_INVALID_OPTION' })
  })
})

describe('fromBatchFile', () => {
  const line = (custom_id: string, more: object) =>
    `${JSON.stringify({ id: 'batch_req_1', custom_id, ...more })}\n`

  it('gives the answers of every API, at any cut', async () => {
    await using server = await serve({ script: script('Hello, \ud83d\ude00!') })
    let file = ''
    const wanted: unknown[] = []
    for (const endpoint of endpoints) {
      const body = await askWhole(server, endpoint)
      file += line(endpoint, { response: { status_code: 200, request_id: 'r', body }, error: null })
      wanted.push({ key: endpoint, text: 'Hello, \ud83d\ude00!', completion: body })
    }
    const bytes = Buffer.from(file)
    for (const size of [1, 7, 10_000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
        bytes.subarray(n * size, n * size + size)
      )
      const results = await all<BatchResult>(Readable.from(pieces), fromBatchFile())
      expect(results.map(({ key, text, completion }) => ({ key, text, completion }))).to.deep.equal(wanted)
      for (const { usage, tokens } of results) {
        expect(usage).to.have.property('total_tokens')
        expect(tokens?.total).to.equal(usage?.total_tokens)
      }
    }
  })

  it('gives the errors of requests, in both of their forms', async () => {
    const body = {
      error: { message: 'too long', type: 'invalid_request_error', code: 'context_length_exceeded' }
    }
    const file =
      line('a', { response: { status_code: 400, body }, error: null }) +
      line('b', { response: null, error: { code: 'batch_expired', message: 'it took too long' } })
    const results = await all<BatchResult>(Readable.from([Buffer.from(file.trimEnd())]), fromBatchFile())
    expect(results.map(({ key }) => key)).to.deep.equal(['a', 'b'])
    expect(results[0]?.error).to.include({
      code: 'CS_ERR_PROVIDER',
      status: 400,
      providerCode: 'context_length_exceeded'
    })
    expect(results[1]?.error).to.include({ providerCode: 'batch_expired' })
    expect(results[1]?.error?.message).to.include('it took too long')
  })

  it('fails for a line that is no result, and for one that is cut off, behind those before', async () => {
    const good = line('a', { response: { status_code: 400, body: {} } })
    for (const [rest, code] of [
      ['{"a":1}\n', 'CS_ERR_INVALID_CHUNK'],
      ['oops\n', 'CS_ERR_INVALID_CHUNK'],
      [line('b', { response: { status_code: 200, body: { x: 1 } } }), 'CS_ERR_INVALID_CHUNK'],
      ['{"custom_id":"b","resp', 'CS_ERR_TRUNCATED']
    ] as const) {
      const { items, error } = await run(Readable.from([Buffer.from(good + rest)]), fromBatchFile())
      expect(items).to.have.length(1)
      expect(error).to.include({ code })
    }
    expect((await run(Readable.from([{}]), fromBatchFile())).error).to.include({
      code: 'CS_ERR_INVALID_CHUNK'
    })
  })
})

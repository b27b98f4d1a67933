import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { compose, type Summary, tapSummary, timeLimits, toChunks, toText } from 'completion-streams'
import { type Script, script } from 'completion-streams/testing'
import { all, ask, closed, delta, endpoints, failureOf, run, serve, settle, withFolder } from '../answers.js'
import { eventStream } from '../pieces.js'

const answer = 'one two three four five'
const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 }
const counting = script(answer, { usage, model: 'model-1', finish_reason: 'length' })

/** A tap that keeps its summaries. */
function keep(options?: Parameters<typeof tapSummary>[1]): {
  summaries: Summary[]
  tap: ReturnType<typeof tapSummary>
} {
  const summaries: Summary[] = []
  return { summaries, tap: tapSummary(summary => void summaries.push(summary), options) }
}

function discard(): Writable {
  return new Writable({ objectMode: true, write: (_item, _encoding, callback) => callback() })
}

describe('tapSummary', () => {
  it('passes chunks on unchanged', async () => {
    await using server = await serve({ script: counting })
    const plain = await all(ask(server), toChunks())
    expect(await all(ask(server), toChunks(), keep().tap)).to.deep.equal(plain)
  })

  for (const endpoint of endpoints) {
    it(`tells of a stream that is complete (${endpoint})`, async () => {
      await using server = await serve({ script: counting })
      const { summaries, tap } = keep({ text: true })
      const chunks = await all(ask(server, endpoint), toChunks(), tap)
      expect(summaries).to.have.lengthOf(1)
      const [summary] = summaries
      expect(summary).to.include({
        outcome: 'complete',
        model: 'model-1',
        usageStatus: 'reported',
        chunks: chunks.length,
        characters: answer.length,
        text: answer
      })
      expect(summary?.id).to.match(/-?scripted$/)
      expect(summary?.usage).to.include({ total_tokens: 10 })
      expect(summary?.finishReasons).to.deep.equal({
        0: endpoint === 'responses' ? 'max_output_tokens' : 'length'
      })
      expect(summary).not.to.have.property('error')
      const { firstChunk = -1, firstToken = -1, total = -1, gaps, tokensPerSecond } = summary ?? {}
      expect([0, firstChunk, firstToken, total]).to.deep.equal(
        [0, firstChunk, firstToken, total].sort((a, b) => a - b)
      )
      expect(gaps?.p50).to.be.at.most(gaps?.p95 ?? -1)
      expect(gaps?.p95).to.be.at.most(gaps?.max ?? -1)
      expect(tokensPerSecond).to.be.above(0)
    })
  }

  it('carries no text unless asked for', async () => {
    await using server = await serve({ script: counting })
    const { summaries, tap } = keep()
    await all(ask(server), toChunks(), tap)
    expect(summaries[0]).not.to.have.property('text')
  })

  it('says that no usage was reported', async () => {
    await using server = await serve({ script: script(answer, { usage: null }) })
    const { summaries, tap } = keep()
    await all(ask(server), toChunks(), tap)
    expect(summaries[0]).to.have.property('usageStatus', 'missing')
    expect(summaries[0]).not.to.have.any.keys('usage', 'tokensPerSecond')
  })

  it('knows the finish reason of each choice', async () => {
    const said: Script = {
      choices: [
        { pieces: [{ at: 0, text: 'a' }], finish_reason: 'stop' },
        { pieces: [{ at: 0, text: 'b' }], finish_reason: 'length' }
      ]
    }
    await using server = await serve({ script: said })
    const { summaries, tap } = keep()
    await all(ask(server), toChunks(), tap)
    expect(summaries[0]?.finishReasons).to.deep.equal({ 0: 'stop', 1: 'length' })
  })

  for (const { what, piece } of [
    { what: 'reasoning', piece: { at: 0, reasoning: 'Hm' } },
    { what: 'a tool call', piece: { at: 0, toolCall: { id: 'a', name: 'f', arguments: '{}' } } },
    { what: 'a refusal', piece: { at: 0, refusal: 'No' } }
  ]) {
    for (const endpoint of ['chat', 'responses'] as const) {
      it(`takes ${what} for a token (${endpoint})`, async () => {
        await using server = await serve({ script: { choices: [{ pieces: [piece] }] } })
        const { summaries, tap } = keep()
        await all(ask(server, endpoint), toChunks(), tap)
        expect(summaries[0]).to.include({ characters: 0 }).and.have.property('firstToken')
      })
    }
  }

  it('sums up an input that holds many completions', async () => {
    await using server = await serve({ script: counting })
    const bodies = [...(await all<Uint8Array>(ask(server))), ...(await all<Uint8Array>(ask(server)))]
    const { summaries, tap } = keep({ text: true })
    await all(Readable.from(bodies), toChunks(), tap)
    expect(summaries).to.have.lengthOf(1)
    expect(summaries[0]).to.include({ characters: 2 * answer.length, text: answer + answer })
  })

  it('adds up the tokens of an input that holds many completions, of which some have no usage', async () => {
    const completion = (usage?: object) => {
      const chunk = { id: 'a', choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }] }
      return [chunk, ...(usage ? [{ id: 'a', choices: [], usage }] : []), '[DONE]']
    }
    const usage = (count: number) => ({ prompt_tokens: count, completion_tokens: 1, total_tokens: count + 1 })
    const body = eventStream(
      ...completion(usage(1)),
      ...completion(),
      ...completion({ ...usage(20), prompt_tokens_details: { cached_tokens: 4 } })
    )
    const { summaries, tap } = keep({ cost: ({ input = 0, output = 0 }) => input + 100 * output })
    await all(Readable.from([Buffer.from(body)]), toChunks(), tap)
    expect(summaries[0]).to.deep.include({
      tokens: { input: 21, output: 2, total: 23, cached: 4 },
      cost: 221,
      usageStatus: 'reported'
    })
    expect(summaries[0]?.usage).to.include({ prompt_tokens: 20 })
  })

  describe('says that the answer is not whole, though requireEnd is false', () => {
    const piece = (index: number, finish_reason: string | null) => ({
      id: 'a',
      choices: [{ index, delta: { content: 'Hi' }, finish_reason }]
    })
    for (const [name, body, isWhole] of [
      ['where one of two choices has finished', eventStream(piece(0, 'stop'), piece(1, null)), false],
      ['where no choice has finished', eventStream(piece(0, null)), false],
      ['unless all have', eventStream(piece(0, 'stop'), piece(1, 'stop')), true],
      [
        'unless there is an end mark and no finish reason (Snowflake)',
        eventStream(piece(0, null), '[DONE]'),
        true
      ]
    ] as const) {
      it(name, async () => {
        const { summaries, tap } = keep()
        await all(Readable.from([Buffer.from(body)]), toChunks({ requireEnd: false }), tap)
        expect(summaries[0]).to.include({ outcome: 'complete', isWhole })
      })
    }
  })

  describe('calls once', () => {
    for (const { what, faults, outcome, code } of [
      { what: 'is cut', faults: { cutAfter: { events: 4 } }, outcome: 'truncated', code: 'CS_ERR_TRUNCATED' },
      {
        what: 'reports an error',
        faults: { errorAfter: { events: 4 } },
        outcome: 'failed',
        code: 'CS_ERR_PROVIDER'
      },
      { what: 'stalls', faults: { stallAfter: { events: 4 } }, outcome: 'stalled', code: 'CS_ERR_STALLED' }
    ]) {
      for (const place of ['in a pipeline', 'inside compose']) {
        it(`when the stream ${what}, with what had come: ${outcome} (${place})`, async () => {
          await using server = await serve({ script: counting, faults })
          const { summaries, tap } = keep({ text: true })
          const limits = timeLimits<Uint8Array>({ first: 60_000, idle: 100 })
          const stages =
            place === 'in a pipeline'
              ? [ask(server), limits, toChunks(), tap, toText()]
              : [compose(ask(server), limits, toChunks(), tap, toText())]
          const { items, error } = await run(...stages)
          expect(error).to.have.property('code', code)
          expect(items).to.deep.equal(['one', ' two', ' three'])
          expect(summaries).to.have.lengthOf(1)
          expect(summaries[0]).to.include({
            outcome,
            error,
            chunks: 4,
            text: 'one two three',
            usageStatus: 'missing'
          })
        })
      }
    }

    it('when the request is refused: failed', async () => {
      await using server = await serve({ faults: { status: 401 } })
      const { summaries, tap } = keep()
      const { error } = await run(ask(server), toChunks(), tap)
      expect(error).to.have.property('status', 401)
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'failed', error, chunks: 0 })
    })

    it('when the pipeline is aborted by a signal: aborted', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 3 } } })
      const { summaries, tap } = keep({ text: true })
      const controller = new AbortController()
      const sink = new Writable({
        write(text, _encoding, callback) {
          if (String(text) === ' two') controller.abort(new Error('enough'))
          callback()
        }
      })
      const { signal } = controller
      const error = await failureOf(pipeline(ask(server), toChunks(), tap, toText(), sink, { signal }))
      expect(error).to.have.property('name', 'AbortError')
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'aborted', text: 'one two' })
    })

    it('when it is destroyed: aborted, without an error', async () => {
      const { summaries, tap } = keep()
      tap.destroy()
      await closed(tap)
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'aborted' }).and.not.have.property('error')
    })

    it('when a loop over it is left: aborted', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 4 } } })
      const { summaries, tap } = keep({ text: true })
      const stream = compose(ask(server), toChunks(), tap, toText())
      for await (const text of stream) if (text === ' three') break
      await closed(tap)
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'aborted', text: 'one two three' })
    })

    it('when the sink fails: failed', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 4 } } })
      const { summaries, tap } = keep()
      const error = new Error('disk full')
      const sink = new Writable({ write: (_text, _encoding, callback) => callback(error) })
      expect(await failureOf(pipeline(ask(server), toChunks(), tap, toText(), sink))).to.equal(error)
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'failed', error })
    })

    it('when the sink is closed early: aborted', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 4 } } })
      const { summaries, tap } = keep()
      const sink = new Writable({
        write(_text, _encoding, callback) {
          this.destroy()
          callback()
        }
      })
      const error = await failureOf(pipeline(ask(server), toChunks(), tap, toText(), sink))
      expect(error).to.have.property('code', 'ERR_STREAM_PREMATURE_CLOSE')
      expect(summaries).to.have.lengthOf(1)
      expect(summaries[0]).to.include({ outcome: 'aborted', error })
    })

    it('when the client of a relay goes away: aborted', async () => {
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 4 } } })
      const { summaries, tap } = keep()
      const relay = createServer((_request, response) => {
        pipeline(ask(server), toChunks(), tap, toText(), response).catch(() => {})
      })
      relay.listen(0, '127.0.0.1')
      await once(relay, 'listening')
      try {
        // A server that listens on a port has such an address.
        const { port } = relay.address() as AddressInfo
        const request = get({ port, host: '127.0.0.1' })
        const [response] = await once(request, 'response')
        await once(response, 'data')
        request.destroy()
        await closed(tap)
      } finally {
        relay.close()
      }
      expect(summaries.map(({ outcome }) => outcome)).to.deep.equal(['aborted'])
    })
  })

  it('awaits an async callback before a complete stream ends', async () => {
    await using server = await serve({ script: counting })
    await withFolder(async folder => {
      const file = join(folder, 'summaries.ndjson')
      const log = createWriteStream(file)
      const tap = tapSummary(async summary => {
        await settle()
        log.end(`${JSON.stringify(summary)}\n`)
        await once(log, 'close')
      })
      await pipeline(ask(server), toChunks(), tap, toText(), discard())
      expect(JSON.parse(await readFile(file, 'utf8'))).to.include({ outcome: 'complete', characters: 23 })
    })
  })

  it('awaits an async callback before a failed stream closes', async () => {
    await using server = await serve({ script: counting, faults: { cutAfter: { events: 3 } } })
    let isWritten = false
    const tap = tapSummary(async () => {
      await settle()
      isWritten = true
    })
    const wasWritten = closed(tap).then(() => isWritten)
    const { error } = await run(ask(server), toChunks(), tap)
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(await wasWritten).to.equal(true)
  })

  for (const { manner, fail } of [
    {
      manner: 'throws',
      fail: (error: Error) => {
        throw error
      }
    },
    { manner: 'rejects', fail: (error: Error) => Promise.reject(error) }
  ]) {
    it(`fails with what the callback ${manner}, after all text has been taken`, async () => {
      await using server = await serve({ script: counting })
      const failure = new Error('log full')
      let calls = 0
      const tap = tapSummary(() => {
        calls++
        return fail(failure)
      })
      const { items, error } = await run(ask(server), toChunks(), tap, toText())
      expect(error).to.equal(failure)
      expect(items.join('')).to.equal(answer)
      expect(calls).to.equal(1)
    })

    it(`keeps the error it has when the callback ${manner} for a failed stream`, async () => {
      await using server = await serve({ script: counting, faults: { cutAfter: { events: 3 } } })
      const tap = tapSummary(() => fail(new Error('log full')))
      const { error } = await run(ask(server), toChunks(), tap, toText())
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    })
  }

  it('counts time from when it is piped, not from when it is made', async () => {
    const tap = tapSummary(summary => void summaries.push(summary))
    const summaries: Summary[] = []
    const made = performance.now()
    while (performance.now() - made < 20);
    const piped = performance.now()
    await all(Readable.from([delta({ content: 'a' })]), toChunks({ requireEnd: false }), tap)
    expect(summaries[0]?.total).to.be.at.most(performance.now() - piped)
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is no chunk', async () => {
    const { summaries, tap } = keep()
    const { error } = await run(Readable.from(['data: {}']), tap)
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    expect(summaries).to.have.lengthOf(1)
  })

  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: the callback is missing
    'no callback': () => tapSummary(),
    // @ts-expect-error: neither true nor false
    "text: 'yes'": () => tapSummary(() => {}, { text: 'yes' })
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { Readable } from 'node:stream'
import { expect } from 'chai'
import { toChunks, toNDJSON, toText, toToolCalls } from 'completion-streams'
import { script } from 'completion-streams/testing'
import { all, ask, run, serve } from '../answers.js'

const lines = (bytes: readonly Buffer[]): unknown[] =>
  Buffer.concat(bytes)
    .toString()
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))

describe('toNDJSON', () => {
  it('gives chunks, text and tool calls that JSON.parse and toChunks read back', async () => {
    await using server = await serve({
      script: {
        choices: [{ pieces: [{ at: 0, toolCall: { id: 'a', name: 'f', arguments: '{"x":"\\n\u2028"}' } }] }]
      }
    })
    for (const stage of [toChunks, toText, toToolCalls]) {
      const chunks = await all<object>(ask(server), toChunks())
      const items = stage === toChunks ? chunks : await all(Readable.from(chunks), stage())
      const bytes = await all<Buffer>(Readable.from(items), toNDJSON())
      expect(lines(bytes)).to.deep.equal(items)
      if (stage === toChunks)
        expect(await all(Readable.from([Buffer.concat(bytes)]), toChunks())).to.deep.equal(chunks)
    }
  })

  it('writes any value that JSON holds as one line', async () => {
    const values = ['a\nb\r\u2028\ud83d\ude00', 1, true, [1, 'x'], { a: { b: null } }, '\ud800']
    expect(lines(await all<Buffer>(Readable.from(values), toNDJSON()))).to.deep.equal(values)
  })

  it('keeps the negative zero that a logarithm may be', async () => {
    const logprobs = [0, -0, -1].map(logprob => ({ token: '-0', logprob }))
    // To chai, the two zeros are not equal.
    expect(lines(await all<Buffer>(Readable.from([{ logprobs }]), toNDJSON()))).to.deep.equal([{ logprobs }])
  })

  it('fails for what JSON does not hold, after the lines before it', async () => {
    const circle: { self?: object } = {}
    circle.self = circle
    for (const [item, message] of [
      [Buffer.from('x'), /bytes: put toChunks\(\) before it/],
      [() => 1, /not a function/],
      [Symbol('x'), /toNDJSON takes objects/],
      [circle, /what JSON cannot hold/],
      [1n, /what JSON cannot hold/]
    ] as const) {
      const { items, error } = await run<Buffer>(Readable.from([{ a: 1 }, item]), toNDJSON())
      expect(lines(items)).to.deep.equal([{ a: 1 }])
      expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
      expect(error?.message).to.match(message)
    }
  })

  it('keeps the whole of a long script', async () => {
    await using server = await serve({ script: script('word '.repeat(500)) })
    const chunks = await all(ask(server), toChunks())
    expect(lines(await all<Buffer>(Readable.from(chunks), toNDJSON()))).to.deep.equal(chunks)
  })
})

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { type Chunk, compose, guardRepetition, toChunks, toText } from 'completion-streams'
import { type Piece, script } from 'completion-streams/testing'
import fc from 'fast-check'
import { RepetitionDetector } from '#lib/guard/repetition-detector.js'
import { all, ask, delta, endMark, finish, run, serve } from '../answers.js'
import { cutAt, inPiecesOf, places } from '../pieces.js'

const root = join(import.meta.dirname, '../../..')

/** Where a loop is closed, and which, by looking at each length at each character. */
function loopIn(text: string, period: number, times: number): { at: number; period: number } | undefined {
  for (let at = 1; at <= text.length; at++)
    for (let length = 1; length <= period && length * times <= at; length++) {
      const stretch = text.slice(at - length, at)
      if (text.slice(at - length * times, at) === stretch.repeat(times)) return { at, period: length }
    }
  return undefined
}

/** Texts as models write them, of many kinds. */
function* honestTexts(): Generator<[name: string, text: string]> {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.ts')
  )
  yield [
    'all sources of lib, one behind the other',
    sources.map(name => readFileSync(join(root, 'lib', name), 'utf8')).join('\n')
  ]
  for (const name of [
    'README.md',
    'CHANGELOG.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'package.json',
    'biome.json',
    'test/bench/RESULTS.md'
  ])
    yield [name, readFileSync(join(root, name), 'utf8')]
  for (const name of [
    'typescript/LICENSE.txt',
    'openai/LICENSE',
    'openai/README.md',
    'chai/README.md',
    'fast-check/README.md',
    'express/Readme.md',
    'through2/README.md',
    'mocha/README.md'
  ]) {
    const file = join(root, 'node_modules', name)
    if (existsSync(file)) yield [name, readFileSync(file, 'utf8')]
  }
  const rows = (row: (n: number) => string, count: number) =>
    Array.from({ length: count }, (_, n) => row(n)).join('\n')
  yield ['a table of numbers', `| n | square |\n|---|---|\n${rows(n => `| ${n} | ${n * n} |`, 500)}`]
  yield ['a table with equal rows', rows(() => '| 0 | 0 | 0 | 0 |', 60)]
  yield ['a list that counts', rows(n => `${n + 1}. The same sentence for every number.`, 500)]
  yield ['count to 1000', Array.from({ length: 1000 }, (_, n) => n + 1).join(', ')]
  yield ['rules of hyphens and equals signs', `${'-'.repeat(120)}\n${'='.repeat(200)}\n${'*'.repeat(80)}`]
  yield ['a drawing', rows(n => `${' '.repeat(40 - n)}${'*'.repeat(2 * n + 1)}`, 40)]
  yield ['a frame', `+${'-'.repeat(78)}+\n${rows(() => `|${' '.repeat(78)}|`, 15)}\n+${'-'.repeat(78)}+`]
  yield ['a comma-separated file', rows(n => `${n},2024-01-01,0,0,0,0,0,0`, 400)]
  yield [
    'a matrix',
    JSON.stringify(
      Array.from({ length: 12 }, (_, n) => Array.from({ length: 12 }, (_, m) => Number(n === m)))
    )
  ]
  yield [
    'a refrain',
    rows(n => `Verse ${n} has its own words.\nla la la la la la la la\nla la la la la la la la\n`, 30)
  ]
  yield [
    'a program with equal lines',
    `switch (code) {\n${rows(n => `  case ${n}:\n    return true`, 100)}\n}`
  ]
  yield ['lines of nothing', `a\n${'\n'.repeat(100)}b`]
  yield ['hexadecimal', `00000000: ${'0000 '.repeat(8)}\n`.repeat(20)]
}

describe('RepetitionDetector', () => {
  it('finds the first loop, as looking at each length at each character does', () => {
    const letters = fc.constantFrom('a', 'b', 'ab', 'aab', 'š', 'a\u0161')
    const texts = fc.array(letters, { maxLength: 30 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(
        texts,
        places,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 2, max: 4 }),
        (text, cuts, period, times) => {
          const detector = new RepetitionDetector(period, times, 0)
          let at = 0
          let found: { at: number; period: number } | undefined
          for (const piece of cutAt(text, cuts))
            for (const character of piece.split('')) {
              at++
              const loop = found ? undefined : detector.add(character)
              if (loop) found = { at, period: loop.period }
            }
          expect(found).to.deep.equal(loopIn(text, period, times))
        }
      ),
      { numRuns: 3000 }
    )
  })

  it('finds a loop of characters that share the bits they are looked up by', () => {
    // 'a' and U+0161 have the same last eight bits.
    expect(new RepetitionDetector(4, 3, 0).add('a\u0161a\u0161a')).to.equal(undefined)
    expect(new RepetitionDetector(4, 3, 0).add('a\u0161a\u0161a\u0161')).to.deep.equal({
      period: 2,
      times: 3
    })
  })
})

describe('guardRepetition', () => {
  for (const [name, text] of honestTexts()) {
    it(`lets pass: ${name}`, async () => {
      expect(text.length).to.be.above(90)
      expect(
        (await all<string>(Readable.from(inPiecesOf(text, 7)), guardRepetition<string>())).join('')
      ).to.equal(text)
    })
  }

  for (const stretch of [
    'no ',
    'a',
    '\n',
    '- [ ] the same task\n',
    'I am sorry, but I cannot help with that. ',
    `${'A longer paragraph that a model says again and again, word for word. '.repeat(3)}\n\n`,
    '“これは繰り返しです。”'
  ]) {
    it(`fails with CS_ERR_REPETITION for ${JSON.stringify(stretch.slice(0, 30))} again and again`, async () => {
      const before = 'The answer begins as it should. '
      const pieces = inPiecesOf(before + stretch.repeat(2000), 5)
      const { items, error } = await run<string>(Readable.from(pieces), guardRepetition<string>())
      expect(error).to.include({ code: 'CS_ERR_REPETITION', period: stretch.length })
      expect(Number(error?.times)).to.be.at.least(8)
      const text = items.join('')
      expect(text.startsWith(before)).to.equal(true)
      // It takes no more than it must.
      expect(text.length).to.be.at.most(
        before.length + Math.max(1500, 8 * stretch.length) + stretch.length + 5
      )
      if (stretch.length > 2) expect(error?.message).to.not.include(stretch)
    })
  }

  it('fails at the very piece that closes the loop, which is passed on', async () => {
    const pieces = ['x', 'ab', 'a', 'b', 'ab', 'ab']
    const { items, error } = await run(
      Readable.from(pieces),
      guardRepetition<string>({ period: 5, times: 3 })
    )
    expect(error).to.include({ code: 'CS_ERR_REPETITION', period: 2, times: 3 })
    expect(items).to.deep.equal(['x', 'ab', 'a', 'b', 'ab'])
  })

  it('looks for no longer stretch than it is told', async () => {
    const text = 'abcdef'.repeat(100)
    expect(await all(Readable.from([text]), guardRepetition<string>({ period: 5, times: 3 }))).to.deep.equal([
      text
    ])
  })

  it('stops a server whose model repeats itself, and aborts the request', async () => {
    // Behind the loop it waits, as a model that has not ended.
    const faults = { stallAfter: { events: 2000 } }
    await using server = await serve({ script: script(`Well: ${'and so on '.repeat(5000)}`), faults })
    const { items, error } = await run<string>(ask(server), toChunks(), guardRepetition<Chunk>(), toText())
    expect(error).to.have.property('code', 'CS_ERR_REPETITION')
    expect(items.join('')).to.match(/^Well: and so on/)
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })

  const looping = 'again '.repeat(300)
  const kinds: Record<string, Piece> = {
    content: { at: 0, text: looping },
    reasoning: { at: 0, reasoning: looping },
    refusal: { at: 0, refusal: looping },
    'arguments of a tool call': { at: 0, toolCall: { id: 'call_1', name: 'say', arguments: looping } }
  }
  for (const [kind, piece] of Object.entries(kinds))
    for (const endpoint of ['chat', 'responses'] as const) {
      it(`watches ${kind} (${endpoint})`, async () => {
        await using server = await serve({ script: { choices: [{ pieces: [piece] }] } })
        const { error } = await run(ask(server, endpoint), toChunks(), guardRepetition<Chunk>())
        expect(error).to.include({ code: 'CS_ERR_REPETITION', period: 6 })
      })
    }

  it('watches each of several choices by itself', async () => {
    // Both say the same in turn, which is no repetition of either.
    const text = Array.from({ length: 400 }, (_, n) => `${n} `).join('')
    await using server = await serve({ script: script(Array.from({ length: 12 }, () => text)) })
    await all(ask(server), toChunks(), guardRepetition<Chunk>({ times: 4 }))
  })

  it('begins anew with each completion of a log', async () => {
    const one = delta({ content: 'Yes. ' }) + finish() + endMark
    await all(Readable.from([one.repeat(50)]), toChunks(), guardRepetition<Chunk>({ times: 3 }))
  })

  it('works inside compose', async () => {
    await using server = await serve({ script: script('no '.repeat(1000)) })
    const { error } = await run(compose(ask(server), toChunks(), toText(), guardRepetition<string>()))
    expect(error).to.have.property('code', 'CS_ERR_REPETITION')
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is neither text nor a chunk', async () => {
    const { error } = await run(Readable.from([Buffer.from('text')]), guardRepetition())
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  for (const [name, options] of Object.entries({
    'period: 0': { period: 0 },
    'period: 1.5': { period: 1.5 },
    'period: Infinity': { period: Number.POSITIVE_INFINITY },
    'times: 1': { times: 1 },
    'times: 2.5': { times: 2.5 },
    'an unknown option': { repeats: 3 }
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(() => guardRepetition(options))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

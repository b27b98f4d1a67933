import { expect } from 'chai'
import { diff } from '#lib/cli/diff.js'
import { errorLine, seconds, summaryLine } from '#lib/cli/words.js'
import type { Entry } from '#lib/recording/format.js'
import type { Summary } from '#lib/tap/summary-record.js'

const said = (content: string, id = 'a') => ({ id, choices: [{ index: 0, delta: { content } }] })
const finish = (usage?: object) => ({
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
  ...(usage && { usage })
})

function entriesOf(chunks: object[], gap = 10): Entry[] {
  return [
    { kind: 'beginning', began: '' },
    ...chunks.map(
      (chunk, place): Entry => ({
        kind: 'piece',
        at: 100 + place * gap,
        bytes: Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`)
      })
    ),
    { kind: 'end', at: 2000, end: 'end' }
  ]
}

async function linesOf(one: object[], other: object[], timed = [true, true]): Promise<string> {
  const [a = true, b = true] = timed
  const { isSame, lines } = await diff(
    { entries: entriesOf(one), hasTimes: a },
    { entries: entriesOf(other, 20), hasTimes: b }
  )
  return [`same: ${isSame}`, ...lines].join('\n')
}

describe('diff', () => {
  it('takes two answers for the same whose ids and times differ', async () => {
    const lines = await linesOf(
      [said('one'), said(' two'), finish()],
      [said('one', 'b'), said(' two', 'b'), finish()]
    )
    expect(lines).to.equal(
      [
        'same: true',
        'chunks   the same, 3 chunks',
        'text     the same, 7 characters',
        'end      the same: complete (stop)',
        'usage    the same: none',
        'times    a: first token 100 ms, all 2.00 s, gaps 10.0 ms (p50), 10.0 ms (p95), 10 ms at most',
        '         b: first token 100 ms, all 2.00 s, gaps 20.1 ms (p50), 20.1 ms (p95), 20 ms at most'
      ].join('\n')
    )
  })

  it('says where texts and chunks differ, and shows both', async () => {
    const usage = { completion_tokens: 2 }
    const lines = await linesOf([said('one two'), finish(usage)], [said('one three')])
    expect(lines).to.include(
      'same: false\nchunks   2 and 1, the first that differs is number 1\n         a: {'
    )
    expect(lines).to.include(
      'text     7 and 9 characters, they differ at number 6\n         a: "one two"\n         b: "one three"'
    )
    expect(lines).to.include('end      a: complete (stop)\n         b: truncated: CS_ERR_TRUNCATED: ')
    expect(lines).to.include('usage    a: ? tokens in, 2 out\n         b: none')
  })

  it('says that one has more chunks, shortened', async () => {
    const lines = await linesOf([said('one')], [said('one'), said('a'.repeat(500))])
    expect(lines).to.match(/the first that differs is number 2\n +a: none\n +b: \{.{298,302}…/)
  })

  it('tells no times of what has none', async () => {
    const answer = [said('one'), finish()]
    expect(await linesOf(answer, answer, [false, true])).to.match(
      /\ntimes {4}a: none\n {9}b: first token 100 ms/
    )
    expect(await linesOf(answer, answer, [false, false]))
      .to.match(/^same: true\n/)
      .and.not.to.match(/times/)
  })

  it('compares answers without a token', async () => {
    expect(await linesOf([], [])).to.match(/^same: true\n.*times +a: no token, all 2\.00 s/s)
  })
})

describe('the words of the command', () => {
  const summary: Summary = {
    outcome: 'complete',
    usageStatus: 'missing',
    isWhole: true,
    finishReasons: {},
    chunks: 1,
    characters: 0,
    total: 1
  }

  it('leave out what is not known', () => {
    expect(summaryLine(summary, false)).to.equal('complete · no finish reason · 1 chunk, no usage')
    expect(summaryLine({ ...summary, usage: {} as never }, true)).to.equal(
      'complete · no finish reason · ? tokens in, ? out · 1 ms in all'
    )
    expect(summaryLine({ ...summary, firstToken: 1500, tokensPerSecond: 9.6 }, true)).to.include(
      'first token after 1.50 s · 10 tokens/s'
    )
  })

  it('say errors in one line', () => {
    expect(errorLine(new Error('a\nb'))).to.equal('a b')
    expect(errorLine('text')).to.equal('text')
    expect(seconds(999)).to.equal('999 ms')
  })
})

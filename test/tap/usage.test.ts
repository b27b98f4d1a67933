import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { CompletionError, compose, tapUsage, toChunks, type Usage } from 'completion-streams'
import { eventStream, outcomeOf } from '../pieces.js'

const counts = (total_tokens: number) => ({
  prompt_tokens: 1,
  completion_tokens: total_tokens - 1,
  total_tokens
})
const text = { id: 'a', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] }
const finish = { id: 'a', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const done = '[DONE]'

/** The totals that are reported for an event stream. */
async function totalsOf(...payloads: (object | string)[]): Promise<number[]> {
  const totals: number[] = []
  const tap = tapUsage(({ total_tokens }) => void totals.push(total_tokens))
  const { error } = await outcomeOf([eventStream(...payloads)], toChunks(), tap)
  if (error) throw error
  return totals
}

describe('tapUsage', () => {
  it('passes the very chunks on', async () => {
    const chunks = [text, finish, { choices: [], usage: counts(3) }]
    const tap = tapUsage(() => {})
    const { items } = await outcomeOf(chunks, tap)
    expect(items).to.have.length(3)
    expect(chunks.every((chunk, n) => chunk === items[n])).to.equal(true)
  })

  it('calls back with what the provider sent', async () => {
    const usage = { ...counts(3), cost: 0.1, completion_tokens_details: null }
    const reported: Usage[] = []
    const tap = tapUsage(value => void reported.push(value))
    await outcomeOf([{ choices: [], usage }], tap)
    expect(reported).to.deep.equal([usage])
  })

  const places: [name: string, payloads: (object | string)[], totals: number[]][] = [
    ['no chunk', [text, finish, done], []],
    ['null only', [{ ...text, usage: null }, { ...finish, usage: null }, done], []],
    [
      'a chunk of its own (OpenAI)',
      [{ ...text, usage: null }, finish, { choices: [], usage: counts(3) }, done],
      [3]
    ],
    ['a chunk without choices', [text, finish, { id: 'a', usage: counts(3) }, done], [3]],
    ['the chunk of the finish reason (Mistral)', [text, { ...finish, usage: counts(3) }, done], [3]],
    [
      'every chunk, cumulative (Perplexity)',
      [
        { ...text, usage: counts(2) },
        { ...finish, usage: counts(3) }
      ],
      [3]
    ],
    [
      'x_groq (Groq)',
      [{ ...text, x_groq: { id: 'r' } }, { ...finish, x_groq: { usage: counts(3) } }, done],
      [3]
    ],
    [
      'both places of Groq',
      [{ ...finish, x_groq: { usage: counts(3) } }, { choices: [], usage: counts(4) }, done],
      [4]
    ],
    [
      'response.completed (Responses)',
      [
        { type: 'response.created', response: { usage: null } },
        { type: 'response.completed', response: { usage: counts(3) } }
      ],
      [3]
    ],
    [
      'a chunk for each of n = 2',
      [
        text,
        { ...finish, usage: counts(3) },
        { id: 'a', choices: [{ index: 1, delta: {}, finish_reason: 'stop' }], usage: counts(5) }
      ],
      [5]
    ],
    ['a chunk before a later null', [{ ...text, usage: counts(3) }, { ...finish, usage: null }, done], [3]],
    [
      'a chunk before a moderation chunk',
      [finish, { choices: [], usage: counts(3) }, { id: 'm', choices: [] }, done],
      [3]
    ],
    [
      'a chunk before an empty delta',
      [{ ...finish, usage: counts(3) }, { choices: [{ delta: {} }] }, done],
      [3]
    ],
    ['a chunk behind [DONE]', [text, done, { id: 'a', choices: [], usage: counts(3) }], [3]],
    ['a chunk in an array', [[text, { ...finish, usage: counts(3) }], done], [3]]
  ]
  for (const [name, payloads, totals] of places) {
    it(`calls back ${totals.length === 0 ? 'never' : 'once'} for usage in ${name}`, async () => {
      expect(await totalsOf(...payloads)).to.deep.equal(totals)
    })
  }

  it('calls back once for each completion of a log that reports any', async () => {
    const completion = (total: number) => [text, { ...finish, usage: counts(total) }, done]
    const log = [...completion(3), ...completion(4), text, finish, done, ...completion(5)]
    expect(await totalsOf(...log)).to.deep.equal([3, 4, 5])
  })

  it('calls back once for each completion of a log without end marks', async () => {
    const completion = (id: string, total: number) => [
      { ...text, id },
      { ...finish, id, usage: counts(total) }
    ]
    expect(await totalsOf(...completion('a', 3), ...completion('b', 4))).to.deep.equal([3, 4])
  })

  it('calls back once for a stream in which every chunk has an id of its own (groq/compound)', async () => {
    const chunks = ['a', 'b', 'c'].map((id, n) => ({ ...text, id, usage: counts(n + 2) }))
    expect(await totalsOf(...chunks, done)).to.deep.equal([4])
  })

  const returning: [what: string, give: (count: number) => unknown][] = [
    ['what is no promise, as push does', count => count],
    ['a promise of something, as a database does', count => Promise.resolve(count)]
  ]
  for (const [what, give] of returning) {
    it(`takes a callback that returns ${what}`, async () => {
      const totals: number[] = []
      const push = ({ total_tokens }: Usage) => give(totals.push(total_tokens))
      const completion = [text, { ...finish, usage: counts(3) }, done]
      // JavaScript does not mind what a callback returns.
      const tap = tapUsage(push as (usage: Usage) => void)
      const { error, items } = await outcomeOf([eventStream(...completion, ...completion)], toChunks(), tap)
      expect(error).to.equal(undefined)
      expect(items).to.have.length(4)
      expect(totals).to.deep.equal([3, 3])
    })
  }

  it('awaits the callback before the next completion is passed on, and before it ends', async () => {
    const order: string[] = []
    const tap = tapUsage(async ({ total_tokens }) => {
      order.push(`writing ${total_tokens}`)
      await new Promise(resolve => setImmediate(resolve))
      order.push(`written ${total_tokens}`)
    })
    const pass = tap.push
    tap.push = chunk => {
      order.push(chunk === null ? 'end' : chunk.id)
      return pass.call(tap, chunk)
    }
    await outcomeOf(
      [
        { ...finish, usage: counts(3) },
        { ...text, id: 'b', usage: counts(4) }
      ],
      tap
    )
    expect(order).to.deep.equal(['a', 'writing 3', 'written 3', 'b', 'writing 4', 'written 4', 'end'])
  })

  for (const [name, fail] of Object.entries({
    throws: () => {
      throw new Error('disk full')
    },
    rejects: () => Promise.reject(new Error('disk full')),
    'rejects with later': () =>
      new Promise<void>((_, reject) => {
        setImmediate(() => reject(new Error('disk full')))
      })
  })) {
    it(`fails with what the callback ${name}, after all chunks have been taken, and calls once`, async () => {
      let calls = 0
      const tap = tapUsage(() => {
        calls++
        return fail()
      })
      const { items, error } = await outcomeOf([text, { ...finish, usage: counts(3) }], tap)
      expect(error).to.have.property('message', 'disk full')
      expect(items).to.have.length(2)
      expect(calls).to.equal(1)
    })

    it(`fails with what the callback ${name} between two completions`, async () => {
      const chunks = [
        { ...finish, usage: counts(3) },
        { ...text, id: 'b' }
      ]
      const tap = tapUsage(fail)
      const { items, error } = await outcomeOf(chunks, tap)
      expect(error).to.have.property('message', 'disk full')
      expect(items).to.deep.equal(chunks.slice(0, 1))
    })
  }

  it('calls back when the stream fails with CS_ERR_TRUNCATED, with what was used until then', async () => {
    const totals: number[] = []
    const tap = tapUsage(({ total_tokens }) => void totals.push(total_tokens))
    const { error } = await outcomeOf([eventStream({ ...text, usage: counts(3) })], toChunks(), tap)
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(totals).to.deep.equal([3])
  })

  it('calls back when a response fails with CS_ERR_PROVIDER (Responses)', async () => {
    const totals: number[] = []
    const failed = {
      type: 'response.failed',
      response: { error: { message: 'Overloaded' }, usage: counts(3) }
    }
    const tap = tapUsage(({ total_tokens }) => void totals.push(total_tokens))
    const { error } = await outcomeOf(
      [eventStream({ type: 'response.created' }, failed)],
      compose(toChunks(), tap)
    )
    expect(error).to.have.property('code', 'CS_ERR_PROVIDER')
    expect(totals).to.deep.equal([3])
  })

  it('calls back when its reader leaves', async () => {
    const totals: number[] = []
    const tap = tapUsage(({ total_tokens }) => void totals.push(total_tokens))
    for await (const _ of Readable.from([{ ...text, usage: counts(3) }, finish]).pipe(tap)) break
    expect(totals).to.deep.equal([3])
  })

  for (const onUsage of [undefined, null, 'log', {}]) {
    it(`throws CS_ERR_INVALID_OPTION for ${inspect(onUsage)}`, () => {
      expect(() => tapUsage(onUsage as never))
        .to.throw(CompletionError, 'onUsage is ')
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const item of ['Dear diary', Buffer.from('data: {}'), { data: '{}' }, 12]) {
    it(`fails with CS_ERR_INVALID_CHUNK for ${inspect(item)}, and does not show text`, async () => {
      const tap = tapUsage(() => {})
      const { error } = await outcomeOf([item], tap)
      expect(error).to.be.instanceOf(CompletionError).with.property('code', 'CS_ERR_INVALID_CHUNK')
      expect(error?.message)
        .to.match(/^tapUsage takes chunks, not /)
        .and.to.not.include('diary')
    })
  }
})

import { expect } from 'chai'
import { type Outcome, type Summary, SummaryRecord } from '#lib/tap/summary-record.js'

const head = { id: 'chatcmpl-1', model: 'gpt-4o-mini' }
const usage = { prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 }

function chunk(delta: object, index = 0, rest: object = {}): object {
  return { ...head, choices: [{ index, delta, finish_reason: null }], ...rest }
}

function text(content: string, index = 0): object {
  return chunk({ content }, index)
}

function finish(finish_reason: string, index = 0): object {
  return { ...head, choices: [{ index, delta: {}, finish_reason }] }
}

/** The summary of chunks, each with the time it comes at; the stream begins at 1000 and ends at 2000. */
function summaryOf(
  chunks: [at: number, chunk: object][],
  { withText = false, outcome = 'complete' as Outcome, error = undefined as Error | undefined } = {}
): Summary {
  const record = new SummaryRecord(withText, 1000)
  for (const [at, chunk] of chunks) record.add(chunk, at)
  return record.end(outcome, error, 2000)
}

describe('SummaryRecord', () => {
  it('tells all that is to be known of a completion', () => {
    const summary = summaryOf(
      [
        [1100, chunk({ role: 'assistant', content: '' })],
        [1200, text('Hello')],
        [1210, text(' there')],
        [1250, text('!')],
        [1300, finish('stop')],
        [1310, { ...head, choices: [], usage }]
      ],
      { withText: true }
    )
    expect(summary).to.deep.equal({
      outcome: 'complete',
      isWhole: true,
      id: 'chatcmpl-1',
      model: 'gpt-4o-mini',
      usage,
      usageStatus: 'reported',
      tokens: { input: 5, output: 8, total: 13 },
      finishReasons: { 0: 'stop' },
      chunks: 6,
      characters: 12,
      firstChunk: 100,
      firstToken: 200,
      total: 1000,
      gaps: summary.gaps,
      // Eight tokens in the 800 milliseconds from the first one to the end.
      tokensPerSecond: 10,
      text: 'Hello there!'
    })
  })

  it('leaves out what is not known', () => {
    expect(summaryOf([], { outcome: 'aborted' })).to.deep.equal({
      outcome: 'aborted',
      isWhole: false,
      usageStatus: 'missing',
      finishReasons: {},
      chunks: 0,
      characters: 0,
      total: 1000
    })
  })

  it('reads the same before and after JSON', () => {
    const summary = summaryOf([[1100, text('Hello')]])
    expect(JSON.parse(JSON.stringify(summary))).to.deep.equal(summary)
  })

  it('tells how it ended, and of the error', () => {
    const error = new Error('the socket died')
    expect(summaryOf([], { outcome: 'failed', error })).to.include({ outcome: 'failed', error })
  })

  it('counts from the moment that it is told of, if no chunk came before', () => {
    const record = new SummaryRecord(false, 0)
    record.start(1000)
    record.add(text('a'), 1010)
    record.start(1500)
    expect(record.end('complete', undefined, 2000)).to.include({
      firstChunk: 10,
      firstToken: 10,
      total: 1000
    })
  })

  it('gives the gaps between tokens to a hundredth of their value', () => {
    const times = Array.from({ length: 101 }, (_, place) => 1100 + (place * (place + 1)) / 2)
    const { gaps } = summaryOf(times.map(at => [at, text('a')]))
    // The gaps are 1, 2, … 100 milliseconds.
    expect(gaps?.p50).to.be.closeTo(50, 0.5)
    expect(gaps?.p95).to.be.closeTo(95, 0.95)
    expect(gaps?.max).to.be.closeTo(100, 1)
  })

  it('measures gaps from token to token, whatever stands between', () => {
    const { gaps } = summaryOf([
      [1000, text('a')],
      [1030, chunk({})],
      [1060, { ...head, choices: [], usage: null }],
      [1100, text('b')]
    ])
    expect(gaps?.max).to.be.closeTo(100, 1)
  })

  it('knows no gaps where there are not two tokens', () => {
    expect(summaryOf([[1100, text('a')]])).not.to.have.property('gaps')
  })

  it('takes a gap of more than an hour for an hour, and none for the least there is', () => {
    const hours = summaryOf([
      [1000, text('a')],
      [90_000_000, text('b')]
    ])
    expect(hours.gaps?.max).to.be.closeTo(3_600_000, 36_000)
    const none = summaryOf([
      [1000, text('a')],
      [1000, text('b')]
    ])
    expect(none.gaps?.max).to.be.closeTo(0.001, 0.001)
  })

  for (const [name, delta] of Object.entries({
    'of the answer': { content: 'a' },
    'of an answer in parts': { content: [{ type: 'text', text: 'a' }] },
    'of the reasoning': { reasoning_content: 'a' },
    'of reasoning in parts': { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'a' }] }] },
    'of a refusal': { refusal: 'a' },
    'of a tool call': { tool_calls: [{ index: 0, function: { arguments: '{' } }] },
    'of a legacy function call': { function_call: { arguments: '{' } }
  })) {
    it(`takes a piece ${name} for a token`, () => {
      expect(
        summaryOf([
          [1100, chunk({ role: 'assistant' })],
          [1200, chunk(delta)]
        ])
      ).to.include({ firstToken: 200 })
    })
  }

  for (const [name, delta] of Object.entries({
    'a role': { role: 'assistant' },
    'an empty text': { content: '', reasoning_content: '', refusal: '' },
    nulls: { content: null, refusal: null, tool_calls: null, function_call: null },
    'an empty list of tool calls': { content: '', tool_calls: [] },
    nothing: {}
  })) {
    it(`takes no delta with ${name} for a token`, () => {
      const summary = summaryOf([[1100, chunk(delta)]])
      expect(summary).to.include({ firstChunk: 100 })
      expect(summary).not.to.have.property('firstToken')
    })
  }

  for (const type of [
    'response.output_text.delta',
    'response.reasoning_summary_text.delta',
    'response.refusal.delta',
    'response.function_call_arguments.delta'
  ]) {
    it(`takes a ${type} for a token`, () => {
      expect(summaryOf([[1300, { type, delta: 'a' }]])).to.include({ firstToken: 300 })
    })
  }

  it('counts the characters of the answer, of all choices, in UTF-16 code units', () => {
    const chunks = [text('Hi'), text('😀', 1), chunk({ reasoning_content: 'hm' }), chunk({ refusal: 'no' })]
    expect(summaryOf(chunks.map(chunk => [1100, chunk]))).to.include({ characters: 4 })
  })

  it('carries the text of choice 0 as far as it came', () => {
    const chunks = [text('Hel'), text('other', 1), chunk({ reasoning_content: 'hm' }), text('lo')]
    expect(
      summaryOf(
        chunks.map(chunk => [1100, chunk]),
        { withText: true }
      )
    ).to.include({ text: 'Hello' })
    expect(summaryOf([], { withText: true })).to.include({ text: '' })
  })

  it('knows the finish reason of each choice, raw', () => {
    const chunks = [
      finish('stop'),
      finish('eos', 2),
      finish('', 1),
      { choices: [null, { finish_reason: 'length' }] }
    ]
    expect(summaryOf(chunks.map(chunk => [1100, chunk]))).to.deep.include({
      finishReasons: { 0: 'length', 2: 'eos' }
    })
  })

  it('takes the first id and model that say anything (Azure, Groq)', () => {
    const chunks = [
      { id: '', model: '', choices: [] },
      { id: 'a', model: 'm', choices: [] },
      { id: 'b', model: 'n', choices: [] }
    ]
    expect(summaryOf(chunks.map(chunk => [1100, chunk]))).to.include({ id: 'a', model: 'm' })
  })

  it('takes the last usage that was reported', () => {
    const later = { ...usage, completion_tokens: 9 }
    const chunks = [
      { choices: [], usage },
      { choices: [], usage: later },
      { choices: [], usage: null }
    ]
    expect(summaryOf(chunks.map(chunk => [1100, chunk]))).to.deep.include({
      usage: later,
      usageStatus: 'reported'
    })
  })

  for (const { name, report, rate } of [
    { name: 'completion_tokens', report: { completion_tokens: 16 }, rate: 20 },
    { name: 'output_tokens', report: { output_tokens: 16 }, rate: 20 },
    { name: 'no tokens', report: { total_tokens: 16 }, rate: undefined },
    { name: 'null', report: { completion_tokens: null }, rate: undefined }
  ]) {
    it(`gives tokens per second of a usage that reports ${name}: ${rate}`, () => {
      const summary = summaryOf([
        [1200, text('a')],
        [1900, { choices: [], usage: report }]
      ])
      expect(summary.tokensPerSecond).to.equal(rate)
    })
  }

  it('gives no tokens per second where no time has passed since the first', () => {
    const summary = summaryOf([[2000, { ...text('a'), usage }]])
    expect(summary).to.deep.include({ usage, firstToken: 1000 })
    expect(summary).not.to.have.property('tokensPerSecond')
  })

  describe('of a Responses stream', () => {
    const response = { id: 'resp_1', model: 'gpt-5', status: 'in_progress', output: [], usage: null }
    const created = { type: 'response.created', response }

    it('tells the same', () => {
      const responseUsage = { input_tokens: 5, output_tokens: 8, total_tokens: 13 }
      const ended = { ...response, status: 'completed', usage: responseUsage }
      const summary = summaryOf(
        [
          [1100, created],
          [1200, { type: 'response.output_text.delta', delta: 'Hel' }],
          [1300, { type: 'response.output_text.delta', delta: 'lo' }],
          [1400, { type: 'response.completed', response: ended }]
        ],
        { withText: true }
      )
      expect(summary).to.deep.include({
        id: 'resp_1',
        model: 'gpt-5',
        usage: responseUsage,
        finishReasons: { 0: 'completed' },
        chunks: 4,
        characters: 5,
        firstChunk: 100,
        firstToken: 200,
        tokensPerSecond: 10,
        text: 'Hello'
      })
    })

    it('takes what it is incomplete for as the finish reason', () => {
      const ended = { ...response, status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }
      const { finishReasons } = summaryOf([[1100, { type: 'response.incomplete', response: ended }]])
      expect(finishReasons).to.deep.equal({ 0: 'max_output_tokens' })
    })

    for (const [reason, event] of Object.entries({
      incomplete: { type: 'response.incomplete' },
      max_output_tokens: {
        type: 'response.completed',
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' }
      },
      cancelled: { type: 'response.done', response: { status: 'cancelled' } },
      in_progress: { type: 'response.completed', response: { status: 'in_progress' } }
    }))
      it(`is not whole behind ${JSON.stringify(event)}`, () => {
        const { finishReasons, isWhole } = summaryOf([[1100, event]])
        expect({ finishReasons, isWhole }).to.deep.equal({ finishReasons: { 0: reason }, isWhole: false })
      })

    it('is whole behind a terminal that says nothing else', () => {
      expect(summaryOf([[1100, { type: 'response.completed' }]])).to.include({ isWhole: true })
    })

    for (const status of ['in_progress', 'queued']) {
      it(`knows no finish reason while it is ${status}`, () => {
        const { finishReasons } = summaryOf([[1100, { ...created, response: { ...response, status } }]])
        expect(finishReasons).to.deep.equal({})
      })
    }
  })
})

import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  choicesOf,
  finishReasonOf,
  incompleteReasonOf,
  indexOf,
  isTerminal,
  responseOf,
  responseStatusOf,
  usageOf
} from '#lib/chunk/fields.js'

describe('choicesOf', () => {
  it('gives the choices', () => {
    const choices = [{ index: 0 }, { index: 1 }]
    expect(choicesOf({ choices })).to.equal(choices)
  })

  for (const chunk of [{}, { choices: null }, { choices: {} }, { choices: 'none' }]) {
    it(`gives none for ${inspect(chunk)}`, () => {
      expect(choicesOf(chunk)).to.deep.equal([])
    })
  }
})

describe('indexOf', () => {
  it('gives the index, and 0 where there is none', () => {
    expect([{ index: 2 }, {}, { index: null }].map(indexOf)).to.deep.equal([2, 0, 0])
  })

  it('reads one that is a text', () => {
    expect([{ index: '2' }, { index: '-1' }, { index: 'x' }].map(indexOf)).to.deep.equal([2, -1, 0])
  })
})

describe('finishReasonOf', () => {
  for (const reason of ['stop', 'eos', 'end_turn', 'tool_calls']) {
    it(`gives ${reason} as it came`, () => {
      expect(finishReasonOf({ finish_reason: reason })).to.equal(reason)
    })
  }

  for (const reason of ['', null, undefined, false, 0, {}]) {
    it(`counts ${inspect(reason)} as none`, () => {
      expect(finishReasonOf({ finish_reason: reason })).to.equal(undefined)
    })
  }
})

describe('isTerminal', () => {
  it('knows the two events that end a Responses stream in good order', () => {
    expect(['response.completed', 'response.incomplete'].map(type => isTerminal({ type }))).to.deep.equal([
      true,
      true
    ])
  })

  for (const type of [
    'response.failed',
    'response.created',
    'response.output_text.done',
    'completed',
    undefined
  ]) {
    it(`does not take ${type} for one`, () => {
      expect(isTerminal({ type })).to.equal(false)
    })
  }
})

describe('responseOf', () => {
  it('gives the response in an event, or the event itself where it closes the stream with the fields of one', () => {
    const response = { id: 'r' }
    expect(responseOf({ type: 'response.created', response })).to.equal(response)
    const terminal = {
      type: 'response.completed',
      id: 'r',
      status: 'incomplete',
      incomplete_details: { reason: 'a' }
    }
    expect(responseOf(terminal)).to.equal(terminal)
    expect(incompleteReasonOf(terminal)).to.equal('a')
    expect(responseOf({ type: 'response.created', id: 'r' })).to.equal(undefined)
    expect(responseOf({ type: 'response.output_text.delta' })).to.equal(undefined)
  })
})

describe('responseStatusOf', () => {
  for (const [type, status, wanted] of [
    ['response.completed', undefined, 'completed'],
    ['response.completed', 'failed', 'failed'],
    ['response.completed', 7, 'completed'],
    ['response.done', 'cancelled', 'cancelled'],
    ['response.incomplete', 'completed', 'incomplete'],
    ['response.cancelled', undefined, 'cancelled'],
    ['response.failed', 'in_progress', 'failed'],
    ['response.created', 'in_progress', 'in_progress'],
    ['response.created', undefined, undefined]
  ] as const) {
    it(`is ${wanted} for ${type} of the status ${status}`, () => {
      expect(responseStatusOf({ type, response: { status } })).to.equal(wanted)
    })
  }
})

describe('usageOf', () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }

  for (const [place, chunk] of Object.entries({
    'the top of a chunk without choices': { usage },
    'the top of a chunk with no choice (OpenAI)': { choices: [], usage },
    'the chunk of the finish reason': { choices: [{ finish_reason: 'stop' }], usage },
    'x_groq (Groq)': { x_groq: { id: 'req_1', usage } },
    'x_groq beside a null (Groq)': { usage: null, x_groq: { usage } },
    'the terminal event (Responses)': { type: 'response.completed', response: { usage } },
    'a choice (Moonshot)': { choices: [{ index: 0, delta: {}, usage }] }
  })) {
    it(`finds the usage at ${place}`, () => {
      expect(usageOf(chunk)).to.equal(usage)
    })
  }

  it('hands on usage whose fields are null', () => {
    const unfilled = { prompt_tokens: 1, completion_tokens: null, total_tokens: null }
    expect(usageOf({ usage: unfilled })).to.equal(unfilled)
  })

  for (const chunk of [
    {},
    { usage: null },
    { usage: 12 },
    { usage: 'none' },
    { choices: [null] },
    { x_groq: null },
    { x_groq: { id: 'req_1' } },
    { response: null },
    { response: { usage: null } },
    { response: 'text' }
  ]) {
    it(`finds none in ${inspect(chunk, { depth: 3 })}`, () => {
      expect(usageOf(chunk)).to.equal(undefined)
    })
  }
})

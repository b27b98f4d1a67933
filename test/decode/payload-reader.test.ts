import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import type { CompletionError } from 'completion-streams'
import { drain, toChunks } from 'completion-streams'
import { eventStream, outcomeOf } from '../pieces.js'
import { expectRead, readIn } from './ways.js'

const usage = { prompt_tokens: 4, completion_tokens: 5, total_tokens: 9 }
const done = '[DONE]'

function said(content: string, more: object = {}, index = 0): object {
  return { id: 'p', choices: [{ index, delta: { content }, finish_reason: null }], ...more }
}

function ended(finish_reason: string, more: object = {}, index = 0): object {
  return { id: 'p', choices: [{ index, delta: {}, finish_reason }], ...more }
}

const used = { id: 'p', choices: [], usage }
const response = { id: 'r', object: 'response', output: [] }
const spoke = { type: 'response.output_text.delta', item_id: 'm', output_index: 0, delta: 'Yes' }

describe('PayloadReader', () => {
  describe('a finish reason that reports a failure', () => {
    for (const reason of [
      'error',
      'network_error',
      'abort',
      'insufficient_system_resource',
      'engine_overloaded',
      'ERROR',
      'timeout'
    ]) {
      it(`is CS_ERR_PROVIDER after the text, with the usage behind it: ${reason}`, async () => {
        const body = eventStream(said('One'), said(' two'), ended(reason), used, done)
        const failure = { code: 'CS_ERR_PROVIDER', type: reason, finishReason: reason }
        await expectRead(body, { text: 'One two', usage, ...failure })
      })
    }

    it('is CS_ERR_PROVIDER at the end of the input, without usage or [DONE]', async () => {
      const body = eventStream(said('One'), ended('network_error'))
      await expectRead(body, { text: 'One', code: 'CS_ERR_PROVIDER', type: 'network_error' })
    })

    it('is CS_ERR_PROVIDER in a chunk that has text, usage and all', async () => {
      const chunk = { choices: [{ index: 0, delta: { content: ' two' }, finish_reason: 'abort' }], usage }
      const body = eventStream(said('One'), chunk, done)
      await expectRead(body, { text: 'One two', usage, code: 'CS_ERR_PROVIDER', type: 'abort' })
    })

    it('is CS_ERR_PROVIDER after the text of the choices that went on', async () => {
      const body = eventStream(
        said('a', {}, 1),
        said('One'),
        ended('error', {}, 1),
        said(' two'),
        ended('stop'),
        used,
        done
      )
      await expectRead(body, { text: 'One two', usage, code: 'CS_ERR_PROVIDER', type: 'error' })
    })

    it('is CS_ERR_PROVIDER in the legacy API', async () => {
      const body = eventStream(
        { object: 'text_completion', choices: [{ index: 0, text: 'One', finish_reason: null }] },
        { object: 'text_completion', choices: [{ index: 0, text: ' two', finish_reason: 'abort' }] },
        done
      )
      await expectRead(body, { text: 'One two', code: 'CS_ERR_PROVIDER', type: 'abort' })
    })

    for (const [name, body] of Object.entries({
      'a whole answer': JSON.stringify({
        object: 'chat.completion',
        choices: [
          { index: 0, message: { role: 'assistant', content: 'One' }, finish_reason: 'network_error' }
        ],
        usage
      }),
      'a whole answer of the legacy API': JSON.stringify({
        object: 'text_completion',
        choices: [{ index: 0, text: 'One', finish_reason: 'network_error' }],
        usage
      }),
      'lines of JSON': `${JSON.stringify(said('One'))}\n${JSON.stringify(ended('network_error'))}\n${JSON.stringify(used)}\n`
    })) {
      it(`is CS_ERR_PROVIDER in ${name}`, async () => {
        const failure = { code: 'CS_ERR_PROVIDER', type: 'network_error' }
        await expectRead(body, { text: 'One', usage, ...failure })
      })
    }

    for (const word of ['null', 'None', ''])
      it(`is none that is ${JSON.stringify(word)} as text`, async () => {
        const open = { choices: [{ index: 0, delta: { content: 'One' }, finish_reason: word }] }
        await expectRead(eventStream(open, ended('stop'), done), { text: 'One' })
        await expectRead(eventStream(open), { text: 'One', code: 'CS_ERR_TRUNCATED' })
      })

    it('gives way to what the provider says of it itself', async () => {
      const body = eventStream(said('One'), ended('error'), { error: { message: 'No capacity' } }, done)
      await expectRead(body, {
        code: 'CS_ERR_PROVIDER',
        message: 'provider reported an error: No capacity'
      })
    })
  })

  describe('an answer that the model did not end', () => {
    const cut = eventStream(said('One'), ended('length'), used, done)
    for (const [name, reason, body] of [
      ['length', 'length', cut],
      ['a content filter', 'content_filter', eventStream(said('One'), ended('content_filter'), done)],
      ['a filter under another name', 'SAFETY', eventStream(said('One'), ended('SAFETY'))],
      [
        'a refusal',
        'refusal',
        eventStream(said('One'), { choices: [{ index: 0, delta: { refusal: 'No.' } }] }, ended('stop'), done)
      ],
      [
        'response.incomplete',
        'max_output_tokens',
        eventStream(
          { ...spoke, delta: 'One' },
          {
            type: 'response.incomplete',
            response: {
              ...response,
              status: 'incomplete',
              incomplete_details: { reason: 'max_output_tokens' }
            }
          }
        )
      ]
    ] as const) {
      it(`passes by default: ${name}`, async () => {
        await expectRead(body, { text: 'One' })
      })

      it(`is CS_ERR_TRUNCATED with its finish reason with onCut: 'fail': ${name}`, async () => {
        const failure = { text: 'One', code: 'CS_ERR_TRUNCATED', finishReason: reason }
        await expectRead(body, failure, { onCut: 'fail' })
      })
    }

    it("still has its usage reported with onCut: 'fail'", async () => {
      await expectRead(cut, { usage, code: 'CS_ERR_TRUNCATED', finishReason: 'length' }, { onCut: 'fail' })
    })

    it("is CS_ERR_TRUNCATED in a whole answer with onCut: 'fail'", async () => {
      const choices = [{ index: 0, message: { content: 'One' }, finish_reason: 'length' }]
      const failure = { text: 'One', usage, code: 'CS_ERR_TRUNCATED', finishReason: 'length' }
      await expectRead(JSON.stringify({ choices, usage }), failure, { onCut: 'fail' })
    })

    for (const reason of ['stop', 'eos', 'end_turn', 'tool_calls', 'STOP']) {
      it(`is none that ends with ${reason}`, async () => {
        await expectRead(eventStream(said('One'), ended(reason), done), { text: 'One' }, { onCut: 'fail' })
      })
    }
  })

  describe('the end mark', () => {
    it('does not suffice where some choices have finished and others have not', async () => {
      const body = eventStream(said('One'), said('a', {}, 1), ended('stop'), done)
      await expectRead(body, { text: 'One', code: 'CS_ERR_TRUNCATED' })
      await expectRead(body, { text: 'One' }, { requireEnd: false })
    })

    it('suffices where no choice has a finish reason (Snowflake)', async () => {
      await expectRead(eventStream(said('One'), said('a', {}, 1), done), { text: 'One' })
    })

    it('does not hide that a completion before the last one is truncated', async () => {
      const first = eventStream(said('One'), said('a', {}, 1), ended('stop'), done)
      const second = eventStream(said(' two', { id: 'q' }), ended('stop', { id: 'q' }), done)
      await expectRead(first + second, { text: 'One', code: 'CS_ERR_TRUNCATED' })
    })

    for (const [name, late] of Object.entries({
      usage: used,
      'usage without choices': { id: 'p', usage },
      'a cost, without a choice (OpenCode)': { choices: [], cost: '0.01' },
      'a cost alone': { cost: '0.01' },
      'an empty delta under the same id': { ...said(''), usage }
    })) {
      it(`may be followed by ${name}, which opens nothing`, async () => {
        await expectRead(eventStream(said('One'), ended('stop'), done, late), { text: 'One' })
        await expectRead(eventStream(said('One'), ended('stop'), done, late, done), { text: 'One' })
      })
    }

    it('is no answer alone', async () => {
      await expectRead(eventStream(done), { text: '', code: 'CS_ERR_INVALID_CHUNK' })
      await expectRead(eventStream('null', done), { text: '', code: 'CS_ERR_INVALID_CHUNK' })
    })
  })

  describe('a number of choices that is known', () => {
    const one = eventStream(said('One'), ended('stop'))
    for (const [name, body] of Object.entries({
      'without [DONE]': one,
      'with [DONE]': one + eventStream(done),
      'with usage': one + eventStream(used)
    })) {
      it(`is CS_ERR_TRUNCATED where a choice never came, ${name}`, async () => {
        const read = { text: 'One', code: 'CS_ERR_TRUNCATED' }
        const message = 'the input ended before the completion was complete: 1 of 2 choices came'
        await expectRead(body, { ...read, message }, { choices: 2 })
      })
    }

    it('is complete when all have come', async () => {
      const body = eventStream(said('One'), ended('stop'), said('a', {}, 1), ended('stop', {}, 1))
      await expectRead(body, { text: 'One' }, { choices: 2 })
    })

    it('says nothing of a Responses stream', async () => {
      const completed = { type: 'response.completed', response: { ...response, status: 'completed' } }
      await expectRead(eventStream(spoke, completed), { text: 'Yes' }, { choices: 2 })
    })

    it('is CS_ERR_TRUNCATED in a whole answer', async () => {
      const choices = [{ index: 0, message: { content: 'One' }, finish_reason: 'stop' }]
      const read = { text: 'One', code: 'CS_ERR_TRUNCATED' }
      await expectRead(JSON.stringify({ choices }), read, { choices: 2 })
    })

    it('is CS_ERR_INVALID_CHUNK with more choices than maxChoices', async () => {
      const all = Array.from({ length: 5 }, (_, index) => said('a', {}, index))
      const failure = { text: 'a', code: 'CS_ERR_INVALID_CHUNK' }
      await expectRead(eventStream(...all, done), failure, { maxChoices: 4 })
      await expectRead(eventStream(...all, done), { text: 'a' }, { maxChoices: 5 })
    })
  })

  describe('a Responses stream', () => {
    const created = { type: 'response.created', response: { ...response, status: 'in_progress' } }
    const terminal = (type: string, more: object) => ({ type, response: { ...response, ...more } })

    it('ends with response.done whose status is completed, or that has none', async () => {
      const whole = terminal('response.done', { status: 'completed' })
      await expectRead(eventStream(created, spoke, whole), { text: 'Yes' })
      await expectRead(eventStream(created, spoke, terminal('response.done', {})), { text: 'Yes' })
    })

    it('is CS_ERR_TRUNCATED with response.done whose status is cancelled', async () => {
      const cancelled = terminal('response.done', { status: 'cancelled' })
      await expectRead(eventStream(created, spoke, cancelled), { text: 'Yes', code: 'CS_ERR_TRUNCATED' })
    })

    for (const type of ['response.completed', 'response.done']) {
      it(`is CS_ERR_PROVIDER with ${type} that has failed, after its usage`, async () => {
        const error = { code: 'server_error', message: 'It broke' }
        const failed = terminal(type, { status: 'failed', error, usage })
        const message = 'provider reported an error: It broke'
        const body = eventStream(created, spoke, failed)
        await expectRead(body, { text: 'Yes', usage, code: 'CS_ERR_PROVIDER', message })
        await expectRead(eventStream(spoke, terminal(type, { status: 'failed' })), {
          text: 'Yes',
          code: 'CS_ERR_PROVIDER'
        })
      })
    }

    for (const [name, cancelled] of Object.entries({
      'response.cancelled': terminal('response.cancelled', { status: 'cancelled' }),
      'response.done whose status is cancelled': terminal('response.done', { status: 'cancelled' }),
      'response.completed whose status is cancelled': terminal('response.completed', { status: 'cancelled' }),
      'response.done that is cancelled itself': { type: 'response.done', status: 'canceled' }
    }))
      it(`is CS_ERR_TRUNCATED with ${name}, with [DONE] and without`, async () => {
        for (const body of [eventStream(spoke, cancelled), eventStream(spoke, cancelled, done)]) {
          await expectRead(body, { text: 'Yes', code: 'CS_ERR_TRUNCATED' })
          await expectRead(body, { text: 'Yes' }, { requireEnd: false })
          const { finishReason } = await readIn([body], { onCut: 'fail', requireEnd: false })
          expect(finishReason).to.match(/^cancell?ed$/)
        }
      })

    it('is CS_ERR_TRUNCATED with its status as the reason in a whole body that was cancelled', async () => {
      const body = JSON.stringify({ ...response, status: 'cancelled' })
      const read = { text: '', code: 'CS_ERR_TRUNCATED' }
      await expectRead(body, read, { events: false })
      await expectRead(body, { ...read, finishReason: 'cancelled' }, { events: false, onCut: 'fail' })
    })

    for (const [name, end] of Object.entries({
      'that is bare': { type: 'response.incomplete' },
      'with fields of its own': { type: 'response.completed', status: 'incomplete' },
      'that says why only': terminal('response.completed', { incomplete_details: { reason: 'incomplete' } })
    }))
      it(`passes with a terminal ${name} that is cut, and is CS_ERR_TRUNCATED with onCut: 'fail'`, async () => {
        const body = eventStream(spoke, end)
        await expectRead(body, { text: 'Yes' })
        const failure = { code: 'CS_ERR_TRUNCATED', finishReason: 'incomplete' }
        await expectRead(body, { text: 'Yes', ...failure }, { onCut: 'fail' })
      })

    it("is CS_ERR_TRUNCATED with response.completed that still runs with onCut: 'fail'", async () => {
      const body = eventStream(spoke, terminal('response.completed', { status: 'in_progress' }))
      await expectRead(body, { text: 'Yes' })
      await expectRead(body, { text: 'Yes', code: 'CS_ERR_TRUNCATED' }, { onCut: 'fail' })
    })

    it('passes with a status of another name', async () => {
      const body = eventStream(spoke, terminal('response.completed', { status: 'succeeded' }))
      await expectRead(body, { text: 'Yes' }, { onCut: 'fail' })
    })

    for (const reason of ['server_error', 'error', 'server_timeout']) {
      it(`is CS_ERR_PROVIDER where it is incomplete for ${reason}`, async () => {
        const details = { status: 'incomplete', incomplete_details: { reason } }
        const failure = { code: 'CS_ERR_PROVIDER', type: reason, finishReason: reason }
        for (const end of [
          terminal('response.incomplete', { ...details, usage }),
          { type: 'response.incomplete', ...details, usage }
        ]) {
          await expectRead(eventStream(spoke, end), { text: 'Yes', usage, ...failure })
          await expectRead(eventStream(spoke, end, done), { text: 'Yes', ...failure }, { onCut: 'fail' })
        }
        const body = JSON.stringify({ ...response, ...details })
        await expectRead(body, { text: '', ...failure }, { events: false })
      })
    }

    it('is CS_ERR_PROVIDER where it is incomplete with an error', async () => {
      const error = { code: 'server_error', message: 'It broke' }
      const failed = terminal('response.incomplete', { status: 'incomplete', error, usage })
      const message = 'provider reported an error: It broke'
      await expectRead(eventStream(spoke, failed), { text: 'Yes', usage, code: 'CS_ERR_PROVIDER', message })
    })

    for (const [name, body] of Object.entries({
      'in its data': eventStream({ type: 'response.error', message: 'It broke' }),
      'in the line event: alone': `event: response.error\n${eventStream({ message: 'It broke' })}`,
      'over another type': `event: response.error\n${eventStream({ type: 'x', message: 'It broke' })}`,
      'over text': 'event: response.error\ndata: It broke\n\n'
    }))
      it(`is CS_ERR_PROVIDER with response.error ${name}`, async () => {
        const failure = { code: 'CS_ERR_PROVIDER', message: 'provider reported an error: It broke' }
        await expectRead(eventStream(spoke) + body, { text: 'Yes', ...failure })
        await expectRead(eventStream(spoke) + body + eventStream(done), { text: 'Yes', ...failure })
      })

    it('gives the output_text of a whole body without output', async () => {
      const body = JSON.stringify({ ...response, status: 'completed', output_text: 'Yes' })
      await expectRead(body, { text: 'Yes' }, { events: false })
    })

    it('is one completion when response.created is repeated with one id (llama.cpp)', async () => {
      const progress = { ...created, type: 'response.in_progress' }
      const completed = terminal('response.completed', { status: 'completed' })
      await expectRead(eventStream(created, progress, spoke, created, progress, spoke, completed), {
        text: 'YesYes'
      })
      await expectRead(eventStream(created, spoke, created, spoke), {
        text: 'YesYes',
        code: 'CS_ERR_TRUNCATED'
      })
    })

    it('is CS_ERR_TRUNCATED where another response begins before its terminal', async () => {
      const other = { type: 'response.created', response: { ...response, id: 's' } }
      const completed = terminal('response.completed', { id: 's', status: 'completed' })
      const body = eventStream(created, spoke, other, spoke, completed)
      await expectRead(body, { text: 'Yes', code: 'CS_ERR_TRUNCATED' })
    })

    it('may be resumed, without response.created', async () => {
      const completed = terminal('response.completed', { status: 'completed' })
      await expectRead(eventStream(spoke, completed), { text: 'Yes' })
    })

    it('may name its events in the line event: alone', async () => {
      const { type, ...delta } = spoke
      const body =
        `event: ${type}\n${eventStream(delta)}`.repeat(4) +
        `event: response.completed\n${eventStream({ response: { ...response, status: 'completed' } })}`
      await expectRead(body, { text: 'YesYesYesYes' })
    })
  })

  describe('a failure that the provider reports', () => {
    const error = { message: 'Provider gone', code: 502 }
    const failure = {
      code: 'CS_ERR_PROVIDER',
      message: 'provider reported an error: Provider gone',
      usage
    }
    for (const [name, payloads] of Object.entries({
      'beside a choice (OpenRouter)': [ended('error', { error }), used, done],
      'beside a choice, without [DONE]': [ended('error', { error }), used],
      'in a payload of its own': [{ error }, used, done],
      'beside usage': [ended('error', { error, usage }), done],
      'before keep-alives': [{ error }, { type: 'ping' }, used, done],
      'within a choice': [
        { choices: [{ index: 0, delta: {}, finish_reason: 'error', error }] },
        { usage, choices: [] },
        done
      ],
      'before response.failed': [
        { type: 'error', ...error },
        { type: 'response.failed', response: { ...response, status: 'failed', error, usage } }
      ]
    })) {
      it(`lets usage be reported first: ${name}`, async () => {
        await expectRead(eventStream(said('One'), ...payloads), { text: 'One', ...failure })
      })
    }

    it('is told before what goes on as if there were none', async () => {
      const body = eventStream(said('One'), { error }, said(' two'), used, done)
      await expectRead(body, { text: 'One', code: 'CS_ERR_PROVIDER', usage: undefined })
    })

    it('is told before what is wrong behind it', async () => {
      await expectRead(`${eventStream(said('One'), { error })}data: {oops\n\n`, { code: 'CS_ERR_PROVIDER' })
    })

    it('does not wait for a server that has ever more to say', async () => {
      const pings = Array.from({ length: 30 }, () => ({ type: 'ping' }))
      await expectRead(eventStream(said('One'), { error }, ...pings, used), {
        code: 'CS_ERR_PROVIDER',
        usage: undefined
      })
    })

    it('is told where a text and usage stand beside an error of the whole', async () => {
      const error = { error: { message: 'boom', code: 500 }, content: 'partial', usage }
      const body = eventStream(said('One'), error, done)
      await expectRead(body, {
        text: 'One',
        usage,
        code: 'CS_ERR_PROVIDER',
        message: 'provider reported an error: boom'
      })
    })

    it('is told though the server holds the connection open', async () => {
      const held = new Readable({ read() {} })
      held.push(eventStream(said('One'), { error }))
      const told = await pipeline(held, toChunks(), drain()).catch(error => error)
      expect(told).to.have.property('code', 'CS_ERR_PROVIDER')
    })
  })

  describe('a stream in which nothing is a chunk', () => {
    const foreign = { kind: 'greeting', words: ['Hello'] }
    for (const end of [[], [done]]) {
      it(`is CS_ERR_INVALID_CHUNK ${end.length ? 'with' : 'without'} [DONE], and shows how it begins`, async () => {
        const message = `nothing in the stream is a completion chunk, it begins with: ${JSON.stringify(foreign)}`
        await expectRead(eventStream(foreign, ...end), { code: 'CS_ERR_INVALID_CHUNK', message })
      })
    }

    it('is CS_ERR_INVALID_CHUNK with onInvalid: skip, too', async () => {
      await expectRead(eventStream(foreign, done), { code: 'CS_ERR_INVALID_CHUNK' }, { onInvalid: 'skip' })
    })

    it('says which API it is of, and what to ask for', async () => {
      const event = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } }
      const { message } = await readIn([eventStream(event, done)])
      expect(message).to.include("Anthropic's Messages API").and.to.include('/chat/completions')
    })

    it('may hold what is no chunk beside chunks', async () => {
      await expectRead(eventStream(foreign, said('One'), foreign, ended('stop'), done), { text: 'One' })
    })

    it('is never passed over where it may hold text', async () => {
      await expectRead(eventStream(said('One'), { text: 'lost' }, ended('stop'), done), {
        text: 'One',
        code: 'CS_ERR_INVALID_CHUNK'
      })
    })
  })

  it('lets a last chunk pass that repeats the whole answer as a message (MiniMax)', async () => {
    const message = { role: 'assistant', content: 'One' }
    const last = { object: 'chat.completion', choices: [{ index: 0, finish_reason: 'stop', message }], usage }
    await expectRead(eventStream(said('One'), last), { text: 'One', usage })
    await expectRead(eventStream(said('One'), last, done), { text: 'One', usage })
  })

  describe('the text of a completion', () => {
    const secret = 'The secret is plum'
    for (const [name, tail] of Object.entries({
      'a damaged event': `data: {"choices":[{"delta":{"content":"${secret}"}}\n\n`,
      'a line that has lost its beginning': `ent":"${secret}"}}]}\n\n`,
      'a line that has lost its end': `{"choices":[{"delta":{"content":"${secret}"}}\n\n`,
      'a payload of another form': eventStream({ text: secret })
    })) {
      it(`is in no message once a completion has begun: ${name}`, async () => {
        const body = eventStream(said('One')) + tail + eventStream(ended('stop'), done)
        const { error } = await outcomeOf([body], toChunks())
        expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
        expect(error?.beginning).to.include(secret)
        expect(error?.message).to.include("see the error's property beginning")
        expect(JSON.stringify({ ...error })).to.not.include(secret)
        expect(shownOf(error)).to.not.include(secret)
      })
    }

    it('is in no message where JSON lines are damaged', async () => {
      const body = `${JSON.stringify(said('One'))}\n{"choices":[{"delta":{"content":"${secret}"}}]]}\n`
      const { error } = await outcomeOf([body], toChunks())
      expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
      expect(shownOf(error)).to.not.include(secret)
    })

    it('is shown of what was never a completion', async () => {
      const { message } = await readIn(['data: Not today, said the gateway\n\n'])
      expect(message).to.equal('the data of an event is not JSON: Not today, said the gateway')
    })
  })
})

/** All that a log of an error has by accident. */
function shownOf(error: CompletionError | undefined): string {
  const cause = error?.cause
  return `${error?.message} ${error?.stack} ${cause instanceof Error ? cause.message : JSON.stringify(cause)}`
}

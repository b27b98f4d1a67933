import { on } from 'node:events'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { compose, type ToolCall, toChunks, toCompletion, toToolCalls } from 'completion-streams'
import { type Script, type ScriptedChoice, script } from 'completion-streams/testing'
import type { ChatCompletion } from 'openai/resources'
import {
  all,
  ask,
  clientOf,
  delta,
  endMark,
  endpoints,
  event,
  finish,
  questions,
  run,
  serve,
  settle
} from '../answers.js'
import { eventStream } from '../pieces.js'

const pieces: ScriptedChoice['pieces'] = [
  { at: 0, toolCall: { id: 'call_1', name: 'weather' } },
  { at: 1, toolCall: { arguments: '{"city":' } },
  { at: 2, toolCall: { arguments: '"Rome"}' } },
  { at: 3, toolCall: { index: 1, id: 'call_2', name: 'time', arguments: '{"zo' } },
  { at: 4, toolCall: { index: 1, arguments: 'ne":1}' } }
]
const twoCalls: Script = { choices: [{ pieces }] }

const weather = { name: 'weather', arguments: '{"city":"Rome"}', parsed: { city: 'Rome' } }
const time = { name: 'time', arguments: '{"zone":1}', parsed: { zone: 1 } }

function call(fields: Partial<ToolCall>): object {
  return { choice: 0, index: 0, type: 'function', ...fields }
}

/** A delta with one piece of a tool call. */
function piece(fields: object, choice = 0): string {
  return delta({ tool_calls: [fields] }, choice)
}

function start(name: string, text: string, index = 0): object {
  return { index, id: `call_${name}`, type: 'function', function: { name, arguments: text } }
}

/** A piece of a function's call. */
function part(name: string | undefined, text: unknown, fields: object = { index: 0 }): string {
  return piece({ ...fields, function: { ...(name !== undefined && { name }), arguments: text } })
}

const readers = {
  toToolCalls: async (body: string[]) => {
    const calls = await all<ToolCall>(Readable.from(body), toChunks(), toToolCalls())
    return calls.map(({ name, arguments: text }) => `${name}(${text})`)
  },
  toCompletion: async (body: string[]) => {
    const [completion] = await all<ChatCompletion>(Readable.from(body), toChunks(), toCompletion())
    const calls = completion?.choices[0]?.message.tool_calls ?? []
    return calls.map(call => call.type === 'function' && `${call.function.name}(${call.function.arguments})`)
  }
}

/** The names of the calls that a body gives. */
async function names(body: string[], { requireEnd = true } = {}): Promise<string[]> {
  const calls = await all<ToolCall>(Readable.from(body), toChunks({ requireEnd }), toToolCalls())
  return calls.map(({ name }) => name)
}

describe('toToolCalls', () => {
  for (const endpoint of ['chat', 'responses'] as const) {
    it(`emits each call once, whole (${endpoint})`, async () => {
      await using server = await serve({ script: twoCalls })
      const calls = await all(ask(server, endpoint), toChunks(), toToolCalls())
      expect(calls).to.deep.equal([
        call({ id: 'call_1', ...weather }),
        call({ index: 1, id: 'call_2', ...time })
      ])
    })

    it(`emits a call as soon as the next one starts (${endpoint})`, async () => {
      // The server stalls for ever within the second call.
      const stallAfter = { events: endpoint === 'chat' ? 5 : 8 }
      await using server = await serve({ script: twoCalls, faults: { stallAfter } })
      for await (const first of compose(ask(server, endpoint), toChunks(), toToolCalls())) {
        expect(first).to.deep.equal(call({ id: 'call_1', ...weather }))
        break
      }
      expect(await server.requests[0]?.over).to.have.property('aborted', true)
    })

    for (const reason of ['length', 'content_filter']) {
      it(`does not emit a call that was cut off by ${reason} (${endpoint})`, async () => {
        const cut: Script = { choices: [{ pieces: pieces.slice(0, 4), finish_reason: reason }] }
        await using server = await serve({ script: cut })
        const calls = await all<ToolCall>(ask(server, endpoint), toChunks(), toToolCalls())
        expect(calls.map(({ name }) => name)).to.deep.equal(['weather'])
      })
    }

    it(`emits nothing that was not whole when the stream fails with CS_ERR_TRUNCATED (${endpoint})`, async () => {
      const cutAfter = { events: endpoint === 'chat' ? 5 : 9 }
      await using server = await serve({ script: twoCalls, faults: { cutAfter } })
      const { items, error } = await run<ToolCall>(ask(server, endpoint), toChunks(), toToolCalls())
      expect(items.map(({ name }) => name)).to.deep.equal(['weather'])
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    })
  }

  it('gives the calls that the official SDK accumulates', async () => {
    await using server = await serve({ script: twoCalls })
    const calls = await all<ToolCall>(ask(server), toChunks(), toToolCalls())
    const { choices } = await clientOf(server).chat.completions.stream(questions.chat).finalChatCompletion()
    const theirs = choices[0]?.message.tool_calls?.map(
      ({ id, type, function: { name, arguments: text } }) => ({
        id,
        type,
        name,
        arguments: text
      })
    )
    expect(
      calls.map(({ id, type, name, arguments: text }) => ({ id, type, name, arguments: text }))
    ).to.deep.equal(theirs)
  })

  it('emits calls whose pieces interleave when each is whole', async () => {
    const body = [
      piece(start('a', '', 0)),
      piece(start('b', '', 1)),
      piece({ index: 0, function: { arguments: '{"n":0}' } }),
      piece({ index: 1, function: { arguments: '{"n":1}' } }),
      finish('tool_calls')
    ]
    const calls = await all<ToolCall>(Readable.from(body), toChunks(), toToolCalls())
    expect(calls.map(({ name, index, parsed }) => ({ name, index, parsed }))).to.deep.equal([
      { name: 'a', index: 0, parsed: { n: 0 } },
      { name: 'b', index: 1, parsed: { n: 1 } }
    ])
  })

  it('says which choice a call is of', async () => {
    await using server = await serve({ script: { choices: [{ pieces }, { pieces: pieces.slice(0, 3) }] } })
    const calls = await all<ToolCall>(ask(server), toChunks(), toToolCalls())
    const places = calls.map(({ choice, index, name }) => `${choice} ${index} ${name}`)
    expect(places.sort()).to.deep.equal(['0 0 weather', '0 1 time', '1 0 weather'])
  })

  for (const type of ['web_search_call', 'mcp_call', 'code_interpreter_call'])
    it(`gives a call once that has the id of a ${type} before it`, async () => {
      const items = [
        { id: 'item', type },
        { id: 'item', type: 'function_call', call_id: 'c1', name: 'pay', arguments: '{}' }
      ]
      const body = eventStream(
        ...items.map((item, output_index) => ({ type: 'response.output_item.done', output_index, item })),
        { type: 'response.completed', response: { status: 'completed', output: items } }
      )
      const calls = await all<ToolCall>(Readable.from([Buffer.from(body)]), toChunks(), toToolCalls())
      expect(calls.map(({ id }) => id)).to.deep.equal(['c1'])
    })

  it('takes a new id under the same index for a new call (Gemini, Ollama)', async () => {
    expect(await names([piece(start('a', '{}')), piece(start('b', '{}')), finish()])).to.deep.equal([
      'a',
      'b'
    ])
  })

  it('takes bare arguments without an index for those of the last call', async () => {
    const body = [
      piece({ id: 'call_a', function: { name: 'a', arguments: '{"n"' } }),
      piece({ function: { arguments: ':1}' } }),
      finish('tool_calls')
    ]
    const [first] = await all<ToolCall>(Readable.from(body), toChunks(), toToolCalls())
    expect(first).to.deep.include({ name: 'a', parsed: { n: 1 } })
  })

  it('emits a legacy function_call', async () => {
    const body = [
      delta({ role: 'assistant', function_call: { name: 'weather', arguments: '{"city":' } }),
      delta({ function_call: { arguments: '"Rome"}' } }),
      finish('function_call')
    ]
    const calls = await all(Readable.from(body), toChunks(), toToolCalls())
    expect(calls).to.deep.equal([call({ id: '', ...weather })])
  })

  for (const [reader, callsIn] of Object.entries(readers)) {
    const calls = (...pieces: string[]) => callsIn([...pieces, finish('tool_calls')])

    for (const token of [6, true, false]) {
      it(`takes ${token} for a piece of the arguments that was parsed (${reader})`, async () => {
        expect(await calls(part('f', '{"n":'), part(undefined, token), part(undefined, '}'))).to.deep.equal([
          `f({"n":${token}})`
        ])
      })
    }

    for (const token of [{}, { a: 1 }, [], [1]]) {
      it(`fails for ${JSON.stringify(token)} between pieces of arguments (${reader})`, async () => {
        const failure = await calls(part('f', '{"n":'), part(undefined, token), part(undefined, '}')).catch(
          error => error
        )
        expect(failure).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
        expect(failure.message).to.include('arguments of a tool call')
      })
    }

    it(`takes an object, a list, or no value for what it is where nothing has come (${reader})`, async () => {
      expect(await calls(part('f', { n: 1 }))).to.deep.equal(['f({"n":1})'])
      expect(await calls(part('f', [1]))).to.deep.equal(['f([1])'])
      expect(await calls(part('f', null), part(undefined, false), part(undefined, '{}'))).to.deep.equal([
        'f({})'
      ])
    })

    it(`keeps arguments that are whole though an object follows in which there is nothing (${reader})`, async () => {
      expect(await calls(part('f', '{"n":1}'), part(undefined, {}))).to.deep.equal(['f({"n":1})'])
      expect(await calls(part('f', '{"n":1}'), part(undefined, []))).to.deep.equal(['f({"n":1})'])
    })

    for (const [what, fields] of [
      ['no ids', { index: 0 }],
      ['empty ids', { index: 0, id: '' }],
      ['ids that are null', { index: 0, id: null }],
      ['one id', { index: 0, id: 'x' }],
      ['one id and no index', { id: 'x' }],
      ['neither index nor ids', {}]
    ] as const) {
      it(`tells whole calls apart that have ${what} (${reader})`, async () => {
        expect(await calls(part('f', '{"a":1}', fields), part('g', '{"b":2}', fields))).to.deep.equal([
          'f({"a":1})',
          'g({"b":2})'
        ])
        expect(await calls(part('f', '{"a":1}', fields), part('f', '{"a":2}', fields))).to.deep.equal([
          'f({"a":1})',
          'f({"a":2})'
        ])
        expect(
          await calls(
            part('f', '{"a"', fields),
            piece({ ...fields, function: { arguments: ':1}' } }),
            part('f', { a: 2 }, fields)
          )
        ).to.deep.equal(['f({"a":1})', 'f({"a":2})'])
      })
    }

    it(`tells a call apart that comes in pieces behind a whole one, without an id (${reader})`, async () => {
      const first = part('f', '{"a":1}')
      expect(await calls(first, part('f', '{"'), part('f', 'a":2'), part('f', '}'))).to.deep.equal([
        'f({"a":1})',
        'f({"a":2})'
      ])
      expect(await calls(first, part('g', ''), part(undefined, '{}'))).to.deep.equal(['f({"a":1})', 'g({})'])
      expect(await calls(first, part('g', undefined), part(undefined, '{}'))).to.deep.equal([
        'f({"a":1})',
        'g({})'
      ])
    })

    for (const id of [undefined, '', 'x']) {
      const fields = { index: 0, id }
      it(`takes what is sent again under the id ${JSON.stringify(id)} for the same call (${reader})`, async () => {
        const whole = part('f', '{"a":1}', fields)
        for (const pieces of [
          [whole, whole, whole],
          [whole, part('f', '', fields)],
          [whole, part('f', undefined, fields)],
          [whole, part('f', { a: 1 }, fields)],
          [whole, part('f', '{ "a": 1 }', fields), whole],
          [part('f', '{', fields), part('f', '{"a"', fields), whole],
          [part('f', '{"a"', fields), part('f', ':1}', fields), whole],
          [part('f', '{}', fields), whole],
          [part('f', '{}', fields), part('f', '{"a"', fields), part('f', ':1}', fields)],
          [part('f', {}, fields), whole]
        ]) {
          expect(await calls(...pieces)).to.deep.equal(['f({"a":1})'])
        }
        expect(await calls(part('get', '{}', fields), part('get_time', '{}', fields))).to.deep.equal([
          'get_time({})'
        ])
        expect(await calls(whole, part('f', '}', fields))).to.deep.equal(['f({"a":1}})'])
      })
    }

    it(`puts a name together whose pieces come before the arguments, without an id (${reader})`, async () => {
      expect(await calls(part('edit_ex', ''), part('isting_file', ''), part(undefined, '{}'))).to.deep.equal([
        'edit_existing_file({})'
      ])
    })

    for (const fields of [{ index: 0 }, { id: 'x' }, {}]) {
      it(`reads a call that has its name and arguments beside ${Object.keys(fields)[0] ?? 'nothing'} (${reader})`, async () => {
        const flat = (text: unknown, name?: string) => piece({ ...fields, name, arguments: text })
        expect(await calls(flat({ a: 1 }, 'f'))).to.deep.equal(['f({"a":1})'])
        expect(await calls(flat('{"a"', 'f'), flat(':1}'))).to.deep.equal(['f({"a":1})'])
        expect(await calls(flat('{"a":1}', 'f'), flat('{}', 'g'))).to.deep.equal(['f({"a":1})', 'g({})'])
        expect(await calls(piece({ ...fields, name: 'f', input: {} }))).to.deep.equal(['f({})'])
      })
    }
  }

  it('tells the names and arguments of a call once where they stand beside its id', async () => {
    const body = [piece({ index: 0, id: 'x', name: 'f', arguments: '{}', more: 1 }), finish('tool_calls')]
    const [completion] = await all<ChatCompletion>(Readable.from(body), toChunks(), toCompletion())
    expect(completion?.choices[0]?.message.tool_calls).to.deep.equal([
      { id: 'x', type: 'function', more: 1, function: { name: 'f', arguments: '{}' } }
    ])
  })

  it('emits arguments that are no JSON as text, without parsed', async () => {
    const body = [piece(start('a', '{"city":Rome}')), finish('tool_calls')]
    const [first] = await all(Readable.from(body), toChunks(), toToolCalls())
    expect(first).to.have.property('arguments', '{"city":Rome}')
    expect(first).not.to.have.property('parsed')
  })

  it('allocates and pollutes nothing for hostile indexes and names', async () => {
    const indexes = [4_294_967_295, -1, 1e308, 0.5, 2 ** 53]
    const body = indexes.map(index =>
      piece(start('__proto__', '{"__proto__":{"polluted":1},"constructor":1}', index))
    )
    const calls = await all<ToolCall>(Readable.from([...body, finish()]), toChunks(), toToolCalls())
    expect(calls.map(({ index }) => index)).to.deep.equal([0, 1, 2, 3, 4])
    expect(Object.keys(calls[0]?.parsed as object)).to.deep.equal(['__proto__', 'constructor'])
    expect({}).not.to.have.property('polluted')
  })

  it('emits a call whose choice gives no finish reason, but whose end mark came (Snowflake)', async () => {
    expect(await names([piece(start('a', '{}')), endMark])).to.deep.equal(['a'])
    expect(await names([piece(start('a', '{}')), endMark, piece(start('b', '{}')), endMark])).to.deep.equal([
      'a',
      'b'
    ])
  })

  it('does not emit a call that the end of the input cut off, where no end is required', async () => {
    expect(await names([piece(start('a', '{"city":'))], { requireEnd: false })).to.deep.equal([])
    expect(await names([piece(start('a', ''))], { requireEnd: false })).to.deep.equal([])
    expect(await names([piece(start('a', '{}'))], { requireEnd: false })).to.deep.equal(['a'])
  })

  it('does not emit a call of the Responses API that the end of the input cut off', async () => {
    await using server = await serve({ script: twoCalls, faults: { cutAfter: { events: 9 } } })
    const bytes: Uint8Array[] = (await run<Uint8Array>(ask(server, 'responses'))).items
    const calls = await all<ToolCall>(Readable.from(bytes), toChunks({ requireEnd: false }), toToolCalls())
    expect(calls.map(({ name }) => name)).to.deep.equal(['weather'])
  })

  it('tells the calls of several completions apart', async () => {
    const body = ['one', 'two'].flatMap(id => [
      event({ id, choices: [{ index: 0, delta: { tool_calls: [start(id, '{"n":')] } }] }),
      event({
        id,
        choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '1}' } }] } }]
      }),
      event({ id, choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] })
    ])
    expect(await names(body)).to.deep.equal(['one', 'two'])
    expect(await names(body.flatMap((text, place) => (place === 2 ? [text, endMark] : text)))).to.deep.equal([
      'one',
      'two'
    ])
  })

  for (const endpoint of endpoints) {
    it(`emits nothing for an answer in text (${endpoint})`, async () => {
      await using server = await serve({ script: script('Hello') })
      expect(await all(ask(server, endpoint), toChunks(), toToolCalls())).to.deep.equal([])
    })
  }

  it('can be destroyed while a call is open', async () => {
    await using server = await serve({ script: twoCalls, faults: { stallAfter: { events: 3 } } })
    const stage = compose(ask(server), toChunks(), toToolCalls())
    const closed = on(stage, 'close')[Symbol.asyncIterator]().next()
    stage.resume()
    await settle()
    stage.destroy()
    await closed
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })
})

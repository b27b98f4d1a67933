import { Readable } from 'node:stream'
import { expect } from 'chai'
import { toArguments, toChunks, toElements, toPartials } from 'completion-streams'
import type { Piece } from 'completion-streams/testing'
import { all, ask, delta, endMark, finish, run, serve } from '../answers.js'

const items = [
  { name: 'Mercury \ud83d\ude00', moons: 0 },
  { name: 'Mars', moons: 2 }
]
const text = JSON.stringify({ items })

/** The call of a function, cut into pieces of so many characters. */
function pieces(length: number): Piece[] {
  const cut: Piece[] = [{ at: 0, toolCall: { id: 'call_1', name: 'list', arguments: '' } }]
  for (let at = 0; at < text.length; at += length)
    cut.push({ at: 0, toolCall: { arguments: text.slice(at, at + length) } })
  return cut
}

const call = (fields: object) => delta({ tool_calls: [fields] })
const read = (body: string) => run<string>(Readable.from([Buffer.from(body)]), toChunks(), toArguments())

describe('toArguments', () => {
  for (const endpoint of ['chat', 'responses'] as const) {
    it(`gives the elements in the arguments of a call as they are written: ${endpoint}`, async () => {
      for (const length of [1, 4, 1000]) {
        await using server = await serve({ script: { choices: [{ pieces: pieces(length) }] } })
        const stages = () => [ask(server, endpoint), toChunks(), toArguments()]
        expect((await all<string>(...stages())).join('')).to.equal(text)
        expect(await all(...stages(), toElements({ path: 'items' }))).to.deep.equal(items)
        expect((await all(...stages(), toPartials())).at(-1)).to.deep.equal({ items })
      }
    })
  }

  it('reads the function call of the first API', async () => {
    const body =
      delta({ function_call: { name: 'f', arguments: '{"a"' } }) +
      delta({ function_call: { arguments: ':1}' } }) +
      finish('function_call') +
      endMark
    expect(await read(body)).to.deep.equal({ items: ['{"a"', ':1}'] })
  })

  it('reads arguments that are parsed already, and those that a response gives at its end only', async () => {
    const parsed =
      call({ index: 0, id: 'a', function: { name: 'f', arguments: { a: 1 } } }) + finish('tool_calls')
    expect((await read(parsed)).items.join('')).to.equal('{"a":1}')
    const item = { type: 'function_call', id: 'x', call_id: 'y', name: 'f', arguments: '{"a":1}' }
    const whole = `data: ${JSON.stringify({ type: 'response.completed', response: { status: 'completed', output: [item] } })}\n\n`
    expect((await read(whole)).items.join('')).to.equal('{"a":1}')
  })

  for (const legacy of [false, true]) {
    const piece = (fields: object) =>
      legacy ? delta({ function_call: fields }) : call({ index: 0, function: fields })
    const name = legacy ? 'function_call' : 'tool_calls'

    it(`takes numbers, true and false for pieces that were parsed: ${name}`, async () => {
      const body = ['{"n":1', 6, ',"is":', false, '}']
        .map(text => piece({ name: 'f', arguments: text }))
        .join('')
      expect((await read(body + finish('tool_calls'))).items.join('')).to.equal('{"n":16,"is":false}')
    })

    it(`fails with CS_ERR_INVALID_CHUNK for an object or a list between pieces: ${name}`, async () => {
      for (const token of [{}, { a: 1 }, []]) {
        const body =
          piece({ name: 'f', arguments: '{"n":' }) + piece({ arguments: token }) + piece({ arguments: '}' })
        const { items, error } = await read(body + finish('tool_calls'))
        expect(items).to.deep.equal(['{"n":'])
        expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
        expect(error?.message).to.include('arguments of a tool call')
      }
    })
  }

  for (const [name, pieces, given] of [
    ['`{}` before the arguments (Bedrock)', ['{}', '{"n"', ':1}'], ['{"n"', ':1}']],
    ['`{}` alone', ['', '{}', ''], ['{}']]
  ] as const) {
    it(`gives the arguments once: ${name}`, async () => {
      const body = pieces.map(text => call({ index: 0, function: { name: 'f', arguments: text } })).join('')
      expect(await read(body + finish('tool_calls'))).to.deep.equal({ items: given })
    })
  }

  for (const [name, pieces] of [
    ['again at the end', ['{"n"', ':1}', '{"n":1}']],
    ['again in each piece, as far as they have come', ['{"n"', '{"n":1', '{"n":1}']],
    ['twice', ['{"n":1}', '{"n":1}']]
  ] as const) {
    for (const legacy of [false, true]) {
      const piece = (text: string) =>
        delta(
          legacy
            ? { function_call: { arguments: text } }
            : { tool_calls: [{ index: 0, function: { arguments: text } }] }
        )

      it(`fails at the end where they come ${name}: ${legacy ? 'function_call' : 'tool_calls'}`, async () => {
        const { items, error } = await read(pieces.map(piece).join('') + finish('tool_calls'))
        expect(items).to.deep.equal(pieces)
        expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
        expect(error?.message).to.include('toToolCalls()')
      })
    }
  }

  it('reads a call that has its name and arguments beside its index', async () => {
    const body = call({ index: 0, name: 'f', arguments: '{"a"' }) + call({ index: 0, arguments: ':1}' })
    expect((await read(body + finish('tool_calls'))).items).to.deep.equal(['{"a"', ':1}'])
  })

  it('gives once what a response says again at its end', async () => {
    const event = (type: string, fields: object) => `data: ${JSON.stringify({ type, ...fields })}\n\n`
    const item = { type: 'function_call', id: 'x', call_id: 'y', name: 'f', arguments: '{"a":1}' }
    const body =
      event('response.output_item.added', { output_index: 0, item: { ...item, arguments: '' } }) +
      event('response.function_call_arguments.delta', { output_index: 0, item_id: 'x', delta: '{"a"' }) +
      event('response.function_call_arguments.delta', { output_index: 0, item_id: 'x', delta: ':1}' }) +
      event('response.function_call_arguments.done', {
        output_index: 0,
        item_id: 'x',
        arguments: '{"a":1}'
      }) +
      event('response.output_item.done', { output_index: 0, item }) +
      event('response.completed', { response: { status: 'completed', output: [item] } })
    expect(await read(body)).to.deep.equal({ items: ['{"a"', ':1}'] })
    const changed = body.replace('"arguments":"{\\"a\\":1}"}]', '"arguments":"{\\"b\\":1}"}]')
    expect(changed).not.to.equal(body)
    expect((await read(changed)).error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
  })

  it('fails at a second call, behind the first, also where both have one index', async () => {
    for (const index of [0, 1]) {
      const { items, error } = await read(
        call({ index: 0, id: 'a', function: { name: 'f', arguments: '{"a":1}' } }) +
          call({ index, id: 'b', function: { name: 'f', arguments: '{"a":2}' } }) +
          finish('tool_calls')
      )
      expect(items.join('')).to.equal('{"a":1}')
      expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
      expect(error?.message).to.include('parallel_tool_calls')
    }
  })

  it('fails at a second call that has no id of its own', async () => {
    for (const id of [undefined, '', 'a']) {
      const { items, error } = await read(
        call({ index: 0, id, function: { name: 'f', arguments: '{"a":1}' } }) +
          call({ index: 0, id, function: { name: 'g', arguments: '{"a":2}' } }) +
          finish('tool_calls')
      )
      expect(items.join('')).to.equal('{"a":1}')
      expect(error?.message).to.include('parallel_tool_calls')
    }
  })

  it('fails where there is no call, and for what is no chunk', async () => {
    const { error } = await read(delta({ content: 'text' }) + finish())
    expect(error?.message).to.include('called no function')
    const other = await run(Readable.from(['text']), toArguments())
    expect(other.error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
  })

  it('reads the choice that is asked for', async () => {
    const body =
      delta({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '1' } }] }, 0) +
      delta({ tool_calls: [{ index: 0, id: 'b', function: { name: 'f', arguments: '2' } }] }, 1) +
      finish('tool_calls', 0) +
      finish('tool_calls', 1)
    const stages = () => [Readable.from([Buffer.from(body)]), toChunks()]
    expect(await all(...stages(), toArguments({ choice: 1 }))).to.deep.equal(['2'])
    expect(() => toArguments({ choice: -1 })).to.throw(/choice/)
  })
})

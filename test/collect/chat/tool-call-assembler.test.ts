import { expect } from 'chai'
import fc from 'fast-check'
import { CompletionAssembler } from '#lib/collect/assemble.js'
import { ToolCallAssembler } from '#lib/collect/chat/tool-call-assembler.js'

function deltas(...calls: unknown[]): object {
  return { choices: [{ index: 0, delta: { tool_calls: calls } }] }
}

function finish(reason: string): object {
  return { choices: [{ index: 0, delta: {}, finish_reason: reason }] }
}

function start(index: unknown, id: string | undefined, name: string, text = ''): object {
  return { index, id, type: 'function', function: { name, arguments: text } }
}

function more(index: unknown, text: string): object {
  return { index, function: { arguments: text } }
}

/** Which calls each chunk makes whole, as `name arguments`. */
function steps(chunks: object[]): string[][] {
  const assembler = new ToolCallAssembler()
  const whole = chunks.map(chunk => assembler.add(chunk))
  return [...whole, assembler.end()].map(calls => calls.map(call => `${call.name} ${call.arguments}`))
}

function cutOff(chunks: object[]): string[] {
  const assembler = new ToolCallAssembler()
  for (const chunk of chunks) assembler.add(chunk)
  expect(assembler.end()).to.deep.equal([])
  return assembler.unfinished.map(call => `${call.name} ${call.arguments}`)
}

/** How many characters `JSON.parse` is given. */
function parsedCharacters(work: () => void): number {
  const { parse } = JSON
  let characters = 0
  JSON.parse = (text, reviver) => {
    characters += text.length
    return parse(text, reviver)
  }
  try {
    work()
  } finally {
    JSON.parse = parse
  }
  return characters
}

describe('ToolCallAssembler', () => {
  it('gives a call when the next one starts, and the last when the choice finishes', () => {
    const chunks = [
      deltas(start(0, 'call_a', 'weather')),
      deltas(more(0, '{"city":')),
      deltas(more(0, '"Rome"}')),
      deltas(start(1, 'call_b', 'time')),
      deltas(more(1, '{}')),
      finish('tool_calls')
    ]
    expect(steps(chunks)).to.deep.equal([[], [], [], ['weather {"city":"Rome"}'], [], ['time {}'], []])
  })

  it('says of a call all there is to say', () => {
    const assembler = new ToolCallAssembler()
    assembler.add({ choices: [{ index: 2, delta: { tool_calls: [start(0, 'call_a', 'f', '{"a":[1]}')] } }] })
    const calls = assembler.add({ choices: [{ index: 2, delta: {}, finish_reason: 'stop' }] })
    expect(calls).to.deep.equal([
      {
        choice: 2,
        index: 0,
        id: 'call_a',
        type: 'function',
        name: 'f',
        arguments: '{"a":[1]}',
        parsed: { a: [1] }
      }
    ])
  })

  it('gives calls that come with their finish reason in one chunk', () => {
    const chunk = {
      choices: [
        {
          index: 0,
          delta: { tool_calls: [start(0, 'a', 'f', '{}'), start(1, 'b', 'g', '{}')] },
          finish_reason: 'stop'
        }
      ]
    }
    expect(steps([chunk])).to.deep.equal([['f {}', 'g {}'], []])
  })

  it('takes a new id under the same index for a new call (Gemini, Ollama)', () => {
    const chunks = [deltas(start(0, 'a', 'f', '{}')), deltas(start(0, 'b', 'f', '{"x":1}')), finish('stop')]
    expect(steps(chunks)).to.deep.equal([[], ['f {}'], ['f {"x":1}'], []])
  })

  for (const [how, pieces] of Object.entries({
    'announced before': [
      start(0, 'a', 'f'),
      start(0, 'b', 'g'),
      start(0, 'a', '', '{"x":1}'),
      start(0, 'b', '', '{"y":2}')
    ],
    'named in each piece': [
      start(0, 'a', 'f'),
      start(0, 'b', 'g'),
      start(0, 'a', 'f', '{"x":1}'),
      start(0, 'b', 'g', '{"y":2}')
    ],
    'in pieces': [
      start(0, 'a', 'f', '{"x":'),
      start(0, 'b', 'g', '{"y":'),
      start(0, 'a', '', '1}'),
      start(0, 'b', '', '2}')
    ]
  })) {
    it(`keeps calls of other names and ids under the same index apart, whose arguments come in turn: ${how}`, () => {
      const chunks = [...pieces.map(piece => deltas(piece)), finish('tool_calls')]
      expect(steps(chunks).flat()).to.have.ordered.members(['f {"x":1}', 'g {"y":2}'])
    })
  }

  it('gives arguments at another index than that of their call to the last call, where they have no id and no name', () => {
    const chunks = [
      deltas(start(0, 'a', 'f')),
      deltas(more(1, '{"x":')),
      deltas(more(1, '1}')),
      deltas(start(1, 'b', 'g')),
      deltas(more(2, '{}')),
      finish('tool_calls')
    ]
    expect(steps(chunks)).to.deep.equal([[], [], [], ['f {"x":1}'], [], ['g {}'], []])
  })

  it('takes the same id again for the same call', () => {
    const chunks = [
      deltas(start(0, 'a', 'f', '{"x"')),
      deltas(start(0, 'a', 'f', ':1}')),
      finish('tool_calls')
    ]
    expect(steps(chunks)).to.deep.equal([[], [], ['f {"x":1}'], []])
  })

  it('gives bare pieces in one list to the last call where the calls at their places are whole', () => {
    const chunks = [
      deltas(start(undefined, 'a', 'f', '{"x":1}'), start(undefined, 'b', 'g', '{"y":')),
      deltas(more(undefined, '2'), more(undefined, '}')),
      finish('tool_calls')
    ]
    expect(steps(chunks).flat()).to.deep.equal(['f {"x":1}', 'g {"y":2}'])
  })

  for (const [type, item, name, given] of [
    [
      'local_shell_call',
      { action: { type: 'exec', command: ['ls'] } },
      'local_shell',
      '{"action":{"type":"exec","command":["ls"]}}'
    ],
    ['shell_call', { action: { commands: ['ls'] } }, 'shell', '{"action":{"commands":["ls"]}}'],
    [
      'shell_call',
      { action: { commands: ['ls'] }, environment: { type: 'local' } },
      'shell',
      '{"action":{"commands":["ls"]},"environment":{"type":"local"}}'
    ],
    [
      'computer_call',
      { action: { type: 'wait' }, pending_safety_checks: [] },
      'computer',
      '{"action":{"type":"wait"},"pending_safety_checks":[]}'
    ],
    [
      'apply_patch_call',
      { operation: { type: 'delete_file', path: 'a' } },
      'apply_patch',
      '{"operation":{"type":"delete_file","path":"a"}}'
    ],
    [
      'tool_search_call',
      { execution: 'client', arguments: { goal: 'a' } },
      'tool_search',
      '{"execution":"client","arguments":{"goal":"a"}}'
    ],
    [
      'mcp_approval_request',
      { name: 'pay', server_label: 's', arguments: '{"n":1}' },
      'pay',
      '{"server_label":"s","arguments":"{\\"n\\":1}"}'
    ]
  ] as const) {
    it(`gives a ${type} of the Responses API once, which the caller is to run (${given})`, () => {
      const whole = { id: 'i', call_id: 'call_1', type, status: 'completed', ...item }
      const assembler = new ToolCallAssembler()
      const calls = [
        { type: 'response.output_item.added', output_index: 0, item: { ...whole, status: 'in_progress' } },
        { type: 'response.output_item.done', output_index: 0, item: whole },
        { type: 'response.completed', response: { status: 'completed', output: [whole] } }
      ].map(event => assembler.add(event))
      const call = {
        choice: 0,
        index: 0,
        id: 'call_1',
        type,
        name,
        arguments: given,
        parsed: JSON.parse(given)
      }
      expect([...calls, assembler.end()]).to.deep.equal([[], [call], [], []])
    })
  }

  for (const item of [
    {
      type: 'shell_call',
      action: { commands: ['ls'] },
      environment: { type: 'container_reference', container_id: 'c' }
    },
    { type: 'tool_search_call', execution: 'server', arguments: {} },
    { type: 'web_search_call', action: { query: 'a' } }
  ]) {
    it(`gives no ${item.type} that the provider runs itself`, () => {
      const output = [{ id: 'i', call_id: 'call_1', status: 'completed', ...item }]
      expect(
        steps([{ type: 'response.completed', response: { status: 'completed', output } }])
      ).to.deep.equal([[], []])
    })
  }

  it('reads indexes that are texts', () => {
    const chunks = [
      deltas(start('0', 'a', 'f'), start('1', 'b', 'g')),
      deltas(more('0', '{"x":1}')),
      deltas(more('1', '{"y":2}')),
      finish('tool_calls')
    ]
    expect(steps(chunks).flat()).to.deep.equal(['f {"x":1}', 'g {"y":2}'])
  })

  it('goes by the place in the list where several bare pieces come in one (Moonshot)', () => {
    const chunks = [
      deltas(start(undefined, 'a', 'f'), start(undefined, 'b', 'g')),
      deltas(more(undefined, '{"x":'), more(undefined, '{"y":')),
      deltas(more(undefined, '1}'), more(undefined, '2}')),
      finish('tool_calls')
    ]
    expect(steps(chunks).flat()).to.deep.equal(['f {"x":1}', 'g {"y":2}'])
  })

  for (const index of [undefined, null, 'x', {}]) {
    it(`goes by id without a usable index (${JSON.stringify(index)}), and gives bare arguments to the last call`, () => {
      const chunks = [
        deltas(start(index, 'a', 'f')),
        deltas(more(index, '{"x":')),
        deltas(more(index, '1}')),
        deltas(start(index, 'b', 'g')),
        deltas(more(index, '{}')),
        finish('tool_calls')
      ]
      expect(steps(chunks)).to.deep.equal([[], [], [], ['f {"x":1}'], [], ['g {}'], []])
    })
  }

  it('goes by name without an index and an id', () => {
    const chunks = [
      deltas(start(undefined, undefined, 'f', '{}')),
      deltas(start(undefined, '', 'g', '{}')),
      finish('stop')
    ]
    expect(steps(chunks)).to.deep.equal([[], ['f {}'], ['g {}'], []])
  })

  it('keeps the calls of several choices apart', () => {
    const both = (first: object[], second: object[], finish_reason: string | null = null): object => ({
      choices: [
        { index: 0, delta: { tool_calls: first }, finish_reason },
        { index: 1, delta: { tool_calls: second }, finish_reason: null }
      ]
    })
    const chunks = [
      both([start(0, 'a', 'f', '{"c"')], [start(0, 'b', 'g', '{"d"')]),
      both([more(0, ':0}')], [more(0, ':1}')], 'tool_calls'),
      { choices: [{ index: 1, delta: {}, finish_reason: 'tool_calls' }] }
    ]
    expect(steps(chunks)).to.deep.equal([[], ['f {"c":0}'], ['g {"d":1}'], []])
  })

  it('waits for the finish with calls that are announced before their arguments come', () => {
    const chunks = [
      deltas(start(0, 'a', 'f'), start(1, 'b', 'g')),
      deltas(more(1, '{"y":'), more(0, '{"x":')),
      deltas(more(0, '1}'), more(1, '2}')),
      finish('tool_calls')
    ]
    expect(steps(chunks)).to.deep.equal([[], [], [], ['f {"x":1}', 'g {"y":2}'], []])
  })

  it('takes arguments that are an object for their JSON', () => {
    const call = { index: 0, id: 'a', function: { name: 'f', arguments: { x: 1 } } }
    expect(steps([deltas(call), finish('stop')])).to.deep.equal([[], ['f {"x":1}'], []])
  })

  for (const text of ['', 'not JSON', '{"cut":']) {
    it(`leaves parsed out where the arguments are ${JSON.stringify(text)}`, () => {
      const assembler = new ToolCallAssembler()
      assembler.add(deltas(start(0, 'a', 'f', text)))
      expect(assembler.add(finish('tool_calls'))).to.deep.equal([])
      const [call] = assembler.end()
      expect(call).to.have.property('arguments', text)
      expect(call).to.not.have.property('parsed')
    })
  }

  for (const reason of ['length', 'content_filter', 'max_tokens', 'MAX_TOKENS', 'model_length', 'error']) {
    it(`gives no call that was cut off by ${reason}`, () => {
      const chunks = [deltas(start(0, 'a', 'f', '{}')), deltas(start(1, 'b', 'g', '{"x"')), finish(reason)]
      expect(steps(chunks)).to.deep.equal([[], ['f {}'], [], []])
      expect(cutOff(chunks)).to.deep.equal(['g {"x"'])
    })
  }

  it('gives no call that was cut off by the end of the input', () => {
    expect(cutOff([deltas(start(0, 'a', 'f', '{"x"'))])).to.deep.equal(['f {"x"'])
    expect(cutOff([deltas(start(0, 'a', 'f', ''))])).to.deep.equal(['f '])
  })

  it('gives a call whose arguments are JSON where no finish reason is sent (Snowflake)', () => {
    expect(steps([deltas(start(0, 'a', 'f', '{}'))])).to.deep.equal([[], ['f {}']])
  })

  it('gives calls that come behind the finish reason at the end', () => {
    expect(steps([finish('tool_calls'), deltas(start(0, 'a', 'f', '{}'))])).to.deep.equal([[], [], ['f {}']])
  })

  it('gives no call that goes on behind the finish reason and is cut off', () => {
    const chunks = [deltas(start(0, 'a', 'f')), finish('stop'), deltas(more(0, '{"path":"/tmp/x'))]
    expect(cutOff(chunks)).to.deep.equal(['f {"path":"/tmp/x'])
    expect(steps([...chunks, deltas(more(0, '"}'))]).flat()).to.deep.equal(['f {"path":"/tmp/x"}'])
  })

  it('gives an id that is a number as text', () => {
    const assembler = new ToolCallAssembler()
    assembler.add(deltas({ index: 0, id: 0, function: { name: 'f', arguments: '{}' } }))
    expect(assembler.end()[0]).to.include({ id: '0' })
  })

  it('gives each call once though the finish reason is repeated', () => {
    const chunks = [deltas(start(0, 'a', 'f', '{}')), finish('tool_calls'), finish('stop')]
    expect(steps(chunks)).to.deep.equal([[], ['f {}'], [], []])
  })

  it('gives the input of a custom tool as it is', () => {
    const assembler = new ToolCallAssembler()
    assembler.add(deltas({ index: 0, id: 'a', type: 'custom', custom: { name: 'run', input: '{"x"' } }))
    assembler.add(deltas({ index: 0, custom: { input: ':1}' } }))
    expect(assembler.add(deltas(start(1, 'b', 'f', '{}')))).to.deep.equal([
      { choice: 0, index: 0, id: 'a', type: 'custom', name: 'run', arguments: '{"x":1}' }
    ])
  })

  it('gives a legacy function call', () => {
    const chunks = [
      { choices: [{ index: 0, delta: { function_call: { name: 'f', arguments: '' } } }] },
      { choices: [{ index: 0, delta: { function_call: { arguments: '{"x":1}' } } }] },
      finish('function_call')
    ]
    expect(steps(chunks)).to.deep.equal([[], [], ['f {"x":1}'], []])
  })

  for (const index of [4294967295, -1, 0.5, 1e300]) {
    it(`gives a call with the index ${index}, and allocates nothing for it`, () => {
      const assembler = new ToolCallAssembler()
      assembler.add(deltas(start(index, 'a', 'f', '{}')))
      const [call] = assembler.add(finish('tool_calls'))
      expect(call).to.include({ index: 0, id: 'a', arguments: '{}' })
    })
  }

  it('takes __proto__ in arguments and names for text', () => {
    const assembler = new ToolCallAssembler()
    const text = '{"__proto__":{"polluted":1}}'
    assembler.add(
      JSON.parse(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"__proto__",
      "__proto__":{"polluted":1},"function":{"name":"__proto__","arguments":${JSON.stringify(text)}}}]}}]}`)
    )
    const [call] = assembler.add(finish('tool_calls'))
    expect(call).to.include({ id: '__proto__', name: '__proto__', arguments: text })
    expect({}).to.not.have.property('polluted')
  })

  it('has no failure but CS_ERR_INVALID_CHUNK for what is JSON', () => {
    const call = fc.record({
      index: fc.jsonValue(),
      id: fc.jsonValue(),
      function: fc.jsonValue(),
      custom: fc.jsonValue()
    })
    const delta = fc.record({
      tool_calls: fc.oneof(fc.array(call), fc.jsonValue()),
      function_call: fc.jsonValue()
    })
    const chunk = fc.oneof(
      fc.record({
        choices: fc.array(fc.record({ index: fc.jsonValue(), delta, finish_reason: fc.jsonValue() }))
      }),
      fc.record({
        type: fc.constantFrom(
          'response.output_item.added',
          'response.output_item.done',
          'response.completed'
        ),
        item: fc.oneof(fc.jsonValue(), fc.record({ type: fc.constant('function_call'), id: fc.jsonValue() })),
        response: fc.oneof(fc.jsonValue(), fc.record({ output: fc.array(fc.jsonValue()) })),
        output_index: fc.jsonValue()
      })
    )
    fc.assert(
      fc.property(fc.array(chunk), chunks => {
        try {
          steps(chunks)
        } catch (error) {
          expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
        }
      }),
      { numRuns: 100 }
    )
  })

  describe('for the Responses API', () => {
    const item = { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'f', arguments: '' }
    const added = {
      type: 'response.output_item.added',
      output_index: 1,
      item: { ...item, status: 'in_progress' }
    }
    const delta = (text: string): object => ({
      type: 'response.function_call_arguments.delta',
      output_index: 1,
      item_id: 'fc_1',
      delta: text
    })
    const whole = { ...item, arguments: '{"x":1}', status: 'completed' }
    const done = { type: 'response.output_item.done', output_index: 1, item: whole }
    const completed = { type: 'response.completed', response: { output: [{ type: 'reasoning' }, whole] } }

    it('gives a call when its item is done, and not again with the terminal event', () => {
      const chunks = [added, delta('{"x":'), delta('1}'), done, completed]
      expect(steps(chunks)).to.deep.equal([[], [], [], ['f {"x":1}'], [], []])
    })

    it('names the call by the id that an answer has to give', () => {
      const assembler = new ToolCallAssembler()
      assembler.add(added)
      expect(assembler.add(done)).to.deep.equal([
        {
          choice: 0,
          index: 0,
          id: 'call_1',
          type: 'function',
          name: 'f',
          arguments: '{"x":1}',
          parsed: { x: 1 }
        }
      ])
    })

    it('keeps the arguments of the deltas where the item is done without them', () => {
      const bare = { ...done, item: { ...item, status: 'completed' } }
      expect(steps([added, delta('{"x"'), delta(':1}'), bare])).to.deep.equal([[], [], [], ['f {"x":1}'], []])
    })

    it('gives a call that only its own end and the terminal event close', () => {
      const argumentsDone = {
        type: 'response.function_call_arguments.done',
        output_index: 1,
        arguments: '{"x":1}'
      }
      const end = { type: 'response.completed', response: { output: [] } }
      expect(steps([added, delta('{'), argumentsDone, end])).to.deep.equal([[], [], [], ['f {"x":1}'], []])
    })

    it('gives a call that only the terminal event holds', () => {
      expect(steps([completed])).to.deep.equal([['f {"x":1}'], []])
    })

    it('gives both of two calls under one call id', () => {
      const second = { type: 'response.output_item.done', output_index: 2, item: { ...whole, id: 'fc_2' } }
      expect(steps([done, second, completed])).to.deep.equal([['f {"x":1}'], ['f {"x":1}'], [], []])
    })

    it('gives the input of a custom tool', () => {
      const tool = { id: 'ct_1', type: 'custom_tool_call', call_id: 'call_2', name: 'run', input: '' }
      const chunks = [
        { type: 'response.output_item.added', item: tool },
        { type: 'response.custom_tool_call_input.delta', item_id: 'ct_1', delta: 'ls' },
        { type: 'response.custom_tool_call_input.delta', delta: ' -l' },
        { type: 'response.output_item.done', item: tool }
      ]
      expect(steps(chunks).flat()).to.deep.equal(['run ls -l'])
    })

    it('gives no call whose item is incomplete', () => {
      const cut = { ...item, arguments: '{"x"', status: 'incomplete' }
      expect(cutOff([added, delta('{"x"'), { ...done, item: cut }])).to.deep.equal(['f {"x"'])
    })

    it('gives no call that is open when the response is incomplete', () => {
      for (const end of [
        { type: 'response.incomplete', response: { output: [] } },
        { type: 'response.done', response: { status: 'incomplete', output: [] } },
        { type: 'response.completed', status: 'incomplete' }
      ])
        expect(cutOff([added, delta('{"x"'), end])).to.deep.equal(['f {"x"'])
    })

    it('gives a call that a terminal has which has the fields of the response itself', () => {
      expect(steps([{ type: 'response.completed', output: [done.item] }]).flat()).to.have.lengthOf(1)
    })

    it('gives no call that is open when the input ends', () => {
      expect(cutOff([added, delta('{}')])).to.deep.equal(['f {}'])
    })

    it('passes over the calls that the provider makes itself', () => {
      const search = { id: 'ws_1', type: 'web_search_call', status: 'completed' }
      expect(steps([{ ...done, item: search }])).to.deep.equal([[], []])
    })
  })

  /** The calls of one answer, by name and arguments. */
  function callsOf(pieces: readonly object[], reason = 'tool_calls'): string[] {
    return steps([...pieces.map(piece => deltas(piece)), finish(reason)]).flat()
  }

  const piece = (id: string | undefined, name: string | undefined, args: unknown, index = 0) => ({
    index,
    ...(id !== undefined && { id }),
    type: 'function',
    function: { ...(name !== undefined && { name }), arguments: args }
  })

  it('takes pieces that each have an id of their own for one call (GLM of Mistral, vLLM)', () => {
    const pieces = [piece('a1', 'read', '{"pa'), piece('a2', 'read', 'th":'), piece('a3', undefined, '"a"}')]
    expect(callsOf(pieces)).to.deep.equal(['read {"path":"a"}'])
  })

  it('takes whole calls under one index and other ids for calls of their own (Gemini, Ollama)', () => {
    expect(callsOf([piece('x', 'f', '{"a":1}'), piece('y', 'f', '{"a":2}')])).to.deep.equal([
      'f {"a":1}',
      'f {"a":2}'
    ])
    expect(callsOf([piece('x', 'f', '{}', -1), piece('y', 'g', '{}', -1)])).to.deep.equal(['f {}', 'g {}'])
    expect(callsOf([piece('x', 'f', ''), piece('y', 'g', '{}')])).to.deep.equal(
      ['f ', 'g {}'].slice(1).concat('f ')
    )
  })

  for (const [names, name] of [
    [['edit_ex', 'isting_file'], 'edit_existing_file'],
    [['get', 'get', 'get'], 'get'],
    [['get', 'get_time', 'get_time'], 'get_time']
  ] as const) {
    it(`puts the name together from ${names.join(', ')}`, () => {
      const pieces = names.map((name, place) => piece('a', name, place === 0 ? '{}' : ''))
      expect(callsOf(pieces)).to.deep.equal([`${name} {}`])
    })
  }

  it('waits for the end with a call that is no JSON at a finish reason (one on every piece)', () => {
    const chunks = [
      { choices: [{ index: 0, delta: { tool_calls: [piece('a', 'f', '{"x":')] }, finish_reason: 'stop' }] },
      {
        choices: [
          { index: 0, delta: { tool_calls: [piece(undefined, undefined, '1}')] }, finish_reason: 'stop' }
        ]
      }
    ]
    expect(steps(chunks).flat()).to.deep.equal(['f {"x":1}'])
  })

  for (const reason of ['sensitive', 'SAFETY', 'RECITATION']) {
    it(`gives only calls whose arguments are JSON behind ${reason}`, () => {
      expect(callsOf([piece('a', 'f', '{}'), piece('b', 'g', '{"x":', 1)], reason)).to.deep.equal(['f {}'])
    })
  }

  it("keeps a call's extra_content, and says which calls the provider runs itself", () => {
    const assembler = new ToolCallAssembler()
    const extra_content = { google: { thought_signature: 'AAAA' } }
    const calls = [
      ...assembler.add(deltas({ ...piece('a', 'f', '{}'), extra_content })),
      ...assembler.add(deltas({ ...piece('b', 'search', '{}', 1), type: 'web_search_call' })),
      ...assembler.add(deltas(piece('c', 'x_keyword_search', '{}', 2))),
      ...assembler.add(finish('tool_calls'))
    ]
    expect(calls.map(call => call.extra_content)).to.deep.equal([extra_content, undefined, undefined])
    expect(calls.map(call => call.isProviderRun)).to.deep.equal([undefined, true, true])
  })

  it('fails with CS_ERR_INVALID_CHUNK for arguments that are a bigint', () => {
    const assembler = new ToolCallAssembler()
    expect(() => assembler.add(deltas(piece('a', 'f', 1n))))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  for (const [what, pieceAt, finish_reason] of [
    ['an id of its own', (place: number, text: string) => piece(`a${place}`, 'f', text), null],
    [
      'a finish reason',
      (place: number, text: string) => piece('a', place === 0 ? 'f' : undefined, text),
      'stop'
    ],
    ['the name', (_: number, text: string) => piece(undefined, 'f', text), null]
  ] as const) {
    it(`parses the arguments a few times at most where each piece has ${what}`, () => {
      for (const [first, more, last] of [
        ['{"a":"', 'abcdefghij', '"}'],
        ['{"a":["', '\\"]}{[\\\\', '"]}'],
        ['{"a":[0', ',{"b":[]}', ']}'],
        ['no JSON', ' {}', ' ']
      ] as const) {
        const pieces = [first, ...Array.from({ length: 500 }, () => more), last]
        const chunks = pieces.map((text, place) => ({
          choices: [{ index: 0, delta: { tool_calls: [pieceAt(place, text)] }, finish_reason }]
        }))
        const text = pieces.join('')
        let calls: string[] = []
        const characters = parsedCharacters(() => {
          calls = steps([...chunks, finish('tool_calls')]).flat()
        })
        expect(calls).to.deep.equal([`f ${text}`])
        expect(characters).to.be.at.most(4 * text.length)
        const assembler = new CompletionAssembler()
        const ofCompletion = parsedCharacters(() => {
          for (const chunk of chunks) assembler.add(chunk)
          assembler.result()
        })
        expect(ofCompletion).to.be.at.most(4 * text.length)
      }
    })
  }

  it('has no failure but CS_ERR_INVALID_CHUNK for arguments that are a deep object', () => {
    let deep: unknown = {}
    for (let depth = 0; depth < 100_000; depth++) deep = { deep }
    // How deep an object JSON.stringify can write is up to the version of Node.
    try {
      expect(new ToolCallAssembler().add(deltas(piece('a', 'f', deep)))).to.deep.equal([])
    } catch (error) {
      expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    }
  })
})

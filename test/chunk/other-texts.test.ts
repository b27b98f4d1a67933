import { expect } from 'chai'
import fc from 'fast-check'
import { additionsOf, writtenItems } from '#lib/chunk/additions.js'
import { otherTextsOf } from '#lib/chunk/other-texts.js'

/** The texts of each chunk, by what the texts are called. */
function textsOf(chunks: readonly object[]): [lane: string, text: string][][] {
  const items = writtenItems()
  return chunks.map(chunk =>
    otherTextsOf(chunk, additionsOf(chunk, items), items).map(({ lane, text }) => [lane, text])
  )
}

function textsOfItem(item: object): string[] {
  return textsOf([{ type: 'response.output_item.done', output_index: 0, item }])
    .flat()
    .map(([, text]) => text)
}

/** All texts of a chunk, under whichever name. */
function allTextsOf(chunk: object): string[] {
  const items = writtenItems()
  const known = additionsOf(chunk, items)
  return [...known, ...otherTextsOf(chunk, known, items)].map(({ text }) => text)
}

describe('otherTextsOf', () => {
  const items: Record<string, { item: object; text: string }> = {
    shell_call: {
      item: {
        id: 'sh_1',
        call_id: 'c',
        status: 'completed',
        action: { commands: ['ls', 'rm -r x'], timeout_ms: 1 }
      },
      text: 'ls\nrm -r x'
    },
    local_shell_call: {
      item: { id: 'sh_1', action: { type: 'exec', command: ['ls', '-l'], env: { name: 'A' }, user: 'me' } },
      text: 'ls\n-l\n{"name":"A"}\nme'
    },
    apply_patch_call: {
      item: { id: 'ap_1', operation: { type: 'update_file', path: 'a.txt', diff: '-a\n+b' } },
      text: 'a.txt\n-a\n+b'
    },
    computer_call: { item: { id: 'cu_1', action: { type: 'type', text: 'Hello' } }, text: 'Hello' },
    web_search_call: {
      item: { id: 'ws_1', action: { type: 'search', query: 'one', queries: ['one', 'two'] } },
      text: 'one\none\ntwo'
    },
    file_search_call: {
      item: {
        id: 'fs_1',
        queries: ['one'],
        results: [{ file_id: 'f', filename: 'a.md', text: 'found', score: 1 }]
      },
      text: 'one\na.md\nfound'
    },
    mcp_approval_request: {
      item: { id: 'mr_1', name: 'run', server_label: 's', arguments: '{"a":1}' },
      text: '{"a":1}'
    },
    'mcp_approval_request with parsed arguments': {
      item: { type: 'mcp_approval_request', arguments: { type: 'x', name: 'y' } },
      text: '{"type":"x","name":"y"}'
    },
    mcp_call: {
      item: { id: 'mc_1', name: 'run', arguments: '{}', output: 'done', error: null },
      text: 'done'
    },
    image_generation_call: {
      item: { id: 'ig_1', size: '1024x1024', result: 'aGVsbG8=', revised_prompt: 'A cat.' },
      text: 'A cat.'
    },
    code_interpreter_call: {
      item: {
        code: 'print(1)',
        container_id: 'c',
        outputs: [
          { type: 'logs', logs: '1' },
          { type: 'image', url: 'data:image/png;base64,aGVsbG8=' }
        ]
      },
      text: '1'
    },
    'a tool that is not known yet': {
      item: {
        type: 'telescope_call',
        id: 'x',
        target: { name: 'Andromeda, the great one', deep: [['M31']] }
      },
      text: 'Andromeda, the great one\nM31'
    }
  }
  for (const [type, { item, text }] of Object.entries(items))
    it(`gives what the model writes in an item: ${type}`, () => {
      expect(textsOfItem({ type, ...item })).to.deep.equal([text])
    })

  for (const item of [
    { type: 'function_call', id: 'fc_1', call_id: 'c', name: 'f', arguments: '{"a":1}', status: 'completed' },
    { type: 'custom_tool_call', id: 'ct_1', call_id: 'c', name: 'f', input: 'text' },
    {
      type: 'reasoning',
      id: 'rs_1',
      encrypted_content: 'aGVsbG8=',
      summary: [{ type: 'summary_text', text: 'So.' }]
    },
    {
      type: 'message',
      id: 'm',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'Hi', annotations: [], logprobs: [] }]
    },
    { type: 'mcp_list_tools', id: 'l', server_label: 's', tools: [{ name: 'f', description: 'It does.' }] },
    { type: 'compaction', id: 'c', encrypted_content: 'aGVsbG8=' },
    { type: 'web_search_call', id: 'ws_1', status: 'in_progress', action: { type: 'search' } }
  ])
    it(`gives nothing of an item of which all is known, or nothing is text: ${item.type}`, () => {
      expect(textsOfItem(item)).to.deep.equal([])
    })

  it('gives the deltas of a tool that is not known, and what its event says again under the same name', () => {
    const at = { item_id: 'ap_1', output_index: 0, command_index: 1 }
    for (const [name, field] of [
      ['apply_patch_call_operation_diff', 'diff'],
      ['shell_call_command', 'command']
    ] as const) {
      const lane = `item 0 ${name} command 1`
      expect(
        textsOf([
          { type: `response.${name}.delta`, ...at, delta: 'one ', obfuscation: 'x y' },
          { type: `response.${name}.delta`, ...at, delta: 'two' },
          { type: `response.${name}.done`, ...at, [field]: 'one two' }
        ])
      ).to.deep.equal([[[lane, 'one ']], [[lane, 'two']], [[lane, 'one two']]])
    }
  })

  it('gives nothing of sound and pictures, of states, of errors, and of what the request said', () => {
    const at = { item_id: 'x', output_index: 0 }
    const request = { instructions: 'Be kind.', metadata: { a: 'b' }, tools: [{ description: 'It does.' }] }
    for (const event of [
      { type: 'response.audio.delta', delta: 'aGVsbG8=' },
      { type: 'response.output_audio.delta', ...at, delta: 'aGVsbG8=' },
      {
        type: 'response.image_generation_call.partial_image',
        ...at,
        partial_image_b64: 'aGVsbG8=',
        size: 'auto',
        output_format: 'png'
      },
      { type: 'response.web_search_call.searching', ...at, sequence_number: 3 },
      { type: 'response.created', response: { id: 'r', status: 'in_progress', output: [], ...request } },
      {
        type: 'response.failed',
        response: { id: 'r', error: { message: 'It failed.' }, output: [], ...request }
      },
      {
        type: 'response.completed',
        response: { id: 'r' },
        copilot_usage: { details: [{ token_type: 'input' }] }
      },
      { type: 'error', code: 'x', message: 'It failed.' },
      { type: 'keepalive', comment: 'still here' }
    ])
      expect(textsOf([event]), event.type).to.deep.equal([[]])
  })

  it('gives citations, one by one and as a list, as one text', () => {
    const at = { item_id: 'm', output_index: 0, content_index: 0 }
    const [one, two] = ['One', 'Two'].map(title => ({
      type: 'url_citation',
      title,
      url: 'https://x/',
      start_index: 1
    }))
    const part = { type: 'output_text', text: '', annotations: [one, two] }
    const lane = 'item 0 annotations content 0'
    const [first, second] = ['One\nhttps://x/\n', 'Two\nhttps://x/\n']
    const output = [{ type: 'message', id: 'm', content: [part] }]
    expect(
      textsOf([
        { type: 'response.output_text.annotation.added', ...at, annotation_index: 0, annotation: one },
        { type: 'response.output_text.annotation.added', ...at, annotation_index: 1, annotation: two },
        { type: 'response.content_part.done', ...at, part },
        { type: 'response.completed', response: { id: 'r', output } }
      ])
    ).to.deep.equal([
      [[lane, first]],
      [[lane, second]],
      [[lane, `${first}${second}`]],
      [[lane, `${first}${second}`]]
    ])
    const annotations = [{ type: 'url_citation', url_citation: { title: 'One', url: 'https://x/' } }]
    expect(textsOf([{ choices: [{ index: 1, delta: { content: 'a', annotations } }] }])).to.deep.equal([
      [['1 annotations', first]]
    ])
  })

  it('gives the alternatives of log probabilities, and tokens that are not those of the text', () => {
    const logprobs = [
      { token: 'Yes', logprob: -1, bytes: [1], top_logprobs: [{ token: 'Yes' }, { token: 'No' }] },
      { token: '.', logprob: -1, top_logprobs: [{ token: '!' }] }
    ]
    const at = { item_id: 'm', output_index: 0, content_index: 0 }
    const part = { type: 'output_text', text: 'Yes.', annotations: [], logprobs }
    const lane = 'item 0 alternatives content content 0'
    expect(
      textsOf([
        { type: 'response.output_text.delta', ...at, delta: 'Yes', logprobs: logprobs.slice(0, 1) },
        { type: 'response.output_text.delta', ...at, delta: '.', logprobs: logprobs.slice(1) },
        { type: 'response.output_text.done', ...at, text: 'Yes.', logprobs },
        { type: 'response.content_part.done', ...at, part },
        { type: 'response.completed', response: { output: [{ type: 'message', id: 'm', content: [part] }] } }
      ])
    ).to.deep.equal([[[lane, 'No\n']], [[lane, '!\n']], ...Array(3).fill([[lane, 'No\n!\n']])])
    expect(
      textsOf([
        { choices: [{ index: 0, delta: { content: 'Yes.' }, logprobs: { content: logprobs } }] },
        {
          choices: [{ index: 0, delta: { content: 'Maybe' }, logprobs: { content: logprobs, refusal: null } }]
        },
        {
          choices: [
            { index: 0, delta: { refusal: 'I' }, logprobs: { content: null, refusal: [{ token: 'We' }] } }
          ]
        },
        { choices: [{ index: 0, delta: { content: 'Yes.' }, logprobs: null }] }
      ])
    ).to.deep.equal([
      [['0 alternatives content', 'No\n!\n']],
      [
        ['0 tokens content', 'Yes.'],
        ['0 alternatives content', 'No\n!\n']
      ],
      [['0 tokens refusal', 'We']],
      []
    ])
    const legacy = {
      tokens: ['a', 'b'],
      token_logprobs: [-1, -1],
      top_logprobs: [{ a: -1, c: -2 }, null],
      text_offset: [0, 1]
    }
    expect(
      textsOf([
        { choices: [{ index: 0, text: 'ab', logprobs: legacy }] },
        { choices: [{ index: 0, text: 'x', logprobs: { tokens: ['y'], top_logprobs: null } }] }
      ])
    ).to.deep.equal([[['0 alternatives content', 'c\n']], [['0 tokens content', 'y']]])
  })

  it('gives the whole answer that a response says once more only where it is another', () => {
    const output = [
      { type: 'message', id: 'm', content: ['Hel', 'lo'].map(text => ({ type: 'output_text', text })) }
    ]
    const completed = (output_text: string) => ({
      type: 'response.completed',
      response: { output, output_text }
    })
    expect(textsOf([completed('Hello')])).to.deep.equal([[]])
    expect(textsOf([completed('Bye')])).to.deep.equal([[['response output_text', 'Bye']]])
  })

  it('gives the texts of a terminal that has the fields of the response itself as those of any other', () => {
    const output = [{ type: 'message', id: 'm', content: [{ type: 'output_text', text: 'Hello' }] }]
    const own = { type: 'response.completed', output, instructions: 'Be brief.' }
    expect(textsOf([own])).to.deep.equal([[]])
    expect(allTextsOf(own)).to.deep.equal(['Hello'])
  })

  it('gives what stands in another form than the API says', () => {
    for (const event of [
      { type: 'response.content_part.added', part: 'text' },
      { type: 'response.output_item.done', item: 'text' },
      { type: 'response.output_item.done', item: { type: 'message', content: 'text' } },
      { type: 'response.output_item.done', item: { type: 'message', content: ['text'] } },
      { type: 'response.output_text.annotation.added', annotation: ['text'] },
      { type: 'response.x_call.piece', delta: 'text' },
      { type: 'response.x_call.delta', delta: '', snippet: 'text' },
      { type: 'response.x_call.delta', delta: '', logprobs: [{ token: 'text' }] }
    ])
      expect(allTextsOf(event), JSON.stringify(event)).to.deep.equal(['text'])
  })

  it('gives what others than the model are said to write for none of its texts (LiteLLM)', () => {
    const content = [{ type: 'x', snippet: 'The tools are these.' }]
    const item = { type: 'mcp_tools_fetched', role: 'system', content }
    expect(textsOfItem(item)).to.deep.equal([])
    expect(textsOfItem({ ...item, role: 'assistant' })).to.deep.equal(['The tools are these.'])
    const events = [
      { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [] } },
      { type: 'response.content_part.done', output_index: 0, content_index: 0, part: content[0] }
    ]
    expect(textsOf(events).flat()).to.deep.equal([])
  })

  it('leaves out no sentence, whatever stands above it', () => {
    const names = fc.constantFrom(
      'id',
      'call_id',
      'type',
      'name',
      'status',
      'arguments',
      'content',
      'summary',
      'x'
    )
    const { tree } = fc.letrec(tie => ({
      leaf: fc.nat(999).map(number => `sentence ${number}.`),
      list: fc.array(tie('tree'), { maxLength: 3 }),
      fields: fc.dictionary(names, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
      tree: fc.oneof({ depthSize: 'medium' }, tie('leaf'), tie('list'), tie('fields'))
    }))
    fc.assert(
      fc.property(tree, fc.constantFrom('item', 'part', 'action', 'delta', 'annotation'), (value, holder) => {
        const events = [
          { type: 'response.output_item.done', item: { type: 'x_call', [holder]: value } },
          { type: 'response.output_item.done', [holder]: value },
          { type: 'response.x.delta', [holder]: value }
        ]
        for (const event of events) {
          const looked = allTextsOf(event).join()
          for (const sentence of JSON.stringify(value).match(/sentence \d+\./g) ?? [])
            expect(looked, JSON.stringify(event)).to.include(sentence)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it('reads what is nested deeper than a stack goes', () => {
    let deep: unknown = 'text'
    for (let depth = 0; depth < 100_000; depth++) deep = [deep]
    expect(textsOfItem({ type: 'x_call', action: deep })).to.deep.equal(['text'])
  })
})

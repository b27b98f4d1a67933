import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import {
  type Chunk,
  compose,
  splitThinking,
  type ThinkingOptions,
  tapSummary,
  tapUsage,
  toChunks,
  toCompletion,
  toText,
  toToolCalls
} from 'completion-streams'
import { type Piece, script } from 'completion-streams/testing'
import fc from 'fast-check'
import { ThinkingText, tagPattern } from '#lib/guard/thinking/thinking-text.js'
import { all, ask, delta, endMark, endpoints, event, finish, run, serve, withFolder } from '../answers.js'
import { cutAt, places } from '../pieces.js'

const names = ['think', 'thinking', 'thought', 'reasoning']

interface Texts {
  content: string
  reasoning: string
}

/** What becomes of a text that comes in these pieces. */
function apart(pieces: readonly string[], startsOpen = false): Texts {
  const text = new ThinkingText(tagPattern(names), startsOpen)
  const texts: Texts = { content: '', reasoning: '' }
  for (const run of [...pieces.flatMap(piece => text.add(piece)), ...text.end()]) texts[run.kind] += run.text
  return texts
}

/** What becomes of deltas of one choice, on their way through chunks. */
async function through(pieces: readonly string[], options?: ThinkingOptions): Promise<Texts> {
  const body = () => Readable.from([...pieces.map(content => delta({ content })), finish(), endMark])
  const read = async (from: 'content' | 'reasoning') =>
    (await all<string>(body(), toChunks(), splitThinking(options), toText({ from }))).join('')
  return { content: await read('content'), reasoning: await read('reasoning') }
}

interface LooseChoice {
  index: number
  delta: { content?: string; reasoning_content?: string }
  finish_reason?: unknown
}

async function chunksOf(body: string, options?: ThinkingOptions): Promise<{ choices: LooseChoice[] }[]> {
  return all(Readable.from([body]), toChunks(), splitThinking(options))
}

describe('splitThinking', () => {
  const cases: Record<string, { text: string; startsOpen?: boolean } & Texts> = {
    'a thought before the answer': {
      text: '<think>So: 2.</think>Two.',
      content: 'Two.',
      reasoning: 'So: 2.'
    },
    'white space round it': {
      text: '\n<think>\nSo.\n</think>\n\nTwo.',
      content: '\n\n\nTwo.',
      reasoning: '\nSo.\n'
    },
    'thoughts in between': {
      text: 'a<think>b</think>c<thinking>d</thinking>e',
      content: 'ace',
      reasoning: 'bd'
    },
    'nested tags': { text: '<think>a<think>b</think>c</think>d', content: 'd', reasoning: 'abc' },
    'nested tags of two names': {
      text: '<thought>a<reasoning>b</reasoning>c</thought>d',
      content: 'd',
      reasoning: 'abc'
    },
    'a tag within that is not closed': {
      text: '<thought>a<reasoning>b</thought>c',
      content: 'c',
      reasoning: 'ab'
    },
    'the end of another tag within': {
      text: '<think>a</reasoning>b</think>c',
      content: 'c',
      reasoning: 'a</reasoning>b'
    },
    'a tag that is never closed': { text: 'a<think>b', content: 'a', reasoning: 'b' },
    'a closing tag alone': { text: 'a</think>b', content: 'a</think>b', reasoning: '' },
    'what only looks like a tag': {
      text: '<thin <thinker> < think> <think     > a<b </thinks> <think',
      content: '<thin <thinker> < think> <think     > a<b </thinks> <think',
      reasoning: ''
    },
    'tags in any case, with blanks at their end': {
      text: '<Think>a</THINK>b<think >c</think\n>d',
      content: 'bd',
      reasoning: 'ac'
    },
    'an empty thought': { text: '<think>\n\n</think>\n\nTwo.', content: '\n\nTwo.', reasoning: '\n\n' },
    'a tag that the prompt has opened': {
      text: 'So.\n</think>\n\nTwo.',
      startsOpen: true,
      content: '\n\nTwo.',
      reasoning: 'So.\n'
    },
    'an opened tag that comes all the same': {
      text: '\n<think>So.</think>Two.',
      startsOpen: true,
      content: 'Two.',
      reasoning: '\nSo.'
    },
    'an opened tag with another within': {
      text: 'a<think>b</think>c</think>d',
      startsOpen: true,
      content: 'd',
      reasoning: 'abc'
    },
    'an opened tag that is never closed': { text: 'So', startsOpen: true, content: '', reasoning: 'So' },
    'characters of two halves': { text: '😀<think>😀</think>😀', content: '😀😀', reasoning: '😀' }
  }

  for (const [name, { text, startsOpen = false, ...texts }] of Object.entries(cases)) {
    it(`parts ${name}, at every cut in three`, () => {
      for (let first = 0; first <= text.length; first++)
        for (let second = first; second <= text.length; second++) {
          const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)]
          expect(apart(pieces, startsOpen), JSON.stringify(pieces)).to.deep.equal(texts)
        }
    })

    it(`parts ${name} in chunks, one character at a time`, async () => {
      expect(await through(text.split(''), { startsOpen })).to.deep.equal(texts)
    })
  }

  it('gives the same at any cut of any text, and loses nothing but tags', () => {
    const parts = fc.constantFrom(
      '<think>',
      '</think>',
      '<reasoning>',
      '</reasoning>',
      '<',
      '>',
      '/',
      'think',
      'a',
      '😀',
      '\ud83d',
      ' '
    )
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 14 }), places, fc.boolean(), (texts, cuts, startsOpen) => {
        const whole = texts.join('')
        const once = apart([whole], startsOpen)
        expect(apart(cutAt(whole, cuts), startsOpen)).to.deep.equal(once)
        const withoutTags = whole.replace(/<\/?(?:think|reasoning) {0,4}>/g, '')
        // A closing tag that closes nothing is still there.
        expect(once.content.length + once.reasoning.length).to.be.at.least(withoutTags.length)
        const letters = (text: string) => text.replace(/[^a😀 ]/gu, '').length
        expect(letters(once.content) + letters(once.reasoning)).to.be.at.least(letters(withoutTags))
      }),
      { numRuns: 3000 }
    )
  })

  for (const endpoint of endpoints) {
    it(`parts an answer from a server: text, reasoning and the whole completion (${endpoint})`, async () => {
      await using server = await serve({ script: script('<think>One and one are two.</think>\n\nTwo.') })
      const read = async (from: 'content' | 'reasoning') =>
        (await all<string>(ask(server, endpoint), toChunks(), splitThinking(), toText({ from }))).join('')
      expect(await read('content')).to.equal('\n\nTwo.')
      expect(await read('reasoning')).to.equal('One and one are two.')
      const whole = JSON.stringify(
        await all(ask(server, endpoint), toChunks(), splitThinking(), toCompletion())
      )
      expect(whole).to.include('"\\n\\nTwo."').and.not.include('think>')
      expect(whole).to.include('"One and one are two."')
    })

    it(`parts an answer that the server gives whole (${endpoint})`, async () => {
      const faults = { ignoreStream: true }
      await using server = await serve({ script: script('<think>One and one.</think>Two.'), faults })
      const read = async (from: 'content' | 'reasoning') =>
        (await all<string>(ask(server, endpoint), toChunks(), splitThinking(), toText({ from }))).join('')
      expect(await read('content')).to.equal('Two.')
      expect(await read('reasoning')).to.equal('One and one.')
    })
  }

  it('parts several choices at once', async () => {
    const texts = ['<think>a a</think>A A', 'B <think>b b</think> B', 'no <thought but this']
    await using server = await serve({ script: script(texts) })
    const read = async (choice: number, from: 'content' | 'reasoning') =>
      (await all<string>(ask(server), toChunks(), splitThinking(), toText({ choice, from }))).join('')
    expect(await Promise.all([0, 1, 2].map(choice => read(choice, 'content')))).to.deep.equal([
      'A A',
      'B  B',
      texts[2]
    ])
    expect(await Promise.all([0, 1, 2].map(choice => read(choice, 'reasoning')))).to.deep.equal([
      'a a',
      'b b',
      ''
    ])
  })

  it('parts several choices in one chunk', async () => {
    const choices = ['<think>a</think>A', 'B<think>b'].map((content, index) => ({
      index,
      delta: { content }
    }))
    const chunks = await chunksOf(event({ choices }) + finish('stop', 0) + finish('stop', 1) + endMark)
    const texts: Record<number, { content: string; reasoning: string }> = {}
    for (const { index, delta } of chunks.flatMap(({ choices }) => choices)) {
      texts[index] ??= { content: '', reasoning: '' }
      texts[index].content += delta.content ?? ''
      texts[index].reasoning += delta.reasoning_content ?? ''
    }
    expect(texts).to.deep.equal({
      0: { content: 'A', reasoning: 'a' },
      1: { content: 'B', reasoning: 'b' }
    })
  })

  it('passes the very chunks on where there is nothing to part', async () => {
    const chunks: Chunk[] = []
    const input = toChunks()
    input.on('data', chunk => chunks.push(chunk))
    const body =
      delta({ role: 'assistant', content: '' }) +
      delta({ content: 'a < b' }) +
      delta({ content: ' <b>' }) +
      finish()
    const emitted = await all<Chunk>(Readable.from([body]), input, splitThinking())
    expect(emitted).to.have.lengthOf(4)
    for (const [place, chunk] of emitted.entries()) expect(chunk).to.equal(chunks[place])
  })

  it('keeps unknown fields, the role, logprobs, usage and the finish reason, in their order', async () => {
    const first = {
      index: 0,
      logprobs: { content: [] },
      delta: { role: 'assistant', content: 'a<think>b', x: 1 },
      finish_reason: null,
      y: 2
    }
    const last = { index: 0, delta: { content: 'c</think>d</thi' }, finish_reason: 'stop' }
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
    const body =
      event({ choices: [first], z: 3 }) +
      event({ choices: [last], usage }) +
      event({ choices: [], usage }) +
      endMark
    const chunks = await chunksOf(body)
    const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' }
    expect(chunks).to.deep.equal([
      {
        ...head,
        z: 3,
        choices: [{ index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null }]
      },
      { ...head, z: 3, choices: [{ ...first, delta: { content: '', x: 1, reasoning_content: 'b' } }] },
      {
        ...head,
        choices: [{ index: 0, delta: { content: '', reasoning_content: 'c' }, finish_reason: null }]
      },
      { ...head, choices: [{ ...last, delta: { content: 'd</thi' } }], usage },
      { ...head, choices: [], usage }
    ])
  })

  it('gives what it holds before a tool call and before the finish reason', async () => {
    const call = { index: 0, id: 'call_1', function: { name: 'add', arguments: '{}' } }
    const body =
      delta({ content: 'a <th' }) +
      delta({ tool_calls: [call] }) +
      delta({ content: 'b </' }) +
      finish('tool_calls') +
      endMark
    const chunks = await chunksOf(body)
    const said = chunks.map(({ choices: [choice] }) => ({ ...choice?.delta, finish: choice?.finish_reason }))
    expect(said).to.deep.equal([
      { content: 'a ', finish: null },
      { content: '<th', finish: null },
      { tool_calls: [call], finish: null },
      { content: 'b ', finish: null },
      { content: '</', finish: null },
      { finish: 'tool_calls' }
    ])
    const calls = await all(Readable.from([body]), toChunks(), splitThinking(), toToolCalls())
    expect(calls).to.have.lengthOf(1)
  })

  it('gives what it holds at the end of a stream without a finish reason', async () => {
    const chunks = [{ choices: [{ index: 0, delta: { content: 'a <think' } }] }]
    const emitted = await all(Readable.from(chunks), splitThinking(), toText())
    expect(emitted).to.deep.equal(['a ', '<think'])
  })

  it('says how much it holds', async () => {
    const stage = splitThinking().resume()
    const chunk = { choices: [{ index: 0, delta: { content: 'a <thi' } }] }
    await new Promise(resolve => stage.write(chunk, resolve))
    expect(stage.held).to.equal(4)
  })

  it('begins anew with each completion of a log, of which stages behind still see the beginnings', async () => {
    const one = event({ id: 'one', choices: [{ index: 0, delta: { content: '<think>a</th' } }] })
    const body = `${one}${endMark}${delta({ content: '<think>b</think>B' })}${finish()}${endMark}`
    const read = async (from: 'content' | 'reasoning') =>
      all<string>(Readable.from([body]), toChunks(), splitThinking(), toText({ from }))
    expect(await read('content')).to.deep.equal(['B'])
    expect((await read('reasoning')).join('')).to.equal('a</thb')
    const completions = await all(Readable.from([body]), toChunks(), splitThinking(), toCompletion())
    expect(completions).to.have.lengthOf(2)
  })

  it('takes content in parts (Mistral), and text beside the same content (Together)', async () => {
    const parts = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'T' }] },
      { type: 'text', text: '<think>a</think>A' }
    ]
    const mistral = delta({ content: parts }) + finish() + endMark
    const together =
      event({ choices: [{ index: 0, text: '<think>a</think>A', delta: { content: '<think>a</think>A' } }] }) +
      finish() +
      endMark
    for (const [body, reasoning] of [
      [mistral, /^(?:Ta|aT)$/],
      [together, /^a$/]
    ] as const) {
      const read = async (from: 'content' | 'reasoning') =>
        (await all<string>(Readable.from([body]), toChunks(), splitThinking(), toText({ from }))).join('')
      expect(await read('content')).to.equal('A')
      expect(await read('reasoning')).to.match(reasoning)
    }
  })

  it('takes reasoning that the server has found itself for the thought that the prompt has opened', async () => {
    const body = delta({ reasoning_content: 'So.' }) + delta({ content: 'Two.' }) + finish() + endMark
    const read = (from: 'content' | 'reasoning') =>
      all<string>(Readable.from([body]), toChunks(), splitThinking({ startsOpen: true }), toText({ from }))
    expect(await read('content')).to.deep.equal(['Two.'])
    expect(await read('reasoning')).to.deep.equal(['So.'])
  })

  for (const [name, texts, completion] of [
    ['before the text', ['<think>hmm', '</think>Yes'], { text: 'Yes', reasoning_content: 'hmm' }],
    ['behind text', ['Well, <thi', 'nk>hm', 'm</think>yes'], { text: 'Well, yes', reasoning_content: 'hmm' }],
    ['without text', ['<think>hmm'], { text: '', reasoning_content: 'hmm' }]
  ] as const) {
    for (const head of [{ id: 'cmpl-1', object: 'text_completion', created: 1, model: 'm' }, {}]) {
      const said = 'object' in head ? 'with' : 'without'
      it(`gives a legacy completion with a thought ${name}, of chunks ${said} an object`, async () => {
        const choice = { index: 0, logprobs: null, finish_reason: null }
        const chunks = [
          ...texts.map(text => ({ ...head, choices: [{ ...choice, text }] })),
          { ...head, choices: [{ ...choice, text: '', finish_reason: 'stop' }] }
        ]
        const read = async (from: 'content' | 'reasoning') =>
          (await all<string>(Readable.from(chunks), splitThinking(), toText({ from }))).join('')
        expect(await read('reasoning')).to.equal(completion.reasoning_content)
        expect(await read('content')).to.equal(completion.text)
        const [whole] = await all<object>(Readable.from(chunks), splitThinking(), toCompletion())
        expect(whole).to.have.property('object', 'text_completion')
        expect(whole)
          .to.have.property('choices')
          .that.deep.equals([{ ...choice, finish_reason: 'stop', ...completion }])
      })
    }
  }

  it('leaves the thoughts out of the message that Perplexity sends beside each delta', async () => {
    const pieces = ['<thi', 'nk>secret', ' plan</think>', 'Hi <', 'b> <th']
    const whole = 'Hi <b> <th'
    for (const startsOpen of [false, true]) {
      const given = startsOpen ? ['secret', ' plan</thi', 'nk>', ...pieces.slice(3)] : pieces
      let sofar = ''
      const chunks = [...given, ''].map((content, place) => {
        sofar += content
        const finish_reason = place === given.length ? 'stop' : null
        return {
          choices: [
            { index: 0, delta: { content }, message: { role: 'assistant', content: sofar }, finish_reason }
          ]
        }
      })
      const emitted = await all<{ choices: { message?: { content: string } }[] }>(
        Readable.from(chunks),
        splitThinking({ startsOpen })
      )
      const messages = emitted.flatMap(({ choices }) =>
        choices.flatMap(({ message }) => message?.content ?? [])
      )
      for (const message of messages) expect(whole.startsWith(message), message).to.equal(true)
      expect(messages.at(-1)).to.equal(whole)
      expect(JSON.stringify(messages)).to.not.include('secret')
    }
  })

  it("leaves Perplexity's message as it is where the provider itself has told reasoning apart", async () => {
    const message = { role: 'assistant', content: 'Hi' }
    const chunks = [
      { choices: [{ index: 0, delta: { reasoning_content: 'So.' } }] },
      { choices: [{ index: 0, delta: { content: 'Hi' }, message }] }
    ]
    const emitted = await all(Readable.from(chunks), splitThinking({ startsOpen: true }))
    expect(emitted).to.deep.equal(chunks)
  })

  /** The events of a response of messages, each of which comes in these deltas. */
  function eventsOf(
    messages: readonly (readonly string[])[],
    namesOf: (place: number) => { item_id: string; output_index: number }
  ): { type: string; [field: string]: unknown }[] {
    const output = messages.map((deltas, place) => ({
      type: 'message',
      id: namesOf(place).item_id,
      role: 'assistant',
      content: [{ type: 'output_text', text: deltas.join(''), annotations: [] }]
    }))
    return [
      { type: 'response.created', response: { id: 'r', status: 'in_progress', output: [] } },
      ...messages.flatMap((deltas, place) => {
        const { item_id, output_index } = namesOf(place)
        const [item, at] = [output[place], { item_id, output_index, content_index: 0 }]
        const part = item?.content[0]
        return [
          { type: 'response.output_item.added', output_index, item: { ...item, content: [] } },
          { type: 'response.content_part.added', ...at, part: { ...part, text: '' } },
          ...deltas.map(delta => ({ type: 'response.output_text.delta', ...at, delta })),
          { type: 'response.output_text.done', ...at, text: deltas.join('') },
          { type: 'response.content_part.done', ...at, part },
          { type: 'response.output_item.done', output_index, item }
        ]
      }),
      { type: 'response.completed', response: { id: 'r', status: 'completed', output } }
    ]
  }

  for (const deltas of [
    ['<think></think>Hi'],
    ['Hi<think>'],
    ['<thi', 'nk></think>', 'Hi'],
    ['Hi<think', '></think>']
  ])
    it(`leaves the tags of a thought without text out of a response: ${deltas.join('|')}`, async () => {
      const events = eventsOf([deltas], () => ({ item_id: 'm', output_index: 0 }))
      const emitted = await all<Chunk>(Readable.from(events), splitThinking())
      expect(JSON.stringify(emitted)).to.not.include('think')
      expect((await all<string>(Readable.from(emitted), toText())).join('')).to.equal('Hi')
      const [whole] = await all<object>(Readable.from(emitted), toCompletion())
      expect(whole).to.have.nested.property('output[0].content[0].text', 'Hi')
      expect(whole).to.have.property('output').that.has.lengthOf(1)
    })

  /** What a response says behind the stage, and whether a tag is left in it. */
  async function saidBy(events: readonly object[]): Promise<object> {
    const emitted = await all<Chunk>(Readable.from(events), splitThinking())
    const read = async (from: 'content' | 'reasoning') =>
      (await all<string>(Readable.from(emitted), toText({ from }))).join('')
    const hasTag = JSON.stringify(emitted).includes('think>')
    return { content: await read('content'), reasoning: await read('reasoning'), hasTag }
  }

  const pieces = ['<think>So', '</think>Hi']
  const completed = { type: 'response.completed', response: { id: 'r', status: 'completed', output: [] } }
  for (const [name, events] of Object.entries({
    'the deltas of the Realtime API': [
      ...pieces.map(delta => ({ type: 'response.text.delta', delta })),
      { type: 'response.text.done', text: pieces.join('') },
      completed
    ],
    'deltas that are called text': [
      ...pieces.map(text => ({ type: 'response.output_text.delta', text })),
      completed
    ],
    'a terminal that has the output itself': [
      {
        type: 'response.completed',
        output: [{ type: 'message', id: 'm', content: [{ type: 'output_text', text: pieces.join('') }] }]
      }
    ],
    'a part of the type text (SGLang)': [
      {
        type: 'response.completed',
        response: {
          output: [{ type: 'message', id: 'm', content: [{ type: 'text', text: pieces.join('') }] }]
        }
      }
    ],
    'output_text alone': [
      { type: 'response.completed', response: { output: [], output_text: pieces.join('') } }
    ],
    'deltas, and output_text': [
      ...pieces.map(delta => ({ type: 'response.output_text.delta', delta })),
      { type: 'response.completed', response: { output: [], output_text: pieces.join('') } }
    ]
  }))
    it(`parts a response of ${name}`, async () => {
      expect(await saidBy(events)).to.deep.equal({ content: 'Hi', reasoning: 'So', hasTag: false })
    })

  it('passes the very events on of a response without a tag', async () => {
    const events = eventsOf([['a', ' < b']], () => ({ item_id: 'm', output_index: 0 }))
    const emitted = await all<object>(Readable.from(events), splitThinking())
    // What may become a tag is held.
    const plain = (list: readonly object[]) => list.filter(event => !('delta' in event))
    for (const [place, event] of plain(emitted).entries()) expect(event).to.equal(plain(events)[place])
  })

  for (const [name, namesOf] of Object.entries<(place: number) => { item_id: string; output_index: number }>({
    'at their places': place => ({ item_id: `m${place}`, output_index: place }),
    'all at one place': place => ({ item_id: `m${place}`, output_index: 0 }),
    'at places counted from 1': place => ({ item_id: `m${place}`, output_index: place + 1 }),
    'all under one id': place => ({ item_id: 'm', output_index: place })
  }))
    it(`tells items apart that are ${name}`, async () => {
      const events = eventsOf(
        [
          ['<think>a', 'a'],
          ['B', '<think>b</think>']
        ],
        namesOf
      )
      const read = async (from: 'content' | 'reasoning') =>
        (await all<string>(Readable.from(events), splitThinking(), toText({ from }))).join('')
      expect(await read('content')).to.equal('B')
      expect(await read('reasoning')).to.equal('aab')
      const [whole] = await all<{ output: { id: string; type: string; content: { text: string }[] }[] }>(
        Readable.from(events),
        splitThinking(),
        toCompletion()
      )
      expect(whole?.output.map(({ type, content }) => `${type}: ${content[0]?.text}`)).to.deep.equal([
        'message: ',
        'message: B',
        'reasoning: aa',
        'reasoning: b'
      ])
      expect(new Set(whole?.output.slice(2).map(({ id }) => id))).to.have.property('size', 2)
    })

  it('knows an item by its place where each event has another id (Copilot)', async () => {
    let count = 0
    const events = eventsOf([['<thi', 'nk>a</think>', 'A']], () => ({ item_id: 'm', output_index: 0 })).map(
      event => ('item_id' in event ? { ...event, item_id: `m${count++}` } : event)
    )
    const read = async (from: 'content' | 'reasoning') =>
      (await all<string>(Readable.from(events), splitThinking(), toText({ from }))).join('')
    expect(await read('content')).to.equal('A')
    expect(await read('reasoning')).to.equal('a')
  })

  it('knows the tags that it is given, and no others', async () => {
    expect(await through(['<plan>a</plan><think>b</think>'], { tags: ['plan'] })).to.deep.equal({
      content: '<think>b</think>',
      reasoning: 'a'
    })
  })

  it('works between other stages, in compose and from a file', async () => {
    const pieces: Piece[] = '<think>a b c</think>d e'.split(/(?=[ <])/).map(text => ({ at: 0, text }))
    await using server = await serve({ script: { choices: [{ pieces }] } })
    let usages = 0
    let outcome = ''
    const usage = tapUsage(() => void usages++)
    const summary = tapSummary(({ outcome: found }) => {
      outcome = found
    })
    const stream = compose(ask(server), toChunks(), usage, splitThinking(), summary, toText())
    expect((await all<string>(stream)).join('')).to.equal('d e')
    expect([usages, outcome]).to.deep.equal([1, 'complete'])
    await withFolder(async folder => {
      const file = join(folder, 'recorded.sse')
      await writeFile(file, delta({ content: '<think>a</think>b' }) + finish() + endMark)
      expect(await all(createReadStream(file), toChunks(), splitThinking(), toText())).to.deep.equal(['b'])
    })
  })

  it('has emitted all that came before a failure', async () => {
    await using server = await serve({
      script: script('<think>a</think>one two'),
      faults: { cutAfter: { events: 9 } }
    })
    const { items, error } = await run<string>(ask(server), toChunks(), splitThinking(), toText())
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items.join('')).to.match(/^one/)
  })

  it('lets go of what may have become a tag before a failure', async () => {
    const body = Readable.from([delta({ content: 'one <thin' })])
    const { items, error } = await run<string>(body, toChunks(), splitThinking(), toText())
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items.join('')).to.equal('one <thin')
  })

  it('fails with CS_ERR_INVALID_CHUNK for text', async () => {
    const { error } = await run(Readable.from(['text']), splitThinking())
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  for (const [name, options] of Object.entries({
    'no tags': { tags: [] },
    'a tag with brackets': { tags: ['<think>'] },
    'an empty tag': { tags: [''] },
    'tags that are no list': { tags: 'think' },
    'startsOpen: 1': { startsOpen: 1 },
    'an unknown option': { tag: 'think' }
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => splitThinking(options))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

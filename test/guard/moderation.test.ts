import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'chai'
import {
  type Check,
  type CheckedText,
  type Chunk,
  compose,
  type ModerationOptions,
  moderate,
  splitThinking,
  stopAt,
  toChunks,
  toText,
  toToolCalls
} from 'completion-streams'
import { type Piece, script } from 'completion-streams/testing'
import fc from 'fast-check'
import {
  all,
  ask,
  delta,
  endMark,
  endpoints,
  event,
  failureOf,
  finish,
  GatedSink,
  run,
  serve,
  settle,
  withFolder
} from '../answers.js'
import { allowNoComplaints } from '../helpers.js'
import { cutAt, inPiecesOf, places } from '../pieces.js'

const refuseBad: Check = text => (text.includes('BAD') ? 'it is bad' : true)

/** A check whose verdicts are given by hand. */
function gated() {
  const asked: { text: string; about: CheckedText; answer(verdict: boolean | string): void }[] = []
  const check: Check = (text, about) =>
    new Promise(resolve => {
      asked.push({ text, about, answer: resolve })
    })
  return { asked, check }
}

/** Writes pieces into a stage, and collects what has left it. */
function started(check: Check, options: ModerationOptions, pieces: readonly string[]) {
  const stage = moderate<string>(check, options)
  const left: string[] = []
  const sink = new Writable({
    objectMode: true,
    write(text, _encoding, callback) {
      left.push(text)
      callback()
    }
  })
  const done = pipeline(Readable.from(pieces), stage, sink)
  done.catch(() => {})
  return { stage, left, done }
}

describe('moderate', () => {
  allowNoComplaints()

  it('lets text pass that the check approves, in the pieces in which it came', async () => {
    const pieces = ['One is. ', 'Two is. ', 'Three is.']
    expect(
      await all(
        Readable.from(pieces),
        moderate<string>(() => true)
      )
    ).to.deep.equal(pieces)
  })

  for (const [name, check] of Object.entries<Check>({
    true: () => true,
    nothing: () => undefined,
    'a promise of true': async () => true,
    'a promise of nothing': async () => undefined,
    'no return at all': () => {}
  })) {
    it(`takes ${name} for a yes`, async () => {
      expect(await all(Readable.from(['a']), moderate<string>(check))).to.deep.equal(['a'])
    })
  }

  const reason = 'it is bad'
  const failure = new Error('the service is down')
  const noes: Record<string, { check: unknown; facts: object }> = {
    false: { check: () => false, facts: {} },
    'a text': { check: () => reason, facts: { reason } },
    'a promise of false': { check: async () => false, facts: {} },
    'a promise of a text': { check: async () => reason, facts: { reason } },
    'an empty text': { check: () => '', facts: {} },
    null: { check: () => null, facts: {} },
    0: { check: () => 0, facts: {} },
    'an object': { check: () => ({ flagged: false }), facts: {} },
    'a throw': {
      check: () => {
        throw failure
      },
      facts: { cause: failure }
    },
    'a rejection': { check: () => Promise.reject(failure), facts: { cause: failure } }
  }
  for (const [name, { check, facts }] of Object.entries(noes)) {
    it(`blocks for ${name}, with CS_ERR_BLOCKED`, async () => {
      // Programs without types return anything.
      const { items, error } = await run(Readable.from(['secret text']), moderate<string>(check as Check))
      expect(items).to.deep.equal([])
      expect(error).to.include({ code: 'CS_ERR_BLOCKED', kind: 'content', choice: 0, ...facts })
      expect(error?.message).to.not.include('secret').and.not.include('bad')
    })
  }

  it('blocks when a check hangs for longer than its time limit, and aborts its signal', async () => {
    let signal: AbortSignal | undefined
    const hung: Check = (_text, about) => {
      signal = about.signal
      return new Promise(() => {})
    }
    const { items, error } = await run(Readable.from(['a']), moderate<string>(hung, { timeLimit: 20 }))
    expect(items).to.deep.equal([])
    expect(error).to.include({ code: 'CS_ERR_BLOCKED', limit: 20 })
    expect(signal?.aborted).to.equal(true)
  })

  it('asks about windows that end with sentences, with overlap, and says what came before', async () => {
    const asked: object[] = []
    const check: Check = (text, { sofar, overlap, kind, choice }) => {
      asked.push({ text, sofar, overlap, kind, choice })
    }
    await all(
      Readable.from(inPiecesOf('One is. Two is. Three.', 3)),
      moderate<string>(check, { window: 10, overlap: 4 })
    )
    const same = { kind: 'content', choice: 0 }
    expect(asked).to.deep.equal([
      { text: 'One is. ', sofar: '', overlap: 0, ...same },
      { text: 'is. Two is. ', sofar: 'One is. ', overlap: 4, ...same },
      { text: 'is. Three.', sofar: 'One is. Two is. ', overlap: 4, ...same }
    ])
  })

  it('asks once about all of the text where the window has no end', async () => {
    const asked: string[] = []
    const check: Check = text => void asked.push(text)
    const pieces = inPiecesOf('One is. Two is. '.repeat(200), 3)
    const texts = await all<string>(Readable.from(pieces), moderate<string>(check, { window: Infinity }))
    expect(asked).to.deep.equal([pieces.join('')])
    expect(texts.join('')).to.equal(pieces.join(''))
  })

  it('gives what was approved before a refusal, and nothing of the refused window', async () => {
    const { items, error } = await run<string>(
      Readable.from(inPiecesOf('One is. Two is. Three BAD. Four.', 5)),
      moderate<string>(refuseBad, { window: 12, overlap: 0 })
    )
    expect(items.join('')).to.equal('One is. Two is. ')
    expect(error).to.include({ code: 'CS_ERR_BLOCKED', reason: 'it is bad' })
  })

  it('finds with the overlap what two windows share', async () => {
    const { items, error } = await run<string>(
      Readable.from(['It was B', 'AD of him.']),
      moderate<string>(refuseBad, { window: 8, overlap: 8 })
    )
    expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
    expect(items.join('')).to.equal('It was ')
  })

  it('runs several checks at once, and lets their texts go in order', async () => {
    const { asked, check } = gated()
    const { left, done } = started(check, { window: 2, overlap: 0, ahead: 3 }, ['ab', 'cd', 'ef', 'gh', 'ij'])
    await settle()
    expect(asked.map(({ text }) => text)).to.deep.equal(['ab', 'cd', 'ef'])
    asked[2]?.answer(true)
    asked[1]?.answer(true)
    await settle()
    expect(left).to.deep.equal([])
    asked[0]?.answer(true)
    await settle()
    expect(left).to.deep.equal(['ab', 'cd', 'ef'])
    for (const { answer } of asked) answer(true)
    await settle()
    for (const { answer } of asked) answer(true)
    await done
    expect(left.join('')).to.equal('abcdefghij')
  })

  it('waits for the verdicts on what came before a refusal, and asks nothing more', async () => {
    const { asked, check } = gated()
    const { left, done } = started(check, { window: 2, overlap: 0, ahead: 3 }, ['ab', 'cd', 'ef', 'gh', 'ij'])
    await settle()
    asked[1]?.answer('no')
    await settle()
    expect(left).to.deep.equal([])
    asked[0]?.answer(true)
    expect(await failureOf(done)).to.include({ code: 'CS_ERR_BLOCKED', reason: 'no' })
    expect(left).to.deep.equal(['ab'])
    expect(asked).to.have.lengthOf(3)
    expect(asked[2]?.about.signal.aborted).to.equal(true)
    asked[2]?.answer(true)
    await settle()
    expect(left).to.deep.equal(['ab'])
  })

  it('tells the first of two refusals, whichever comes first', async () => {
    const { asked, check } = gated()
    const { left, done } = started(check, { window: 2, overlap: 0, ahead: 3 }, ['ab', 'cd', 'ef'])
    await settle()
    asked[1]?.answer('second')
    asked[0]?.answer('first')
    expect(await failureOf(done)).to.have.property('reason', 'first')
    expect(left).to.deep.equal([])
  })

  it('reads no more than the windows that are looked at, and one more', async () => {
    const { asked, check } = gated()
    let reads = 0
    const source = Readable.from(
      (function* () {
        for (;;) {
          reads++
          yield 'abcdefghi '
        }
      })(),
      { highWaterMark: 1 }
    )
    const sink = new GatedSink()
    const stage = moderate<string>(check, { window: 100, overlap: 0, ahead: 2 })
    const done = failureOf(pipeline(source, stage, sink))
    await settle(200)
    expect(asked).to.have.lengthOf(2)
    // Two windows of ten pieces are looked at, one is full, and the stage and the source hold what they may.
    expect(reads).to.be.within(30, 60)
    stage.destroy(failure)
    expect(await done).to.equal(failure)
  })

  it('reads no more when the sink is slow, though all is approved', async () => {
    let reads = 0
    // As slow as a provider, so that a check is always free.
    async function* endless() {
      for (;;) {
        await nextTurn()
        reads++
        yield 'One is. '
      }
    }
    for (const check of [() => true, async () => true, async () => void (await nextTurn())]) {
      reads = 0
      const stage = moderate<string>(check, { window: 200, overlap: 0 })
      const sink = new GatedSink({ objectMode: true })
      const done = failureOf(pipeline(Readable.from(endless(), { highWaterMark: 1 }), stage, sink))
      await settle(500)
      expect(reads).to.be.within(10, 120)
      for (let taken = 0; taken < 100; taken++) {
        sink.take()
        await settle(3)
      }
      expect(sink.received).to.have.lengthOf(100)
      stage.destroy(failure)
      await done
    }
  })

  it('gives what the rules give at any cut, and nothing unapproved at any moment, whatever the order of the verdicts', () => {
    const parts = fc.constantFrom('a', 'word ', 'End. ', 'BAD ', '\n', '😀', '。')
    return fc.assert(
      fc.asyncProperty(
        fc.array(parts, { maxLength: 30 }),
        places,
        fc.integer({ min: 1, max: 25 }),
        fc.integer({ min: 1, max: 5 }),
        fc.infiniteStream(fc.nat(3)),
        async (texts, cuts, window, ahead, delays) => {
          const whole = texts.join('')
          const refused = new Set<string>()
          let approved = 0
          let output = ''
          const ends = new Map<number, number>()
          const check: Check = async (text, { sofar, overlap }) => {
            const start = sofar.length
            for (let turns = delays.next().value ?? 0; turns > 0; turns--) await nextTurn()
            if (text.includes('BAD')) {
              refused.add(text)
              return false
            }
            ends.set(start, start + text.length - overlap)
            for (let end = ends.get(approved); end !== undefined; end = ends.get(approved)) approved = end
            return true
          }
          const sink = new Writable({
            decodeStrings: false,
            write(text, _encoding, callback) {
              output += text
              // What has left was approved, without a gap.
              expect(output.length).to.be.at.most(approved)
              callback()
            }
          })
          const options = { window, ahead, overlap: 3 }
          const error = await pipeline(
            Readable.from(cutAt(whole, cuts)),
            moderate<string>(check, options),
            sink
          ).then(
            () => undefined,
            found => found
          )
          expect(whole.startsWith(output)).to.equal(true)
          expect(output).to.not.include('BAD')
          if (refused.size === 0) expect([error, output]).to.deep.equal([undefined, whole])
          else expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
          // All that was approved before the refusal is there, as far as the text is the same at any cut.
          const once = await run<string>(
            Readable.from([whole]),
            moderate<string>(text => !text.includes('BAD'), options)
          )
          expect(output).to.equal(once.items.join(''))
        }
      ),
      { numRuns: 300 }
    )
  })

  for (const endpoint of endpoints) {
    it(`lets nothing of a refused window reach the reader (${endpoint})`, async () => {
      const answer = `${'All is well here. '.repeat(12)}This is BAD indeed. ${'And more. '.repeat(30)}`
      await using server = await serve({ script: script(answer) })
      for (const text of [false, true]) {
        const check = moderate<never>(refuseBad, { window: 60, overlap: 20 })
        const stages = text ? [toText(), check] : [check, toText()]
        const { items, error } = await run<string>(ask(server, endpoint), toChunks(), ...stages)
        expect(error).to.include({ code: 'CS_ERR_BLOCKED', reason: 'it is bad', kind: 'content' })
        const seen = items.join('')
        expect(answer.startsWith(seen)).to.equal(true)
        // The window that holds it begins at most sixty characters before.
        expect(seen.length).to.be.within(answer.indexOf('This is BAD') - 60, answer.indexOf('This is BAD'))
      }
    })

    it(`passes all of an answer that is approved, chunk for chunk (${endpoint})`, async () => {
      await using server = await serve({ script: script('One is. Two is. Three is. '.repeat(20)) })
      const plain = await all(ask(server, endpoint), toChunks())
      const checked = await all(
        ask(server, endpoint),
        toChunks(),
        moderate<Chunk>(() => true, { window: 50 })
      )
      expect(checked).to.deep.equal(plain)
    })

    it(`looks at an answer that the server gives whole (${endpoint})`, async () => {
      await using server = await serve({ script: script('Good. So BAD.'), faults: { ignoreStream: true } })
      const { items, error } = await run(
        ask(server, endpoint),
        toChunks(),
        moderate<Chunk>(refuseBad),
        toText()
      )
      expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
      expect(items).to.deep.equal([])
    })
  }

  const kinds: Record<string, Piece[]> = {
    content: [
      { at: 0, text: 'Good. ' },
      { at: 0, text: 'So BAD.' }
    ],
    reasoning: [
      { at: 0, reasoning: 'Good. ' },
      { at: 0, reasoning: 'So BAD.' }
    ],
    refusal: [
      { at: 0, refusal: 'Good. ' },
      { at: 0, refusal: 'So BAD.' }
    ],
    arguments: [
      { at: 0, toolCall: { id: 'call_1', name: 'say', arguments: '{"text": ' } },
      { at: 0, toolCall: { arguments: '"So BAD."}' } }
    ]
  }
  for (const [kind, pieces] of Object.entries(kinds))
    for (const endpoint of ['chat', 'responses'] as const) {
      it(`looks at ${kind}, and lets nothing of it leave (${endpoint})`, async () => {
        await using server = await serve({
          script: { choices: [{ pieces: [...pieces, { at: 0, text: 'Behind.' }] }] }
        })
        const { items, error } = await run(ask(server, endpoint), toChunks(), moderate<Chunk>(refuseBad))
        expect(error).to.include({ code: 'CS_ERR_BLOCKED', kind })
        expect(JSON.stringify(items)).to.not.include('BAD').and.not.include('Good').and.not.include('Behind')
      })

      it(`leaves ${kind} alone where it is told to look at something else (${endpoint})`, async () => {
        await using server = await serve({ script: { choices: [{ pieces }] } })
        const of = (['content', 'reasoning', 'refusal', 'arguments'] as const).filter(other => other !== kind)
        const items = await all(ask(server, endpoint), toChunks(), moderate<Chunk>(refuseBad, { of }))
        expect(JSON.stringify(items)).to.include('BAD')
      })
    }

  it('gives the approved beginning of a chunk of which the rest is refused', async () => {
    const body =
      delta({ role: 'assistant', content: 'Good is good. Then comes BAD. ', x: 1 }) + finish() + endMark
    const stage = moderate<Chunk>(refuseBad, { window: 16, overlap: 0 })
    const { items, error } = await run(Readable.from([body]), toChunks(), stage)
    expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
    expect(items).to.have.lengthOf(1)
    expect(items[0]).to.have.nested.property('choices[0].delta').deep.equal({ content: 'Good is good. ' })
  })

  it('looks at what a response says at its end and in no delta', async () => {
    const part = { type: 'output_text', text: 'So BAD.' }
    const output = [{ type: 'message', id: 'm', role: 'assistant', content: [part] }]
    for (const last of [
      { type: 'response.output_text.done', output_index: 0, content_index: 0, text: 'So BAD.' },
      { type: 'response.content_part.done', output_index: 0, content_index: 0, part },
      { type: 'response.output_item.done', output_index: 0, item: output[0] },
      { type: 'response.completed', response: { id: 'r', status: 'completed', output } }
    ]) {
      const created = { type: 'response.created', response: { id: 'r', output: [] } }
      const { items, error } = await run(Readable.from([created, last]), moderate<Chunk>(refuseBad))
      expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
      expect(items).to.deep.equal([created])
    }
  })

  it('asks about nothing twice that a response says again', async () => {
    await using server = await serve({ script: script('One is. Two is.') })
    const asked: string[] = []
    const check: Check = text => void asked.push(text)
    await all(ask(server, 'responses'), toChunks(), moderate<Chunk>(check))
    expect(asked).to.deep.equal(['One is. Two is.'])
  })

  it('looks at every text of a chunk, under whichever name', async () => {
    const hidden: object[] = [
      { content: [{ type: 'text', text: 'BAD' }] },
      { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'BAD' }] }] },
      { reasoning_content: 'fine', reasoning: 'BAD' },
      { reasoning: 'fine', reasoning_details: [{ type: 'reasoning.text', text: 'BAD' }] },
      { function_call: { name: 'f', arguments: 'BAD' } },
      { tool_calls: [{ index: 0, type: 'custom', custom: { name: 'f', input: 'BAD' } }] },
      { tool_calls: [{ index: 0, function: { name: 'f', arguments: { text: 'BAD' } } }] },
      { tool_calls: [{ index: 0, name: 'f', arguments: 'BAD' }] },
      { tool_calls: [{ index: 0, name: 'f', input: { text: 'BAD' } }] },
      { audio: { transcript: 'BAD' } },
      { refusal: 'BAD' }
    ]
    for (const delta of hidden) {
      const chunks = [{ choices: [{ index: 0, delta }] }]
      const { items, error } = await run(Readable.from(chunks), moderate<Chunk>(refuseBad))
      expect(error, JSON.stringify(delta)).to.have.property('code', 'CS_ERR_BLOCKED')
      expect(JSON.stringify(items)).to.not.include('BAD')
    }
    const perplexity = [{ choices: [{ index: 0, delta: { content: 'a' }, message: { content: 'a BAD' } }] }]
    expect((await run(Readable.from(perplexity), moderate<Chunk>(refuseBad))).error).to.have.property(
      'code',
      'CS_ERR_BLOCKED'
    )
    const together = [{ choices: [{ index: 0, text: 'BAD', delta: { content: 'a' } }] }]
    expect((await run(Readable.from(together), moderate<Chunk>(refuseBad))).error).to.have.property(
      'code',
      'CS_ERR_BLOCKED'
    )
  })

  const tools: Record<string, object> = {
    shell_call: { action: { commands: ['ls', 'echo BAD'] } },
    local_shell_call: { action: { type: 'exec', command: ['echo', 'BAD'] } },
    apply_patch_call: { operation: { type: 'create_file', path: 'a.txt', diff: '+BAD' } },
    computer_call: { action: { type: 'type', text: 'BAD' } },
    web_search_call: { action: { type: 'search', query: 'BAD' } },
    file_search_call: { queries: ['BAD'] },
    mcp_approval_request: { name: 'f', arguments: 'BAD' },
    image_generation_call: { result: 'aGVsbG8=', revised_prompt: 'BAD' },
    telescope_call: { of: { next: [{ year: 'BAD' }] } },
    message: {
      content: [{ type: 'output_text', text: '', annotations: [{ type: 'url_citation', title: 'BAD' }] }]
    }
  }
  for (const [type, fields] of Object.entries(tools))
    it(`looks at what a response has for a tool of the provider, in whichever event: ${type}`, async () => {
      const item = { type, id: 'x', ...fields }
      for (const event of [
        { type: 'response.output_item.added', output_index: 0, item },
        { type: 'response.output_item.done', output_index: 0, item },
        { type: 'response.completed', response: { id: 'r', status: 'completed', output: [item] } }
      ]) {
        const { items, error } = await run(Readable.from([event]), moderate<Chunk>(refuseBad))
        expect(error, event.type).to.have.property('code', 'CS_ERR_BLOCKED')
        expect(items).to.deep.equal([])
        const allowed = await all(
          Readable.from([event]),
          moderate<Chunk>(() => true)
        )
        expect(allowed).to.deep.equal([event])
      }
    })

  for (const [type, kind] of [
    ['response.apply_patch_call_operation_diff.delta', 'arguments'],
    ['response.shell_call_command.delta', 'arguments'],
    ['response.output_audio_transcript.delta', 'content'],
    ['response.reasoning_sketch.delta', 'reasoning']
  ] as const)
    it(`finds what two deltas of ${type} share, and gives what was approved`, async () => {
      const deltas = ['Good is good. ', 'Then B', 'AD.'].map(delta => ({
        type,
        item_id: 'x',
        output_index: 0,
        delta
      }))
      const stage = moderate<Chunk>(refuseBad, { window: 16, overlap: 0 })
      const { items, error } = await run(Readable.from(deltas), stage)
      expect(error).to.include({ code: 'CS_ERR_BLOCKED', kind })
      expect(items).to.deep.equal([deltas[0]])
    })

  it('looks at the alternatives in log probabilities, of all three APIs', async () => {
    const top = [{ token: 'a', top_logprobs: [{ token: 'a' }, { token: 'BAD' }] }]
    for (const chunk of [
      { choices: [{ index: 0, delta: { content: 'a' }, logprobs: { content: top } }] },
      { choices: [{ index: 0, text: 'a', logprobs: { tokens: ['a'], top_logprobs: [{ BAD: -1 }] } }] },
      { choices: [{ index: 0, text: 'a', logprobs: { tokens: ['BAD'] } }] },
      {
        type: 'response.output_text.delta',
        item_id: 'm',
        output_index: 0,
        content_index: 0,
        delta: 'a',
        logprobs: top
      }
    ]) {
      const { items, error } = await run(Readable.from([chunk]), moderate<Chunk>(refuseBad))
      expect(error).to.include({ code: 'CS_ERR_BLOCKED', kind: 'content' })
      expect(JSON.stringify(items)).to.not.include('BAD')
    }
  })

  it('asks at once about what is whole, so that a search shows while it runs', async () => {
    const added = {
      type: 'response.output_item.added',
      output_index: 0,
      item: { type: 'web_search_call', id: 'x' }
    }
    const searching = { type: 'response.web_search_call.searching', output_index: 0, item_id: 'x' }
    const asked: string[] = []
    for (const action of [{ type: 'search' }, { type: 'search', query: 'one' }]) {
      const stage = moderate<Chunk>(text => void asked.push(text))
      const left: unknown[] = []
      stage.on('data', chunk => left.push(chunk))
      for (const chunk of [{ ...added, item: { ...added.item, action } }, searching])
        await new Promise(resolve => stage.write(chunk as object as Chunk, resolve))
      await settle()
      expect(left).to.have.lengthOf(2)
      stage.destroy()
    }
    expect(asked).to.deep.equal(['one'])
  })

  it('asks once about a search, and about a citation, that a response says again', async () => {
    const item = {
      type: 'web_search_call',
      id: 'x',
      status: 'completed',
      action: { type: 'search', query: 'one' }
    }
    const at = { item_id: 'm', output_index: 1, content_index: 0 }
    const annotation = { type: 'url_citation', title: 'Two' }
    const part = { type: 'output_text', text: 'Hi', annotations: [annotation] }
    const message = { type: 'message', id: 'm', content: [part] }
    const asked: string[] = []
    const events = [
      { type: 'response.output_item.added', output_index: 0, item },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.output_text.delta', ...at, delta: 'Hi' },
      { type: 'response.output_text.annotation.added', ...at, annotation_index: 0, annotation },
      { type: 'response.content_part.done', ...at, part },
      { type: 'response.output_item.done', output_index: 1, item: message },
      { type: 'response.completed', response: { id: 'r', status: 'completed', output: [item, message] } }
    ]
    expect(
      await all(
        Readable.from(events),
        moderate<Chunk>(text => void asked.push(text))
      )
    ).to.deep.equal(events)
    expect(asked).to.deep.equal(['one', 'Hi', 'Two\n'])
  })

  it('looks at each of several choices, and tells which was refused', async () => {
    await using server = await serve({
      script: script(['Fine. '.repeat(20), `${'Fine. '.repeat(10)}BAD. `, 'Fine. '.repeat(30)])
    })
    const { items, error } = await run(
      ask(server),
      toChunks(),
      moderate<Chunk>(refuseBad, { window: 20, overlap: 0 })
    )
    expect(error).to.include({ code: 'CS_ERR_BLOCKED', choice: 1 })
    expect(JSON.stringify(items)).to.not.include('BAD')
    expect(items.length).to.be.above(10)
  })

  it('holds reasoning no longer than until the answer begins', async () => {
    const body = delta({ reasoning_content: 'Let me think' }) + delta({ content: 'Two' })
    const stage = moderate<Chunk>(() => true)
    const left: unknown[] = []
    stage.on('data', chunk => left.push(chunk))
    const input = toChunks()
    input.pipe(stage)
    await new Promise(resolve => input.write(body, resolve))
    await settle()
    expect(left).to.have.lengthOf(1)
    stage.destroy()
  })

  it('gives tool calls, usage and finish reasons in their order', async () => {
    const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } }
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
    const body =
      delta({ content: 'I add.' }) +
      delta({ tool_calls: [call] }) +
      finish('tool_calls') +
      event({ choices: [], usage }) +
      endMark
    const plain = await all(Readable.from([body]), toChunks())
    const late: Check = async () => {
      await nextTurn()
    }
    expect(await all(Readable.from([body]), toChunks(), moderate<Chunk>(late))).to.deep.equal(plain)
    const calls = await all(Readable.from([body]), toChunks(), moderate<Chunk>(late), toToolCalls())
    expect(calls).to.have.lengthOf(1)
  })

  it('begins anew with each completion of a log', async () => {
    const one = delta({ content: 'Yes, it is.' }) + finish() + endMark
    const asked: string[] = []
    const check: Check = (text, { sofar }) => void asked.push(`${sofar}|${text}`)
    await all(Readable.from([one + one]), toChunks(), moderate<Chunk>(check))
    expect(asked).to.deep.equal(['|Yes, it is.', '|Yes, it is.'])
  })

  it('looks at what splitThinking has called reasoning', async () => {
    await using server = await serve({ script: script('<think>So BAD.</think>Fine.') })
    const { items, error } = await run(ask(server), toChunks(), splitThinking(), moderate<Chunk>(refuseBad))
    expect(error).to.have.property('kind', 'reasoning')
    expect(JSON.stringify(items)).to.not.include('BAD').and.not.include('Fine')
  })

  it('has given a slow file all approved text before it fails, inside compose too', async () => {
    await using server = await serve({ script: script(`${'Good. '.repeat(50)}BAD.`) })
    await withFolder(async folder => {
      const file = join(folder, 'answer.txt')
      const stream = compose(
        ask(server),
        toChunks(),
        moderate<Chunk>(refuseBad, { window: 30, overlap: 0 }),
        toText()
      )
      const error = await failureOf(pipeline(stream, createWriteStream(file, { highWaterMark: 1 })))
      expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
      const text = await readFile(file, 'utf8')
      expect('Good. '.repeat(50).startsWith(text)).to.equal(true)
      expect(text.length).to.be.at.least(300 - 30)
    })
  })

  it('aborts the request when it blocks', async () => {
    const faults = { stallAfter: { events: 20 } }
    await using server = await serve({ script: script('BAD. So it is. '.repeat(20)), faults })
    const { error } = await run(ask(server), toChunks(), moderate<Chunk>(refuseBad, { window: 10 }))
    expect(error).to.have.property('code', 'CS_ERR_BLOCKED')
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })

  it('still fails with what comes before it, and shows nothing more', async () => {
    await using server = await serve({
      script: script('Good. Good. Good.'),
      faults: { cutAfter: { events: 4 } }
    })
    const { items, error } = await run(
      ask(server),
      toChunks(),
      moderate<Chunk>(() => true),
      toText()
    )
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items).to.deep.equal([])
  })

  it('tells nothing of what a stage behind it does not want any more', async () => {
    const late: Check = async text => {
      await nextTurn()
      return !text.includes('BAD')
    }
    const stage = moderate<string>(late, { window: 6, overlap: 0, ahead: 1 })
    const items = await all<string>(
      Readable.from(['One. ', 'STOP. ', 'BAD. ', 'BAD. ', 'BAD. ']),
      stage,
      stopAt('STOP')
    )
    expect(items.join('')).to.equal('One. ')
  })

  it('aborts the signals of its checks when it is destroyed', async () => {
    const { asked, check } = gated()
    const { stage, done } = started(check, { window: 2 }, ['abcdef'])
    await settle()
    stage.destroy(failure)
    expect(await failureOf(done)).to.equal(failure)
    expect(asked[0]?.about.signal.aborted).to.equal(true)
  })

  it('says how much it holds', async () => {
    const stage = moderate<string>(() => true).resume()
    await new Promise(resolve => stage.write('some text', resolve))
    expect(stage.held).to.equal(9)
    await new Promise<void>(resolve => stage.end(resolve))
    expect(stage.held).to.equal(0)
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is neither text nor a chunk', async () => {
    const { error } = await run(
      Readable.from([Buffer.from('text')]),
      moderate(() => true)
    )
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  for (const [name, options] of Object.entries({
    'window: 0': { window: 0 },
    'window: 1.5': { window: 1.5 },
    'overlap: -1': { overlap: -1 },
    'timeLimit: 0': { timeLimit: 0 },
    'ahead: 0': { ahead: 0 },
    'of: text': { of: 'text' },
    'of nothing': { of: [] },
    'of a number': { of: 1 },
    'an unknown option': { windows: 3 }
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => moderate(() => true, options))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  it('throws CS_ERR_INVALID_OPTION without a check', () => {
    // @ts-expect-error: a check is a function
    expect(() => moderate({ window: 3 }))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

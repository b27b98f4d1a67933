import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { expect } from 'chai'
import { compose, fromResponse, toChunks, toCompletion, type WholeCompletion } from 'completion-streams'
import { type Endpoint, type Faults, type Script, script } from 'completion-streams/testing'
import {
  all,
  ask,
  askWhole,
  clientOf,
  delta,
  endMark,
  endpoints,
  event,
  finish,
  questions,
  run,
  serve,
  settle,
  withFolder
} from '../answers.js'

const token = (text: string) => ({
  token: text,
  logprob: -0.5,
  bytes: [...Buffer.from(text)],
  top_logprobs: [{ token: text, logprob: -0.5, bytes: null }]
})

const usage = { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 }

/** What a model can say, by name; the second of the parallel calls begins before the first is whole. */
const scripts: Record<string, Script> = {
  'an answer': script('Hello there. How are you?', { usage }),
  'no text': script('', { usage }),
  'an answer cut by length': script('Hello there', { finish_reason: 'length' }),
  'a filtered answer': script('Hello', { finish_reason: 'content_filter' }),
  'no usage': script('Hello', { usage: null }),
  'service tier, fingerprint and fields of its own': script('Hello', {
    service_tier: 'flex',
    system_fingerprint: 'fp_1',
    fields: { provider: 'Loopback', x_extra: { list: [1, 2], none: null } }
  }),
  'a refusal': {
    choices: [
      {
        pieces: [
          { at: 0, refusal: 'I would ' },
          { at: 1, refusal: 'rather not.' }
        ]
      }
    ]
  },
  'tool calls': {
    choices: [
      {
        pieces: [
          { at: 0, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":' } },
          { at: 1, toolCall: { arguments: '"Rome"}' } },
          { at: 2, toolCall: { index: 1, id: 'call_2', name: 'time', arguments: '{}' } }
        ]
      }
    ]
  },
  'parallel tool calls beside text': {
    choices: [
      {
        pieces: [
          { at: 0, text: 'Let me see.' },
          { at: 1, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":' } },
          { at: 2, toolCall: { index: 1, id: 'call_2', name: 'time', arguments: '{"zone"' } },
          { at: 3, toolCall: { arguments: '"Rome"}' } },
          { at: 4, toolCall: { index: 1, arguments: ':1}' } }
        ]
      }
    ]
  },
  logprobs: {
    choices: [
      {
        pieces: [
          { at: 0, text: 'Hello', logprobs: [token('Hel'), token('lo')] },
          { at: 1, text: '!', logprobs: [token('!')] }
        ]
      }
    ]
  },
  'several choices': { ...script(['one two three', 'un deux trois', 'eins zwei drei']), usage },
  reasoning: {
    choices: [
      {
        pieces: [
          { at: 0, reasoning: 'The user ' },
          { at: 1, reasoning: 'asks.' },
          { at: 2, text: 'Hello' },
          { at: 3, text: '!' }
        ]
      }
    ]
  }
}

/** What a value says in JSON, which is how a server would have sent it. */
function asJSON(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** Without the fields that the official SDK adds for its own helpers. */
function withoutHelpers(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, field) =>
      ['parsed', 'parsed_arguments', 'output_parsed', 'output_text'].includes(key) ? undefined : field
    )
  )
}

describe('toCompletion', () => {
  for (const endpoint of endpoints) {
    for (const [name, said] of Object.entries(scripts)) {
      it(`gives what the request without stream: true returns (${endpoint}, ${name})`, async () => {
        await using server = await serve({ script: said })
        const completions = await all(ask(server, endpoint), toChunks(), toCompletion())
        expect(asJSON(completions)).to.deep.equal([await askWhole(server, endpoint)])
      })
    }
  }

  for (const [name, said] of Object.entries(scripts)) {
    // Of reasoning the SDK keeps the last piece only, and it makes null of a content without text.
    if (name === 'reasoning' || name === 'no text') continue
    it(`gives what the official SDK accumulates (chat, ${name})`, async () => {
      await using server = await serve({ script: said })
      const [completion] = await all(ask(server), toChunks(), toCompletion())
      const params = { ...questions.chat, stream_options: { include_usage: true } }
      const accumulating = clientOf(server).chat.completions.stream(params)
      // It throws for a length limit and a filter, but has accumulated the answer by then.
      accumulating.on('error', () => {})
      await accumulating.done().catch(() => {})
      expect(asJSON(completion)).to.deep.equal(withoutHelpers(await accumulating.finalChatCompletion()))
    })
  }

  for (const [name, said] of Object.entries(scripts)) {
    it(`gives what the official SDK accumulates (responses, ${name})`, async () => {
      await using server = await serve({ script: said })
      const [completion] = await all<WholeCompletion>(ask(server, 'responses'), toChunks(), toCompletion())
      const theirs = await clientOf(server).responses.stream(questions.responses).finalResponse()
      expect(asJSON(completion)).to.deep.equal(withoutHelpers(theirs))
      expect(completion).to.have.property('output_text', theirs.output_text)
    })
  }

  it('gives the same from one byte at a time', async () => {
    await using server = await serve({
      script: script('Hello there'),
      faults: { bytesPerWrite: 1, lineEnd: '\r\n', comments: true }
    })
    const completions = await all(ask(server), toChunks(), toCompletion())
    expect(asJSON(completions)).to.deep.equal([await askWhole(server)])
  })

  it('leaves the chunks as they came', async () => {
    await using server = await serve({ script: scripts['parallel tool calls beside text'] })
    const chunks: unknown[] = []
    const texts: string[] = []
    const keep = new Transform({
      objectMode: true,
      transform(chunk, _encoding, callback) {
        chunks.push(chunk)
        texts.push(JSON.stringify(chunk))
        callback(null, chunk)
      }
    })
    await all(ask(server), toChunks(), keep, toCompletion())
    expect(chunks.map(chunk => JSON.stringify(chunk))).to.deep.equal(texts)
  })

  describe('with a log of several completions', () => {
    /** The bodies of the answers to three requests. */
    async function bodies(endpoint: Endpoint, scripts: Script[], faults: Faults = {}): Promise<string[]> {
      let count = 0
      await using server = await serve({ script: () => scripts[count++], faults })
      const texts: string[] = []
      for (const _ of scripts) {
        const pieces = await all<Uint8Array>(ask(server, endpoint))
        texts.push(Buffer.concat(pieces).toString())
      }
      return texts
    }

    const answers = ['one', 'two', 'three']

    function textsOf(completions: WholeCompletion[]): unknown[] {
      return completions.map(completion => {
        if ('output_text' in completion) return completion.output_text
        const [choice] = completion.choices
        return choice && ('message' in choice ? choice.message.content : choice.text)
      })
    }

    for (const endpoint of endpoints) {
      for (const { ids, idOf } of [
        { ids: 'an id each', idOf: (answer: string) => `chatcmpl-${answer}` },
        { ids: 'one id for all', idOf: () => 'chatcmpl-same' }
      ]) {
        it(`emits one object for each, told apart by the end mark (${endpoint}, ${ids})`, async () => {
          const log = await bodies(
            endpoint,
            answers.map(answer => script(answer, { id: idOf(answer), usage }))
          )
          await withFolder(async folder => {
            const file = join(folder, 'log.sse')
            await writeFile(file, log.join(''))
            const completions = await all<WholeCompletion>(
              fromResponse(createReadStream(file)),
              toChunks(),
              toCompletion()
            )
            expect(textsOf(completions)).to.deep.equal(answers)
            expect(completions.every(({ usage }) => usage?.total_tokens === 14)).to.equal(true)
          })
        })
      }

      it(`tells them apart by finish and id where there is no end mark (${endpoint})`, async () => {
        const log = await bodies(
          endpoint,
          answers.map(answer => script(answer, { id: `chatcmpl-${answer}`, usage })),
          { endMark: false }
        )
        expect(log.join('')).not.to.include('[DONE]')
        const completions = await all<WholeCompletion>(Readable.from(log), toChunks(), toCompletion())
        expect(textsOf(completions)).to.deep.equal(answers)
        expect(completions.every(({ usage }) => usage?.total_tokens === 14)).to.equal(true)
      })
    }

    it('takes ids that change within one completion for one (Groq)', async () => {
      const chunks = ['a', 'b', 'c'].map(id =>
        event({ id, choices: [{ index: 0, delta: { content: id }, finish_reason: null }] })
      )
      const completions = await all(Readable.from([...chunks, finish()]), toChunks(), toCompletion())
      expect(completions).to.have.lengthOf(1)
      expect(completions[0]).to.have.property('id', 'a')
    })

    it('has emitted those before the one that fails', async () => {
      const log = [delta({ content: 'one' }), finish(), endMark, delta({ content: 'tw' })]
      const { items, error } = await run(Readable.from(log), toChunks(), toCompletion())
      expect(items).to.have.lengthOf(1)
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    })
  })

  for (const { what, faults, code } of [
    { what: 'is cut', faults: { cutAfter: { events: 3 } }, code: 'CS_ERR_TRUNCATED' },
    { what: 'ends early', faults: { errorAfter: { events: 3 } }, code: 'CS_ERR_PROVIDER' },
    { what: 'ends within an event', faults: { cutAfter: { bytes: 500 } }, code: 'CS_ERR_TRUNCATED' }
  ]) {
    for (const endpoint of endpoints) {
      it(`emits nothing when the stream ${what}: ${code} (${endpoint})`, async () => {
        await using server = await serve({ script: script('one two three four five'), faults })
        const { items, error } = await run(ask(server, endpoint), toChunks(), toCompletion())
        expect(items).to.deep.equal([])
        expect(error).to.have.property('code', code)
      })
    }
  }

  it('emits what there is of a completion whose end is not required', async () => {
    const body = [delta({ role: 'assistant', content: 'Hel' })]
    const completions = await all(Readable.from(body), toChunks({ requireEnd: false }), toCompletion())
    expect(asJSON(completions)).to.deep.equal([
      {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 1,
        model: 'm',
        choices: [
          {
            index: 0,
            logprobs: null,
            finish_reason: null,
            message: { role: 'assistant', content: 'Hel', refusal: null }
          }
        ]
      }
    ])
  })

  it('emits nothing for an input without a chunk', async () => {
    expect(await all(Readable.from([]), toChunks({ requireEnd: false }), toCompletion())).to.deep.equal([])
  })

  it('builds a response of its deltas where the terminal event holds no output', async () => {
    await using server = await serve({ script: scripts.reasoning })
    const chunks = await all<{ type: string; response?: { output: unknown[] } }>(
      ask(server, 'responses'),
      toChunks()
    )
    const terminal = chunks.at(-1)
    if (terminal?.response) terminal.response.output = []
    const body = chunks.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`)
    const completions = await all(Readable.from(body), toChunks(), toCompletion())
    expect(asJSON(completions)).to.deep.equal([await askWhole(server, 'responses')])
  })

  it('works in for await and in compose', async () => {
    await using server = await serve({ script: scripts['tool calls'] })
    const completions: WholeCompletion[] = []
    for await (const completion of compose(ask(server), toChunks(), toCompletion()))
      completions.push(completion)
    expect(asJSON(completions)).to.deep.equal([await askWhole(server)])
  })

  it('can be destroyed at any time', async () => {
    await using server = await serve({ script: scripts['an answer'], faults: { stallAfter: { events: 2 } } })
    const request = ask(server)
    const stage = toCompletion()
    request.pipe(toChunks()).pipe(stage)
    stage.resume()
    await request.response
    await settle()
    stage.destroy()
    request.destroy()
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
    expect(stage.readableEnded).to.equal(false)
  })
})

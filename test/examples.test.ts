import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { type CompletionServer, onePlusOne, serveCompletions } from 'completion-streams/testing'

const runner = join(import.meta.dirname, '../examples/run.js')
const numbers = Array.from({ length: 100 }, (_, place) => place + 1).join(', ')

/** What a program that has ended left behind. */
interface Result {
  stdout: string
  stderr: string
  code: number
}

describe('examples', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'examples-'))
  })

  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  /** Starts an example: without a key, or with one for a server. */
  function start(name: string, server?: CompletionServer) {
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      // To write down what is covered takes as long as to run the example.
      NODE_V8_COVERAGE: undefined,
      OPENAI_API_KEY: '',
      OPENAI_BASE_URL: '',
      OPENAI_MODEL: ''
    }
    delete env.OPENAI_MODEL
    if (server)
      Object.assign(env, { OPENAI_API_KEY: 'a-key', OPENAI_BASE_URL: server.url, OPENAI_MODEL: 'a-model' })
    return spawn(process.execPath, [runner, name], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  async function run(name: string, server?: CompletionServer): Promise<Result> {
    const child = start(name, server)
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close')
    ])
    return { stdout, stderr, code }
  }

  /** A server that sends the first half at once, and the second when the example has printed something. */
  async function runInHalves(name: string, first: object, second: object): Promise<string> {
    let printed = ''
    async function* writes() {
      yield { bytes: `data: ${JSON.stringify(first)}\n\n` }
      const [output] = await once(child.stdout, 'data')
      printed += output
      yield { bytes: `data: ${JSON.stringify(second)}\n\ndata: [DONE]\n\n` }
    }
    await using server = await serveCompletions({ script: { writes: writes() } })
    const child = start(name, server)
    await once(child, 'close')
    return printed
  }

  const fileOf = (name: string) => readFile(join(folder, name), 'utf8')

  describe('demo', () => {
    it('prints the answer, its usage and its times, and writes it to answer.txt', async () => {
      const { stdout, code } = await run('demo')
      const lines = stdout.split('\n')
      expect(code).to.equal(0)
      expect(lines[0]).to.equal(numbers)
      expect(lines[2]).to.equal('usage: { prompt_tokens: 36, completion_tokens: 298, total_tokens: 334 }')
      expect(lines[3]).to.match(/^first token after \d{4} ms, all after \d{4} ms$/)
      expect(await fileOf('answer.txt')).to.equal(numbers)
    })

    it('prints a token before the next one has come', async () => {
      const delta = (content: string) => ({ choices: [{ index: 0, delta: { content } }] })
      const end = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
      expect(await runInHalves('demo', delta('One'), end)).to.equal('One')
    })

    it('asks another server and model when the environment names them', async () => {
      await using server = await serveCompletions({ speed: Infinity })
      const { stdout } = await run('demo', server)
      const [request] = server.requests
      expect(stdout).to.include(numbers)
      expect(request?.headers.authorization).to.equal('Bearer a-key')
      expect(request?.body.model).to.equal('a-model')
    })
  })

  describe('time-machine', () => {
    it('records an answer, plays it back, and serves it', async () => {
      await using server = await serveCompletions({ speed: Infinity })
      const { stdout, code } = await run('time-machine', server)
      expect(code).to.equal(0)
      expect(stdout.split(numbers)).to.have.lengthOf(3)
      expect(await fileOf('demo.ndjson')).to.match(/^\{"recording":1,.*"end":"end"\}\n$/s)
    })
  })

  describe('to-file', () => {
    it('writes the answer to a file', async () => {
      const { stdout, code } = await run('to-file')
      expect(code).to.equal(0)
      expect(stdout).to.equal('answer.txt holds the whole answer\n')
      expect(await fileOf('answer.txt')).to.equal('Two.')
    })

    it('tells of CS_ERR_TRUNCATED, and leaves in the file what had arrived', async () => {
      await using server = await serveCompletions({ script: onePlusOne, faults: { cutAfter: { events: 2 } } })
      const { stdout, stderr, code } = await run('to-file', server)
      expect(code).to.equal(1)
      expect(stdout).to.equal('')
      expect(stderr).to.include('CS_ERR_TRUNCATED')
      expect(await fileOf('answer.txt')).to.equal('Two')
    })
  })

  describe('log-usage', () => {
    it('logs one line per answer', async () => {
      const { stdout, code } = await run('log-usage')
      const lines = (await fileOf('usage.ndjson')).trim().split('\n')
      expect(code).to.equal(0)
      expect(stdout).to.match(/^Two\.\nThis is .* sixty words\.\n$/)
      expect(lines.map(line => JSON.parse(line))).to.deep.equal([
        { model: 'gpt-4o-mini', usage: { prompt_tokens: 18, completion_tokens: 2, total_tokens: 20 } },
        { model: 'gpt-4o-mini', usage: { prompt_tokens: 10, completion_tokens: 71, total_tokens: 81 } }
      ])
    })

    it('fails with EISDIR when the log cannot be written', async () => {
      await mkdir(join(folder, 'usage.ndjson'))
      const { stderr, code } = await run('log-usage')
      expect(code).to.equal(1)
      expect(stderr).to.include('EISDIR')
    })
  })

  describe('batch', () => {
    it('answers each row, shows how far it is in lines, and asks for none of them again', async () => {
      const { stdout, stderr, code } = await run('batch')
      expect(code, stderr).to.equal(0)
      expect(stdout).to.equal('answers.ndjson holds an answer or an error for each row\n')
      expect(stderr).to.match(/^50\/200, 0 failed, \d+ tokens, \$0\.00, \d+ s left$/m)
      const records = (await fileOf('answers.ndjson'))
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
      expect(new Set(records.map(({ key }) => key)).size).to.equal(200)
      expect(records[0].text).to.match(/^It is a \w+, and a good one\.$/)
      await using server = await serveCompletions({ script: onePlusOne })
      expect((await run('batch', server)).code).to.equal(0)
      expect(server.requests).to.have.length(0)
    })

    it('stops at Ctrl-C, and says how to go on', async () => {
      await using server = await serveCompletions({
        script: onePlusOne,
        faults: { stallAfter: { events: 1 } }
      })
      const child = start('batch', server)
      while (server.requests.length < 8) await new Promise(resolve => setImmediate(resolve))
      child.kill('SIGINT')
      const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
      expect(stdout).to.equal('stopped: run it again to go on, products.journal has what is finished\n')
      expect(code).to.equal(130)
    })
  })

  describe('relay', () => {
    it('relays the answer as plain text', async () => {
      const { stdout, code } = await run('relay')
      expect(code).to.equal(0)
      expect(stdout).to.equal('text/plain; charset=utf-8\nTwo.\n')
    })

    it('cuts its reader off when the completion fails with CS_ERR_TRUNCATED', async () => {
      await using server = await serveCompletions({ script: onePlusOne, faults: { cutAfter: { events: 2 } } })
      const { stdout, stderr, code } = await run('relay', server)
      expect(code).to.equal(1)
      expect(stdout).to.equal('text/plain; charset=utf-8\n')
      expect(stderr).to.include('CS_ERR_TRUNCATED').and.include('terminated')
    })
  })

  describe('own-stage', () => {
    it('writes text that is safe in a page', async () => {
      const { stdout, code } = await run('own-stage')
      expect(code).to.equal(0)
      expect(stdout).to.equal('Yes: 1 &lt; 2 &amp; 2 &gt; 1.\n')
      expect(await fileOf('answer.html')).to.equal('Yes: 1 &lt; 2 &amp; 2 &gt; 1.')
    })
  })

  describe('cancel', () => {
    it('stops the request half way', async () => {
      await using server = await serveCompletions()
      const { stdout, code } = await run('cancel', server)
      expect(code).to.equal(0)
      expect(stdout).to.match(/^1, 2, [\d, ]+ 49, 50\nthat is enough; the request is aborted\n$/)
      expect((await server.requests[0]?.over)?.aborted).to.equal(true)
    })
  })

  describe('failures', () => {
    it('shows the code of each failure and the text that had arrived', async () => {
      const { stdout, code } = await run('failures')
      expect(code).to.equal(0)
      expect(stdout.trim().split('\n').map(columns)).to.deep.equal([
        ['the request is refused', 'RateLimitError', '""'],
        ['an error in mid-stream', 'CS_ERR_PROVIDER', '"It was a"'],
        ['the connection dies', 'CS_ERR_TRUNCATED', '"It was a"'],
        ['the body ends too early', 'CS_ERR_TRUNCATED', '"It was"'],
        ['the model stalls', 'CS_ERR_STALLED', '"It was a"'],
        ['malformed JSON', 'CS_ERR_INVALID_CHUNK', '"It was"'],
        ["a proxy's page", 'CS_ERR_INVALID_CHUNK', '""'],
        ['an event of 2 KB', 'CS_ERR_EVENT_TOO_LARGE', '"It was"']
      ])
    })
  })

  describe('each-choice', () => {
    it('writes each answer to a file of its own', async () => {
      const { code } = await run('each-choice')
      expect(code).to.equal(0)
      expect(await fileOf('answer-0.txt')).to.equal('Slow is smooth.')
      expect(await fileOf('answer-1.txt')).to.equal('Every drop finds the sea.')
      expect(await fileOf('answer-2.txt')).to.equal('Let it flow.')
    })
  })

  describe('completion-log', () => {
    it('logs whole completions, and what there was of the others', async () => {
      const { stderr, code } = await run('completion-log')
      const lines = (await fileOf('completions.ndjson')).trim().split('\n')
      const [whole, part] = lines.map(line => JSON.parse(line))
      expect(code).to.equal(0)
      expect(lines).to.have.lengthOf(2)
      expect(whole.summary).to.include({ outcome: 'complete', text: 'Two.' })
      expect(whole.completion).to.have.nested.property('choices[0].message.content', 'Two.')
      expect(part.summary).to.include({ outcome: 'aborted' })
      expect(part.summary.text).to.match(/^1, 2, 3/)
      expect(part.summary.text).not.to.equal(numbers)
      expect(part).not.to.have.property('completion')
      expect(stderr).to.include('AbortError')
    })
  })

  describe('tool-calls', () => {
    const call = (index: number, city: string, finish_reason: string | null = null) => {
      const tool = { name: 'weather', arguments: JSON.stringify({ city }) }
      const tool_calls = [{ index, id: `call_${index + 1}`, type: 'function', function: tool }]
      return { choices: [{ index: 0, delta: { tool_calls }, finish_reason }] }
    }

    it('executes each call', async () => {
      const { stdout, code } = await run('tool-calls')
      expect(code).to.equal(0)
      expect(stdout.match(/^weather.*$/gm)).to.deep.equal([
        'weather({"city":"Oslo"}) is 4 °C',
        'weather({"city":"Rome"}) is 19 °C'
      ])
      expect(stdout.match(/call_\d/g)).to.deep.equal(['call_1', 'call_2'])
    })

    it('executes a call before the one behind it is whole', async () => {
      const first = call(0, 'Oslo')
      first.choices[0]?.delta.tool_calls.push({
        index: 1,
        id: 'call_2',
        type: 'function',
        function: { name: 'weather', arguments: '' }
      })
      expect(await runInHalves('tool-calls', first, call(1, 'Rome', 'tool_calls'))).to.include('Oslo')
    })
  })

  it('are listed when another is asked for', async () => {
    const { stderr, code } = await run('nonsense')
    expect(code).to.equal(1)
    expect(stderr).to.include('batch, cancel, chat, completion-log, demo, each-choice, failures')
  })
})

/** The cells of a row whose columns stand two spaces apart, or one when a cell is full. */
function columns(row: string): string[] {
  return /^(.*?) +(\S+) +(".*")$/.exec(row)?.slice(1) ?? [row]
}

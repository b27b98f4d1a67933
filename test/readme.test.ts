import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Transform } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { requestCompletion, toChunks, toText } from 'completion-streams'
import {
  type CompletionServer,
  type Faults,
  type RawScript,
  type ReceivedRequest,
  type Script,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI from 'openai'

const root = join(import.meta.dirname, '../..')
const readme = await readFile(join(root, 'README.md'), 'utf8')

/** A block of code, and the heading it stands under. */
interface Block {
  heading: string
  language: string
  code: string
}

/** What a block that was run left behind. */
interface Run {
  stdout: string
  stderr: string
  server: CompletionServer
  fileOf(name: string): Promise<string>
}

const blocks = blocksOf(readme)
const [first, prelude, ...recipes] = blocks.filter(({ language }) => language === 'ts')

/** What each recipe is expected to do, by its heading and its place under it. */
const expectations: Record<string, { faults?: Faults; check: (run: Run) => unknown }> = {
  'Decide on a failure': {
    faults: { cutAfter: { events: 2 } },
    async check({ stderr, fileOf }) {
      expect(stderr).to.equal('answer.txt holds the beginning only\n')
      expect(await fileOf('answer.txt')).to.equal('Two')
    }
  },
  'Read the text without a sink': { check: ({ stdout }) => expect(stdout).to.equal('Two.') },
  'Take bytes from anything': {
    async check({ server, fileOf }) {
      expect(server.requests).to.have.lengthOf(3)
      for (const name of ['fetch.txt', 'undici.txt', 'http.txt']) expect(await fileOf(name)).to.equal('Two.')
    }
  },
  'Take bytes from anything, 2': { check: answerIs('Recorded') },
  'Put a stage of your own between': { check: answerIs('TWO.') },
  'Keep what the provider sent': {
    async check({ fileOf }) {
      await answerIs('Two.')({ fileOf })
      expect(await fileOf('recording.sse')).to.match(/^data: \{"id".*data: \[DONE\]\n\n$/s)
    }
  },
  'Bill what was used': {
    async check({ fileOf }) {
      await answerIs('Two.')({ fileOf })
      expect(JSON.parse(await fileOf('usage.ndjson'))).to.include({ total_tokens: 20 })
    }
  },
  Measure: {
    check: ({ stdout }) => expect(stdout).to.match(/outcome: 'complete',\s+firstToken: [\d.]+/)
  },
  'Give up on a model that stalls': { check: answerIs('Two.') },
  'Get the whole completion': {
    check: ({ stdout }) => expect(stdout).to.match(/^chatcmpl-\w+ \{.*total_tokens: 20/s)
  },
  'Execute tool calls': {
    check: ({ stdout }) => expect(stdout).to.equal('execute weather({}) for call_1\n')
  },
  'Write each of several answers': {
    async check({ fileOf }) {
      for (const index of [0, 1, 2]) expect(await fileOf(`answer-${index}.txt`)).to.equal(`Answer ${index}`)
    }
  },
  'Store in an object store': {
    check: async ({ fileOf }) => expect(await fileOf('stored')).to.equal('Two.')
  },
  'Test your own pipelines': { check: answerIs('It was a') }
}

function answerIs(answer: string): (run: Pick<Run, 'fileOf'>) => Promise<void> {
  return async ({ fileOf }) => {
    expect(await fileOf('answer.txt')).to.equal(answer)
  }
}

describe('README', () => {
  const sources = join(root, 'build/readme')
  let folder: string

  before(async function () {
    this.timeout(60_000)
    folder = await mkdtemp(join(tmpdir(), 'readme-'))
    await compile()
  })

  after(async () => {
    await rm(folder, { recursive: true })
  })

  /** Writes each recipe as the program that it is with the lines they all begin with, and compiles them all. */
  async function compile(): Promise<void> {
    await rm(sources, { recursive: true, force: true })
    await mkdir(sources, { recursive: true })
    const compilerOptions = { rootDir: '.', outDir: 'out', noUnusedLocals: false, sourceMap: false }
    await writeFile(
      join(sources, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] })
    )
    await writeFile(join(sources, 'first.ts'), first?.code ?? '')
    for (const [place, { code }] of recipes.entries())
      await writeFile(join(sources, `recipe-${place}.ts`), `${prelude?.code}\n${code}`)
    await promisify(execFile)('npx', ['tsc', '-p', sources], { cwd: root }).catch(({ stdout }) => {
      throw new Error(`the code of the README does not compile:\n${stdout}`)
    })
  }

  async function run(program: string, server: CompletionServer, store?: string): Promise<Run> {
    const env = {
      ...process.env,
      OPENAI_API_KEY: 'a-key',
      OPENAI_BASE_URL: server.url,
      AWS_ENDPOINT_URL: store,
      AWS_ACCESS_KEY_ID: 'an-id',
      AWS_SECRET_ACCESS_KEY: 'a-secret',
      AWS_REGION: 'nowhere'
    }
    const child = spawn(process.execPath, [join(sources, 'out', program)], { cwd: folder, env })
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close')
    ])
    expect(code, stderr).to.equal(0)
    return { stdout, stderr, server, fileOf: name => readFile(join(folder, name), 'utf8') }
  }

  /** A server of objects that takes what is put, in one part, into a file. */
  async function startStore(): Promise<{ url: string; close(): void }> {
    const store = createServer(async (request, response) => {
      await writeFile(join(folder, 'stored'), await buffer(request))
      response.writeHead(200, { etag: '"1"' }).end()
    })
    await once(store.listen(0, '127.0.0.1'), 'listening')
    const { port } = store.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}`, close: () => void store.close() }
  }

  it('begins with the program of the demo, word for word', async () => {
    expect(first?.code).to.equal(await readFile(join(root, 'examples/demo.ts'), 'utf8'))
  })

  it('shows what the demo prints', async () => {
    await using server = await serveCompletions({ speed: 10 })
    const { stdout } = await run('first.js', server)
    const shown = blocks.find(({ language }) => language === 'text')?.code ?? ''
    const pattern = shown
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace('…', '[\\d, ]+')
      .replace(/\d+ ms/g, '\\d+ ms')
    expect(stdout).to.match(new RegExp(`^${pattern}$`))
  })

  it('names scripts that there are', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const named = [...readme.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name ?? '')
    expect(named).to.include('demo').and.include('example')
    expect(scripts).to.include.all.keys(...named, 'test')
  })

  it('names the versions that the package asks for', async () => {
    const { engines, peerDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const [oldest, ...majors] = peerDependencies.openai
      .match(/\d+(\.[1-9]\d*)?/g)
      .filter((found: string) => found !== '0')
    expect(readme).to.include(`Node ${engines.node.replace('>=', '')} or later`)
    expect(readme).to.include(
      `\`openai\` ${oldest} or later, ${majors.join(', ').replace(/, (\d+)$/, ' or $1')}`
    )
  })

  it('links to files that there are', async () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path]) => path ?? '')
    for (const link of links) expect(existsSync(join(root, link)), link).to.equal(true)
  })

  describe('recipes', () => {
    it('are each known to the test', () => {
      expect(recipes.map(({ heading }) => heading)).to.have.members(Object.keys(expectations))
    })

    for (const [place, { heading }] of recipes.entries()) {
      it(heading, async () => {
        const { faults = {}, check = () => {} } = expectations[heading] ?? {}
        await writeFile(join(folder, 'recording.sse.gz'), gzipSync(recording))
        await using server = await serveCompletions({ script: answerFor, faults })
        const store = await startStore()
        await check(await run(`recipe-${place}.js`, server, store.url))
        store.close()
      })
    }
  })

  describe('why', () => {
    const page: RawScript = {
      headers: { 'content-type': 'text/html' },
      writes: [{ bytes: '<html>Bad Gateway</html>' }]
    }
    const cases: { body: string; answer: Script | RawScript; faults?: Faults; codes: string[] }[] = [
      {
        body: 'a body that ends too early',
        answer: { writes: [{ bytes: event({ delta: { content: 'It was' } }) }] },
        codes: ['CS_ERR_TRUNCATED']
      },
      { body: 'an empty body', answer: { writes: [] }, codes: ['CS_ERR_TRUNCATED'] },
      { body: 'an HTML page', answer: page, codes: ['CS_ERR_INVALID_CHUNK'] },
      {
        body: "an error under llama.cpp's field",
        answer: script('It was'),
        faults: { errorAfter: { events: 2, shape: 'field' } },
        codes: ['CS_ERR_PROVIDER']
      }
    ]
    for (const { body, answer, faults = {}, codes } of cases) {
      it(`is an error here, with ${codes}, and none to the loop of the SDK: ${body}`, async () => {
        await using server = await serveCompletions({ script: answer, faults, speed: Infinity })
        const client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
        const messages = [{ role: 'user' as const, content: 'Go on' }]
        for await (const _ of await client.chat.completions.create({ model: 'any', messages, stream: true }));
        const request = requestCompletion(client, { model: 'any', messages })
        const failure = await pipeline(request, toChunks(), toText(), new PassThrough().resume()).catch(
          error => error
        )
        expect(codes).to.include(failure.code)
      })
    }

    it('takes a JSON answer in place of a stream, of which the loop of the SDK sees nothing', async () => {
      await using server = await serveCompletions({
        script: script('It was'),
        faults: { ignoreStream: true }
      })
      const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
      const messages = [{ role: 'user' as const, content: 'Go on' }]
      const seen = []
      const chunks = await client.chat.completions.create({ model: 'any', messages, stream: true })
      for await (const chunk of chunks) seen.push(chunk.choices)
      expect(seen).to.deep.equal([])
      const request = requestCompletion(client, { model: 'any', messages })
      expect(await text(request.pipe(toChunks()).pipe(toText()))).to.equal('It was')
    })

    it('is true that the text before an error is lost when an ordinary stream fails', async () => {
      const failing = new Transform({
        transform(item, _encoding, callback) {
          this.push(item)
          callback(String(item) === 'night' ? new Error('too late') : null)
        }
      })
      const file = join(folder, 'lost.txt')
      // The stream may be destroyed before it has made the file.
      await writeFile(file, '')
      const input = Readable.from(['It was ', 'a dark and stormy ', 'night'])
      const failure = await pipeline(input, failing, createWriteStream(file)).catch(error => error)
      expect(failure.message).to.equal('too late')
      expect(await readFile(file, 'utf8')).to.equal('')
    })
  })
})

const recording = `${event({ delta: { content: 'Recorded' }, finish_reason: 'stop' })}data: [DONE]\n\n`

function event(choice: object): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`
}

/** The guide's answer, unless several or tools are asked for. */
function answerFor({ body }: ReceivedRequest): Script | undefined {
  const call = { at: 0, toolCall: { id: 'call_1', name: 'weather', arguments: '{}' } }
  if (body.tools) return { choices: [{ pieces: [call] }] }
  return body.n === 3 ? script(['Answer 0', 'Answer 1', 'Answer 2']) : undefined
}

/** The fenced blocks of a Markdown text; from the second one on, those under one heading are counted. */
function blocksOf(markdown: string): Block[] {
  const found: Block[] = []
  let heading = ''
  let place = 1
  for (const [, title, language, code = ''] of markdown.matchAll(/^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```$/gms)) {
    if (title !== undefined) {
      heading = title
      place = 1
    } else {
      found.push({ heading: place === 1 ? heading : `${heading}, ${place}`, language: language ?? '', code })
      place++
    }
  }
  return found
}

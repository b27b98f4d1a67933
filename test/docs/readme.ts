import { createWriteStream, existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { requestCompletion, toChunks, toText } from 'completion-streams'
import {
  type Faults,
  type RawScript,
  type Script,
  script,
  serveCompletions
} from 'completion-streams/testing'
import OpenAI from 'openai'
import { blocksOf, compilePrograms, pages, root, runProgram } from './programs.js'

const readme = await readFile(join(root, 'README.md'), 'utf8')

const blocks = await blocksOf('README.md')
const [first] = blocks.filter(({ language }) => language === 'ts')

const allPages = await pages()

describe('README', () => {
  let folder: string

  before(async function () {
    this.timeout(60_000)
    folder = await mkdtemp(join(tmpdir(), 'readme-'))
    await compilePrograms()
  })

  after(() => rm(folder, { recursive: true }))

  it('begins with the program of the demo, word for word', async () => {
    expect(first?.code).to.equal(await readFile(join(root, 'examples/demo.ts'), 'utf8'))
  })

  it('shows what the demo prints', async () => {
    await using server = await serveCompletions({ speed: 10 })
    const { stdout } = await runProgram('README 1', server, folder)
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

  for (const page of allPages) {
    it(`links to files that there are (${page})`, async () => {
      const text = await readFile(join(root, page), 'utf8')
      // On npm only whole addresses work, so the README has those.
      const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, link]) => link ?? '')
      const own =
        /^https:\/\/(?:github\.com|raw\.githubusercontent\.com)\/completion-streams\/completion-streams\/(?:(?:blob|tree)\/)?main\//
      for (const link of links) {
        if (page === 'README.md') expect(link).to.match(/^https:/)
        const path = own.test(link) ? join(root, link.replace(own, '')) : join(root, page, '..', link)
        if (own.test(link) || !link.startsWith('https:')) expect(existsSync(path), link).to.equal(true)
      }
    })
  }

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

function event(choice: object): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { type CompletionServer, script, serveCompletions } from 'completion-streams/testing'

const runner = join(import.meta.dirname, '../../examples/run.js')

describe('examples: time-saved', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'time-saved-'))
  })

  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  async function run(server: CompletionServer): Promise<{ lines: string[]; svg: string }> {
    const env = {
      ...process.env,
      NODE_V8_COVERAGE: undefined,
      OPENAI_API_KEY: 'a-key',
      OPENAI_BASE_URL: server.url
    }
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    const child = spawn(process.execPath, [runner, 'time-saved'], { cwd: folder, env, stdio })
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close')
    ])
    expect({ stderr, code }).to.deep.equal({ stderr: '', code: 0 })
    return { lines: stdout.split('\n'), svg: await readFile(join(folder, 'time-saved.svg'), 'utf8') }
  }

  it('asks the same question whole and streamed', async () => {
    await using server = await serveCompletions({ speed: Infinity })
    await run(server)
    const [one, other] = server.requests
    expect(server.requests.map(request => request.body.stream)).to.have.members([undefined, true])
    expect(one?.body.messages).to.deep.equal(other?.body.messages)
    expect(one?.body.model).to.equal(other?.body.model)
  })

  it('prints when which tokens arrived, in order and to the last', async () => {
    await using server = await serveCompletions({ speed: 10 })
    const { lines } = await run(server)
    expect(lines[0]).to.equal('seconds  tokens  text')
    const rows = lines.slice(1, lines.indexOf('')).map(line => /^ +(\d+\.\d\d) +(\d+) {2}(.*)$/.exec(line))
    const times = rows.map(row => Number(row?.[1]))
    expect(times).to.deep.equal([...new Set(times)].sort((a, b) => a - b))
    expect(rows.at(-1)?.[2]).to.equal('298')
    const numbers = rows.flatMap(row => row?.[3]?.match(/\d+/g) ?? []).map(Number)
    expect(numbers).to.deep.equal(Array.from({ length: 100 }, (_, place) => place + 1))
  })

  it('prints the time to the first token and in all, streamed and whole', async () => {
    await using server = await serveCompletions({ speed: 10 })
    const { lines } = await run(server)
    const [, first, all] = lines.map(line => /^streamed +(\S+) s +(\S+) s$/.exec(line)).find(Boolean) ?? []
    const [, whole, again] = lines.map(line => /^whole +(\S+) s +(\S+) s$/.exec(line)).find(Boolean) ?? []
    expect(Number(first)).to.be.above(0).and.below(Number(all))
    expect(Number(whole)).to.be.above(0)
    expect(again).to.equal(whole)
  })

  it('draws a point for each token, with a title, axes with units and the three moments by name', async () => {
    await using server = await serveCompletions({ speed: 10 })
    const { svg } = await run(server)
    expect(svg).to.match(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    // 298 tokens, and as larger points the first, the last and the whole answer.
    expect(svg.match(/<circle /g)).to.have.lengthOf(298 + 3)
    for (const label of [
      /Streamed, the answer begins -?\d+\.\d\d s sooner/,
      /seconds since the request/,
      /tokens received/,
      /streamed: first token after \d+\.\d\d s/,
      /streamed: last token after \d+\.\d\d s/,
      /whole: everything after \d+\.\d\d s/
    ]) {
      expect(svg).to.match(label)
    }
    expect(svg).not.to.match(/NaN|undefined|&nbsp;/)
  })

  it('draws an answer of a single token', async () => {
    await using server = await serveCompletions({ script: script('Yes'), speed: 10 })
    const { lines, svg } = await run(server)
    expect(lines[1]).to.match(/ 1 {2}Yes$/)
    expect(svg.match(/<circle /g)).to.have.lengthOf(1 + 3)
    expect(svg).not.to.match(/NaN|undefined/)
  })
})

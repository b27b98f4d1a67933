import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { drain, record } from 'completion-streams'
import { type Faults, script } from 'completion-streams/testing'
import { help } from '#lib/cli/help.js'
import { ask, closed, serve } from './answers.js'

const program = join(import.meta.dirname, '../../dist/cli.js')

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

function start(...words: string[]): ChildProcess & { stdout: Readable; stderr: Readable } {
  // With all three as pipes, it has all three.
  return spawn(process.execPath, [program, ...words]) as ChildProcess & { stdout: Readable; stderr: Readable }
}

async function ended(child: ReturnType<typeof start>): Promise<Ended> {
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close')
  ])
  return { code, stdout, stderr }
}

async function cli(words: string[], input = ''): Promise<Ended> {
  const child = start(...words)
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return await ended(child)
}

describe('npx completion-streams', () => {
  let folder: string
  let whole: string
  let cut: string
  let body: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cli-'))
    whole = join(folder, 'whole.ndjson')
    cut = join(folder, 'cut.ndjson')
    body = join(folder, 'body.sse')
    await recordTo(whole, {})
    await recordTo(cut, { cutAfter: { events: 3 } })
    const lines = (await readFile(whole, 'utf8')).trim().split('\n')
    await writeFile(body, lines.map(line => JSON.parse(line).text ?? '').join(''))
    await writeFile(`${body}.gz`, gzipSync(await readFile(body)))
  })

  after(() => rm(folder, { recursive: true }))

  async function recordTo(file: string, faults: Faults): Promise<void> {
    await using server = await serve({ script: script('one two three'), faults })
    const recorder = record(createWriteStream(file))
    await pipeline(ask(server), recorder, drain()).catch(() => {})
    await closed(recorder)
  }

  it('prints the text of standard input, and what became of it', async () => {
    const { code, stdout, stderr } = await cli([], await readFile(body, 'utf8'))
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: 'one two three' })
    expect(stderr).to.match(
      /^complete · m · finish reason stop · 2 tokens in, 3 out · first token after \d+ ms · (\d+ tokens\/s · )?\d+ ms in all\n$/
    )
  })

  it('prints the text as it comes', async () => {
    const child = start()
    const [first, ...rest] = (await readFile(body, 'utf8')).split(/(?<=\n\n)/).slice(1)
    child.stdin?.write(first)
    const [chunk] = await once(child.stdout, 'data')
    expect(String(chunk)).to.equal('one')
    child.stdin?.end(rest.join(''))
    expect((await ended(child)).stdout).to.equal(' two three')
  })

  for (const command of ['text', 'summary']) {
    it(`says quietly why an answer has failed, and no more: ${command}`, async () => {
      const { code, stderr } = await cli([command, '--quiet', cut])
      expect(code).to.equal(1)
      expect(stderr).to.match(/^CS_ERR_TRUNCATED: [^\n]*\n$/)
    })
  }

  it('reads a body, a body packed with gzip, and a recording, quietly', async () => {
    for (const file of [body, `${body}.gz`, whole])
      expect(await cli(['--quiet', file])).to.deep.equal({ code: 0, stdout: 'one two three', stderr: '' })
  })

  it('prints what came of an answer that was cut, says why, and exits with 1', async () => {
    const { code, stdout, stderr } = await cli(['text', cut])
    expect({ code, stdout }).to.deep.equal({ code: 1, stdout: 'one two' })
    expect(stderr).to.match(/^truncated · m · no finish reason · 3 chunks, no usage.*\nCS_ERR_TRUNCATED: /)
  })

  for (const { command, first } of [
    { command: 'events', first: { data: /^\{"id":"chatcmpl-scripted"/ } },
    { command: 'chunks', first: { object: /^chat\.completion\.chunk$/ } },
    { command: 'completion', first: { object: /^chat\.completion$/ } },
    { command: 'summary', first: { outcome: /^complete$/ } }
  ]) {
    it(`${command} prints lines of JSON`, async () => {
      const { code, stdout } = await cli([command, body])
      expect(code).to.equal(0)
      const [line] = stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
      for (const [name, value] of Object.entries(first)) expect(line[name]).to.match(value)
    })
  }

  it('tool-calls prints the calls', async () => {
    const call = { index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }
    const chunk = { choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: 'tool_calls' }] }
    const { stdout } = await cli(['tool-calls'], `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`)
    expect(JSON.parse(stdout)).to.include({ id: 'a', name: 'f', arguments: '{}' })
  })

  it('check says what is wrong, of each file, and exits with 1', async () => {
    const { code, stdout } = await cli(['check', whole, cut])
    expect(code).to.equal(1)
    expect(stdout).to.match(
      /^whole\.ndjson: complete: .*\ncut\.ndjson: the connection was cut behind byte \d+\n/
    )
    expect(await cli(['check', whole])).to.include({ code: 0 })
  })

  it('check says how many recordings there are where there are several', async () => {
    const file = join(folder, 'three.ndjson')
    const recording = await readFile(whole, 'utf8')
    await writeFile(file, recording + (await readFile(cut, 'utf8')) + recording)
    for (const [index, code] of [
      [0, 0],
      [1, 1],
      [2, 0]
    ] as const) {
      const ended = await cli(['check', '--index', `${index}`, file])
      expect(ended.code).to.equal(code)
      expect(ended.stdout).to.include(`note: the file has 3 recordings, this is --index ${index}\n`)
    }
    expect((await cli(['check', whole])).stdout).to.not.include('recordings')
  })

  for (const { command, file, says } of [
    { command: 'text', file: () => body, says: 'one body, of index 0: there is none of index 3' },
    { command: 'check', file: () => whole, says: 'one recording, of index 0: there is none of index 3' },
    { command: 'replay', file: () => whole, says: 'one recording, of index 0: there is none of index 3' }
  ]) {
    it(`${command} exits with 2 for an --index that is out of range`, async () => {
      const { code, stdout, stderr } = await cli([command, '--index', '3', file()])
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' })
      expect(stderr).to.include(says)
    })
  }

  it('prints what stands before the damage of a packed recording, and exits with 2', async () => {
    const file = join(folder, 'damaged.ndjson.gz')
    const packed = gzipSync(await readFile(whole))
    packed.fill(0, packed.length - 8)
    await writeFile(file, packed)
    const { code, stdout, stderr } = await cli(['text', file])
    expect({ code, stdout }).to.deep.equal({ code: 2, stdout: 'one two three' })
    expect(stderr).to.include('CS_ERR_INVALID_RECORDING: the packed file is damaged')
  })

  it('record keeps what passes, and replay gives it back', async () => {
    const input = await readFile(body, 'utf8')
    for (const file of [join(folder, 'new.ndjson'), join(folder, 'new.ndjson.gz')]) {
      expect(await cli(['record', file], input)).to.deep.equal({ code: 0, stdout: input, stderr: '' })
      expect(await cli(['replay', file, '--speed', '10'])).to.deep.equal({
        code: 0,
        stdout: input,
        stderr: ''
      })
    }
  })

  it('replay ends as the recording does', async () => {
    const { code, stdout, stderr } = await cli(['replay', cut, '--speed', 'Infinity'])
    expect(code).to.equal(1)
    expect(stdout).to.match(/ two/)
    expect(stderr).to.match(/^CS_ERR_TRUNCATED: /)
  })

  it('serve plays it to every request, until Ctrl-C', async () => {
    const child = start('serve', whole, '--speed', 'Infinity', '--cut', '300')
    const [url] = await once(child.stdout, 'data')
    const response = await fetch(`${String(url).trim()}/chat/completions`, { method: 'POST', body: '{}' })
    expect(await response.text().catch(error => error.name)).to.equal('TypeError')
    child.kill('SIGINT')
    expect(await ended(child)).to.include({ code: 130, stderr: '' })
  })

  it('diff tells two answers apart, and exits with 1 if they differ', async () => {
    expect(await cli(['diff', whole, body])).to.include({ code: 0 })
    const { code, stdout } = await cli(['diff', whole, cut])
    expect(code).to.equal(1)
    expect(stdout).to.match(
      /^chunks +6 and 3, the first that differs is number 4\n.*text +13 and 7 characters/s
    )
    expect(stdout).to.match(/end +a: complete \(stop\)\n +b: truncated/)
    expect(stdout).to.match(/usage +a: 2 tokens in, 3 out\n +b: none\ntimes /)
  })

  it('tells no times of a file that has none', async () => {
    expect((await cli(['diff', body, whole])).stdout).to.match(/times +a: none\n +b: first token /)
    expect((await cli(['diff', body, body])).stdout).not.to.match(/times/)
    const [bare, recorded] = await Promise.all(
      [body, whole].map(async file => JSON.parse((await cli(['summary', file])).stdout))
    )
    expect(bare).to.have.property('outcome', 'complete')
    expect(bare).not.to.have.any.keys('firstChunk', 'firstToken', 'total', 'gaps', 'tokensPerSecond')
    expect(recorded).to.include.all.keys('firstChunk', 'firstToken', 'total')
  })

  it('replay says of a body that it is no recording, and what to do', async () => {
    const { code, stderr } = await cli(['replay', body])
    expect(code).to.equal(2)
    expect(stderr).to.match(/no recording of record: a body as it came has no times to replay/)
  })

  it('ends quietly when the reader of its output leaves', async () => {
    const big = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'a'.repeat(1000) } }] })}\n\n`
    for (const command of ['text', 'events', 'chunks']) {
      const child = start(command, '--quiet')
      child.stdin?.on('error', () => {})
      child.stdin?.write(big.repeat(2000))
      await once(child.stdout, 'readable')
      child.stdout.destroy()
      const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
      expect({ command, code, stderr }).to.deep.equal({ command, code: 141, stderr: '' })
    }
  })

  it('says how far it came at Ctrl-C', async () => {
    const child = start()
    child.stdin?.write((await readFile(body, 'utf8')).slice(0, 700))
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    const { code, stderr } = await ended(child)
    expect(code).to.equal(130)
    expect(stderr).to.match(/^aborted · m · /)
  })

  for (const command of ['text', 'check', 'summary', 'events']) {
    it(`${command} ends at Ctrl-C while nothing has come`, async () => {
      const child = start(command)
      // It has come far enough to read its input when it has taken more than a pipe holds.
      const taken = child.stdin?.write(' '.repeat(1000_000))
      if (!taken) await once(child.stdin as NodeJS.WritableStream, 'drain')
      child.kill('SIGINT')
      expect((await ended(child)).code).to.equal(130)
    })
  }

  it('closes its recording at Ctrl-C', async () => {
    const file = join(folder, 'interrupted.ndjson')
    const child = start('record', file)
    child.stdin?.write('data: 1\n\n')
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    expect((await ended(child)).code).to.equal(130)
    expect(await readFile(file, 'utf8')).to.match(/"end":"left".*\n$/)
  })

  it('has a help that fits a screen', async () => {
    expect(await cli(['--help'])).to.deep.equal({ code: 0, stdout: help, stderr: '' })
    const lines = help.trimEnd().split('\n')
    expect(lines.length).to.be.at.most(23)
    expect(Math.max(...lines.map(line => line.length))).to.be.at.most(80)
  })

  it('prints its version', async () => {
    const { version } = JSON.parse(await readFile(join(program, '../../package.json'), 'utf8'))
    expect((await cli(['--version'])).stdout).to.equal(`${version}\n`)
  })

  for (const { words, says } of [
    { words: ['nothing'], says: /^there is no command and no file "nothing"/ },
    { words: ['text', 'nothing'], says: /^ENOENT/ },
    { words: ['--speed', 'fast'], says: /^--speed takes a number above 0/ },
    { words: ['--fast'], says: /^Unknown option '--fast'/ },
    { words: ['diff', 'a'], says: /^diff takes 2 FILEs/ },
    { words: ['--from', 'x'], says: /^--from takes content, refusal or reasoning/ },
    { words: ['serve', '--port', '65536'], says: /^--port takes a whole number from 0 to 65535/ },
    { words: ['replay', program], says: /^CS_ERR_INVALID_RECORDING/ }
  ]) {
    it(`exits with 2 for ${words.join(' ').replace(program, 'FILE')}`, async () => {
      const { code, stdout, stderr } = await cli(words)
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' })
      expect(stderr).to.match(says)
    })
  }
})

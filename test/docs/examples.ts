import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import * as library from 'completion-streams'
import * as inBullMQ from 'completion-streams/bullmq'
import * as inRedis from 'completion-streams/redis'
import * as testing from 'completion-streams/testing'
import { type ReceivedRequest, type Script, script, serveCompletions } from 'completion-streams/testing'
import { type RedisServer, redisProgram, startRedis } from '../redis-server.js'
import { addProgram, compilePrograms, root, runTogether } from './programs.js'

/** What the examples of the comments have at hand. */
const prelude = `
import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Chunk } from 'completion-streams'
import * as all from 'completion-streams'
import { Queue } from 'bullmq'
import * as inBullMQ from 'completion-streams/bullmq'
import * as inRedis from 'completion-streams/redis'
import * as testing from 'completion-streams/testing'
import OpenAI from 'openai'
import { createClient } from 'redis'

const { ${Object.keys(library).join(', ')} } = all
const { ${Object.keys(testing).join(', ')} } = testing
const { ${Object.keys(inRedis).join(', ')} } = inRedis
const { ${Object.keys(inBullMQ).join(', ')} } = inBullMQ
const url = \`\${process.env.OPENAI_BASE_URL}/chat/completions\`
const question = { model: 'any', messages: [{ role: 'user' as const, content: 'Hello?' }] }
const params = question
const tools = [{ type: 'function' as const, function: { name: 'list' } }]
const client = new OpenAI()
const redis = createClient({ url: process.env.REDIS_URL })
if (process.env.REDIS_URL) await redis.connect()
const connection = { port: Number(new URL(process.env.REDIS_URL || 'redis://none').port) }
const body = JSON.stringify({ ...question, stream: true })
`
const request = 'const request = requestCompletion(new OpenAI(), question)\n'

/** The examples in the comments of `lib`, by the name that they stand over. */
async function examples(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const path of await readdir(join(root, 'lib'), { recursive: true })) {
    if (!path.endsWith('.ts')) continue
    const source = await readFile(join(root, 'lib', path), 'utf8')
    const comments = /\/\*\*((?:(?!\*\/).)*)\*\/\nexport (?:async )?(?:function|class) (\w+)/gs
    for (const [, comment = '', name = ''] of source.matchAll(comments)) {
      const [, example] = /@example\n(.*)$/s.exec(comment) ?? []
      if (example !== undefined) found.set(name, example.replace(/^ \* ?/gm, '').trim())
    }
  }
  return found
}

const exported = Object.entries({ ...library, ...testing, ...inRedis, ...inBullMQ })
  .filter(([, value]) => typeof value === 'function')
  .map(([name]) => name)
const byName = await examples()
for (const [name, code] of byName)
  addProgram(nameOf(name), prelude + (/^const request /m.test(code) ? '' : request) + queueOf(name) + code)

describe('examples of the comments', () => {
  let errors: Map<string, string | undefined>
  let redis: RedisServer | undefined

  before(async function () {
    this.timeout(180_000)
    await compilePrograms()
    if (redisProgram) redis = await startRedis()
    process.env.REDIS_URL = redis?.url ?? ''
    const folder = await mkdtemp(join(tmpdir(), 'examples-'))
    await using server = await serveCompletions({ script: answerFor, speed: Infinity })
    errors = await runTogether([...byName.keys()].map(nameOf), server, folder)
    await rm(folder, { recursive: true })
  })

  after(async () => {
    delete process.env.REDIS_URL
    await redis?.stop()
  })

  for (const name of exported) {
    it(`${name} has one, and it runs`, function () {
      if ((name in inRedis || name in inBullMQ) && !redis) return this.skip()
      expect(byName.has(name), 'an @example').to.equal(true)
      expect(errors.has(nameOf(name)), 'that was run').to.equal(true)
      expect(errors.get(nameOf(name))).to.equal(undefined)
    })
  }
})

/** A queue is connected from its beginning on, so only those have one who use it. */
function queueOf(example: string): string {
  return example in inBullMQ ? "const queue = new Queue('rows', { connection })\n" : ''
}

function nameOf(example: string): string {
  return `example ${example}`
}

const answer = '{"items": [1, 2], "steps": ["a"]}'

/** The same as text, or as the arguments of a tool. */
function answerFor({ body }: ReceivedRequest): Script {
  if (!body.tools) return script(answer)
  return { choices: [{ pieces: [{ at: 0, toolCall: { id: 'call_1', name: 'list', arguments: answer } }] }] }
}

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { isBuiltin } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import type { RowRecord } from 'completion-streams'
import {
  type Faults,
  type ReceivedRequest,
  type Script,
  script,
  serveCompletions
} from 'completion-streams/testing'
import { startPostgres } from '../postgres.js'
import { freePort, redisProgram, startRedis } from '../redis-server.js'
import { blocksOf, compilePrograms, pages, type Run, runProgram } from './programs.js'

/** What each program is expected to do, by its page and its place there. */
const expectations: Record<
  string,
  { faults?: Faults; needs?: string; isAlone?: boolean; check: (run: Run) => unknown }
> = {
  'failures 1': {
    faults: { cutAfter: { events: 2 } },
    async check({ stderr, fileOf }) {
      expect(stderr).to.equal('answer.txt holds the beginning only\n')
      expect(await fileOf('answer.txt')).to.equal('Two')
    }
  },
  'outlive 1': {
    needs: 'redis-server',
    check: ({ stdout, stderr }) => expect([stdout, stderr]).to.deep.equal(['true true\n', ''])
  },
  'read-text 1': { check: ({ stdout }) => expect(stdout).to.equal('Two.') },
  'any-client 1': {
    async check({ server, fileOf }) {
      expect(server.requests).to.have.lengthOf(3)
      for (const name of ['fetch.txt', 'undici.txt', 'http.txt']) expect(await fileOf(name)).to.equal('Two.')
    }
  },
  'any-client 2': { check: answerIs('Recorded') },
  'own-stage 1': { check: answerIs('TWO.') },
  'keep-bytes 1': {
    async check({ fileOf }) {
      await answerIs('Two.')({ fileOf })
      expect(await fileOf('recording.sse')).to.match(/^data: \{"id".*data: \[DONE\]\n\n$/s)
    }
  },
  'record 1': {
    async check({ stdout, fileOf }) {
      expect(await fileOf('incident.ndjson')).to.match(/^\{"recording":1,.*"end":"end"\}\n$/s)
      expect(stdout).to.equal('Two.')
    }
  },
  'prometheus 1': {
    check: ({ stdout }) =>
      expect(stdout).to.match(
        /^gen_ai_client_operation_duration_count\{.*gen_ai_request_model="gpt-4o-mini".*server_address="api\.openai\.com".*\} 1$/m
      )
  },
  'pino 1': {
    check({ stdout }) {
      const line = JSON.parse(stdout)
      expect(line).to.include({ msg: 'completion', outcome: 'complete', usageStatus: 'reported' })
      expect(line).to.have.property('cost').that.is.a('number')
    }
  },
  // The runner of tests ends with its process.
  'incident 1': { isAlone: true, check: ({ stdout }) => expect(stdout).to.match(/pass 1\n.*fail 0\n/s) },
  'bill 1': {
    async check({ fileOf }) {
      await answerIs('Two.')({ fileOf })
      expect(JSON.parse(await fileOf('usage.ndjson'))).to.include({ total_tokens: 20 })
    }
  },
  'measure 1': {
    check: ({ stdout }) => expect(stdout).to.match(/outcome: 'complete',\s+firstToken: [\d.]+/)
  },
  'stalls 1': { check: answerIs('Two.') },
  'whole-completion 1': {
    check: ({ stdout }) => expect(stdout).to.match(/^chatcmpl-\w+ \{.*total_tokens: 20/s)
  },
  'tool-calls 1': { check: ({ stdout }) => expect(stdout).to.equal('execute weather({}) for call_1\n') },
  'several-answers 1': {
    async check({ fileOf }) {
      for (const index of [0, 1, 2]) expect(await fileOf(`answer-${index}.txt`)).to.equal(`Answer ${index}`)
    }
  },
  'object-store 1': { check: async ({ fileOf }) => expect(await fileOf('stored')).to.equal('Two.') },
  'elements 1': {
    check: async ({ fileOf }) =>
      expect(await fileOf('planets.ndjson')).to.equal(
        '{"name":"Mars","moons":2}\n{"name":"Venus","moons":0}\n'
      )
  },
  'elements 2': { check: ({ stdout }) => expect(stdout).to.match(/2 planets so far\n$/) },
  'elements 3': {
    needs: 'node:sqlite',
    check: ({ stdout }) => expect(stdout).to.match(/name: 'Mars', moons: 2.*name: 'Venus', moons: 0/s)
  },
  'moderate 1': { check: ({ stdout, stderr }) => expect([stdout, stderr]).to.deep.equal(['Two.', '']) },
  'moderate 2': { check: answerIs('Two.') },
  'redact 1': {
    async check({ fileOf }) {
      await answerIs('Ask ada@example.org about ORDER-123456.')({ fileOf })
      expect(await fileOf('answer.log')).to.equal('Ask [e-mail address] about ORDER-123456.')
    }
  },
  'redact 2': {
    async check({ fileOf }) {
      await answerIs('Ask [e-mail address] about ORDER-12****.')({ fileOf })
      expect(await fileOf('answer.log')).to.equal('Ask ada@example.org about ORDER-123456.')
    }
  },
  'think-tags 1': {
    async check({ fileOf }) {
      await answerIs('It is two.')({ fileOf })
      expect(await fileOf('thoughts.txt')).to.equal('One and one.')
    }
  },
  'stop-at 1': {
    async check({ stdout, fileOf }) {
      await answerIs('Model: Hello.')({ fileOf })
      expect(stdout).to.equal('stopped at "\\nUser:"\n')
    }
  },
  'cut-by-length 1': {
    async check({ server, stdout, fileOf }) {
      await answerIs('Model: Hello')({ fileOf })
      expect(stdout).to.equal('there would have been more\n')
      expect(server.requests).to.have.lengthOf(1)
    }
  },
  'cut-by-length 2': { check: answerIs('Model: Hello.\nUser: ') },
  'direct-fetch 1': { check: answerIs('Two.') },
  'guard-a-client 1': {
    check: ({ stdout }) => expect(stdout).to.match(/^Two\.\n complete \{.*total_tokens: 20/s)
  },
  'batch 1': {
    async check({ stderr, fileOf }) {
      const records = (await fileOf('answers.ndjson'))
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
      expect(records.map(({ key }) => key).sort()).to.deep.equal(['a1', 'b2', 'c3'])
      for (const { row, text } of records) expect(text).to.equal(`It is ${row.name}.`)
      expect(stderr).to.match(/3 done, 0 failed, \d+ tokens$/)
    }
  },
  'batch 2': {
    needs: 'node:sqlite',
    check: ({ stdout }) => expect(stdout).to.match(/sku: 'a1'.*sku: 'b2'/s)
  },
  'batch 3': {
    async check({ fileOf }) {
      expect(JSON.parse(await fileOf('requests.jsonl'))).to.include({
        custom_id: 'a1',
        url: '/v1/chat/completions'
      })
      expect(JSON.parse(await fileOf('batch-answers.ndjson'))).to.include({
        key: 'a1',
        text: 'It is a lamp.'
      })
    }
  },
  'batch-many-machines 1': { check: describesProducts },
  'batch-many-machines 2': { needs: 'redis-server', check: describesProducts },
  'batch-queue 1': {
    needs: 'redis-server',
    check: ({ stdout }) =>
      expect(stdout).to.match(/sku: 'a1', text: 'It is a lamp.'.*sku: 'b2', text: 'It is a chair.'/s)
  },
  'respond 1': { check: ({ stdout }) => expect(stdout).to.match(/^200 data: \{.*"Two".*data: \[DONE\]/s) },
  'respond 2': { check: ({ stdout }) => expect(stdout).to.equal('Two.\n') },
  'web-response 1': {
    check: ({ stdout }) => expect(stdout).to.match(/^200 text\/event-stream.*"Two".*data: \[DONE\]/s)
  },
  'event-source 1': {
    check: ({ stdout }) => expect(stdout).to.match(/^retry: \d+\n\ndata: Two\n\ndata: \.\n\nevent: done/)
  },
  'gateway 1': {
    async check({ stdout, fileOf }) {
      expect(stdout).to.equal('Two.')
      const { user, usage, outcome } = JSON.parse(await fileOf('users.ndjson'))
      expect([user, usage.total_tokens, outcome]).to.deep.equal(['ada', 20, 'complete'])
    }
  },
  'testing 1': {
    async check({ fileOf }) {
      for (const file of ['cut.txt', 'stall.txt', 'error.txt'])
        expect(await fileOf(file)).to.equal('It was a')
      expect(await fileOf('refused.txt')).to.equal('')
    }
  }
}

const programs = (
  await Promise.all((await pages()).filter(page => page.startsWith('docs/recipes/')).map(blocksOf))
)
  .flat()
  .filter(({ language }) => language === 'ts')

function answerIs(answer: string): (run: Pick<Run, 'fileOf'>) => Promise<void> {
  return async ({ fileOf }) => {
    expect(await fileOf('answer.txt')).to.equal(answer)
  }
}

describe('recipes', () => {
  let folder: string

  before(async function () {
    this.timeout(60_000)
    folder = await mkdtemp(join(tmpdir(), 'recipes-'))
    await compilePrograms()
  })

  after(() => rm(folder, { recursive: true }))

  it('are each known to the test', () => {
    expect(programs.map(({ name }) => name.replace('docs/recipes/', ''))).to.have.members(
      Object.keys(expectations)
    )
  })

  for (const [name, { faults = {}, needs, isAlone, check }] of Object.entries(expectations)) {
    // Other versions of Node run what this one has not.
    if (needs?.startsWith('node:') && !isBuiltin(needs)) continue
    it(name, async function () {
      if (needs === 'redis-server' && !redisProgram) return this.skip()
      const redis = needs === 'redis-server' ? await startRedis() : undefined
      await writeFile(join(folder, 'recording.sse.gz'), gzipSync(recording))
      await writeFile(join(folder, 'incident.ndjson'), incident)
      await using server = await serveCompletions({ script: answerFor, faults })
      await writeFile(join(folder, 'products.csv'), 'sku,name\na1,a lamp\nb2,a chair\nc3,a door\n')
      const store = await startStore(folder)
      const variables: NodeJS.ProcessEnv = {
        AWS_ENDPOINT_URL: store.url,
        AWS_ACCESS_KEY_ID: 'an-id',
        AWS_SECRET_ACCESS_KEY: 'a-secret',
        AWS_REGION: 'nowhere',
        METRICS_PORT: String(await freePort()),
        REDIS_URL: redis?.url,
        REDIS_PORT: String(redis?.port)
      }
      await using database = name.startsWith('batch-queue') ? await startPostgres() : undefined
      if (database) variables.DATABASE_URL = database.url
      await check(await runProgram(`docs/recipes/${name}`, server, folder, { isAlone, variables }))
      store.close()
      await redis?.stop()
    })
  }
})

/** Every product has its answer. */
async function describesProducts({ fileOf }: Run): Promise<void> {
  const lines = (await fileOf('answers.ndjson')).trim().split('\n')
  const records = lines.map(line => JSON.parse(line) as RowRecord<{ name: string }>)
  expect(records.map(({ key }) => key).sort()).to.deep.equal(['a1', 'b2', 'c3'])
  for (const { row, text } of records) expect(text).to.equal(`It is ${row.name}.`)
}

/** A server of objects that takes what is put, in one part, into a file. */
async function startStore(folder: string): Promise<{ url: string; close(): void }> {
  const store = createServer(async (request, response) => {
    await writeFile(join(folder, 'stored'), await buffer(request))
    response.writeHead(200, { etag: '"1"' }).end()
  })
  await once(store.listen(0, '127.0.0.1'), 'listening')
  const { port } = store.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => void store.close() }
}

const recorded = { index: 0, delta: { content: 'Recorded' }, finish_reason: 'stop' }
const recording = `data: ${JSON.stringify({ choices: [recorded] })}\n\ndata: [DONE]\n\n`

/** A recording of an answer whose connection was cut. */
const incident = [
  { recording: 1, began: '2026-11-26T03:00:00.000Z' },
  { at: 100, status: 200, headers: { 'content-type': 'text/event-stream' } },
  { at: 120, text: 'data: {"choices":[{"index":0,"delta":{"content":"It was"},"finish_reason":null}]}\n\n' },
  { at: 130, end: 'cut', error: { name: 'CompletionError', code: 'CS_ERR_TRUNCATED', message: 'it was cut' } }
]
  .map(line => `${JSON.stringify(line)}\n`)
  .join('')

/** The guide's answer, unless something else is asked for. */
function answerFor({ body }: ReceivedRequest): Script | undefined {
  const call = { at: 0, toolCall: { id: 'call_1', name: 'weather', arguments: '{}' } }
  const asked = JSON.stringify(body)
  if (asked.includes('my invoice')) return script('Ask ada@example.org about ORDER-123456.')
  if (asked.includes('Think, then answer')) return script('<think>One and one.</think>It is two.')
  if (asked.includes('a dialogue')) return script('Model: Hello.\nUser: Hello?\nModel: Yes?')
  const product = /in one sentence: ([\w ]+)/.exec(asked)?.[1]
  if (product) return script(`It is ${product}.`)
  if (body.tools) return { choices: [{ pieces: [call] }] }
  if (asked.includes('planets'))
    return script('{"planets": [{"name": "Mars", "moons": 2}, {"name": "Venus", "moons": 0}]}')
  return body.n === 3 ? script(['Answer 0', 'Answer 1', 'Answer 2']) : undefined
}

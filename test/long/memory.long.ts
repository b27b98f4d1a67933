import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { cases } from './choice.js'
import { type Body, piecesOf } from './large-body.js'

const child = fileURLToPath(new URL('memory.child.js', import.meta.url))
/** Below the 64 MiB of one event. */
const size = 50_000_000
/** What a process takes for its code and the garbage of its start, in bytes; where to read the body and keep nothing takes more, that. */
const start = 24_000_000
/** What an image of `size` bytes in base64 is made of. */
const unit = 'iVBORw0KGgoAAAANSUhEUg'
const head = 'data: {"choices":[{"index":0,"delta":{"content":"'
const tail = '"},"finish_reason":"stop"}]}\n\n'
const completion = {
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: '|' }, finish_reason: 'stop' }]
}
const [jsonHead = '', jsonTail = ''] = JSON.stringify(completion).split('|')
const [prettyHead = '', prettyTail = ''] = JSON.stringify(completion, null, 2).split('|')

/** The same image, in all the forms that an answer has. */
const imageForms: Readonly<Record<string, readonly [string, string]>> = {
  'an event': [head, tail],
  'an event that begins with its id': [`id: 1\n${head}`, tail],
  'an event that begins with its name': [`event: message\n${head}`, tail],
  'an event that begins with retry': [`retry: 5\n${head}`, tail],
  'an event behind a comment': [`: keep-alive\n${head}`, tail],
  'an event behind a byte order mark': [`\uFEFF${head}`, tail],
  'an event with CRLF': [`id: 1\r\n${head}`, tail.replaceAll('\n', '\r\n')],
  'a whole completion': [jsonHead, jsonTail],
  'a whole completion over many lines': [prettyHead, prettyTail]
}

describe('a body within maxEventSize', () => {
  for (const [name, [head = '', unit = '', tail = '', code]] of Object.entries({
    'many short lines of data': ['', 'data:1\n', '\n\n', 'CS_ERR_INVALID_CHUNK'],
    'JSON over many short lines': ['[\n', '1,\n', '1]', 'CS_ERR_EVENT_TOO_LARGE'],
    'a million choices in one chunk': [
      'data: {"choices":[',
      '{"index":0,"delta":{"content":"a"},"finish_reason":null},',
      '{}]}\n\n',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'a million choices in a whole answer': [
      '{"choices":[',
      '{"index":0,"message":{"content":"a"},"finish_reason":"stop"},\n',
      '{}]}',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'a million tool calls in one chunk': [
      'data: {"choices":[{"index":0,"delta":{"tool_calls":[',
      '{"index":0,"function":{"name":"f","arguments":"{}"}},',
      '{}]}}]}\n\n',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'chunks that a single line end parts': ['', 'data: {"choices":[]}\n', '\n', 'CS_ERR_TRUNCATED'],
    'an image': [
      'data: {"choices":[{"index":0,"delta":{"content":"',
      'iVBORw0KGgoAAAANSUhEUg',
      '"},"finish_reason":"stop"}]}\n\n',
      'none'
    ],
    'lines that are no fields': ['data: {}\n\n', 'a\n', '\n', 'CS_ERR_PROVIDER']
  })) {
    it(`takes at most three times its size: ${name}`, async function () {
      // From version 24 on, Node's own heap grows by more before it is collected; an image is not in it.
      if (name !== 'an image' && Number(process.versions.node.split('.')[0]) >= 24) return this.skip()
      const limit = 3 * size + start
      const told = await readInChild('toChunks', { head, unit, tail, size, read: 65_536 })
      expect(told.code).to.equal(code)
      expect(told.growth).to.be.below(limit)
    })
  }

  for (const [form, [head, tail]] of Object.entries(imageForms)) {
    for (const read of [65_536, 16_384, size].slice(0, cases(3, 1))) {
      for (const way of ['toChunks', 'toEvents']) {
        it(`takes at most three times its size: an image in ${form}, ${way}, in reads of ${read}`, async () => {
          const body = { head, unit, tail, size, read }
          const { growth: bare } = await readInChild('nothing', body)
          // A single read is held by who reads it too.
          const held = read === size ? size : 0
          const limit = 3 * size + Math.max(held + start, bare)
          const told = await readInChild(way, body)
          expect(told.code).to.equal('none')
          expect(told.growth).to.be.below(limit)
        })
      }
    }
  }

  for (const form of ['an event', 'a whole completion', 'a whole completion over many lines']) {
    for (const way of ['http', 'fetch', 'requestCompletion', 'readCompletion']) {
      it(`takes at most three times its size: an image in ${form}, by ${way}`, async () => {
        const [head = '', tail = ''] = imageForms[form] ?? []
        const bareWay = `nothing, by ${way === 'http' ? 'http' : 'fetch'}`
        await serve({ head, unit, tail, size, read: 16_384 }, async url => {
          const bare = await readInChild(bareWay, url)
          const limit = 3 * size + Math.max(start, bare.growth)
          const told = await readInChild(way, url)
          expect(told.code).to.equal('none')
          expect(told.growth).to.be.below(limit)
        })
      })
    }
  }
})

interface Told {
  code: string
  growth: number
}

async function readInChild(way: string, given: Body | string): Promise<Told> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, way, JSON.stringify(given)])
  return JSON.parse(stdout)
}

async function serve<Result>(body: Body, use: (url: string) => Promise<Result>): Promise<Result> {
  const type = body.head.startsWith('{') ? 'application/json' : 'text/event-stream'
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': type })
    Readable.from(piecesOf(body), { highWaterMark: 1 }).pipe(response)
  }).listen(0, '127.0.0.1')
  try {
    await new Promise(resolve => server.once('listening', resolve))
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  } finally {
    server.close()
  }
}

import { get } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fromResponse, readCompletion, requestCompletion, toChunks, toEvents } from 'completion-streams'
import OpenAI from 'openai'
import { type Body, piecesOf } from './large-body.js'

/**
 * How the body is read, and the body: its pieces, or where it is served. To read it and keep nothing takes memory too, most of it
 * of the HTTP client: that is the way `nothing`, and for a body that is served `nothing, by fetch` and `nothing, by http`.
 */
const [way = 'toChunks', given = ''] = process.argv.slice(2)
const bodyOrUrl: Body | string = JSON.parse(given)

const before = process.memoryUsage.rss()
const code = await read().then(
  () => 'none',
  (error: { code?: string }) => error.code
)
const growth = process.resourceUsage().maxRSS * 1024 - before
process.stdout.write(JSON.stringify({ code, growth }))
process.exit()

async function read(): Promise<unknown> {
  if (typeof bodyOrUrl !== 'string') {
    const source = Readable.from(piecesOf(bodyOrUrl), { highWaterMark: 1 })
    if (way === 'nothing') return pipeline(source, nullSink())
    return way === 'toEvents'
      ? pipeline(source, toEvents(), nullSink())
      : pipeline(source, toChunks(), nullSink())
  }
  const url = bodyOrUrl
  if (way === 'nothing, by fetch') return readToNothing((await fetch(url)).body)
  if (way === 'nothing, by http') return pipeline(await responseTo(url), nullSink())
  if (way === 'fetch') return pipeline(fromResponse(await fetch(url)), toChunks(), nullSink())
  if (way === 'http') return pipeline(fromResponse(await responseTo(url)), toChunks(), nullSink())
  const client = new OpenAI({ apiKey: 'none', baseURL: url, maxRetries: 0 })
  const request = requestCompletion(client, { model: 'any', messages: [] })
  return way === 'readCompletion' ? readCompletion(request) : pipeline(request, toChunks(), nullSink())
}

function responseTo(url: string): Promise<Readable> {
  return new Promise(resolve => get(url, resolve))
}

async function readToNothing(body: ReadableStream<Uint8Array> | null): Promise<void> {
  const reader = body?.getReader()
  while (reader && !(await reader.read()).done);
}

function nullSink(): Writable {
  return new Writable({ objectMode: true, write: (_item, _encoding, callback) => callback() })
}

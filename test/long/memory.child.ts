import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks } from 'completion-streams'

/** The bytes of a body: a beginning, the same text over and over, and an end. */
const [head = '', unit = '', tail = '', size = '0'] = process.argv.slice(2).map(text => JSON.parse(text))
const block = Buffer.from(unit.repeat(Math.ceil(65_536 / unit.length)))

function* body(): Generator<Buffer> {
  yield Buffer.from(head)
  for (let bytes = 0; bytes < Number(size); bytes += block.length) yield Buffer.from(block)
  yield Buffer.from(tail)
}

const before = process.memoryUsage.rss()
const sink = new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() })
const code = await pipeline(Readable.from(body(), { highWaterMark: 1 }), toChunks(), sink).then(
  () => 'none',
  (error: { code?: string }) => error.code
)
const growth = process.resourceUsage().maxRSS * 1024 - before
process.stdout.write(JSON.stringify({ code, growth }))

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const child = fileURLToPath(new URL('slow-sinks.child.js', import.meta.url))
const event = `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content: 'word '.repeat(40) }, finish_reason: null }] })}\n\n`
const block = Buffer.from(event.repeat(Math.ceil(65_536 / event.length)))
/** The bytes of an answer. The first one is short: it is asked so that all code is loaded. */
const long = 4 * 2 ** 20

function* answer(): Generator<Buffer> {
  for (let sent = 0; sent < long; sent += block.length) yield block
}

async function startServer() {
  let answers = 0
  const server = createServer((_incoming, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    if (answers++ === 0) outgoing.end(event)
    else pipeline(Readable.from(answer(), { highWaterMark: 1 }), outgoing, () => {})
  })
  server.listen(0, '127.0.0.1', 4096)
  await once(server, 'listening')
  return server
}

async function growthOf(kind: string, count: number): Promise<number> {
  const server = await startServer()
  try {
    const { port } = server.address() as AddressInfo
    const args = [child, kind, `http://127.0.0.1:${port}`, String(count)]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    return JSON.parse(stdout).growth
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

describe('slow sinks', () => {
  // Few sources read further ahead than a bare pipe, so that what has come is safe when the connection dies.
  const count = 1000
  it(`take at most 1.3 times the memory of bare pipes (${count} at once)`, async () => {
    const bare = await growthOf('bare', count)
    const ours = await growthOf('library', count)
    const ratio = ours / bare
    console.log(
      `      ${(bare / 2 ** 20).toFixed()} MiB bare, ${(ours / 2 ** 20).toFixed()} MiB with the stages: ${ratio.toFixed(2)} times`
    )
    expect(ratio).to.be.at.most(1.3)
  })
})

import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks, toText } from 'completion-streams'
import { report } from './child.js'
import { sourceOf } from './peers.js'
import { reads, workloads } from './workloads.js'

const total = 1e9
const warmUp = 50e6

const [chat] = workloads(20_000)
// Whole events, so that the pieces may be read over and over.
const pieces = reads((chat?.events ?? []).slice(0, -1), 65_536)

let sent = 0
let settled = 0
let peak = 0

function* stream(): Generator<Uint8Array> {
  while (sent < total) {
    for (const piece of pieces) {
      sent += piece.length
      yield piece
      const { rss } = process.memoryUsage()
      if (sent < warmUp) settled = rss
      peak = Math.max(peak, rss)
    }
  }
  yield Buffer.from('data: [DONE]\n\n')
}

const sink = new Writable({
  objectMode: true,
  write(_text, _encoding, callback) {
    setImmediate(callback)
  }
})

const start = performance.now()
await pipeline(sourceOf(stream()), toChunks(), toText(), sink)
report({
  gigabytes: sent / 1e9,
  growth: (peak - settled) / 2 ** 20,
  seconds: (performance.now() - start) / 1000
})

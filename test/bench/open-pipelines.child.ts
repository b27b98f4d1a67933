import { PassThrough, pipeline, Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { toChunks, toText } from 'completion-streams'
import split2 from 'split2'
import { report } from './child.js'
import { workloads } from './workloads.js'

const [kind, count] = process.argv.slice(2)
const [chat] = workloads(3)
const events = chat?.events.slice(0, 3) ?? []

const ignore = () => {}

function open(): Readable {
  const source = new Readable({ read() {} })
  for (const event of events) source.push(Uint8Array.from(event))
  // Takes the first and never says that it is done with it.
  const sink = new Writable({ objectMode: true, write() {} })
  if (kind === 'bare') pipeline(source, sink, ignore)
  else if (kind === 'empty') pipeline(source, split2(), new PassThrough({ objectMode: true }), sink, ignore)
  else pipeline(source, toChunks(), toText(), sink, ignore)
  return source
}

async function heapUsed(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) {
    await setImmediate()
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

// What the first ones compile and cache is no cost of each. The sources are kept, since an open pipeline that
// nothing refers to is garbage.
const first = Array.from({ length: 100 }, open)
const before = await heapUsed()
const all = Array.from({ length: Number(count) }, open)
report({ heap: (await heapUsed()) - before, open: first.length + all.length })

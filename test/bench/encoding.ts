import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { guardFetch, tapUsage, toChunks, toNDJSON, toSSE } from 'completion-streams'
import OpenAI from 'openai'
import { race, spread, type Table } from './measure.js'
import { sourceOf } from './peers.js'
import { workloads } from './workloads.js'

const chunks = 20_000
const rounds = 7

function sink(): Writable {
  return new Writable({ write: (_piece, _encoding, callback) => callback() })
}

/** A client whose every answer is these bytes, one event per read. */
function clientOf(events: readonly Uint8Array[], wrap: (fetch: typeof globalThis.fetch) => unknown): OpenAI {
  const answer = async () => {
    let at = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const event = events[at++]
        if (event) controller.enqueue(event)
        else controller.close()
      }
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  // Both are functions of the same form.
  return new OpenAI({ apiKey: 'none', baseURL: 'http://localhost/v1', fetch: wrap(answer) as typeof fetch })
}

async function relayBySdk(client: OpenAI): Promise<void> {
  const out = sink()
  for await (const chunk of await client.chat.completions.create({ model: 'm', messages: [], stream: true }))
    if (!out.write(`data: ${JSON.stringify(chunk)}\n\n`))
      await new Promise(resolve => out.once('drain', resolve))
  out.end('data: [DONE]\n\n')
}

/** What it costs to read a stream of chunks and to send it on. */
export async function encoding(): Promise<Table> {
  const [chat] = workloads(chunks)
  if (!chat) throw new Error('there is no workload')
  const events = chat.events
  const plain = clientOf(events, fetch => fetch)
  const guarded = clientOf(events, fetch => guardFetch({ fetch }))
  const ignore = () => {}
  const subjects = new Map<string, () => unknown>([
    ['a bare pipe, nothing read', () => pipeline(sourceOf(events), sink())],
    [
      '`toChunks()`',
      () =>
        pipeline(
          sourceOf(events),
          toChunks(),
          new Writable({ objectMode: true, write: (_c, _e, done) => done() })
        )
    ],
    [
      '`toChunks() | tapUsage() | toSSE()`',
      () => pipeline(sourceOf(events), toChunks(), tapUsage(ignore), toSSE(), sink())
    ],
    ['`toChunks() | toNDJSON()`', () => pipeline(sourceOf(events), toChunks(), toNDJSON(), sink())],
    ["the official SDK's loop with `JSON.stringify`", () => relayBySdk(plain)],
    ['the same behind `guardFetch`', () => relayBySdk(guarded)]
  ])
  const times = await race(subjects, rounds)
  const base = times.get('`toChunks() | tapUsage() | toSSE()`')?.median ?? Number.NaN
  return {
    title: 'Relays: chunks read and sent on',
    notes: [
      `${chunks.toLocaleString('en')} chat chunks, one event per read, from memory. What the sockets cost comes on top.`
    ],
    columns: ['relay', 'µs a chunk', 'fastest to slowest, ms', 'beside toSSE'],
    rows: [...subjects.keys()].map(name => {
      const time = times.get(name)
      if (!time) return [name]
      return [name, ((time.median * 1000) / chunks).toFixed(2), spread(time), (time.median / base).toFixed(2)]
    })
  }
}

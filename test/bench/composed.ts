import { pipeline as pipe, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { compose, toChunks, toText } from 'completion-streams'
import { race, spread, type Table, type Times } from './measure.js'
import { sourceOf } from './peers.js'
import { workloads } from './workloads.js'

const chunks = 20_000
const rounds = 7

/** What `compose` adds to the stages that it joins, in memory. */
export async function composed(): Promise<Table> {
  const [chat] = workloads(chunks)
  const events = chat?.events ?? []
  const rows: string[][] = []
  for (const [way, source] of [
    ['as fast as they are read', () => sourceOf(events)],
    ['one in each turn of the event loop', () => turnByTurn(events)]
  ] as const) {
    const times = await race(
      new Map<string, () => Promise<unknown>>([
        ['pipeline, no `compose`', () => pipeline(source(), toChunks(), toText(), emptySink())],
        [
          '`compose(source, toChunks, toText)`, into a sink',
          () => pipeline(compose(source(), toChunks(), toText()), emptySink())
        ],
        [
          'source, `compose(toChunks, toText)`, sink',
          () => pipeline(source(), compose(toChunks(), toText()), emptySink())
        ],
        ['pipeline, `for await` over `toText`', () => count(pipe(source(), toChunks(), toText(), ignore))],
        ['`for await` over `compose(source, …)`', () => count(compose(source(), toChunks(), toText()))]
      ]),
      rounds
    )
    let [base] = times.values()
    for (const [name, time] of times) {
      if (name.startsWith('pipeline')) base = time
      rows.push([
        `**${way}**`,
        name,
        ((time.median / chunks) * 1000).toFixed(2),
        spread(time, chunks / 1000),
        (time.median / (base as Times).median).toFixed(2)
      ])
    }
  }
  return {
    title: '`compose` against the same stages in a pipeline',
    notes: [
      `Microseconds a chunk, ${chunks} chat chunks, one event per write, in memory; medians of ${rounds} rounds. Each \`compose\` is compared with the pipeline above it.`
    ],
    columns: ['events come', 'stages', 'µs a chunk', 'spread', 'times the pipeline'],
    rows
  }
}

/** As a socket does when events come one by one: each read has one, and the next one comes later. */
function turnByTurn(events: readonly Uint8Array[]): Readable {
  let at = 0
  return new Readable({
    read() {
      setImmediate(() => this.push(events[at++] ?? null))
    }
  })
}

async function count(texts: AsyncIterable<string> | NodeJS.ReadableStream): Promise<number> {
  let characters = 0
  for await (const text of texts) characters += text.length
  return characters
}

function emptySink(): Writable {
  return new Writable({ objectMode: true, write: (_text, _encoding, callback) => callback() })
}

function ignore(): void {}

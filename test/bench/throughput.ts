import { race, spread, type Table, type Times, verdict } from './measure.js'
import {
  completionStreams,
  eventsourceParser,
  floor,
  officialSdk,
  type Reader,
  splitAndThrough
} from './peers.js'
import { reads, type Workload, workloads } from './workloads.js'

const chunks = 20_000
const rounds = 7

const peers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['completion-streams', completionStreams],
  ['bare loop', floor],
  ['official SDK', officialSdk],
  ['eventsource-parser', eventsourceParser],
  ['split2 + through2', splitAndThrough]
])

/** How the bytes come, and the share of the bare loop's time that the library may take. */
const writes: readonly [string, (workload: Workload) => readonly Uint8Array[], number][] = [
  ['one event', ({ events }) => events, 0.7],
  ['1400 bytes', ({ events }) => reads(events, 1400), 0.6],
  ['64 KiB', ({ events }) => reads(events, 65_536), 0.6]
]

/** Bytes to text to a sink, against the peers. */
export async function throughput(): Promise<Table> {
  const rows: string[][] = []
  for (const workload of workloads(chunks)) {
    for (const [size, cut, limit] of writes) {
      const times = await raceOver(cut(workload))
      const { median } = timesOf(times, 'completion-streams')
      for (const [name, own] of times) {
        rows.push([
          name === 'completion-streams' ? `**${workload.name}, ${size}**` : '',
          name,
          ((own.median / chunks) * 1000).toFixed(2),
          spread(own, chunks / 1000),
          (own.median / timesOf(times, 'bare loop').median).toFixed(2),
          name === 'completion-streams' ? '' : (own.median / median).toFixed(2),
          goalOf(name, workload.name, own.median, median, limit)
        ])
      }
    }
  }
  return {
    title: 'Throughput: bytes to text to a sink',
    notes: [
      `${chunks} chunks of about 330 bytes; medians of ${rounds} rounds. The bare loop decodes, splits and calls \`JSON.parse\`, and has no streams: nothing that it leaves out is free in a program. The library checks much that its peers do not.`
    ],
    columns: [
      'input, per write',
      'reader',
      'µs a chunk',
      'spread',
      'times the bare loop',
      'times the library',
      'goal'
    ],
    rows
  }
}

async function raceOver(pieces: readonly Uint8Array[]): Promise<Map<string, Times>> {
  const characters = await floor(pieces)
  const subjects = [...peers].map(([name, reader]): [string, () => Promise<void>] => [
    name,
    async () => {
      const found = await reader(pieces)
      if (found !== characters) throw new Error(`${name} found ${found} characters, not ${characters}`)
    }
  ])
  return race(new Map(subjects), rounds)
}

function timesOf(times: ReadonlyMap<string, Times>, name: string): Times {
  return times.get(name) as Times
}

function goalOf(name: string, workload: string, time: number, ours: number, limit: number): string {
  // Where no two payloads are alike there is nothing to gain by what they share.
  if (workload === 'no two alike') return ''
  if (name === 'bare loop') return verdict(ours / time, limit)
  return name === 'official SDK' && limit === 0.7 ? verdict(time / ours, 8, 'at least') : ''
}

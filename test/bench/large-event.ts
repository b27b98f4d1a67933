import { race, type Table, type Times, verdict } from './measure.js'
import { completionStreams, eventsourceParser, officialSdk, type Reader } from './peers.js'
import { reads, workload } from './workloads.js'

const rounds = 15
/** A reader that needs longer than this is stopped, in milliseconds. */
const patience = 60_000

const peers: readonly [string, Reader][] = [
  ['completion-streams', completionStreams],
  ['official SDK', officialSdk],
  ['eventsource-parser', eventsourceParser]
]

/** One event of 8 and of 16 MB: images and audio travel like that. */
export async function largeEvent(): Promise<Table> {
  const rows: string[][] = []
  for (const size of [1024, 16_384, 65_536]) {
    const small = await timesFor(8, size)
    const large = await timesFor(16, size)
    const ours = large.get('completion-streams') as Times
    for (const [name, { median }] of large) {
      const growth = median / (small.get(name) as Times).median
      rows.push([
        name === 'completion-streams' ? `**${size / 1024} KiB**` : '',
        name,
        show((small.get(name) as Times).median),
        show(median),
        name === 'completion-streams' ? verdict(growth, 2.2) : median > patience ? '' : growth.toFixed(2),
        name === 'completion-streams'
          ? ''
          : `${median > patience ? '> ' : ''}${verdict(median / ours.median, 1, 'at least')}`
      ])
    }
  }
  return {
    title: 'One large event',
    notes: [
      `Milliseconds for one chat chunk whose delta is 8 or 16 MB long; medians of ${rounds} rounds. A run of more than 2 s is not repeated, and one of more than ${patience / 1000} s is stopped. Fresh pages take longer than memory that was used before, and glibc gives some back to the system between some of the runs; with \`MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=67108864\` in the environment it keeps all, and what still grows is the reader.`
    ],
    columns: ['reads of', 'reader', '8 MB', '16 MB', 'growth', 'times the library'],
    rows
  }
}

async function timesFor(megabytes: number, size: number): Promise<Map<string, Times>> {
  const content = 'completion streams '.repeat((megabytes * 1e6) / 19)
  const event = { choices: [{ index: 0, delta: { content }, finish_reason: null }] }
  const pieces = reads(workload('large', [event], ['data: [DONE]\n\n']).events, size)
  const subjects = peers.map(([name, reader]): [string, () => Promise<void>] => [
    name,
    async () => {
      await readInTime(reader, pieces, content.length)
    }
  ])
  return race(new Map(subjects), rounds)
}

class TooSlow extends Error {}

function* until(deadline: number, pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) {
    if (performance.now() > deadline) throw new TooSlow()
    yield piece
  }
}

async function readInTime(reader: Reader, pieces: Iterable<Uint8Array>, characters: number): Promise<void> {
  try {
    const found = await reader(until(performance.now() + patience, pieces))
    if (found !== characters) throw new Error(`found ${found} characters, not ${characters}`)
  } catch (error) {
    if (!(error instanceof TooSlow)) throw error
  }
}

function show(milliseconds: number): string {
  return milliseconds > patience ? `> ${patience}` : milliseconds.toFixed(0)
}

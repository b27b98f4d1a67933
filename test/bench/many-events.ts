import { race, spread, type Table, type Times, verdict } from './measure.js'
import { completionStreams, eventsourceParser, officialSdk } from './peers.js'
import { reads, workloads } from './workloads.js'

const rounds = 5

/** 100,000 chat chunks in reads of 64 KiB. */
export async function manyEvents(): Promise<Table> {
  const [chat] = workloads(100_000)
  const pieces = reads(chat?.events ?? [], 65_536)
  const times = await race(
    new Map<string, () => unknown>([
      ['completion-streams', () => completionStreams(pieces)],
      ['eventsource-parser and `JSON.parse`', () => eventsourceParser(pieces)],
      ['official SDK', () => officialSdk(pieces)]
    ]),
    rounds
  )
  const ours = times.get('completion-streams') as Times
  return {
    title: '100,000 events',
    notes: [`Milliseconds for 100,000 chat chunks in reads of 64 KiB; medians of ${rounds} rounds.`],
    columns: ['reader', 'median', 'spread', "library's share"],
    rows: [...times].map(([name, own]) => [
      name,
      own.median.toFixed(0),
      spread(own),
      name.startsWith('eventsource-parser')
        ? verdict(ours.median / own.median, 0.5)
        : (ours.median / own.median).toFixed(2)
    ])
  }
}

import { reportOf, start } from './child.js'
import { type Table, verdict } from './measure.js'

/** How exactly recordings are played in their time. */
export async function replayTiming(): Promise<Table> {
  const rows: string[][] = []
  for (const { count, kind, what } of [1, 10, 100].flatMap(count => [
    { count, kind: 'timing', what: '`replay`' },
    { count, kind: 'timers', what: "Node's timers" }
  ])) {
    const {
      pieces = Number.NaN,
      p50 = Number.NaN,
      p99 = Number.NaN,
      max = Number.NaN
    } = await reportOf(start('replay.child.js', kind, String(count)))
    const share = kind === 'timing' ? verdict(p99, 2) : p99.toFixed(3)
    rows.push([String(count), what, String(pieces), p50.toFixed(2), share, max.toFixed(2)])
  }
  return {
    title: 'Replay in its time',
    notes: [
      'A recording of the demo, taken over HTTP, is played at speed 1 as often at once as the first column says, in a process of its own. Milliseconds between the recorded time of a piece and the time at which it comes, before or behind; and the same with `setTimeout` alone, which shows what the machine makes of it.'
    ],
    columns: ['at once', 'by', 'pieces', 'median', '99th percentile', 'most'],
    rows
  }
}

/** How many recordings are played at once, without waiting. */
export async function replayAtOnce(): Promise<Table> {
  const count = 10_000
  const {
    seconds = Number.NaN,
    megabytes = Number.NaN,
    kilobytes = Number.NaN
  } = await reportOf(start('replay.child.js', 'at-once', String(count)))
  return {
    title: '10,000 replays at once',
    notes: ['The same recording, played 10,000 times at once at `speed: Infinity`, in a process of its own.'],
    columns: ['replays', 'KB each', 'seconds', 'peak resident set in MB'],
    rows: [[String(count), kilobytes.toFixed(0), seconds.toFixed(1), megabytes.toFixed(0)]]
  }
}

import { reportOf, start } from './child.js'
import { type Table, verdict } from './measure.js'

/** A stream of 1 GB through a slow sink. */
export async function memory(): Promise<Table> {
  const {
    gigabytes = Number.NaN,
    growth = Number.NaN,
    seconds = Number.NaN
  } = await reportOf(start('memory.child.js'))
  return {
    title: 'Memory: a long stream and a slow sink',
    notes: [
      'A process of its own reads chat chunks in 64 KiB reads into a sink that takes one text in each turn of the event loop. Growth of the resident set, from its state after the first 50 MB to its peak.'
    ],
    columns: ['read', 'seconds', 'growth in MB'],
    rows: [[`${gigabytes.toFixed(2)} GB`, seconds.toFixed(0), verdict(growth, 64)]]
  }
}

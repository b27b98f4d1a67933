import { reportOf, start } from './child.js'
import { type Table, verdict } from './measure.js'

const pipelines = 10_000

/** What one open pipeline holds. */
export async function openPipelines(): Promise<Table> {
  const bare = await heapOf('bare')
  const empty = await heapOf('empty')
  const full = await heapOf('stages')
  return {
    title: '10,000 pipelines at once',
    notes: [
      'Kilobytes of heap that each of 10,000 open pipelines holds, with chunks on their way, in a process of its own: source, `toChunks`, `toText` and sink; source and sink alone; and with what the two stages are made of, which is the least that two stages hold: an empty split2 and an empty Transform.'
    ],
    columns: ['pipeline', 'KB each', 'beyond source and sink'],
    rows: [
      ['source, sink', bare.toFixed(1), ''],
      ['source, split2, Transform, sink', empty.toFixed(1), (empty - bare).toFixed(1)],
      ['source, `toChunks`, `toText`, sink', full.toFixed(1), verdict(full - bare, 20)]
    ]
  }
}

async function heapOf(kind: 'bare' | 'empty' | 'stages'): Promise<number> {
  const { heap = Number.NaN } = await reportOf(start('open-pipelines.child.js', kind, String(pipelines)))
  return heap / pipelines / 1000
}

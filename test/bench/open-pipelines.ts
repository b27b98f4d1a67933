import { reportOf, start } from './child.js'
import { type Table, verdict } from './measure.js'

const pipelines = 10_000

/** What one open pipeline holds. */
export async function openPipelines(): Promise<Table> {
  const bare = await heapOf('bare')
  const full = await heapOf('stages')
  return {
    title: '10,000 pipelines at once',
    notes: [
      'Kilobytes of heap that each of 10,000 open pipelines holds, with chunks on their way, in a process of its own: source, `toChunks`, `toText` and sink, and source and sink alone.'
    ],
    columns: ['pipeline', 'KB each', 'beyond source and sink'],
    rows: [
      ['source, sink', bare.toFixed(1), ''],
      ['source, `toChunks`, `toText`, sink', full.toFixed(1), verdict(full - bare, 25)]
    ]
  }
}

async function heapOf(kind: 'bare' | 'stages'): Promise<number> {
  const { heap = Number.NaN } = await reportOf(start('open-pipelines.child.js', kind, String(pipelines)))
  return heap / pipelines / 1000
}

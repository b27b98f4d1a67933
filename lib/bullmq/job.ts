import { createHash } from 'node:crypto'

/** A job of a run: a row, or the mark before the first one, or behind the last one. */
export type JobData<Row> = RowData<Row> | { run: string } | EndData

export interface EndData {
  run: string
  /** How many rows came to the sink that added the mark. */
  rows: number
  /** Whether another sink had begun before, of which there may be more. */
  isRefilled?: boolean
}

export interface RowData<Row> {
  run: string
  key: string
  index: number
  row: Row
}

/** The name of the jobs that are rows. */
export const rowJob = 'row'

/** The name of the job that is before the first row. */
export const beginJob = 'beginning of rows'

/** The name of the job that is behind the last row. */
export const endJob = 'end of rows'

/** Jobs stay when they are finished: in them are the records. */
export const keptOptions = { removeOnComplete: false, removeOnFail: false } as const

/** BullMQ takes no second job of an id; an id may be no number, and have no colon. */
export function jobIdOf(run: string, key: string): string {
  return `row-${hashOf(JSON.stringify([run, key]))}`
}

export function beginIdOf(run: string): string {
  return `begin-${hashOf(run)}`
}

export function endIdOf(run: string): string {
  return `end-${hashOf(run)}`
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

import { createHash } from 'node:crypto'

/** A job of a run: a row, or the mark behind the last one. */
export type JobData<Row> = RowData<Row> | { run: string; rows: number }

export interface RowData<Row> {
  run: string
  key: string
  index: number
  row: Row
}

/** The name of the jobs that are rows. */
export const rowJob = 'row'

/** The name of the job that is behind the last row. */
export const endJob = 'end of rows'

/** Jobs stay when they are finished: in them are the records. */
export const keptOptions = { removeOnComplete: false, removeOnFail: false } as const

/** BullMQ takes no second job of an id; an id may be no number, and have no colon. */
export function jobIdOf(run: string, key: string): string {
  return `row-${createHash('sha256')
    .update(JSON.stringify([run, key]))
    .digest('base64url')}`
}

export function endIdOf(run: string): string {
  return `end-${createHash('sha256').update(run).digest('base64url')}`
}

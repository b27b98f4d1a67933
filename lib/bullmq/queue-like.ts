import { invalid } from '../options.js'

/** What is asked of a `Queue` of the bullmq package. */
export interface QueueLike {
  /** Adds jobs, but none whose id is there already. */
  addBulk(jobs: { name: string; data: unknown; opts: object }[]): Promise<unknown>
  /** The jobs in a state, from one place to another, the oldest or the newest first. */
  getJobs(states: JobState[], start: number, end: number, ascending: boolean): Promise<unknown[]>
  /** The state of a job, `unknown` for one that is not there. */
  getJobState?(id: string): Promise<string>
  /** How many jobs there are in each state. */
  getJobCounts?(): Promise<Record<string, number>>
}

/** Where a job is. */
export type JobState =
  | 'completed'
  | 'failed'
  | 'active'
  | 'delayed'
  | 'prioritized'
  | 'waiting'
  | 'waiting-children'

/** What is read off a job. */
export interface JobLike {
  /** By which the queue knows the job; absent only before it is added. */
  readonly id?: string
  /** The name that it was added with: whether it is a row, or the mark behind the last one. */
  readonly name: string
  /** What it was added with: the row, its key and its run. */
  readonly data: unknown
  /** What the worker has returned for it: the record, once it is completed. */
  readonly returnvalue: unknown
  /** The message of the error that it failed with; absent unless it failed. */
  readonly failedReason?: string
  /** How often a worker has begun it. Absent where none has. */
  readonly attemptsStarted?: number
}

export function checkQueue(queue: QueueLike): void {
  if (typeof queue?.addBulk !== 'function' || typeof queue.getJobs !== 'function')
    throw invalid('queue', queue, 'a Queue of the bullmq package')
}

export function checkRun(run: string): void {
  if (typeof run !== 'string' || run === '') throw invalid('run', run, 'the name of the run')
}

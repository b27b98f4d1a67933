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
  readonly id?: string
  readonly name: string
  readonly data: unknown
  readonly returnvalue: unknown
  readonly failedReason?: string
  /** How often a worker has begun it. */
  readonly attemptsStarted?: number
}

export function checkQueue(queue: QueueLike): void {
  if (typeof queue?.addBulk !== 'function' || typeof queue.getJobs !== 'function')
    throw invalid('queue', queue, 'a Queue of the bullmq package')
}

export function checkRun(run: string): void {
  if (typeof run !== 'string' || run === '') throw invalid('run', run, 'the name of the run')
}

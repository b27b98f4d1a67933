import { inTime } from '../in-time.js'
import type { JobData } from './job.js'
import type { JobLike, JobState, QueueLike } from './queue-like.js'

/** So many jobs are read at once. */
export const jobsAtOnce = 100

/** A question whose answer takes longer than this, in milliseconds, is asked again: it may have been lost with a connection. */
const longestAnswer = 2000

/** What Redis answers. Those that are not there any more come as undefined. */
export function answered<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return inTime(answer, longestAnswer, () => new Error('Redis does not answer'))
}

/** The states that are no end, in the order in which they are read: a job that is begun or put back meanwhile is found too. */
const unfinishedStates: readonly JobState[] = [
  'active',
  'delayed',
  'prioritized',
  'waiting-children',
  'waiting',
  'active',
  'delayed'
]

/**
 * Whether any job of a run may still be done. A queue that cannot be asked may have some. What all runs have is counted in one
 * step of Redis; only where others have jobs left are jobs read.
 */
export async function hasUnfinished(queue: QueueLike, run: string): Promise<boolean> {
  if (!queue.getJobCounts) return true
  const { completed, failed, ...unfinished } = await answered(queue.getJobCounts())
  if (Object.values(unfinished).every(count => count === 0)) return false
  for (const state of unfinishedStates) if (await hasJobOf(queue, run, state)) return true
  return false
}

/** Reads from the newest on, so that none changes its place when a worker takes the oldest. */
async function hasJobOf(queue: QueueLike, run: string, state: JobState): Promise<boolean> {
  for (let start = 0; ; start += jobsAtOnce) {
    const reply = queue.getJobs([state], start, start + jobsAtOnce - 1, false)
    const jobs = (await answered(reply)) as (JobLike | undefined)[]
    if (jobs.some(job => (job?.data as JobData<unknown> | undefined)?.run === run)) return true
    if (jobs.length < jobsAtOnce) return false
  }
}

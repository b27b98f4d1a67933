import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** Starts a file beside this one in a process of its own, with this one's flags. */
export function start(file: string, ...args: string[]): ChildProcess {
  return fork(new URL(file, import.meta.url), args)
}

/** What a child reports. Fails if it exits before it does. */
export async function reportOf(child: ChildProcess): Promise<Record<string, number>> {
  const exit = once(child, 'exit').then(([code]) => {
    throw new Error(`the child process ended with code ${code} and without a report`)
  })
  const [report] = await Promise.race([once(child, 'message'), exit])
  exit.catch(() => {})
  return report
}

/** In the child: tells the parent, and ends. */
export function report(numbers: Record<string, number>): void {
  process.send?.(numbers, () => process.disconnect())
}

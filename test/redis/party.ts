import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Report, Task } from './party.child.js'

const program = join(import.meta.dirname, 'party.child.js')

/** A process that publishes or follows answers. */
export interface Party {
  readonly process: ChildProcess
  readonly ids: readonly string[]
  readonly reports: Map<string, Report>
  /** Whether it has begun to publish. */
  hasBegun: boolean
  /** When it has ended, however it did. */
  readonly ended: Promise<unknown>
  kill(): void
}

export function party(task: Task, onReport: () => void = () => {}): Party {
  const child = spawn(process.execPath, [program, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: undefined }
  })
  const reports = new Map<string, Report>()
  const own: Party = {
    process: child,
    ids: task.ids,
    reports,
    hasBegun: false,
    ended: once(child, 'close'),
    kill: () => void child.kill('SIGKILL')
  }
  createInterface({ input: child.stdout }).on('line', line => {
    if (line === 'begun') {
      own.hasBegun = true
      return
    }
    const report = JSON.parse(line) as Report
    reports.set(report.id, report)
    onReport()
  })
  return own
}

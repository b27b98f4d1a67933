// Runs programs for the tests of the pages, one after the other. Each has the process to itself until nothing is left for it to
// do, as a process of its own would have been; but what they all import is loaded once.
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

/** A program to run, where, and with what in its environment. */
export interface Task {
  readonly path: string
  readonly folder: string
  readonly variables: NodeJS.ProcessEnv
}

/** What came of it. */
export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

let printed = { stdout: '', stderr: '' }
let isRunning = false

for (const name of ['stdout', 'stderr'] as const) {
  const write = (text: string | Uint8Array, encoding?: unknown, callback?: unknown) => {
    printed[name] += typeof text === 'string' ? text : Buffer.from(text).toString()
    for (const done of [encoding, callback]) if (typeof done === 'function') process.nextTick(done)
    return true
  }
  process[name].write = write as NodeJS.WriteStream['write']
}

process.on('message', async ({ path, folder, variables }: Task) => {
  isRunning = true
  // The program alone is to keep the process alive.
  process.channel?.unref()
  process.chdir(folder)
  Object.assign(process.env, variables)
  try {
    await import(pathToFileURL(path).href)
  } catch (error) {
    console.error(inspect(error))
    process.exitCode = 1
  }
})

/** The program has nothing left to do. */
process.on('beforeExit', () => {
  if (!isRunning) return
  isRunning = false
  process.channel?.ref()
  process.send?.({ ...printed, code: Number(process.exitCode ?? 0) } satisfies Ended)
  printed = { stdout: '', stderr: '' }
  process.exitCode = 0
})

process.on('disconnect', () => process.exit())

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

const environment = { ...process.env }
let printed = { stdout: '', stderr: '' }
/** Whether the program waits at its top level. If nothing is left to do then, what it waits for never comes. */
let isWaiting = false

for (const name of ['stdout', 'stderr'] as const) {
  const write = (text: string | Uint8Array, encoding?: unknown, callback?: unknown) => {
    printed[name] += typeof text === 'string' ? text : Buffer.from(text).toString()
    for (const done of [encoding, callback]) if (typeof done === 'function') process.nextTick(done)
    return true
  }
  process[name].write = write as NodeJS.WriteStream['write']
}

process.on('message', async ({ path, folder, variables }: Task) => {
  isWaiting = true
  // The program alone is to keep the process alive.
  process.channel?.unref()
  process.chdir(folder)
  // What the program before it was given is no business of this one.
  process.env = { ...environment, ...variables }
  try {
    await import(pathToFileURL(path).href)
  } catch (error) {
    console.error(inspect(error))
    process.exitCode = 1
  }
  isWaiting = false
})

/** The program has nothing left to do. */
process.on('beforeExit', () => {
  process.channel?.ref()
  // As Node has it.
  const code = isWaiting ? 13 : Number(process.exitCode ?? 0)
  process.send?.({ ...printed, code } satisfies Ended)
  printed = { stdout: '', stderr: '' }
  process.exitCode = 0
})

process.on('disconnect', () => process.exit())

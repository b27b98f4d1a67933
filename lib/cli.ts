#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import type { TextKind } from './chunk/fields.js'
import { type Call, commands, isAbort } from './cli/commands.js'
import { help } from './cli/help.js'
import { errorLine } from './cli/words.js'
import { AbortError } from './failure/abort-error.js'

/** Exit codes; the last two are those that a shell gives a process that a signal ended. */
const failed = 1
const wrongUse = 2
const interrupted = 128 + constants.signals.SIGINT
const readerLeft = 128 + constants.signals.SIGPIPE

/** What is wrong with the words of the command line. */
class UsageError extends Error {}

const options = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  quiet: { type: 'boolean', short: 'q' },
  index: { type: 'string' },
  from: { type: 'string' },
  speed: { type: 'string' },
  port: { type: 'string' },
  cut: { type: 'string' },
  stall: { type: 'string' },
  status: { type: 'string' }
} as const

/** How many files each command takes, where it is not one or none. */
const fileCounts: Readonly<Record<string, { least: number; most: number }>> = {
  check: { least: 0, most: Number.POSITIVE_INFINITY },
  record: { least: 1, most: 1 },
  diff: { least: 2, most: 2 }
}

await main()

async function main(): Promise<void> {
  const leaving = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The second one ends the process, as Node does by itself.
    process.once(signal, () => {
      leaving.abort()
      // Whoever waits for input may not have begun a pipeline yet.
      process.stdin.destroy(new AbortError())
    })
  }
  // The commands learn of it by what they write; when they have written nothing, it is no concern of theirs.
  process.stdout.on('error', () => {})
  process.stdin.on('error', () => {})
  process.exitCode = await run(process.argv.slice(2), leaving.signal).catch(exitCodeOf)
  // Standard input may be open still, and a pipeline that failed does not let go of it.
  process.stdin.destroy()
}

function exitCodeOf(error: unknown): number {
  if (isAbort(error)) return interrupted
  if (codeOf(error) === 'EPIPE') return readerLeft
  process.stderr.write(`${errorLine(error)}\n`)
  if (error instanceof UsageError) process.stderr.write('npx completion-streams --help shows how to use it\n')
  const isUse = error instanceof UsageError || isOfFile(error)
  return isUse ? wrongUse : failed
}

async function run(words: string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parsed(words)
  if (values.help) return print(help)
  if (values.version) return print(`${version()}\n`)
  const [first] = positionals
  const isNamed = first !== undefined && Object.hasOwn(commands, first)
  if (first !== undefined && !isNamed && first !== '-' && !existsSync(first))
    throw new UsageError(`there is no command and no file ${JSON.stringify(first)}`)
  const name = isNamed ? first : 'text'
  const files = isNamed ? positionals.slice(1) : positionals
  const { least, most } = fileCounts[name] ?? { least: 0, most: 1 }
  if (files.length < least || files.length > most)
    throw new UsageError(
      `${name} takes ${least === most ? least : `at most ${most}`} FILE${most === 1 ? '' : 's'}`
    )
  const readsInput = files.length === 0 && name !== 'serve'
  if (readsInput && process.stdin.isTTY) {
    process.stderr.write(help)
    return wrongUse
  }
  const call: Call = {
    files,
    index: numberOf('index', values.index, 0),
    from: kindOf(values.from),
    isQuiet: values.quiet ?? false,
    speed: values.speed === 'Infinity' ? Number.POSITIVE_INFINITY : numberOf('speed', values.speed, 1, 0),
    port: portOf(values.port),
    cut: countOf('cut', values.cut),
    stall: countOf('stall', values.stall),
    status: countOf('status', values.status),
    signal
  }
  return await (commands[name] as (call: Call) => Promise<number>)(call)
}

function parsed(words: string[]) {
  try {
    return parseArgs({ args: words, options, allowPositionals: true })
  } catch (error) {
    // What parseArgs throws says which option is wrong.
    throw new UsageError((error as Error).message)
  }
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

function version(): string {
  const { version } = createRequire(import.meta.url)('completion-streams/package.json') as { version: string }
  return version
}

/** A number; above the bound if there is one, else a whole one from zero. */
function numberOf(name: string, given: string | undefined, otherwise: number, above?: number): number {
  if (given === undefined) return otherwise
  const value = given.trim() === '' ? Number.NaN : Number(given)
  const isGood = above === undefined ? Number.isInteger(value) && value >= 0 : value > above
  if (!isGood)
    throw new UsageError(
      `--${name} takes ${above === undefined ? 'a whole number from 0' : `a number above ${above}`}`
    )
  return value
}

function portOf(given: string | undefined): number {
  const port = numberOf('port', given, 0)
  if (port > 65_535) throw new UsageError('--port takes a whole number from 0 to 65535')
  return port
}

function countOf(name: string, given: string | undefined): number | undefined {
  return given === undefined ? undefined : numberOf(name, given, 0)
}

function kindOf(given: string | undefined): TextKind {
  if (given === undefined || given === 'content' || given === 'refusal' || given === 'reasoning')
    return given ?? 'content'
  throw new UsageError('--from takes content, refusal or reasoning')
}

/** A file that is not there, may not be read, or is none of those that can be read. */
function isOfFile(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    ('syscall' in error || codeOf(error) === 'CS_ERR_INVALID_RECORDING')
  )
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

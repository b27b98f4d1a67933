import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Transform } from 'node:stream'
import { expect } from 'chai'
import { timeLimits } from 'completion-streams'
import { Choice, cases } from '../choice.js'
import { text, textWithin } from './answer.js'
import { type Shape, shapes } from './shapes.js'
import type { Client } from './sources.js'

/** What must come of an answer, of which a server sends so many bytes before something happens. */
export interface Outcome {
  isWhole(at: number): boolean
  /** What it may fail with where it is not whole, as `kindOf` says it. */
  codes(client: Client): readonly string[]
  /** What must be in the sink. A reset may overtake what was sent before it, so that only a beginning is sure. */
  holds: 'all that was sent' | 'a beginning' | 'nothing'
  /** What must happen on this side for the pipeline to end at all. */
  needs?: 'a time limit' | 'an abort' | undefined
}

/** One case, by the name of its shape. */
export interface Case {
  name: string
  shape: string
  client: Client
  outcome: Outcome
}

/** The surroundings of a case: what its server is told, and where it may write. */
export interface Place {
  url: string
  at: number
  path: string
  choice: Choice
  /** Stages of bytes behind the source. */
  stages?: Transform[]
  /** Whether nobody waits for this side any more. */
  isTold(): boolean
}

/** What is wrong with the end of a case, if anything. */
export async function judge(
  { shape, client, outcome }: Case,
  { url, at, path, choice, stages = [], isTold }: Place
): Promise<string | undefined> {
  const controller = new AbortController()
  await writeFile(path, '')
  // A connection may take its time to open on a busy machine. What is sent after that is sent at once.
  const limits = outcome.needs === 'a time limit' ? [timeLimits({ first: 3_000, idle: 500 })] : []
  const make = shapes.get(shape) as Shape
  const run = make(client.open(url, controller.signal), [...stages, ...limits], path)
  const ending = endOf(run.done)
  if (outcome.needs === 'an abort') {
    for (let turn = choice.below(40); turn > 0; turn--) await new Promise(resolve => setImmediate(resolve))
    controller.abort()
  }
  const ended = await ending
  if (ended === 'hangs') return 'it hangs'
  const found = wrongWith(ended, await run.held(), at, client, outcome)
  if (found) return found
  return (await within(5_000, isTold)) ? undefined : 'the server is not told'
}

function wrongWith(ended: string, held: string, at: number, client: Client, outcome: Outcome) {
  if (!text.startsWith(held)) return `the sink holds what was never sent: ${held.slice(-60)}`
  const isWhole = outcome.isWhole(at)
  if (ended === 'whole') {
    if (!isWhole) return 'it is taken for whole'
    return held === text ? undefined : `the sink lacks ${text.length - held.length} of a whole answer`
  }
  if (isWhole && outcome.holds === 'all that was sent') return `a whole answer fails with ${ended}`
  const codes = outcome.codes(client)
  if (!codes.includes(ended)) return `it fails with ${ended}, not with ${codes.join(' or ')}`
  if (outcome.holds === 'nothing') return held === '' ? undefined : `the sink holds ${held.length} characters`
  const sure = outcome.holds === 'a beginning' ? '' : textWithin(at)
  return held.startsWith(sure) ? undefined : `the sink lacks ${sure.length - held.length} of ${sure.length}`
}

async function endOf(done: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<string>(resolve => {
    timer = setTimeout(resolve, 20_000, 'hangs')
  })
  const ended = await Promise.race([done.then(() => 'whole', kindOf), hangs])
  clearTimeout(timer)
  return ended
}

/** An error in one word where it has one: the library's code, an abort, the status of a response. Of others, the class and the code. */
function kindOf(error: Error & { code?: unknown; status?: unknown }): string {
  if (typeof error.code === 'string' && error.code.startsWith('CS_ERR')) return error.code
  if (error.name === 'AbortError' || error.constructor.name === 'APIUserAbortError') return 'ABORT_ERR'
  if (error.status !== undefined) return String(error.status)
  let code: unknown
  for (let at: unknown = error; at instanceof Error; at = at.cause) code = (at as { code?: unknown }).code
  return `${error.constructor.name} ${code}`
}

/** Whether something has become so within so many milliseconds. */
async function within(milliseconds: number, isSo: () => boolean): Promise<boolean> {
  const end = performance.now() + milliseconds
  while (!isSo()) {
    if (performance.now() > end) return false
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  return true
}

/**
 * Tries cases in any order, eight at a time, and expects nothing of all of them to be wrong: no end, no warning, and nothing that
 * stays open.
 */
export async function tryAll<Each extends Case>(
  all: readonly Each[],
  { repeats, short }: { repeats: number; short: number },
  tryOne: (each: Each, path: string, choice: Choice) => Promise<string | undefined>
): Promise<void> {
  const choice = new Choice('matrix')
  const times = cases(repeats, 1)
  const left = choice
    .shuffled(Array.from({ length: times }, () => all).flat())
    .slice(0, cases(all.length * times, short))
  const folder = await mkdtemp(join(tmpdir(), 'matrix-'))
  const warnings: unknown[] = []
  const complain = (warning: unknown) => void warnings.push(warning)
  process.on('warning', complain).on('unhandledRejection', complain)
  const open = resources()
  const wrong: string[] = []
  let number = 0
  const work = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const own = new Choice(`case ${number}`)
      const found = await tryOne(next, join(folder, String(number++)), own)
      if (found) wrong.push(`${next.name}, ${next.shape}: ${found}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  await within(5_000, () => added(open).length === 0)
  const leftOpen = added(open)
  process.off('warning', complain).off('unhandledRejection', complain)
  await rm(folder, { recursive: true })
  console.log(`      ${number} cases`)
  for (const line of wrong) console.log(`      wrong: ${line}`)
  expect(wrong.length, 'wrong cases').to.equal(0)
  expect(warnings).to.deep.equal([])
  expect(leftOpen, 'what stays open').to.deep.equal([])
}

/** What keeps the process alive, by its kind. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

/** The kinds of which there are more than there were. A timer is this waiting itself. */
function added(before: ReadonlyMap<string, number>): string[] {
  return [...resources()]
    .filter(([kind, count]) => count > (before.get(kind) ?? 0) + (kind === 'Timeout' ? 1 : 0))
    .map(([kind, count]) => `${kind}: ${count}`)
}

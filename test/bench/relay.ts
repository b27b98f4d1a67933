import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { start } from './child.js'
import { quantile, spread, summaryOf, type Table } from './measure.js'
import type { Cost, Task } from './relay.child.js'
import { ways } from './relay-ways.js'

/** How much is done. */
interface Extent {
  readonly names: readonly string[]
  readonly rounds: number
  /** Tokens of the short and of the long answers: what differs between them is the price of tokens, the rest that of requests. */
  readonly short: number
  readonly long: number
  /** Answers of each kind before anything counts, and in each round. */
  readonly warmUp: { readonly short: number; readonly long: number }
  readonly round: { readonly short: number; readonly long: number }
  readonly isWhole: boolean
}

const atOnce = 100
const names = [...ways.keys()]
const whole: Extent = {
  names,
  // The price of a system call changes within seconds on a machine that others share: many rounds, not long ones.
  rounds: 11,
  short: 50,
  long: 450,
  warmUp: { short: 400, long: 200 },
  round: { short: 100, long: 100 },
  isWhole: true
}
/** Without delays, memory and the forms of answer that no ratio needs. */
const quick: Extent = {
  names: ['http', 'http-empty', 'http-text', 'from-response', 'fetch', 'request', 'direct', 'sdk', 'compose'],
  rounds: 3,
  short: 50,
  long: 200,
  warmUp: { short: 200, long: 80 },
  round: { short: 100, long: 100 },
  isWhole: false
}
/** The peers would take longer than all others together. */
const peers = ['ai', 'langchain']
const lessForPeers = { long: 150, warmUp: { short: 200, long: 0 }, round: { short: 100, long: 100 } }

/** Which way is compared with which. */
const comparisons: ReadonlyMap<string, readonly string[]> = new Map([
  ['http-empty', ['http']],
  ['http-text', ['http', 'http-empty']],
  ['from-response', ['http-text']],
  ['request', ['fetch', 'sdk']],
  ['direct', ['http-text', 'request', 'sdk']],
  ['compose', ['request']],
  ['respond', ['request', 'sdk']],
  ['sse', ['request', 'sdk']],
  ['ai', ['request']],
  ['langchain', ['request']]
])

const tokensPerSecond = 20
const delayTokens = 80
const openAnswers = 500

/** What a user pays for a relay: a server that asks a provider for each of its requests. */
export async function relay(isShort: boolean): Promise<Table> {
  const extent = isShort ? quick : whole
  const relays = new Map<string, ChildProcess>()
  for (const name of extent.names) {
    const child = start('relay.child.js', name)
    const [loadPid] = await once(child, 'message')
    keepApart(child.pid, loadPid)
    relays.set(name, child)
  }
  const prices = await pricesOf(relays, extent)
  const rows: string[][] = []
  for (const [name, child] of relays) {
    const seen = extent.isWhole ? await delayAndMemory(child) : []
    rows.push([ways.get(name)?.title ?? name, ...pricesRow(name, prices), ...seen])
  }
  for (const child of relays.values()) child.kill()
  return {
    title: 'Relay: from a provider to a reader, over HTTP',
    notes: notesOf(extent),
    columns: columnsOf(extent),
    rows
  }
}

/**
 * Gives the relay a core to itself where the system can do that (taskset of Linux): a process that is moved from core to core
 * loses what its caches hold, and by how much is left to chance.
 */
function keepApart(relayPid: number | undefined, loadPid: number): void {
  if (availableParallelism() < 2) return
  for (const [core, pid] of [relayPid, loadPid].entries())
    spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)])
}

/** In microseconds of processor time, round by round. */
interface Price {
  readonly token: number[]
  readonly request: number[]
}

/** All ways in turn, round by round, so that what else the machine does meets all of them. */
async function pricesOf(
  relays: ReadonlyMap<string, ChildProcess>,
  extent: Extent
): Promise<Map<string, Price>> {
  const prices = new Map<string, Price>()
  for (const [name, child] of relays) {
    prices.set(name, { token: [], request: [] })
    const { short, long, warmUp } = extentOf(name, extent)
    await costOf(child, { tokens: long, answers: warmUp.long, atOnce })
    await costOf(child, { tokens: short, answers: warmUp.short, atOnce })
  }
  const inTurn = [...relays]
  for (let turn = 0; turn < extent.rounds; turn++) {
    // Nobody always comes behind the same one.
    const first = turn % inTurn.length
    for (const [name, child] of [...inTurn.slice(first), ...inTurn.slice(0, first)]) {
      const { short, long, round } = extentOf(name, extent)
      // While the others ran, the caches of the processor have forgotten this one.
      await costOf(child, { tokens: short, answers: round.short / 2, atOnce: round.short / 2 })
      const few = await costOf(child, { tokens: short, answers: round.short, atOnce })
      const many = await costOf(child, { tokens: long, answers: round.long, atOnce })
      const ofShort = few.cpu / round.short
      const token = (many.cpu / round.long - ofShort) / (long - short)
      prices.get(name)?.token.push(token)
      prices.get(name)?.request.push(ofShort - token * short)
    }
  }
  return prices
}

function extentOf(name: string, extent: Extent): Extent {
  return peers.includes(name) ? { ...extent, ...lessForPeers } : extent
}

function pricesRow(name: string, prices: ReadonlyMap<string, Price>): string[] {
  const { token = [], request = [] } = prices.get(name) ?? {}
  const times = summaryOf(token)
  const ratios = (comparisons.get(name) ?? []).map(other => {
    const others = prices.get(other)?.token ?? []
    // Round by round: what slowed a whole round is not in its ratio.
    const each = token.map((price, round) => price / (others[round] ?? Number.NaN))
    return `${summaryOf(each).median.toFixed(2)} times ${other}`
  })
  return [
    name,
    times.median.toFixed(1),
    spread(times),
    Math.round(1e6 / times.median).toString(),
    summaryOf(request).median.toFixed(0),
    ratios.join(', ')
  ]
}

async function delayAndMemory(child: ChildProcess): Promise<string[]> {
  const { delays } = await costOf(child, { tokens: delayTokens, answers: atOnce, atOnce, tokensPerSecond })
  const held = { tokens: 20, holdAt: 10, answers: openAnswers, atOnce: openAnswers }
  // Once more, since what the first so many leave behind in buffers and caches is no cost of each.
  await costOf(child, held)
  const { heapEach, residentEach } = await costOf(child, held)
  return [
    quantile(delays, 0.5).toFixed(2),
    quantile(delays, 0.99).toFixed(2),
    (heapEach / 1000).toFixed(0),
    (residentEach / 1000).toFixed(0)
  ]
}

function costOf(child: ChildProcess, task: Task): Promise<Cost> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new Error('a relay ended without a report'))
    child.once('exit', lost).once('message', cost => {
      child.off('exit', lost)
      resolve(cost as Cost)
    })
    child.send(task)
  })
}

function notesOf({ rounds, short, long, warmUp, isWhole }: Extent): string[] {
  const price = `Microseconds of processor time, user and system, that the process of the relay takes, ${atOnce} answers at once: for each token, an event of about 330 bytes, as the difference between answers of ${short} and ${long} tokens; for each request, what is left of the short ones; each reader comes with a new connection. The provider and the readers are another process, and send a token when the reader has the one before it, so that each read of the relay is one event. Where the system can do that, the relay has a core to itself. Medians of ${rounds} rounds, in each of which all ways come in turn, after ${warmUp.short} short and ${warmUp.long} long answers that do not count. A ratio is the median of the ratios of the rounds.`
  const { long: shorter, warmUp: less } = lessForPeers
  const peer = `The AI SDK and LangChain, which take longest, have long answers of ${shorter} tokens, and only ${less.short} answers that do not count.`
  const delay = `Delay: milliseconds from the provider's write of a token to its arrival at the reader, ${atOnce} answers at once, ${tokensPerSecond} tokens a second each. KB: what each of ${openAnswers} open answers holds of the heap (and buffers beside it), and of the resident set, after garbage collection.`
  return isWhole ? [price, peer, delay] : [price]
}

function columnsOf({ isWhole }: Extent): string[] {
  const price = [
    'relay',
    'name',
    'µs a token',
    'spread',
    'tokens a second and core',
    'µs a request',
    'ratio a token'
  ]
  return isWhole ? [...price, 'delay, median', '99th percentile', 'KB of heap', 'KB resident'] : price
}

import { setTimeout } from 'node:timers/promises'

/** One subject's times, in milliseconds. */
export interface Times {
  readonly median: number
  readonly fastest: number
  readonly slowest: number
  /** In the order of the rounds; shorter when a run took too long to be repeated. */
  readonly all: readonly number[]
}

/** What a benchmark prints. A goal that is missed is shown as missed. */
export interface Table {
  readonly title: string
  readonly notes: readonly string[]
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** A run that takes longer than this is not repeated, in milliseconds. */
const tooLongToRepeat = 2000
/** Before each run, in milliseconds. */
const rest = 1

/**
 * Runs the subjects in turn, round by round, so that what else the machine does meets all of them; each round begins
 * with another one. A first round warms up and is not counted.
 */
export async function race(
  subjects: ReadonlyMap<string, () => unknown>,
  rounds: number
): Promise<Map<string, Times>> {
  const names = [...subjects.keys()]
  const times = new Map<string, number[]>(names.map(name => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(turn + round) % names.length] as string
      const all = times.get(name) as number[]
      if (all.some(time => time > tooLongToRepeat)) continue
      const time = await timeOf(subjects.get(name) as () => unknown)
      if (round > 0 || time > tooLongToRepeat) all.push(time)
    }
  }
  return new Map(names.map(name => [name, summaryOf(times.get(name) as number[])]))
}

/**
 * Before each run the event loop rests, as it does in a program whenever it waits for the network. V8 goes on with its
 * marking then; without a rest, it is left half done, and whoever runs next is slowed by it for as long as that takes.
 *
 * Otherwise the garbage collector is left alone: forced between runs, it makes V8 forget the shapes of objects that it has
 * compiled for, as long as no stream is open that has such objects, and each run begins with code that is not compiled.
 */
async function timeOf(work: () => unknown): Promise<number> {
  await setTimeout(rest)
  const start = performance.now()
  await work()
  return performance.now() - start
}

export function summaryOf(all: readonly number[]): Times {
  const sorted = [...all].sort((a, b) => a - b)
  return {
    median: quantile(sorted, 0.5),
    fastest: sorted[0] ?? Number.NaN,
    slowest: sorted.at(-1) ?? Number.NaN,
    all
  }
}

/** A quantile of numbers that are in order. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
}

/** A ratio of medians, and whether it is what it should be. */
export function verdict(ratio: number, limit: number, is: 'at most' | 'at least' = 'at most'): string {
  const isMet = is === 'at most' ? ratio <= limit : ratio >= limit
  return `${ratio.toFixed(3)} (${is} ${limit}: ${isMet ? 'met' : '**missed**'})`
}

export function spread({ fastest, slowest }: Times, unit = 1): string {
  return `${(fastest / unit).toFixed(2)} to ${(slowest / unit).toFixed(2)}`
}

export function toMarkdown({ title, notes, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `## ${title}`,
    '',
    ...notes.flatMap(note => [note, '']),
    line(columns),
    line(columns.map((_, at) => (at === 0 ? '---' : '--:'))),
    ...rows.map(line),
    ''
  ].join('\n')
}

import { tokensOf } from '../chunk/usage.js'
import type { Summary } from '../tap/summary-record.js'
import { Answer, isOfInput, type TimedChunk } from './answer.js'
import type { Input } from './input.js'
import { count, errorLine, grouped, seconds } from './words.js'

/** What a difference is. */
export interface Difference {
  readonly isSame: boolean
  readonly lines: readonly string[]
}

/** One of the two that are compared. */
type Compared = Pick<Input, 'entries' | 'hasTimes'>

/** One of the two sides. */
interface Side {
  readonly hasTimes: boolean
  readonly chunks: readonly TimedChunk[]
  readonly summary: Summary
}

/** Members that are others in each answer, whatever it says. */
const passing: ReadonlySet<string> = new Set(['id', 'created', 'created_at', 'obfuscation', 'item_id', 'p'])

/** Tells two answers apart: their chunks, text, end, usage and times. Times alone make no difference. */
export async function diff(one: Compared, other: Compared): Promise<Difference> {
  const sides: [Side, Side] = [await read(one), await read(other)]
  const differences = [chunkLines(...sides), textLines(...sides), endLines(...sides), usageLines(...sides)]
  const lines = [...differences.flatMap(({ lines }) => lines), ...timeLines(...sides)]
  return { isSame: differences.every(({ isSame }) => isSame), lines }
}

async function read({ entries, hasTimes }: Compared): Promise<Side> {
  const answer = new Answer()
  const chunks: TimedChunk[] = []
  try {
    for await (const chunk of answer.chunks(entries)) chunks.push(chunk)
  } catch (error) {
    // A failure of the answer is a part of the summary.
    if (isOfInput(error, answer)) throw error
  }
  return { chunks, summary: answer.summary(), hasTimes }
}

function chunkLines({ chunks: a }: Side, { chunks: b }: Side): Difference {
  const [ones, others] = [a.map(comparable), b.map(comparable)]
  const place = ones.findIndex((chunk, index) => chunk !== others[index])
  if (place === -1 && ones.length === others.length)
    return { isSame: true, lines: [`chunks   the same, ${count(ones.length, 'chunk')}`] }
  const first = place === -1 ? ones.length : place
  return {
    isSame: false,
    lines: [
      `chunks   ${grouped(ones.length)} and ${grouped(others.length)}, the first that differs is number ${grouped(first + 1)}`,
      ...[ones[first], others[first]].map(
        (chunk, side) => `         ${'ab'[side]}: ${shortened(chunk ?? 'none')}`
      )
    ]
  }
}

function comparable({ chunk }: TimedChunk): string {
  return JSON.stringify(chunk, (name, value) => (passing.has(name) ? undefined : value))
}

function textLines({ summary: a }: Side, { summary: b }: Side): Difference {
  const [one, other] = [a.text ?? '', b.text ?? '']
  if (one === other) return { isSame: true, lines: [`text     the same, ${count(one.length, 'character')}`] }
  let place = 0
  while (one[place] === other[place]) place++
  const from = Math.max(place - 20, 0)
  return {
    isSame: false,
    lines: [
      `text     ${grouped(one.length)} and ${grouped(other.length)} characters, they differ at number ${grouped(place + 1)}`,
      ...[one, other].map(
        (text, side) => `         ${'ab'[side]}: ${JSON.stringify(text.slice(from, place + 40))}`
      )
    ]
  }
}

function endLines({ summary: a }: Side, { summary: b }: Side): Difference {
  const [one, other] = [a, b].map(({ outcome, finishReasons, error }) => {
    const reasons = Object.values(finishReasons)
    return `${outcome}${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}${error ? `: ${errorLine(error)}` : ''}`
  })
  return pair('end', one, other)
}

function usageLines({ summary: a }: Side, { summary: b }: Side): Difference {
  const [one, other] = [a, b].map(({ usage }) => {
    if (!usage) return 'none'
    const { input, output } = tokensOf(usage)
    return `${input ?? '?'} tokens in, ${output ?? '?'} out`
  })
  return pair('usage', one, other)
}

function pair(name: string, one: string | undefined, other: string | undefined): Difference {
  const label = name.padEnd(9)
  if (one === other) return { isSame: true, lines: [`${label}the same: ${one}`] }
  return { isSame: false, lines: [`${label}a: ${one}`, `         b: ${other}`] }
}

/** Times are told only of what has any: those at which a file is read say nothing of the answer. */
function timeLines(...sides: [Side, Side]): string[] {
  if (!sides.some(({ hasTimes }) => hasTimes)) return []
  const [one, other] = sides.map(({ hasTimes, summary }) => (hasTimes ? timesOf(summary) : 'none'))
  return [`times    a: ${one}`, `         b: ${other}`]
}

function timesOf({ firstToken, total, gaps }: Summary): string {
  const times = [
    firstToken === undefined ? 'no token' : `first token ${seconds(firstToken)}`,
    `all ${seconds(total)}`
  ]
  if (gaps)
    times.push(
      `gaps ${gaps.p50.toFixed(1)} ms (p50), ${gaps.p95.toFixed(1)} ms (p95), ${seconds(gaps.max)} at most`
    )
  return times.join(', ')
}

function shortened(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

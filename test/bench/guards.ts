import type { Transform } from 'node:stream'
import {
  accessKeys,
  type Chunk,
  cardNumbers,
  emailAddresses,
  guardRepetition,
  ibans,
  moderate,
  redact,
  splitThinking,
  stage,
  stopAt
} from 'completion-streams'
import { quantile, type Table } from './measure.js'

const tokens = 20_000
const rounds = 3

/** Prose of made-up words, some with what the guards look at: digits, signs, the beginnings of tags. */
function proseOf(count: number): string[] {
  const words = ' the, answer is of 4 parts. a < b @home, in de44; sk other words follow here\n'.split(
    /(?= )/
  )
  return Array.from({ length: count }, (_, place) => {
    const word = words[(place * 7 + (place >> 3)) % words.length] ?? ''
    return place % 5 === 0 ? `${word}${(place * 2_654_435_761) % 1000}` : word
  })
}

const texts = proseOf(tokens)
const chunks = texts.map(
  content =>
    ({
      id: 'c',
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: { content }, finish_reason: null }]
    }) as object as Chunk
)

/** What stands in a pipeline and does nothing. */
const nothing = () => stage<unknown, unknown>({ transform: (item, push) => push(item) })
const approving = () => true

const guards: ReadonlyMap<string, [make: () => Transform, items: readonly (string | Chunk)[]]> = new Map<
  string,
  [() => Transform, readonly (string | Chunk)[]]
>([
  ['a stage that does nothing, on text', [nothing, texts]],
  ["`stopAt(['\\nUser:', '<end>'])`", [() => stopAt(['\nUser:', '<end>']), texts]],
  ['`redact`, a word', [() => redact([{ match: 'secret', longest: 6, replacement: '…' }]), texts]],
  [
    '`redact`, the four ready-made rules',
    [() => redact([emailAddresses, cardNumbers, ibans, accessKeys]), texts]
  ],
  ['`guardRepetition()`, on text', [() => guardRepetition(), texts]],
  ['`moderate`, a check that approves at once, on text', [() => moderate<string>(approving), texts]],
  ['a stage that does nothing, on chunks', [nothing, chunks]],
  ['`splitThinking()`', [() => splitThinking(), chunks]],
  ['`guardRepetition()`, on chunks', [() => guardRepetition<Chunk>(), chunks]],
  ['`moderate`, the same, on chunks', [() => moderate<Chunk>(approving), chunks]]
])

function lengthOf(item: string | Chunk): number {
  if (typeof item === 'string') return item.length
  // Of the chunks that are made above, and what the guards make of them.
  const { choices } = item as unknown as {
    choices: { delta: { content?: string; reasoning_content?: string } }[]
  }
  const { content, reasoning_content } = choices[0]?.delta ?? {}
  return (content ?? reasoning_content ?? '').length
}

/** Gives a guard one token after the other: how long it works at each, and how much of the text it then holds. */
async function measure(guard: Transform, items: readonly (string | Chunk)[]) {
  const times: number[] = []
  const held: number[] = []
  let ahead = 0
  guard.on('data', item => {
    ahead -= lengthOf(item)
  })
  for (const item of items) {
    ahead += lengthOf(item)
    const start = performance.now()
    await new Promise(resolve => guard.write(item, resolve))
    times.push((performance.now() - start) * 1000)
    held.push(ahead)
  }
  guard.end()
  await new Promise(resolve => guard.once('end', resolve))
  return { times, held }
}

/** What each guard adds to a token, and how much of the text it holds back. */
export async function guardDelays(): Promise<Table> {
  const rows: string[][] = []
  for (const [name, [make, items]] of guards) {
    const times: number[] = []
    let held: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const run = await measure(make(), items)
      // The first round warms up.
      if (round > 0) times.push(...run.times)
      held = run.held
    }
    times.sort((a, b) => a - b)
    held.sort((a, b) => a - b)
    rows.push([
      name,
      quantile(times, 0.5).toFixed(1),
      quantile(times, 0.99).toFixed(1),
      ...[quantile(held, 0.5), quantile(held, 0.99), held.at(-1) ?? 0].map(String)
    ])
  }
  return {
    title: 'What the guards add to a token',
    notes: [
      `${tokens.toLocaleString('en')} tokens of prose, one at a time, from memory. The time is that of the stage, from the write of a token until it takes the next; the write alone is in it, as the rows of the stage that does nothing show. What is held are the characters that have been read and not yet let go: a token waits until so many more have come.`,
      'A check takes as long as it takes; here it approves at once, so that what is held is what makes up a window.'
    ],
    columns: ['guard', 'µs a token, median', 'p99', 'characters held, median', 'p99', 'most'],
    rows
  }
}

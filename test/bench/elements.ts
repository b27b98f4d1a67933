import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { JSONParser } from '@streamparser/json'
import { toElements, toPartials } from 'completion-streams'
import { parse as riverOf } from 'jsonriver'
import { Allow, parse as parsePartial } from 'partial-json'
import { parser } from 'stream-json'
import { streamArray } from 'stream-json/streamers/stream-array.js'
import { race, spread, type Table } from './measure.js'

/** By a name that the compiler does not follow: the types of `ai` need those of the DOM, which Node has not. */
const nameOfAi: string = 'ai'
const { parsePartialJson }: { parsePartialJson(text: string): Promise<unknown> } = await import(nameOfAi)

const rounds = 5
/** As long as the deltas of a fast model's tokens, in characters. */
const deltaLength = 4

/** A list of records as models write them, as long as asked for at least. */
function listOf(length: number): string {
  const records: string[] = []
  for (let id = 0, size = 2; size < length; id++) {
    const record = JSON.stringify({
      id,
      name: `item ${id}`,
      tags: ['a', 'b'],
      note: `some "text" and \\ number ${id}`
    })
    records.push(record)
    size += record.length + 2
  }
  return `[${records.join(',\n')}]`
}

function deltasOf(text: string): string[] {
  return text.match(new RegExp(`[^]{1,${deltaLength}}`, 'g')) ?? []
}

/** Counts what comes, and keeps nothing. */
function counter(): Writable & { count: number } {
  const sink = new Writable({
    objectMode: true,
    write(_value, _encoding, callback) {
      counted.count++
      callback()
    }
  })
  const counted = Object.assign(sink, { count: 0 })
  return counted
}

/** A source that is never waited for. */
function sourceOf(deltas: readonly string[]): Readable {
  let at = 0
  return new Readable({
    objectMode: true,
    read() {
      this.push(deltas[at++] ?? null)
    }
  })
}

const elementReaders: ReadonlyMap<string, (deltas: readonly string[]) => unknown> = new Map<
  string,
  (deltas: readonly string[]) => unknown
>([
  ['`toElements()` in a pipeline', deltas => pipeline(sourceOf(deltas), toElements(), counter())],
  [
    '`@streamparser/json` alone, no stream',
    deltas => {
      const parser = new JSONParser({ paths: ['$.*'], keepStack: false })
      let count = 0
      parser.onValue = () => void count++
      for (const delta of deltas) parser.write(delta)
    }
  ],
  [
    '`stream-json`, `streamArray` in a pipeline',
    deltas => pipeline(sourceOf(deltas), parser.asStream(), streamArray.asStream(), counter())
  ]
])

/** What a list costs, element by element. */
export async function elements(): Promise<Table> {
  const deltas = deltasOf(listOf(2_000_000))
  const half = deltas.slice(0, deltas.length / 2)
  const subjects = new Map<string, () => unknown>()
  for (const [name, read] of elementReaders) subjects.set(name, () => read(deltas))
  // Cut in the middle: it fails behind all the elements of the first half.
  subjects.set('half', () => pipeline(sourceOf(half), toElements(), counter()).catch(() => {}))
  const times = await race(subjects, rounds)
  const ours = times.get('`toElements()` in a pipeline')?.median ?? Number.NaN
  return {
    title: 'Elements of a list',
    notes: [
      `2 MB of JSON in deltas of ${deltaLength} characters, from memory. The goal: at most 1.5 s, and linear. Half of the text takes ${((times.get('half')?.median ?? Number.NaN) / ours).toFixed(2)} of the time.`
    ],
    columns: ['reader', 'ms', 'fastest to slowest', 'beside toElements'],
    rows: [...elementReaders.keys()].map(name => {
      const time = times.get(name)
      if (!time) return [name]
      return [name, time.median.toFixed(0), spread(time), (time.median / ours).toFixed(2)]
    })
  }
}

const partialReaders: ReadonlyMap<string, (deltas: readonly string[]) => unknown> = new Map<
  string,
  (deltas: readonly string[]) => unknown
>([
  ['`toPartials()`, every 50 ms', deltas => pipeline(sourceOf(deltas), toPartials(), counter())],
  [
    '`toPartials({ every: 0 })`, at each delta',
    deltas => pipeline(sourceOf(deltas), toPartials({ every: 0 }), counter())
  ],
  [
    '`partial-json` at each delta',
    deltas => {
      let text = ''
      for (const delta of deltas) {
        text += delta
        parsePartial(text, Allow.ALL)
      }
    }
  ],
  [
    '`ai`, `parsePartialJson` at each delta, as its `partialOutputStream` does',
    async deltas => {
      let text = ''
      for (const delta of deltas) {
        text += delta
        await parsePartialJson(text)
      }
    }
  ],
  [
    '`jsonriver`, one object that grows (each value is the same object)',
    async deltas => {
      for await (const value of riverOf(Readable.from(deltas))) void value
    }
  ]
])

/** What an object costs that is shown as it grows. */
export async function partials(): Promise<Table> {
  const deltas = deltasOf(listOf(40_000))
  const subjects = new Map([...partialReaders].map(([name, read]) => [name, () => read(deltas)] as const))
  const times = await race(subjects, rounds)
  const ours = times.get('`toPartials()`, every 50 ms')?.median ?? Number.NaN
  return {
    title: 'An object as it grows',
    notes: [
      `40 KB of JSON in deltas of ${deltaLength} characters, from memory. Who gives a value of its own at each delta takes the square of the length; \`jsonriver\` is linear since all its values are one object, which goes on changing in the hands of its reader.`
    ],
    columns: ['reader', 'ms', 'fastest to slowest', 'beside toPartials'],
    rows: [...partialReaders.keys()].map(name => {
      const time = times.get(name)
      if (!time) return [name]
      return [name, time.median.toFixed(1), spread(time), (time.median / ours).toFixed(1)]
    })
  }
}

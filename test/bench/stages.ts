import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as library from 'completion-streams'
import { race, spread, type Table, type Times, verdict } from './measure.js'
import { sourceOf } from './peers.js'
import { workloads } from './workloads.js'

const chunks = 20_000
const rounds = 9

/** A stage that may not exist in this version, by its name, and how it is made. */
type Make = (stage: (...options: unknown[]) => NodeJS.ReadWriteStream) => NodeJS.ReadWriteStream

const ignore = () => {}

const stagesOfChunks: Readonly<Record<string, Make>> = {
  toText: stage => stage(),
  toCompletion: stage => stage(),
  toToolCalls: stage => stage(),
  tapUsage: stage => stage(ignore),
  tapSummary: stage => stage(ignore),
  tee: stage => stage(nullSink()),
  timeLimits: stage => stage({ idle: 60_000 }),
  toSSE: stage => stage(),
  toNDJSON: stage => stage()
}

const stagesOfText: Readonly<Record<string, Make>> = {
  moderate: stage => stage(() => true, { window: 100 }),
  rechunk: stage => stage({ by: 'word' })
}

/** What each stage adds to a chunk that has been parsed, beside the parse itself. */
export async function stages(): Promise<Table> {
  const [chat] = workloads(chunks)
  const payloads = chat?.payloads ?? []
  const parsed = payloads.map((payload): object => JSON.parse(payload))
  const text = parsed.map((_, at) => `word ${at}, `)
  const finish = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }

  const subjects = new Map<string, () => unknown>([
    ['`JSON.parse`', () => payloads.forEach(payload => void JSON.parse(payload))],
    ['no stage', () => pipeline(sourceOf(parsed, true), nullSink())]
  ])
  for (const [name, make, items] of [
    ...Object.entries(stagesOfChunks).map(([name, make]) => [name, make, [...parsed, finish]] as const),
    ...Object.entries(stagesOfText).map(([name, make]) => [name, make, text] as const)
  ]) {
    const stage: unknown = Reflect.get(library, name)
    // The table holds what this version has.
    if (typeof stage !== 'function') continue
    subjects.set(name, () =>
      pipeline([sourceOf(items, true), make((...options) => stage(...options)), nullSink()])
    )
  }
  if ('byChoice' in library) {
    subjects.set('byChoice', () =>
      pipeline(
        sourceOf([...parsed, finish], true),
        library.byChoice(() => nullSink())
      )
    )
  }

  const times = await race(subjects, rounds)
  const parse = times.get('`JSON.parse`') as Times
  const none = times.get('no stage') as Times
  return {
    title: 'The stages behind the parse',
    notes: [
      `Microseconds a chunk that one more stage takes, in a pipeline of ready-made chunks, over the time of the pipeline without it (${perChunk(none.median)}); the share is that of \`JSON.parse\` of the same chunk. Medians of ${rounds} rounds.`
    ],
    columns: ['stage', 'µs a chunk', 'spread', 'share of the parse'],
    rows: [...times]
      .filter(([name]) => name !== 'no stage')
      .map(([name, own]) => {
        if (own === parse) return [name, perChunk(own.median), spread(own, chunks / 1000), '']
        const added = {
          ...own,
          median: own.median - none.median,
          fastest: own.fastest - none.median,
          slowest: own.slowest - none.median
        }
        return [
          name,
          perChunk(added.median),
          spread(added, chunks / 1000),
          verdict(added.median / parse.median, 1)
        ]
      })
  }
}

function perChunk(milliseconds: number): string {
  return ((milliseconds / chunks) * 1000).toFixed(2)
}

function nullSink(): Writable {
  return new Writable({
    objectMode: true,
    write(_item, _encoding, callback) {
      callback()
    }
  })
}

import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics'
import * as library from 'completion-streams'
import { race, spread, summaryOf, type Table, type Times, verdict } from './measure.js'
import { sourceOf } from './peers.js'
import { toolCalls, workloads } from './workloads.js'

const chunks = 20_000
const rounds = 9

/** Makes a stage that may not exist in this version. */
type Make = (stage: (...options: unknown[]) => NodeJS.ReadWriteStream | NodeJS.WritableStream) => unknown

const ignore = () => {}

/** A meter of the real SDK, that a reader collects from. */
const meter = new MeterProvider({
  readers: [
    new PeriodicExportingMetricReader({
      exporter: new InMemoryMetricExporter(AggregationTemporality.DELTA),
      exportIntervalMillis: 3_600_000
    })
  ]
}).getMeter('bench')

/** What each stage is given. */
const stagesByInput: Readonly<Record<string, Readonly<Record<string, Make>>>> = {
  'text chunks': {
    toText: stage => stage(),
    toCompletion: stage => stage(),
    tapUsage: stage => stage(ignore),
    tapSummary: stage => stage(ignore),
    tapMetrics: stage => stage({ meter }),
    tee: stage => stage(nullSink()),
    timeLimits: stage => stage({ idle: 60_000 }),
    toSSE: stage => stage(),
    toNDJSON: stage => stage(),
    byChoice: stage => stage(nullSink)
  },
  'tool call chunks': { toToolCalls: stage => stage() },
  text: {
    moderate: stage => stage(() => true, { window: 100 }),
    rechunk: stage => stage({ by: 'word' })
  }
}

/** What each stage adds to a chunk that has been parsed, beside the parse itself. */
export async function stages(): Promise<Table> {
  const [chat] = workloads(chunks)
  const payloads = { 'text chunks': chat?.payloads ?? [], 'tool call chunks': toolCalls(chunks).payloads }
  const finish = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
  const items: Record<string, unknown[]> = {
    'text chunks': [...payloads['text chunks'].map(payload => JSON.parse(payload)), finish],
    'tool call chunks': [...payloads['tool call chunks'].map(payload => JSON.parse(payload)), finish],
    text: payloads['text chunks'].map((_, at) => `word ${at}, `)
  }

  const subjects = new Map<string, () => unknown>()
  for (const [input, texts] of Object.entries(payloads)) {
    subjects.set(parseOf(input), () => texts.forEach(text => void JSON.parse(text)))
  }
  for (const [input, made] of Object.entries(stagesByInput)) {
    subjects.set(input, () => pipeline(sourceOf(items[input] ?? [], true), nullSink()))
    for (const [name, make] of Object.entries(made)) {
      const stage: unknown = Reflect.get(library, name)
      // The table holds what this version has.
      if (typeof stage !== 'function') continue
      subjects.set(name, () =>
        pipeline(
          streamsOf(
            items[input] ?? [],
            make((...options) => stage(...options))
          )
        )
      )
    }
  }

  const times = await race(subjects, rounds)
  const timeOf = (name: string) => times.get(name) as Times
  const rows = Object.entries(stagesByInput).flatMap(([input, made]) => {
    const none = timeOf(input)
    const parse = timeOf(parseOf(input === 'text' ? 'text chunks' : input))
    return Object.keys(made)
      .filter(name => times.has(name))
      .map(name => {
        const added = summaryOf(timeOf(name).all.map(time => time - none.median))
        return [
          name,
          input,
          perChunk(added.median),
          spread(added, chunks / 1000),
          perChunk(parse.median),
          verdict(added.median / parse.median, 1)
        ]
      })
  })
  return {
    title: 'The stages behind the parse',
    notes: [
      `Microseconds a chunk that one more stage takes, in a pipeline of chunks that are parsed already, over the time of the pipeline without it; and its share of what \`JSON.parse\` takes for the same chunk. Medians of ${rounds} rounds.`
    ],
    columns: ['stage', 'input', 'µs a chunk', 'spread', '`JSON.parse`', 'share'],
    rows
  }
}

function parseOf(input: string): string {
  return `JSON.parse of ${input}`
}

/** A sink of the library's is the end of its pipeline. */
function streamsOf(items: unknown[], stage: unknown): NodeJS.ReadWriteStream[] {
  const line = [sourceOf(items, true), stage]
  if (stage instanceof Object && 'pipe' in stage && 'readable' in stage && stage.readable)
    line.push(nullSink())
  // `pipeline` looks at what it is given.
  return line as NodeJS.ReadWriteStream[]
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

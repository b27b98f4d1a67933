import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toChunks, toEvents } from 'completion-streams'
import { race, type Table, type Times, verdict } from './measure.js'
import { sourceOf } from './peers.js'
import { reads, workload, workloads } from './workloads.js'

const size = 8_000_000
const rounds = 7
/** Bytes of a write. */
const writes = [65_536, 16_384]

/** What says nothing, as servers send it to keep a connection alive. */
const idleLines: Readonly<Record<string, (at: number) => string>> = {
  LF: () => '\n',
  CRLF: () => '\r\n',
  '`:`': () => ':\n\n',
  '`: keep-alive`': () => ': keep-alive\n\n',
  'comments, all different': at => `: ping ${1_759_436_810 + at}\n\n`
}

const stages = { toEvents: () => toEvents(), toChunks: () => toChunks() }

/** Blank lines and comments, against as many bytes of events. */
export async function idle(): Promise<Table> {
  const rows: string[][] = []
  for (const [name, make] of Object.entries(stages)) {
    for (const isText of [false, true]) {
      for (const write of writes) {
        const piecesOf = (text: string) => {
          const pieces = reads([Buffer.from(text)], write)
          return isText ? pieces.map(bytes => Buffer.from(bytes).toString()) : pieces
        }
        const subjects = new Map<string, () => unknown>()
        for (const [input, text] of inputs()) {
          const pieces = piecesOf(text)
          subjects.set(input, () => pipeline(sourceOf(pieces, true), make(), nullSink()))
        }
        const times = await race(subjects, rounds)
        const events = (times.get('events') as Times).median
        rows.push([
          `${name}, ${isText ? 'text' : 'bytes'}, ${write / 1024} KiB`,
          speedOf(events),
          ...Object.keys(idleLines).map(line => speedOf((times.get(line) as Times).median)),
          verdict(
            events / Math.max(...Object.keys(idleLines).map(line => (times.get(line) as Times).median)),
            0.5,
            'at least'
          )
        ])
      }
    }
  }
  return {
    title: 'Lines that say nothing',
    notes: [
      `Megabytes a second of chat chunks, and of blank lines and comments between the first chunk and the last; medians of ${rounds} rounds. The last column is the slowest of these against the events.`
    ],
    columns: ['stage, input, per write', 'events', ...Object.keys(idleLines), 'share'],
    rows
  }
}

/** Each is a whole completion of about the same size. */
function* inputs(): Generator<[string, string]> {
  const [chat] = workloads(Math.ceil(size / 330))
  yield ['events', Buffer.concat(chat?.events ?? []).toString()]
  const finish = { choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }] }
  const [event, end] = workload('finish', [finish], ['data: [DONE]\n\n']).events
  for (const [name, line] of Object.entries(idleLines)) {
    let text = ''
    for (let at = 0; text.length < size; at++) text += line(at)
    yield [name, `${event}${text}${end}`]
  }
}

function speedOf(milliseconds: number): string {
  return (size / 1000 / milliseconds).toFixed(0)
}

function nullSink(): Writable {
  return new Writable({
    objectMode: true,
    write(_item, _encoding, callback) {
      callback()
    }
  })
}

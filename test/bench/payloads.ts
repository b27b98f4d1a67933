import { PayloadParser } from '#lib/decode/json/payload.js'
import { race, spread, type Table, type Times, verdict } from './measure.js'
import { workloads } from './workloads.js'

const chunks = 20_000
const rounds = 15

/** The parser of payloads alone, against `JSON.parse`. */
export async function payloads(): Promise<Table> {
  const rows: string[][] = []
  for (const { name, payloads } of workloads(chunks)) {
    // As they come from a read: views of a longer text.
    const texts = payloads.map(payload => Buffer.from(`data: ${payload}`).toString().slice(6))
    const parseAll = (parse: (payload: string) => unknown) => {
      for (const text of texts) parse(text)
    }
    const times = await race(
      new Map([
        ['JSON.parse', () => parseAll(text => JSON.parse(text))],
        [
          'templates',
          () => {
            const parser = new PayloadParser()
            parseAll(text => parser.parse(text))
          }
        ]
      ]),
      rounds
    )
    const plain = times.get('JSON.parse') as Times
    const own = times.get('templates') as Times
    const ratio = own.median / plain.median
    rows.push([
      name,
      ((plain.median / chunks) * 1000).toFixed(2),
      ((own.median / chunks) * 1000).toFixed(2),
      spread(own, chunks / 1000),
      name === 'no two alike' ? verdict(ratio, 1.05) : ratio.toFixed(2)
    ])
  }
  return {
    title: 'One payload: templates against JSON.parse',
    notes: [`Microseconds a payload; medians of ${rounds} rounds.`],
    columns: ['stream', '`JSON.parse`', 'templates', 'spread', 'ratio'],
    rows
  }
}

import { type Generation, type Instrument, instruments, type Measured } from './genai-conventions.js'
import type { AttributeValue } from './operation.js'

/** What of an OpenTelemetry meter is called. By what it can do, so that any version of its API fits. */
export interface MeterLike {
  /** Makes what durations and counts of tokens are recorded in. */
  createHistogram(name: string, options?: InstrumentOptions): HistogramLike
  /** Makes what is counted up. */
  createCounter(name: string, options?: InstrumentOptions): CounterLike
}

interface InstrumentOptions {
  unit?: string
  description?: string
  advice?: { explicitBucketBoundaries?: number[] }
}

interface HistogramLike {
  record(value: number, attributes?: Record<string, never>): void
}

interface CounterLike {
  add(value: number, attributes?: Record<string, never>): void
}

type Attributes = Readonly<Record<string, AttributeValue>>

/** Takes a value under each name that it has. */
export type Measure = (what: Measured, value: number, attributes: Attributes) => void

/** The instruments that each meter has made already: to make one again for each stream would cost more than to use it. */
const made = new WeakMap<MeterLike, Map<string, Measure>>()

/** What takes the measured values, by the names of these generations. */
export function measureWith(meter: MeterLike, generations: readonly Generation[]): Measure {
  const known = made.get(meter) ?? new Map<string, Measure>()
  made.set(meter, known)
  const key = generations.join()
  const measure = known.get(key) ?? make(meter, generations)
  known.set(key, measure)
  return measure
}

function make(meter: MeterLike, generations: readonly Generation[]): Measure {
  const takers = new Map<Measured, ((value: number, attributes: Attributes) => void)[]>()
  for (const generation of generations) {
    const byName = new Map<string, ReturnType<typeof takerOf>>()
    for (const [what, instrument] of Object.entries(instruments[generation]) as [Measured, Instrument][]) {
      const take = byName.get(instrument.name) ?? takerOf(meter, instrument)
      byName.set(instrument.name, take)
      const { attributes: own } = instrument
      const list = takers.get(what) ?? []
      list.push((value, attributes) => take(value, own ? { ...attributes, ...own } : attributes))
      takers.set(what, list)
    }
  }
  return (what, value, attributes) => {
    for (const take of takers.get(what) ?? []) take(value, attributes)
  }
}

function takerOf(
  meter: MeterLike,
  { name, kind, unit, description, buckets }: Instrument
): (value: number, attributes: Attributes) => void {
  const advice = buckets && { explicitBucketBoundaries: [...buckets] }
  const options = { unit, description, ...(advice && { advice }) }
  // The values of attributes are those that OpenTelemetry has; it names lists of text otherwise.
  if (kind === 'counter') {
    const counter = meter.createCounter(name, options)
    return (value, attributes) => counter.add(value, attributes as never)
  }
  const histogram = meter.createHistogram(name, options)
  return (value, attributes) => histogram.record(value, attributes as never)
}

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { context, type Span, trace } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor
} from '@opentelemetry/sdk-trace-base'
import { expect } from 'chai'
import {
  compose,
  type MetricsOptions,
  stopAt,
  tapMetrics,
  timeLimits,
  toChunks,
  toText
} from 'completion-streams'
import { type Faults, script } from 'completion-streams/testing'
import { ask, closed, questions, run, serve } from '../answers.js'
import { allowNoComplaints } from '../helpers.js'

const counting = script('one two three')
const params = { ...questions.chat, temperature: 0.5, max_completion_tokens: 7, stop: 'END', n: 1 }
const attributes = { 'server.address': 'api.example.com' }

interface Point {
  value: number | Histogram
  attributes: Record<string, unknown>
}

/** What the real SDK has of the streams that are tapped: its metrics by name, and its spans. */
class Telemetry {
  readonly #metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  readonly #spanExporter = new InMemorySpanExporter()
  readonly #reader = new PeriodicExportingMetricReader({
    exporter: this.#metricExporter,
    exportIntervalMillis: 3_600_000
  })
  readonly #meters = new MeterProvider({ readers: [this.#reader] })
  readonly meter = this.#meters.getMeter('test')
  readonly tracer = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(this.#spanExporter)]
  }).getTracer('test')

  async metrics(): Promise<Map<string, { unit: string; points: Point[] }>> {
    await this.#reader.forceFlush()
    const [newest] = this.#metricExporter.getMetrics().slice(-1)
    const all = newest?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
    return new Map(
      all.map(({ descriptor: { name, unit }, dataPoints }) => [name, { unit, points: dataPoints as Point[] }])
    )
  }

  get spans(): ReadableSpan[] {
    return this.#spanExporter.getFinishedSpans()
  }

  close(): Promise<void> {
    return this.#meters.shutdown()
  }
}

/** `SpanStatusCode.ERROR` */
const error = 2

describe('tapMetrics', () => {
  allowNoComplaints()

  let telemetry: Telemetry

  beforeEach(() => {
    telemetry = new Telemetry()
  })
  afterEach(() => telemetry.close())

  /** Reads an answer with these faults to its end, tapped. */
  async function tapped(faults: Faults = {}, options: MetricsOptions = {}) {
    await using server = await serve({ script: counting, faults })
    const { meter, tracer } = telemetry
    const tap = tapMetrics({ meter, tracer, params, attributes, ...options })
    const limits = timeLimits<Uint8Array>({ first: 60_000, idle: 100 })
    return await run<string>(ask(server), limits, toChunks(), tap, toText())
  }

  it('reports the metrics of the names that most tools read, with their buckets', async () => {
    await tapped()
    const metrics = await telemetry.metrics()
    const shared = {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.system': 'openai',
      'gen_ai.request.model': 'm',
      'gen_ai.response.model': 'm',
      'server.address': 'api.example.com'
    }
    expect([...metrics.keys()]).to.have.members([
      'gen_ai.client.operation.duration',
      'gen_ai.client.operation.time_to_first_chunk',
      'gen_ai.client.operation.time_per_output_chunk',
      'gen_ai.client.token.usage'
    ])
    for (const { name, count } of [
      { name: 'duration', count: 1 },
      { name: 'time_to_first_chunk', count: 1 },
      { name: 'time_per_output_chunk', count: 5 }
    ]) {
      const { unit, points } = metrics.get(`gen_ai.client.operation.${name}`) ?? { unit: '', points: [] }
      expect({ unit, points: points.length }).to.deep.equal({ unit: 's', points: 1 })
      const [point] = points as [Point & { value: Histogram }]
      expect(point.attributes).to.deep.equal(shared)
      expect(point.value.count, name).to.equal(count)
      expect(point.value.buckets.boundaries).to.include.members([0.01, 1.28, 81.92]).and.have.lengthOf(14)
    }
    const usage = metrics.get('gen_ai.client.token.usage')
    expect(usage?.unit).to.equal('{token}')
    const counts = usage?.points.map(({ attributes, value }) => [
      attributes['gen_ai.token.type'],
      (value as Histogram).sum
    ])
    expect(counts).to.deep.equal([
      ['input', 2],
      ['output', 3]
    ])
    expect(usage?.points[0]?.value)
      .to.have.nested.property('buckets.boundaries')
      .that.includes.members([1, 4, 67108864])
  })

  it('reports the newest names, with counters of tokens', async () => {
    await tapped({}, { names: 'latest' })
    const metrics = await telemetry.metrics()
    const prefix = 'gen_ai.client.inference'
    expect([...metrics.keys()]).to.have.members([
      `${prefix}.duration`,
      `${prefix}.time_to_first_chunk`,
      `${prefix}.time_per_output_chunk`,
      `${prefix}.operation.input_tokens`,
      `${prefix}.operation.output_tokens`,
      `${prefix}.usage.input_tokens`,
      `${prefix}.usage.output_tokens`
    ])
    const [used] = metrics.get(`${prefix}.usage.output_tokens`)?.points ?? []
    expect(used).to.deep.include({ value: 3 })
    expect(used?.attributes)
      .to.include({ 'gen_ai.token.modality': 'unknown' })
      .and.not.have.property('gen_ai.system')
  })

  it('reports both, each stream once under each name', async () => {
    await tapped({}, { names: 'both' })
    await tapped({}, { names: 'both' })
    const metrics = await telemetry.metrics()
    for (const name of ['gen_ai.client.operation.duration', 'gen_ai.client.inference.duration'])
      expect(metrics.get(name)?.points.map(({ value }) => (value as Histogram).count)).to.deep.equal([2])
  })

  it('reports a span with the attributes of request and response', async () => {
    await tapped()
    const [span, ...others] = telemetry.spans
    expect(others).to.deep.equal([])
    expect(span).to.include({ name: 'chat m', kind: 2 })
    expect(span?.status).to.deep.equal({ code: 0 })
    const { 'gen_ai.response.time_to_first_chunk': time, ...facts } = span?.attributes ?? {}
    expect(time).to.be.a('number')
    expect(facts).to.deep.equal({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.system': 'openai',
      'gen_ai.request.model': 'm',
      'gen_ai.request.stream': true,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.request.max_tokens': 7,
      'gen_ai.request.stop_sequences': ['END'],
      'gen_ai.response.id': 'chatcmpl-scripted',
      'gen_ai.response.model': 'm',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 2,
      'gen_ai.usage.output_tokens': 3,
      'server.address': 'api.example.com'
    })
  })

  it('begins the span in the context that is active when it is piped', async () => {
    const started: (Span | undefined)[] = []
    const tracer = {
      startSpan(...given: Parameters<typeof telemetry.tracer.startSpan>) {
        started.push(trace.getSpan(context.active()))
        return telemetry.tracer.startSpan(...given)
      }
    }
    await tapped({}, { tracer })
    expect(started).to.have.lengthOf(1)
  })

  describe('reports exactly once, with the kind of failure', () => {
    for (const { faults, type } of [
      { faults: { cutAfter: { events: 3 } }, type: 'CS_ERR_TRUNCATED' },
      { faults: { stallAfter: { events: 3 } }, type: 'CS_ERR_STALLED' },
      { faults: { errorAfter: { events: 3 } }, type: 'CS_ERR_PROVIDER' },
      { faults: { status: 429 }, type: '429' }
    ] satisfies { faults: Faults; type: string }[]) {
      it(`${type} for ${JSON.stringify(faults)}`, async () => {
        const { error } = await tapped(faults)
        expect(error).to.be.instanceOf(Error)
        const points = (await telemetry.metrics()).get('gen_ai.client.operation.duration')?.points ?? []
        expect(points.map(({ value }) => (value as Histogram).count)).to.deep.equal([1])
        expect(points[0]?.attributes).to.include({ 'error.type': type })
        const [span, ...others] = telemetry.spans
        expect(others).to.deep.equal([])
        expect(span?.attributes).to.deep.include({
          'error.type': type,
          'gen_ai.response.finish_reasons': ['error']
        })
        expect(span?.status.code).to.equal(2)
      })
    }

    it('aborted when the reader leaves, which is no error of the span', async () => {
      const { meter, tracer } = telemetry
      const tap = tapMetrics({ meter, tracer })
      await using server = await serve({ script: counting, faults: { stallAfter: { events: 3 } } })
      for await (const _chunk of compose(ask(server), toChunks(), tap)) break
      await closed(tap)
      expect(
        telemetry.spans.map(({ status, attributes }) => [status.code, attributes['error.type']])
      ).to.deep.equal([[0, 'aborted']])
    })

    it('nothing where a stage behind wants no more', async () => {
      await using server = await serve({ script: counting })
      const { meter, tracer } = telemetry
      await run(ask(server), toChunks(), tapMetrics({ meter, tracer, params }), toText(), stopAt(['two']))
      expect(telemetry.spans[0]?.attributes).to.not.have.property('error.type')
    })

    it('nothing of a message that is not ours', async () => {
      const { meter, tracer } = telemetry
      const tap = tapMetrics({ meter, tracer })
      const failing = async function* () {
        yield* []
        throw new TypeError('the key sk-123 is wrong')
      }
      await pipeline(failing, tap).catch(() => {})
      expect(telemetry.spans[0]?.status).to.deep.equal({ code: error, message: 'TypeError' })
    })
  })

  it('reports content only when asked', async () => {
    await tapped()
    await tapped({}, { content: true })
    const [without, with_] = telemetry.spans
    expect(JSON.stringify(without?.attributes)).to.not.match(/Hello|one two/)
    expect(JSON.parse(String(with_?.attributes['gen_ai.input.messages']))).to.deep.equal([
      { role: 'user', parts: [{ type: 'text', content: 'Hello?' }] }
    ])
    expect(JSON.parse(String(with_?.attributes['gen_ai.output.messages']))).to.deep.equal([
      { role: 'assistant', parts: [{ type: 'text', content: 'one two three' }], finish_reason: 'stop' }
    ])
    expect(JSON.stringify([...(await telemetry.metrics())])).to.not.match(/Hello|one two/)
  })

  it('is understood by an OTLP collector', async () => {
    const received: Record<string, unknown> = {}
    const collector = createServer(async (request, response) => {
      received[request.url ?? ''] = await json(request)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    await once(collector.listen(0, '127.0.0.1'), 'listening')
    const { port } = collector.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/v1`
    const reader = new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${url}/metrics` }),
      exportIntervalMillis: 3_600_000
    })
    const meters = new MeterProvider({ readers: [reader] })
    const tracers = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${url}/traces` }))]
    })
    try {
      await tapped({}, { meter: meters.getMeter('test'), tracer: tracers.getTracer('test') })
      await Promise.all([meters.shutdown(), tracers.shutdown()])
    } finally {
      collector.close()
    }
    // What OTLP is as JSON, is written in its own definition; here it is read where it says what was measured.
    const metrics = JSON.stringify(received['/v1/metrics'])
    expect(metrics).to.match(/"name":"gen_ai\.client\.operation\.duration".*"unit":"s"/)
    expect(metrics).to.match(/"explicitBounds":\[0\.01,0\.02,.*81\.92\]/)
    expect(metrics).to.include('{"key":"gen_ai.token.type","value":{"stringValue":"input"}}')
    const spans = JSON.stringify(received['/v1/traces'])
    expect(spans).to.include('"name":"chat m","kind":3')
    expect(spans).to.include('{"key":"gen_ai.usage.output_tokens","value":{"intValue":3}}')
    expect(spans).to.include(
      '"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}'
    )
  })

  it('names a legacy completion by its parameters', async () => {
    await tapped({}, { params: questions.completions })
    expect(telemetry.spans[0]?.name).to.equal('text_completion m')
  })

  const meter = { createHistogram: () => ({ record() {} }), createCounter: () => ({ add() {} }) }
  const wrong: Record<string, () => unknown> = {
    // @ts-expect-error: nothing to report to
    'no options': () => tapMetrics(),
    'neither meter nor tracer': () => tapMetrics({}),
    // @ts-expect-error: no meter
    'a meter that is none': () => tapMetrics({ meter: {} }),
    // @ts-expect-error: no tracer
    'a tracer that is none': () => tapMetrics({ tracer: 1 }),
    // @ts-expect-error: no such names
    "names: 'old'": () => tapMetrics({ meter, names: 'old' }),
    // @ts-expect-error: neither true nor false
    'content: 1': () => tapMetrics({ meter, content: 1 })
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { expect } from 'chai'
import { tapMetrics, toChunks } from 'completion-streams'
import { ask, questions, run, serve } from '../answers.js'

const file = join(import.meta.dirname, '../../../examples/observability/grafana-dashboard.json')

describe('the dashboard for Grafana', () => {
  it('asks for metrics and labels that are exported', async () => {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    const meters = new MeterProvider({ readers: [exporter] })
    const meter = meters.getMeter('test')
    for (const faults of [{}, { status: 429 }]) {
      await using server = await serve({ faults })
      await run(ask(server), toChunks(), tapMetrics({ meter, params: questions.chat }))
    }
    const endpoint = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
    await once(endpoint.listen(0, '127.0.0.1'), 'listening')
    const { port } = endpoint.address() as AddressInfo
    const exported = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    endpoint.close()
    await meters.shutdown()

    const names = [...new Set(exported.match(/^\w+(?=\{)/gm))]
    const labels = [...new Set(exported.match(/\w+(?==")/g))]
    const dashboard = JSON.parse(await readFile(file, 'utf8'))
    const expressions: string[] = dashboard.panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
      targets.map(({ expr }) => expr)
    )
    expect(expressions).to.have.lengthOf.at.least(10)
    for (const expression of [
      ...expressions,
      ...dashboard.templating.list.map(({ query }: never) => JSON.stringify(query))
    ]) {
      for (const [, pattern] of expression.matchAll(/__name__=~\\?"([^"\\]+)/g))
        expect(
          names.some(name => new RegExp(`^(?:${pattern})$`).test(name)),
          pattern
        ).to.equal(true)
      for (const [, label] of expression.matchAll(
        /\b(gen_ai_(?:provider|request|token)\w*|error_type)\b(?=!?[=~)])/g
      ))
        expect(labels, expression).to.include(label)
      const opened = expression.replace(/[^(){}[\]]/g, '')
      expect(opened.match(/[({[]/g)?.length, expression).to.equal(opened.match(/[)}\]]/g)?.length)
    }
  })
})

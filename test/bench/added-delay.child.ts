import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dice } from './workloads.js'

const [tokensPerSecond, seconds] = process.argv.slice(2).map(Number) as [number, number]
const roll = dice(3)

/** A chunk that carries the time of its writing, on the clock that all processes of a machine share. */
function chunk(): string {
  const content = process.hrtime.bigint()
  return `data: {"id":"chatcmpl-CMKB0u5q9WXh4O7ndt9D07U3Rs7Sh","object":"chat.completion.chunk","created":1759436810,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_cbf1785567","choices":[{"index":0,"delta":{"content":"${content}"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`
}

const server = createServer((_request, response) => {
  const period = 1000 / tokensPerSecond
  const count = tokensPerSecond * seconds
  // The streams do not tick together.
  const start = performance.now() + roll() * period
  let sent = 0
  // By the clock: an interval is late by a little each time, and never makes up for it.
  const tick = () => {
    for (; sent < count && performance.now() >= start + sent * period; sent++) response.write(chunk())
    if (sent === count) response.end('data: [DONE]\n\n')
    else setTimeout(tick, start + sent * period - performance.now())
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
  tick()
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))

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
  let left = tokensPerSecond * seconds
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
  // The streams do not tick together.
  setTimeout(() => {
    const timer = setInterval(() => {
      if (left-- > 0) return response.write(chunk())
      clearInterval(timer)
      response.end('data: [DONE]\n\n')
    }, period)
  }, roll() * period)
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))

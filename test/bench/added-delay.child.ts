import { type AddressInfo, createServer, type Socket } from 'node:net'
import { dice } from './workloads.js'

const [tokensPerSecond, seconds] = process.argv.slice(2).map(Number) as [number, number]
const roll = dice(3)
const period = 1000 / tokensPerSecond
const count = tokensPerSecond * seconds
/** Milliseconds between two looks at what is due. */
const tick = 1

interface Stream {
  readonly socket: Socket
  due: number
  sent: number
}

const streams = new Set<Stream>()

const before =
  'data: {"id":"chatcmpl-CMKB0u5q9WXh4O7ndt9D07U3Rs7Sh","object":"chat.completion.chunk","created":1759436810,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_cbf1785567","choices":[{"index":0,"delta":{"content":"'
const behind = '"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'

/** Sends to each stream the tokens that are due, each in a write of its own, with the time of its writing on the clock that all processes of a machine share. */
function send(): void {
  setTimeout(send, tick)
  for (const stream of streams) {
    const { socket } = stream
    for (; stream.sent < count && stream.due <= performance.now(); stream.due += period) {
      socket.write(before + process.hrtime.bigint() + behind, 'latin1')
      stream.sent++
    }
    if (stream.sent < count) continue
    streams.delete(stream)
    socket.end('data: [DONE]\n\n')
  }
}

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {})
  // The streams do not tick together.
  streams.add({ socket, due: performance.now() + roll() * period, sent: 0 })
})
send()
server.listen(0, '127.0.0.1', 1024, () => process.send?.((server.address() as AddressInfo).port))

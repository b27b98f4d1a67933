/**
 * A process to be killed. With a number of bytes it is a provider, which sends so much of the answer and waits; with `--to` and a
 * port it is a TCP proxy to the server there. It prints the port that it listens on.
 */
import { type AddressInfo, connect, createServer } from 'node:net'
import { body } from './answer.js'

const [length, port] = process.argv.slice(2)

const server = createServer(socket => {
  socket.on('error', () => {})
  if (length === '--to') {
    const behind = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    socket.pipe(behind).pipe(socket)
    return
  }
  socket.once('data', () => {
    const beginning = body.subarray(0, Number(length))
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n')
    socket.write(Buffer.concat([Buffer.from(`${beginning.length.toString(16)}\r\n`), beginning]))
    socket.write('\r\n')
  })
}).listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))

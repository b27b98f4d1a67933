/**
 * A process to be killed. Without a port it is a provider, which sends the beginning of an answer and waits; with one it is a TCP
 * proxy to the server there. It prints the port that it listens on.
 */
import { type AddressInfo, connect, createServer } from 'node:net'

const [beginning = '', port] = process.argv.slice(2)

const server = createServer(socket => {
  socket.on('error', () => {})
  if (port) {
    const behind = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    socket.pipe(behind).pipe(socket)
    return
  }
  socket.once('data', () => {
    const bytes = Buffer.from(beginning)
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n')
    socket.write(`${bytes.length.toString(16)}\r\n${beginning}\r\n`)
  })
}).listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))

/**
 * A chat whose answers outlive the process that sends them: this process asks the model and publishes the answer in Redis, two
 * relays of their own read it from there and send it to the page. A button kills the relay that serves the page, and the answer
 * goes on from the other.
 *
 * REDIS_URL says where Redis is; without it, one is started here, if redis-server is installed.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, respond, splitThinking, toChunks } from 'completion-streams'
import { follow, publish, stop } from 'completion-streams/redis'
import OpenAI from 'openai'
import { createClient } from 'redis'

const folder = join(import.meta.dirname, '../../examples')
const files: Record<string, [path: string, type: string]> = {
  '': ['chat/index.html', 'text/html; charset=utf-8'],
  'chat.css': ['chat/chat.css', 'text/css; charset=utf-8'],
  'chat.js': ['chat/chat.js', 'text/javascript; charset=utf-8'],
  'chat-ask.js': ['chat/ask.js', 'text/javascript; charset=utf-8'],
  'ask.js': ['resume/ask.js', 'text/javascript; charset=utf-8']
}

// A relay ends with the process that started it, also if that ends while the relay starts.
if (process.env.RELAY) {
  process.on('disconnect', () => process.exit())
  if (!process.connected) process.exit()
}
const url = process.env.REDIS_URL ?? (await startRedis())
const redis = createClient({ url })
redis.on('error', error => console.error('redis:', error.message))
await redis.connect()
if (process.env.RELAY) await relay(process.env.RELAY)
else await front()

/** Sends an answer to whoever asks for it, from behind the last event that came, or stops it. It keeps nothing. */
async function relay(name: string): Promise<void> {
  const server = await listen(async (incoming, outgoing) => {
    const id = (incoming.url ?? '').slice(1)
    const after = incoming.headers['last-event-id'] as string | undefined
    outgoing.setHeader('x-relay', name)
    if (incoming.method === 'DELETE') return void outgoing.end(String(await stop(redis, id)))
    await pipeline(follow(redis, id, { after, first: 5000 }), respond(outgoing, { heartbeat: 15_000 }))
  }, 0)
  process.send?.(portOf(server))
  await once(server, 'close')
}

/** Serves the page, asks the model, and stands before the relays as a load balancer does. */
async function front(): Promise<void> {
  const client = new OpenAI()
  const model = process.env.OPENAI_MODEL ?? 'gpt-4o-mini'
  const manner = {
    role: 'system' as const,
    content: 'You are in a chat. The page shows plain text, no markup.'
  }
  const relays = new Map<string, { child: ChildProcess; port: number }>()
  const env = { ...process.env, REDIS_URL: url }
  const startRelay = async (name: string) => {
    const child = fork(process.argv[1] ?? '', process.argv.slice(2), { env: { ...env, RELAY: name } })
    child.on('exit', () => {
      relays.delete(name)
      console.log(`${name} is gone, and is started again`)
      void startRelay(name)
    })
    const [port] = await once(child, 'message')
    relays.set(name, { child, port })
  }
  await Promise.all(['relay A', 'relay B'].map(startRelay))

  const server = await listen(
    async (incoming, outgoing) => {
      const path = (incoming.url ?? '').slice(1)
      const [, id] = /^answers\/([\w-]+)$/.exec(path) ?? []
      if (files[path]) {
        const [file, type] = files[path]
        outgoing.setHeader('content-type', type)
        outgoing.setHeader('content-security-policy', "default-src 'self'; img-src data:")
        outgoing.end(await readFile(join(folder, file)))
      } else if (path === 'ask') {
        const { messages } = (await json(incoming)) as { messages: OpenAI.ChatCompletionMessageParam[] }
        const answer = randomUUID()
        const asked = requestCompletion(client, { model, messages: [manner, ...messages] })
        // It goes on whoever reads it. What fails here, each of the readers is told.
        pipeline(asked, toChunks(), splitThinking(), publish(redis, answer)).catch(({ message }) =>
          console.error(message)
        )
        outgoing.end(JSON.stringify({ id: answer }))
      } else if (path === 'kill') {
        relays.get(await text(incoming))?.child.kill('SIGKILL')
        outgoing.end()
      } else if (id) await forward(id, incoming, outgoing)
      else outgoing.writeHead(404).end()
    },
    Number(process.env.PORT ?? 0)
  )
  console.log(`http://127.0.0.1:${portOf(server)}`)
  await once(server, 'close')

  /** To any relay that is there; what breaks off, the page asks for again. */
  async function forward(id: string, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const [first] = relays.values()
    const { method, headers } = incoming
    if (!first) return void outgoing.writeHead(503).end()
    const onward = request({ port: first.port, path: `/${id}`, method, headers }).end()
    const [answer] = (await once(onward, 'response')) as [IncomingMessage]
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, outgoing)
  }
}

async function listen(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>,
  port: number
): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(error => {
      if (!outgoing.headersSent) outgoing.writeHead(502).end()
      // A reader that leaves, and a relay that is killed, are no failures of ours.
      if (!['AbortError', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET'].includes(error.code ?? error.name))
        console.error(error.message)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** Starts a Redis that keeps nothing on disk, and ends with this process. */
async function startRedis(): Promise<string> {
  const free = createTcpServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  free.close()
  await once(free, 'close')
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''])
  child.on('error', () => {
    console.error('install redis-server, or set REDIS_URL')
    process.exit(1)
  })
  process.on('exit', () => child.kill())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit())
  const log = child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })
  for await (const line of log) if (line.includes('Ready to accept')) break
  child.stdout.resume()
  return `redis://127.0.0.1:${port}`
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RedisClient } from 'completion-streams/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'

/** Undefined where Redis is not installed: tests that need it are skipped then. */
export const redisProgram: string | undefined = [
  '/usr/bin/redis-server',
  '/usr/local/bin/redis-server',
  '/opt/homebrew/bin/redis-server'
].find(existsSync)

/** A Redis of one's own, on a free port of loopback, with its data in a folder of its own. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Ends the process without a word to it (SIGKILL). */
  kill(): Promise<void>
  /** Starts it again, with the data it has written. */
  start(): Promise<void>
  /** Has the process stand still, or go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
  /** Ends it, and takes its folder away. */
  stop(): Promise<void>
}

/** Starts Redis; with `appendOnly` it keeps each command that it has answered, over a SIGKILL too. */
export async function startRedis({ appendOnly = false } = {}): Promise<RedisServer> {
  if (!redisProgram) throw new Error('redis-server is not installed')
  const program = redisProgram
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  const port = await freePort()
  let running: ChildProcess | undefined

  async function start(): Promise<void> {
    const options = {
      port,
      bind: '127.0.0.1',
      dir: folder,
      save: '',
      appendonly: appendOnly ? 'yes' : 'no',
      // By default a command may be answered up to two seconds before it is in the file, while the disk is slow.
      appendfsync: 'always'
    }
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    running = child
    let log = ''
    for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
      log += text
      if (log.includes('Ready to accept connections')) break
    }
    if (!log.includes('Ready to accept connections')) throw new Error(`Redis did not start: ${log}`)
    child.stdout.resume()
  }

  async function kill(): Promise<void> {
    const child = running
    running = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async function stop(): Promise<void> {
    await kill()
    await rm(folder, { recursive: true, force: true })
  }

  await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill,
    start,
    signal: name => void running?.kill(name),
    stop,
    [Symbol.asyncDispose]: stop
  }
}

/** Which package a client is of. */
export type ClientName = 'redis' | 'ioredis'

export const clientNames: readonly ClientName[] = ['redis', 'ioredis']

/** A client of either package, as its users make it. */
export interface TestClient {
  readonly redis: RedisClient
  /** Sends a command, by its words. */
  command(name: string, ...words: string[]): Promise<unknown>
  /** Goes on in another database, by its number. */
  select(database: number): Promise<unknown>
  close(): void
}

/** A client, as a user of Redis if one is named (`name:password`). */
export async function clientFor(name: ClientName, port: number, user?: string): Promise<TestClient> {
  const url = `redis://${user ? `${user}@` : ''}127.0.0.1:${port}`
  if (name === 'ioredis') {
    const redis = new Redis(url)
    redis.on('error', () => {})
    return {
      redis,
      command: (word, ...words) => redis.call(word, ...words),
      select: database => redis.select(database),
      close: () => redis.disconnect()
    }
  }
  const redis = createClient({ url, socket: { reconnectStrategy: 50 } })
  redis.on('error', () => {})
  await redis.connect()
  return {
    redis,
    command: (...words) => redis.sendCommand(words),
    select: database => redis.select(database),
    close: () => redis.destroy()
  }
}

/** A port below those from which connections go out, of which any may take one that was free a moment ago. */
export async function freePort(): Promise<number> {
  const port = 15_000 + Math.floor(Math.random() * 15_000)
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return freePort()
  }
  server.close()
  await once(server, 'close')
  return port
}

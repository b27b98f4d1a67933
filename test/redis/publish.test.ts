import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  type Chunk,
  CompletionError,
  compose,
  fromResponse,
  isRetryable,
  readText,
  requestCompletion,
  respond,
  stopAt,
  toChunks,
  toEvents,
  toSSE,
  toText
} from 'completion-streams'
import { follow, list, type PublishOptions, publish, stop } from 'completion-streams/redis'
import { lastId } from '#lib/redis/log.js'
import { clientOf, completion, finishEvent, question, serve, textEvent, turns, words } from '../helpers.js'
import {
  clientFor,
  clientNames,
  type RedisServer,
  redisProgram,
  startRedis,
  type TestClient
} from '../redis-server.js'
import { readAll } from './answers.js'
import { expectToPass } from './passing.js'

function joined(items: readonly unknown[]): string {
  return Buffer.concat(items.map(item => Buffer.from(item as Uint8Array))).toString()
}

/** A source that a test feeds by hand. */
function fed(): Readable {
  return new Readable({ objectMode: true, read() {} })
}

const chunks: Chunk[] = words(40).map(
  content =>
    ({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] }) as Chunk
)

for (const name of clientNames) {
  describe(`publish and follow, with ${name}`, () => {
    let server: RedisServer
    let client: TestClient
    let other: TestClient
    let id: string

    before(async function () {
      if (!redisProgram) return this.skip()
      server = await startRedis()
      client = await clientFor(name, server.port)
      other = await clientFor(name, server.port)
    })
    beforeEach(() => {
      id = randomUUID()
    })
    after(async () => {
      if (!redisProgram) return
      client.close()
      other.close()
      await server.stop()
    })

    const publishAll = (items: readonly unknown[], options?: PublishOptions) =>
      pipeline(Readable.from(items), publish(client.redis, id, options))

    describe('what was published comes back as it was', () => {
      const kinds: [string, unknown[]][] = [
        ['texts', ['He', 'llo\r', '\n', '', '"\\', '𝄞'.slice(0, 1), '𝄞'.slice(1), 'ende']],
        ['objects', [...chunks, { logprob: -0, text: '\u2028' }]],
        ['events', [{ data: 'a\nb', event: 'x', id: '7' }]]
      ]
      for (const [kind, items] of kinds) {
        it(kind, async () => {
          const [read] = await Promise.all([readAll(follow(other.redis, id)), publishAll(items)])
          expect(read).to.deep.equal({ items })
        })
      }

      for (const [kind, bytes] of Object.entries({
        text: Buffer.from(completion(words(30))),
        'what is no text': Buffer.from(Array.from({ length: 999 }, (_, place) => (place * 7) % 256))
      })) {
        it(`bytes: ${kind}, however they are cut`, async () => {
          const pieces = Array.from({ length: 100 }, (_, at) => bytes.subarray(at * 33, (at + 1) * 33))
          const [{ items, error }] = await Promise.all([
            readAll(follow(other.redis, id)),
            publishAll([...pieces, bytes.subarray(3300)])
          ])
          expect(error).to.equal(undefined)
          expect(Buffer.concat(items as Uint8Array[]).equals(bytes)).to.equal(true)
        })
      }
    })

    it('a reader that returns at any point has, joined, exactly the answer', async () => {
      const body = completion(['Grüße ', '𝄞 ', 'a\n\nb', ...words(6)])
      const bytes = Buffer.from(body)
      const source = fed()
      const done = pipeline(source, publish(client.redis, id, { flush: 1 }))
      for (let at = 0; at < bytes.length; at += 97) {
        source.push(bytes.subarray(at, at + 97))
        await client.command('PING')
      }
      source.push(null)
      await done
      for (let at = 0; at <= bytes.length; at += 7) {
        const { items, error } = await readAll(follow(other.redis, id, { after: `1-${at}` }))
        expect(error).to.equal(undefined)
        expect(joined(items)).to.equal(bytes.subarray(at).toString())
      }
    })

    it('gives each chunk the id of its event, from which it goes on as one answer', async () => {
      await publishAll([Buffer.from(completion(words(20)).replaceAll('\n', '\r\n'))])
      const sse = await written(follow(other.redis, id))
      const ids = [...sse.matchAll(/^id: (.+)$/gm)].map(match => String(match[1]))
      // Those of the chunks, and that of the end mark.
      expect(new Set(ids).size).to.equal(22)
      for (const [place, after] of ids.entries()) {
        const rest = await written(follow(other.redis, id, { after }))
        const wanted = sse
          .split('\n\n')
          .slice(place + 1)
          .join('\n\n')
        expect(rest).to.equal(wanted)
      }
    })

    async function written(source: Readable): Promise<string> {
      let text = ''
      await pipeline(source, toChunks(), toSSE(), async (bytes: AsyncIterable<Buffer>) => {
        for await (const piece of bytes) text += piece
      })
      return text
    }

    it('judges the rest of an answer as a part of the whole', async () => {
      const whole = [textEvent('one '), textEvent('two'), finishEvent]
      await publishAll(whole.map(text => Buffer.from(text)))
      const behindFinish = `1-${Buffer.byteLength(whole.join(''))}`
      expect(await readText(follow(other.redis, id, { after: behindFinish }))).to.equal('')
      const cut = randomUUID()
      await pipeline(
        Readable.from(whole.slice(0, 2).map(text => Buffer.from(text))),
        publish(client.redis, cut)
      )
      const after = `1-${Buffer.byteLength(whole.slice(0, 2).join(''))}`
      const { error } = await readAll(follow(other.redis, cut, { after }).pipe(toChunks()))
      expect(error?.code).to.equal('CS_ERR_TRUNCATED')
    })

    it('goes on within chunks that were published as objects', async () => {
      await publishAll([...chunks, { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }])
      for (const at of [0, 1, 20, 40, 41]) {
        const text = await readText(follow(other.redis, id, { after: `1-${at}` }))
        expect(text).to.equal(words(40).slice(at).join(''))
      }
    })

    it('gives events their ids too', async () => {
      await publishAll([Buffer.from('data: a\n\ndata: b\n\n')])
      let sse = ''
      await pipeline(follow(other.redis, id), toEvents(), toSSE(), async (bytes: AsyncIterable<Buffer>) => {
        for await (const piece of bytes) sse += piece
      })
      expect(sse).to.equal('id: 1-9\ndata: a\n\nid: 1-18\ndata: b\n\n')
    })

    it('texts go into an event stream with ids, and a mark at the end', async () => {
      await publishAll(['a', 'b\nc'])
      const sink: string[] = []
      const write = (after?: string) =>
        pipeline(follow(other.redis, id, { after }), toSSE(), async (bytes: AsyncIterable<Buffer>) => {
          for await (const piece of bytes) sink.push(String(piece))
        })
      await write()
      const done = /^id: (\d+-\d+)\nevent: done\ndata: \[DONE\]\n\n$/
      expect(sink.slice(0, 2)).to.deep.equal(['id: 1-1\ndata: a\n\n', 'id: 1-2\ndata: b\ndata: c\n\n'])
      expect(sink[2]).to.match(done)
      await write('1-2')
      expect(sink[3]).to.equal(sink[2])
      await write(done.exec(sink[2] ?? '')?.[1])
      expect(sink).to.have.length(4)
    })

    it('tells a browser that comes back behind the end to come no more', async () => {
      await publishAll([Buffer.from(textEvent('all') + finishEvent)])
      await using local = await serve((incoming, outgoing) => {
        const after = incoming.headers['last-event-id'] as string | undefined
        pipeline(follow(other.redis, id, { after }), toChunks(), respond(outgoing)).catch(() => {})
      })
      const first = await fetch(local.url)
      const last = [...(await first.text()).matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? ''
      const again = await fetch(local.url, { headers: { 'last-event-id': last } })
      expect([first.status, again.status, await again.text()]).to.deep.equal([200, 204, ''])
    })

    it('emits what is there while the rest is awaited', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id))
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      const seen: unknown[] = []
      for (const word of words(5)) {
        source.push(word)
        seen.push((await reader.next()).value)
      }
      source.push(null)
      await done
      expect((await reader.next()).done).to.equal(true)
      expect(seen).to.deep.equal(words(5))
    })

    it('waits for an answer that nobody has begun, but not for ever', async () => {
      const early = readAll(follow(other.redis, id))
      const { error } = await readAll(follow(other.redis, `${id}-never`, { first: 20 }))
      expect([error?.code, error?.timeLimit, error?.limit]).to.deep.equal(['CS_ERR_STALLED', 'first', 20])
      await publishAll(['come'])
      expect(await early).to.deep.equal({ items: ['come'] })
    })

    it('refuses a second producer, who changes nothing', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id))
      source.push('first')
      await follow(other.redis, id)[Symbol.asyncIterator]().next()
      const { error } = await failing(pipeline(Readable.from(['second']), publish(other.redis, id)))
      expect(error.code).to.equal('CS_ERR_PUBLISHED')
      source.push(null)
      await done
      expect((await failing(publishAll(['third']))).error.code).to.equal('CS_ERR_PUBLISHED')
      expect(await readAll(follow(other.redis, id))).to.deep.equal({ items: ['first'] })
    })

    it('keeps no dead producer alive with a second one that is refused', async () => {
      const [log, lease] = [`completion-streams:log:${id}`, `completion-streams:lease:${id}`]
      await client.command('XADD', log, '1-0', 'version', '1', 'producer', 'p', 'lease', '100')
      expect((await failing(publishAll(['a']))).error.code).to.equal('CS_ERR_PUBLISHED')
      expect(await client.command('EXISTS', lease)).to.equal(0)
    })

    it('leaves the first of many producers its lease', async () => {
      const attempts = Array.from({ length: 20 }, (_, place) => {
        const source = fed()
        const sink = publish(client.redis, id, { lease: place === 0 ? 1_000_000 : 100 })
        return { source, done: pipeline(source, sink).catch(error => error) }
      })
      for (const { done } of attempts.slice(1)) expect((await done).code).to.equal('CS_ERR_PUBLISHED')
      expect(await client.command('PTTL', `completion-streams:lease:${id}`)).to.be.greaterThan(1000)
      attempts[0]?.source.push(null)
      expect(await attempts[0]?.done).to.equal(undefined)
    })

    it('tells readers what the producer failed with, after all that had come', async () => {
      await using provider = await serve((_incoming, outgoing) => {
        outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
        outgoing.write(textEvent('half '), () => outgoing.destroy())
      })
      const read = readAll(follow(other.redis, id))
      const { error } = await failing(
        pipeline(fromResponse(fetch(provider.url)), toChunks(), publish(client.redis, id))
      )
      expect(error.code).to.equal('CS_ERR_TRUNCATED')
      const told = await read
      expect(told.items).to.have.length(1)
      expect(told.error).to.be.instanceOf(CompletionError)
      expect(told.error?.toJSON().code).to.equal('CS_ERR_TRUNCATED')
      expect(told.error?.message).to.equal(error.message)
    })

    it('tells readers of a request that was refused', async () => {
      await using provider = await serve((_incoming, outgoing) => {
        outgoing.writeHead(429, { 'content-type': 'application/json', 'retry-after': '7' })
        outgoing.end('{"error":{"message":"slow down","type":"requests"}}')
      })
      await failing(pipeline(fromResponse(fetch(provider.url)), publish(client.redis, id)))
      const { error } = await readAll(follow(other.redis, id))
      expect(error?.toJSON()).to.include({ code: 'CS_ERR_PROVIDER', status: 429, retryAfter: 7000 })
    })

    const refusals: Record<string, [head: number, headers: Record<string, string>, isPassing: boolean]> = {
      'too many requests': [429, { 'retry-after': '7', 'retry-after-ms': '7000', 'x-request-id': 'r' }, true],
      'a server that says no': [500, { 'x-should-retry': 'false' }, false],
      'a wrong key': [401, {}, false]
    }
    for (const [what, [status, headers, isPassing]] of Object.entries(refusals)) {
      it(`tells readers what the official client failed with: ${what}`, async () => {
        await using provider = await serve((_incoming, outgoing) => {
          outgoing.writeHead(status, { ...headers, 'content-type': 'application/json', 'set-cookie': 'a=b' })
          outgoing.end('{"error":{"message":"no","type":"requests","code":"c","param":"p"}}')
        })
        const ask = () => requestCompletion(clientOf(provider), question)
        const { error } = await failing(pipeline(ask(), publish(client.redis, id)))
        const told = (await readAll(follow(other.redis, id))).error
        expect(told?.name).to.equal(error.constructor.name)
        expect(told).to.deep.include({ status, type: 'requests', code: 'c', param: 'p' })
        expect(told?.headers ?? {}).to.deep.equal(headers)
        expect([isRetryable(told), isRetryable(error)]).to.deep.equal([isPassing, isPassing])
        const answer = await answered(() => follow(other.redis, id))
        expect(answer.status).to.equal(status)
        expect(answer).to.deep.equal(await answered(ask))
      })
    }

    it('tells readers that the provider could not be reached', async () => {
      const provider = await serve(() => {})
      await provider[Symbol.asyncDispose]()
      const ask = () => requestCompletion(clientOf(provider), question)
      await failing(pipeline(ask(), publish(client.redis, id)))
      const told = (await readAll(follow(other.redis, id))).error
      expect(told?.name).to.equal('APIConnectionError')
      expect(isRetryable(told)).to.equal(true)
      const answer = await answered(() => follow(other.redis, id))
      expect(answer.status).to.equal(502)
      expect(answer).to.deep.equal(await answered(ask))
    })

    it('tells readers at once of something that was thrown and is no error', async () => {
      async function* source() {
        yield 'a'
        throw 'out of credit'
      }
      const sink = publish(client.redis, id, { lease: 600_000 })
      pipeline(source(), sink).catch(() => {})
      const { error } = await readAll(follow(other.redis, id))
      expect(error?.message).to.equal('it failed with what is no error: out of credit (string)')
      expect((await failing(finished(sink))).error).to.equal('out of credit')
    })

    it('lets nothing that somebody wrote for an error harm a reader', async () => {
      const end = (error: string) =>
        client.command('XADD', `completion-streams:log:${id}`, lastId, 'end', 'failed', 'error', error)
      await end(
        '{"name":"Error","message":"m","code":5,"status":429,"__proto__":{"polluted":1},"cause":{"__proto__":{}},' +
          '"headers":{"retry-after":"7","x-ratelimit-a":"1\\r\\nset-cookie: a=b","set-cookie":"a=b","__proto__":{"get":1}}}'
      )
      const { error } = await readAll(follow(other.redis, id))
      expect(error).to.deep.include({ message: 'm', code: 5, status: 429, headers: { 'retry-after': '7' } })
      expect(error).to.not.have.property('polluted')
      const { status, headers } = await answered(() => follow(other.redis, id))
      expect(status).to.equal(429)
      expect(headers).to.deep.equal({ 'retry-after': '7' })
    })

    it('tells readers that the producer was aborted', async () => {
      const leave = new AbortController()
      const source = fed()
      const done = failing(pipeline(source, publish(client.redis, id), { signal: leave.signal }))
      source.push('a')
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      await reader.next()
      leave.abort()
      expect((await done).error.name).to.equal('AbortError')
      expect((await failing(reader.next())).error.name).to.equal('AbortError')
    })

    it('fails beyond its limit', async () => {
      const { error } = await failing(publishAll(words(100), { limit: 50 }))
      expect([error.code, error.limit]).to.deep.equal(['CS_ERR_LOG_TOO_LARGE', 50])
      expect((await readAll(follow(other.redis, id))).error?.code).to.equal('CS_ERR_LOG_TOO_LARGE')
    })

    it('writes nothing beyond its limit, which is in bytes', async () => {
      // Four of 3 bytes fit.
      const { error } = await failing(publishAll(Array(5).fill('語'), { limit: 13 }))
      expect(error.code).to.equal('CS_ERR_LOG_TOO_LARGE')
      expect((await readAll(follow(other.redis, id))).items).to.deep.equal(Array(4).fill('語'))
    })

    it('takes items of one kind, whenever they come', async () => {
      const source = fed()
      const done = failing(pipeline(source, publish(client.redis, id, { flush: 1 })))
      source.push('a')
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      expect((await reader.next()).value).to.equal('a')
      source.push({})
      expect((await done).error.code).to.equal('CS_ERR_INVALID_CHUNK')
    })

    it('keeps a conversation for as long as its longest answer', async () => {
      const conversation = `conversation of ${id}`
      await publishAll(['a'], { conversation, ttl: 1_000_000 })
      await pipeline(Readable.from(['b']), publish(client.redis, `${id}-2`, { conversation, ttl: 1000 }))
      const left = await client.command('PTTL', `completion-streams:conversation:${conversation}`)
      expect(left).to.be.greaterThan(1000)
    })

    it('joins texts that were cut within a character, where they become events', async () => {
      await publishAll(['a\ud83d', '\ude00', 'b\r', '\nc\ud83d'])
      const sse = follow(other.redis, id).pipe(toSSE())
      expect(await text(sse)).to.match(
        /^id: 1-2\ndata: a😀\n\nid: 1-4\ndata: b\ndata: c\ufffd\n\n.*data: \[DONE\]\n/s
      )
    })

    describe('where the producer is dead, and its log cannot be closed from here', () => {
      beforeEach(async () => {
        const log = `completion-streams:log:${id}`
        await client.command('XADD', log, '1-0', 'version', '1', 'producer', 'p', 'lease', '100')
        await client.command('XADD', log, '1-1', 'texts', '["a"]')
      })

      async function expectAbandoned(reader: TestClient): Promise<void> {
        const { items, error } = await readAll(follow(reader.redis, id))
        expect([items, error?.code]).to.deep.equal([['a'], 'CS_ERR_ABANDONED'])
        expect(error?.message).to.match(/cannot be closed from here/)
      }

      it('readers are told who may only read', async () => {
        const rules = ['on', '>secret', '~*', '+@read', '+@connection', '+info']
        await client.command('ACL', 'SETUSER', 'reader', ...rules)
        const reader = await clientFor(name, server.port, 'reader:secret')
        await expectAbandoned(reader)
        reader.close()
      })

      it('readers are told while Redis has no room', async () => {
        await client.command('CONFIG', 'SET', 'maxmemory', '1')
        await expectAbandoned(other).finally(() => client.command('CONFIG', 'SET', 'maxmemory', '0'))
      })
    })

    it('fails when Redis has lost the log, or a part of it', async () => {
      const source = fed()
      const done = failing(pipeline(source, publish(client.redis, id, { flush: 1 })))
      source.push('a')
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      await reader.next()
      await client.command('DEL', `completion-streams:log:${id}`)
      source.push('b')
      expect((await done).error.code).to.equal('CS_ERR_ABANDONED')
      await reader.return?.()
      const holed = `${id}-holed`
      await pipeline(Readable.from(['a']), publish(client.redis, holed))
      await client.command('XDEL', `completion-streams:log:${holed}`, '1-1')
      expect((await readAll(follow(other.redis, holed))).error?.code).to.equal('CS_ERR_TRUNCATED')
      // What is missing is what the reader has.
      expect(await readAll(follow(other.redis, holed, { after: '1-1' }))).to.deep.equal({ items: [] })
    })

    it('fails when Redis has lost the log while nothing is written', async () => {
      const source = fed()
      const done = failing(pipeline(source, publish(client.redis, id, { flush: 1, lease: 300 })))
      source.push('a')
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      await reader.next()
      await client.command('DEL', `completion-streams:log:${id}`)
      expect((await done).error.code).to.equal('CS_ERR_ABANDONED')
      expect((await failing(reader.next())).error.code).to.equal('CS_ERR_ABANDONED')
    })

    it('opens one connection, also for who may not ask for its number', async () => {
      const rules = ['on', '>secret', '~*', '+@all', '-client']
      await client.command('ACL', 'SETUSER', 'user', ...rules)
      const own = await clientFor(name, server.port, 'user:secret')
      const opened = async () =>
        Number(/total_connections_received:(\d+)/.exec(String(await client.command('INFO', 'stats')))?.[1])
      await own.command('PING')
      const before = await opened()
      const source = fed()
      const done = pipeline(source, publish(own.redis, id, { flush: 1 }))
      const reader = follow(own.redis, id)[Symbol.asyncIterator]()
      for (const word of words(20)) {
        source.push(word)
        expect((await reader.next()).value).to.equal(word)
      }
      source.push(null)
      await done
      own.close()
      expect((await opened()) - before).to.equal(1)
    })

    it('waits for what comes, whatever id another reader has come with', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id, { flush: 1 }))
      source.push('a')
      await follow(client.redis, id)[Symbol.asyncIterator]().next()
      const forged = readAll(follow(other.redis, id, { after: '1-999999' }))
      // It waits first: in a second read, beside the one that waits for stops.
      const isWaiting = /cmd=xread\b.*cmd=xread\b/s
      while (!isWaiting.test(String(await client.command('CLIENT', 'LIST'))));
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      const calls = async () =>
        Number(/cmdstat_xrange:calls=(\d+)/.exec(String(await client.command('INFO', 'commandstats')))?.[1])
      const before = await calls()
      expect((await reader.next()).value).to.equal('a')
      for (const word of words(20)) {
        source.push(word)
        expect((await reader.next()).value).to.equal(word)
      }
      // Each reader asks by itself until it waits with the other.
      expect((await calls()) - before).to.be.below(10)
      source.push(null)
      await done
      expect((await reader.next()).done).to.equal(true)
      expect(await forged)
        .to.deep.include({ items: [] })
        .with.property('error')
    })

    it('reports what Redis refuses', async () => {
      await client.command('SET', `completion-streams:log:${id}`, 'no stream')
      expect((await failing(publishAll(['a']))).error.message).to.match(/^WRONGTYPE/)
      expect((await readAll(follow(other.redis, id))).error?.message).to.match(/^WRONGTYPE/)
    })

    it('reports what Redis goes on to refuse', async () => {
      await client.command('CONFIG', 'SET', 'maxmemory', '1')
      const { error } = await failing(publishAll(['a'], { maxOutage: 100 }))
      await client.command('CONFIG', 'SET', 'maxmemory', '0')
      expect(error.message).to.match(/^OOM/)
    })

    it('sends at once what fills an entry, however long smaller pieces wait', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id, { flush: 1_000_000 }))
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      for (const word of ['a', 'b', 'c']) {
        const large = word.repeat(70_000)
        source.push(large)
        expect((await reader.next()).value).to.equal(large)
      }
      source.push(null)
      await done
    })

    it('takes Infinity for as long as there is', async () => {
      const forever = {
        flush: Infinity,
        lease: Infinity,
        ttl: Infinity,
        limit: Infinity,
        maxOutage: Infinity
      }
      await publishAll(['a', 'b'], forever)
      expect(await readAll(follow(other.redis, id))).to.deep.equal({ items: ['a', 'b'] })
    })

    it('lets the answer go after its time', async () => {
      await publishAll(['a'], { ttl: 123_456 })
      const left = Number(await client.command('PTTL', `completion-streams:log:${id}`))
      expect(left).to.be.within(100_000, 123_456)
      expect(await client.command('EXISTS', `completion-streams:lease:${id}`)).to.equal(0)
    })

    it('keeps an answer whose producer lives, though `ttl` is shorter than its lease', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id, { ttl: 200 }))
      source.push('a')
      const reader = follow(other.redis, id)[Symbol.asyncIterator]()
      await reader.next()
      let left = 200
      for (;;) {
        const now = Number(await client.command('PTTL', `completion-streams:log:${id}`))
        // It was given a new time. Without one, the log would be gone, and this -2.
        if (now > left) break
        expect(now).to.be.at.least(0)
        left = now
      }
      source.push(null)
      await done
      expect((await reader.next()).done).to.equal(true)
    })

    it('reads in the database that the client has selected', async () => {
      const own = await clientFor(name, server.port)
      await own.select(3)
      await expectToPass(own.redis, id)
      expect(await client.command('EXISTS', `completion-streams:log:${id}`)).to.equal(0)
      own.close()
    })

    it('is closed when its client is, with the end that it has come to', async () => {
      const own = await clientFor(name, server.port)
      const source = fed()
      const sink = publish(own.redis, id, { maxOutage: Number.POSITIVE_INFINITY })
      const done = failing(pipeline(source, sink))
      source.push('a')
      await follow(other.redis, id)[Symbol.asyncIterator]().next()
      own.close()
      source.destroy(new Error('broken'))
      expect((await done).error.message).to.equal('broken')
      // Told behind its last work with Redis.
      await failing(finished(sink))
      // The end of the answer has been written all the same.
      expect((await readAll(follow(other.redis, id))).error?.message).to.equal('broken')
    })

    it('takes an answer that it has ended itself for no other ending, while only the reply is missing', async () => {
      let endingIsLate = false
      /** The same client, but the reply to the last entry comes behind the next look at the log. */
      const sendCommand = async (words: string[]) => {
        const [command = '', ...rest] = words
        const reply = await client.command(command, ...rest)
        if (command === 'XADD' && words.includes('end')) {
          endingIsLate = true
          await new Promise(resolve => looks.once('look', resolve))
        } else if (command === 'XREVRANGE' && endingIsLate) setImmediate(() => looks.emit('look'))
        return reply
      }
      const looks = new EventEmitter()
      const redis = { sendCommand, duplicate: () => client.redis.duplicate() }
      await pipeline(Readable.from(['a']), publish(redis, id, { lease: 60 }))
      expect(await readAll(follow(other.redis, id))).to.deep.equal({ items: ['a'] })
    })

    it('tells readers of a failure though the client is closed at once', async () => {
      await using provider = await serve((_request, response) => response.writeHead(500).end('{}'))
      const own = await clientFor(name, server.port)
      const { error } = await failing(pipeline(fromResponse(fetch(provider.url)), publish(own.redis, id)))
      own.close()
      expect(error.status).to.equal(500)
      expect((await readAll(follow(other.redis, id))).error?.status).to.equal(500)
    })

    it('stops from elsewhere: producer and readers are told, once', async () => {
      const source = fed()
      const done = failing(pipeline(source, publish(client.redis, id)))
      source.push('a')
      const read = readAll(follow(other.redis, id))
      await follow(other.redis, id)[Symbol.asyncIterator]().next()
      expect(await Promise.all([stop(other.redis, id), stop(client.redis, id)])).to.have.members([
        true,
        false
      ])
      // Nothing is written meanwhile: the producer hears of it by itself.
      expect((await done).error.code).to.equal('CS_ERR_STOPPED')
      const { items, error } = await read
      expect([items, error?.code]).to.deep.equal([['a'], 'CS_ERR_STOPPED'])
      expect(await stop(other.redis, 'nobody')).to.equal(false)
    })

    it('lists the answers of a conversation', async () => {
      const conversation = `conversation of ${id}`
      await publishAll(['a'], { conversation })
      const source = fed()
      const done = pipeline(source, publish(client.redis, `${id}-2`, { conversation }))
      source.push('b')
      await follow(other.redis, `${id}-2`)[Symbol.asyncIterator]().next()
      const states = async () =>
        (await list(other.redis, conversation)).map(answer => [answer.id, answer.state])
      expect(await states()).to.deep.equal([
        [id, 'complete'],
        [`${id}-2`, 'running']
      ])
      source.push(null)
      await done
      await client.command('DEL', `completion-streams:log:${id}`)
      expect(await states()).to.deep.equal([[`${id}-2`, 'complete']])
      expect(await list(other.redis, 'none')).to.deep.equal([])
    })

    it('slows the producer for no reader: one that takes nothing reads all of it later', async () => {
      const source = follow(other.redis, id)
      source.read(0)
      await publishAll(words(5000))
      expect(source.readableLength).to.be.below(100)
      const { items } = await readAll(source)
      expect(items).to.deep.equal(words(5000))
    })

    it('ends where a stage behind wants no more', async () => {
      const source = fed()
      const done = pipeline(source, publish(client.redis, id))
      for (const item of chunks) source.push(item)
      let text = ''
      await pipeline(
        follow(other.redis, id),
        toChunks(),
        toText(),
        stopAt(['word3 ']),
        async (texts: AsyncIterable<string>) => {
          for await (const piece of texts) text += piece
        }
      )
      expect(text).to.equal(words(3).join(''))
      source.push(null)
      await done
    })

    it('is destroyed by its signal', async () => {
      const leave = new AbortController()
      const read = readAll(follow(other.redis, id, { signal: leave.signal }))
      await turns(3)
      leave.abort()
      expect((await read).error?.name).to.equal('AbortError')
    })

    it('refuses wrong arguments', () => {
      const wrong: [() => unknown, RegExp][] = [
        [() => publish({} as never, 'a'), /redis is an object/],
        [() => publish(client.redis, ''), /id is an empty string/],
        [() => publish(client.redis, id, { flush: 0 }), /flush is 0/],
        [() => publish(client.redis, id, { speed: 1 } as never), /publish has no option speed/],
        [() => follow(client.redis, id, { after: 1 as never }), /after is 1/],
        [() => follow(client.redis, id, { prefix: 7 as never }), /prefix is 7/]
      ]
      for (const [call, message] of wrong)
        expect(call).to.throw(CompletionError, message).with.property('code', 'CS_ERR_INVALID_OPTION')
    })

    it('refuses an id that the answer does not have', async () => {
      const bytes = textEvent('a') + finishEvent
      await publishAll([Buffer.from(bytes)])
      for (const after of [`1-${bytes.length + 1}`, '1-00001', '01-1', '0-0', '0-3', '2-0', '2-1']) {
        const followed = () => follow<Uint8Array>(other.redis, id, { after })
        for (const source of [followed(), compose(followed(), toChunks())]) {
          const { items, error } = await readAll(source)
          expect([items, error?.code], after).to.deep.equal([[], 'CS_ERR_INVALID_OPTION'])
        }
      }
    })

    it('refuses an id of another form than those of the answer while it is still written', async () => {
      const source = fed()
      const publishing = pipeline(source, publish(client.redis, id))
      source.push('a')
      expect((await readAll(follow(other.redis, id, { after: '2-1' }))).error?.code).to.equal(
        'CS_ERR_INVALID_OPTION'
      )
      source.push(null)
      await publishing
    })

    it('fails where a wrong id came from outside, and throws at nobody who passes it on', async () => {
      const { items, error } = await readAll(follow(other.redis, id, { after: 'x-1' }))
      expect([items, error?.code]).to.deep.equal([[], 'CS_ERR_INVALID_OPTION'])
      expect(error?.message).to.match(/after is a string of 3 characters/)
    })

    it('takes what is no item for an error', async () => {
      for (const items of [[7], [() => {}], ['a', {}]]) {
        const { error } = await failing(
          pipeline(Readable.from(items), publish(client.redis, `${id}-${typeof items[0]}`))
        )
        expect(error.code).to.equal('CS_ERR_INVALID_CHUNK')
      }
    })
  })
}

/** How `respond` answers: the status, the body, and the headers but those that each response has. */
async function answered(
  source: () => AsyncIterable<unknown>
): Promise<{ status: number; headers: Record<string, string>; body: string }> {
  await using server = await serve((_incoming, outgoing) => {
    pipeline(source(), toChunks(), respond(outgoing)).catch(() => {})
  })
  const response = await fetch(server.url)
  const usual = /^(?:date|connection|keep-alive|transfer-encoding|content-type|cache-control)$/
  const headers = [...response.headers].filter(([name]) => !usual.test(name))
  return { status: response.status, headers: Object.fromEntries(headers), body: await response.text() }
}

async function failing(promise: Promise<unknown>): Promise<{ error: CompletionError }> {
  try {
    await promise
  } catch (error) {
    return { error: error as CompletionError }
  }
  throw new Error('it did not fail')
}

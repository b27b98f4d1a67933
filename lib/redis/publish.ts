import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
import { AbortError } from '../failure/abort-error.js'
import { longestTimer } from '../in-time.js'
import { checkLimit, invalid, settled } from '../options.js'
import { usedOnce } from '../stage.js'
import {
  type Command,
  type Connection,
  commandOf,
  connectLike,
  isClosed,
  isReply,
  mayPass,
  Outage,
  type RedisClient
} from './connection.js'
import {
  abandoned,
  Batch,
  type Ending,
  endingFields,
  entriesOf,
  firstId,
  idOf,
  Keys,
  type Kind,
  lastId,
  openingFields,
  pieceOf,
  readEntry
} from './log.js'
import { checkPrefix, defaultPrefix } from './prefix.js'
import { onStopOf } from './stop.js'
import { isBehind, lastEntry, tailOf } from './tail.js'

/** The options of `publish`. */
export interface PublishOptions {
  /**
   * How long what is written may wait for more, in milliseconds, so that many small pieces are one write to Redis. The first
   * piece, 64 KiB, and the end do not wait. Default: 45.
   */
  flush?: number
  /**
   * How long the answer has a producer without a sign of life, in milliseconds; it is renewed three times as often. When it
   * lapses, a reader closes the answer as abandoned. Default: 15000.
   */
  lease?: number
  /** How long Redis keeps the answer, in milliseconds, from the last sign of life. Default: 3600000 (an hour). */
  ttl?: number
  /** The largest answer, in bytes of UTF-8, without what Redis adds. Default: 67108864 (64 MiB). */
  limit?: number
  /**
   * How long Redis may be away, in milliseconds; then the sink fails with what the client reports, or with `CS_ERR_STALLED` where
   * the client only waits. Default: 10000.
   */
  maxOutage?: number
  /** The conversation that the answer belongs to: `list` names its answers. Default: none. */
  conversation?: string | undefined
  /** What the names of the keys in Redis begin with. Default: `completion-streams:`. */
  prefix?: string
}

/** How much may wait for Redis before the source waits, in bytes. */
const mostWaiting = 64 * 1024

/**
 * A sink that keeps an answer in Redis, as one stream, where `follow` reads it, from any process and while it comes: bytes,
 * texts or objects, such as chunks. An id is for one answer; a second producer of it is refused.
 *
 * What is written is gathered for `flush` milliseconds. A slow Redis slows the pipeline; slow readers do not. The answer ends
 * with one entry that says how: complete when the pipeline is done, or failed, with its error. The pipeline resolves when Redis
 * has taken that entry.
 *
 * Fails with `CS_ERR_PUBLISHED` when the id has an answer already; with `CS_ERR_STOPPED` when somebody stops the answer;
 * with `CS_ERR_ABANDONED` when a reader has closed it, since this process was not heard of for `lease` milliseconds, or when
 * Redis has lost it; with `CS_ERR_LOG_TOO_LARGE` beyond `limit`; and with what the client reports when Redis refuses, or is
 * away for longer than `maxOutage`; with `CS_ERR_STALLED` where the client says nothing for as long, but waits.
 *
 * A `pipeline` that fails does not wait for the sink in Node 20, nor where its source is a generator that fails. A client that is
 * closed then leaves the end of the answer to a connection of its own. A process that exits before the sink is closed (its event
 * `close`) leaves readers without it: they learn of it when the lease has lapsed.
 *
 * @example
 * await pipeline(requestCompletion(client, params), publish(redis, 'answer-1'))
 */
export function publish(redis: RedisClient, id: string, options?: PublishOptions): Writable {
  const given = settled('publish', options, {
    flush: 45,
    lease: 15_000,
    ttl: 3_600_000,
    limit: 64 * 1024 * 1024,
    maxOutage: 10_000,
    conversation: undefined as string | undefined,
    prefix: defaultPrefix
  })
  const { limit, maxOutage, conversation, prefix } = given
  const command = commandOf(redis)
  const keys = new Keys(prefix, id)
  for (const name of ['flush', 'lease', 'ttl', 'limit', 'maxOutage'] as const) checkLimit(name, given[name])
  const [flush, lease] = [Math.min(given.flush, longestTimer), Math.min(given.lease, longestTimer)]
  const ttl = Math.min(given.ttl, Number.MAX_SAFE_INTEGER)
  checkPrefix(prefix)
  if (conversation !== undefined && typeof conversation !== 'string')
    throw invalid('conversation', conversation, 'the name of a conversation, a string')

  /** A connection for the end of an answer whose client is closed. */
  let spare: Connection | undefined

  /**
   * A program whose pipeline has failed may close its client before the end of the answer is written: `pipeline` does not wait
   * for that in Node 20.
   */
  async function sendToLast(...words: string[]): Promise<unknown> {
    try {
      return await command(...words)
    } catch (error) {
      if (!isClosed(error) || !sink.destroyed) throw error
    }
    spare ??= connectLike(redis)
    try {
      await spare.opened
      return await spare.command(...words)
    } catch (error) {
      // The next command opens another.
      if (!isReply(error)) closeSpare()
      throw error
    }
  }

  function closeSpare(): void {
    spare?.close()
    spare = undefined
  }

  const log = new Log(sendToLast, keys, { lease, ttl, maxOutage, conversation, id })
  const tail = tailOf(redis)
  let size = 0
  let kind: Kind | undefined
  let batch = new Batch()
  let timer: ReturnType<typeof setTimeout> | undefined
  let renewal: ReturnType<typeof setInterval> | undefined
  let sending: Promise<void> | undefined
  let isDue = false
  let hasSent = false
  let takeMore: (() => void) | undefined
  let forget = () => {}

  function add(item: unknown): void {
    const piece = pieceOf(item)
    kind ??= piece.kind
    if (piece.kind !== kind)
      throw new CompletionError(
        'CS_ERR_INVALID_CHUNK',
        'publish takes items of one kind: bytes, texts or objects'
      )
    size += piece.size
    if (size > limit) throw tooLarge(limit)
    batch.add(piece)
  }

  /** Sends what has been gathered, at once or when more may have come. */
  function sendSoon(): void {
    if (sending || isDue || batch.isEmpty) return
    if (batch.size >= mostWaiting) sendNow()
    else if (hasSent) timer ??= setTimeout(sendNow, flush)
    else {
      isDue = true
      // What comes in the same turn goes with it.
      setImmediate(sendNow)
    }
  }

  function sendNow(): void {
    clearTimeout(timer)
    timer = undefined
    isDue = false
    hasSent = true
    send().then(sendSoon, fail)
  }

  /** Sends what has been gathered, behind what is being sent. */
  async function send(): Promise<void> {
    while (sending) await sending
    if (batch.isEmpty) return
    const full = batch
    batch = new Batch()
    sending = log.append(full).finally(() => {
      sending = undefined
    })
    const goOn = takeMore
    takeMore = undefined
    goOn?.()
    await sending
  }

  async function close(ending: Ending, error?: Error): Promise<void> {
    clearTimeout(timer)
    await send()
    await log.end(ending, kind, error)
  }

  function fail(error: Error): void {
    sink.destroy(error)
  }

  const sink = new Writable({
    objectMode: true,
    highWaterMark: 16,
    construct(callback) {
      tail.retain()
      log.open().then(() => {
        forget = onStopOf(redis, prefix, id, () => void log.check().catch(fail))
        renewal = setInterval(() => void log.renew().catch(fail), Math.min(lease, ttl) / 3)
        // What keeps a process alive is its work, not its leases.
        renewal.unref()
        callback()
      }, callback)
    },
    write(item: unknown, _encoding, callback) {
      try {
        add(item)
      } catch (error) {
        return callback(error as Error)
      }
      if (batch.size < mostWaiting) callback()
      else takeMore = callback
      // Last, since what is sent calls for more.
      sendSoon()
    },
    final(callback) {
      close('complete').then(() => callback(), callback)
    },
    destroy(error, callback) {
      clearInterval(renewal)
      clearTimeout(timer)
      forget()
      log.stopRenewing()
      const leave = () => {
        log.leave()
        closeSpare()
        tail.release()
        callback(error)
      }
      if (log.isOpen) close('failed', error ?? new AbortError('the answer was broken off')).then(leave, leave)
      else leave()
    }
  })
  return usedOnce('publish', sink)
}

interface LogSettings {
  readonly id: string
  readonly lease: number
  readonly ttl: number
  readonly maxOutage: number
  readonly conversation: string | undefined
}

/** A log that is written. */
class Log {
  /** Whether it is this producer's, and not ended. */
  isOpen = false
  readonly #command: Command
  readonly #keys: Keys
  readonly #settings: LogSettings
  readonly #producer = randomUUID()
  readonly #outage: Outage
  readonly #renewalOutage: Outage
  #sequence = 0
  #isRenewing = false
  /** Whether its last entry is being written, which says by itself whether it could be. */
  #isEnding = false

  constructor(command: Command, keys: Keys, settings: LogSettings) {
    this.#command = command
    this.#keys = keys
    this.#settings = settings
    this.#outage = new Outage(settings.maxOutage)
    this.#renewalOutage = new Outage(settings.maxOutage)
  }

  stopRenewing(): void {
    this.#renewalOutage.end()
  }

  /** Nothing more is to be written. */
  leave(): void {
    this.#outage.end()
  }

  /** Begins the log. Redis refuses it if there is one. */
  async open(): Promise<void> {
    // Before the lease is taken, which may be another's, whose death nobody would hear of.
    if (await this.#outage.bridge(() => lastEntry(this.#command, this.#keys.log))) throw published()
    await this.#write(firstId, openingFields(this.#producer, this.#settings.lease), [])
    this.isOpen = true
    const index = this.#index
    if (index === undefined) return
    await this.#outage.bridge(() => this.#command('XADD', index, '*', 'id', this.#settings.id))
    await this.#keepIndex()
  }

  async append(batch: Batch): Promise<void> {
    this.#sequence += batch.count
    await this.#write(idOf({ epoch: 1, sequence: this.#sequence }), batch.field, ['NOMKSTREAM'])
  }

  async end(ending: Ending, of: Kind = 'objects', error?: Error): Promise<void> {
    if (!this.isOpen) return
    this.#isEnding = true
    const fields = endingFields(ending, { last: this.#sequence, of }, error)
    await this.#write(lastId, fields, ['NOMKSTREAM'])
    this.isOpen = false
    await this.#keep().catch(() => {})
    await this.#outage.bridge(() => this.#command('DEL', this.#keys.lease)).catch(() => {})
  }

  /** Says that the producer lives, and looks whether the log does. */
  async renew(): Promise<void> {
    if (!this.isOpen || this.#isRenewing) return
    this.#isRenewing = true
    try {
      await this.#renewalOutage.bridge(() => this.#hold())
      await this.check()
    } finally {
      this.#isRenewing = false
    }
  }

  /** Fails if somebody has ended the log. */
  async check(): Promise<void> {
    const last = await this.#renewalOutage.bridge(() => lastEntry(this.#command, this.#keys.log))
    // Meanwhile it may have been ended from here, and only the reply be missing.
    if (!this.isOpen || this.#isEnding) return
    if (!last) this.#lose()
    if (last.id === lastId) this.#giveUp(last)
  }

  /** Holds the lease; what was kept before keeps for as long as it did. */
  async #hold(): Promise<void> {
    await Promise.all([this.#setLease(), this.#keep()])
  }

  async #setLease(...when: string[]): Promise<void> {
    const lease = String(Math.ceil(this.#settings.lease))
    await this.#command('SET', this.#keys.lease, this.#producer, 'PX', lease, ...when)
  }

  /** The stream that names the answers of the conversation. */
  get #index(): string | undefined {
    const { conversation } = this.#settings
    return conversation === undefined ? undefined : Keys.conversation(this.#keys.prefix, conversation)
  }

  /** Has Redis keep the log for its time, and the conversation for at least as long. */
  async #keep(): Promise<void> {
    await Promise.all([this.#command('PEXPIRE', this.#keys.log, this.#ttl), this.#keepIndex()])
  }

  get #ttl(): string {
    return String(Math.ceil(this.#settings.ttl))
  }

  /** Another answer of the conversation may be kept for longer. */
  async #keepIndex(): Promise<void> {
    const index = this.#index
    if (index === undefined) return
    try {
      await Promise.all(['NX', 'GT'].map(when => this.#command('PEXPIRE', index, this.#ttl, when)))
    } catch (error) {
      if (!isReply(error)) throw error
      // Before version 7, Redis knows no such conditions.
      await this.#command('PEXPIRE', index, this.#ttl)
    }
  }

  /**
   * Adds an entry under its id, once. After a failure it is looked up, since only the reply may have been lost.
   */
  async #write(id: string, fields: readonly string[], options: readonly string[]): Promise<void> {
    const { log } = this.#keys
    let isAgain = false
    const added = await this.#outage.bridge(async () => {
      if (isAgain && (await this.#isWritten(id, fields))) return id
      isAgain = true
      try {
        // The lease is there before the log is, so that nobody finds a log without one; another's stays as it is.
        if (id === firstId) await this.#setLease('NX')
        const reply = await this.#command('XADD', log, ...options, id, ...fields)
        if (id === firstId) await this.#hold()
        return reply
      } catch (error) {
        // A refusal says of itself only that it is one. What is in the log says why.
        if (!mayPass(error) && (await this.#isWritten(id, fields))) return id
        throw error
      }
    })
    if (added === null) this.#lose()
  }

  #lose(): never {
    this.isOpen = false
    throw abandoned('its log is gone from Redis')
  }

  /** Whether an entry is there. Fails if it can never be, since another's is. */
  async #isWritten(id: string, fields: readonly string[]): Promise<boolean> {
    const { log } = this.#keys
    const [own] = entriesOf(await this.#command('XRANGE', log, id, id))
    if (own && fields.every((field, at) => at % 2 === 1 || own.fields[field] === fields[at + 1])) return true
    const last = await lastEntry(this.#command, log)
    if (last && (id === firstId || !isBehind(last.id, id))) this.#giveUp(last)
    return false
  }

  /** Fails with what stands in the way. */
  #giveUp(last: { id: string; fields: Readonly<Record<string, string>> }): never {
    const wasOpen = this.isOpen
    this.isOpen = false
    const entry = wasOpen ? readEntry(last) : undefined
    if (entry?.kind === 'ending') throw entry.error
    throw published()
  }
}

function published(): CompletionError {
  const message = 'another producer has, or had, this id: each answer has one of its own'
  return new CompletionError('CS_ERR_PUBLISHED', message)
}

function tooLarge(limit: number): CompletionError {
  const message = `the answer is larger than its log in Redis may be, ${limit} bytes (limit)`
  return new CompletionError('CS_ERR_LOG_TOO_LARGE', message, { limit })
}

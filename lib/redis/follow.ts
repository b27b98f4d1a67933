import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from 'node:timers'
import { isResponsesEvent } from '../chunk/fields.js'
import { isBeforeText, markResumed } from '../chunk/responses/resumed.js'
import { halfCharacterOrLineEnd } from '../encode/cut-end.js'
import { CompletionError } from '../errors.js'
import { goesToIdTaker, type IdTaker, idTakersBehind, setEventId } from '../event-id.js'
import { failInOrder } from '../fail-in-order.js'
import { longestTimer, unanswered } from '../in-time.js'
import { checkLimit, checkSignal, invalid, settled } from '../options.js'
import { type CompletionReader, readersBehind } from '../reader.js'
import { destroyOnAbort } from '../source/on-abort.js'
import type { Source } from '../stage.js'
import { isStopped, stopSignsBehind } from '../stopping.js'
import { type Command, commandOf, Outage, type RedisClient } from './connection.js'
import { eventEnds } from './event-ends.js'
import {
  abandoned,
  beginning,
  entriesOf,
  idOf,
  Keys,
  type LogEntry,
  type LogItem,
  lastId,
  type Place,
  placeOf,
  type RawEntry,
  readEntry
} from './log.js'
import { checkPrefix, defaultPrefix } from './prefix.js'
import { isBehind, lastEntry, tailOf, type Waiter } from './tail.js'

/** The options of `follow`. */
export interface FollowOptions {
  /**
   * The id of the last thing that the reader has: what a browser's `EventSource` sends as `Last-Event-ID`. Only what comes
   * behind it is emitted. Default: from the beginning.
   */
  after?: string | undefined
  /** Destroys the source. */
  signal?: AbortSignal | undefined
  /**
   * How long to wait for an answer that nobody has begun to publish, or whose log is gone, in milliseconds; while Redis is away,
   * until it can be asked. Default: 30000.
   */
  first?: number
  /**
   * How long Redis may be away, in milliseconds; then the source fails with what the client reports, or with `CS_ERR_STALLED`
   * where the client only waits. Default: 30000.
   */
  maxOutage?: number
  /** What the names of the keys in Redis begin with. Default: `completion-streams:`. */
  prefix?: string
}

/** How many entries are read at once by a reader that catches up. */
const entriesAtOnce = 32

/**
 * Emits what `publish` wrote under an id, from any process, as it was and of the same kind: bytes, texts or objects. What is
 * there comes at once, the rest as it is written. Any number of readers may follow one answer; all of a process share one
 * connection, a duplicate of the client's. A slow reader slows nobody.
 *
 * Each chunk has an id, which `respond` and `toSSE` write as the line `id:` of its event. Where they take texts directly
 * from here, each text is an event with an id, and an event `done` ends them. The end mark, `[DONE]` or `done`, has an id
 * too. A reader that comes back with an id (`after`) gets exactly what is behind it, be that the end mark alone; where
 * nothing is, `respond` and `webResponse` answer with 204, which tells an `EventSource` to come no more. Of bytes, those
 * that end an event have an id, which `toChunks` gives to the chunk; it also reads what was before, without emitting it,
 * and so judges the answer as a whole. What events of the Responses API say again of that, text or a tool call, the
 * stages behind it do not emit.
 *
 * Ends when the answer was published whole. Fails, after all that had arrived, with what the producer failed with; with
 * `CS_ERR_STOPPED` for an answer that was stopped; with `CS_ERR_ABANDONED` when its producer has died, at the latest a second
 * after its lease has lapsed; with `CS_ERR_STALLED` when nobody begins to publish it for `first` milliseconds; with
 * `CS_ERR_TRUNCATED` when Redis has lost a part of it; and with what the client reports when Redis is away for longer than
 * `maxOutage`. An `after` that is no id of the answer fails it with `CS_ERR_INVALID_OPTION`: it may come from anyone.
 *
 * With a type (`follow<Uint8Array>(redis, id)`) the caller says what was published, as `compose` must know.
 *
 * @example
 * const server = createServer((incoming, outgoing) => {
 *   const after = incoming.headers['last-event-id']?.toString()
 *   pipeline(follow(redis, 'answer-1', { after }), toChunks(), respond(outgoing)).catch(error => console.error(error.message))
 * })
 */
export function follow<Item extends Uint8Array | string | object = Uint8Array | string | object>(
  redis: RedisClient,
  id: string,
  options?: FollowOptions
): Source<Item> {
  const { after, signal, first, maxOutage, prefix } = settled('follow', options, {
    after: undefined as string | undefined,
    signal: undefined as AbortSignal | undefined,
    first: 30_000,
    maxOutage: 30_000,
    prefix: defaultPrefix
  })
  const command = commandOf(redis)
  checkPrefix(prefix)
  const keys = new Keys(prefix, id)
  const { from, refusal } = startOf(after)
  if (signal !== undefined) checkSignal(signal)
  checkLimit('first', first)
  checkLimit('maxOutage', maxOutage)
  const follower = new Follower(redis, command, keys, { from, refusal, first, maxOutage })
  follower.source.once('close', destroyOnAbort(follower.source, signal))
  // What was published is the caller's word.
  return follower.source as Source<Item>
}

/** Where a reader begins. A wrong id may come from anyone, and is to fail one answer, not whoever begins to read it. */
function startOf(after: string | undefined): Pick<Settings, 'from' | 'refusal'> {
  if (after === undefined || after === '') return { from: beginning }
  try {
    return { from: placeOf(after) }
  } catch (error) {
    if (typeof after !== 'string') throw error
    return { from: beginning, refusal: error as Error }
  }
}

interface Identified {
  readonly item: LogItem
  readonly id: string | undefined
}

interface Settings {
  readonly from: Place | 'end'
  /** Why there is nothing to read. */
  readonly refusal?: Error | undefined
  readonly first: number
  readonly maxOutage: number
}

/**
 * One reader of one log. It catches up with a read of its own, and then waits at the end with all others; when its
 * buffer is full, it leaves them, and catches up again later.
 */
class Follower implements Waiter {
  readonly source: Readable
  readonly key: string
  /** The id of the last entry that was read. */
  last = '0-0'
  lease: { key: string; duration: number } | undefined
  readonly #command: Command
  readonly #keys: Keys
  readonly #redis: RedisClient
  readonly #settings: Settings
  readonly #outage: Outage
  /** Up to which place the reader has everything. */
  #has: number
  /** How much of the log has been read. */
  #sequence = 0
  /** What has been read and was not wanted yet. */
  #ready: RawEntry[] = []
  /** What is left of the entry that is being emitted. */
  #items: Iterator<Identified> | undefined
  /** A text that ends within a character or a line end: an event holds whole ones. */
  #half: Identified | undefined
  #readers: CompletionReader[] = []
  #goesToIdTaker = false
  #idTakers: IdTaker[] = []
  /** The last thing that the reader has, as far as it was read again. */
  #recalled: LogItem | undefined
  #hasEmitted = false
  #hasBegun = false
  #isWanted = false
  #isReading = false
  #isWaiting = false
  #isRetaining = false
  #isOver = false
  #awaySince: number | undefined
  #firstTimer: ReturnType<typeof setTimeout> | undefined
  /** Whether the answer is to be there at the next look, since the time for its beginning is over. */
  #isDue = false

  constructor(redis: RedisClient, command: Command, keys: Keys, settings: Settings) {
    this.#redis = redis
    this.#command = command
    this.#keys = keys
    this.#settings = settings
    this.#outage = new Outage(settings.maxOutage)
    this.key = keys.log
    this.#has = settings.from === 'end' ? Number.POSITIVE_INFINITY : settings.from.sequence
    this.source = new Readable({
      objectMode: true,
      highWaterMark: 16,
      read: () => {
        this.#isWanted = true
        this.#goOn()
      },
      destroy: (error, callback) => {
        this.#leave()
        callback(error)
      }
    })
  }

  /** Takes entries of the read that all share. */
  take(entries: readonly RawEntry[]): void {
    for (const entry of entries) {
      if (!isBehind(this.last, entry.id)) continue
      this.#ready.push(entry)
      this.last = entry.id
    }
    this.#deliver()
  }

  onOutage(error: unknown): void {
    this.#awaySince ??= Date.now()
    const { maxOutage } = this.#settings
    if (Date.now() - this.#awaySince >= maxOutage) this.fail((error as Error) ?? unanswered(maxOutage))
  }

  onReturn(): void {
    this.#awaySince = undefined
  }

  fail(error: Error): void {
    if (this.#isOver) return
    this.#leave()
    if (this.source.destroyed) return
    this.#emitHalf()
    failInOrder(this.source, error, () => void this.source.push(null))
  }

  #goOn(): void {
    const { refusal } = this.#settings
    if (refusal) return this.fail(refusal)
    if (!this.#hasBegun) this.#begin()
    this.#deliver()
    if (this.#isOver || !this.#isWanted || this.#isReading || this.#isWaiting) return
    this.#isReading = true
    this.#catchUp().then(
      () => {
        this.#isReading = false
        this.#deliver()
        if (this.#isWanted) this.#goOn()
      },
      error => this.fail(error)
    )
  }

  #begin(): void {
    this.#hasBegun = true
    this.#readers = readersBehind(this.source)
    this.#goesToIdTaker = goesToIdTaker(this.source)
    this.#idTakers = idTakersBehind(this.source)
    for (const taker of this.#idTakers) taker.isReturning = this.#isReturning
    tailOf(this.#redis).retain()
    this.#isRetaining = true
    for (const sign of stopSignsBehind(this.source)) sign.onStop(() => this.#stopOnce())
    const { first } = this.#settings
    if (first <= longestTimer) this.#firstTimer = setTimeout(() => this.#lookAtLast(), first)
  }

  /** While Redis was away, the answer may have begun: only a look can say that it has not. */
  #lookAtLast(): void {
    this.#isDue = true
    this.#stopWaiting()
    this.#goOn()
  }

  /** Reads what there is, and waits for more where there is nothing. */
  async #catchUp(): Promise<void> {
    if (this.#ready.length > 0 || this.#items) return
    const { from } = this.#settings
    // What came before has a say in whether the answer is whole, for which it is read again.
    if (!this.lease && from !== beginning && this.#readers.length === 0) await this.#skipTo(from)
    if (this.#isOver) return
    const reply = await this.#outage.bridge(tries => {
      // A connection that breaks again and again may carry a little each time.
      const count = String(Math.max(entriesAtOnce >> tries, 1))
      return this.#command('XRANGE', this.key, `(${this.last}`, '+', 'COUNT', count)
    })
    const entries = entriesOf(reply)
    if (this.#isOver) return
    if (entries.length > 0) return this.take(entries)
    // Who has a part of it knows that it had begun. Behind a crash of Redis, its producer may write it once more.
    if (this.#isDue)
      return this.fail(
        this.#isReturning ? abandoned('its log is gone from Redis') : notBegun(this.#settings.first)
      )
    this.#isWaiting = true
    tailOf(this.#redis).add(this)
  }

  get #isReturning(): boolean {
    return this.#settings.from !== beginning
  }

  /** Begins with the last thing that the reader has. The first entry says how long a lease holds. */
  async #skipTo(from: Place | 'end'): Promise<void> {
    const [opening] = entriesOf(
      await this.#outage.bridge(() => this.#command('XRANGE', this.key, '-', '+', 'COUNT', '1'))
    )
    if (!opening) return
    this.#read(opening)
    if (from === 'end') {
      this.#sequence = Number.POSITIVE_INFINITY
      const ending = await this.#outage.bridge(() => lastEntry(this.#command, this.key))
      if (ending?.id === lastId) this.take([ending])
    } else {
      const before = idOf({ epoch: from.epoch, sequence: Math.max(from.sequence - 1, 0) })
      if (isBehind(this.last, before)) this.last = before
      this.#sequence = from.sequence
    }
  }

  #deliver(): void {
    try {
      while (this.#isWanted && !this.#isOver) {
        const next = this.#items?.next()
        if (next && !next.done) this.#emit(next.value)
        else {
          this.#items = undefined
          const entry = this.#ready.shift()
          if (!entry) return
          this.#read(entry)
        }
      }
    } catch (error) {
      this.fail(error as Error)
    }
    // What is behind stays in Redis until there is room for it.
    if (!this.#isWanted) this.#stopWaiting()
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    // Nobody tells whoever does not wait that Redis is back.
    this.#awaySince = undefined
    tailOf(this.#redis).remove(this)
  }

  #read(raw: RawEntry): void {
    const entry = readEntry(raw)
    clearTimeout(this.#firstTimer)
    this.#isDue = false
    if (entry.kind === 'ending') this.#end(entry)
    else if (entry.kind === 'opening') {
      const { from } = this.#settings
      if (from !== 'end' && from !== beginning && from.epoch !== entry.place.epoch) throw notHad(from)
      this.lease = { key: this.#keys.lease, duration: entry.lease }
      if (isBehind(this.last, raw.id)) this.last = raw.id
    } else if (entry.start > this.#sequence) throw lostInRedis(this.#sequence, entry.start)
    else {
      // The first entry of those behind `after` may begin before it.
      this.#sequence = Math.max(this.#sequence, entry.place.sequence)
      this.#items = this.#newItemsOf(entry)
    }
  }

  /** The items of an entry that the reader does not have, with their ids. */
  *#newItemsOf({ place: { epoch }, start, items }: LogEntry & { kind: 'items' }): Generator<Identified> {
    let sequence = start
    for (const item of items) {
      if (item instanceof Uint8Array) {
        yield* this.#newPiecesOf(item, { epoch, sequence })
        sequence += item.length
      } else if (++sequence > this.#has) yield { item, id: idOf({ epoch, sequence }) }
      else this.#recall(item)
    }
  }

  /** Bytes in pieces that end where an event does: there an id is of use. */
  *#newPiecesOf(bytes: Uint8Array, { epoch, sequence }: Place): Generator<Identified> {
    const start = Math.min(Math.max(this.#has - sequence, 0), bytes.length)
    if (start > 0) this.#recall(bytes.subarray(0, start))
    const rest = bytes.subarray(start)
    for (const { begin, end, isEvent } of eventEnds(rest)) {
      const id = isEvent ? idOf({ epoch, sequence: sequence + start + end }) : undefined
      yield { item: rest.subarray(begin, end), id }
    }
  }

  #emit(next: Identified): void {
    const { item, id } = next
    const isFirst = !this.#hasEmitted && this.#isReturning
    this.#hasEmitted = true
    if (typeof item === 'string' && this.#goesToIdTaker) return this.#emitEvent(next)
    if (typeof item !== 'string') {
      if (id !== undefined) setEventId(item, id)
      if (isFirst && !isBeforeText(Object(this.#recalled))) markResumed(item, 'unknown')
    }
    this.#push(item)
  }

  #emitEvent({ item, id }: Identified): void {
    const data = `${this.#half?.item ?? ''}${item}`
    this.#half = halfCharacterOrLineEnd.test(data) ? { item: data, id } : undefined
    if (!this.#half) this.#push({ data, id })
  }

  /** Nothing comes that completes it. */
  #emitHalf(): void {
    if (this.#half) this.source.push({ data: this.#half.item, id: this.#half.id })
    this.#half = undefined
  }

  #push(item: LogItem): void {
    // More may be asked for while it is passed on.
    this.#isWanted = false
    if (this.source.push(item)) this.#isWanted = true
  }

  #recall(item: LogItem): void {
    this.#recalled = item
    for (const reader of this.#readers) reader.recall?.(item)
  }

  #end({ ending, last, of, error }: LogEntry & { kind: 'ending' }): void {
    if (ending !== 'complete') return this.fail(error)
    const { from } = this.#settings
    if (last !== undefined && this.#sequence < last) throw lostInRedis(this.#sequence, last)
    if (last !== undefined && from !== 'end' && from.sequence > last) throw notHad(from)
    const isMarkLeft = from !== 'end' && this.#isReturning && this.#hasEndMark
    for (const taker of this.#idTakers) Object.assign(taker, { endId: lastId, isMarkLeft })
    this.#leave()
    this.#emitHalf()
    // By it, a browser tells a text that is whole from one that was cut.
    if (of === 'texts' && this.#goesToIdTaker && from !== 'end')
      this.source.push({ event: 'done', data: '[DONE]', id: lastId })
    this.source.push(null)
  }

  /** Whether an answer of which nothing is left but that has an end mark, as those in chunks with choices do. */
  get #hasEndMark(): boolean {
    return this.#readers.length > 0
      ? this.#readers.some(({ hasEndMark }) => hasEndMark)
      : this.#recalled !== undefined && isChunkWithChoices(this.#recalled)
  }

  /** A stage behind wants no more: ends in good order. */
  #stopOnce(): void {
    if (this.#isOver || this.source.destroyed || !isStopped(this.source)) return
    this.#leave()
    this.source.push(null)
  }

  #leave(): void {
    this.#isOver = true
    this.#outage.end()
    this.#ready = []
    this.#items = undefined
    clearTimeout(this.#firstTimer)
    if (!this.#isRetaining) return
    this.#isRetaining = false
    const tail = tailOf(this.#redis)
    tail.remove(this)
    tail.release()
  }
}

/** Whether an item is neither bytes, nor text, nor an event, nor of a response. */
function isChunkWithChoices(item: LogItem): boolean {
  if (typeof item === 'string' || item instanceof Uint8Array) return false
  return !isResponsesEvent(item) && !('data' in item)
}

function notHad(from: Place): CompletionError {
  return invalid('after', idOf(from), 'an id of this answer: it has no such one')
}

function notBegun(limit: number): CompletionError {
  const message = `nobody has begun to publish the answer within ${limit} ms (first)`
  return new CompletionError('CS_ERR_STALLED', message, { timeLimit: 'first', limit })
}

function lostInRedis(sequence: number, start: number): CompletionError {
  const message = `a part of the answer is missing in Redis, from ${sequence} to ${start}: it did not keep what it had taken`
  return new CompletionError('CS_ERR_TRUNCATED', message)
}

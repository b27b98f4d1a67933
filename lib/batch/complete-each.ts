import { Transform } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { AbortError } from '../failure/abort-error.js'
import {
  checkBoolean,
  checkFunction,
  checkIndex,
  checkOneOf,
  checkSignal,
  invalid,
  settled
} from '../options.js'
import { expectErrorUnread, onAbort } from '../source/on-abort.js'
import type { CompletionClient, CompletionParams } from '../source/request.js'
import { type Stage, usedOnce } from '../stage.js'
import { Journal } from './journal.js'
import { RateLimiter } from './rate-limits.js'
import { askRow, type RowRecord } from './row.js'
import { checkAsked, checkRowOptions, type RowOptions, refused, rowDefaults, rowOf } from './row-options.js'

export type { RateLimits } from './rate-limits.js'
export type { RowError, RowRecord } from './row.js'

/** How far a batch is. */
export interface BatchProgress {
  /** Rows that have an answer. */
  done: number
  /** Rows that failed for good. */
  failed: number
  /** Rows, of those, that the journal had already. */
  resumed: number
  /** Rows that are being asked. */
  inFlight: number
  /** Attempts that failed and were made again. */
  retried: number
  /** Tokens of all attempts of this run, as far as they were reported. */
  tokens: number
  /** Milliseconds since the first row. */
  elapsed: number
  /** Milliseconds to the end, at the pace so far; undefined without `total`. */
  left: number | undefined
}

/** The options of `completeEach`. */
export interface BatchOptions<Row> extends RowOptions<Row> {
  /**
   * Whether records come as rows are done, or in the order of the rows; then at most 1000 finished ones wait for a slow one,
   * or `concurrency` if that is more. Default: `done`.
   */
  order?: 'done' | 'input'
  /**
   * By what a row is known in the journal and its record; each key may come once. It says alone whether a row has been
   * finished, so a row that is to be asked anew when it changes needs another key. Default: its place in the input, from 0;
   * a row that is another one than the journal has for its place is then a `CS_ERR_JOURNAL`.
   */
  key?: (row: Row, index: number) => string
  /** A file of the finished rows: the same program run again asks for none of them twice. Default: none. */
  journal?: string
  /** What the journal belongs to. Default: an empty name. */
  run?: string
  /**
   * Whether a row that fails for good gives a record with its error, or fails the batch, with the error itself, which then
   * has the key of the row as `row`. Such a failure is not kept in the journal, and one that was kept is asked again.
   * Default: `emit`.
   */
  onFailure?: 'emit' | 'fail'
  /**
   * Whether rows that failed in an earlier run are asked again; of the records of a key in a journal, the last one counts.
   * Default: false, a row that failed is finished.
   */
  retryFailed?: boolean
  /** How many rows there are, for the time left. Default: not known. */
  total?: number
  /** Called when a row is finished, or was found in the journal. What it fails with fails the batch. Default: nobody is told. */
  onProgress?: (progress: BatchProgress) => void
  /** Ends the batch: what is in flight is aborted, what is finished is in the journal. Default: none. */
  signal?: AbortSignal
}

/** So many finished rows may wait for the one before them. */
const mostHeld = 1000

/** So long rows may follow one another within one turn of the event loop, in milliseconds. */
const longestTurn = 50

/**
 * Reads rows and asks for a completion of each: emits a record per row, with the answer or with what it failed with for good.
 * `paramsOf` makes the parameters of a row's request. No row is lost and none is doubled; a slow sink stops the requests, a
 * slow provider stops the reading, and memory does not grow with the number of rows (with a journal, by the keys).
 *
 * Failures that may pass are tried again, after what the provider asks to wait or longer and longer: nothing of the answer
 * was shown, so that an answer that was cut may be asked for anew. With a `journal`, a row is on the disk before its record is
 * emitted, and the same program run again emits it from there. At the end the journal must hold them all.
 *
 * Fails, after the records that came before have been taken, with what every row would fail with: a key that is refused, an
 * address or a model that does not exist, a balance that is used up. With `CS_ERR_JOURNAL` for a journal that is none, is of
 * another run, in use, or was deleted while the batch ran, for a key that comes twice, and, without the option `key`, for a
 * row that has changed since; with the first failure of a row where `onFailure` is `fail`. With `CS_ERR_INVALID_OPTION`,
 * which names the key of the row, where `paramsOf` throws (its error is the `cause`) or gives no parameters, where `estimate`
 * gives no number or `through` no streams, and for a row that JSON cannot hold where there is a journal; with what another
 * callback throws.
 *
 * @example
 * const rows = Readable.from([{ id: 'a', text: 'Hello?' }])
 * const answers = completeEach(client, (row: { text: string }) => ({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: row.text }] }), { concurrency: 8 })
 * await pipeline(rows, answers, toNDJSON(), createWriteStream('answers.ndjson'))
 */
export function completeEach<Row>(
  client: CompletionClient,
  paramsOf: (row: Row) => CompletionParams | PromiseLike<CompletionParams>,
  given?: BatchOptions<Row>
): Stage<Row, RowRecord<Row>> {
  checkAsked(client, paramsOf)
  const options = settled<Required<Omit<BatchOptions<Row>, Optional>> & Pick<BatchOptions<Row>, Optional>>(
    'completeEach',
    given,
    {
      ...rowDefaults,
      order: 'done',
      key: placeOf,
      journal: undefined,
      run: '',
      onFailure: 'emit',
      retryFailed: false,
      total: undefined,
      onProgress: () => {},
      signal: undefined
    }
  )
  checkOptions(options)
  const { concurrency, order, key: keyOf, onFailure, retryFailed, total, onProgress } = options
  const limiter = new RateLimiter(options.limits)
  const controller = new AbortController()
  const settings = {
    ...options,
    client,
    paramsOf,
    onRetry(told: Parameters<typeof options.onRetry>[0]) {
      retried++
      return options.onRetry(told)
    }
  }
  let start: number | undefined
  let turnAt = 0
  let turning: Promise<void> | undefined
  let opening: Promise<Journal | undefined> | undefined
  let journal: Journal | undefined
  let closing: Promise<void> | undefined
  /** The keys of this run, where a journal goes by them. */
  const keys = new Set<string>()
  /** Finished rows, or failures that are to end the batch, which wait for the row before them. */
  const held = new Map<number, Held<Row>>()
  let taken = 0
  let emitted = 0
  let inFlight = 0
  let [done, failed, resumed, retried, tokens] = [0, 0, 0, 0, 0]
  let isFull = false
  /** One that waits for its turn has failed the batch: no more rows are taken. */
  let isEnding = false
  let isOver = false
  /** Asks for the next row. */
  let next: (() => void) | undefined
  let finish: (() => void) | undefined

  function goOn(): void {
    if (isOver) return
    if (finish && inFlight === 0 && held.size === 0) return finish()
    if (!next || isEnding || inFlight >= concurrency || isFull) return
    // All that are in flight but the first one may be done before it.
    if (order === 'input' && held.size + inFlight > Math.max(mostHeld, concurrency)) return
    const call = next
    next = undefined
    call()
  }

  function emit(index: number, item: Held<Row>): void {
    inFlight--
    if (order === 'done') return give(item)
    if ('failure' in item) isEnding = true
    held.set(index, item)
    for (let due = held.get(emitted); due && !isOver; due = held.get(emitted)) {
      held.delete(emitted++)
      give(due)
    }
  }

  function give(item: Held<Row>): void {
    if ('failure' in item) fail(item.failure)
    else push(item.record)
  }

  function push(record: RowRecord<Row>): void {
    if (record.error === undefined) done++
    else failed++
    if (!stream.push(record)) isFull = true
    const elapsed = performance.now() - (start ?? 0)
    const all = done + failed
    const asked = all - resumed
    const left = total === undefined || asked === 0 ? undefined : (elapsed / asked) * Math.max(total - all, 0)
    const told: unknown = onProgress({
      done,
      failed,
      resumed,
      inFlight,
      retried,
      tokens,
      elapsed,
      left
    })
    // A function without a result may be an async one.
    if (told instanceof Promise) told.catch(fail)
  }

  /** Waits for the next turn of the event loop, with all others that wait for it. */
  function turn(): Promise<void> {
    turning ??= nextTurn().then(() => {
      turnAt = performance.now()
      turning = undefined
    })
    return turning
  }

  async function complete(row: Row, index: number): Promise<void> {
    // Rows that are answered without a network, as in a test, would let neither a timer nor a signal come about.
    if (performance.now() - turnAt > longestTurn) await turn()
    opening ??=
      options.journal === undefined
        ? Promise.resolve(undefined)
        : Journal.open(options.journal, options.run, controller.signal)
    journal = await opening
    const key = keyOf(row, index)
    if (typeof key !== 'string') throw refused('key', key, 'a function that gives a text for each row')
    if (journal) {
      if (keys.has(key)) throw new CompletionError('CS_ERR_JOURNAL', 'two rows have the same key', { index })
      keys.add(key)
    }
    const kept = await journal?.get<RowRecord<Row>>(key)
    const isFinished = kept !== undefined && !(kept.error && (retryFailed || onFailure === 'fail'))
    // Made before the row is asked, since JSON may not hold it: what goes into the journal, or is compared with what is there.
    const json = journal && (!isFinished || keyOf === placeOf) ? jsonOf(row, rowOf(key)) : undefined
    if (kept && keyOf === placeOf && !isDeepStrictEqual(kept.row, parsed(json))) throw changedRow(key, index)
    if (isFinished) {
      resumed++
      // Of a row, JSON keeps less than the program has.
      if (!isOver) emit(index, { record: { ...kept, row } })
      return
    }
    const { record, failure } = await askRow(key, row, settings, limiter, controller.signal)
    if (isOver) return
    tokens += record.tokens?.total ?? 0
    if (record.error && onFailure === 'fail') return emit(index, { failure: failureOf(failure, key) })
    await journal?.add(key, lineOf(record, json))
    if (!isOver) emit(index, { record })
  }

  /** Closes the journal, once. */
  function close(): Promise<void> {
    closing ??= journal ? journal.close() : Promise.resolve(opening).then(opened => opened?.close())
    return closing
  }

  function fail(error: unknown): void {
    if (isOver) return
    isOver = true
    controller.abort()
    failInOrder(stream, error)
  }

  const stream = new Transform({
    objectMode: true,
    writableHighWaterMark: 1,
    read(size) {
      isFull = false
      goOn()
      Transform.prototype._read.call(this, size)
    },
    transform(row: Row, _encoding, callback) {
      if (isOver) return
      if (start === undefined) {
        start = performance.now()
        turnAt = start
      }
      inFlight++
      complete(row, taken++).then(goOn, fail)
      next = callback
      goOn()
    },
    flush(callback) {
      finish = () => {
        finish = undefined
        // A batch is not done where nothing would know of its rows. When the pipeline is done, another may have the journal.
        Promise.resolve(journal?.confirm())
          .then(close)
          .then(() => callback(), fail)
      }
      goOn()
    },
    destroy(error, callback) {
      isOver = true
      stopWaiting()
      controller.abort()
      // What is wrong with the journal has been told.
      close().then(
        () => callback(error),
        () => callback(error)
      )
    }
  })
  const stopWaiting = options.signal
    ? onAbort(options.signal, () => {
        expectErrorUnread(stream)
        fail(new AbortError(undefined, options.signal?.reason))
      })
    : () => {}
  return usedOnce('completeEach', stream)
}

function placeOf(_row: unknown, index: number): string {
  return String(index)
}

/** What is to come out at the place of a row. */
type Held<Row> = { record: RowRecord<Row> } | { failure: unknown }

/** What is given as JSON, and undefined for what JSON leaves out. */
function jsonOf(value: unknown, name: string): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    const message = `${name} cannot be kept in a journal, since JSON cannot hold it: see \`cause\``
    throw new CompletionError('CS_ERR_INVALID_OPTION', message, { cause })
  }
}

/** A row as the journal gives it back. */
function parsed(json: string | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json)
}

/** A record as JSON, of whose row the JSON is there already: it may be large. */
function lineOf({ row, ...rest }: RowRecord, json: string | undefined): string {
  const text = jsonOf(rest, `the record of ${rowOf(rest.key)}`) as string
  return json === undefined ? text : `${text.slice(0, -1)},"row":${json}}`
}

/** What a row failed with, and which row it was. */
function failureOf(failure: unknown, key: string): unknown {
  const error = typeof failure === 'object' && failure !== null ? failure : new Error(String(failure))
  if (Object.isExtensible(error))
    Object.defineProperty(error, 'row', { value: key, enumerable: true, configurable: true, writable: true })
  return error
}

/** By their places, rows that have moved or changed would get the answers of others. */
function changedRow(key: string, index: number): CompletionError {
  const message = `${rowOf(key)} is not the row that the journal has there: the rows have changed since. Begin another journal, or name each row with the option key`
  return new CompletionError('CS_ERR_JOURNAL', message, { index })
}

/** The options that have no default. */
type Optional = 'journal' | 'timeLimits' | 'request' | 'total' | 'signal'

function checkOptions<Row>(options: BatchOptions<Row>): void {
  const { total, retryFailed = false } = options
  checkRowOptions('completeEach', options)
  checkOneOf('order', options.order ?? 'done', ['done', 'input'])
  checkOneOf('onFailure', options.onFailure ?? 'emit', ['emit', 'fail'])
  checkBoolean('retryFailed', retryFailed)
  for (const name of ['key', 'onProgress'] as const) checkFunction(name, options[name] as () => unknown)
  for (const name of ['journal', 'run'] as const) {
    const text = options[name]
    if (text !== undefined && typeof text !== 'string') throw invalid(name, text, 'a text')
    if (name === 'journal' && text === '') throw invalid(name, text, 'the name of a file')
  }
  if (total !== undefined) checkIndex('total', total)
  if (options.signal !== undefined) checkSignal(options.signal)
}

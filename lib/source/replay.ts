import { Readable } from 'node:stream'
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { AbortError } from '../failure/abort-error.js'
import { longestTimer } from '../in-time.js'
import { checkIndex, checkLimit, checkSignal, settled } from '../options.js'
import type { Entry, Head } from '../recording/format.js'
import { bytesOf, checkRecordingFile, EntryReader, type RecordingFile } from '../recording/read.js'
import { errorOf } from '../recording/recorded-error.js'
import type { Source } from '../stage.js'
import { isStopped, stopSignsBehind } from '../stopping.js'
import { destroyOnAbort } from './on-abort.js'
import { refusal } from './response/refusal.js'
import { tellHead } from './response/response-head.js'

export type { RecordingFile } from '../recording/read.js'

/** The options of `replay`. */
export interface ReplayOptions {
  /** How many times faster than it was recorded; `Infinity` for no waiting at all. Default: 1. */
  speed?: number
  /** Which recording of a file that several were appended to, from 0. Default: 0. */
  index?: number
  /** Destroys the source. */
  signal?: AbortSignal
}

/** How many bytes of the file are read at once where nothing waits: thousands may be played then at the same time. */
const smallBlock = 16 * 1024

/** What is due in less than this, in milliseconds, is due: a timer cannot be set for less than one. */
const soon = 0.5

/**
 * Emits the bytes of a recording that `record` wrote, packed with gzip or not: the same pieces, cut as they were, at the
 * same times since the first read. It ends as the recorded stream did: in good order, or with the same failure, after all
 * pieces have been taken. An answer with a status outside 2xx fails as it does in `fromResponse`.
 *
 * What is late, since the reader was slow, is emitted at once. Fails with `CS_ERR_TRUNCATED` when the recording has no end,
 * since the process that wrote it died; with `CS_ERR_INVALID_RECORDING` for a file that is none, or is damaged, after what
 * stands before the damage; with Node's error for a file that cannot be read.
 *
 * @example
 * await pipeline(request, record(createWriteStream('answer.ndjson')), drain())
 * await pipeline(replay('answer.ndjson', { speed: 10 }), toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function replay(file: RecordingFile, options?: ReplayOptions): Source<Uint8Array> {
  const { speed, index, signal } = settled('replay', options, {
    speed: 1,
    index: 0,
    signal: undefined as AbortSignal | undefined
  })
  checkRecordingFile(file)
  checkLimit('speed', speed)
  checkIndex('index', index)
  if (signal !== undefined) checkSignal(signal)
  const reader = new EntryReader(index)
  const blocks = speed === Number.POSITIVE_INFINITY ? bytesOf(file, smallBlock) : bytesOf(file)
  let lines: string[] = []
  let place = 0
  /** The entry that waits for its time. */
  let entry: Entry | undefined
  /** The lines behind those at hand: they are read while those are played, so that no piece waits for the file. */
  let next: Promise<string[] | undefined> | undefined
  let start: number | undefined
  let head: Head | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let immediate: ReturnType<typeof setImmediate> | undefined
  let isWanted = false
  let isWaiting = false
  let hasEnded = false
  let isOver = false

  async function load(): Promise<string[] | undefined> {
    if (reader.isOver) return undefined
    const { done, value } = await blocks.next()
    return done ? undefined : reader.linesOf(value)
  }

  function loadAhead(): Promise<string[] | undefined> {
    next = load()
    // It is awaited later, and must not be an unhandled rejection until then.
    next.catch(() => {})
    return next
  }

  /** Plays what is due, as long as it is wanted. */
  function play(): void {
    try {
      if (start === undefined) {
        start = performance.now()
        for (const sign of stopSignsBehind(source)) sign.onStop(stopOnce)
      }
      while (isWanted && !isWaiting && !isOver && !source.destroyed) {
        while (!entry && place < lines.length) entry = reader.entryIn(lines[place++] ?? '')
        if (!entry) return loadMore()
        if (
          speed !== Number.POSITIVE_INFINITY &&
          entry.kind !== 'beginning' &&
          !isDue(start + entry.at / speed)
        )
          return
        const due = entry
        entry = undefined
        take(due)
      }
    } catch (error) {
      // A line that is none.
      fail(error)
    }
  }

  function loadMore(): void {
    isWaiting = true
    const loading = next ?? loadAhead()
    loading
      .then(more => {
        isWaiting = false
        lines = more ?? []
        place = 0
        if (more) loadAhead()
        else if (hasEnded) return fail(brokenOff())
        else {
          hasEnded = true
          entry = reader.end()
        }
        play()
      })
      .catch(fail)
  }

  function take(entry: Entry): void {
    if (entry.kind === 'head') {
      head = entry
      tellHead(source, { status: entry.status, headers: entry.headers, at: performance.now() })
    } else if (entry.kind === 'piece') {
      if (head && (head.status < 200 || head.status > 299)) refuse(head, entry.bytes)
      else isWanted = source.push(entry.bytes)
    } else if (entry.kind === 'end') {
      if (entry.error) fail(errorOf(entry.error))
      else if (entry.end !== 'end') fail(new AbortError())
      else {
        isOver = true
        source.push(null)
      }
    }
  }

  /** Fails with the error for an answer that was refused, of its recorded body. */
  function refuse({ status, headers }: Head, body: Uint8Array): void {
    fail(refusal(Buffer.from(body).toString(), status, headers))
  }

  function fail(error: unknown): void {
    isOver = true
    if (!source.destroyed) failInOrder(source, error, () => void source.push(null))
  }

  /** A stage behind wants no more: ends in good order. */
  function stopOnce(): void {
    if (isOver || source.destroyed || !isStopped(source)) return
    isOver = true
    clearTimeout(timer)
    source.push(null)
  }

  /** Whether a time has come; if not, plays on when it has. */
  function isDue(time: number): boolean {
    const left = time - performance.now()
    if (left <= soon) return true
    isWaiting = true
    const goOn = () => {
      isWaiting = false
      play()
    }
    // A timer may fire a millisecond late, so the last one is left to the event loop.
    if (left < 1) immediate = setImmediate(goOn)
    else timer = setTimeout(goOn, Math.min(Math.floor(left), longestTimer))
    return false
  }

  const source = new Readable({
    objectMode: true,
    highWaterMark: 16,
    read() {
      isWanted = true
      play()
    },
    destroy(error, callback) {
      stopWaiting()
      clearTimeout(timer)
      clearImmediate(immediate)
      blocks.return(undefined).catch(() => {})
      callback(error)
    }
  }) as Source<Uint8Array>
  const stopWaiting = destroyOnAbort(source, signal)
  return source
}

function brokenOff(): CompletionError {
  const message = 'the recording has no end: the process that wrote it did not live to see it'
  return new CompletionError('CS_ERR_TRUNCATED', message)
}

import { Readable } from 'node:stream'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { AbortError } from '../abort-error.js'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { checkIndex, checkLimit, checkSignal, settled } from '../options.js'
import { type Entry, errorOf, type Head } from '../recording/format.js'
import { bytesOf, checkRecordingFile, entriesOf, type RecordingFile } from '../recording/read.js'
import type { Source } from '../stage.js'
import { onAbort } from './on-abort.js'
import { refusal } from './refusal.js'
import { tellHead } from './response-head.js'

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

/** Node's timers fire at once when they are set for longer than this. */
const longestDelay = 2 ** 31 - 1

/** What is due in less than this, in milliseconds, is due: a timer cannot be set for less than one. */
const soon = 0.5

/**
 * Emits the bytes of a recording that `record` wrote, packed with gzip or not: the same pieces, cut as they were, at the
 * same times since the first read. It ends as the recorded stream did: in good order, or with the same failure, after all
 * pieces have been taken. An answer with a status outside 2xx fails as it does in `fromResponse`.
 *
 * What is late, since the reader was slow, is emitted at once. Fails with `CS_ERR_TRUNCATED` when the recording has no end,
 * since the process that wrote it died; with `CS_ERR_INVALID_RECORDING` for a file that is none; with Node's error for a
 * file that cannot be read.
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
  const leaving = new AbortController()
  let pieces: AsyncGenerator<Uint8Array> | undefined

  async function* played(): AsyncGenerator<Uint8Array> {
    const start = performance.now()
    const entries = entriesOf(bytesOf(file), index)
    for await (const entry of entries) {
      if (entry.kind === 'beginning') continue
      if (speed !== Number.POSITIVE_INFINITY) await waitUntil(start + entry.at / speed, leaving.signal)
      if (entry.kind === 'piece') yield entry.bytes
      else if (entry.kind === 'head') {
        const { status, headers } = entry
        tellHead(source, { status, headers, at: performance.now() })
        if (status < 200 || status > 299) throw await refusalOf(entry, entries)
      } else if (entry.error) throw errorOf(entry.error)
      else if (entry.end === 'end') return
      else throw new AbortError()
    }
    const message = 'the recording has no end: the process that wrote it did not live to see it'
    throw new CompletionError('CS_ERR_TRUNCATED', message)
  }

  const source = new Readable({
    objectMode: true,
    highWaterMark: 16,
    read() {
      pieces ??= played()
      pieces.next().then(
        ({ done, value }) => {
          if (!source.destroyed) source.push(done ? null : value)
        },
        error => {
          if (!source.destroyed) failInOrder(source, error)
        }
      )
    },
    destroy(error, callback) {
      stopWaiting()
      leaving.abort()
      pieces?.return(undefined).catch(() => {})
      callback(error)
    }
  }) as Source<Uint8Array>
  const stopWaiting = signal
    ? onAbort(signal, () => void source.destroy(new AbortError(undefined, signal.reason)))
    : () => {}
  return source
}

async function waitUntil(time: number, signal: AbortSignal): Promise<void> {
  for (let left = time - performance.now(); left > soon; left = time - performance.now()) {
    // A timer may fire almost a millisecond late, so the last one is left to the event loop.
    if (left < 1) await setImmediate(undefined, { signal })
    else await setTimeout(Math.min(Math.floor(left), longestDelay), undefined, { signal })
  }
}

/** The error for an answer that was refused, of its recorded body. */
function refusalOf({ status, headers }: Head, entries: AsyncIterator<Entry>): Promise<CompletionError> {
  const read = async () => {
    const { done, value } = await entries.next()
    return !done && value.kind === 'piece' ? value.bytes : undefined
  }
  return refusal({ read, cancel: () => {} }, status, headers)
}

import { type Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { beside } from '../on-its-way.js'
import { checkBoolean, checkOneOf, invalid, settled, show } from '../options.js'
import { type Ending, type Entry, endingOf, lineOf } from '../recording/format.js'
import { recordedError } from '../recording/recorded-error.js'
import { asSink, endInTime, endSink, isPrematureClose, watchSink, writeTo } from '../sink.js'
import { headersOf, isSecretHeader } from '../source/response/headers.js'
import { headOf } from '../source/response/response-head.js'
import { type Bytes, type Stage, stage } from '../stage.js'
import { isStopped } from '../stopping.js'
import { refusedAnswer } from './refused-answer.js'

/** The options of `record`. */
export interface RecordOptions {
  /**
   * Which headers of the response are kept: `'safe'`, all but those whose names speak of cookies, authorization, keys, tokens
   * and the like; `'all'`; `'none'`; or those of a list of names. Default: `'safe'`.
   */
  headers?: 'safe' | 'all' | 'none' | readonly string[]
  /** Whether the recording is packed. Each piece is still readable once it is written. Default: false. */
  gzip?: boolean
  /** What happens when the sink fails: the stream fails too, or goes on without a recording. Default: `fail`. */
  onError?: 'fail' | 'detach'
}

/** The stage that `record` returns. */
export interface RecordStage extends Stage<Bytes, Bytes> {
  /** What the sink failed with, when the stream went on without it (`onError: 'detach'`). */
  readonly detached: Error | undefined
}

/** How much may wait in the sink before the stream waits too, in characters of the recording. */
const mostHeld = 1024 * 1024

/**
 * Passes bytes on unchanged, and keeps in the sink what came when: each piece with its time and as it was cut, the status
 * and headers of the response, and how it ended. `replay` plays it back; docs/recordings.md has the format. It belongs
 * directly behind the source, from which it learns of the response. One sink takes one recording.
 *
 * The recording holds the answer as it came, in plain text. It does not hold the request, nor, unless `headers` says
 * otherwise, headers with secrets.
 *
 * Each piece is written as it comes, so that what a process wrote before it died can be read. However the stream ends, the
 * recording is closed in good order: before the pipeline resolves, or, after a failure, before the stage emits `close`. Fails with what the sink fails with (`onError: 'fail'`), and with
 * `CS_ERR_INVALID_CHUNK` for what is neither bytes nor text.
 *
 * @example
 * await pipeline(request, record(createWriteStream('incident.ndjson')), toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function record(destination: NodeJS.WritableStream, options?: RecordOptions): RecordStage {
  const { headers, gzip, onError } = settled<Required<RecordOptions>>('record', options, {
    headers: 'safe',
    gzip: false,
    onError: 'fail'
  })
  const isWanted = wantedHeaders(headers)
  checkBoolean('gzip', gzip)
  checkOneOf('onError', onError, ['fail', 'detach'])
  const file = asSink('sink', destination)
  const outlet = gzip ? outletTo(file) : undefined
  const sink = outlet ? packed(outlet) : file

  let source: Readable | undefined
  let start = performance.now()
  let hasBegun = false
  let hasHead = false
  let isClosed = false
  let isFailed = false
  let held = 0
  let wake = () => {}

  const recorder = stage<Bytes, Bytes>({
    name: 'record',
    async transform(item, push) {
      // A stage behind was asked for what it held, since nothing more was to come.
      if (isFailed) await forever()
      const at = performance.now()
      const bytes = bytesOf(item)
      if (isRecording()) write({ kind: 'piece', at: at - start, bytes })
      while (held > mostHeld && isRecording()) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      push(item)
      if (isFailed) await forever()
    },
    async flush() {
      if (isFailed) await forever()
      if (!isRecording()) return
      // A source also ends early, in good order, where a stage behind wants no more.
      close(isStopped(stream) ? 'left' : 'end')
      // The recording is whole when the pipeline is done.
      await endSink(sink).catch(onSinkError)
      if (outlet && isRecording()) await finished(outlet).catch(onSinkError)
      if (isFailed) await forever()
    },
    async destroy(error) {
      for (const unwatch of watches) unwatch()
      if (isClosed || !isRecording() || sink.destroyed) return
      close(endingOf(error), error ?? undefined)
      await endInTime(sink)
    }
  })
  recorder.once('pipe', (from: Readable) => {
    source = from
    start = performance.now()
  })

  function isRecording(): boolean {
    return !isFailed && stream.detached === undefined
  }

  function write(entry: Entry): void {
    if (!hasBegun) begin()
    const head = hasHead ? undefined : headOf(source)
    if (head) {
      hasHead = true
      const { status, at } = head
      put({ kind: 'head', at: Math.max(at - start, 0), status, headers: headersOf(head.headers, isWanted) })
    }
    put(entry)
  }

  function begin(): void {
    hasBegun = true
    const began = new Date(Date.now() - (performance.now() - start)).toISOString()
    put({ kind: 'beginning', began })
  }

  function put(entry: Entry): void {
    const line = lineOf(entry)
    held += line.length
    writeTo(
      sink,
      () => line,
      error => {
        held -= line.length
        if (error) onSinkError(error)
        wake()
      }
    )
  }

  /** Writes the last line, and before it the answer of a request that was refused: the source has read it. */
  function close(end: Ending, error?: Error): void {
    isClosed = true
    const at = performance.now() - start
    const refused = error && refusedAnswer(error, hasBegun, isWanted)
    if (refused) {
      if (!headOf(source)) {
        if (!hasBegun) begin()
        hasHead = true
        put({ kind: 'head', at, status: refused.status, headers: refused.headers })
      }
      write({ kind: 'piece', at, bytes: refused.body })
    }
    write({ kind: 'end', at, end, ...(error && { error: recordedError(error, isWanted) }) })
  }

  function onSinkError(error: Error): void {
    if (!isRecording()) return
    if (onError === 'detach') stream.detached = error
    else {
      isFailed = true
      failInOrder(stream, error)
    }
    wake()
  }

  const watches = (gzip ? [sink, file] : [sink]).map(each =>
    watchSink(each, cause => {
      if (isClosed && each.writableFinished) return
      const message = 'the sink of a recording was closed before the stream was over'
      onSinkError(isPrematureClose(cause) ? new Error(message, { cause }) : cause)
    })
  )
  const stream = Object.assign(recorder, { detached: undefined as Error | undefined })
  Object.assign(stream, { [beside]: () => (isRecording() ? [sink] : []) })
  return stream
}

/** What a stage waits for whose failure is on its way: until that is out, it takes nothing more, and does not end. */
function forever(): Promise<never> {
  return new Promise<never>(() => {})
}

/** Every piece is flushed, since what a compressor still holds dies with its process. */
function packed(outlet: Writable): Writable {
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
  gzip.pipe(outlet).once('error', error => gzip.destroy(error))
  return gzip
}

/** Writes to a file what a compressor gives. Where the file's `_write` throws, that would end the process. */
function outletTo(file: Writable): Writable {
  return new Writable({
    write: (bytes, _encoding, callback) => writeTo(file, () => bytes, callback),
    final(callback) {
      endSink(file).then(() => callback(), callback)
    }
  })
}

function wantedHeaders(headers: Required<RecordOptions>['headers']): (name: string) => boolean {
  if (typeof headers !== 'string') {
    if (!Array.isArray(headers) || !headers.every(name => typeof name === 'string'))
      throw invalid('headers', headers, "'safe', 'all', 'none' or a list of names")
    const names = new Set(headers.map((name: string) => name.toLowerCase()))
    return name => names.has(name)
  }
  checkOneOf('headers', headers, ['safe', 'all', 'none'])
  return name => headers === 'all' || (headers === 'safe' && !isSecretHeader(name))
}

function bytesOf(item: unknown): Uint8Array {
  if (typeof item === 'string') return Buffer.from(item)
  if (ArrayBuffer.isView(item)) return item as Uint8Array
  const message = `record takes bytes, not ${show(item)}: put it directly behind the source`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

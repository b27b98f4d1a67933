import { Transform, type Writable } from 'node:stream'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { beside } from '../on-its-way.js'
import { checkBoolean, checkLimit, checkOneOf, settled } from '../options.js'
import { asSink, destroySink, endInTime, endSink, isPrematureClose, watchSink, writeTo } from '../sink.js'
import { type Stage, usedOnce } from '../stage.js'
import { copyOf } from './copy.js'

/** The options of `tee`. */
export interface TeeOptions {
  /**
   * What happens when the destination is slow and holds as much as it may: the main path waits for it, what
   * does not fit is dropped and counted in `dropped`, or the stream fails. Default: `wait`.
   */
  whenSlow?: 'wait' | 'drop' | 'fail'
  /**
   * How much may wait in the destination: in bytes for bytes and text, in items for anything else. Default: 1048576 (1 MiB), or 1024 items.
   */
  limit?: number
  /** What happens when the destination fails: the stream fails too, or goes on without it. Default: `fail`. */
  onError?: 'fail' | 'detach'
  /**
   * What becomes of the destination when the stream fails: it is destroyed, so that what it holds does not pass for whole,
   * or ended in good order, so that what came can be read, from a compressor above all. Default: `destroy`.
   */
  onFailure?: 'destroy' | 'end'
  /**
   * Whether the destination gets objects and bytes of its own. Without, a later stage that changes what it gets changes
   * what the destination has not yet taken too. Text and other values cannot be changed. Default: true.
   */
  copy?: boolean
}

/** The stage that `tee` returns. */
export interface TeeStage<Item> extends Stage<Item, Item> {
  /** How many items the destination did not get (`whenSlow: 'drop'`). */
  readonly dropped: number
  /** What the destination failed with, when the stream went on without it (`onError: 'detach'`). */
  readonly detached: Error | undefined
}

const defaults: Required<Omit<TeeOptions, 'limit'>> & Pick<TeeOptions, 'limit'> = {
  whenSlow: 'wait',
  limit: undefined,
  onError: 'fail',
  onFailure: 'destroy',
  copy: true
}

const defaultByteLimit = 1024 * 1024
const defaultItemLimit = 1024

/**
 * Passes everything on unchanged, and writes a copy of it to a destination beside the main path: bytes, text or
 * objects, as they come.
 *
 * The destination is ended when the stream completes, and destroyed when it does not (`onFailure`). With `wait` and `fail`, the
 * stream ends only when the destination has finished, so that the copy is whole when the pipeline is done; with
 * `drop`, nothing on the main path ever waits for it.
 *
 * Fails with `CS_ERR_TEE_OVERFLOW` when the destination is too slow (`whenSlow: 'fail'`), with `CS_ERR_INVALID_OPTION` when
 * it takes bytes and is given objects, and with what the destination fails with (`onError: 'fail'`). One item that is larger
 * than the limit is written alone, or dropped.
 *
 * @example
 * await pipeline(request, tee(createWriteStream('recording.sse'), { onFailure: 'end' }), toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function tee<Item = unknown>(
  destination: NodeJS.WritableStream,
  options?: TeeOptions
): TeeStage<Item> {
  const { whenSlow, limit, onError, onFailure, copy } = settled('tee', options, defaults)
  const sink = asSink('destination', destination)
  checkOneOf('whenSlow', whenSlow, ['wait', 'drop', 'fail'])
  checkOneOf('onError', onError, ['fail', 'detach'])
  checkOneOf('onFailure', onFailure, ['destroy', 'end'])
  checkBoolean('copy', copy)
  if (limit !== undefined) checkLimit('limit', limit)

  let held = 0
  let isOver = false
  let isFailed = false
  let wake: (() => void) | undefined

  function fail(error: Error): void {
    isFailed = true
    wake?.()
    failInOrder(stream, error)
  }

  function onSinkError(error: Error): void {
    if (isOver || isFailed || stream.detached) return
    if (onError === 'fail') return fail(error)
    stream.detached = error
    wake?.()
  }

  /** Writes the copy, now or when there is room, and then calls back; also when that failed. */
  function copyTo(item: Item, callback: () => void): void {
    if (isFailed || stream.detached) return callback()
    const size = sizeOf(item)
    const most =
      limit ?? (typeof item === 'object' && !ArrayBuffer.isView(item) ? defaultItemLimit : defaultByteLimit)
    const mayBeLarger = whenSlow === 'wait' && held === 0
    if (held + size <= most || mayBeLarger) {
      write(item, size)
      return callback()
    }
    if (whenSlow === 'drop') {
      stream.dropped++
      return callback()
    }
    if (whenSlow === 'fail') {
      const message = `the destination of a tee holds ${held} and cannot take ${size} more within its limit of ${most}`
      fail(new CompletionError('CS_ERR_TEE_OVERFLOW', message, { limit: most }))
      return callback()
    }
    wake = () => {
      wake = undefined
      copyTo(item, callback)
    }
  }

  function write(item: Item, size: number): void {
    held += size
    writeTo(
      sink,
      () => (copy ? copyOf(item) : item),
      error => {
        held -= size
        // A destination that was destroyed or ended by somebody else, or that takes bytes only, says so here alone; so does an
        // item that cannot be copied, since a getter of it throws.
        if (error) onSinkError(takesNoObjects(sink, item) ? objectGiven(error) : error)
        wake?.()
      }
    )
  }

  const unwatch = watchSink(sink, cause => {
    const message = 'the destination of a tee was closed before the stream was over'
    onSinkError(isPrematureClose(cause) ? new Error(message, { cause }) : cause)
  })

  const transform = new Transform({
    objectMode: true,
    transform(item: Item, _encoding, callback) {
      // A stage behind was asked for what it held, since nothing more was to come.
      if (isFailed) return
      copyTo(item, () => {
        if (!isFailed) return callback(null, item)
        // What has come is passed on before the failure; nothing more is read.
        stream.push(item)
      })
    },
    flush(callback) {
      if (isFailed) return
      const end = () => {
        isOver = true
        callback()
      }
      if (stream.detached) return end()
      const ended = endSink(sink).catch(onSinkError)
      if (whenSlow === 'drop') end()
      else ended.then(() => isFailed || end())
    },
    destroy(error, callback) {
      unwatch()
      const mustEnd = !isOver && onFailure === 'end' && !stream.detached && !sink.destroyed
      if (!isOver && !mustEnd) destroySink(sink, error)
      isOver = true
      if (mustEnd) endInTime(sink).then(() => callback(error))
      else callback(error)
    }
  })
  // Fields, not getters: V8 gives each object that has getters of its own a hidden class of its own.
  const stream = Object.assign(transform, { dropped: 0, detached: undefined as Error | undefined })
  // What the destination still holds belongs to what came before an error, unless it may be dropped anyway. After
  // its own failure the tee does not wait: a destination that was too slow may never take it.
  if (whenSlow !== 'drop')
    Object.assign(stream, { [beside]: () => (isFailed || stream.detached ? [] : [sink]) })
  return usedOnce('tee', stream)
}

/** Whether an item is an object for a sink of Node's that takes bytes and text alone. */
function takesNoObjects(sink: Writable, item: unknown): boolean {
  return sink.writableObjectMode === false && typeof item === 'object' && !ArrayBuffer.isView(item)
}

function objectGiven(cause: Error): CompletionError {
  const message =
    'the destination of a tee takes bytes or text, and was given an object: put the tee behind toNDJSON() or toText(), or pipe toNDJSON() into the destination and give that'
  return new CompletionError('CS_ERR_INVALID_OPTION', message, { cause })
}

function sizeOf(item: unknown): number {
  if (typeof item === 'string') return Buffer.byteLength(item)
  return ArrayBuffer.isView(item) ? item.byteLength : 1
}

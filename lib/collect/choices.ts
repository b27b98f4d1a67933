import { Writable } from 'node:stream'
import { ChoiceText, choiceIndexes } from '../chunk/choice-text.js'
import { checkChunk } from '../chunk/failure/foreign.js'
import type { TextKind } from '../chunk/fields.js'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { beside } from '../on-its-way.js'
import { checkFunction, checkLimit, checkOneOf, settled } from '../options.js'
import { asSink, destroySink, endSink, watchSink } from '../sink.js'

/** The options of `byChoice`. */
export interface ByChoiceOptions {
  /** Which kind of text the sinks get: the answer, a refusal, or the model's reasoning. Default: `content`. */
  from?: TextKind
  /** How many choices there may be; each has a sink open. Default: 128, the most that the API gives (`n`). */
  maxChoices?: number
}

/**
 * A sink for chunks that sends the text of each choice to a sink of its own, which `sinkOf` makes when the
 * choice is first seen. A sink that is full holds back only until it has drained; all sinks are ended together,
 * and this one finishes when they all have.
 *
 * When one sink fails, all are destroyed, with its error; so they are when the pipeline fails. Fails with
 * `CS_ERR_INVALID_CHUNK` when there are more choices than `maxChoices`.
 *
 * @example
 * await pipeline(request, toChunks(), byChoice(index => createWriteStream(`answer-${index}.txt`)))
 */
export function byChoice(
  sinkOf: (index: number) => NodeJS.WritableStream,
  options?: ByChoiceOptions
): Writable {
  const { from, maxChoices } = settled('byChoice', options, { from: 'content' as TextKind, maxChoices: 128 })
  checkFunction('sinkOf', sinkOf)
  checkOneOf('from', from, ['content', 'refusal', 'reasoning'])
  checkLimit('maxChoices', maxChoices)
  const sinks = new Map<number, Writable>()
  const readers = new Map<number, ChoiceText>()
  const watches = new Map<Writable, () => void>()
  let isOver = false

  function open(index: number): Writable {
    if (sinks.size >= maxChoices) {
      const message = `there are more than ${maxChoices} choices: raise maxChoices if so many were asked for`
      throw new CompletionError('CS_ERR_INVALID_CHUNK', message, { limit: maxChoices })
    }
    const sink = asSink('sinkOf(index)', sinkOf(index))
    sinks.set(index, sink)
    readers.set(index, new ChoiceText(index, from))
    // Several choices may share a sink.
    if (!watches.has(sink))
      watches.set(
        sink,
        watchSink(sink, error => stream.destroy(error))
      )
    return sink
  }

  /** A sink that somebody else has ended says so here only. */
  function onWritten(error: Error | null | undefined): void {
    if (error) stream.destroy(error)
  }

  /** Writes to one sink; resolves when it can take more. */
  function write(sink: Writable, text: string): Promise<void> | undefined {
    try {
      if (sink.write(text, onWritten)) return undefined
    } catch (error) {
      // A broken sink takes nothing more, so there is nothing to wait for.
      stream.destroy(error as Error)
      return undefined
    }
    return new Promise(resolve => void sink.once('drain', resolve))
  }

  const stream = new Writable({
    objectMode: true,
    write(chunk: unknown, _encoding, callback) {
      const draining: Promise<void>[] = []
      try {
        checkChunk('byChoice', chunk)
        for (const index of choiceIndexes(chunk)) {
          const sink = sinks.get(index) ?? open(index)
          const text = readers.get(index)?.read(chunk) ?? ''
          const drained = text === '' ? undefined : write(sink, text)
          if (drained) draining.push(drained)
        }
      } catch (error) {
        return failInOrder(stream, error)
      }
      if (draining.length === 0) callback()
      else Promise.all(draining).then(() => callback(), callback)
    },
    final(callback) {
      for (const [index, sink] of sinks) {
        const rest = readers.get(index)?.end() ?? ''
        if (rest !== '') sink.write(rest, onWritten)
      }
      Promise.all([...watches.keys()].map(endSink)).then(() => {
        isOver = true
        callback()
      }, callback)
    },
    destroy(error, callback) {
      for (const unwatch of watches.values()) unwatch()
      // What has finished may still have a reader of its own to serve, as a compressor or a socket has.
      for (const sink of isOver ? [] : watches.keys()) destroySink(sink, error)
      callback(error)
    }
  })
  return Object.assign(stream, { [beside]: () => watches.keys() })
}

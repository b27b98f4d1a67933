import split2 from 'split2'
import { failInOrder } from '../fail-in-order.js'
import type { Stage } from '../stage.js'

/** What makes records of text, without a stream in sight. What its methods throw fails the stream in order. */
export interface RecordParser {
  /** Takes the next piece of text. */
  feed(text: string): void
  /** Takes what was written that is neither bytes nor a string. */
  take(item: unknown): void
  /** Takes the end of the input. */
  end(): void
}

/**
 * The door to split2: a stage from bytes, or strings, to the records that a parser emits. split2 decodes UTF-8
 * across writes, and is a Transform of node's own. It is given a splitter that keeps what is unfinished to
 * itself: its own way, to split all that is carried over again at each write, takes half a minute for an event
 * of 16 MB.
 */
export function splitter<In, Out>(parserFor: (emit: (record: Out) => void) => RecordParser): Stage<In, Out> {
  let failure: { error: unknown } | undefined

  function attempt(work: () => void): void {
    if (failure) return
    try {
      work()
    } catch (error) {
      failure = { error }
    }
  }

  const feed = (text: string) => attempt(() => parser.feed(text))

  const matcher = {
    [Symbol.split](text: string): string[] {
      feed(text)
      // Records are pushed as they are found. What is left for split2 to carry over to the next piece: nothing.
      return ['']
    }
  }
  // In object mode a string is not encoded just to be decoded again, which would break a surrogate pair that is
  // cut between two writes. What is left of a UTF-8 sequence that the input breaks off comes to the mapper.
  const stream = split2(matcher, feed, { writableObjectMode: true })
  const parser = parserFor(record => stream.push(record))
  const { _transform: split, _flush: flush } = stream

  stream._transform = (item: unknown, encoding, callback) => {
    if (typeof item === 'string' || ArrayBuffer.isView(item)) split.call(stream, item, encoding, ignore)
    else attempt(() => parser.take(item))
    if (failure) failInOrder(stream, failure.error)
    else callback()
  }

  stream._flush = callback => {
    flush.call(stream, ignore)
    attempt(() => parser.end())
    if (failure) failInOrder(stream, failure.error)
    else callback()
  }

  return stream as Stage<In, Out>
}

function ignore(): void {}

import split2 from 'split2'
import { failInOrder } from '../fail-in-order.js'
import type { Stage } from '../stage.js'

/** What makes records of text, without a stream in sight. What its methods throw fails the stream in order. */
export interface RecordParser<Out> {
  /** What was made since it was last taken away. */
  records: Out[]
  /** Takes the next piece of text. */
  feed(text: string): void
  /** Takes what was written that is neither bytes nor a string. */
  take(item: unknown): void
  /** Takes the end of the input. */
  end(): void
}

/**
 * The door to split2: a stage from bytes, or strings, to records. split2 decodes UTF-8 across writes, and is a
 * Transform of node's own. It is given a splitter that keeps what is unfinished to itself: its own way, to
 * split all that is carried over again at each write, takes half a minute for an event of 16 MB.
 */
export function splitter<In, Out>(parser: RecordParser<Out>): Stage<In, Out> {
  let failure: { error: unknown } | undefined

  function feed(text: string): void {
    if (failure) return
    try {
      parser.feed(text)
    } catch (error) {
      failure = { error }
    }
  }

  function takeRecords(): Out[] {
    const { records } = parser
    parser.records = []
    return records
  }

  const matcher = {
    [Symbol.split](text: string): unknown[] {
      feed(text)
      const found: unknown[] = takeRecords()
      // The last item is what split2 carries over to the next piece: nothing.
      found.push('')
      return found
    }
  }
  // What is left of a UTF-8 sequence that the input breaks off comes to the mapper unsplit, at the end.
  const mapper = (record: Out | string): Out | undefined => {
    if (typeof record !== 'string') return record
    feed(record)
    return undefined
  }

  // The published types know lines of text only. In object mode a string is not encoded just to be decoded
  // again, which would break a surrogate pair that is cut between two writes.
  const stream = split2(matcher as split2.Matcher, mapper, { writableObjectMode: true })
  const { _transform: split, _flush: flush } = stream

  function pushRest(work: () => void): void {
    try {
      if (!failure) work()
    } catch (error) {
      failure = { error }
    }
    for (const record of takeRecords()) stream.push(record)
  }

  stream._transform = (item: unknown, encoding, callback) => {
    if (typeof item === 'string' || ArrayBuffer.isView(item)) split.call(stream, item, encoding, ignore)
    else pushRest(() => parser.take(item))
    if (failure) failInOrder(stream, failure.error)
    else callback()
  }

  stream._flush = callback => {
    flush.call(stream, ignore)
    pushRest(() => parser.end())
    if (failure) failInOrder(stream, failure.error)
    else callback()
  }

  return stream as Stage<In, Out>
}

function ignore(): void {}

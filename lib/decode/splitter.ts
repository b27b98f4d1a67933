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

  // Whether the bytes so far end with a character, not within one.
  let isBetween = true

  stream._transform = (item: unknown, encoding, callback) => {
    if (isBetween && Buffer.isBuffer(item) && endsCharacter(item)) {
      // Nothing to carry over, neither for the decoder nor for the splitter: this way saves a tenth of all the time.
      feed(item.toString())
    } else if (typeof item === 'string' || ArrayBuffer.isView(item)) {
      split.call(stream, item, encoding, ignore)
      if (typeof item !== 'string') isBetween = endsCharacter(item)
    } else attempt(() => parser.take(item))
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

/** Whether the last byte is ASCII: line ends are, and nearly every read ends with one. */
function endsCharacter(bytes: ArrayBufferView): boolean {
  return bytes instanceof Uint8Array && (bytes[bytes.length - 1] ?? 0x80) < 0x80
}

function ignore(): void {}

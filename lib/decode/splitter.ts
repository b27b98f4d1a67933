import { clearTimeout, setTimeout } from 'node:timers'
import split2 from 'split2'
import { eventIdOf, setEventId } from '../event-id.js'
import { failInOrder } from '../fail-in-order.js'
import { emitHeld } from '../on-its-way.js'
import { type Stage, usedOnce } from '../stage.js'
import { HeldBytes } from './bytes/held-bytes.js'
import { decoded, LargeBytes, largeSize, longestText } from './bytes/large-bytes.js'
import { EventScanner } from './sse/event-scanner.js'
import { isLineEnd } from './sse/lines.js'
import { countWaitingBytes } from './waiting-bytes.js'

/** What makes records of bytes or text, without a stream in sight. What its methods throw fails the stream in order. */
export interface RecordParser {
  /** Whether what comes next begins an event, so that the parser may be asked to scan. */
  readonly isBetweenEvents: boolean
  /** Whether a text in pieces takes no more memory than in lines, and no longer. */
  readonly takesPieces?: boolean
  /** A failure that waits for usage that may come after it. The stage also fails when nothing has come for a while. */
  readonly heldFailure?: Error | undefined
  /** Takes the events that the scanner finds, up to the first one that it must be fed. */
  scan(scanner: EventScanner): void
  /** Takes the next piece of text. */
  feed(text: string): void
  /** Takes what was written that is neither bytes nor a string. */
  take(item: unknown): void
  /** Takes the end of the input. */
  end(): void
  /** Takes an event that lacks only its blank line, where nothing comes any more but a failure. */
  takeHeld?(): void
  /** Takes JSON that is whole by itself, where nothing has come behind it for a while. */
  takeSilence?(): void
  /** Takes a record back that its reader has. */
  recalled?(record: object): void
  /** Takes the first record behind those, before it is emitted. */
  resumed?(record: object): void
}

/** On the stage: has it read what was emitted before, without emitting it again. */
export const recall: unique symbol = Symbol('recall')

/**
 * How long a failure waits for usage that may come after it, and a whole answer for what may come behind it, in milliseconds:
 * the time a server has to end its response.
 */
const graceTime = 250

/** How far into the first read JSON is looked for, in bytes. */
const longestBlank = 1024

const byteOrderMark: Buffer = Buffer.from('\uFEFF')

const blankLine = '\n\n'
/** A longer read is not copied behind what is held of an event, only what ends that event, in bytes. */
const mostCopied = 4096

/**
 * The door to split2: a stage from bytes, or strings, to the records that a parser emits. split2 decodes UTF-8
 * across writes, and is a Transform of node's own. It is given a splitter that keeps what is unfinished to
 * itself: its own way, to split all that is carried over again at each write, takes half a minute for an event
 * of 16 MB.
 *
 * Events that stand whole in the bytes, as nearly all do, do not go that way: they are scanned, where they are.
 */
export function splitter<In, Out>(
  name: string,
  maxEventSize: number,
  parserFor: (emit: (record: Out) => void) => RecordParser
): Stage<In, Out> & { [recall](item: unknown): void } {
  const scanner = new EventScanner(maxEventSize)
  let failure: { error: unknown } | undefined
  let isFailing = false
  /** Whether a stage behind has stopped, so that what comes is of no interest. */
  let isUnwanted = false
  let timer: NodeJS.Timeout | undefined
  /** Whether the input begins as JSON does; undefined while it is blank. */
  let isJson: boolean | undefined
  /** Counts what was written of JSON. */
  let writes = 0
  /** Whether what the parser was fed ends with a character, not within one. */
  let isBetweenCharacters = true
  /** Whether it ends with a line. */
  let isBetweenLines = true
  /** Whether a byte order mark may come. */
  let isFirst = true
  /**
   * The beginning of an event whose end is yet to come, so that all of it can be scanned; or of a line, since a line in
   * pieces of text takes more memory, and one more copy.
   */
  const held = new HeldBytes()

  /** The same, of a large one. */
  const large = new LargeBytes(Math.min(maxEventSize + largeSize, longestText))

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
  /** The id of what is being written. */
  let id: string | undefined
  /** The last record of it. */
  let last: Out | undefined
  let isRecalling = false
  /** Whether anything was recalled, and nothing was emitted since then. */
  let hasRecalled = false
  /** Whether all was recalled, so that its end is as well. */
  let isAllRecalled = false
  const parser: RecordParser = parserFor(record => {
    if (hasRecalled) {
      if (isRecalling) return parser.recalled?.(record as object)
      hasRecalled = false
      parser.resumed?.(record as object)
    }
    if (id === undefined) stream.push(record)
    else {
      if (last !== undefined) stream.push(last)
      last = record
    }
  })
  const { _transform: split, _flush: flush, _destroy: destroy } = stream
  const noticeStall = countWaitingBytes(stream)

  stream._transform = (item: unknown, encoding, callback) => {
    isAllRecalled = isRecalling
    id = isRecalling ? undefined : eventIdOf(item as object)
    const bytes = ArrayBuffer.isView(item) ? asBuffer(item) : undefined
    if (bytes) takeBytes(bytes)
    else {
      decodeHeld()
      if (typeof item === 'string') {
        isFirst = false
        split.call(stream, item, encoding, ignore)
        if (item !== '') isBetweenLines = isLineEnd(item.charCodeAt(item.length - 1))
      } else attempt(() => parser.take(item))
    }
    if (last !== undefined) pushLast()
    settle(callback)
    noticeStall()
    isJson ??= parser.takeSilence ? beginsJson(bytes ?? item) : false
    if (isJson) writes++
    if (!failure && (isJson || parser.heldFailure)) timer ??= setTimeout(lookLate, graceTime, writes)
  }

  stream._flush = callback => {
    // Of a body that is one JSON text, all chunks come at the end.
    isRecalling = isAllRecalled
    decodeHeld()
    flush.call(stream, ignore)
    attempt(() => parser.end())
    settle(callback)
  }

  stream._destroy = (error, callback) => {
    clearTimeout(timer)
    destroy.call(stream, error, callback)
  }

  /** An id stands for all that was written up to it, so the last record has it. */
  function pushLast(): void {
    if (typeof last === 'object' && last !== null && id !== undefined) setEventId(last, id)
    stream.push(last)
    last = undefined
  }

  function settle(callback: () => void): void {
    if (!failure || isUnwanted) callback()
    else if (!isFailing) {
      isFailing = true
      failInOrder(stream, failure.error, () => {
        isUnwanted = true
        callback()
      })
    }
  }

  /** A server may hold the connection open behind the error that it reports, or behind a whole answer in JSON. */
  function lookLate(writesBefore: number): void {
    timer = undefined
    if (failure || stream.writableEnded) return
    const isBusy = stream.writableLength > 0 || (!parser.heldFailure && writes > writesBefore)
    if (isBusy) timer = setTimeout(lookLate, graceTime, writes)
    else {
      if (isJson) takeSilence()
      if (!failure && parser.heldFailure) failure = { error: parser.heldFailure }
      settle(() => {})
    }
  }

  function takeSilence(): void {
    isRecalling = isAllRecalled
    decodeHeld()
    attempt(() => parser.takeSilence?.())
    isRecalling = false
    if (last !== undefined) pushLast()
  }

  function attempt(work: () => void): void {
    if (failure) return
    try {
      work()
    } catch (error) {
      failure = { error: parser.heldFailure ?? error }
    }
  }

  function takeBytes(read: Buffer): void {
    if (large.length > 0) goOnWithLarge(read)
    else if (held.length > 0) goOnHolding(read)
    // The middle of a line that is not held is not looked at twice.
    else if (isBetweenCharacters && (isBetweenLines || read.includes(0x0a))) scanBytes(read, read.length)
    else decode(read)
  }

  function goOnHolding(read: Buffer): void {
    const eventEnd = read.length > mostCopied ? read.indexOf(blankLine) + blankLine.length : 0
    if (eventEnd >= blankLine.length && eventEnd <= mostCopied) {
      takeBytes(read.subarray(0, eventEnd))
      return takeBytes(read.subarray(eventEnd))
    }
    const isSmall = read.length < held.length
    if (held.length + read.length > largeSize && !endsLine(read) && large.add(heldBytes())) {
      held.clear()
      return goOnWithLarge(read)
    }
    held.add(read, 0, read.length)
    const { room, length, view } = held
    // Otherwise each of many small reads would search everything that is held again.
    if (isSmall && length <= scanner.safeSize && !endsLine(read)) return
    held.clear()
    scanBytes(room, length, view)
  }

  function heldBytes(): Buffer {
    return held.room.subarray(0, held.length)
  }

  /** Keeps the bytes of a large event up to the end of its line, or to the limit. */
  function goOnWithLarge(read: Buffer): void {
    const end = lineEndIn(read)
    const isAdded = large.add(end === 0 ? read : read.subarray(0, end))
    if (isAdded && end > 0) {
      feed(large.take(decoded))
      if (end < read.length) takeBytes(read.subarray(end))
    } else if (!isAdded || large.length > maxEventSize) {
      // The parser measures it, and says that it is too large.
      large.take(decode)
      if (!isAdded) decode(read)
    }
  }

  /** Takes the first bytes of a buffer. */
  function scanBytes(buffer: Buffer, length: number, view?: DataView): void {
    scanner.load(buffer, length, view)
    if (isFirst && length >= byteOrderMark.length) takeByteOrderMark(buffer)
    while (!failure && scan() < length) {
      const isBeginning = parser.isBetweenEvents && scanner.isBeginning()
      const lines = isBeginning ? undefined : scanner.takeLines()
      if (lines) decode(lines)
      else {
        hold(buffer, scanner.at, length)
        break
      }
    }
    scanner.unload()
  }

  /** Apart, since the text of a line that begins with it would take two bytes for each character. */
  function takeByteOrderMark(buffer: Buffer): void {
    isFirst = false
    if (byteOrderMark.compare(buffer, 0, byteOrderMark.length) !== 0) return
    feed(byteOrderMark.toString())
    scanner.at = byteOrderMark.length
  }

  /** Keeps what begins with a line and ends within one, unless the parser is to measure it. */
  function hold(buffer: Buffer, start: number, end: number): void {
    const size = end - start
    const isKept = isBetweenLines && !parser.takesPieces
    if (isKept && size <= scanner.safeSize) return held.add(buffer, start, end)
    const rest = buffer.subarray(start, end)
    if (!isKept || size <= largeSize || size > maxEventSize || !large.add(rest)) decode(rest)
  }

  /** Has the events taken that can be scanned, and returns where the next one begins. */
  function scan(): number {
    try {
      if (parser.isBetweenEvents) parser.scan(scanner)
    } catch (error) {
      failure = { error: parser.heldFailure ?? error }
    }
    return scanner.at
  }

  function decode(bytes: Buffer): void {
    const last = bytes[bytes.length - 1] ?? 0x80
    const endsCharacter = last < 0x80
    // Nothing to carry over, neither for the decoder nor for the splitter.
    if (isBetweenCharacters && endsCharacter)
      feed(bytes.length > largeSize ? decoded(bytes) : bytes.toString())
    else split.call(stream, bytes, 'utf8', ignore)
    // Line ends are ASCII, and nearly every read ends with one.
    isBetweenCharacters = endsCharacter
    isBetweenLines = isLineEnd(last)
  }

  function decodeHeld(): void {
    if (large.length > 0) large.take(decode)
    if (held.length === 0) return
    const bytes = heldBytes()
    held.clear()
    decode(bytes)
  }

  const read = {
    [recall]: (item: unknown) => {
      isRecalling = true
      hasRecalled = true
      stream._transform(item, 'utf8', ignore)
      isRecalling = false
    },
    [emitHeld]: () => {
      decodeHeld()
      attempt(() => parser.takeHeld?.())
      settle(ignore)
    }
  }
  return Object.assign(usedOnce(name, stream as Stage<In, Out>), read)
}

/** Whether bytes or text begin as JSON does; undefined where they are blank. */
function beginsJson(item: unknown): boolean | undefined {
  const isText = typeof item === 'string'
  if (!isText && !Buffer.isBuffer(item)) return false
  // A byte order mark is blank; as Latin-1 it has three characters.
  const [first] =
    (isText ? /[^\s]/ : /[^\s\u00ef\u00bb\u00bf]/).exec(
      isText ? item : item.toString('latin1', 0, longestBlank)
    ) ?? []
  return first === undefined ? undefined : first === '{' || first === '['
}

/** Undefined where the memory was given away, to a worker for example: the array is empty then, but was not. */
function asBuffer(bytes: ArrayBufferView): Buffer | undefined {
  if (Buffer.isBuffer(bytes) && bytes.length > 0) return bytes
  try {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  } catch {
    return undefined
  }
}

/** Where the first line ends, behind its LF or CR; 0 if none does. */
function lineEndIn(bytes: Buffer): number {
  const lineFeed = bytes.indexOf(0x0a) + 1
  const carriageReturn = bytes.indexOf(0x0d) + 1
  return lineFeed > 0 && carriageReturn > 0 ? Math.min(lineFeed, carriageReturn) : lineFeed || carriageReturn
}

function endsLine(bytes: Buffer): boolean {
  return bytes.includes(0x0a) || bytes.includes(0x0d)
}

function ignore(): void {}

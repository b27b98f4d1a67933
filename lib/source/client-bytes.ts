import { choicesOf, type LooseChunk } from '../chunk/fields.js'
import { HeldBytes, mostRoomKept } from '../decode/bytes/held-bytes.js'
import type { Chunk } from '../decode/chunks.js'
import { endMark, parsed } from '../decode/event-data.js'
import { LineSplitter } from '../decode/sse/lines.js'
import { EventWriter } from '../encode/event-writer.js'

const eventField = 'event: '
const dataField = 'data: '
const blankLine = '\n\n'
const blankLines = /\n\r?\n/g
/** What of a line end may stand before a cut. */
const longestTail = 2

/** An event as a strict reader finds it, as Latin-1. */
interface StrictEvent {
  readonly name: string
  readonly data: string | undefined
}

/** A part of a body that ends behind a blank line, or where the bytes end. */
export interface BodyPart {
  readonly bytes: Buffer
  /** Whether it ends behind a blank line. */
  readonly isWhole: boolean
  /** The events in it but for an end mark, where they have the form that nearly all have, and nothing else stands in it. */
  readonly events?: readonly StrictEvent[] | undefined
}

/** What the reader of a part knows of it. */
interface PartReading {
  /** Whether the completion has failed. */
  readonly isFailing: boolean
  /** Whether another part with something in it has come already. */
  readonly isFollowed: boolean
}

/**
 * What a client is given of the body of a completion, so that it reads the chunks that `toChunks` has read of it.
 *
 * That is the bytes themselves, as long as they are events by the strict grammar with one chunk each. From the first event
 * on that a strict reader reads as something else, or not at all, the chunks are written anew: JSON in the place of a
 * stream, events parted by a single line end, a chunk without `data:`, keep-alives that are framed as data. Comments, ids
 * and `retry:` stay. What cannot be read as a chunk because the completion has failed stays as it is.
 */
export class ClientBytes {
  /** An answer may go on under another id: a client would end at a mark that is not the server's. */
  readonly #writer = new EventWriter('guardFetch', {}, true)
  /** The beginning of an event, as it came. */
  readonly #held = new HeldBytes()
  /** The chunks that were read since the end of the event before. */
  #chunks: Chunk[] = []
  #given: Uint8Array[] = []
  #isJson: boolean | undefined
  /** Whether chunks are written anew. */
  #isAnew = false
  /** The lines that stay where chunks are written anew. */
  #lines = ''
  readonly #splitter = new LineSplitter(line => {
    if (/^(?::|id:|retry:)/.test(line)) this.#lines += `${line}\n\n`
  })
  /** The end of what came before, as far as a blank line may begin in it. */
  #tail = ''

  /** Takes a chunk, in the order of the parts. */
  addChunk(chunk: Chunk): void {
    this.#chunks.push(chunk)
  }

  /** Cuts the next bytes behind each blank line, unless they are events of the ordinary form. */
  cut(bytes: Buffer): BodyPart[] {
    const parts: BodyPart[] = []
    const before = this.#tail.length
    const text = this.#tail + bytes.toString('latin1')
    const events = this.#isAnew || this.#held.length > 0 || before > 0 ? undefined : ordinaryEventsIn(text)
    if (events) return [{ bytes, isWhole: true, events }]
    let start = 0
    for (const { index, 0: found } of text.matchAll(blankLines)) {
      const end = index + found.length - before
      parts.push({ bytes: bytes.subarray(start, end), isWhole: true })
      start = end
    }
    if (start < bytes.length) parts.push({ bytes: bytes.subarray(start), isWhole: false })
    const from = start === 0 ? 0 : start + before
    this.#tail = text.slice(Math.max(from, text.length - longestTail))
    return parts
  }

  /** Takes a part of the body, of which the chunks have come. */
  add({ bytes, isWhole, events }: BodyPart, { isFailing, isFollowed }: PartReading): void {
    if (this.#isJson === undefined) this.#look(bytes)
    if (this.#isAnew) return this.#writeAnew(bytes)
    if (events) {
      const chunks = this.#chunks
      const isRead = isFailing ? chunks.length <= events.length : chunks.length === events.length
      const isAlike = isRead && chunks.every((chunk, place) => isSaid(chunk, events[place] as StrictEvent))
      return isAlike ? this.#give(bytes) : this.#beginAnew(bytes)
    }
    const event = this.#held.length === 0 && isWhole ? bytes : this.#hold(bytes)
    const hasChunks = this.#chunks.length > 0
    // The event is out at the CR of a blank line that is cut within its CRLF.
    if (!isWhole && (!hasChunks || event.at(-1) === 0x0d)) return
    const isRead = isFailing
      ? !hasChunks || standsAlone(event, this.#chunks)
      : isWhole && isReadAlike(event, this.#chunks, isFollowed)
    if (isRead) this.#give(event)
    else this.#beginAnew(event)
  }

  /** What the client is to be given now, if there is anything. */
  take(): Uint8Array | undefined {
    const given = this.#given
    this.#given = []
    return given.length > 1 ? Buffer.concat(given) : given[0]
  }

  /** The same at the end, when all chunks have come. An end mark stands behind chunks that were written anew, if one is due. */
  takeLast(isComplete: boolean, hasEndMark: boolean): Uint8Array | undefined {
    if (!this.#isAnew) this.#endBytes(isComplete)
    if (this.#isAnew) this.#writeAnew()
    if (this.#isJson && isComplete) this.#give(Buffer.from(this.#writer.end()))
    else if (this.#isAnew && isComplete && hasEndMark) this.#give(Buffer.from(`data: ${endMark}\n\n`))
    return this.take()
  }

  /** A last event may lack its blank line, without which no strict reader takes it. */
  #endBytes(isComplete: boolean): void {
    const rest = this.#hold(Buffer.alloc(0))
    const hasChunks = this.#chunks.length > 0
    if (rest.length === 0 && !hasChunks) return
    if ((!hasChunks && !isComplete) || isBlank(rest)) return this.#give(rest)
    const event = Buffer.concat([rest, Buffer.from(missingBehind(rest))])
    if (isReadAlike(event, this.#chunks, false)) this.#give(event)
    else this.#beginAnew(rest)
  }

  /** Tells by the first character whether the body is JSON in the place of a stream. */
  #look(bytes: Buffer): void {
    const [first] = /[^\s\u00ef\u00bb\u00bf]/.exec(bytes.toString('latin1')) ?? []
    if (first === undefined) return
    this.#isJson = first === '{' || first === '['
    if (!this.#isJson) return
    this.#isAnew = true
    this.#held.clear()
  }

  #hold(bytes: Buffer): Buffer {
    this.#held.add(bytes, 0, bytes.length)
    return this.#held.room.subarray(0, this.#held.length)
  }

  #give(bytes: Buffer): void {
    // What was held stands in memory that is used again, unless it is large.
    const isShared = this.#held.length > 0 && bytes.length <= mostRoomKept
    if (bytes.length > 0) this.#given.push(isShared ? Buffer.from(bytes) : bytes)
    this.#held.clear()
    this.#chunks = []
  }

  #beginAnew(event: Buffer): void {
    this.#isAnew = true
    this.#writeAnew(event)
    this.#held.clear()
  }

  #writeAnew(bytes?: Buffer): void {
    if (bytes && !this.#isJson) this.#splitter.feed(bytes.toString('latin1'))
    const chunks = this.#chunks.map(chunk => this.#writer.write(chunk)).join('')
    if (this.#lines !== '') this.#given.push(Buffer.from(this.#lines, 'latin1'))
    if (chunks !== '') this.#given.push(Buffer.from(chunks))
    this.#lines = ''
    this.#chunks = []
  }
}

/** Whether bytes are line ends and nothing else. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === 0x0a || byte === 0x0d)
}

/** What a last event lacks of its blank line. */
function missingBehind(event: Buffer): string {
  const end = event.toString('latin1', Math.max(event.length - longestTail, 0))
  return /\n\r?$/.test(end) ? '\n' : '\n\n'
}

/** Whether the chunks of an event that has failed stand in it as a strict reader finds them. */
function standsAlone(bytes: Buffer, chunks: readonly Chunk[]): boolean {
  const event = strictEventIn(bytes)
  return event?.data !== undefined && chunks.length === 1 && !event.data.includes('\n')
}

/**
 * Whether a strict reader finds in an event what was read of it. The official client also stumbles over a name without data,
 * its older versions over any name that is not the chunk's type; and behind the end mark it reads nothing.
 */
function isReadAlike(bytes: Buffer, chunks: readonly Chunk[], isFollowed: boolean): boolean {
  const event = strictEventIn(bytes)
  if (!event) return false
  const { name, data } = event
  const [chunk] = chunks
  if (!chunk) return data === undefined ? name === '' : data.trimEnd() === endMark && !isFollowed
  // Of several lines, the last may be an end mark.
  if (data?.includes('\n') && parsed(data) === undefined) return false
  return chunks.length === 1 && isSaid(chunk, event)
}

/** Whether a chunk is what an event holds, under the name of the event. */
function isSaid(chunk: Chunk, { name, data }: StrictEvent): boolean {
  if (!data?.startsWith('{')) return false
  if (name !== '') return (chunk as LooseChunk).type === name && data.includes(`"${name}"`)
  // A whole answer as an event has a message, where its chunk has a delta.
  return choicesOf(chunk)[0]?.delta === undefined || data.includes('"delta"')
}

/** The events in a text that holds nothing but lines `event: …` and `data: {…}`, blank lines, and at its end an end mark. */
function ordinaryEventsIn(text: string): StrictEvent[] | undefined {
  const events: StrictEvent[] = []
  for (let at = 0; at < text.length; ) {
    const isNamed = text.startsWith(eventField, at)
    const line = isNamed ? text.indexOf('\n', at) + 1 : at
    const end = line < at ? -1 : text.indexOf('\n', line)
    if (end === -1 || text[end + 1] !== '\n' || !text.startsWith(dataField, line)) return undefined
    const data = text.slice(line + dataField.length, end)
    const name = isNamed ? text.slice(at + eventField.length, line - 1) : ''
    at = end + blankLine.length
    if (data !== endMark) events.push({ name, data })
    else if (at < text.length) return undefined
  }
  return text.includes('\r') ? undefined : events
}

/** An event alone; undefined where a line is no field, or ends with CR alone. */
function strictEventIn(bytes: Buffer): StrictEvent | undefined {
  let name = ''
  let data: string | undefined
  for (const whole of bytes.toString('latin1').split('\n')) {
    const line = whole.endsWith('\r') ? whole.slice(0, -1) : whole
    if (line.includes('\r')) return undefined
    if (line.startsWith('data:'))
      data = data === undefined ? fieldValue(line) : `${data}\n${fieldValue(line)}`
    else if (line.startsWith('event:')) name = fieldValue(line)
    else if (!/^(?:$|:|id:|retry:)/.test(line)) return undefined
  }
  return { name, data }
}

function fieldValue(line: string): string {
  const start = line.indexOf(':') + 1
  return line.slice(line[start] === ' ' ? start + 1 : start)
}

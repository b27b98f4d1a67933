import { isUtf8 } from 'node:buffer'
import { lineOf } from '../encode/ndjson.js'
import { CompletionError } from '../errors.js'
import { AbortError } from '../failure/abort-error.js'
import { invalid, show } from '../options.js'
import { errorOf, isRecordedError, recordedError } from '../recording/recorded-error.js'

/**
 * The format of a log, one Redis stream for each answer. docs/resumable-answers.md describes it.
 *
 * An entry has the id `epoch-sequence`. The sequence counts what was published up to the end of the entry: bytes, or texts, or
 * objects. So each item, and each byte, has an id of its own, wherever the entries are cut. Redis takes no id that is not
 * greater than the last one, so an entry that is sent again after a lost reply is refused, and so is a second producer.
 */

/** The id of the first entry of a producer. */
export const firstId = '1-0'

/** The id of the last entry: the greatest there is. Redis refuses whatever would come behind it, so a log ends once. */
export const lastId = '18446744073709551615-18446744073709551615'

/** What a log is made of. */
export type LogItem = Uint8Array | string | object

/** A place in a log. */
export interface Place {
  readonly epoch: number
  readonly sequence: number
}

export const beginning: Place = { epoch: 0, sequence: 0 }

/** How a log ended. */
export type Ending = 'complete' | 'failed' | 'stopped' | 'abandoned'

/** An entry as it came from Redis: its id, and its fields by name. */
export interface RawEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

/** What an entry says. */
export type LogEntry =
  | { readonly kind: 'opening'; readonly place: Place; readonly producer: string; readonly lease: number }
  | {
      readonly kind: 'items'
      readonly place: Place
      readonly start: number
      readonly items: readonly LogItem[]
    }
  | {
      readonly kind: 'ending'
      readonly ending: Ending
      readonly last: number | undefined
      readonly of: string | undefined
      readonly error: Error
    }

/** Two numbers without zeros before them: of each place there is one id. */
const idForm = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/

export function idOf({ epoch, sequence }: Place): string {
  return `${epoch}-${sequence}`
}

/** Reads an id that a reader gives back, in the form that Redis gives it. Throws `CS_ERR_INVALID_OPTION`: it may come from anyone. */
export function placeOf(id: string): Place | 'end' {
  if (id === lastId) return 'end'
  const [, epoch, sequence] = idForm.exec(typeof id === 'string' ? id : '') ?? []
  if (epoch === undefined || sequence === undefined)
    throw invalid('after', id, 'the id of something that follow() gave')
  return { epoch: Number(epoch), sequence: Number(sequence) }
}

/** The keys of a log, and of what belongs to it. */
export class Keys {
  readonly prefix: string
  readonly log: string
  readonly lease: string

  constructor(prefix: string, id: string) {
    this.prefix = prefix
    if (typeof id !== 'string' || id === '') throw invalid('id', id, 'the name of the answer, a string')
    this.log = `${prefix}log:${id}`
    this.lease = `${prefix}lease:${id}`
  }

  /** The stream that wakes the producer of an answer that was stopped. */
  static stops(prefix: string): string {
    return `${prefix}stops`
  }

  /** The stream that names the answers of a conversation. */
  static conversation(prefix: string, name: string): string {
    return `${prefix}conversation:${name}`
  }
}

/** The fields of the first entry. */
export function openingFields(producer: string, lease: number): string[] {
  return ['version', '1', 'producer', producer, 'lease', String(lease), 'began', String(Date.now())]
}

/** What the items of a log are. */
export type Kind = 'bytes' | 'texts' | 'objects'

/** An item as it is written. */
export interface Piece {
  readonly kind: Kind
  readonly kept: Buffer | string
  /** How many bytes, texts or objects it is. */
  readonly count: number
  /** How large it is, in bytes, without what JSON and Redis add. */
  readonly size: number
}

/** Takes an item, of which the caller may do with what is its own as it likes. Throws `CS_ERR_INVALID_CHUNK` for what is none. */
export function pieceOf(item: unknown): Piece {
  if (typeof item === 'string') return { kind: 'texts', kept: item, count: 1, size: Buffer.byteLength(item) }
  if (ArrayBuffer.isView(item)) {
    const kept = Buffer.from(Buffer.from(item.buffer, item.byteOffset, item.byteLength))
    return { kind: 'bytes', kept, count: kept.length, size: kept.length }
  }
  const kept = typeof item === 'object' && item !== null ? lineOf('publish', item) : ''
  // An object may say of itself that it is something else in JSON.
  if (!/^[{[]/.test(kept))
    throw new CompletionError(
      'CS_ERR_INVALID_CHUNK',
      `publish takes bytes, texts or objects, not ${show(item)}`
    )
  return { kind: 'objects', kept, count: 1, size: Buffer.byteLength(kept) }
}

/** Pieces that wait to be written, all of one kind. */
export class Batch {
  readonly #pieces: Piece[] = []
  /** How many bytes, texts or objects there are. */
  count = 0
  /** How large it is, in bytes. */
  size = 0

  get isEmpty(): boolean {
    return this.count === 0
  }

  add(piece: Piece): void {
    this.#pieces.push(piece)
    this.count += piece.count
    this.size += piece.size
  }

  /** The field of an entry that holds the pieces. */
  get field(): string[] {
    const kept = this.#pieces.map(piece => piece.kept)
    const kind = this.#pieces[0]?.kind
    if (kind === 'objects') return ['objects', `[${kept.join(',')}]`]
    // JSON keeps a text as it is, half a surrogate pair included.
    if (kind === 'texts') return ['texts', JSON.stringify(kept)]
    const bytes = Buffer.concat(kept as Buffer[])
    return isUtf8(bytes) ? ['bytes', bytes.toString()] : ['base64', bytes.toString('base64')]
  }
}

/** The fields of the last entry. What the producer does not know of, who closes the log for it cannot say: how much there was. */
export function endingFields(ending: Ending, whole?: { last: number; of: Kind }, error?: unknown): string[] {
  return [
    'end',
    ending,
    ...(whole ? ['last', String(whole.last), 'of', whole.of] : []),
    ...(error !== undefined ? ['error', JSON.stringify(recordedError(error))] : [])
  ]
}

/** Reads an entry. Throws `CS_ERR_INVALID_CHUNK` for one that this library did not write. */
export function readEntry({ id, fields }: RawEntry): LogEntry {
  const { end, producer } = fields
  if (end !== undefined) return endingOf(end, fields)
  const place = placeOf(id)
  if (place === 'end') throw notOurs()
  if (producer !== undefined) return { kind: 'opening', place, producer, lease: Number(fields.lease) }
  const items = itemsOf(fields)
  const bytes = items.length === 1 && items[0] instanceof Uint8Array ? items[0] : undefined
  return { kind: 'items', place, start: place.sequence - (bytes ? bytes.length : items.length), items }
}

function itemsOf({ bytes, base64, texts, objects }: RawEntry['fields']): LogItem[] {
  if (bytes !== undefined) return [Buffer.from(bytes)]
  if (base64 !== undefined) return [Buffer.from(base64, 'base64')]
  const json = texts ?? objects
  if (json === undefined) throw notOurs()
  try {
    return JSON.parse(json) as LogItem[]
  } catch {
    // The message of JSON.parse holds a part of the answer.
    throw notOurs()
  }
}

function endingOf(end: string, { last, of, error }: RawEntry['fields']): LogEntry {
  const ending: Ending = end === 'complete' || end === 'failed' || end === 'stopped' ? end : 'abandoned'
  return {
    kind: 'ending',
    ending,
    last: last === undefined ? undefined : Number(last),
    of,
    error: error === undefined ? errorFor(ending) : errorIn(error)
  }
}

/** Anyone may have written it; whatever it is, the answer ends with an error. */
function errorIn(json: string): Error {
  try {
    const error: unknown = JSON.parse(json)
    return isRecordedError(error) ? errorOf(error) : notOurs()
  } catch {
    return notOurs()
  }
}

function errorFor(ending: Ending): Error {
  if (ending === 'stopped') return new CompletionError('CS_ERR_STOPPED', 'the answer was stopped')
  if (ending === 'failed') return new AbortError('the answer was broken off')
  return abandoned(silent)
}

export const silent = 'its producer has not been heard of for longer than its lease'

export function abandoned(why: string, cause?: unknown): CompletionError {
  return new CompletionError('CS_ERR_ABANDONED', `the answer was abandoned: ${why}`, { cause })
}

function notOurs(): CompletionError {
  return new CompletionError(
    'CS_ERR_INVALID_CHUNK',
    'the log in Redis holds an entry that publish() did not write'
  )
}

/* What clients make of replies: lists or maps, of strings or of buffers. */

/** The entries of a stream, of the reply to XRANGE or of a part of that to XREAD. */
export function entriesOf(reply: unknown): RawEntry[] {
  if (!Array.isArray(reply)) return []
  return reply.map(([id, fields]: [unknown, unknown]) => ({ id: String(id), fields: fieldsOf(fields) }))
}

/** The streams of a reply to XREAD, by key: a list of pairs in RESP2; in RESP3 a map, which ioredis gives as a flat list. */
export function streamsOf(reply: unknown): [string, RawEntry[]][] {
  if (reply === null || typeof reply !== 'object') return []
  if (!Array.isArray(reply)) return readEach(reply instanceof Map ? [...reply] : Object.entries(reply))
  if (Array.isArray(reply[0])) return readEach(reply)
  return readEach(reply.flatMap((key, at) => (at % 2 === 0 ? [[key, reply[at + 1]]] : [])))
}

function readEach(pairs: unknown[][]): [string, RawEntry[]][] {
  return pairs.map(([key, entries]) => [String(key), entriesOf(entries)])
}

function fieldsOf(reply: unknown): Record<string, string> {
  const fields: Record<string, string> = {}
  if (Array.isArray(reply)) {
    for (let at = 0; at + 1 < reply.length; at += 2) fields[String(reply[at])] = String(reply[at + 1])
  }
  return fields
}

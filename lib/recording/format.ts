import { isUtf8 } from 'node:buffer'
import { CompletionError } from '../errors.js'
import { isRecordedError, type RecordedError } from './recorded-error.js'

/**
 * The format of a recording, which docs/recordings.md describes: lines of JSON, one for what came at one moment. No line
 * depends on a later one, so that what a process wrote before it died can be read.
 */

/** The version that is written, and the only one that is read. */
const version = 1

/** A time that no recording has, in milliseconds: to play it would take for ever. */
const longestTime = 366 * 24 * 3600 * 1000

/** The first line: what the file is, and when its times begin. */
export interface Beginning {
  readonly kind: 'beginning'
  /** When the recording was begun, as ISO 8601 has it. Times are milliseconds since then. */
  readonly began: string
}

/** The head of the response. */
export interface Head {
  readonly kind: 'head'
  readonly at: number
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** Bytes as they arrived, in one piece. */
export interface Piece {
  readonly kind: 'piece'
  readonly at: number
  readonly bytes: Uint8Array
}

/** How a stream ended: in good order, cut, stalled, left by its reader, or failed otherwise. */
export type Ending = 'end' | 'cut' | 'stalled' | 'left' | 'failed'

/** The last line. A recording without one was broken off with the process that wrote it. */
export interface End {
  readonly kind: 'end'
  readonly at: number
  readonly end: Ending
  readonly error?: RecordedError
}

export type Entry = Beginning | Head | Piece | End

/** A line of a recording, with its line end. */
export function lineOf(entry: Entry): string {
  return `${JSON.stringify(fieldsOf(entry))}\n`
}

function fieldsOf(entry: Entry): object {
  if (entry.kind === 'beginning') return { recording: version, began: entry.began }
  const at = Math.round(entry.at * 1000) / 1000
  if (entry.kind === 'head') return { at, status: entry.status, headers: entry.headers }
  if (entry.kind === 'end') return { at, end: entry.end, error: entry.error }
  const bytes = Buffer.from(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.byteLength)
  // A piece may be cut within a character; text would then give other bytes back.
  return isUtf8(bytes) ? { at, text: bytes.toString() } : { at, base64: bytes.toString('base64') }
}

/** Whether a file begins as a recording does. */
export function looksRecorded(beginning: string): boolean {
  return /^\uFEFF?\s*\{\s*"recording"\s*:/.test(beginning)
}

/**
 * Reads a line. Undefined for a blank one, and for one of a kind that a later version may have added.
 *
 * Throws `CS_ERR_INVALID_RECORDING` for what is no line of a recording, with its number (from 1) where that is given.
 */
export function entryOf(line: string, number?: number): Entry | undefined {
  if (line.trim() === '') return undefined
  const value = parsed(line) ?? parsed(line.slice(Math.max(line.lastIndexOf('{"recording":'), 0)))
  const place = number === undefined ? 'a line' : `line ${number}`
  if (!value) throw invalidRecording(`${place} is no JSON`)
  if ('recording' in value) return beginningOf(value)
  const { at, text, base64, status, headers, end, error } = value
  if (typeof at !== 'number' || !(at >= 0)) throw invalidRecording(`${place} has no time`)
  if (at > longestTime) throw invalidRecording(`${place} has a time of more than a year`)
  if (typeof text === 'string') return { kind: 'piece', at, bytes: Buffer.from(text) }
  if (typeof base64 === 'string') {
    const bytes = fromBase64(base64)
    if (!bytes) throw invalidRecording(`${place} has damaged base64`)
    return { kind: 'piece', at, bytes }
  }
  if (typeof status === 'number') return { kind: 'head', at, status, headers: textsOf(headers) }
  if (!isEnding(end)) return undefined
  return { kind: 'end', at, end, ...(isRecordedError(error) && { error }) }
}

/** How a stream ended that was destroyed with an error, or without one. */
export function endingOf(error: unknown): Ending {
  if (error === null) return 'left'
  // Anything can be thrown, a text too.
  const { name, code } = error as { name?: unknown; code?: unknown }
  if (name === 'AbortError') return 'left'
  if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'EPIPE') return 'left'
  if (code === 'CS_ERR_TRUNCATED') return 'cut'
  return code === 'CS_ERR_STALLED' ? 'stalled' : 'failed'
}

/** The bytes that base64 stands for, with padding or line ends or not; undefined where it is damaged, which Node skips. */
export function fromBase64(base64: string): Uint8Array | undefined {
  const bytes = Buffer.from(base64, 'base64')
  const bare = (text: string) => text.replace(/[\s=]+/g, '')
  return bare(bytes.toString('base64')) === bare(base64) ? bytes : undefined
}

/** What is said where a file has fewer recordings, or exchanges, than the index that was asked for. */
export function noSuchIndex(index: number, count: number, noun = 'recording'): string {
  const has = count === 1 ? `one ${noun}, of index 0` : `${count} ${noun}s, of index 0 to ${count - 1}`
  return `the file has ${has}: there is none of index ${index}`
}

export function invalidRecording(message: string): CompletionError {
  return new CompletionError('CS_ERR_INVALID_RECORDING', message)
}

function beginningOf({ recording, began }: Record<string, unknown>): Beginning {
  if (recording !== version) {
    const given = typeof recording === 'number' ? String(recording) : 'unknown'
    throw invalidRecording(`the recording is of version ${given}; this library reads version ${version}`)
  }
  return { kind: 'beginning', began: typeof began === 'string' ? began : '' }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function textsOf(headers: unknown): Record<string, string> {
  const entries = Object.entries(typeof headers === 'object' && headers !== null ? headers : {})
  return Object.fromEntries(entries.filter(([, value]) => typeof value === 'string'))
}

function isEnding(value: unknown): value is Ending {
  return value === 'end' || value === 'cut' || value === 'stalled' || value === 'left' || value === 'failed'
}

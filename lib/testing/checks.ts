import {
  checkBoolean,
  checkFunction,
  checkIndex,
  checkLimit,
  checkOneOf,
  invalid,
  settled
} from '../options.js'
import type { ErrorShape, Faults, KeepAlive, Place, StatusFault } from './faults.js'
import type { Piece, RawScript, RawWrite, Script, ScriptedChoice, ScriptOptions } from './script.js'
import type { ServerOptions } from './server.js'

/** The names that an object of options may have. A type of options says here that none is forgotten. */
type Names<Options> = { [Name in keyof Required<Options>]: undefined }

const faultNames: Names<Faults> = {
  cutAfter: undefined,
  stallAfter: undefined,
  errorAfter: undefined,
  status: undefined,
  endMark: undefined,
  holdOpen: undefined,
  bytesPerWrite: undefined,
  lineEnd: undefined,
  comments: undefined,
  ignoreStream: undefined,
  contentType: undefined
}

const scriptNames: Names<Script> = {
  id: undefined,
  created: undefined,
  model: undefined,
  system_fingerprint: undefined,
  service_tier: undefined,
  choices: undefined,
  usage: undefined,
  fields: undefined,
  headersAt: undefined,
  wholeAt: undefined,
  faults: undefined
}

const { choices: _choices, ...fieldNames } = scriptNames

const scriptOptionNames: Names<ScriptOptions> = {
  ...fieldNames,
  start: undefined,
  interval: undefined,
  finish_reason: undefined
}

const rawScriptNames: Names<RawScript> = {
  status: undefined,
  headers: undefined,
  headersAt: undefined,
  writes: undefined,
  faults: undefined
}

const statusNames: Names<StatusFault> = {
  code: undefined,
  times: undefined,
  retryAfter: undefined,
  body: undefined
}

const shapes: readonly ErrorShape[] = [
  'data',
  'event',
  'bare-event',
  'field',
  'responses-error',
  'responses-failed'
]

/** Throws `CS_ERR_INVALID_OPTION` for options that the server would not understand. */
export function checkServerOptions({ script, speed, faults, flags, port }: Required<ServerOptions>): void {
  checkLimit('speed', speed)
  checkFaults(faults)
  checkFunction('flags', flags)
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw invalid('port', port, 'a whole number from 0 to 65535')
  if (typeof script !== 'function') checkScript(script)
}

/** Throws `CS_ERR_INVALID_OPTION` for what is neither a script nor a raw script. */
export function checkScript(given: Script | RawScript): void {
  if (!isObject(given)) throw invalid('script', given, 'a script, such as script(text), or a function')
  if (typeof (given as { then?: unknown }).then === 'function')
    throw invalid('script', given, 'what it resolves to: write await before recordedScript(file)')
  if ('writes' in given) checkRawScript(given)
  else checkSpokenScript(given)
}

function checkSpokenScript(given: Script): void {
  checkNames('script', given, scriptNames)
  checkScriptFields(given)
  if (!Array.isArray(given.choices)) throw invalid('choices', given.choices, 'a list of choices')
  for (const choice of given.choices) checkChoice(choice)
}

function checkScriptFields({ headersAt, wholeAt, fields, usage, faults }: Omit<Script, 'choices'>): void {
  checkTime('headersAt', headersAt)
  checkTime('wholeAt', wholeAt)
  if (fields !== undefined && !isObject(fields)) throw invalid('fields', fields, 'an object')
  if (usage !== undefined && usage !== null && !isObject(usage))
    throw invalid('usage', usage, 'an object with token counts, or null')
  if (faults !== undefined) checkFaults(faults)
}

function checkChoice(choice: ScriptedChoice): void {
  if (!isObject(choice)) throw invalid('a choice', choice, 'an object with pieces')
  const { pieces, index, finishAt } = choice
  if (!Array.isArray(pieces)) throw invalid('pieces', pieces, 'a list of pieces, such as { at: 0, text }')
  if (index !== undefined) checkIndex('index', index)
  checkTime('finishAt', finishAt)
  for (const piece of pieces) checkPiece(piece)
}

function checkPiece(piece: Piece): void {
  if (!isObject(piece)) throw invalid('a piece', piece, 'an object such as { at: 0, text }')
  if (!isTime(piece.at)) throw invalid('at', piece.at, 'milliseconds, a number from zero')
  const { text, refusal, reasoning, toolCall } = piece as Readonly<Record<string, unknown>>
  const said = text ?? refusal ?? reasoning
  if (typeof said !== 'string' && !isObject(toolCall))
    throw invalid(
      'what a piece says',
      said ?? toolCall,
      'a string as text, refusal or reasoning, or a toolCall'
    )
}

function checkRawScript(given: RawScript): void {
  checkNames('script', given, rawScriptNames)
  const { status, headers, headersAt, writes, faults } = given
  if (status !== undefined) checkStatusCode('status', status)
  if (headers !== undefined && !isObject(headers)) throw invalid('headers', headers, 'an object')
  checkTime('headersAt', headersAt)
  if (!isIterable(writes))
    throw invalid('writes', writes, 'a list or an iterable of writes, such as [{ bytes }]')
  if (Array.isArray(writes)) for (const write of writes) checkWrite(write)
  if (faults !== undefined) checkFaults(faults)
}

function checkWrite(write: RawWrite): void {
  if (!isObject(write)) throw invalid('a write', write, 'an object with bytes')
  checkTime('at', write.at)
  const { bytes } = write
  if (typeof bytes !== 'string' && !ArrayBuffer.isView(bytes))
    throw invalid('bytes', bytes, 'a string or a Uint8Array')
}

/** Throws `CS_ERR_INVALID_OPTION` for what `script` would make no script of. */
export function checkScriptText(text: string | readonly string[], options: ScriptOptions | undefined): void {
  const texts: readonly unknown[] = Array.isArray(text) ? text : [text]
  for (const each of texts)
    if (typeof each !== 'string') throw invalid('text', each, 'a string, or a list of them')
  if (options === undefined) return
  checkNames('script', options, scriptOptionNames)
  checkTime('start', options.start)
  checkTime('interval', options.interval)
  if (options.finish_reason !== undefined) checkString('finish_reason', options.finish_reason)
  checkScriptFields(options)
}

/** Throws `CS_ERR_INVALID_OPTION` for faults that would not come about as they were meant. */
export function checkFaults(faults: Faults): void {
  checkNames('faults', faults, faultNames)
  const { cutAfter, stallAfter, errorAfter, status, endMark, holdOpen } = faults
  const { bytesPerWrite, lineEnd, comments, ignoreStream, contentType } = faults
  if (cutAfter !== undefined) checkPlace('cutAfter', cutAfter)
  if (stallAfter !== undefined) checkPlace('stallAfter', stallAfter)
  if (errorAfter !== undefined) checkErrorAfter(errorAfter)
  if (status !== undefined) checkStatus(status)
  if (endMark !== undefined) checkBoolean('endMark', endMark)
  if (holdOpen !== undefined) checkBoolean('holdOpen', holdOpen)
  if (bytesPerWrite !== undefined) checkBytesPerWrite(bytesPerWrite)
  if (lineEnd !== undefined && !['\n', '\r\n', '\r'].includes(lineEnd))
    throw invalid('lineEnd', lineEnd, String.raw`'\n', '\r\n' or '\r'`)
  if (comments !== undefined) checkComments(comments)
  if (ignoreStream !== undefined) checkBoolean('ignoreStream', ignoreStream)
  if (contentType !== undefined) checkString('contentType', contentType)
}

function checkPlace(name: string, place: Place): void {
  if (place === 'request') return
  const [[unit, count] = [], ...others] = isObject(place) ? Object.entries(place) : []
  const isPlace = (unit === 'events' || unit === 'bytes') && others.length === 0
  if (!(isPlace && Number.isInteger(count) && Number(count) >= 0))
    throw invalid(name, place, "'request', { events: 3 } or { bytes: 100 }, with a whole number from zero")
}

function checkErrorAfter(errorAfter: NonNullable<Faults['errorAfter']>): void {
  if (!isObject(errorAfter)) throw invalid('errorAfter', errorAfter, 'an object such as { events: 3 }')
  checkNames('errorAfter', errorAfter, { events: undefined, shape: undefined, error: undefined })
  const { events, shape, error } = errorAfter
  checkIndex('events of errorAfter', events)
  if (shape !== undefined) checkOneOf('shape', shape, shapes)
  if (error !== undefined && !isObject(error))
    throw invalid('error of errorAfter', error, 'an object such as { message, type, code }')
}

function checkStatus(status: number | StatusFault): void {
  if (!isObject(status)) return checkStatusCode('status', status)
  checkNames('status', status, statusNames)
  const { code, times, retryAfter, body } = status
  checkStatusCode('code of status', code)
  if (times !== undefined && times !== Infinity) checkIndex('times', times)
  checkTime('retryAfter', retryAfter, 'seconds')
  if (body !== undefined && typeof body !== 'string' && !isObject(body))
    throw invalid('body of status', body, 'an object or a string')
}

function checkStatusCode(name: string, code: number): void {
  if (!(Number.isInteger(code) && code >= 200 && code <= 999))
    throw invalid(name, code, 'an HTTP status, a whole number such as 429')
}

function checkBytesPerWrite(bytes: number): void {
  if (!(bytes >= 1 && (Number.isInteger(bytes) || bytes === Infinity)))
    throw invalid('bytesPerWrite', bytes, 'a whole number above 0')
}

function checkComments(comments: boolean | string | KeepAlive): void {
  if (typeof comments === 'boolean' || typeof comments === 'string') return
  if (!isObject(comments)) throw invalid('comments', comments, 'true, a text, or { text, every }')
  checkNames('comments', comments, { text: undefined, every: undefined })
  if (comments.text !== undefined) checkString('text of comments', comments.text)
  if (comments.every !== undefined) checkLimit('every', comments.every)
}

function checkTime(name: string, time: number | undefined, unit = 'milliseconds'): void {
  if (time !== undefined && !isTime(time)) throw invalid(name, time, `${unit}, a number from zero`)
}

function isTime(time: number): boolean {
  return typeof time === 'number' && time >= 0
}

function checkString(name: string, value: string): void {
  if (typeof value !== 'string') throw invalid(name, value, 'a string')
}

/** Throws for a name that is not known: a fault whose name is wrong would be none. */
function checkNames<Options extends object>(of: string, given: Options, names: Names<Options>): void {
  settled<object>(of, given, names)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A string has an iterator too, but its characters are no writes. */
function isIterable(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
  )
}

import { CompletionError, type CompletionErrorFacts, isErrorLike } from '../errors.js'
import { withoutKeys } from '../failure/access-keys.js'
import { longestKey, printable } from '../failure/printable.js'
import { headersOf, retryHeadersOf } from '../source/response/headers.js'

/**
 * How an error is kept as JSON, in a recording and in a log of Redis: its name, message and code, and of everything else only
 * the fields that are listed here. They are what `isRetryable` and `respond` look at, and the facts of this library's errors.
 */
export interface RecordedError {
  readonly name: string
  readonly message: string
  readonly code?: string | number
  readonly cause?: RecordedError
  readonly errors?: readonly RecordedError[]
  readonly [fact: string]: unknown
}

/** What is kept of a value, and undefined where that is nothing. */
type Keep = (value: unknown) => unknown

/** The longest text that is kept, in characters. */
const longestText = 4096

/** How deep causes are kept: as deep as `isRetryable` looks. */
const deepest = 5

/** How many errors are kept of one and all that led to it. */
const mostErrors = 32

/** How many complaints of a schema are kept, and how many steps of a path, each of so many characters. */
const mostIssues = 16
const longestStep = 128

/** The facts of this library's errors, but for those that hold text of a completion. */
const ownFacts: Record<Exclude<keyof CompletionErrorFacts, 'cause' | 'residue' | 'beginning'>, Keep> = {
  type: textIn,
  providerCode: textOrNumberIn,
  status: numberIn,
  param: textIn,
  headers: retryHeadersOf,
  retryAfter: numberIn,
  finishReason: textIn,
  limit: numberIn,
  timeLimit: textIn,
  elapsed: numberIn,
  items: numberIn,
  undelivered: numberIn,
  index: numberIn,
  issues: issuesIn,
  period: numberIn,
  times: numberIn,
  reason: textIn,
  kind: textIn,
  choice: numberIn
}

/** What the client's errors say of a request that was refused. */
const facts: Record<string, Keep> = {
  status: numberIn,
  type: textIn,
  param: textIn,
  headers: retryHeadersOf,
  requestID: textIn,
  request_id: textIn,
  error: reportIn
}

/** The provider's own error, which the client keeps as it came. */
const reported: Record<string, Keep> = {
  message: lineIn,
  type: textIn,
  param: textIn,
  code: textOrNumberIn
}

/** What is kept of an error, or of anything else that was thrown; of its headers, those that are wanted. */
export function recordedError(
  error: unknown,
  isWanted: (header: string) => boolean = () => true
): RecordedError {
  try {
    return recorded(error, deepest, { left: mostErrors, isWanted })
  } catch {
    // Whoever throws may have getters throw too.
    return { name: 'Error', message: 'it failed with something that cannot be read' }
  }
}

/** The error that was kept, made again. A file, or Redis, may hold anything: only what would be kept is taken from it. */
export function errorOf(kept: RecordedError): Error {
  return made(recordedError(kept))
}

export function isRecordedError(value: unknown): value is RecordedError {
  return isErrorLike(value) && typeof value.name === 'string'
}

interface Bounds {
  /** How many errors may still be kept. */
  left: number
  readonly isWanted: (header: string) => boolean
}

function recorded(error: unknown, depth: number, bounds: Bounds): RecordedError {
  bounds.left--
  if (typeof error !== 'object' || error === null) return { name: 'Error', message: sayingOf(error) }
  const { message, code, cause, errors: others } = error as Record<string, unknown>
  const inner = (value: unknown) => {
    const isKept = depth > 0 && bounds.left > 0 && isErrorLike(value)
    return isKept ? recorded(value, depth - 1, bounds) : undefined
  }
  const isOwn = isOwnCode(code)
  const { headers, ...given } = factsIn(error, isOwn ? ownFacts : facts)
  return presentIn({
    name: nameOf(error),
    message: lineIn(message) ?? 'it failed with an object that is no error',
    code: textOrNumberIn(code),
    ...given,
    headers: headers && headersOf(headers, bounds.isWanted),
    // The row of a batch that it ended.
    row: textIn((error as { row?: unknown }).row),
    cause: inner(cause),
    errors: isOwn ? undefined : listIn(others, mostErrors, inner)
  }) as RecordedError
}

function made({ name, message, code, cause, errors, ...given }: RecordedError): Error {
  const inner = cause && { cause: made(cause) }
  if (isOwnCode(code)) return new CompletionError(code, message, { ...given, ...inner })
  const error = errors ? new AggregateError(errors.map(made), message, inner) : new Error(message, inner)
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  return Object.assign(error, code !== undefined && { code }, given)
}

/** A file from outside may name any code; programs compare it with those they know. */
function isOwnCode(code: unknown): code is CompletionError['code'] {
  return typeof code === 'string' && code.startsWith('CS_ERR_')
}

/** The name of an error. Those of the official client have none but that of their class. */
function nameOf(error: object): string {
  const { name } = error as { name?: unknown }
  const ofClass = error.constructor?.name
  const isClients = name === 'Error' && 'status' in error && /^\w+Error$/.test(ofClass)
  return lineIn(isClients ? ofClass : name) ?? 'Error'
}

/** What is said of a value that was thrown and is no object. */
function sayingOf(value: unknown): string {
  return `it failed with what is no error: ${lineIn(String(value))} (${typeof value})`
}

function factsIn(error: object, wanted: Readonly<Record<string, Keep>>): Record<string, unknown> {
  const given = error as Record<string, unknown>
  return presentIn(
    Object.fromEntries(Object.entries(wanted).map(([fact, keep]) => [fact, keep(given[fact])]))
  )
}

function presentIn(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? shortened(value, withoutKeys) : undefined
}

/** A text that is to be one line. */
function lineIn(value: unknown): string | undefined {
  return typeof value === 'string' ? shortened(value, printable) : undefined
}

function shortened(text: string, clean: (text: string) => string): string {
  // What is cut may be the half of a key, which is none to be recognized.
  return clean(text.slice(0, longestText + longestKey)).slice(0, longestText)
}

function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function textOrNumberIn(value: unknown): string | number | undefined {
  return textIn(value) ?? numberIn(value)
}

function reportIn(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const report = factsIn(value, reported)
  return Object.keys(report).length > 0 ? report : undefined
}

function issuesIn(value: unknown): unknown {
  return listIn(value, mostIssues, issue => {
    if (typeof issue !== 'object' || issue === null) return undefined
    return factsIn(issue, { message: lineIn, path: path => listIn(path, mostIssues, stepIn) })
  })
}

/** A step of a path, which some schemas have as an object with a key. */
function stepIn(step: unknown): unknown {
  return typeof step === 'object' && step !== null ? factsIn(step, { key: nameIn }) : nameIn(step)
}

function nameIn(step: unknown): string | number | undefined {
  return textIn(step)?.slice(0, longestStep) ?? numberIn(step)
}

/** What is kept of the items of a list, if there is anything. */
function listIn<Kept>(
  value: unknown,
  most: number,
  keep: (item: unknown) => Kept | undefined
): Kept[] | undefined {
  if (!Array.isArray(value)) return undefined
  const kept = value.slice(0, most).map(keep)
  const list = kept.filter(item => item !== undefined)
  return list.length > 0 ? list : undefined
}

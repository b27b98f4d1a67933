import { CompletionError } from './errors.js'

/** The options of a stage that has none: the pipeline may still call its factory with a stream. */
export type NoOptions = Readonly<Record<string, never>>

/** A limit: a number over zero, `Infinity` for none. */
export function checkLimit(name: string, value: number): void {
  if (!(typeof value === 'number' && value > 0)) throw invalid(name, value, 'a number over zero')
}

/** A count, or a place in a list: a whole number from zero. */
export function checkIndex(name: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 0)) throw invalid(name, value, 'a whole number from zero')
}

export function checkBoolean(name: string, value: boolean): void {
  if (typeof value !== 'boolean') throw invalid(name, value, 'true or false')
}

export function checkFunction(name: string, value: (...args: never[]) => unknown): void {
  if (typeof value !== 'function') throw invalid(name, value, 'a function')
}

/** A signal of whatever realm. */
export function checkSignal(signal: AbortSignal): void {
  const isSignal =
    typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal
  if (!isSignal) throw invalid('signal', signal, 'the signal of an AbortController')
}

export function checkOneOf<Value extends string>(
  name: string,
  value: Value,
  allowed: readonly Value[]
): void {
  if (!allowed.includes(value)) throw invalid(name, value, `one of ${allowed.join(', ')}`)
}

/** The error for a wrong option or argument. */
export function invalid(name: string, value: unknown, wanted: string): CompletionError {
  return new CompletionError('CS_ERR_INVALID_OPTION', `${name} is ${show(value)}: give ${wanted}`)
}

/** Names a value by its kind alone. No text that a caller passed is ever shown: it may be a key, or a book. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return value === '' ? 'an empty string' : `a string of ${value.length} characters`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'an array'
  if (ArrayBuffer.isView(value)) return 'bytes'
  return isStreamLike(value) ? 'a stream' : 'an object'
}

/**
 * The options of a factory, with the defaults of those that are not given. The defaults also say which names there are.
 *
 * Throws `CS_ERR_INVALID_OPTION` for an unknown name, and for a value that is no object of options. A factory gets a stream
 * instead of options when it is put into a pipeline without its parentheses: the pipeline then calls it.
 */
export function settled<Options extends object>(
  factory: string,
  given: { readonly [Name in keyof Options]?: Options[Name] | undefined } | undefined,
  defaults: Options
): Options {
  if (given === undefined) return defaults
  const options = { ...defaults }
  checkIsOptions(factory, given)
  for (const name of Object.keys(given) as (keyof Options & string)[]) {
    if (!Object.hasOwn(defaults, name)) throw noSuchOption(factory, name, Object.keys(defaults))
    const value = given[name]
    if (value !== undefined) options[name] = value
  }
  return options
}

function checkIsOptions(factory: string, given: unknown): void {
  if (typeof given === 'object' && given !== null && isStreamLike(given)) {
    const message = `${factory} was given a stream for its options: write ${factory}(), with parentheses, where it stands in a pipeline`
    throw new CompletionError('CS_ERR_INVALID_OPTION', message)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw invalid(`the options of ${factory}`, given, 'an object with options, or nothing')
}

function noSuchOption(factory: string, name: string, known: readonly string[]): CompletionError {
  // Only a key that looks like a name is shown. Anything else may be a value that was passed by mistake.
  const shown = /^[a-z][a-zA-Z]{0,29}$/.test(name) ? name : 'of that name'
  const message = `${factory} has no option ${shown}: ${known.length > 0 ? `it has ${known.join(', ')}` : 'it has none'}`
  return new CompletionError('CS_ERR_INVALID_OPTION', message)
}

function isStreamLike(value: object): boolean {
  return (
    ('pipe' in value && typeof value.pipe === 'function') ||
    ('getReader' in value && typeof value.getReader === 'function') ||
    ('write' in value && typeof value.write === 'function') ||
    Symbol.asyncIterator in value
  )
}

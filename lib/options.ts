import { CompletionError } from './errors.js'

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

/** Names a value without showing what may be a secret or a book. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? 'a long string' : JSON.stringify(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}

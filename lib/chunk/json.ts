import { CompletionError } from '../errors.js'

/** The JSON of what a server has parsed though it belongs in a text. JSON can be nested deeper than `JSON.stringify` goes. */
export function jsonOf(what: string, value: object): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw new CompletionError('CS_ERR_INVALID_CHUNK', `${what} is nested too deep to be written as JSON`)
  }
}

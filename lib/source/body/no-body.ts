import { isWhole } from '../../chunk/failure/foreign.js'
import { CompletionError } from '../../errors.js'
import { invalid } from '../../options.js'

/** The error for what is given as a source and is none. What it is instead decides what to write. */
export function noSource(name: string, value: unknown, wanted: string): CompletionError {
  if (!isObject(value)) return invalid(name, value, wanted)
  if ('then' in value) return is(name, 'a promise', 'await it first')
  if ('body' in value && ('status' in value || 'statusCode' in value))
    return is(name, 'a response', 'give fromResponse(response)')
  return isWhole(value) ? wholeCompletion(name) : invalid(name, value, wanted)
}

/** The error for what is given as a response and is neither that nor a stream. */
export function noResponse(value: unknown): CompletionError {
  const name = 'response'
  if (!isObject(value)) return invalid(name, value, 'a response or a stream')
  // A request of `node:http`; the response of a server has `writeHead` as well.
  if ('setHeader' in value && !('writeHead' in value))
    return is(name, 'a request', "wait for its event 'response', and give what that brings")
  if ('data' in value && 'response' in value)
    return is(
      name,
      'what withResponse() of the client gives',
      'give the response in it, or ask with asResponse()'
    )
  if ('data' in value && 'config' in value)
    return is(name, 'a response of axios', "ask with responseType: 'stream', and give its data")
  return isWhole(value) ? wholeCompletion(name) : invalid(name, value, 'a response or a stream')
}

/** The error for the body of a response that its client gives as a text, as bytes, or as what JSON said. */
export function readBody(body: unknown): CompletionError {
  const wanted = "its stream, before the client reads it: with got.stream, or with responseType: 'stream'"
  return invalid('the body of the response', body, wanted)
}

export function lockedBody(): CompletionError {
  return is(
    'the body',
    'a web stream that has a reader already',
    'give a response whose body has not been read'
  )
}

function wholeCompletion(name: string): CompletionError {
  return is(
    name,
    'a whole completion',
    'ask for it with stream: true, or give Readable.from([completion]) to the pipeline'
  )
}

function is(name: string, what: string, advice: string): CompletionError {
  return new CompletionError('CS_ERR_INVALID_OPTION', `${name} is ${what}: ${advice}`)
}

function isObject(value: unknown): value is object & Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

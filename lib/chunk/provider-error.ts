import { CompletionError } from '../errors.js'
import { isResponsesEvent, type LooseChunk } from './fields.js'

/** A provider's message is for a log line; what is longer (a page of HTML, say) is whole in `cause`. */
const longestMessage = 1000

/** What the many shapes of an error have in common is not much: any of these may be there, of any type. */
interface LooseError {
  choices?: unknown
  code?: unknown
  detail?: unknown
  error?: unknown
  errors?: unknown
  message?: unknown
  msg?: unknown
  object?: unknown
  param?: unknown
  response?: unknown
  status?: unknown
  status_code?: unknown
  statusCode?: unknown
  type?: unknown
}

/**
 * The error that a payload reports; undefined when it reports none. Costs a property read or two for an
 * ordinary chunk.
 *
 * A payload under the event name `error`, or in the body of a refused request, is an error whatever it holds:
 * there is no need to ask.
 */
export function providerErrorIn(payload: object): object | string | undefined {
  const { error, choices } = payload as LooseError
  if (error && saysAnything(error))
    return typeof error === 'object' || typeof error === 'string' ? error : payload
  return Array.isArray(choices) ? choiceError(choices) : payloadError(payload)
}

/**
 * The `CS_ERR_PROVIDER` for a payload that reports an error, in whatever shape: `{error: {message, type, code}}`,
 * the bare `{message, type, code}`, an `error` that is text, Google's `[{error}]`, the `error` and
 * `response.failed` events of the Responses API, `{detail}` (FastAPI), `{errors: [...]}`, or plain text.
 *
 * @param payload what the provider sent, parsed if it is JSON; kept as `cause`
 * @param status the HTTP status of a refused request; without one, the status that the payload names
 */
export function toProviderError(payload: unknown, { status }: { status?: number } = {}): CompletionError {
  const levels = levelsOf(payload)
  const type = first(levels, typeOf)
  const providerCode = first(levels, codeOf)
  status ??= first(levels, statusOf)
  const said =
    first(levels, messageOf) ??
    type ??
    providerCode ??
    (status === undefined ? 'no message given' : `status ${status}`)
  return new CompletionError('CS_ERR_PROVIDER', `provider reported an error: ${shorten(String(said))}`, {
    cause: payload,
    type,
    providerCode,
    status,
    param: first(levels, ({ param }) => text(param))
  })
}

/** OpenRouter also reports the failure of a choice within the choice. */
function choiceError(choices: (LooseError | null)[]): object | string | undefined {
  for (const choice of choices) {
    const error = choice?.error
    if (error && saysAnything(error) && (typeof error === 'object' || typeof error === 'string')) return error
  }
  return undefined
}

/** The error in what has no choices, and so may be an event of the Responses API or no chunk at all. */
function payloadError(payload: object): object | string | undefined {
  if (Array.isArray(payload)) {
    const item: unknown = payload[0]
    return isObject(item) && !Array.isArray(item) ? providerErrorIn(item) : undefined
  }
  const { type, object, response, message, detail, errors } = payload as LooseError
  if (type === 'response.failed') {
    const error = isObject(response) && response.error
    return isObject(error) ? error : payload
  }
  if (type === 'error' || object === 'error') return payload
  // A chunk may say a thing of its own in a field of these names; what is no chunk at all can only complain.
  if (isChunk(payload)) return undefined
  const complains = text(message) ?? text(detail) ?? (isFilled(detail) || isFilled(errors))
  return complains ? payload : undefined
}

function isChunk(payload: LooseChunk): boolean {
  const { object, usage, response, delta } = payload
  return isResponsesEvent(payload) || [object, usage, response, delta].some(field => field !== undefined)
}

/** Some gateways send the error of every good chunk too, as an object in which nothing is filled in. */
function saysAnything(error: unknown): boolean {
  return !isObject(error) || Object.values(error).some(Boolean)
}

/**
 * The objects, and texts, in which a payload may state a fact of its error: the innermost knows best. An error
 * within an error within a `detail` is as deep as they come; JSON can be nested deeper than a stack goes.
 */
function levelsOf(payload: unknown, depth = 6): LooseError[] {
  if (typeof payload === 'string') return [{ message: payload }]
  if (!isObject(payload) || depth === 0) return []
  if (Array.isArray(payload)) return levelsOf(payload[0], depth - 1)
  const { error, response, errors, choices, message, detail } = payload
  const levels: LooseError[] = []
  for (const inner of [error, errors, message, detail]) {
    if (isObject(inner)) levels.push(...levelsOf(inner, depth - 1))
  }
  if (isObject(response)) levels.push(...levelsOf(response.error, depth - 1))
  if (Array.isArray(choices)) levels.push(...levelsOf(choiceError(choices), depth - 1))
  levels.push(payload)
  // Where `message` explains, an `error` that is text merely names the kind of failure ("Unauthorized").
  if (typeof error === 'string') levels.push({ message: error })
  return levels
}

function messageOf({ message, msg, detail, errors }: LooseError): string | undefined {
  const [firstError] = Array.isArray(errors) ? errors : []
  return text(message) ?? text(msg) ?? text(detail) ?? text(firstError)
}

/** The kind of error. The `type` of a Responses event only names the event; Google's name for it is `status`. */
function typeOf({ type, status }: LooseError): string | undefined {
  const name = text(type)
  if (name !== undefined && name !== 'error' && !name.startsWith('response.')) return name
  return typeof status === 'string' && /^[A-Z_]+$/.test(status) ? status : undefined
}

function codeOf({ code }: LooseError): string | number | undefined {
  return typeof code === 'number' ? code : text(code)
}

function statusOf({ status, status_code, statusCode, code }: LooseError): number | undefined {
  return [status, status_code, statusCode, code]
    .map(value => (typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value))
    .find((value): value is number => typeof value === 'number' && value >= 400 && value <= 599)
}

function first<Fact>(levels: LooseError[], read: (level: LooseError) => Fact | undefined): Fact | undefined {
  for (const level of levels) {
    const fact = read(level)
    if (fact !== undefined) return fact
  }
  return undefined
}

function text(value: unknown): string | undefined {
  const trimmed = typeof value === 'string' ? value.trim() : ''
  return trimmed === '' ? undefined : trimmed
}

function shorten(message: string): string {
  return message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0
}

function isObject(value: unknown): value is LooseError {
  return typeof value === 'object' && value !== null
}

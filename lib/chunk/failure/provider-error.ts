import { CompletionError, type CompletionErrorFacts } from '../../errors.js'
import { withoutKeysIn } from '../../failure/access-keys.js'
import { longestKey, printable } from '../../failure/printable.js'
import { closesResponse, isResponsesEvent, type LooseChunk, responseOf, responseStatusOf } from '../fields.js'
import { isKeepAlive } from '../keep-alive.js'

/** A provider's message is for a log line; what is longer is whole in `cause`. */
const longestMessage = 1000
/** Text without a form is a gateway's, and may be a whole page. */
const longestText = 200

/** The shapes of an error have little in common: each of these fields may be there or not, and be of any type. */
interface LooseError extends LooseChunk {
  delta?: { error?: unknown } | null
  base_resp?: unknown
  param?: unknown
}

/**
 * What a payload, or an object within it, says, by the names of its members in small letters without `_` and `-`:
 * providers write `error_code`, `errorCode` and `ErrorCode`.
 */
type Said = ReadonlyMap<string, unknown>

/** The names of a message, of a code and of a kind of error, the best ones first. */
const messageNames = [
  'message',
  'msg',
  'errormessage',
  'errormsg',
  'errmsg',
  'errortext',
  'errordescription',
  'statusmsg',
  'faultstring',
  'detail',
  'details',
  'description',
  'title',
  'err',
  'exception'
]
/** Those that nothing but an error has: a source that is cited, or a conversation, has a title or a description too. */
const complaintNames = messageNames.filter(name => name !== 'title' && name !== 'description')
const codeNames = ['code', 'errorcode', 'errcode', 'errno', 'retcode']
const statusNames = ['status', 'statuscode', 'httpstatus', 'httpstatuscode', 'httpcode', 'code']
const typeNames = ['type', 'errortype', 'exceptiontype']
/** What a member is called that holds nothing but a failure. */
const failureName = /(?:^err|errors?|exceptions?|^err(?:or)?(?:message|msg|text|description|type))$/
/** What an event is called whose data is one, whatever that is. new-api knows `response.error`. */
const failureEvent = /^(?:(?:response\.)?error|\w*exception)$/i
/** Where an error, or a part of it, is an object of its own, the outermost last. */
const innerNames = [
  'error',
  'err',
  'errors',
  'message',
  'errormsg',
  'detail',
  'fault',
  'baseresp',
  'header',
  'responsemetadata',
  'xgroq'
]

/**
 * The error that a payload reports; undefined when it reports none. Costs a property read or three for an
 * ordinary chunk.
 *
 * A payload under the event name `error`, or in the body of a refused request, is an error whatever it holds:
 * there is no need to ask.
 */
export function providerErrorIn(payload: object): object | string | undefined {
  const { error, choices, base_resp, x_groq } = payload as LooseError
  if (error && saysAnything(error) && !isFailureOfTool(payload))
    return typeof error === 'object' || typeof error === 'string' ? error : payload
  // MiniMax sends the status of every good chunk too, as 0.
  if (isObject(base_resp) && isFailing((base_resp as { status_code?: unknown }).status_code)) return base_resp
  // Groq says in it why it stops a stream, beside whatever the chunk holds.
  if (isObject(x_groq) && saysAnything(x_groq.error)) return x_groq
  if (!Array.isArray(choices)) return payloadError(payload)
  return choices.length > 0 ? choiceError(choices) : codedError(payload)
}

/** A tool that failed is told to the model, which goes on with its answer: `response.mcp_call.failed`. */
function isFailureOfTool({ type }: LooseChunk): boolean {
  return typeof type === 'string' && /^response\.\w+\.failed$/.test(type)
}

/** Whether it is one choice that a payload reports the failure of, so that others may go on. */
export function isErrorOfChoice(payload: object): boolean {
  const { error, choices } = payload as LooseError
  return !(error && saysAnything(error)) && Array.isArray(choices) && choiceError(choices) !== undefined
}

/**
 * The `CS_ERR_PROVIDER` for a payload that reports an error, in whatever shape: `{error: {message, type, code}}`,
 * the bare `{message, type, code}`, an `error` that is text, Google's `[{error}]`, the `error`, `response.error` and
 * `response.failed` events of the Responses API, `{detail}` (FastAPI), `{errors: [...]}`, `{error_code, error_msg}`
 * (Baidu), `{base_resp: {status_code, status_msg}}` (MiniMax), `{code, msg}` (Zhipu), `{Message}` and `{__type}` (AWS),
 * `{errorMessage, errorType}` (Lambda), `{throttlingException: {message}}` (Bedrock), `{fault: {faultstring}}` (Apigee),
 * RFC 9457's `{title, status}`, or plain text.
 *
 * @param payload what the provider sent, parsed if it is JSON; kept as `cause`, but for keys in it
 * @param status the HTTP status of a refused request; without one, the status that the payload names
 */
export function toProviderError(
  payload: unknown,
  { status, ...facts }: Pick<CompletionErrorFacts, 'status' | 'headers' | 'retryAfter'> = {}
): CompletionError {
  const levels = levelsOf(payload)
  const type = first(levels, typeOf)
  const providerCode = first(levels, codeOf)
  status ??= first(levels, statusOf)
  const said =
    first(levels, messageOf) ??
    type ??
    providerCode ??
    (status === undefined ? 'no message given' : `status ${status}`)
  const longest = typeof payload === 'string' ? longestText : longestMessage
  return new CompletionError(
    'CS_ERR_PROVIDER',
    `provider reported an error: ${shorten(`${said}`, longest)}`,
    {
      ...facts,
      cause: withoutKeysIn(payload),
      type,
      providerCode,
      status,
      param: first(levels, level => text(level.get('param')))
    }
  )
}

/** Whether the name of an event says that its data is an error: `error`, or as AWS names them, such as `throttlingException`. */
export function isFailureName(event: string): boolean {
  return event !== '' && failureEvent.test(event)
}

/** OpenRouter also reports the failure of a choice within the choice. */
function choiceError(choices: (LooseError | null)[]): object | string | undefined {
  for (const choice of choices) {
    const error = choice?.error || choice?.delta?.error
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
  if (isResponsesEvent(payload)) return responseError(payload)
  const { type, object } = payload as LooseError
  if (type === 'error' || object === 'error') return payload
  // In a chunk, a field of such a name may mean something else; in an object that is no chunk, it reports an error.
  if (isChunk(payload)) return codedError(payload)
  return !isKeepAlive(payload) && (isEmptyError(payload) || complains(saidIn(payload))) ? payload : undefined
}

/**
 * Besides `response.failed`, some gateways end a response that has failed with another event that closes it, and others send
 * `response.error` (new-api).
 */
function responseError(event: LooseChunk): object | undefined {
  const isError = event.type === 'response.error'
  if (!isError && !closesResponse(event)) return undefined
  const error = responseOf(event)?.error
  const isFailed = isError || responseStatusOf(event) === 'failed'
  if (saysAnything(error)) return isObject(error) ? error : event
  return isFailed ? event : undefined
}

/**
 * The error in what has the form of a chunk without a choice: a code or a type that says so, beside a message, no success,
 * or errors by name.
 */
function codedError(payload: object): object | undefined {
  const said = saidIn(payload)
  const isCoded =
    said.get('usage') == null &&
    (isFailing(anyOf(said, codeNames)) || /error$|exception$/i.test(firstOf(said, typeNames, text) ?? '')) &&
    firstOf(said, messageNames, text)
  return isCoded || said.get('success') === false || failuresIn(said).length > 0 ? payload : undefined
}

/** The names of failures under which something stands: `errors`, `error_message` (DeepInfra), or `throttlingException` (Bedrock). */
function failuresIn(said: Said): string[] {
  return [...said.keys()].filter(name => failureName.test(name) && saysFailure(said.get(name)))
}

function saysFailure(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  return isObject(value) ? saysAnything(value) : text(value) !== undefined && isFailing(value)
}

/** Whether there is nothing but an error that says nothing, as Python's `str` gives for many: `{"error": ""}`. */
function isEmptyError({ error }: LooseError): boolean {
  return typeof error === 'string' || isObject(error)
}

function isChunk({ object, usage, response, delta }: LooseChunk): boolean {
  return [object, usage, response, delta].some(field => field != null)
}

/** Whether an object that is no chunk complains: by a code other than 0, a message, or an error within it. */
function complains(said: Said): boolean {
  const code = anyOf(said, [...codeNames, 'statuscode'])
  if (isFailing(code) || statusOf(said) !== undefined || said.get('success') === false) return true
  // `{code: 0, msg: 'success'}` is none.
  if (code !== undefined || saysSuccess(said)) return false
  if (/^(error|fail(ed|ure)?)$/i.test(text(said.get('status')) ?? '')) return true
  if (firstOf(said, complaintNames, text) || saysAnything(errorWithin(said))) return true
  if (failuresIn(said).length > 0) return true
  return innerNames.some(name => {
    const inner = said.get(name)
    if (name === 'message' || !isObject(inner)) return false
    if (['header', 'baseresp', 'responsemetadata'].includes(name)) return complains(saidIn(inner))
    return Array.isArray(inner) ? inner.length > 0 : saysAnything(inner)
  })
}

/** Whether an object says that nothing failed, so that its message is no complaint. */
function saysSuccess(said: Said): boolean {
  const status = said.get('status')
  const isGood = (typeof status === 'number' || text(status) !== undefined) && !isFailing(status)
  return said.get('success') === true || said.get('error') === false || status === true || isGood
}

/** Whether a code says that something failed. */
function isFailing(code: unknown): boolean {
  if (typeof code === 'number') return code !== 0 && !(code >= 200 && code < 300)
  return typeof code === 'string' && !/^\s*(0*|2\d\d|ok|success(?:ful)?|succeeded|none|null)\s*$/i.test(code)
}

/** Whether an error is one: some gateways send one with every good chunk too, as an object in which nothing is filled in. */
export function saysAnything(error: unknown): boolean {
  return isObject(error) ? Object.values(error).some(Boolean) : Boolean(error)
}

/**
 * The objects, and texts, in which a payload may state a fact of its error: the innermost knows best. An error
 * within an error within a `detail` is as deep as they come; JSON can be nested deeper than a stack goes.
 */
function levelsOf(payload: unknown, depth = 6): Said[] {
  if (typeof payload === 'string') return [new Map([['message', payload]])]
  if (!isObject(payload) || depth === 0) return []
  if (Array.isArray(payload)) return levelsOf(payload[0], depth - 1)
  const said = saidIn(payload)
  const levels: Said[] = []
  for (const name of new Set([...innerNames, ...failuresIn(said)])) {
    const inner = said.get(name)
    if (isObject(inner)) levels.push(...levelsOf(inner, depth - 1))
  }
  levels.push(...levelsOf(errorWithin(said), depth - 1))
  const choices = said.get('choices')
  if (Array.isArray(choices)) levels.push(...levelsOf(choiceError(choices), depth - 1))
  levels.push(said)
  // Where `message` explains, an `error` that is text merely names the kind of failure ("Unauthorized").
  const error = said.get('error')
  if (typeof error === 'string') levels.push(new Map([['message', error]]))
  return levels
}

/** The error of a response: of the Responses API, or of Tencent's `{Response: {Error}}`. */
function errorWithin(said: Said): unknown {
  const response = said.get('response')
  if (!isObject(response)) return undefined
  const details: unknown = Reflect.get(response, 'status_details')
  // `response.done`, which some gateways have from the Realtime API, gives the details of its status.
  return saidIn(response).get('error') ?? (isObject(details) ? details.error : undefined)
}

function saidIn(payload: object): Said {
  const said = new Map<string, unknown>()
  for (const [name, value] of Object.entries(payload)) {
    const plain = name.toLowerCase().replace(/[_-]/g, '')
    if (!said.has(plain) || name === plain) said.set(plain, value)
  }
  return said
}

function messageOf(said: Said): string | undefined {
  const named = firstOf(said, messageNames, text)
  if (named !== undefined) return named
  const errors = said.get('errors')
  // By the name of the parameter (Rails, ASP.NET): `{errors: {model: ['is unknown']}}`.
  const [firstError] = isObject(errors) ? Object.values(errors).flat() : []
  return text(firstError) ?? (said.has('errorcode') ? text(said.get('text')) : undefined)
}

/**
 * The kind of error. The `type` of a Responses event only names the event, that of RFC 9457 is an address; Google's name
 * for it is `status`.
 */
function typeOf(said: Said): string | undefined {
  const name = firstOf(said, typeNames, text)
  if (name !== undefined && name !== 'error' && !/^(response\.|about:|https?:)/.test(name)) return name
  const status = said.get('status')
  return typeof status === 'string' && /^[A-Z_]+$/.test(status) ? status : undefined
}

function codeOf(said: Said): string | number | undefined {
  const code = firstOf(said, codeNames, value => (typeof value === 'number' ? value : text(value)))
  if (code !== undefined) return code
  const status = said.get('statuscode')
  return typeof status === 'number' && statusOf(said) === undefined ? status : undefined
}

function statusOf(said: Said): number | undefined {
  return firstOf(said, statusNames, value => {
    const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
    return typeof status === 'number' && status >= 400 && status <= 599 ? status : undefined
  })
}

function first<Fact>(levels: Said[], read: (level: Said) => Fact | undefined): Fact | undefined {
  for (const level of levels) {
    const fact = read(level)
    if (fact !== undefined) return fact
  }
  return undefined
}

function firstOf<Fact>(
  said: Said,
  names: readonly string[],
  read: (value: unknown) => Fact | undefined
): Fact | undefined {
  for (const name of names) {
    const fact = read(said.get(name))
    if (fact !== undefined) return fact
  }
  return undefined
}

function anyOf(said: Said, names: readonly string[]): unknown {
  return firstOf(said, names, value => (value === '' ? undefined : (value ?? undefined)))
}

function text(value: unknown): string | undefined {
  const trimmed = typeof value === 'string' ? value.trim() : ''
  return trimmed === '' ? undefined : trimmed
}

function shorten(message: string, longest: number): string {
  // A gateway's text may be as long as an event. What is cut may be the half of a key, which is none to be recognized.
  const beginning = message.slice(0, longest + longestKey)
  const shown = printable(beginning)
  const isCut = shown.length > longest || beginning.length < message.length
  return isCut ? `${shown.slice(0, longest)}…` : shown
}

function isObject(value: unknown): value is LooseError {
  return typeof value === 'object' && value !== null
}

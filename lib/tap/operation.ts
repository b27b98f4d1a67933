import { CompletionError } from '../errors.js'
import { names, requestAttributes } from './genai-conventions.js'
import type { Summary } from './summary-record.js'

/** What an attribute may be. */
export type AttributeValue = string | number | boolean | readonly string[]

/** Attributes by their names. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

/** What telemetry says of a request: on the metrics, and beside that on the span only. */
export interface RequestFacts {
  readonly shared: Attributes
  readonly ofSpan: Attributes
}

/** Reads the facts of a request off its parameters. What the caller says goes before. */
export function requestFacts(
  params: object | undefined,
  given: Attributes,
  withContent: boolean
): RequestFacts {
  const loose = { ...params } as Readonly<Record<string, unknown>>
  const provider = given[names.provider] ?? given[names.system]
  const shared = defined({
    [names.operation]:
      typeof loose.prompt === 'string' || Array.isArray(loose.prompt) ? 'text_completion' : 'chat',
    [names.requestModel]: typeof loose.model === 'string' ? loose.model : undefined,
    [names.provider]: provider ?? 'openai',
    ...given
  })
  const ofSpan: Record<string, AttributeValue> = { [names.stream]: true }
  for (const [name, attribute] of Object.entries(requestAttributes)) {
    const value = attributeOf(attribute, loose[name])
    // One choice is the default, of which the conventions say nothing.
    if (value !== undefined && !(name === 'n' && value === 1)) ofSpan[attribute] = value
  }
  const messages = withContent ? messagesOf(loose.messages ?? loose.input ?? loose.prompt) : undefined
  if (messages) ofSpan[names.inputMessages] = JSON.stringify(messages)
  return { shared, ofSpan }
}

/** What a span says of the response. */
export function responseAttributes(summary: Summary): Attributes {
  const { id, model, usage, tokens, finishReasons, firstChunk, outcome, text } = summary
  const { input, output, cached, reasoning } = (usage && tokens) ?? {}
  const reasons = Object.values(finishReasons)
  const messages = text === undefined ? undefined : [outputMessage(text, reasons[0] ?? 'error')]
  return defined({
    [names.responseId]: id,
    [names.responseModel]: model,
    // A reason that was to come and did not is an error, by the conventions.
    [names.finishReasons]: reasons.length > 0 || outcome === 'complete' ? reasons : ['error'],
    [names.timeToFirstChunk]: firstChunk === undefined ? undefined : firstChunk / 1000,
    [names.inputTokens]: input,
    [names.outputTokens]: output,
    [names.cachedTokens]: cached,
    [names.reasoningTokens]: reasoning,
    [names.outputMessages]: messages && JSON.stringify(messages)
  })
}

/**
 * The kind of error, of few values: the HTTP status if there is one, else the code of the error, or the name of its class.
 * An operation that was given up without an error is `aborted`. Undefined for one that is complete, or was stopped.
 */
export function errorTypeOf({ outcome, error }: Summary): string | undefined {
  if (outcome === 'complete' || outcome === 'stopped') return undefined
  if (outcome === 'aborted' || !error) return 'aborted'
  const { status, code } = error as { status?: unknown; code?: unknown }
  if (typeof status === 'number') return String(status)
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,49}$/.test(code)) return code
  const { name } = error.constructor
  return name === '' ? '_OTHER' : name
}

/** What a span's status says: nothing of an error that may hold what is not for a log. */
export function statusMessageOf(error: Error): string {
  return error instanceof CompletionError ? error.message : error.constructor.name
}

function outputMessage(content: string, finish_reason: string): object {
  return { role: 'assistant', parts: [{ type: 'text', content }], finish_reason }
}

function messagesOf(messages: unknown): object[] | undefined {
  if (typeof messages === 'string') return [{ role: 'user', parts: [{ type: 'text', content: messages }] }]
  if (!Array.isArray(messages)) return undefined
  return messages.map((message: unknown) => {
    const { role = 'user', content = message } = (typeof message === 'object' ? message : {}) as {
      role?: unknown
      content?: unknown
    }
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    return { role, parts: [{ type: 'text', content: text }] }
  })
}

function attributeOf(attribute: string, value: unknown): AttributeValue | undefined {
  if (attribute === 'gen_ai.request.stop_sequences' && typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.every(item => typeof item === 'string') ? value : undefined
  return typeof value === 'string' || typeof value === 'number' ? value : undefined
}

export function defined(attributes: Attributes): Readonly<Record<string, AttributeValue>> {
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined)
  // What is undefined has been left out.
  return Object.fromEntries(entries) as Record<string, AttributeValue>
}

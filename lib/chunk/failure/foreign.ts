import { CompletionError } from '../../errors.js'
import { show } from '../../options.js'
import { type Chunk, choicesOf, isResponsesEvent, type LooseChunk, usageOf } from '../fields.js'
import { isKeepAlive } from '../keep-alive.js'
import { mayHoldText, otherFormOf } from './other-form.js'
import { ownFormOf } from './own-form.js'
import { unreadableIn } from './unreadable.js'

type Loose = Readonly<Record<string, unknown>>

/** Registered, so that two copies of the library in one process understand each other. */
const admitted = Symbol.for('completion-streams.admitted')

/** Marks an object that came among the chunks of a completion though it looks like none, so that later stages accept it. */
export function admit(item: object): void {
  if (!isReadable(item) && Object.isExtensible(item)) Object.defineProperty(item, admitted, { value: true })
}

/** Fields that only chunks have. A chunk may hold nothing but one of them, such as a provider's cost. */
const chunkFields = [
  'choices',
  'usage',
  'prompt_filter_results',
  'x_groq',
  'cost',
  'error',
  'moderation',
  'obfuscation'
]

/**
 * Whether an object may be a completion chunk: it has choices, is an event of the Responses API, reports usage or an
 * error, calls itself a chunk, or keeps the connection alive.
 */
export function isChunkLike(item: object): boolean {
  const loose = item as Loose
  // MiniMax repeats the whole answer as its last chunk.
  if (Array.isArray(loose.choices)) return !isWhole(loose) || admitted in item
  if (isResponsesEvent(item)) return otherFormOf(item) === undefined
  const { object, type } = loose
  if (
    typeof object === 'string' &&
    (object.endsWith('.chunk') || object === 'text_completion' || object === 'error')
  )
    return true
  if (type === 'error' || (isPlain(item) && isKeepAlive(item)) || admitted in item) return true
  if (usageOf(item) === undefined && !chunkFields.some(name => Object.hasOwn(loose, name))) return false
  return otherFormOf(item) === undefined && ownFormOf(item) === undefined && !holdsAnswer(item)
}

/** Whether an object may be a chunk, and what it says can be read. */
function isReadable(item: object): boolean {
  return isChunkLike(item) && unreadableIn((item as LooseChunk).choices) === undefined
}

/**
 * Whether what has no choices and is no Responses event holds an answer, in no form of ours: where it reports usage, a cost
 * or an error as well, it would be taken for a chunk, and that answer lost.
 */
export function holdsAnswer(item: object): boolean {
  const { object, response, ...others } = item as LooseChunk
  // A proxy leaves out the type of a Responses event.
  const isEvent = isObject(response) && isObject(response?.usage)
  return object === undefined && mayHoldText(isEvent ? others : { response, ...others })
}

/**
 * Throws `CS_ERR_INVALID_CHUNK` for what is no chunk, and says what it is and what to write instead: it would pass
 * through a stage as a chunk that says nothing.
 */
export function checkChunk(taker: string, item: unknown): asserts item is Chunk {
  if (typeof item === 'object' && item !== null && choicesOf(item).length > 0 && !isWhole(item as Loose))
    return
  if (
    typeof item === 'object' &&
    item !== null &&
    !ArrayBuffer.isView(item) &&
    !Array.isArray(item) &&
    (admitted in item || isReadable(item))
  )
    return
  throw new CompletionError('CS_ERR_INVALID_CHUNK', `${taker} takes chunks, not ${adviceFor(item)}`)
}

/** Throws `CS_ERR_INVALID_CHUNK` for what is no text. */
export function checkText(taker: string, item: unknown): asserts item is string {
  if (typeof item === 'string') return
  const message = `${taker} takes text, not ${show(item)}: put toText() before it`
  throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

/** What an item is that is no chunk, and what to write instead. */
interface Description {
  readonly what: string
  /** What to write instead before a stage that takes chunks. */
  readonly advice: string
  /** The same before `toChunks` itself, where that is something else. */
  readonly toChunks?: string
}

/** What an object is, and what to write instead. No text of it is shown: it may be that of a completion. */
export function adviceFor(item: unknown): string {
  const { what, advice } = descriptionOf(item)
  return `${what}: ${advice}`
}

/** The same for what is written to `toChunks`. */
export function adviceForToChunks(item: unknown): string {
  const { what, advice, toChunks = advice } = descriptionOf(item)
  return toChunks === '' ? what : `${what}: ${toChunks}`
}

/** What an object is. */
export function nameOf(item: unknown): string {
  return descriptionOf(item).what
}

function descriptionOf(item: unknown): Description {
  const before = { advice: 'put toChunks() before it', toChunks: '' }
  if (typeof item === 'string') return { what: 'a string', ...before }
  if (ArrayBuffer.isView(item)) return { what: 'bytes', ...before }
  if (Array.isArray(item))
    return { what: 'an array', advice: 'write its chunks one by one, with Readable.from(array)' }
  if (typeof item !== 'object' || item === null) return { what: show(item), ...before }
  const loose = item as Loose
  if (typeof loose.then === 'function') return { what: 'a promise', advice: 'await it first' }
  if (
    typeof loose.getReader === 'function' ||
    typeof loose.pipe === 'function' ||
    Symbol.asyncIterator in item
  )
    return { what: 'a stream', advice: 'put the stream itself in the pipeline' }
  if (typeof loose.arrayBuffer === 'function' && 'bodyUsed' in item) {
    const begin = 'begin the pipeline with fromResponse(response)'
    return { what: 'a Response', advice: `${begin}, and put toChunks() before it`, toChunks: begin }
  }
  if (item instanceof Map || item instanceof Set) return { what: 'a Map or a Set', advice: 'write chunks' }
  if (isWhole(loose)) {
    const ask = 'ask for it with stream: true, or write JSON.stringify(completion)'
    return { what: 'a whole completion', advice: `${ask}, with toChunks() before it`, toChunks: ask }
  }
  const own = ownFormOf(item)
  if (own) return own
  if (typeof loose.data === 'string') return { what: 'an event', ...before }
  if (typeof loose.arguments === 'string' && typeof loose.name === 'string')
    return {
      what: 'a tool call',
      advice: 'put the stage before toToolCalls()',
      toChunks: 'put toChunks() before toToolCalls()'
    }
  if (isLangChain(loose))
    return { what: "a chunk of LangChain's", advice: 'read the completion where LangChain reads it' }
  const form = otherFormOf(item)
  if (form !== undefined) return { what: "another API's object", advice: form }
  if (typeof loose.message === 'string' && typeof loose.stack === 'string')
    return { what: 'an error', advice: 'fail the stream with it, with destroy(error)' }
  if (holdsAnswer(item))
    return {
      what: 'an object with a text in a form of its own',
      advice: 'emit that text itself, behind the stages that take chunks'
    }
  return {
    what: 'an object of another kind',
    advice: 'put toChunks() before it, and the stage that makes such objects behind it',
    toChunks: 'put the stage that makes such objects behind it'
  }
}

/** A whole completion, as without `stream: true`. Perplexity's chunks have a message too, but a delta beside it. */
export function isWhole({ choices, object, output, type }: Loose): boolean {
  if (object === 'response') return Array.isArray(output) && type === undefined
  if (!Array.isArray(choices)) return false
  const first: unknown = choices[0]
  if (typeof first !== 'object' || first === null) return false
  return 'message' in first && !('delta' in first) && isObject((first as Loose).message)
}

function isLangChain({ lc, lc_namespace, lc_kwargs, generationInfo, ops }: Loose): boolean {
  return (
    lc !== undefined ||
    lc_namespace !== undefined ||
    lc_kwargs !== undefined ||
    generationInfo !== undefined ||
    Array.isArray(ops)
  )
}

/** JSON gives such objects; a promise or a Map, which has no fields either, is none. The realm it is from does not matter. */
function isPlain(item: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(item)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

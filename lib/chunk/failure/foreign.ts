import { CompletionError } from '../../errors.js'
import { show } from '../../options.js'
import { type Chunk, choicesOf, isResponsesEvent, usageOf } from '../fields.js'
import { isKeepAlive } from '../keep-alive.js'
import { otherFormOf } from './other-form.js'
import { unreadableIn } from './unreadable.js'

type Loose = Readonly<Record<string, unknown>>

/** Registered, so that two copies of the library in one process understand each other. */
const admitted = Symbol.for('completion-streams.admitted')

/** Marks an object that came among the chunks of a completion though it looks like none, so that later stages accept it. */
export function admit(item: object): void {
  if (!isChunkLike(item) && Object.isExtensible(item)) Object.defineProperty(item, admitted, { value: true })
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
  if (isResponsesEvent(item) || usageOf(item) !== undefined) return otherFormOf(item) === undefined
  const { object, type } = loose
  if (
    typeof object === 'string' &&
    (object.endsWith('.chunk') || object === 'text_completion' || object === 'error')
  )
    return true
  if (type === 'error' || (isPlain(item) && isKeepAlive(item)) || admitted in item) return true
  return chunkFields.some(name => Object.hasOwn(loose, name)) && otherFormOf(item) === undefined
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
    isChunkLike(item) &&
    unreadableIn(item) === undefined
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

/** What an object is, and what to write instead. No text of it is shown: it may be that of a completion. */
export function adviceFor(item: unknown): string {
  if (typeof item === 'string') return 'a string: put toChunks() before it'
  if (ArrayBuffer.isView(item)) return 'bytes: put toChunks() before it'
  if (Array.isArray(item)) return 'an array: write its chunks one by one, with Readable.from(array)'
  if (typeof item !== 'object' || item === null) return `${show(item)}: put toChunks() before it`
  const loose = item as Loose
  if (typeof loose.then === 'function') return 'a promise: await it first'
  if (
    typeof loose.getReader === 'function' ||
    typeof loose.pipe === 'function' ||
    Symbol.asyncIterator in item
  )
    return 'a stream: put the stream itself in the pipeline'
  if (typeof loose.arrayBuffer === 'function' && 'bodyUsed' in item)
    return 'a Response: begin the pipeline with fromResponse(response), and put toChunks() before it'
  if (item instanceof Map || item instanceof Set) return 'a Map or a Set: write chunks'
  if (isWhole(loose)) return 'a whole completion: ask for it with stream: true, or put toChunks() before it'
  if (typeof loose.data === 'string') return 'an event: put toChunks() before it'
  if (typeof loose.arguments === 'string' && typeof loose.name === 'string')
    return 'a tool call: put the stage before toToolCalls()'
  if (isLangChain(loose)) return "a chunk of LangChain's: read the completion where LangChain reads it"
  const form = otherFormOf(item)
  if (form !== undefined) return `another API's object: ${form}`
  if (typeof loose.message === 'string' && typeof loose.stack === 'string')
    return 'an error: fail the stream with it, with destroy(error)'
  return 'an object of another kind: put toChunks() before it, and the stage that makes such objects behind it'
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

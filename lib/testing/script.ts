import type OpenAI from 'openai'
import { settled } from '../options.js'
import type { Faults } from './faults.js'

/**
 * A part of a tool call. The first piece of a call names its `id` and `name`; the arguments come with it, or in
 * the pieces that follow under the same index. A new id under the same index is a new call.
 */
export interface ToolCallPiece {
  /** Default 0. */
  index?: number
  id?: string
  name?: string
  /** A part of the JSON text. Default `''`. */
  arguments?: string
}

/** What the model says at one moment: `at` is in milliseconds since the request arrived. */
export type Piece = { at: number } & (
  | { text: string; logprobs?: OpenAI.ChatCompletionTokenLogprob[] }
  | { refusal: string; logprobs?: OpenAI.ChatCompletionTokenLogprob[] }
  | { reasoning: string }
  | { toolCall: ToolCallPiece }
)

/** One answer. The Responses API has one only: the first. The legacy API has text only. */
export interface ScriptedChoice {
  /** Default: the place in the list. */
  index?: number
  /** In the order of their times. */
  pieces: Piece[]
  /** Default `'tool_calls'` when there are any, otherwise `'stop'`. */
  finish_reason?: string
  /** When the finish reason is sent, in milliseconds. Default: with the last piece. */
  finishAt?: number
  /**
   * The delta that opens a chat choice, with the first piece; its fields are also in the whole message. Default:
   * the role, with empty or null `content` and `refusal`, as OpenAI sends it.
   */
  opening?: Record<string, unknown>
}

/** A completion at the level of what the model says. Every form of answer is made from it. */
export interface Script {
  /**
   * Default `'chatcmpl-scripted'`. The prefixes `chatcmpl-`, `cmpl-` and `resp_` are replaced by that of the API
   * that is asked; any other id is sent as it is.
   */
  id?: string
  /** In seconds since 1970. Default 1721075653: the same script gives the same answer at any time. */
  created?: number
  /** Default: the model that was asked for. */
  model?: string
  /** Default: no such field. */
  system_fingerprint?: string
  /** Default: no such field. */
  service_tier?: string
  choices: ScriptedChoice[]
  /**
   * Token counts. In a stream of the chat and legacy APIs they are sent when `stream_options.include_usage` asks
   * for them. Null: never. Default: a token per piece, and the question cut as `script` cuts text.
   */
  usage?: OpenAI.CompletionUsage | null
  /** Further fields for each chunk, and for the whole answer. Default: none. */
  fields?: Record<string, unknown>
  /** When the headers of a stream are sent, in milliseconds. Default 0. */
  headersAt?: number
  /** When a whole answer is sent, in milliseconds. Default: when the last choice has finished. */
  wholeAt?: number
  /** Faults of this answer; each replaces the server's own of that name. */
  faults?: Faults
}

/** A part of a raw body. */
export interface RawWrite {
  /** In milliseconds since the request arrived. Default: as soon as the one before is sent. */
  at?: number
  bytes: string | Uint8Array
}

/**
 * A body that is sent as it is, streamed or not. Of the faults, those that are about events as text
 * (`errorAfter`, `endMark`, `lineEnd`, `comments`) do not touch it.
 */
export interface RawScript {
  /** The HTTP status. Default 200. */
  status?: number
  /** Default `content-type: text/event-stream`. */
  headers?: Record<string, string>
  /** When the headers are sent, in milliseconds. Default 0. */
  headersAt?: number
  /** Taken one by one, no faster than the client reads, so it may be as long as you like. If it throws, the connection is cut. */
  writes: Iterable<RawWrite> | AsyncIterable<RawWrite>
  /** Faults of this answer; each replaces the server's own of that name. */
  faults?: Faults
}

/** Everything of a script but its choices, and the times of the pieces. */
export interface ScriptOptions extends Omit<Script, 'choices'> {
  /** Milliseconds until the first piece. Default 0. */
  start?: number
  /** Milliseconds between two pieces. Default 10. */
  interval?: number
  /** Of every choice. Default `'stop'`. */
  finish_reason?: string
}

/**
 * A script from plain text, cut into pieces the size of tokens. Several texts are several choices.
 *
 * @example
 * await using server = await serveCompletions({ script: script('It was a dark and stormy night', { interval: 5 }) })
 * console.log(server.url)
 */
export function script(text: string | readonly string[], options: ScriptOptions = {}): Script {
  settled('script', options, noScriptOptions)
  const { start = 0, interval = 10, finish_reason, ...rest } = options
  const texts = typeof text === 'string' ? [text] : text
  return {
    ...rest,
    choices: texts.map(text => ({
      pieces: cutText(text).map((text, place) => ({ at: start + place * interval, text })),
      ...(finish_reason !== undefined && { finish_reason })
    }))
  }
}

/** The names that there are: of what is not given, a script has no field. */
const noScriptOptions = {
  start: undefined,
  interval: undefined,
  finish_reason: undefined,
  id: undefined,
  created: undefined,
  model: undefined,
  system_fingerprint: undefined,
  service_tier: undefined,
  usage: undefined,
  fields: undefined,
  headersAt: undefined,
  wholeAt: undefined,
  faults: undefined
} as unknown as Required<ScriptOptions>

/** Cuts text into pieces like a tokenizer's: words with the space before them, punctuation, white space. */
export function cutText(text: string): string[] {
  return text.match(/ ?[\p{L}\p{N}]{1,8}|\s+|[^\s\p{L}\p{N}]{1,4}/gu) ?? []
}

/** A choice with its defaults settled. */
export interface SettledChoice {
  index: number
  pieces: Piece[]
  finish_reason: string
  openAt: number
  finishAt: number
  opening: Record<string, unknown>
  hasLogprobs: boolean
}

/** A script with its defaults settled. */
export interface SettledScript {
  id: string
  created: number
  model: string
  system_fingerprint: string | undefined
  service_tier: string | undefined
  choices: SettledChoice[]
  usage: OpenAI.CompletionUsage | null
  fields: Record<string, unknown>
  headersAt: number
  finishAt: number
  wholeAt: number
}

/** Fills in what a script leaves open, for a request for `model` that asks `question`. */
export function settle(script: Script, model: string, question: string): SettledScript {
  const choices = script.choices.map(settleChoice)
  const finishAt = Math.max(0, ...choices.map(choice => choice.finishAt))
  const usage = script.usage === undefined ? countTokens(choices, question) : script.usage
  return {
    id: script.id ?? 'chatcmpl-scripted',
    created: script.created ?? 1721075653,
    model: script.model ?? model,
    system_fingerprint: script.system_fingerprint,
    service_tier: script.service_tier,
    choices,
    usage,
    fields: script.fields ?? {},
    headersAt: script.headersAt ?? 0,
    finishAt,
    wholeAt: script.wholeAt ?? finishAt
  }
}

function settleChoice(choice: ScriptedChoice, place: number): SettledChoice {
  const { index = place, pieces } = choice
  const openAt = pieces[0]?.at ?? choice.finishAt ?? 0
  const finishAt = Math.max(openAt, choice.finishAt ?? pieces.at(-1)?.at ?? 0)
  const callsTools = pieces.some(piece => 'toolCall' in piece)
  return {
    index,
    pieces,
    finish_reason: choice.finish_reason ?? (callsTools ? 'tool_calls' : 'stop'),
    openAt,
    finishAt,
    opening: choice.opening ?? defaultOpening(pieces[0]),
    hasLogprobs: pieces.some(piece => 'logprobs' in piece)
  }
}

function defaultOpening(first: Piece | undefined): Record<string, unknown> {
  const says = (kind: 'text' | 'refusal'): boolean => first !== undefined && kind in first
  return {
    role: 'assistant',
    content: says('text') || first === undefined ? '' : null,
    refusal: says('refusal') ? '' : null
  }
}

function countTokens(choices: SettledChoice[], question: string): OpenAI.CompletionUsage {
  const prompt_tokens = cutText(question).length
  const completion_tokens = choices.reduce((sum, choice) => sum + choice.pieces.length, 0)
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

/** A script's id under the prefix of the API that is asked. */
export function idFor(id: string, prefix: 'chatcmpl-' | 'cmpl-' | 'resp_'): string {
  return id.replace(/^(chatcmpl-|cmpl-|resp_)/, prefix)
}

/** The tool calls of a choice, each joined from its pieces, in the order in which they began. */
export function toolCallsOf(pieces: readonly Piece[]): ToolCall[] {
  const calls: ToolCall[] = []
  for (const piece of pieces) if ('toolCall' in piece) addToCalls(calls, piece.toolCall)
  return calls
}

/** A whole tool call. */
export type ToolCall = Required<ToolCallPiece>

/** Adds a piece to the call that it belongs to, which may be a new one, and returns that call. */
export function addToCalls(calls: ToolCall[], piece: ToolCallPiece): ToolCall {
  const { index = 0, id, name = '', arguments: part = '' } = piece
  let call = calls.findLast(call => call.index === index)
  if (!call || (id !== undefined && id !== call.id)) {
    call = { index, id: id ?? '', name, arguments: '' }
    calls.push(call)
  }
  call.arguments += part
  return call
}

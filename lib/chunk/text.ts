import { CompletionError } from '../errors.js'
import { indexOf, type LooseChoice, type LooseChunk, type LooseDelta, type TextKind } from './fields.js'

/** Lists within lists of parts are read to this depth. JSON can be nested deeper than a stack goes. */
const deepest = 16

/**
 * The text of one kind that a chunk adds to one choice; empty when it adds none.
 *
 * Throws `CS_ERR_INVALID_CHUNK` for content that is filled and cannot be read.
 */
export function textOf(chunk: object, choice: number, kind: TextKind): string {
  const { choices, type } = chunk as LooseChunk
  if (!Array.isArray(choices))
    return choice === 0 && typeof type === 'string' ? responsesText(chunk, type, kind) : ''
  let text = ''
  for (const candidate of choices) {
    if (candidate !== null && typeof candidate === 'object' && indexOf(candidate) === choice) {
      text += choiceText(candidate, kind)
    }
  }
  return text
}

/**
 * The kinds of text that the deltas of a response bring. `response.reasoning` is what the Open Responses schema calls it,
 * `response.text` the Realtime API, and gateways after it.
 */
const kindsOfDeltas: ReadonlyMap<string, TextKind> = new Map<string, TextKind>([
  ['response.output_text.delta', 'content'],
  ['response.text.delta', 'content'],
  ['response.refusal.delta', 'refusal'],
  ['response.reasoning_text.delta', 'reasoning'],
  ['response.reasoning.delta', 'reasoning'],
  ['response.reasoning_summary_text.delta', 'reasoning']
])

function responsesText(event: object, type: string, kind: TextKind): string {
  return kindsOfDeltas.get(type) === kind ? deltaText(event, kind === 'refusal' ? 'refusal' : 'text') : ''
}

/** The text in a delta of a response. Some gateways call it as the whole text is called, which is `field`. */
export function deltaText(event: object, field: string): string {
  const { delta, [field]: named } = event as Record<string, unknown>
  return eventText(delta ?? named)
}

/** The text of one kind that a choice of a chunk adds. */
export function choiceText({ delta, text }: LooseChoice, kind: TextKind): string {
  // Some gateways send the text itself where its delta belongs.
  if (typeof delta === 'string') return kind === 'content' ? delta : ''
  if (delta && !isLoose(delta) && !(Array.isArray(delta) && delta.length === 0)) throw unreadable('a delta')
  switch (kind) {
    case 'content': {
      const content = delta?.content
      // What nearly all deltas hold.
      if (typeof content === 'string' && content !== '')
        return delta?.extra_content != null && isThought(delta) ? '' : content
      if (delta?.extra_content != null && isThought(delta)) return ''
      // Some completions endpoints send `delta.content` (Mistral), some `text`, some the same text in both
      // (Together). A `message` beside the delta repeats the whole answer so far (Perplexity) and is never read.
      return contentText(content) || contentText(text)
    }
    case 'refusal':
      return plainText(delta?.refusal) || partsText(delta?.content, 'refusal')
    case 'reasoning':
      if (!delta) return ''
      if (delta.extra_content != null && isThought(delta)) return contentText(delta.content)
      // Names for one text; a server that sends two of them repeats itself. `reasoning_text` is Copilot's. MiniMax and
      // Snowflake send `reasoning_details` alone, OpenRouter beside `reasoning`.
      return (
        reasoningText(delta.reasoning_content) ||
        reasoningText(delta.reasoning) ||
        reasoningText(delta.reasoning_text) ||
        reasoningText(delta.reasoning_details) ||
        reasoningText(delta.thinking) ||
        reasoningText(delta.thinking_blocks) ||
        partsText(delta.content, 'reasoning')
      )
  }
}

/** Whether Gemini marks the content of a delta as what the model thinks. */
export function isThought({ extra_content: extra }: LooseDelta): boolean {
  return extra?.google?.thought === true
}

/**
 * Content is a string, or an array of parts (Mistral). Workers AI reads its own tokens as JSON, so that a number, or
 * `true`, comes as one.
 */
export function contentText(content: unknown, depth: number = deepest): string {
  if (typeof content === 'string') return content
  if (content === undefined || content === null || content === false) return ''
  if (typeof content === 'number' || content === true) return String(content)
  if (Array.isArray(content) && depth > 0) return partsText(content, 'content', depth)
  // An object with nothing in it is none, as PHP writes an empty list.
  if (isLoose(content) && Object.keys(content).length === 0) return ''
  throw unreadable('content')
}

/**
 * The text in an event of a response: a string, or, of some gateways, a part or a list of parts. Throws for what is filled and
 * cannot be read.
 */
export function eventText(given: unknown, depth: number = deepest): string {
  if (typeof given === 'string') return given
  if (given === undefined || given === null || given === false) return ''
  if (typeof given === 'number' || given === true) return String(given)
  if (Array.isArray(given) && depth > 0) return given.map(part => eventText(part, depth - 1)).join('')
  if (!isLoose(given) || depth === 0) throw unreadable('a text')
  const { text, refusal, value } = given
  const found = text ?? refusal ?? value
  if (found === undefined && Object.keys(given).length > 0) throw unreadable('a text')
  return eventText(found, depth - 1)
}

/** A refusal, or what else is nothing but text; a number is a token that the server has read as JSON. */
function plainText(text: unknown): string {
  return typeof text === 'string' ? text : typeof text === 'number' ? String(text) : ''
}

/** Reasoning is a string, `{ text }` (Envoy), or a list of parts or details. */
export function reasoningText(reasoning: unknown, depth: number = deepest): string {
  if (depth === 0) throw unreadable('reasoning')
  if (Array.isArray(reasoning)) return reasoning.map(part => reasoningText(part, depth - 1)).join('')
  if (!isLoose(reasoning)) return plainText(reasoning)
  const { type, text, summary, thinking, content } = reasoning
  // A signature, or what is encrypted, is no text to read.
  if (typeof type === 'string' && type.endsWith('encrypted')) return ''
  return (
    plainText(text) ||
    reasoningText(summary, depth - 1) ||
    reasoningText(thinking, depth - 1) ||
    (isLoose(content) || typeof content === 'string' ? reasoningText(content, depth - 1) : '')
  )
}

/**
 * The text of one kind in a list of parts. Parts of the types `thinking` (Mistral) and `reasoning` (Databricks) are what
 * the model thinks; the text of any other is the answer. A part of a type that has no text, such as a reference or an
 * image, is none of either.
 */
function partsText(parts: unknown, kind: TextKind, depth: number = deepest): string {
  if (!Array.isArray(parts)) return ''
  let text = ''
  for (const part of parts) {
    if (!isLoose(part)) {
      if (kind === 'content') text += contentText(part, depth - 1)
      continue
    }
    if (part.type === 'refusal' && part.text == null) {
      if (kind === 'refusal') text += plainText(part.refusal)
      continue
    }
    const isReasoning = part.type === 'thinking' || part.type === 'reasoning'
    if (isReasoning && kind === 'reasoning') text += reasoningText(part, depth - 1)
    else if (!isReasoning && kind === 'content') text += partText(part)
  }
  return text
}

/** The text of a part that is no reasoning. Throws for one that is filled and cannot be read. */
export function partText({ type, text, refusal, content }: Record<string, unknown>): string {
  // The Assistants API has the text of a part one level deeper.
  const found = isLoose(text) ? text.value : (text ?? (type === 'text' ? content : undefined))
  if (typeof found === 'string' || typeof found === 'number') return String(found)
  if ((found === undefined || found === null) && !isLoose(text)) {
    if (typeof type === 'string' && type !== 'text') return ''
    if (type === 'text' || refusal !== undefined) return ''
  }
  throw unreadable('a part of the content')
}

export function unreadable(what: string): CompletionError {
  return new CompletionError(
    'CS_ERR_INVALID_CHUNK',
    `${what} of a chunk is neither text nor a list of parts, and cannot be read`
  )
}

function isLoose(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

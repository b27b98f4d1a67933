import { contentText, partText } from '../../chunk/text.js'
import { JoinedText } from '../joined-text.js'
import { isObject, MergedFields, type PieceFields, type Pieces } from '../merged-fields.js'

/**
 * The content of a message, from deltas that are strings or arrays of parts (Mistral).
 *
 * It is a string, as the API has it, as long as there is nothing but text. Where there are parts of another
 * kind it is an array of parts, as Mistral's own whole answers have it: a string would lose the thinking, or
 * take it for the answer.
 */
export class MessageContent implements Pieces {
  readonly #parts: Part[] = []
  readonly #textOf: (content: unknown) => string

  /** Takes how to read what is no list: the content of a message, or its reasoning (Envoy's `{ text }`). */
  constructor(textOf: (content: unknown) => string = contentText) {
    this.#textOf = textOf
  }

  add(content: unknown): void {
    if (!Array.isArray(content)) return this.#addText(content)
    for (const part of content) {
      if (isObject(part) && !Array.isArray(part)) this.#partFor(part.type ?? 'text').add(withPlainText(part))
      else this.#addText(part)
    }
  }

  #addText(content: unknown): void {
    const text = this.#textOf(content)
    if (text !== '') this.#partFor('text').add({ text })
  }

  get value(): string | Record<string, unknown>[] {
    const [part, ...others] = this.#parts
    if (!part) return ''
    return part.type === 'text' && others.length === 0
      ? part.text.value
      : this.#parts.map(({ value }) => value)
  }

  /** The last part if what comes continues it, or else a new one. */
  #partFor(type: unknown): Part {
    const last = this.#parts.at(-1)
    if (last && last.type === type && (type === 'text' || type === 'thinking')) return last
    const part = new Part(type)
    this.#parts.push(part)
    return part
  }
}

/** The text of a part may be a number, or an object that holds it. */
function withPlainText(part: Record<string, unknown>): Record<string, unknown> {
  const { text } = part
  return typeof text === 'number' || isObject(text) ? { ...part, text: partText(part) } : part
}

class Part {
  readonly type: unknown
  readonly text: JoinedText = new JoinedText()
  readonly #fields: MergedFields

  constructor(type: unknown) {
    this.type = type
    const pieces: PieceFields = new Map<string, () => Pieces>([
      ['text', () => this.text],
      ['thinking', () => new Thinking()]
    ])
    this.#fields = new MergedFields({ pieces })
  }

  add(part: Record<string, unknown>): void {
    this.#fields.add(part)
  }

  get value(): Record<string, unknown> {
    return { type: this.type, ...this.#fields.value }
  }
}

/** The `thinking` of a part: text, or a list of text parts. */
class Thinking implements Pieces {
  readonly #text = new JoinedText()
  #isList = false

  add(thinking: unknown): void {
    this.#text.add(thinking)
    if (!Array.isArray(thinking)) return
    this.#isList = true
    for (const part of thinking) this.#text.add(part?.text)
  }

  get value(): unknown {
    const text = this.#text.value
    return this.#isList ? [{ type: 'text', text }] : text
  }
}

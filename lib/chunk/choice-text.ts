import { choicesOf, indexOf, type LooseChunk, type TextKind } from './fields.js'
import { ResponseText } from './responses/response-text.js'
import { choiceText, textOf } from './text.js'

/** What stands before the answer where Gemini has marked what it thinks: the end of a tag, opened in what was marked. */
const thoughtEnd = '</thought>'

/**
 * Reads the text of one kind off one choice, chunk by chunk, with what a chunk alone does not tell: halves of characters,
 * tags that two deltas share, and text that a response says again.
 *
 * A server written in JavaScript or Java may cut a surrogate pair between two deltas: the first half is held until the
 * next text comes.
 */
export class ChoiceText {
  readonly #choice: number
  readonly #kind: TextKind
  #response: ResponseText | undefined
  #half = ''
  #isThinking = false
  /** Whether the answer is read, and nothing of what came before bears on what comes next. */
  #isPlain: boolean
  #hasChoice = false
  #otherChoice: number | undefined

  constructor(choice: number, kind: TextKind) {
    this.#choice = choice
    this.#kind = kind
    this.#isPlain = kind === 'content'
  }

  /** The index of another choice that came, while the choice that was asked for did not. */
  get onlyOther(): number | undefined {
    return this.#hasChoice ? undefined : this.#otherChoice
  }

  read(chunk: object): string {
    const { choices, type } = chunk as LooseChunk
    if (!Array.isArray(choices))
      return typeof type === 'string' ? this.#paired(this.#ofResponse(chunk, type)) : ''
    const first = choices.length === 1 ? choices[0] : undefined
    // Nearly every chunk holds exactly one choice, the one that was asked for.
    if (first && indexOf(first) === this.#choice) {
      this.#hasChoice = true
      const { delta } = first
      if (this.#isPlain && typeof delta === 'object' && delta !== null && delta.extra_content === undefined) {
        const { content } = delta
        // What nearly every delta holds: text that ends with a whole character.
        if (typeof content === 'string' && content !== '' && !endsInHalf(content)) return content
      }
      const text = choiceText(first, this.#kind)
      return first.delta?.extra_content != null || this.#isThinking
        ? this.#paired(this.#withoutTags(text, first.delta))
        : this.#paired(text)
    }
    if (!this.#hasChoice) this.#look(choices)
    return this.#paired(textOf(chunk, this.#choice, this.#kind))
  }

  /** Half a character that is still held when the input ends. */
  end(): string {
    const half = this.#half
    this.#half = ''
    return half
  }

  #ofResponse(event: object, type: string): string {
    if (this.#choice !== 0) {
      this.#otherChoice ??= 0
      return ''
    }
    this.#hasChoice = true
    this.#response ??= new ResponseText(this.#kind)
    return this.#response.read(event, type)
  }

  #look(choices: readonly unknown[]): void {
    for (const choice of choices) {
      if (typeof choice !== 'object' || choice === null) continue
      const index = indexOf(choice)
      if (index === this.#choice) this.#hasChoice = true
      else this.#otherChoice ??= index
    }
  }

  /** Gemini's tags around its thoughts. The closing tag comes with the answer. */
  #withoutTags(
    text: string,
    delta: { extra_content?: unknown; content?: unknown } | null | undefined
  ): string {
    const wasThinking = this.#isThinking
    const isMarked = delta?.extra_content != null
    if (isMarked) {
      this.#isThinking = true
      this.#isPlain = false
      return wasThinking ? text : text.replace(/^<thought>/, '')
    }
    if (typeof delta?.content !== 'string' || delta.content === '') return text
    this.#isThinking = false
    this.#isPlain = this.#kind === 'content'
    return this.#kind === 'content' && text.startsWith(thoughtEnd) ? text.slice(thoughtEnd.length) : text
  }

  #paired(text: string): string {
    if (text === '') return ''
    const whole = this.#half === '' ? text : this.#half + text
    if (!endsInHalf(whole)) {
      if (this.#half !== '') {
        this.#half = ''
        this.#isPlain = this.#kind === 'content' && !this.#isThinking
      }
      return whole
    }
    this.#half = whole.slice(-1)
    this.#isPlain = false
    return whole.slice(0, -1)
  }
}

function endsInHalf(text: string): boolean {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last <= 0xdbff
}

/** The choices that a chunk speaks of. What the Responses API sends is one answer, whatever else its events tell. */
export function choiceIndexes(chunk: object): Iterable<number> {
  if (!('choices' in chunk)) return 'type' in chunk ? [0] : []
  const choices = choicesOf(chunk)
  const [first] = choices
  // Nearly all chunks have one choice, and a set for it would cost more than all the rest.
  return choices.length === 1 && first ? [indexOf(first)] : new Set(choices.filter(Boolean).map(indexOf))
}

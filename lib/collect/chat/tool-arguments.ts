import { jsonOf } from '../../chunk/json.js'
import { ValueEnd } from '../../decode/json/value-end.js'
import { CompletionError } from '../../errors.js'
import { JoinedText } from '../joined-text.js'
import { isObject } from '../merged-fields.js'

const what = 'the arguments of a tool call'

/** JSON that is no object, list or string ends nowhere by itself: a number, or a word. None is longer, in characters. */
const longestScalar = 32

/**
 * The text that a piece of arguments adds. Arguments are text with a JSON object in it. Some servers send the object
 * itself; others parse each token as JSON, so that a number, or `true`, comes as one.
 *
 * Throws `CS_ERR_INVALID_CHUNK` for what cannot be read, such as an object behind other pieces.
 */
export function argumentsText(piece: unknown, isFirst: boolean): string {
  if (typeof piece === 'string') return piece
  if (piece === undefined || piece === null || (piece === false && isFirst)) return ''
  if (typeof piece === 'number' || typeof piece === 'boolean') return String(piece)
  if (typeof piece === 'object' && isFirst) return jsonOf(what, piece)
  throw new CompletionError('CS_ERR_INVALID_CHUNK', `a piece of ${what} is no text, and cannot be read`)
}

/**
 * The arguments of one call, put together from their pieces.
 *
 * Some servers send them again: whole, behind a first `{}` or behind all pieces, or in every piece as far as they have
 * come. Such pieces joined are no JSON; only then is it looked for what was meant, and the last JSON text counts.
 */
export class ToolArguments {
  readonly #joined = new JoinedText()
  #values = new ClosedValues()
  #last = ''
  #length = 0
  /** Whether every piece so far begins with the piece before it. */
  #isCumulative = true

  add(piece: unknown): void {
    // An object behind whole arguments is the arguments again; one with nothing in it is none, as PHP writes an empty list.
    if (isObject(piece) && this.whole()) {
      if (Object.keys(piece).length > 0) this.replace(argumentsText(piece, true))
      return
    }
    const text = argumentsText(piece, this.isEmpty)
    if (text === '') return
    if (this.#isCumulative && this.#last !== '') this.#isCumulative = text.startsWith(this.#last)
    this.#joined.add(text)
    this.#values.add(text)
    this.#last = text
    this.#length += text.length
  }

  /** Puts whole arguments in the place of the pieces. */
  replace(text: string): void {
    this.#joined.replace(text)
    this.#values = new ClosedValues()
    this.#values.add(text)
    this.#last = text
    this.#length = text.length
    this.#isCumulative = true
  }

  /** All pieces, one behind the other. */
  get joined(): string {
    return this.#joined.value
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** The arguments, and whether they are JSON. */
  settle(): SettledArguments {
    return this.whole() ?? { text: this.#joined.value }
  }

  /**
   * The arguments if they are JSON. May be asked at every piece: the text is joined and parsed only where its brackets and
   * quotes are closed.
   */
  whole(): WholeArguments | undefined {
    const count = this.#length <= longestScalar ? 1 : this.#values.count
    const found =
      (count === 1 ? parse(this.#joined.value) : undefined) ??
      (this.#isSentAgain() ? parse(this.#last) : undefined) ??
      (this.#values.count > 0 ? lastValue(this.#joined.value) : undefined)
    // What follows does not mend values of which one is no JSON.
    if (!found && this.#values.count > 0) this.#values.giveUp()
    return found
  }

  /** Whether the last piece may be the arguments: again in every piece, or whole behind the pieces of a part of them. */
  #isSentAgain(): boolean {
    const before = this.#length - this.#last.length
    if (before === 0) return false
    if (this.#isCumulative) return true
    return before <= this.#last.length && this.#last.startsWith(this.#joined.value.slice(0, before))
  }
}

/** The arguments as text, and what they are if they are JSON. */
export interface SettledArguments {
  text: string
  parsed?: unknown
}

export interface WholeArguments extends SettledArguments {
  parsed: unknown
}

/** Whether a text is whole arguments once more, or begins with them. */
export function isSaidAgain({ text, parsed }: WholeArguments, other: string): boolean {
  if (other.startsWith(text)) return true
  const whole = parse(other)
  return isObject(whole?.parsed) && isObject(parsed) && jsonOf(what, whole.parsed) === jsonOf(what, parsed)
}

/** Counts the values of a text that comes in pieces and is to be JSON, or several JSON values one behind the other. */
class ClosedValues {
  readonly #end = new ValueEnd()
  #isOpen = false
  #isLost = false
  #count = 0

  /** How many values there are; 0 where the last one is still open, or something else stands among them. */
  get count(): number {
    return this.#isOpen || this.#isLost ? 0 : this.#count
  }

  add(text: string): void {
    for (let at = 0; at < text.length && !this.#isLost; ) {
      if (!this.#isOpen) {
        at = firstOf(text, at)
        if (at === text.length) return
        const first = text[at] as string
        this.#isLost = !'{["'.includes(first)
        this.#isOpen = true
        this.#end.begin(first)
      }
      const end = this.#end.find(text, at)
      if (end === -1) return
      this.#isOpen = false
      this.#count++
      at = end
    }
  }

  giveUp(): void {
    this.#isLost = true
  }
}

/** The place of the first character that is no white space; the end of the text where there is none. */
function firstOf(text: string, from: number): number {
  const character = /\S/g
  character.lastIndex = from
  return character.exec(text)?.index ?? text.length
}

/** The last of several JSON values that a text holds one behind the other, and nothing else. */
function lastValue(text: string): WholeArguments | undefined {
  const end = new ValueEnd()
  let last: WholeArguments | undefined
  for (let at = firstOf(text, 0); at < text.length; ) {
    if (text[at] !== '{') return undefined
    end.begin('{')
    const next = end.find(text, at)
    if (next === -1) return undefined
    last = parse(text.slice(at, next))
    if (!last) return undefined
    at = firstOf(text, next)
  }
  return last
}

function parse(text: string): WholeArguments | undefined {
  try {
    return { text, parsed: JSON.parse(text) }
  } catch {
    return undefined
  }
}

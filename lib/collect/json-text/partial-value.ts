import { StartFinder } from './start-finder.js'

/** What the next character may be, within an object or array. */
type Place =
  | 'prose'
  | 'value'
  | 'valueOrEnd'
  | 'scalar'
  | 'string'
  | 'nextName'
  | 'nameOrEnd'
  | 'name'
  | 'behindName'
  | 'behindValue'
  | 'end'

/** A number or a word of JSON. */
const scalar = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/

/** Escapes of JSON, one behind the other. */
const escapes = /^(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))+$/

/**
 * The first object or array of a text that is still being written, closed so that `JSON.parse` takes it: without the
 * number, word, name or escape that is not whole, but with the string as far as it has come. A comma behind the last element
 * of the array is taken off.
 */
export class PartialValue {
  #place: Place = 'prose'
  readonly #finder = new StartFinder(false)
  /**
   * What has been looked at of the value. Nothing reads it but a snapshot: to look at one character makes a flat copy of
   * all that was put together, which for each short piece of a long text is the square of its length.
   */
  #text = ''
  /** What has come behind it: the piece at hand, with what the one before has left. */
  #piece = ''
  /** How much of the piece has been looked at. */
  #at = 0
  /** The closing brackets of what is open, innermost last. */
  readonly #closers: string[] = []
  /** Where in the text the newest whole value ends, or the newest bracket was opened. */
  #wholeEnd = 0
  /** Where the characters of the string at hand end that are whole. */
  #stringEnd = 0
  /** What has come of the number or word at hand. */
  #scalar = ''
  #isInvalid = false
  /** Looks for another value behind this one. */
  readonly #behind = new StartFinder(true)
  #hasSecond = false

  /** Whether the text goes on in what is no JSON. The value up to there is still what it was. */
  get isInvalid(): boolean {
    return this.#isInvalid
  }

  /** Whether another object or array begins behind the value. */
  get hasSecond(): boolean {
    return this.#hasSecond
  }

  /** Whether the value is closed. */
  get isWhole(): boolean {
    return this.#place === 'end'
  }

  /** Whether the value has begun. */
  get hasBegun(): boolean {
    return this.#place !== 'prose'
  }

  /** How much of the text the next snapshot stands on: it has changed where this has. */
  get size(): number {
    return this.#place === 'string' ? this.#stringEnd : this.#wholeEnd
  }

  get length(): number {
    return this.#text.length + this.#piece.length
  }

  /** What has come of the value. */
  get residue(): string {
    return this.#text + this.#piece
  }

  feed(piece: string): void {
    if (this.#place === 'prose') this.#begin(this.#finder.feed(piece))
    else if (this.#place === 'end') this.#lookBehind(piece)
    else this.#scan(piece)
  }

  /** Decides what waited for more text than there is. */
  end(): void {
    if (this.#place === 'prose') this.#begin(this.#finder.end())
    if (this.#place === 'end' && this.#behind.end() !== undefined) this.#hasSecond = true
  }

  /** The value so far, a new one each time. Throws the error of `JSON.parse` for what can be no JSON. */
  snapshot(): unknown {
    const isInString = this.#place === 'string'
    const whole = this.#text.slice(0, this.size)
    return JSON.parse(whole + (isInString ? '"' : '') + this.#closers.toReversed().join(''))
  }

  #begin(text: string | undefined): void {
    if (text === undefined) return
    this.#place = 'value'
    this.#scan(text)
  }

  #scan(piece: string): void {
    this.#piece += piece
    while (this.#at < this.#piece.length && this.#place !== 'end' && this.#takeCharacter()) this.#at++
    this.#text += this.#piece.slice(0, this.#at)
    this.#piece = this.#piece.slice(this.#at)
    this.#at = 0
    if (this.#place !== 'end') return
    const behind = this.#piece
    this.#piece = ''
    this.#lookBehind(behind)
  }

  /** Once there is another value, what comes behind is nothing to look at. */
  #lookBehind(text: string): void {
    if (!this.#hasSecond && this.#behind.feed(text) !== undefined) this.#hasSecond = true
  }

  /** False when the text cannot be read on, or not before more of it has come. */
  #takeCharacter(): boolean {
    const character = this.#piece[this.#at] as string
    if (this.#place === 'string' || this.#place === 'name') return this.#takeOfString(character)
    if (!' \n\r\t'.includes(character)) this.#take(character)
    else if (this.#place === 'scalar') this.#endScalar()
    return !this.#isInvalid
  }

  /** How long the text is up to the character at hand. */
  get #textEnd(): number {
    return this.#text.length + this.#at
  }

  /** False when an escape, or a pair of surrogates, is not all there. */
  #takeOfString(character: string): boolean {
    const length = lengthOf(this.#piece, this.#at)
    const end = this.#at + length
    if (end > this.#piece.length) return false
    const isGood = character === '\\' ? escapes.test(this.#piece.slice(this.#at, end)) : character >= ' '
    if (!isGood) {
      this.#isInvalid = true
      return false
    }
    this.#at = end - 1
    if (character !== '"') this.#stringEnd = this.#textEnd + 1
    else if (this.#place === 'name') this.#place = 'behindName'
    else this.#endValue(this.#textEnd + 1)
    return true
  }

  #take(character: string): void {
    if (this.#place === 'scalar') {
      if (!/[,:\]}]/.test(character)) {
        this.#scalar += character
        return
      }
      this.#endScalar()
      if (this.#isInvalid) return
    }
    const closer = this.#closers.at(-1)
    switch (this.#place) {
      case 'behindValue':
        if (character === closer) this.#close()
        else if (character === ',') this.#place = closer === '}' ? 'nextName' : 'value'
        else this.#isInvalid = true
        return
      case 'nameOrEnd':
      case 'nextName':
        if (character === '"') this.#place = 'name'
        else if (character === '}' && this.#place === 'nameOrEnd') this.#close()
        else this.#isInvalid = true
        return
      case 'behindName':
        if (character === ':') this.#place = 'value'
        else this.#isInvalid = true
        return
      default:
        if (character !== ']' || closer !== ']') return this.#beginValue(character)
        if (this.#place === 'value') {
          if (this.#closers.length > 1) this.#isInvalid = true
          // A comma behind the last element.
          this.#text = (this.#text + this.#piece.slice(0, this.#at)).slice(0, this.#wholeEnd)
          this.#piece = this.#piece.slice(this.#at)
          this.#at = 0
        }
        if (!this.#isInvalid) this.#close()
    }
  }

  #beginValue(character: string): void {
    if (character === '{' || character === '[') {
      this.#closers.push(character === '{' ? '}' : ']')
      this.#place = character === '{' ? 'nameOrEnd' : 'valueOrEnd'
      this.#wholeEnd = this.#textEnd + 1
    } else if (character === '"') {
      this.#place = 'string'
      this.#stringEnd = this.#textEnd + 1
    } else if (/[-\dtfn]/.test(character)) {
      this.#place = 'scalar'
      this.#scalar = character
    } else this.#isInvalid = true
  }

  #endScalar(): void {
    if (scalar.test(this.#scalar)) this.#endValue(this.#textEnd)
    else this.#isInvalid = true
  }

  #close(): void {
    this.#closers.pop()
    this.#endValue(this.#textEnd + 1)
  }

  #endValue(end: number): void {
    this.#wholeEnd = end
    this.#place = this.#closers.length > 0 ? 'behindValue' : 'end'
  }
}

/** How long the character of a string is that stands at a place: an escape, a pair of surrogates, two escaped ones. */
function lengthOf(text: string, at: number): number {
  const code = text.charCodeAt(at)
  if (isHigh(code)) return at + 1 === text.length || isLow(text.charCodeAt(at + 1)) ? 2 : 1
  if (code !== 0x5c) return 1
  if (text[at + 1] !== 'u') return 2
  if (at + 6 > text.length || !isHigh(Number.parseInt(text.slice(at + 2, at + 6), 16))) return 6
  // The other half may be the next escape.
  return '\\u'.startsWith(text.slice(at + 6, at + 8)) ? 12 : 6
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff
}

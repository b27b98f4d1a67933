import { ValueEnd } from '../../decode/json/value-end.js'
import { JsonStart, longestWait, proseLength, words } from './json-start.js'

/** What a scanner calls back for. */
export interface ElementHandlers {
  /** The text of a whole element. */
  onElement(text: string): void
}

export interface ElementScannerOptions {
  /** The names that lead from the text's object to its array; none where the array is the text's own. */
  path: readonly string[]
  /** In characters. */
  maxElementSize: number
}

/** Why a text cannot be read on. `limit` stands where an element is larger than it. */
export class ScanFailure {
  readonly reason: string
  readonly limit: number | undefined

  constructor(reason: string, limit?: number) {
    this.reason = reason
    this.limit = limit
  }
}

/** How the text ended: in good order, without any JSON, or within it. */
export type ScanEnd =
  | { kind: 'whole' | 'empty' }
  | { kind: 'none'; hasObject: boolean }
  | { kind: 'cut'; residue: string }

/**
 * Where the scanner stands: in prose, at a bracket that may be JSON, at the value of a member or element, in one, or
 * between the parts of an object or array.
 */
type Place =
  | 'prose'
  | 'fence'
  | 'line'
  | 'bracket'
  | 'value'
  | 'inValue'
  | 'behindElement'
  | 'member'
  | 'inName'
  | 'colon'
  | 'behindMember'

/**
 * Finds the elements in a text that is JSON, or has JSON in it, piece by piece, each as soon as it is whole. What is held
 * is the element at hand. The first JSON of the text decides what its elements are:
 *
 * - With a path: those of the array to which the path leads, in the first object and in all that follow it.
 * - An array: its elements, and those of the arrays behind it.
 * - An object: it and the values behind it are the elements themselves (JSON lines, with commas or without). What is no
 *   object needs a comma or a line of its own: `[1]` behind an object is a source.
 * - A line that is a number, a string or a word of JSON: as for an object, where no prose comes before it.
 */
export class ElementScanner {
  readonly #path: readonly string[]
  readonly #maxSize: number
  /** Behind so many characters what a bracket begins is not waited for. */
  readonly #longestStart: number
  readonly #onElement: (text: string) => void
  readonly #valueEnd = new ValueEnd()
  #place: Place = 'prose'
  /** The piece at hand, or what of it is still to be read. */
  #text = ''
  /** What the bracket begins that the held text begins with. */
  #start: JsonStart | undefined
  /** The beginning of what is not whole yet: of a bracket's value, a line, a name, an element. */
  #held = ''
  /** Whether what is held is a number, string or word behind a comma, and not whole yet. */
  #isInItem = false
  #isLineStart = true
  /** Whether the text so far was JSON and fences only. */
  #isPure = true
  /** What stands before here, but for white space: JSON, a comma behind it, or anything else. */
  #before: 'json' | 'comma' | 'other' = 'other'
  #elements: 'unknown' | 'inArray' | 'values' = 'unknown'
  /** How many members of the path lead to the object at hand. */
  #depth = 0
  #isOnPath = false
  /** Whether the current value is an element, and not a member that is skipped. */
  #isElement = false
  #isInArray = false
  #hasText = false
  #hasObject = false
  #hasArray = false

  constructor({ path, maxElementSize }: ElementScannerOptions, { onElement }: ElementHandlers) {
    this.#path = path
    this.#maxSize = maxElementSize
    this.#longestStart = Math.max(maxElementSize, 4 * longestWait)
    this.#onElement = onElement
  }

  feed(text: string): void {
    this.#text = text
    this.#read(0)
  }

  end(): ScanEnd {
    // What is decided may show what waits again.
    while (this.#endWait());
    const isOpen = this.#place !== 'prose' && this.#place !== 'fence'
    if (isOpen) return { kind: 'cut', residue: this.#held }
    if (this.#elements !== 'unknown' && (this.#path.length === 0 || this.#hasArray)) return { kind: 'whole' }
    return this.#hasText ? { kind: 'none', hasObject: this.#hasObject } : { kind: 'empty' }
  }

  #read(from: number): void {
    for (let at = from; at < this.#text.length; ) at = this.#step(this.#text, at)
  }

  /** Decides what waits for more text than there is; false when nothing does, or it is JSON that was cut. */
  #endWait(): boolean {
    this.#text = ''
    if (this.#place === 'line') {
      if (this.#elements === 'values' && isCutScalar(this.#held)) return false
      this.#read(this.#endLine(0))
      return true
    }
    const start = this.#start?.end() ?? 'unknown'
    if (start === 'unknown') return false
    this.#readAgain(0)
    this.#read(this.#endBracket(start))
    return true
  }

  /** Takes the text from a place on, and returns how far. */
  #step(text: string, at: number): number {
    switch (this.#place) {
      case 'prose':
        return this.#skipProse(text, at)
      case 'fence':
        return this.#skipFence(text, at)
      case 'line':
        return this.#takeLine(text, at)
      case 'bracket':
        return this.#takeBracket(text, at)
      case 'value':
      case 'inValue':
        return this.#takeValue(text, at)
      case 'inName':
        return this.#takeName(text, at)
      default:
        return this.#takePunctuation(text, at)
    }
  }

  #skipProse(text: string, from: number): number {
    for (let at = from; at < text.length; at++) {
      const character = text[at] as string
      if (character === '\n' || character === '\r') this.#isLineStart = true
      else if (character === '[' || character === '{') {
        if (this.#mayBegin(character)) {
          this.#hasText = true
          this.#place = 'bracket'
          this.#start = new JsonStart(character, {
            isLineStart: this.#isLineStart || this.#before === 'comma',
            isPure: this.#isPure,
            isBehindJson: this.#before !== 'other'
          })
          return at
        }
        this.#takeProse()
      } else if (this.#isLineStart && (character === '`' || character === '~')) {
        this.#place = 'fence'
        return at
      } else if (this.#isPure && this.#mayBeScalar() && /["\-\dtfn]/.test(character)) {
        this.#hasText = true
        this.#place = 'line'
        this.#isInItem = !this.#isLineStart
        if (this.#isInItem) this.#valueEnd.begin(character)
        return at
      } else if (!/[\s,]/.test(character)) this.#takeProse()
      else if (character === ',' && this.#before === 'json') this.#before = 'comma'
    }
    return text.length
  }

  /** Before any prose, a number, string or word is an element on a line of its own, and behind an object and a comma. */
  #mayBeScalar(): boolean {
    if (this.#path.length > 0) return false
    return this.#isLineStart || (this.#before === 'comma' && this.#elements === 'values')
  }

  #takeProse(): void {
    this.#hasText = true
    this.#isLineStart = false
    this.#isPure = false
    this.#before = 'other'
  }

  /** A path begins in an object; behind an array, objects are prose. */
  #mayBegin(bracket: string): boolean {
    if (this.#path.length > 0) return bracket === '{'
    return this.#elements !== 'inArray' || bracket === '['
  }

  /** The marks of a fence and the tag of its language, behind which is still the beginning of a line. */
  #skipFence(text: string, from: number): number {
    this.#hasText = true
    const rest = /[^`~\w+.-]/g
    rest.lastIndex = from
    const end = rest.exec(text)?.index
    if (end !== undefined) this.#place = 'prose'
    return end ?? text.length
  }

  #takeLine(text: string, from: number): number {
    let at = from
    if (this.#isInItem) {
      const end = this.#valueEnd.find(text, from)
      this.#isInItem = end === -1
      at = end === -1 ? text.length : end
    }
    const ends = this.#isLineStart ? /\n/g : /[,\n]/g
    ends.lastIndex = at
    const end = ends.exec(text)?.index
    this.#hold(text.slice(from, end))
    return end === undefined ? text.length : this.#endLine(end)
  }

  /** A line that is one number, string or word, with a comma behind it or not, is an element; any other is prose. */
  #endLine(end: number): number {
    this.#place = 'prose'
    const line = lineOf(this.#held)
    if (!isJson(line)) {
      this.#takeProse()
      this.#readAgain(end)
      return 0
    }
    this.#elements = 'values'
    this.#before = 'json'
    this.#held = ''
    this.#onElement(line)
    return end
  }

  #takeBracket(text: string, from: number): number {
    const end = Math.min(text.length, from + this.#longestStart - this.#held.length)
    const start = this.#start?.read(text.slice(from, end)) ?? 'unknown'
    if (start !== 'unknown') {
      this.#readAgain(from)
      return this.#endBracket(start)
    }
    this.#held += text.slice(from, end)
    if (end < text.length) throw tooLong(this.#maxSize)
    return end
  }

  /** Takes a bracket, at which the text begins now, for what it is. */
  #endBracket(start: 'json' | 'prose'): number {
    this.#start = undefined
    if (start === 'json') return this.#open(this.#text[0] === '[')
    this.#place = 'prose'
    const length = proseLength(this.#text, this.#isLineStart)
    this.#takeProse()
    return length
  }

  /** Begins to read JSON at its bracket, and returns how far. */
  #open(isArray: boolean): number {
    this.#before = 'other'
    if (!isArray) this.#hasObject = true
    if (this.#path.length > 0) {
      this.#elements = 'inArray'
      this.#depth = 0
      this.#isOnPath = true
    } else if (this.#elements === 'unknown') this.#elements = isArray ? 'inArray' : 'values'
    if (this.#elements === 'values') {
      this.#isElement = true
      this.#isInArray = false
      this.#place = 'value'
      return 0
    }
    if (isArray) this.#openArray()
    else this.#place = 'member'
    return 1
  }

  #openArray(): void {
    this.#hasArray = true
    this.#isInArray = true
    this.#place = 'value'
  }

  /** Puts the held text before what is left of the piece. */
  #readAgain(from: number): void {
    this.#text = this.#held + this.#text.slice(from)
    this.#held = ''
  }

  #takeValue(text: string, from: number): number {
    let at = from
    if (this.#place === 'value') {
      at = afterSpace(text, from)
      const first = text[at]
      if (first === undefined) return at
      // An empty array, or a comma behind its last element.
      if (first === ']' && this.#isInArray) {
        this.#closeArray()
        return at + 1
      }
      if (this.#isInArray) this.#isElement = true
      else if (this.#isOnPath && this.#elements === 'inArray') {
        if (this.#depth === this.#path.length) {
          if (first !== '[') throw new ScanFailure(`the value at ${this.#pathText()} is no array`)
          this.#openArray()
          return at + 1
        }
        if (first === '{') {
          this.#place = 'member'
          return at + 1
        }
        throw new ScanFailure(`there is no object where ${this.#pathText()} leads`)
      }
      if (/[,:\]}]/.test(first)) throw new ScanFailure('a value is missing')
      this.#valueEnd.begin(first)
      this.#place = 'inValue'
    }
    const end = this.#valueEnd.find(text, at)
    this.#hold(text.slice(at, end === -1 ? undefined : end))
    if (end === -1) return text.length
    this.#endValue()
    return end
  }

  #endValue(): void {
    const value = this.#held
    this.#held = ''
    if (this.#isInArray) this.#place = 'behindElement'
    else if (this.#elements === 'values') this.#endJson()
    else this.#place = 'behindMember'
    if (this.#isElement) this.#onElement(value)
    else if (!isJson(value)) throw new ScanFailure('a member beside the elements is no JSON')
  }

  #closeArray(): void {
    this.#isInArray = false
    this.#isElement = false
    if (this.#path.length === 0) this.#endJson()
    else this.#closeMember()
  }

  #endJson(): void {
    this.#place = 'prose'
    this.#before = 'json'
    this.#isLineStart = false
  }

  /** After a member on the path, the other members of its object are skipped again. */
  #closeMember(): void {
    this.#depth--
    this.#isOnPath = true
    this.#place = 'behindMember'
  }

  #takeName(text: string, from: number): number {
    const end = this.#valueEnd.find(text, from)
    this.#hold(text.slice(from, end === -1 ? undefined : end))
    if (end === -1) return text.length
    const name = parsed(this.#held)
    this.#held = ''
    if (typeof name !== 'string') throw new ScanFailure('the name of a member is no JSON')
    this.#isOnPath = name === this.#path[this.#depth]
    this.#isElement = false
    this.#place = 'colon'
    return end
  }

  /** The marks between members and elements. */
  #takePunctuation(text: string, from: number): number {
    const at = afterSpace(text, from)
    const mark = text[at]
    if (mark === undefined) return at
    if (this.#place === 'member' && mark === '"') {
      this.#valueEnd.begin('"')
      this.#place = 'inName'
      return at
    }
    if ((this.#place === 'member' || this.#place === 'behindMember') && mark === '}') {
      if (this.#depth === 0) this.#endJson()
      else this.#closeMember()
    } else if (this.#place === 'behindMember' && mark === ',') this.#place = 'member'
    else if (this.#place === 'colon' && mark === ':') {
      if (this.#isOnPath) this.#depth++
      this.#place = 'value'
    } else if (this.#place === 'behindElement' && mark === ',') this.#place = 'value'
    else if (this.#place === 'behindElement' && mark === ']') this.#closeArray()
    else throw new ScanFailure('a comma, a colon or a bracket is missing')
    return at + 1
  }

  #hold(text: string): void {
    this.#held += text
    if (this.#held.length > this.#maxSize) throw tooLong(this.#maxSize)
  }

  #pathText(): string {
    return `the path of ${this.#path.length} name${this.#path.length === 1 ? '' : 's'}`
  }
}

function tooLong(limit: number): ScanFailure {
  return new ScanFailure(`an element is longer than ${limit} characters`, limit)
}

/** A line without what may stand round its value. */
function lineOf(text: string): string {
  return text.trim().replace(/,$/, '')
}

/** Whether a line is the beginning of a number, string or word, and no whole one. */
function isCutScalar(line: string): boolean {
  if (isJson(lineOf(line))) return false
  if (line[0] === '"') {
    const end = new ValueEnd()
    end.begin('"')
    return end.find(line, 0) === -1
  }
  return (
    /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d*)?)?$/.test(line) ||
    words.some(word => word.startsWith(line))
  )
}

function afterSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && ' \n\r\t'.includes(text[at] as string)) at++
  return at
}

function isJson(text: string): boolean {
  return parsed(text) !== undefined
}

/** Undefined for what is no JSON, which no JSON text gives. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

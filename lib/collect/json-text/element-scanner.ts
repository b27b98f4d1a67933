import { ValueEnd } from '../../decode/json/value-end.js'
import { brackets, startOf } from './json-start.js'

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
 * - An object: it and the values behind it are the elements themselves (JSON lines, with commas or without).
 * - A line that is a number, a string or a word of JSON: as for an object, where no prose comes before it.
 */
export class ElementScanner {
  readonly #path: readonly string[]
  readonly #maxSize: number
  readonly #onElement: (text: string) => void
  readonly #valueEnd = new ValueEnd()
  #place: Place = 'prose'
  /** The beginning of what is not whole yet: of a bracket's value, a line, a name, an element. */
  #held = ''
  #isLineStart = true
  /** Whether the text so far was JSON and fences only. */
  #isPure = true
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
    this.#onElement = onElement
  }

  feed(text: string): void {
    for (let at = 0; at < text.length; ) at = this.#step(text, at)
  }

  end(): ScanEnd {
    // No more text comes, so what was waiting is decided now; it may be read again as prose.
    while (this.#place === 'line' || this.#place === 'bracket') {
      const held = this.#held
      if (this.#place === 'line') this.#endLine()
      else this.#decideBracket(true)
      if (this.#held === held) break
    }
    const isOpen = this.#place !== 'prose' && this.#place !== 'fence'
    if (isOpen) return { kind: 'cut', residue: this.#held }
    if (this.#elements !== 'unknown' && (this.#path.length === 0 || this.#hasArray)) return { kind: 'whole' }
    return this.#hasText ? { kind: 'none', hasObject: this.#hasObject } : { kind: 'empty' }
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
        this.#held += text.slice(at)
        this.#decideBracket(false)
        return text.length
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
          return at
        }
        this.#takeProse()
      } else if (this.#isLineStart && (character === '`' || character === '~')) {
        this.#place = 'fence'
        return at
      } else if (
        this.#isLineStart &&
        this.#isPure &&
        this.#path.length === 0 &&
        /["\-\dtfn]/.test(character)
      ) {
        this.#hasText = true
        this.#place = 'line'
        return at
      } else if (!/[\s,\uFEFF]/.test(character)) this.#takeProse()
    }
    return text.length
  }

  #takeProse(): void {
    this.#hasText = true
    this.#isLineStart = false
    this.#isPure = false
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
    const end = text.indexOf('\n', from)
    this.#hold(text.slice(from, end === -1 ? undefined : end))
    if (end !== -1) this.#endLine()
    return end === -1 ? text.length : end
  }

  /** A line that is one number, string or word, with a comma behind it or not, is an element; any other is prose. */
  #endLine(): void {
    const line = this.#held.trim().replace(/,$/, '')
    if (isJson(line)) {
      this.#elements = 'values'
      this.#place = 'prose'
      this.#held = ''
      this.#onElement(line)
    } else {
      this.#takeProse()
      this.#feedAgain()
    }
  }

  #decideBracket(isLast: boolean): void {
    const start = startOf(this.#held, this.#isLineStart, this.#isPure, isLast)
    if (start === 'unknown') return
    if (start === 'prose') {
      const length = brackets(this.#held)
      this.#takeProse()
      this.#feedAgain(length)
    } else {
      this.#open()
      this.#feedAgain(0)
    }
  }

  /** Begins to read JSON, at the bracket that the held text begins with. */
  #open(): void {
    const isArray = this.#held[0] === '['
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
      return
    }
    this.#held = this.#held.slice(1)
    if (isArray) this.#openArray()
    else this.#place = 'member'
  }

  #openArray(): void {
    this.#hasArray = true
    this.#isInArray = true
    this.#place = 'value'
  }

  /** Takes the held text from its place on as if it came only now. */
  #feedAgain(from = 0): void {
    const text = this.#held.slice(from)
    this.#held = ''
    if (this.#place === 'line' || this.#place === 'bracket') this.#place = 'prose'
    this.feed(text)
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
    else if (this.#elements === 'values') {
      this.#place = 'prose'
      this.#isLineStart = false
    } else this.#place = 'behindMember'
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
    if (this.#held.length > this.#maxSize)
      throw new ScanFailure(`an element is longer than ${this.#maxSize} characters`, this.#maxSize)
  }

  #pathText(): string {
    return `the path of ${this.#path.length} name${this.#path.length === 1 ? '' : 's'}`
  }
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

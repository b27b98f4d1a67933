import { type ByteWindow, Piece } from '../bytes/byte-window.js'
import { type ArrayMold, type Json, type ObjectMold, partFor } from './mold.js'
import { readScalar } from './scalar.js'

/** With more holes than this, filling them costs what parsing does. */
const maxHoles = 16
/** Deeper values are left to `JSON.parse`, which takes any depth; recursion does not. */
const maxDepth = 32
/** What is the same as text and as bytes; of the white space, only the space. */
const ascii = /^[ -~]*$/
/** The same, and the ends of lines. */
const asciiLines = /^[ -~\r\n]*$/
/** A token of JSON: a string, in which quotes, backslashes and control characters stand as escapes only; a number; a word. */
const scalar =
  /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const punctuation = /[[\]{}:,\s]*/y

/** Whether it does not matter, to whoever takes the objects, what scalar stands at a path. */
export type IsIndifferent = (path: readonly string[]) => boolean

/** What stands before and behind a payload, and a template's pieces with that. */
interface Frame {
  readonly before: string
  readonly behind: string
  readonly pieces: readonly Piece[]
  /** How long all of it is at least. */
  readonly minLength: number
}

/**
 * What payloads share that differ in scalars only: their text, with a hole for each scalar that differs. A payload that
 * is that text with any scalar in each hole is not parsed: it gets a copy of the template's object with the holes
 * filled.
 *
 * Why this gives what `JSON.parse` gives:
 *
 * - Before a template is used, `JSON.parse` reads its text with a marker string in each hole. Since that is valid
 *   JSON, every hole takes the place of one whole token outside strings, so any other scalar there is valid too.
 * - All markers must be among the values that come out. One that stands for a key, or in a member that a duplicate
 *   after it overrides, is not, and then there is no template.
 * - Nothing else can pass for a marker. Markers begin with NUL, which JSON text holds as `\u0000` only, and no
 *   template's text holds that.
 * - In bytes, a piece can match no part of another character, since pieces are ASCII, and a hole ends with an ASCII
 *   character, so that what it holds can be decoded by itself.
 * - Every object and array of the template is copied for every payload, so no two results share a mutable part.
 */
export class Template {
  /** Whether no hole is one that matters. */
  readonly isIndifferent: boolean
  /** Where the payload that `parseFramed` has read ends, and what stands behind it. */
  end = 0

  /** The text before, between and after the holes. */
  readonly #pieces: readonly Piece[]
  /** What the object is copied from. */
  readonly #mold: ObjectMold | ArrayMold
  /** What stood in the holes. */
  readonly #values: Json[] = []
  #frame: Frame | undefined

  /** What two valid texts share; undefined if that is no template. */
  static of(left: string, right: string, isIndifferent: IsIndifferent): Template | undefined {
    const pieces = sharedPieces(left, right)
    if (!pieces || pieces.some(piece => piece.includes('\\u0000') || !ascii.test(piece))) return
    const value = JSON.parse(withMarkers(pieces))
    if (isDeeper(value, maxDepth)) return
    const holes: string[][] = []
    const mold = partFor(value, [], holes)
    if (typeof mold !== 'object' || holes.length !== pieces.length - 1) return
    return new Template(pieces, mold, holes.every(isIndifferent))
  }

  private constructor(pieces: readonly string[], mold: ObjectMold | ArrayMold, isIndifferent: boolean) {
    this.#pieces = pieces.map(piece => new Piece(piece))
    this.#mold = mold
    this.isIndifferent = isIndifferent
  }

  /** A payload of this shape, with a marker in each hole. Made each time: it is seldom asked for, and large. */
  get text(): string {
    return withMarkers(this.#pieces.map(({ text }) => text))
  }

  /** The object of a payload that stands in these places; undefined if the template is none of it. */
  parse(bytes: ByteWindow, start: number, end: number): Json | undefined {
    const isMatch = matchEnd(this.#pieces, bytes, start, this.#values) === end
    return isMatch ? this.#mold.copy(this.#values) : undefined
  }

  /**
   * Says between what a payload stands, for `parseFramed` to look for others there. That counts as parts of the template
   * then, and nothing needs to be searched.
   */
  setFrame(before: string, behind: string): void {
    if (this.#frame?.before === before && this.#frame.behind === behind) return
    const texts = this.#pieces.map(({ text }) => text)
    texts[0] = before + texts[0]
    texts[texts.length - 1] += behind
    if (!texts.every(text => asciiLines.test(text))) return
    const minLength = texts.reduce((length, text) => length + text.length + 1, -1)
    this.#frame = { before, behind, pieces: texts.map(text => new Piece(text)), minLength }
  }

  /** The same for a payload in the frame, from the beginning of that; says in `end` where all of it ends. */
  parseFramed(bytes: ByteWindow, start: number, maxLength: number): Json | undefined {
    const frame = this.#frame
    if (!frame || !mayEnd(frame, bytes, start)) return
    this.end = matchEnd(frame.pieces, bytes, start, this.#values)
    if (this.end === -1 || this.end - start > maxLength) return
    return this.#mold.copy(this.#values)
  }
}

/**
 * Whether a payload in this frame may end within the bytes. Asked near the end of them, so that one whose own end is
 * yet to come is not read in vain; of bytes that end like the frame, it is taken as said.
 */
function mayEnd({ behind, minLength }: Frame, bytes: ByteWindow, start: number): boolean {
  if (bytes.length - start >= 2 * minLength) return true
  const last = behind.charCodeAt(behind.length - 1)
  return bytes.byteAt(bytes.length - 1) === last || bytes.indexOf(last, start + minLength - 1) !== -1
}

/** Where the text ends that is these pieces with a scalar in each hole, or -1 if none starts here. Leaves the scalars in `values`. */
function matchEnd(pieces: readonly Piece[], bytes: ByteWindow, start: number, values: Json[]): number {
  const { view, offset } = bytes
  const limit = offset + bytes.length
  let at = offset + start
  for (let index = 0; index < pieces.length; index++) {
    if (index > 0) at = readScalar(bytes, at, limit, values, index - 1)
    const piece = pieces[index] as Piece
    if (at === -1 || at + piece.length > limit || !piece.isAt(view, at)) return -1
    at += piece.length
  }
  return at - offset
}

/** What two valid texts share, cut at the scalars in which they differ. Undefined if they differ in anything else. */
function sharedPieces(left: string, right: string): string[] | undefined {
  const pieces: string[] = []
  let pieceStart = 0
  let leftStart = 0
  let rightStart = 0
  for (let token = punctuation; ; token = token === scalar ? punctuation : scalar) {
    const leftEnd = tokenEnd(token, left, leftStart)
    const rightEnd = tokenEnd(token, right, rightStart)
    if (left.slice(leftStart, leftEnd) !== right.slice(rightStart, rightEnd)) {
      // What stands before a colon is a key.
      if (token !== scalar || left[leftEnd] === ':' || pieces.length === maxHoles) return
      pieces.push(left.slice(pieceStart, leftStart))
      pieceStart = leftEnd
    }
    leftStart = leftEnd
    rightStart = rightEnd
    if (leftStart === left.length || rightStart === right.length) break
  }
  if (leftStart < left.length || rightStart < right.length) return
  return [...pieces, left.slice(pieceStart)]
}

function withMarkers(pieces: readonly string[]): string {
  return pieces.reduce((before, piece, index) => `${before}"\\u0000${index - 1}"${piece}`)
}

function isDeeper(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return depth === 0 || Object.values(value).some(member => isDeeper(member, depth - 1))
}

/** Where the token that starts here ends; the same place if there is none. */
function tokenEnd(token: RegExp, text: string, start: number): number {
  token.lastIndex = start
  return token.test(text) ? token.lastIndex : start
}

/** A copy of a text in one piece, not a view of a large one. */
export function flat(text: string): string {
  return JSON.parse(JSON.stringify(text))
}

import { ByteWindow, Piece } from './byte-window.js'
import { type ArrayMold, type Json, type ObjectMold, partFor } from './mold.js'
import { readScalar } from './scalar.js'

/**
 * `JSON.parse` for the payloads of one stream, which share all but small parts: the delta, a counter, a clock, the
 * random string that OpenAI pads its chunks with.
 *
 * Two payloads that differ in scalars only make a template: the text they share, with a hole for each scalar that
 * differs. A payload that is the template's text with any scalar in each hole is not parsed: it gets a copy of the
 * template's object with the holes filled. One that differs in more scalars widens the template. Where the next payload
 * stands between the same texts as the last one, they count as parts of the template, and need not be looked for.
 *
 * Why this gives what `JSON.parse` gives:
 *
 * - Before a template is used, `JSON.parse` reads its text with a marker string in each hole. Since that is valid
 *   JSON, every hole takes the place of one whole token outside strings, so any other scalar there is valid too.
 * - All markers must be among the values that come out. One that stands for a key, or in a member that a duplicate
 *   after it overrides, is not, and then there is no template.
 * - Nothing else can pass for a marker. Markers begin with NUL, which JSON text holds as `\u0000` only, and no
 *   template's text holds that.
 * - Where text is bytes still, a piece can match no part of another character, since pieces are ASCII, and a hole ends
 *   with an ASCII character, so that what it holds can be decoded by itself.
 * - Every object and array of the template is copied for every payload, so no two results share a mutable part.
 * - All other payloads, invalid ones too, go to `JSON.parse`.
 */

interface Template {
  /** A payload of this shape, with a marker in each hole. */
  readonly text: string
  /** The text before, between and after the holes. */
  readonly pieces: readonly Piece[]
  /** What the object is copied from. Undefined as long as one payload of this shape is known, so that nothing is a hole yet. */
  readonly mold: ObjectMold | ArrayMold | undefined
  /** Whether no hole is one that matters to whoever takes the object. */
  readonly isIndifferent: boolean
  frame: Frame | undefined
}

/** What stands before and behind a payload, where it was met last, and the pieces with that. */
interface Frame {
  readonly before: string
  readonly behind: string
  readonly pieces: readonly Piece[]
  /** How long all of it is at least. */
  readonly minLength: number
}

/** What knows between what a payload stands. */
export interface Surroundings {
  before(): string
  behind(): string
}

/** Chunks that share most of their text are small. This bounds what a template holds. */
const maxPayloadLength = 4096
/** Chunks of two kinds in turn, and the odd ones between. */
const maxTemplates = 4
/** With more holes than this, filling them costs what parsing does. */
const maxHoles = 16
/** `JSON.parse` takes any depth, recursion does not. */
const maxDepth = 32
/**
 * Learning takes the time of some twenty parses, so each attempt doubles the number of payloads until the next, up to
 * this, and a hit takes a little off it again. Where nothing repeats, that costs a percent or two.
 */
const maxPause = 4096
const hitShortensPause = 1 / 32
/** Trying templates that miss is not free either: when they have done so a few times, it waits for the next attempt. */
const maxMisses = 8
/** What is the same as text and as bytes; of the white space, only the space. */
const ascii = /^[ -~]*$/
/** The same, and the ends of lines. */
const asciiLines = /^[ -~\r\n]*$/
/** A token of JSON: a string, in which quotes, backslashes and control characters stand as escapes only; a number; a word. */
const scalar =
  /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const punctuation = /[[\]{}:,\s]*/y

/**
 * Gives what `JSON.parse` gives, or throws what it throws, faster where consecutive payloads are alike. One for each
 * stream. It keeps no text of a payload beyond 4096 characters.
 */
export class PayloadParser {
  readonly #isIndifferent: (path: readonly string[]) => boolean
  readonly #templates: Template[] = []
  readonly #values: Json[] = []
  /** What made the object handed out last, unless `JSON.parse` did. */
  #last: Template | undefined
  #misses = 0
  #pause = 0
  #wait = 0

  /** Where the payload that `parseAgain` has read ends, and what stands behind it. */
  end = 0

  /** @param isIndifferent whether it does not matter to whoever takes the objects what scalar stands at a path */
  constructor(isIndifferent: (path: readonly string[]) => boolean = () => false) {
    this.#isIndifferent = isIndifferent
  }

  parse(payload: string): unknown {
    this.#last = undefined
    if (this.#mayMatch(payload.length)) {
      const bytes = encoded(payload)
      if (bytes) this.#last = this.#match(bytes, 0, bytes.length)
    }
    return this.#last?.mold?.copy(this.#values) ?? this.#parse(payload)
  }

  /** Parses a payload where it stands. */
  parseIn(bytes: ByteWindow, start: number, end: number): unknown {
    this.#last = this.#mayMatch(end - start) ? this.#match(bytes, start, end) : undefined
    return this.#last?.mold?.copy(this.#values) ?? this.#parse(bytes.read(start, end))
  }

  /** Asks between what the payload stands that was parsed last, for `parseAgain` to look for another one like it. */
  expect(surroundings: Surroundings): void {
    const last = this.#last
    if (!last?.isIndifferent) return
    const before = surroundings.before()
    const behind = surroundings.behind()
    if (last.frame?.before === before && last.frame.behind === behind) return
    if (asciiLines.test(before + behind)) last.frame = frameOf(last.pieces, before, behind)
  }

  /**
   * Parses a payload like the last one, if one stands here, between the same texts: the object is, but for scalars in
   * indifferent places, equal to the one handed out last, and `end` tells where all of it ends. Undefined otherwise.
   */
  parseAgain(bytes: ByteWindow, start: number, maxLength: number): unknown {
    const last = this.#last
    if (!last?.mold || !last.frame || !mayEnd(last.frame, bytes, start)) return undefined
    this.end = matchEnd(last.frame.pieces, bytes, start, this.#values)
    if (this.end === -1 || this.end - start > maxLength) return undefined
    return last.mold.copy(this.#values)
  }

  /** Whether templates are to be tried with a payload. */
  #mayMatch(length: number): boolean {
    if (length > maxPayloadLength) return false
    if (this.#wait > 0) this.#wait--
    return this.#wait === 0 || this.#misses < maxMisses
  }

  #match(bytes: ByteWindow, start: number, end: number): Template | undefined {
    for (let index = 0; index < this.#templates.length; index++) {
      const template = this.#templates[index] as Template
      if (!template.mold || matchEnd(template.pieces, bytes, start, this.#values) !== end) continue
      if (this.#misses > 0) this.#misses--
      if (this.#pause > 0) this.#pause = Math.max(this.#pause - hitShortensPause, 0)
      return template
    }
    return undefined
  }

  #parse(payload: string): unknown {
    const value = JSON.parse(payload)
    if (payload.length > maxPayloadLength) return value
    this.#misses = Math.min(this.#misses + 2, maxMisses)
    if (this.#wait > 0) return value
    this.#wait = Math.ceil(this.#pause)
    this.#pause = Math.min(this.#pause * 2 + 1, maxPause)
    if (learn(this.#templates, payload, this.#isIndifferent)) this.#misses = 0
    return value
  }
}

/** Where texts are matched that came as such. */
const room: ByteWindow = new ByteWindow()
// As UTF-8, a character takes up to three bytes; half of a pair that takes four is one as well.
room.load(Buffer.allocUnsafeSlow(3 * maxPayloadLength), 3 * maxPayloadLength)
const encoder = new TextEncoder()

/** The bytes of a text of up to `maxPayloadLength` characters, until the next one; undefined if they would not be all of it. */
function encoded(text: string): ByteWindow | undefined {
  const { written } = encoder.encodeInto(text, room.buffer)
  // Half of a surrogate pair would be replaced.
  if (written !== text.length && !text.isWellFormed()) return
  room.length = written
  return room
}

function frameOf(pieces: readonly Piece[], before: string, behind: string): Frame {
  const texts = pieces.map(({ text }) => text)
  texts[0] = before + texts[0]
  texts[texts.length - 1] += behind
  const minLength = texts.reduce((length, text) => length + text.length + 1, -1)
  return { before, behind, pieces: texts.map(text => new Piece(text)), minLength }
}

/**
 * Whether a payload in this frame may end within the bytes. Asked near the end of them, so that one whose own end is
 * yet to come is not read in vain; of bytes that end like the frame, it is taken as said.
 */
function mayEnd({ behind, minLength }: Frame, bytes: ByteWindow, start: number): boolean {
  if (bytes.length - start >= 2 * minLength) return true
  const last = behind.charCodeAt(behind.length - 1)
  return bytes.at(bytes.length - 1) === last || bytes.indexOf(last, start + minLength - 1) !== -1
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

/** Takes in a payload that `JSON.parse` has read. True if it made a template that is ready for use. */
function learn(
  templates: Template[],
  payload: string,
  isIndifferent: (path: readonly string[]) => boolean
): boolean {
  for (const [index, { text }] of templates.entries()) {
    const pieces = sharedPieces(text, payload)
    const template = pieces && createTemplate(pieces, isIndifferent)
    if (!template) continue
    templates.splice(index, 1)
    templates.unshift(template)
    return true
  }
  // At the back and the first to go, so that odd chunks do not drive out what serves.
  if (templates.length === maxTemplates) templates.pop()
  templates.push({
    text: flat(payload),
    pieces: [],
    mold: undefined,
    isIndifferent: false,
    frame: undefined
  })
  return false
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

function createTemplate(
  pieces: string[],
  isIndifferent: (path: readonly string[]) => boolean
): Template | undefined {
  if (pieces.some(piece => piece.includes('\\u0000') || !ascii.test(piece))) return
  const text = pieces.reduce((before, piece, index) => `${before}"\\u0000${index - 1}"${piece}`)
  const holes: string[][] = []
  const value = JSON.parse(text)
  if (isDeeper(value, maxDepth)) return
  const mold = partFor(value, [], holes)
  if (typeof mold !== 'object' || holes.length !== pieces.length - 1) return
  const isHarmless = holes.every(isIndifferent)
  return {
    text: flat(text),
    pieces: pieces.map(piece => new Piece(piece)),
    mold,
    isIndifferent: isHarmless,
    frame: undefined
  }
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

/** A copy of a text in one piece, not a view of a large read. */
function flat(text: string): string {
  return JSON.parse(JSON.stringify(text))
}

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

type Json = string | number | boolean | null | Json[] | Members
type Members = { [name: string]: Json }

interface Template {
  /** A payload of this shape, with a marker in each hole. */
  readonly text: string
  /** The text before, between and after the holes. */
  readonly pieces: readonly string[]
  /** What the object is copied from. Undefined as long as one payload of this shape is known, so that nothing is a hole yet. */
  readonly mold: ObjectMold | ArrayMold | undefined
  /** Whether no hole is one that matters to whoever takes the object. */
  readonly isIndifferent: boolean
  /** What stands before and behind the payload, where it was met last, and the pieces with that. */
  frame: { readonly before: string; readonly behind: string; readonly pieces: readonly string[] } | undefined
}

/** What a payload stands in. */
export interface PayloadSource {
  /** The text; any character of it that is not ASCII may be a byte of a longer one instead. */
  readonly text: string
  /** Part of it, decoded; may be a view of all of it. */
  read(start: number, end: number): string
  /** Part of it, decoded, and no view. */
  copy(start: number, end: number): string
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
 * Learning takes the time of some ten parses, so each attempt doubles the number of payloads until the next, up to
 * this, and a hit takes a little off it again. Where nothing repeats, that costs some percent.
 */
const maxPause = 1024
const hitShortensPause = 1 / 32
/** Trying templates that miss is not free either: when they have done so a few times, it waits for the next attempt. */
const maxMisses = 8
/**
 * V8 copies up to 12 characters out of a string, but makes a longer slice a view, which would keep the payload alive,
 * and the read that it was cut from, for as long as the delta.
 */
const maxSlice = 12
/** Numbers of so many digits are exact, and so is what they give divided by a power of ten as large: one rounding, as in `JSON.parse`. */
const maxDigits = 15
const powersOfTen = Array.from({ length: maxDigits + 1 }, (_, exponent) => Number(`1e${exponent}`))

/** Any text between quotes but quotes, backslashes and control characters, and the escapes that JSON knows; a number; a word. */
const scalar =
  /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
/** What is the same as text and as bytes; of the white space, only the space. */
const ascii = /^[ -~]*$/
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
    return this.parseIn(new PayloadText(payload), 0, payload.length)
  }

  /** Parses a payload where it stands. */
  parseIn(source: PayloadSource, start: number, end: number): unknown {
    this.#last = this.#match(source, start, end)
    return this.#last?.mold?.copy(this.#values) ?? this.#parse(source, start, end)
  }

  /** Says between what the payload stands that was parsed last, for `parseAgain` to look for another one like it. */
  expect(before: string, behind: string): void {
    const last = this.#last
    if (!last?.isIndifferent || (last.frame?.before === before && last.frame.behind === behind)) return
    const pieces = last.pieces.map((piece, index) =>
      flat((index === 0 ? before : '') + piece + (index === last.pieces.length - 1 ? behind : ''))
    )
    last.frame = { before: flat(before), behind: flat(behind), pieces }
  }

  /**
   * Parses a payload like the last one, if one stands here, between the same texts: the object is, but for scalars in
   * indifferent places, equal to the one handed out last, and `end` tells where all of it ends. Undefined otherwise.
   */
  parseAgain(source: PayloadSource, start: number, maxLength: number): unknown {
    const last = this.#last
    if (!last?.mold || !last.frame) return undefined
    this.end = matchEnd(last.frame.pieces, source, start, this.#values)
    if (this.end === -1 || this.end - start > maxLength) return undefined
    return last.mold.copy(this.#values)
  }

  #match(source: PayloadSource, start: number, end: number): Template | undefined {
    if (end - start > maxPayloadLength) return undefined
    if (this.#wait > 0) this.#wait--
    if (this.#wait > 0 && this.#misses >= maxMisses) return undefined
    for (let index = 0; index < this.#templates.length; index++) {
      const template = this.#templates[index] as Template
      if (!template.mold || matchEnd(template.pieces, source, start, this.#values) !== end) continue
      if (this.#misses > 0) this.#misses--
      if (this.#pause > 0) this.#pause = Math.max(this.#pause - hitShortensPause, 0)
      return template
    }
    return undefined
  }

  #parse(source: PayloadSource, start: number, end: number): unknown {
    const payload = source.read(start, end)
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

/** A payload by itself. */
class PayloadText implements PayloadSource {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  read(start: number, end: number): string {
    return this.text.slice(start, end)
  }

  copy(start: number, end: number): string {
    return flat(this.read(start, end))
  }
}

/** Where the text ends that is these pieces with a scalar in each hole, or -1 if none starts here. Leaves the scalars in `values`. */
function matchEnd(pieces: readonly string[], source: PayloadSource, start: number, values: Json[]): number {
  const { text } = source
  let at = start
  for (let index = 0; index < pieces.length; index++) {
    if (index > 0) at = readScalar(source, at, values, index - 1)
    const piece = pieces[index] as string
    // Faster than `startsWith`, several times so where the text is a slice of another.
    if (at === -1 || text.slice(at, at + piece.length) !== piece) return -1
    at += piece.length
  }
  return at
}

/** Puts the scalar that starts here into `values` and returns where it ends, or -1 if there is none. */
function readScalar(source: PayloadSource, start: number, values: Json[], hole: number): number {
  const first = source.text.charCodeAt(start)
  if (first === 0x22) return readString(source, start, values, hole)
  if (isDigit(first)) return readNumber(source.text, start, values, hole)
  return readToken(source.text, start, values, hole)
}

function readString(source: PayloadSource, start: number, values: Json[], hole: number): number {
  const { text } = source
  let end = start + 1
  let hasEscape = false
  let isAscii = true
  for (let code = text.charCodeAt(end); code !== 0x22; code = text.charCodeAt(++end)) {
    // A control character, or NaN at the end of the text; or more than any template is for.
    if (!(code >= 0x20) || end - start > maxPayloadLength) return -1
    if (code >= 0x80) isAscii = false
    else if (code === 0x5c) {
      hasEscape = true
      end++
    }
  }
  if (hasEscape) {
    try {
      // What follows a backslash has not been looked at, but if it is not ASCII, it is not JSON either.
      values[hole] = JSON.parse(isAscii ? text.slice(start, end + 1) : source.read(start, end + 1))
    } catch {
      return -1
    }
  } else if (!isAscii || end - start > 2 * maxSlice) values[hole] = source.copy(start + 1, end)
  else if (end - start <= maxSlice) values[hole] = text.slice(start + 1, end)
  else values[hole] = text.slice(start + 1, start + 1 + maxSlice) + text.slice(start + 1 + maxSlice, end)
  return end + 1
}

/** A number from zero up; one with an exponent is left to JSON. */
function readNumber(text: string, start: number, values: Json[], hole: number): number {
  let number = 0
  let end = start
  let code = text.charCodeAt(end)
  for (; isDigit(code); code = text.charCodeAt(++end)) number = number * 10 + code - 0x30
  let digits = end - start
  let decimals = 0
  if (code === 0x2e) {
    code = text.charCodeAt(++end)
    for (; isDigit(code); code = text.charCodeAt(++end)) {
      number = number * 10 + code - 0x30
      decimals++
    }
    digits += decimals
    if (decimals === 0) return -1
  }
  const hasLeadingZero = digits - decimals > 1 && text.charCodeAt(start) === 0x30
  if (hasLeadingZero) return -1
  if (code === 0x45 || code === 0x65) return readToken(text, start, values, hole)
  if (digits > maxDigits) number = Number(text.slice(start, end))
  else if (decimals > 0) number /= powersOfTen[decimals] as number
  values[hole] = number
  return end
}

function readToken(text: string, start: number, values: Json[], hole: number): number {
  const end = tokenEnd(scalar, text, start)
  if (end === start) return -1
  values[hole] = JSON.parse(text.slice(start, end))
  return end
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Where the token that starts here ends; the same place if there is none. */
function tokenEnd(token: RegExp, text: string, start: number): number {
  token.lastIndex = start
  return token.test(text) ? token.lastIndex : start
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
  return { text: flat(text), pieces: pieces.map(flat), mold, isIndifferent: isHarmless, frame: undefined }
}

function isDeeper(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return depth === 0 || Object.values(value).some(member => isDeeper(member, depth - 1))
}

/** A copy of a text in one piece: not a view of a large read, and compared in half the time. */
function flat(text: string): string {
  return JSON.parse(JSON.stringify(text))
}

/** What stands where the copies of a value differ: what is in the hole of this number, or a copy of its own. */
type Part = number | ObjectMold | ArrayMold

/** Copies an object and fills the holes in it. */
class ObjectMold {
  readonly #object: Members
  readonly #keys: readonly string[]
  readonly #parts: readonly Part[]
  readonly #spread: (object: Members) => Members

  constructor(object: Members, parts: ReadonlyMap<string, Part>) {
    this.#object = object
    this.#keys = [...parts.keys()]
    this.#parts = [...parts.values()]
    this.#spread = spreadFor(object)
  }

  copy(values: readonly Json[]): Members {
    const keys = this.#keys
    const parts = this.#parts
    const copy = this.#spread(this.#object)
    for (let at = 0; at < parts.length; at++)
      store(copy, keys[at] as string, valueOf(parts[at] as Part, values))
    return copy
  }
}

/** Copies an array and fills the holes in it. */
class ArrayMold {
  readonly #array: readonly Json[]
  readonly #indexes: readonly number[]
  readonly #parts: readonly Part[]

  constructor(array: readonly Json[], parts: ReadonlyMap<string, Part>) {
    this.#array = array
    this.#indexes = [...parts.keys()].map(Number)
    this.#parts = [...parts.values()]
  }

  copy(values: readonly Json[]): Json[] {
    const parts = this.#parts
    // A list of choices, as nearly all are.
    if (this.#array.length === 1 && parts.length === 1) return [valueOf(parts[0] as Part, values)]
    const copy = this.#array.slice()
    for (let at = 0; at < parts.length; at++)
      copy[this.#indexes[at] as number] = valueOf(parts[at] as Part, values)
    return copy
  }
}

function valueOf(part: Part, values: readonly Json[]): Json {
  // A match has filled every hole.
  return typeof part === 'number' ? (values[part] as Json) : part.copy(values)
}

/** Undefined for a scalar, which cannot be changed and need not be copied. Adds the paths of the holes that it finds. */
function partFor(value: Json, path: readonly string[], holes: string[][]): Part | undefined {
  if (typeof value === 'string' && value.startsWith('\0')) {
    holes.push([...path])
    return Number(value.slice(1))
  }
  if (typeof value !== 'object' || value === null) return
  const parts = new Map<string, Part>()
  for (const [key, member] of Object.entries(value)) {
    const part = partFor(member, [...path, key], holes)
    if (part !== undefined) parts.set(key, part)
  }
  return Array.isArray(value) ? new ArrayMold(value, parts) : new ObjectMold(value, parts)
}

/** V8 stores under a name that stands in the code in a tenth of the time of any other: these are most of them. */
function store(object: Members, key: string, value: Json): void {
  switch (key) {
    case 'choices':
      object.choices = value
      break
    case 'delta':
      object.delta = value
      break
    case 'content':
      object.content = value
      break
    case 'obfuscation':
      object.obfuscation = value
      break
    case 'sequence_number':
      object.sequence_number = value
      break
    case 'created':
      object.created = value
      break
    case 'predicted_n':
      object.predicted_n = value
      break
    case 'predicted_ms':
      object.predicted_ms = value
      break
    case 'predicted_per_token_ms':
      object.predicted_per_token_ms = value
      break
    case 'predicted_per_second':
      object.predicted_per_second = value
      break
    default:
      object[key] = value
  }
}

/**
 * V8 spreads fast where a place in the code meets up to four shapes of object, and five times as slow where it meets
 * more. So there are several places, and the names in an object choose one.
 */
const spreads: readonly ((object: Members) => Members)[] = [
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object })
]

function spreadFor(object: Members): (object: Members) => Members {
  const names = Object.keys(object).join()
  let sum = 0
  for (let at = 0; at < names.length; at++) sum = (sum * 31 + names.charCodeAt(at)) % 65_537
  return spreads[sum % spreads.length] as (typeof spreads)[0]
}

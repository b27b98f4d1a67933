/**
 * `JSON.parse` for the payloads of one stream, which share all but small parts: the delta, a counter, a clock, the
 * random string that OpenAI pads its chunks with.
 *
 * Two payloads that differ in scalars only make a template: the text they share, with a hole for each scalar that
 * differs. A payload that is the template's text with any scalar in each hole is not parsed: it gets a copy of the
 * template's object with the holes filled. One that differs in more scalars widens the template.
 *
 * Why this gives what `JSON.parse` gives:
 *
 * - Before a template is used, `JSON.parse` reads its text with a marker string in each hole. Since that is valid
 *   JSON, every hole takes the place of one whole token outside strings, so any other scalar there is valid too.
 * - All markers must be among the values that come out. One that stands for a key, or in a member that a duplicate
 *   after it overrides, is not, and then there is no template.
 * - Nothing else can pass for a marker. Markers begin with NUL, which JSON text holds as `\u0000` only, and no
 *   template's text holds that.
 * - Every object and array of the template is copied for every payload, so no two results share a mutable part.
 * - All other payloads, invalid ones too, go to `JSON.parse`.
 */

type Json = string | number | boolean | null | Json[] | Members
type Members = { [name: string]: Json }
type Build = (values: readonly Json[]) => Json

interface Template {
  /** A payload of this shape, with a marker in each hole. */
  readonly text: string
  /** The text before, between and after the holes. */
  readonly pieces: readonly string[]
  /** Makes the object. Undefined as long as one payload of this shape is known, so that nothing is a hole yet. */
  readonly build: Build | undefined
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
 * this, and a hit takes a little off it again. Where nothing repeats, that costs a percent or two.
 */
const maxPause = 1024
const hitShortensPause = 1 / 32
/** Trying templates that miss is not free either: when they have done so a few times, it waits for the next attempt. */
const maxMisses = 8
/**
 * V8 copies up to 12 characters out of a string, but makes a longer slice a view, which would keep the payload alive,
 * and the read that it was cut from, for as long as the delta. `JSON.parse` copies any length.
 */
const maxSlice = 12

/** Any text between quotes but quotes, backslashes and control characters, and the escapes that JSON knows; a number; a word. */
const scalar =
  /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const punctuation = /[[\]{}:,\s]*/y

/**
 * A function that gives what `JSON.parse(payload)` gives, or throws what it throws, faster where consecutive payloads
 * are alike. One for each stream. It keeps no text of a payload beyond 4096 characters.
 */
export function createPayloadParser(): (payload: string) => unknown {
  const templates: Template[] = []
  const values: Json[] = []
  let misses = 0
  let pause = 0
  let wait = 0

  return payload => {
    if (payload.length > maxPayloadLength) return JSON.parse(payload)
    if (wait > 0) wait--
    if (wait === 0 || misses < maxMisses) {
      for (const template of templates) {
        if (!template.build || !matches(template.pieces, payload, values)) continue
        misses = Math.max(misses - 1, 0)
        pause = Math.max(pause - hitShortensPause, 0)
        return template.build(values)
      }
    }
    const value = JSON.parse(payload)
    misses = Math.min(misses + 2, maxMisses)
    if (wait === 0) {
      wait = Math.ceil(pause)
      pause = Math.min(pause * 2 + 1, maxPause)
      if (learn(templates, payload)) misses = 0
    }
    return value
  }
}

/** Whether the payload is these pieces with a scalar in each hole. Leaves the scalars in `values`. */
function matches(pieces: readonly string[], payload: string, values: Json[]): boolean {
  let at = 0
  let hole = -1
  for (const piece of pieces) {
    if (hole >= 0) at = readScalar(payload, at, values, hole)
    // Faster than `startsWith`, several times so where the payload is itself a slice of what was read.
    if (at === -1 || payload.slice(at, at + piece.length) !== piece) return false
    at += piece.length
    hole++
  }
  return at === payload.length
}

/** Puts the scalar that starts here into `values` and returns where it ends, or -1 if none does. */
function readScalar(payload: string, start: number, values: Json[], hole: number): number {
  const first = payload.charCodeAt(start)
  let end = start + 1
  let code = payload.charCodeAt(end)
  if (first === 0x22) {
    // A short string without a backslash or a control character means what it says.
    while (code !== 0x22 && code !== 0x5c && code >= 0x20 && end - start <= maxSlice)
      code = payload.charCodeAt(++end)
    if (code === 0x22) {
      values[hole] = payload.slice(start + 1, end)
      return end + 1
    }
  } else if (isDigit(first) && first !== 0x30) {
    let number = first - 0x30
    for (; isDigit(code); code = payload.charCodeAt(++end)) number = number * 10 + code - 0x30
    // Up to 15 digits are exact. A point or an exponent makes another number of it.
    if (end - start <= 15 && code !== 0x2e && code !== 0x45 && code !== 0x65) {
      values[hole] = number
      return end
    }
  }
  end = tokenEnd(scalar, payload, start)
  if (end === start) return -1
  const text = payload.slice(start, end)
  values[hole] = isDigit(first) || first === 0x2d ? Number(text) : JSON.parse(text)
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
function learn(templates: Template[], payload: string): boolean {
  for (const [index, { text }] of templates.entries()) {
    const pieces = sharedPieces(text, payload)
    const template = pieces && createTemplate(pieces)
    if (!template) continue
    templates.splice(index, 1)
    templates.unshift(template)
    return true
  }
  // At the back and the first to go, so that odd chunks do not drive out what serves. A copy, since the payload may
  // be a view of a large read.
  if (templates.length === maxTemplates) templates.pop()
  templates.push({ text: JSON.parse(JSON.stringify(payload)), pieces: [], build: undefined })
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

function createTemplate(pieces: string[]): Template | undefined {
  if (pieces.some(piece => piece.includes('\\u0000'))) return
  const text = pieces.reduce((before, piece, index) => `${before}"\\u0000${index - 1}"${piece}`)
  const found = { holes: 0 }
  const build = compile(JSON.parse(text), 0, found)
  return build && found.holes === pieces.length - 1 ? { text, pieces, build } : undefined
}

/**
 * Makes what copies a value with its holes filled. Undefined for a value that has no holes and cannot be changed.
 * Counts the holes that it finds.
 */
function compile(value: Json, depth: number, found: { holes: number }): Build | undefined {
  if (typeof value === 'string' && value.startsWith('\0')) {
    const hole = Number(value.slice(1))
    found.holes++
    return values => values[hole] as Json // a match has filled every hole
  }
  if (typeof value !== 'object' || value === null) return
  if (depth === maxDepth) {
    found.holes = Number.NaN // equals no number of holes, so there is no template
    return
  }
  const parts: { key: string; build: Build }[] = []
  for (const [key, member] of Object.entries(value)) {
    const build = compile(member, depth + 1, found)
    if (build) parts.push({ key, build })
  }
  if (Array.isArray(value)) {
    const items = parts.map(({ key, build }) => ({ index: Number(key), build }))
    return values => {
      const result = value.slice()
      for (const { index, build } of items) result[index] = build(values)
      return result
    }
  }
  const copy = copiers[depth % copiers.length] as (typeof copiers)[0]
  return values => {
    const result = copy(value)
    for (const { key, build } of parts) result[key] = build(values)
    return result
  }
}

/** V8 spreads fast where a place in the code meets few shapes of object, so each depth has a place of its own. */
const copiers: readonly ((object: Members) => Members)[] = [
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object }),
  object => ({ ...object })
]

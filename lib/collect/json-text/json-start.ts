/** What a bracket in the text begins: JSON or prose, or not to be told before more has come. */
export type Start = 'json' | 'prose' | 'unknown'

/** Where a bracket stands. */
export interface BracketPlace {
  /** Whether it is the first of its line, or stands behind a comma behind JSON. */
  isLineStart: boolean
  /** Whether nothing but JSON and fences stands before it. */
  isPure: boolean
  /** Whether nothing but white space and commas stands between JSON and it. */
  isBehindJson: boolean
}

/**
 * Takes one character after the other, the bracket first and `''` where the text ends, until it says what the bracket begins.
 * So it does not begin anew with each piece, and what it says does not depend on where the text was cut.
 */
type Reader = Generator<undefined, Start, string>

/** The words of JSON. */
export const words: readonly string[] = ['true', 'false', 'null']

/** What looks for the end of a note or name gives it up after so many characters, white space not counted. */
export const longestWait = 1024

/**
 * Tells what a bracket begins, in the text from there on, piece by piece.
 *
 * A bracket that begins a line, with nothing but JSON and fences before it, is JSON also if it holds what is no JSON, so that
 * its reader fails: taken for prose, it would be lost up to the next bracket, and what stands in a list would be taken for
 * all of the text.
 */
export class JsonStart {
  readonly #bracket: string
  readonly #isFirst: boolean
  /** What has been looked at, for a second reader. */
  #text = ''
  #reader: Reader
  #isSecond = false

  constructor(bracket: string, place: BracketPlace) {
    const { isLineStart, isPure, isBehindJson } = place
    this.#bracket = bracket
    this.#isFirst = isLineStart && isPure
    this.#reader = started(
      bracket === '{' ? objectStart(isLineStart || isBehindJson) : arrayStart(isLineStart)
    )
  }

  /** Looks at a piece of the text; the bracket itself comes first. */
  read(piece: string): Start {
    const isKept = this.#isFirst && !this.#isSecond
    if (isKept) this.#text += piece
    for (let at = 0; at < piece.length; at++) {
      const start = this.#take(piece[at] as string)
      if (start !== 'unknown') return start === 'prose' && isKept ? this.#readBroken() : start
    }
    return 'unknown'
  }

  /** Decides when no more comes. A brace alone remains unknown. */
  end(): Start {
    // What has come of it may be JSON.
    if (this.#isFirst && !this.#isSecond && this.#bracket === '[') return 'json'
    return this.#take('')
  }

  #take(character: string): Start {
    return this.#reader.next(character).value ?? 'unknown'
  }

  /** Reads again what is no JSON, for whether it is to be taken for JSON with a mistake. */
  #readBroken(): Start {
    this.#isSecond = true
    this.#reader = started(this.#bracket === '{' ? brokenObject() : brokenArray())
    return this.read(this.#text)
  }
}

/**
 * How many characters of a text that begins with a bracket of prose are prose with it: what holds for the first of its
 * brackets holds for those behind it, unless one of them begins a line and the first does not.
 */
export function proseLength(text: string, isLineStart: boolean): number {
  const run = isLineStart ? /^(?:\[[[\s]*|\{[[{]*)/ : /^(?:\[(?:\[|[^\S\n\r])*|\{[[{]*)/
  return run.exec(text)?.[0].length ?? 0
}

function started(reader: Reader): Reader {
  reader.next()
  return reader
}

/**
 * A name in quotes begins an object. In the middle of a line of prose, `{}` is a word. Brackets without anything between them
 * are of a template, such as `{{"name"}}`, and one mark.
 */
function* objectStart(mayBeEmpty: boolean): Reader {
  yield // The brace.
  let next = yield
  if (next === '{' || next === '[') {
    while (next === '{' || next === '[') next = yield
    return 'prose'
  }
  if (isSpace(next)) next = yield* afterSpace()
  if (next === '') return 'unknown'
  return next === '"' || (next === '}' && mayBeEmpty) ? 'json' : 'prose'
}

/**
 * In prose there are notes `[1]`, links `[here](…)`, boxes `[ ]` and asides `[or so]`. So an array in the middle of a line is
 * one that begins with an object or a string; one at the beginning of a line may begin with any value, but if it is empty, or
 * holds one number or word alone, then nothing else may stand on its line.
 */
function* arrayStart(isLineStart: boolean): Reader {
  let next = yield
  while (next === '[' || isSpace(next)) next = yield
  if (next === '{' || next === '"') return 'json'
  if (!isLineStart || next === '') return 'prose'
  if (next === ']') return yield* aloneOnLine()

  const word = words.find(word => word[0] === next)
  if (word) {
    for (const expected of word.slice(1)) if ((yield) !== expected) return 'prose'
    next = yield
  } else {
    let digits = ''
    for (; /[-+.\deE]/.test(next); next = yield) {
      digits += next
      // That is no word of any prose.
      if (digits.length > longestWait) return 'json'
    }
    if (!number.test(digits)) return 'prose'
  }
  if (!/[\s,\]]/.test(next)) return 'prose'
  if (isSpace(next)) next = yield* afterSpace()
  if (next === ']') return yield* aloneOnLine()
  return next === ',' || next === '' ? 'json' : 'prose'
}

const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

function* aloneOnLine(): Reader {
  let next = yield
  while (next !== '\n' && isSpace(next)) next = yield
  return next === '' || /[\n`~,\]]/.test(next) ? 'json' : 'prose'
}

/** Braces with a line end, a comment or a name and a colon behind them are no words of prose. */
function* brokenObject(): Reader {
  yield // The brace.
  let next = yield
  for (; isSpace(next); next = yield) if (next === '\n') return 'json'
  if (next === '/') {
    next = yield
    return next === '/' || next === '*' ? 'json' : 'prose'
  }
  const isQuoted = next === "'"
  if (!isQuoted && !/[\p{L}\p{Cs}\w$-]/u.test(next)) return 'prose'
  const ofName = isQuoted ? /[^'\n]/ : /[\p{L}\p{Cs}\w$-]/u
  next = yield
  for (let length = 1; ofName.test(next) && length < longestWait; length++) next = yield
  if (isQuoted) {
    if (next !== "'") return 'prose'
    next = yield
  }
  if (isSpace(next)) next = yield* afterSpace()
  return next === ':' ? 'json' : 'prose'
}

/**
 * A note, link or box of the prose has no line end behind its bracket. Nor has it, before it is closed, an object or array
 * behind a comma, a comment or a line end.
 */
function* brokenArray(): Reader {
  let next = yield
  for (; next === '[' || isSpace(next); next = yield) if (next === '\n') return 'json'

  let isOpen = true
  let length = 0
  let before = ''
  let isLineStart = false
  /** One for each bracket within of which it is not known yet what it begins. */
  let within: Reader[] = []
  for (; ; next = yield) {
    if (next === ']' || next === '' || length > longestWait) isOpen = false
    const undecided: Reader[] = []
    for (const reader of within) {
      const { value, done } = reader.next(next)
      if (value === 'json') return 'json'
      if (!done) undecided.push(reader)
    }
    // Of more than two, which are all of brackets alone by then, the others would say the same.
    const mayBegin = (next === '{' || next === '[') && (isLineStart || /,$|\*\/$/.test(before))
    if (isOpen && mayBegin && undecided.length < 2) {
      const reader = started(next === '{' ? objectStart(isLineStart) : arrayStart(isLineStart))
      reader.next(next)
      undecided.push(reader)
    }
    within = undecided
    if (!isOpen && within.length === 0) return 'prose'
    if (next === '\n') isLineStart = true
    else if (!isSpace(next)) {
      isLineStart = false
      before = before.slice(-1) + next
      length++
    }
  }
}

function* afterSpace(): Generator<undefined, string, string> {
  let next = yield
  while (isSpace(next)) next = yield
  return next
}

function isSpace(character: string): boolean {
  return /\s/.test(character)
}

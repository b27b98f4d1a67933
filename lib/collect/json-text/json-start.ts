/** What a bracket in the text begins: JSON or prose, or not to be told before more has come. */
export type Start = 'json' | 'prose' | 'unknown'

/** White space behind a bracket that is waited through, in characters. */
const longestWait = 1024

/** What the bracket begins that a text begins with. `isPure` says that nothing but JSON and fences stands before it. */
export function startOf(text: string, isLineStart: boolean, isPure: boolean, isLast: boolean): Start {
  if (isPure && isLineStart) return firstStart(text, isLast)
  return text[0] === '{' ? objectStart(text, isLineStart) : arrayStart(text, isLineStart, isLast)
}

/**
 * Whether a line begins an object or array, with nothing but JSON and fences before it. One that holds what is no JSON is
 * JSON here too, so that its reader fails: taken for prose, it would be lost up to the next bracket, and what stands in a
 * list would be taken for all of the text.
 */
export function firstStart(text: string, isLast: boolean): Start {
  if (text[0] === '{') {
    const start = objectStart(text, true)
    return start === 'prose' ? brokenObject(text, isLast) : start
  }
  const start = arrayStart(text, true, false)
  // What has come of it may be JSON.
  if (start === 'unknown' && isLast) return 'json'
  return start === 'prose' ? brokenArray(text, isLast) : start
}

/** Braces with a line end, a comment or a name and a colon behind them are no words of prose. */
function brokenObject(text: string, isLast: boolean): Start {
  if (/^\{\s*(?:\/[/*]|(?:[\p{L}\w$-]+|'[^'\n]*')\s*:)|^\{\s*\n/u.test(text)) return 'json'
  if (isLast || text.length > longestWait) return 'prose'
  return /^\{\s*(?:\/|[\p{L}\w$-]+\s*|'[^'\n]*'?\s*)?$/u.test(text) ? 'unknown' : 'prose'
}

/**
 * A note, link or box of the prose has no line end behind its bracket. Nor has it, before it is closed, an object or array
 * behind a comma, a comment or a line end.
 */
function brokenArray(text: string, isLast: boolean): Start {
  if (/^(?:\[\s*)+/.exec(text)?.[0].includes('\n')) return 'json'
  for (let at = 1; at < text.length && at <= longestWait; at++) {
    const character = text[at]
    if (character === ']') return 'prose'
    if (character !== '[' && character !== '{') continue
    const before = text.slice(0, at).trimEnd()
    const isLineStart = text.slice(before.length, at).includes('\n')
    if (!isLineStart && !/(?:,|\*\/)$/.test(before)) continue
    const start = startOf(text.slice(at), isLineStart, false, isLast)
    if (start === 'json') return 'json'
    if (start === 'unknown' && !isLast) return 'unknown'
  }
  return isLast || text.length > longestWait ? 'prose' : 'unknown'
}

/**
 * Whether a text that begins with a brace begins an object. In the middle of a line `{}` is a word of the prose.
 */
export function objectStart(text: string, isLineStart: boolean): Start {
  const next = /\S/.exec(text.slice(1))?.[0]
  if (next === undefined) return text.length > longestWait ? 'prose' : 'unknown'
  return next === '"' || (next === '}' && isLineStart) ? 'json' : 'prose'
}

/**
 * Whether a text that begins with a bracket begins an array. In prose there are notes `[1]`, links `[here](…)`, boxes
 * `[ ]` and asides `[or so]`. So an array in the middle of a line is one that begins with an object or a string; one at
 * the beginning of a line may begin with any value, but if it is empty, or holds one number or word alone, then
 * nothing else may stand on its line.
 */
export function arrayStart(text: string, isLineStart: boolean, isLast: boolean): Start {
  const inner = text.replace(/^(?:\[\s*)+/, '')
  const first = inner[0]
  if (first === undefined) return isLast || text.length > longestWait ? 'prose' : 'unknown'
  if (first === '{' || first === '"') return 'json'
  if (!isLineStart) return 'prose'
  if (first === ']') return aloneOnLine(inner, isLast)
  const scalar = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?=[\s,\]])/.exec(
    inner
  )?.[0]
  if (scalar === undefined) {
    if (isLast || inner.length > longestWait) return 'prose'
    const mayBecome = /^(?:-?\d*[\d.eE+-]*|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?|n(?:u(?:ll?)?)?)$/
    return mayBecome.test(inner) ? 'unknown' : 'prose'
  }
  const behind = inner.slice(scalar.length).trimStart()
  if (behind === '') return isLast || inner.length > longestWait ? 'json' : 'unknown'
  if (behind[0] === ',') return 'json'
  return behind[0] === ']' ? aloneOnLine(behind, isLast) : 'prose'
}

/** How many characters the brackets are that a text begins with, and the white space among them. */
export function brackets(text: string): number {
  return /^(?:[[{]\s*)*/.exec(text)?.[0].length ?? 0
}

function aloneOnLine(text: string, isLast: boolean): Start {
  const [, behind = '', end] = /^[\]\s]*?\]([^\S\n]*[^\s]?)(\n?)/.exec(text) ?? []
  if (behind.trim() !== '' && !/^[`~,\]]/.test(behind.trim())) return 'prose'
  return end || behind.trim() !== '' || isLast || text.length > longestWait ? 'json' : 'unknown'
}

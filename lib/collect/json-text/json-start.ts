/** What a bracket in the text begins: JSON or prose, or not to be told before more has come. */
export type Start = 'json' | 'prose' | 'unknown'

/** White space behind a bracket that is waited through, in characters. */
const longestWait = 1024

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
    const mayBecome = /^(?:-?\d*[\d.eE+-]*|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?|n(?:u(?:ll?)?)?)$/.test(
      inner
    )
    return mayBecome && !isLast && inner.length <= longestWait ? 'unknown' : 'prose'
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

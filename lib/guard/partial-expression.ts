/** What is to be known of a regular expression before it is matched against a text that is still coming. */
export interface PartialExpression {
  /**
   * The source of an expression that also matches where the text ends too early: each part of it may be missing
   * behind the end of the text. A match that ends before the end of the text is one of the expression itself,
   * whatever text follows. No match means none, whatever text follows.
   */
  source: string
  /** What a match can begin with, as the source of an expression for one character; undefined for anything. */
  first: string | undefined
  /** Whether it can match without taking a character. */
  canBeEmpty: boolean
  looksAhead: boolean
  looksBehind: boolean
}

/** The end of the text, whatever the flags. */
const end = '(?![\\s\\S])'
const rest = '[\\s\\S]*'

/** An escape that stands for one character. */
const escapes = /\\(?:u\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|[pP]\{[^}]*\}|\d{1,3}|.)/sy

/** A part of an expression. */
interface Part {
  source: string
  first: string | undefined
  canBeEmpty: boolean
}

const nothing: Part = { source: '', first: '', canBeEmpty: true }

/**
 * Reads the source of a regular expression that has been compiled, and is therefore well-formed.
 *
 * After the way that Lucas Trzesniewski has shown for PCRE's partial matches: an atom `x` becomes `(?:x|END)`. An
 * expression tries its alternatives in their order, so the first way to match that does not need the end is the
 * way that the expression itself would have taken. Where it cannot be told what lies behind the end, as for a
 * lookahead or a back reference, the rest of the text is taken, so that the match ends where the text does.
 */
export function partialOf({ source, flags }: RegExp): PartialExpression {
  const isUnicode = /[uv]/.test(flags)
  const groups = source.match(/\((?!\?(?!<[^=!]))/g)?.length ?? 0
  let place = 0
  let looksAhead = false
  let looksBehind = false
  let refersBack = false

  function alternatives(): Part {
    const found = [sequence()]
    while (source[place] === '|') {
      place++
      found.push(sequence())
    }
    return {
      source: found.map(part => part.source).join('|'),
      first: either(found.map(part => part.first)),
      canBeEmpty: found.some(part => part.canBeEmpty)
    }
  }

  function sequence(): Part {
    let whole = nothing
    while (place < source.length && source[place] !== '|' && source[place] !== ')') {
      const next = quantified(term())
      whole = {
        source: whole.source + next.source,
        first: whole.canBeEmpty ? either([whole.first, next.first]) : whole.first,
        canBeEmpty: whole.canBeEmpty && next.canBeEmpty
      }
    }
    return whole
  }

  function quantified(part: Part): Part {
    const quantifier = take(/(?:[*+?]|\{\d+(?:,\d*)?\})\??/y)
    if (quantifier === '') return part
    const isOptional = /^(?:[*?]|\{0)/.test(quantifier)
    return {
      source: `(?:${part.source})${quantifier}`,
      first: part.first,
      canBeEmpty: part.canBeEmpty || isOptional
    }
  }

  function term(): Part {
    switch (source[place]) {
      case '(':
        return group()
      case '^':
        place++
        return assertion('^')
      case '$':
        place++
        return assertion('$')
      case '[':
        return atom(characterClass())
      case '\\':
        return escaped()
      default:
        // A character beside the plane of the first 65,536 is one atom where the flags say so.
        return atom(take(isUnicode ? /./suy : /./sy))
    }
  }

  function group(): Part {
    const opening = take(/\((?:\?(?:<?[=!]|<[^>]*>|[\w-]*:))?/y)
    const start = place
    const inside = alternatives()
    const original = source.slice(start, place)
    place++
    switch (opening) {
      case '(?=':
        looksAhead = true
        return assertion(`(?=${original})`, `(?=(?:${inside.source})${end})${rest}`)
      case '(?!': {
        looksAhead = true
        const isOpen = `(?:${inside.source})${end}`
        return assertion(`(?!${isOpen})(?!${original})`, `(?=${isOpen})(?!${original})${rest}`)
      }
      case '(?<=':
      case '(?<!':
        looksBehind = true
        return assertion(`${opening}${original})`)
      default: {
        // Flags that hold for a group only may change what its first character can be.
        const first = /^\(\?[\w-]+:/.test(opening) ? undefined : inside.first
        return { ...inside, first, source: `${opening}${inside.source})` }
      }
    }
  }

  function escaped(): Part {
    if (take(/\\b/y)) return assertion('\\b')
    if (take(/\\B/y)) return assertion('\\B')
    const reference =
      groups > 0 ? take(/\\(?:[1-9]\d*|k<[^>]*>)/y) : take(isUnicode ? /\\k<[^>]*>/y : /(?!)/y)
    if (reference) {
      refersBack = true
      return { source: `(?:${reference}|${rest}${end})`, first: undefined, canBeEmpty: true }
    }
    // With the flags for it, an escaped surrogate pair is one atom too.
    const pair = isUnicode ? take(/\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}/y) : ''
    return atom(pair || take(escapes))
  }

  /** A class in brackets; with the flag `v` there may be others within it. */
  function characterClass(): string {
    const start = place
    let depth = 0
    do {
      const character = source[place]
      if (character === '\\') place++
      else if (character === '[' && (depth === 0 || flags.includes('v'))) depth++
      else if (character === ']') depth--
      place++
    } while (depth > 0)
    return source.slice(start, place)
  }

  function take(pattern: RegExp): string {
    pattern.lastIndex = place
    const found = pattern.exec(source)?.[0] ?? ''
    place += found.length
    return found
  }

  const whole = alternatives()
  return {
    // A lookahead stands in it more than once, so that what refers to groups by their number would miss them.
    source: refersBack && looksAhead ? rest : whole.source,
    first: whole.canBeEmpty ? undefined : whole.first,
    canBeEmpty: whole.canBeEmpty,
    looksAhead,
    looksBehind
  }
}

function atom(source: string): Part {
  return { source: `(?:${source}|${end})`, first: source, canBeEmpty: false }
}

/** What takes no character is possible, too, behind the end of the text, of which nothing is known yet. */
function assertion(source: string, ...others: string[]): Part {
  return { source: `(?:${[source, ...others, end].join('|')})`, first: '', canBeEmpty: true }
}

/** One of several; undefined when one of them may be anything. */
function either(sources: readonly (string | undefined)[]): string | undefined {
  if (sources.includes(undefined)) return undefined
  return [...new Set(sources.filter(source => source !== ''))].join('|')
}

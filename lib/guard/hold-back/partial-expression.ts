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
  /** Whether it has a class that may match several characters as one, as the flag `v` allows. */
  takesStrings: boolean
}

/** The end of the text, whatever the flags. */
const end = '(?![\\s\\S])'
const rest = '[\\s\\S]*'
/** The rest of a text of which the expression cannot be told any sooner. */
const open = `${rest}${end}`

/** An escape that stands for one character, with the flag `u` or `v`, and in old syntax, which knows no braces. */
const unicodeEscapes = /\\(?:[uPp]\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|.)/suy
const escapes = /\\(?:u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|[0-3][0-7]{0,2}|[4-7][0-7]?|.)/sy

/** A part of an expression. */
interface Part {
  source: string
  /** What matches only where the part itself does, whatever text follows. */
  sure: string
  /** What matches wherever the part itself may, with some text that follows. */
  possible: string
  first: string | undefined
  canBeEmpty: boolean
}

const nothing: Part = { source: '', sure: '', possible: '', first: '', canBeEmpty: true }

/**
 * Reads the source of a regular expression that has been compiled, and is therefore well-formed.
 *
 * After the way that Lucas Trzesniewski has shown for PCRE's partial matches: an atom `x` becomes `(?:x|END)`. An
 * expression tries its alternatives in their order, so the first way to match that does not need the end is the
 * way that the expression itself would have taken. Where it cannot be told what lies behind the end, as for a
 * lookahead or a back reference, the rest of the text is taken, so that the match ends where the text does.
 *
 * A lookahead does not tell whether it has come to the end of the text, and edges (`\b`, `$`) and other lookaheads in it
 * may look there, too. So it stands for three: it holds where what is in it surely matches, it is open where that only
 * may match, and it does not hold where that cannot. For a negative one, it is the other way round.
 */
export function partialOf({ source, flags }: RegExp): PartialExpression {
  const isUnicode = /[uv]/.test(flags)
  const groups = source.match(/\((?!\?(?!<[^=!]))/g)?.length ?? 0
  let place = 0
  let looksBehind = false
  let refersBack = false
  let takesStrings = false
  /** How many there were so far, which tells whether a part has any. */
  let groupsSoFar = 0
  let lookaheadsSoFar = 0
  /** Whether what a group matches is known only once all is there that the expression looks at. */
  let hasOpenGroups = false

  function alternatives(): Part {
    const found = [sequence()]
    while (source[place] === '|') {
      place++
      found.push(sequence())
    }
    return {
      source: found.map(part => part.source).join('|'),
      sure: found.map(part => part.sure).join('|'),
      possible: found.map(part => part.possible).join('|'),
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
        sure: whole.sure + next.sure,
        possible: whole.possible + next.possible,
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
      sure: `(?:${part.sure})${quantifier}`,
      possible: `(?:${part.possible})${quantifier}`,
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
        return edge('^', '^')
      case '$':
        place++
        return edge('$')
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
    if (/[=!]$/.test(opening)) return lookaround(opening)
    const hasFlags = opening.endsWith(':')
    if (!hasFlags) groupsSoFar++
    const inside = alternatives()
    place++
    const plain = hasFlags ? opening : '(?:'
    return {
      source: `${opening}${inside.source})`,
      sure: `${plain}${inside.sure})`,
      possible: `${plain}${inside.possible})`,
      // Flags that hold for a group only may change what its first character can be.
      first: hasFlags && opening !== '(?:' ? undefined : inside.first,
      canBeEmpty: inside.canBeEmpty
    }
  }

  function lookaround(opening: string): Part {
    const start = place
    const groupsBefore = groupsSoFar
    const lookaheadsBefore = lookaheadsSoFar
    const inside = alternatives()
    const original = source.slice(start, place)
    place++
    const isBehind = opening.startsWith('(?<')
    const isNegative = opening.endsWith('!')
    const hasLookaheads = lookaheadsSoFar > lookaheadsBefore
    // The groups of a negative one never match.
    const hasGroups = !isNegative && groupsSoFar > groupsBefore
    if (isBehind) looksBehind = true
    else lookaheadsSoFar++
    if (hasGroups && hasLookaheads) hasOpenGroups = true

    const sure = `${opening}${isNegative ? inside.possible : inside.sure})`
    const maybe = `${opening}${isNegative ? inside.sure : inside.possible})`
    // What its groups match may change also where it surely holds.
    const reachesEnd = `(?=(?:${inside.possible})${end})`
    let whole = `(?:${sure}|(?!${sure})${maybe}${open}|${end})`
    // Before the end of the text, a lookbehind without a lookahead sees all that it looks at.
    if (isBehind && !hasLookaheads) whole = `(?:${opening}${original})|${end})`
    else if (hasGroups) whole = `(?:(?!${reachesEnd})${sure}|${reachesEnd}${open}|${end})`
    return { source: whole, sure, possible: `(?:${maybe}|${end})`, first: '', canBeEmpty: true }
  }

  function escaped(): Part {
    const boundary = take(/\\[bB]/y)
    if (boundary) return edge(boundary)
    const reference =
      groups > 0 ? take(/\\(?:[1-9]\d*|k<[^>]*>)/y) : take(isUnicode ? /\\k<[^>]*>/y : /(?!)/y)
    if (reference) {
      refersBack = true
      const either = `(?:${reference}|${open})`
      return { source: either, sure: reference, possible: either, first: undefined, canBeEmpty: true }
    }
    // In old syntax, a backslash before a `c` that names no control character is one itself.
    if (!isUnicode && take(/\\(?=c(?![A-Za-z]))/y)) return atom('\\\\')
    // With the flags for it, an escaped surrogate pair is one atom too.
    const pair = isUnicode ? take(/\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}/y) : ''
    return atom(pair || escapeSequence())
  }

  function escapeSequence(): string {
    const found = take(isUnicode ? unicodeEscapes : escapes)
    // A property of strings is known with the flag `v` only.
    if (flags.includes('v') && /^\\p/.test(found) && !compiled(found, 'u')) takesStrings = true
    return found
  }

  /** A class in brackets; with the flag `v` there may be others within it. */
  function characterClass(): string {
    const start = place
    let depth = 0
    do {
      const character = source[place]
      if (character === '\\') {
        if (flags.includes('v') && source[place + 1] === 'q') takesStrings = true
        escapeSequence()
        continue
      }
      if (character === '[' && (depth === 0 || flags.includes('v'))) depth++
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
  const looksAhead = lookaheadsSoFar > 0
  return {
    // A lookahead stands in it more than once, so that what refers to groups by their number would miss them.
    source: hasOpenGroups || (refersBack && looksAhead) ? rest : whole.source,
    first: whole.canBeEmpty ? undefined : whole.first,
    canBeEmpty: whole.canBeEmpty,
    looksAhead,
    looksBehind,
    takesStrings
  }
}

function atom(source: string): Part {
  const possible = `(?:${source}|${end})`
  return { source: possible, sure: source, possible, first: source, canBeEmpty: false }
}

/**
 * What takes no character is possible, too, behind the end of the text, of which nothing is known yet. At the end it
 * depends on the next character; only `^` does not.
 */
function edge(source: string, sure = `${source}(?=[\\s\\S])`): Part {
  const possible = `(?:${source}|${end})`
  return { source: possible, sure, possible, first: '', canBeEmpty: true }
}

/** One of several; undefined when one of them may be anything. */
function either(sources: readonly (string | undefined)[]): string | undefined {
  if (sources.includes(undefined)) return undefined
  return [...new Set(sources.filter(source => source !== ''))].join('|')
}

/** Undefined for what is no expression by itself: in old syntax there are sources that mean more than they should. */
export function compiled(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags)
  } catch {
    return undefined
  }
}

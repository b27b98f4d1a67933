import { checkText } from '../chunk/failure/foreign.js'
import { CompletionError } from '../errors.js'
import { checkFunction, invalid, show } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { HoldBack, type Stretch } from './hold-back/hold-back.js'
import { partialOf } from './hold-back/partial-expression.js'
import { Pattern } from './hold-back/pattern.js'

/** What is not to be shown, and what is shown in its place. */
export interface RedactionRule {
  /** A text, or a regular expression. */
  match: string | RegExp
  /**
   * The longest match that a regular expression has, in characters (UTF-16 code units): as many may be held back, and
   * with a lookahead twice as many. Of a longer one, the first `longest` characters are taken as if the text ended there.
   * Default for a text: its length.
   */
  longest?: number
  /**
   * What is shown: a text, in which nothing has a special meaning, or a function of what was found and of what the groups
   * of the expression matched.
   */
  replacement: string | ((found: string, groups: readonly (string | undefined)[]) => string)
  /** How many characters of what the expression found are a match; 0 for none, so that a check digit may be asked. Default: all. */
  measure?: (found: string) => number
}

/** The stage that `redact` returns. */
export interface RedactStage extends Stage<string, string> {
  /** How many characters are held back at the moment, since they may become part of a match. */
  readonly held: number
  /** How many matches were replaced so far. */
  readonly redacted: number
}

/**
 * Reads text and emits it with what the rules match replaced, wherever the text is cut. What may still become part of a
 * match is held, everything before that goes on at once. Ready-made rules: `emailAddresses`, `cardNumbers`, `ibans`,
 * `accessKeys`.
 *
 * The leftmost match counts; of several at one place that of the first rule; the next is looked for behind it, and not
 * in what was put in its place. Of the flags, `g`, `y` and `d` have no bearing, the others hold. `^` and `$` are the
 * beginning and the end of the whole text, `\b` sees the characters at both edges, a lookahead sees `longest` characters
 * behind the match, a lookbehind as many before it, in the text as it was before any replacement. An expression that can
 * match without taking a character throws `CS_ERR_INVALID_OPTION`, and so does one with the flag `v` in which a class can
 * match several characters as one: `\q{…}`, or a property of strings such as `\p{RGI_Emoji}`. Write alternatives instead:
 * `(?:…|…)`.
 *
 * It emits at most one string for each that it reads, never half of a surrogate pair. When the stream before it fails, what is
 * held then is not shown, since it may be the beginning of a match. Fails with what a function of a rule
 * throws, and with `CS_ERR_INVALID_CHUNK` when what it is given is no text.
 *
 * @example
 * const safe = redact([{ match: /\bproject-\w{1,20}/i, longest: 28, replacement: '[project]' }, emailAddresses])
 * await pipeline(request, toChunks(), toText(), safe, createWriteStream('answer.txt'))
 */
export function redact(rules: readonly RedactionRule[]): RedactStage {
  if (!Array.isArray(rules) || rules.length === 0)
    throw invalid('rules', rules, 'a list of one or more rules: { match, longest, replacement }')
  const settledRules = rules.map(settledRule)
  const holdBack = new HoldBack(settledRules.map(({ pattern }) => pattern))

  function shown({ text, rule, groups }: Stretch): string {
    const replacement = rule === undefined ? text : settledRules[rule]?.replacement
    if (rule === undefined || replacement === undefined) return text
    counted.redacted++
    if (typeof replacement === 'string') return replacement
    const result: unknown = replacement(text, groups)
    if (typeof result === 'string') return result
    throw new CompletionError(
      'CS_ERR_INVALID_OPTION',
      `the replacement of rule ${rule} returned ${show(result)}: let it return a text`
    )
  }

  function emit(stretches: readonly Stretch[], push: (text: string) => void): void {
    let text = ''
    try {
      for (const stretch of stretches) text += shown(stretch)
    } finally {
      // What was decided before a replacement threw is still the answer's.
      if (text !== '') push(text)
      counted.held = holdBack.held
    }
  }

  const redaction = stage<string, string>({
    name: 'redact',
    transform(text, push) {
      checkText('redact', text)
      emit(holdBack.add(text), push)
    },
    flush: push => emit(holdBack.end(), push)
  })
  const counted = Object.assign(redaction, { held: 0, redacted: 0 })
  return counted
}

interface SettledRule {
  pattern: Pattern
  replacement: NonNullable<RedactionRule['replacement']>
}

const ruleNames: ReadonlySet<string> = new Set(['match', 'longest', 'replacement', 'measure'])

function settledRule(rule: RedactionRule, place: number): SettledRule {
  const name = `rule ${place}`
  if (typeof rule !== 'object' || rule === null)
    throw invalid(name, rule, 'a rule: { match, longest, replacement }')
  for (const key of Object.keys(rule)) {
    if (!ruleNames.has(key))
      throw invalid(`a key of ${name}`, key, 'one of match, longest, replacement, measure')
  }
  const { match, longest, replacement, measure } = rule
  if (typeof replacement !== 'string' && typeof replacement !== 'function')
    throw invalid(`replacement of ${name}`, replacement, 'a text or a function')
  if (measure !== undefined) checkFunction(`measure of ${name}`, measure)
  return { pattern: patternOf(name, match, longest, measure), replacement }
}

function patternOf(
  name: string,
  match: string | RegExp,
  longest: number | undefined,
  measure: ((found: string) => number) | undefined
): Pattern {
  if (typeof match === 'string') {
    if (match === '') throw invalid(`match of ${name}`, match, 'a text that is not empty')
    if (longest !== undefined && longest !== match.length)
      throw invalid(`longest of ${name}`, longest, 'the length of the text, or nothing')
    return new Pattern({ match, longest: match.length, measure })
  }
  if (Object.prototype.toString.call(match) !== '[object RegExp]')
    throw invalid(`match of ${name}`, match, 'a text or a regular expression')
  if (!(Number.isSafeInteger(longest) && Number(longest) > 0))
    throw invalid(
      `longest of ${name}`,
      longest,
      'how many characters its longest match has, a whole number over zero'
    )
  const { canBeEmpty, takesStrings } = partialOf(match)
  if (canBeEmpty) throw invalid(`match of ${name}`, match, 'an expression that takes at least one character')
  if (takesStrings)
    throw invalid(
      `match of ${name}`,
      match,
      'an expression without \\q{…} and properties of strings, such as RGI_Emoji: write alternatives, (?:…|…)'
    )
  return new Pattern({ match, longest: Number(longest), measure })
}

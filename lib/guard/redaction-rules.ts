import { accessKey, maskedKey } from '../failure/access-keys.js'
import type { RedactionRule } from './redaction.js'

// Expressions with the letters of all languages take milliseconds to make: they are made when they are asked for, since
// most programs that import the library never do.
//
// A number is no part of a word of which the letters have no case: Chinese, Japanese, Korean, Thai, Arabic and others put
// no space before it. U+2010 to U+2012 are hyphens, U+2013 to U+2015 and U+2212 dashes that are written for them.

/**
 * E-mail addresses, international ones too, with a domain that has a dot and ends with a name: shown as
 * `[e-mail address]`. What Markdown, tables and query strings put before one is none of it, nor is a package with its
 * version, `lodash@4.17.21`.
 *
 * @example
 * redact([emailAddresses, cardNumbers, ibans, accessKeys])
 */
export const emailAddresses: RedactionRule = {
  // The lengths are those of RFC 5321, 4.5.3.1. Many scripts write vowels, and decomposed text its accents, as marks; some
  // have joiners within a word (RFC 5892, A.1 and A.2). RFC 5322 allows `*/=?^`{|}` before the @ as well, where texts have
  // them as marks around an address far more often.
  get match() {
    return /[\p{L}\p{N}][\p{L}\p{M}\p{N}\p{Join_C}_.!#$%&'+~-]{0,63}@(?:[\p{L}\p{M}\p{N}\p{Join_C}-]{1,63}\.){1,8}\p{L}[\p{L}\p{M}\p{N}\p{Join_C}-]{1,62}/u
  },
  longest: 320,
  replacement: '[e-mail address]'
}

/**
 * Numbers of payment cards: 13 to 19 digits that begin and are as long as those of an issuer, and whose check digit is
 * right (Luhn, ISO/IEC 7812-1): shown as `[card number]`. They stand together, digit by digit, or in the groups of a card,
 * with spaces, hyphens, dots or what is not seen between them; full-width, Arabic, Devanagari, Bengali and Thai digits
 * count too. One that goes on from a longer number, or from a word in Latin, Cyrillic or Greek letters, is none; other
 * scripts put no space before it.
 */
export const cardNumbers: RedactionRule = {
  get match() {
    return /(?<![\p{Lu}\p{Ll}\p{Lt}\p{Nd}])[0-9٠-٩۰-۹०-९০-৯๐-๙０-９](?:[\p{Zs}\u00ad\u200b-\u200d\u2060\ufeff._\u2010-\u2015\u2212-]{0,3}[0-9٠-٩۰-۹०-९০-৯๐-๙０-９]){12,18}(?!\p{Nd})/u
  },
  // Nineteen digits, with three marks between each two.
  longest: 73,
  measure: found => longestPart(found, part => cardShape.test(shapeOf(part)) && isCard(digitsOf(part))),
  replacement: '[card number]'
}

/**
 * International bank account numbers, in groups of any length or in none, whose country is known and whose check digits
 * are right (ISO 13616, mod 97): shown as `[IBAN]`.
 */
export const ibans: RedactionRule = {
  get match() {
    return /(?<![\p{Lu}\p{Ll}\p{Lt}\p{Nd}])[A-Za-z]{2}\d{2}(?:[\p{Zs}\u2010-\u2012-]?[A-Za-z\d]){11,30}/u
  },
  longest: 64,
  measure: found => longestPart(found, part => isIban(part.replace(/[^A-Za-z\d]/g, ''))),
  replacement: '[IBAN]'
}

/**
 * Keys and tokens of the common kinds: those that begin with `sk-` (OpenAI, Anthropic and others), `gsk_` (Groq), `xai-`,
 * `sk_live_` (Stripe), `AKIA` and `ASIA` (AWS), `ghp_` and its like, `github_pat_`, `glpat-`, `npm_`, `hf_`, `AIza`
 * (Google), `xoxb-` and its like (Slack), JSON web tokens, what follows `Bearer`, and private keys in PEM: shown as `[key]`.
 */
export const accessKeys: RedactionRule = {
  match: accessKey,
  longest: 8192,
  replacement: maskedKey
}

/** The length of the longest part from the beginning on that is one, and does not end within a group. */
function longestPart(found: string, isOne: (part: string) => boolean): number {
  for (let end = found.length; end > 0; end--) {
    const isCut = /[\p{L}\p{Nd}]/u.test(found[end - 1] ?? '') && /[\p{L}\p{Nd}]/u.test(found[end] ?? '')
    if (isCut || !/[\p{L}\p{Nd}]/u.test(found[end - 1] ?? '')) continue
    if (isOne(found.slice(0, end))) return end
  }
  return 0
}

/** How many digits stand together: all, one by one, or in the groups that are printed on cards. */
const cardShape = /^(?:1[3-9]|1(?: 1){12,18}|4 4 4 [1-7]|4 4 4 4 [1-3]|4 6 [45]|6 13)$/

function shapeOf(number: string): string {
  return number
    .split(/\P{Nd}+/u)
    .map(group => group.length)
    .join(' ')
}

/** The noughts of the scripts whose digits are read, each of which nine more digits follow. */
const noughts = [...'0٠۰०০๐０'].map(nought => nought.charCodeAt(0))

function digitsOf(number: string): string {
  return number.replace(/\P{Nd}+/gu, '').replace(/\P{ASCII}/gu, digit => {
    const code = digit.charCodeAt(0)
    return String(noughts.map(nought => code - nought).find(value => value >= 0 && value <= 9))
  })
}

/** What the numbers of the issuers begin with, and how many digits they have. */
const issuers = new RegExp(
  [
    '4(?:\\d{12}|\\d{15}|\\d{18})', // Visa
    '(?:5[1-5]\\d\\d|222[1-9]|22[3-9]\\d|2[3-6]\\d\\d|27[01]\\d|2720)\\d{12}', // Mastercard
    '220\\d{13,16}', // Mir
    '3[47]\\d{13}', // American Express
    '3(?:0[0-59]|[689]\\d)\\d{11,16}', // Diners Club
    '35\\d{14,17}', // JCB
    '(?:5[06-8]|6\\d)\\d{11,17}', // Maestro, Discover, UnionPay, RuPay, Elo, Verve and others
    '8[12]\\d{14,17}', // UnionPay, RuPay
    '9792\\d{12}' // Troy
  ]
    .map(numbers => `^${numbers}$`)
    .join('|')
)

function isCard(digits: string): boolean {
  return issuers.test(digits) && isLuhn(digits)
}

/** Whether the check digit of a number is right. */
function isLuhn(digits: string): boolean {
  let sum = 0
  for (let place = 0; place < digits.length; place++) {
    const digit = Number(digits[digits.length - 1 - place])
    const counted = place % 2 === 1 ? digit * 2 : digit
    sum += counted > 9 ? counted - 9 : counted
  }
  return sum % 10 === 0
}

/** The countries of the IBAN registry (release 99) and how many characters their account numbers have. */
const ibanLengths: ReadonlyMap<string, number> = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ' +
    'ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 ' +
    'LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 ' +
    'PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map(entry => [entry.slice(0, 2), Number(entry.slice(2))])
)

function isIban(characters: string): boolean {
  const number = characters.toUpperCase()
  if (number.length !== ibanLengths.get(number.slice(0, 2))) return false
  let rest = 0
  for (const character of number.slice(4) + number.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}

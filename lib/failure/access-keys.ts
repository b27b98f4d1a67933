/**
 * Keys and tokens of the common kinds, by how they begin. The underscores of Markdown belong to the word that they stand
 * before, and so to its key. A private key is found without its end too, since an answer may be cut within it.
 */
export const accessKey: RegExp = new RegExp(
  `(?:\\b|_{1,2})(?:${[
    'sk-(?:(?=[\\w-]{0,400}\\d)[\\w-]{16,400}|(?:\\w{2,8}-){0,2}[A-Za-z]{32}[\\w-]{0,368})',
    '[rs]k_(?:live|test)_\\w{16,240}',
    '(?:gsk|fw|r8)_[A-Za-z\\d]{20,240}',
    '(?:xai|pplx|csk)-[A-Za-z\\d]{20,240}',
    'nvapi-[\\w-]{40,240}',
    '(?:AKIA|ASIA)[A-Z\\d]{16}(?![A-Za-z\\d])',
    'gh[oprsu]_\\w{20,255}',
    'github_pat_\\w{20,255}',
    'glpat-[\\w-]{16,64}',
    'npm_[A-Za-z\\d]{30,64}',
    'hf_[A-Za-z\\d]{30,64}',
    'AIza[\\w-]{35}',
    'xox[abeoprs]-[\\w-]{10,250}',
    'eyJ[\\w-]{8,2000}\\.[\\w-]{4,4000}\\.[\\w-]{4,2000}',
    '[Bb]earer[ ][\\w.~+/-]{16,4000}={0,2}'
  ].join('|')})` +
    '|-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?=[\\s\\S]{0,300}?[A-Za-z\\d+/]{40})(?:(?!-----)[\\s\\S]){1,7000}' +
    '(?:-----END [A-Z ]{1,50}-----)?'
)

/** What is shown in the place of a key. */
export const maskedKey = '[key]'

const everyKey = new RegExp(accessKey.source, 'g')

/** A key of whatever kind, where a provider quotes it: "Incorrect API key provided: …". */
const quotedKey =
  /(\bapi[ _-]?key(?: provided)?["']?\s{0,3}[:=]\s{0,3}["'`]?)(?=[\w*.~+/-]{0,400}[\d*])[\w*.~+/-]{7,400}[\w*]/gi

/** A text from outside without the keys in it. */
export function withoutKeys(text: string): string {
  return text.replace(everyKey, maskedKey).replace(quotedKey, `$1${maskedKey}`)
}

/** What a provider sent, without the keys in its texts: the very same where there are none. */
export function withoutKeysIn(payload: unknown): unknown {
  if (typeof payload === 'string') return withoutKeys(payload)
  try {
    const json = JSON.stringify(payload)
    if (json === undefined || withoutKeys(json) === json) return payload
    return JSON.parse(json, (_name, value) => (typeof value === 'string' ? withoutKeys(value) : value))
  } catch {
    // JSON can be nested deeper than a stack goes.
    return payload
  }
}

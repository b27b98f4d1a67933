/**
 * Keys and tokens of the common kinds, by how they begin. A private key is found without its end too, since an answer may be
 * cut within it.
 */
export const accessKey: RegExp = new RegExp(
  [
    '\\bsk-(?=[\\w-]{0,400}\\d)[\\w-]{16,400}',
    '\\b[rs]k_(?:live|test)_\\w{16,240}',
    '\\b(?:gsk|fw|r8)_[A-Za-z\\d]{20,240}',
    '\\b(?:xai|pplx|csk)-[A-Za-z\\d]{20,240}',
    '\\bnvapi-[\\w-]{40,240}',
    '\\b(?:AKIA|ASIA)[A-Z\\d]{16}\\b',
    '\\bgh[oprsu]_\\w{20,255}',
    '\\bgithub_pat_\\w{20,255}',
    '\\bglpat-[\\w-]{16,64}',
    '\\bnpm_[A-Za-z\\d]{30,64}',
    '\\bhf_[A-Za-z\\d]{30,64}',
    '\\bAIza[\\w-]{35}',
    '\\bxox[abeoprs]-[\\w-]{10,250}',
    '\\beyJ[\\w-]{8,2000}\\.[\\w-]{4,4000}\\.[\\w-]{4,2000}',
    '\\b[Bb]earer[ ][\\w.~+/-]{16,4000}={0,2}',
    '-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?=[\\s\\S]{0,300}?[A-Za-z\\d+/]{40})(?:(?!-----)[\\s\\S]){1,7000}' +
      '(?:-----END [A-Z ]{1,50}-----)?'
  ].join('|')
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

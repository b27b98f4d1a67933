import { expect } from 'chai'
import { withoutKeys, withoutKeysIn } from '#lib/failure/access-keys.js'

const key = `sk-proj-${'a1B2'.repeat(6)}`

describe('withoutKeys', () => {
  const cases: [given: string, shown: string][] = [
    [`Incorrect API key provided: ${key}. See there.`, 'Incorrect API key provided: [key]. See there.'],
    [
      'Incorrect API key provided: sk-ab******yz12. See there.',
      'Incorrect API key provided: [key]. See there.'
    ],
    ['Invalid API Key: 0123456789abcdef', 'Invalid API Key: [key]'],
    ['api_key="abcd1234efgh"', 'api_key="[key]"'],
    ['{"api_key": "abcd1234efgh"}', '{"api_key": "[key]"}'],
    ...['gsk_', 'fw_', 'r8_', 'xai-', 'pplx-', 'csk-', 'nvapi-'].map((prefix): [string, string] => [
      `No access with ${prefix}${'a1B2'.repeat(12)}.`,
      'No access with [key].'
    ]),
    [`${key} and ${key}`, '[key] and [key]'],
    ['Invalid API key: authentication failed', 'Invalid API key: authentication failed'],
    ['Missing API key: give one', 'Missing API key: give one']
  ]
  for (const [given, shown] of cases) {
    it(`makes "${shown}"`, () => {
      expect(withoutKeys(given)).to.equal(shown)
    })
  }
})

describe('withoutKeysIn', () => {
  it('gives the very payload where it holds no key', () => {
    const payload = { error: { message: 'No.' } }
    expect(withoutKeysIn(payload)).to.equal(payload)
    expect(withoutKeysIn(undefined)).to.equal(undefined)
  })

  it('masks keys at any depth', () => {
    expect(withoutKeysIn({ errors: [{ message: `no: ${key}`, code: 1 }] })).to.deep.equal({
      errors: [{ message: 'no: [key]', code: 1 }]
    })
  })

  it('gives a payload that is nested deeper than a stack goes', () => {
    const payload = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
    expect(withoutKeysIn(payload)).to.equal(payload)
  })
})

import { expect } from 'chai'
import * as library from 'completion-streams'
import { readBody, recordings } from './bodies.js'
import { Choice, cases, randomPieces } from './choice.js'

const codes = [undefined, 'CS_ERR_TRUNCATED', 'CS_ERR_PROVIDER', 'CS_ERR_INVALID_CHUNK']

/** Damages a body in one to three places. */
function damaged(choice: Choice, body: Buffer, other: Buffer): Buffer {
  let bytes = Buffer.from(body)
  for (let turn = 0; turn <= choice.below(3); turn++) {
    const at = choice.below(bytes.length + 1)
    const length = choice.below(choice.percent(50) ? 4 : 400)
    const from = choice.below(other.length)
    bytes = choice.of([
      () => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]),
      () => Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at)]),
      () =>
        Buffer.concat([
          bytes.subarray(0, at),
          bytes.subarray(Math.max(at - length, 0), at),
          bytes.subarray(at)
        ]),
      () => bytes.fill(choice.below(256), at, Math.min(at + 3, bytes.length)),
      () =>
        bytes.fill(choice.of(['\n', '\r', '{', '}', '"', ':', ' ', '\0']), at, Math.min(at + 1, bytes.length))
    ])()
  }
  return bytes
}

describe('damaged recordings', () => {
  it('end in a known way, the same for all cuts, and as text', async () => {
    const bodies = [...(await recordings()).values()]
    const choice = new Choice('mutations')
    const count = cases(100_000, 1200)
    for (let n = 0; n < count; n++) {
      const bytes = damaged(choice, choice.of(bodies), choice.of(bodies))
      const whole = await readBody(library, [bytes])
      const place = `${n}: ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`
      expect(codes, place).to.include(whole.code)
      expect(await readBody(library, randomPieces(choice, bytes, 300)), place).to.deep.equal(whole)
      // As text, from which a byte order mark has not been taken off.
      if (n % 4 > 0) continue
      const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
      expect(await readBody(library, randomPieces(choice, text, 300)), place).to.deep.equal(whole)
    }
    console.log(`      ${count} bodies`)
  })
})

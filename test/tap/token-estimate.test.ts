import { Readable } from 'node:stream'
import { expect } from 'chai'
import { type Summary, tapSummary, toChunks } from 'completion-streams'
import { script } from 'completion-streams/testing'
import fc from 'fast-check'
import { TokenEstimate } from '#lib/tap/token-estimate.js'
import { all, ask, delta, run, serve } from '../answers.js'

const chunkOf = (delta: object) => ({ choices: [{ index: 0, delta }] })

const words = (text: string) => text.split(/(?<=\S)(?= )/).length

describe('TokenEstimate', () => {
  it('gives the tokenizer all of the text, in pieces of at most 512 characters that part no pair', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 400 })), texts => {
        const pieces: string[] = []
        const estimate = new TokenEstimate(text => pieces.push(text))
        for (const content of texts) estimate.add(chunkOf({ content }))
        estimate.end()
        expect(pieces.join('')).to.equal(texts.join(''))
        for (const piece of pieces) {
          expect(piece.length).to.be.at.most(512)
          expect(piece.isWellFormed?.() ?? true).to.equal(true)
        }
      })
    )
  })

  it('cuts before a space, so that the count is that of the whole', () => {
    const text = Array.from({ length: 2000 }, (_, index) => `word${index}`).join(' ')
    const estimate = new TokenEstimate(words)
    for (let at = 0; at < text.length; at += 7) estimate.add(chunkOf({ content: text.slice(at, at + 7) }))
    expect(estimate.end()).to.equal(2000)
  })

  it('cuts what has no space anywhere, and no pair', () => {
    for (const text of ['a'.repeat(2000), `a${'😀'.repeat(1000)}`]) {
      const pieces: string[] = []
      const estimate = new TokenEstimate(piece => pieces.push(piece))
      estimate.add(chunkOf({ content: text }))
      estimate.end()
      expect(pieces.join('')).to.equal(text)
      for (const piece of pieces) expect(Buffer.from(piece).toString()).to.equal(piece)
    }
  })

  it('counts reasoning, refusals and arguments, and what is repeated once', () => {
    const pieces: string[] = []
    const estimate = new TokenEstimate(text => pieces.push(text))
    estimate.add(chunkOf({ reasoning_content: 'a' }))
    estimate.add(chunkOf({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }] }))
    estimate.add({ type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'b' })
    estimate.add({ type: 'response.output_text.done', output_index: 0, content_index: 0, text: 'bc' })
    estimate.end()
    expect(pieces.join('')).to.equal('a{}bc')
  })
})

describe('tapSummary with estimate and cost', () => {
  /** The summary of an answer, with or without usage. */
  async function summaryOf(usage: null | undefined, cutAfter?: number): Promise<Summary | undefined> {
    await using server = await serve({
      script: script('one two three', { usage }),
      faults: cutAfter === undefined ? {} : { cutAfter: { events: cutAfter } }
    })
    let summary: Summary | undefined
    const keep = (result: Summary) => {
      summary = result
    }
    const cost = ({ input = 0, output = 0 }, model?: string) =>
      model === 'm' ? input + 10 * output : Number.NaN
    await run(ask(server), toChunks(), tapSummary(keep, { estimate: words, cost }))
    return summary
  }

  it('estimates the tokens of a stream that ends without usage', async () => {
    const summary = await summaryOf(null)
    expect(summary).to.deep.include({ usageStatus: 'estimated', tokens: { output: 3 }, cost: 30 })
    expect(summary).to.not.have.property('usage')
  })

  it('estimates what had come of a stream that was cut', async () => {
    expect(await summaryOf(undefined, 3)).to.deep.include({
      usageStatus: 'estimated',
      tokens: { output: 2 },
      cost: 20
    })
  })

  it('prefers what the provider reports', async () => {
    expect(await summaryOf(undefined)).to.deep.include({
      usageStatus: 'reported',
      tokens: { input: 2, output: 3, total: 5 },
      cost: 32
    })
  })

  it('fails with what they throw', async () => {
    for (const name of ['estimate', 'cost']) {
      await using server = await serve({ script: script('one', name === 'estimate' ? { usage: null } : {}) })
      const failing = () => {
        throw new Error('no such model')
      }
      const { error } = await run(
        ask(server),
        toChunks(),
        tapSummary(() => {}, { [name]: failing })
      )
      expect(error, name).to.have.property('message', 'no such model')
    }
  })

  it('says nothing of cost without tokens, and throws CS_ERR_INVALID_OPTION for what is no function', async () => {
    let summary: Summary | undefined
    const chunks = [delta({ content: 'a' })]
    const tap = tapSummary(
      result => {
        summary = result
      },
      { cost: () => 1 }
    )
    await all(Readable.from(chunks), toChunks({ requireEnd: false }), tap)
    expect(summary).to.include({ usageStatus: 'missing' }).and.not.have.any.keys('cost', 'tokens')
    // @ts-expect-error: not a function
    expect(() => tapSummary(() => {}, { estimate: 4 }))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
    // @ts-expect-error: not a function
    expect(() => tapSummary(() => {}, { cost: 4 }))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

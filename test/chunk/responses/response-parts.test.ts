import { expect } from 'chai'
import { ItemParts, Part, partsIn, textOfPart } from '#lib/chunk/responses/response-parts.js'

/** The parts of an item, of whose content so many deltas have come, each as its place and its text. */
function partsOf(...deltas: readonly (readonly [index: number, delta: string])[]): ItemParts {
  const parts = new ItemParts((list, index, isCut) => new Part(list, index, isCut))
  for (const [index, delta] of deltas) parts.part('content', index, false).add(delta)
  return parts
}

/** What an event that says a part whole brings beyond what came. */
function said(parts: ItemParts, index: number, text: string, type = 'text.done'): string {
  return parts.partSaid(type, 'content', index, false, text).addRest(text)
}

/** What the whole texts of an item bring beyond what came. */
function settled(parts: ItemParts, ...texts: readonly string[]): string {
  return parts.settle(
    'content',
    texts.map((text, index) => ({ index, text })),
    false
  ).rest
}

describe('ItemParts', () => {
  it('takes pieces at places of their own for one text, where it is said whole (vLLM)', () => {
    const parts = partsOf([1, 'Hel'], [2, 'lo'])
    expect(said(parts, 3, 'Hello!')).to.equal('!')
    expect(said(parts, 4, 'Hello!', 'part.done')).to.equal('')
    expect(parts.all).to.have.lengthOf(1)
    expect(settled(parts, 'Hello!')).to.equal('')
  })

  it('takes the text at the place of its last piece for all pieces', () => {
    expect(said(partsOf([1, 'Hel'], [2, 'lo']), 2, 'Hello')).to.equal('')
  })

  it('takes one piece for a text that is said at another place', () => {
    expect(said(partsOf([1, 'Hel']), 2, 'Hello')).to.equal('lo')
  })

  it('keeps parts apart that each are said whole, also where they are alike', () => {
    const parts = partsOf([0, 'Ha'], [1, 'Ha'])
    for (const index of [0, 1]) expect(said(parts, index, 'Ha')).to.equal('')
    const whole = partsOf()
    for (const index of [0, 1]) expect(said(whole, index, 'Ha')).to.equal('Ha')
    for (const index of [0, 1]) expect(said(whole, index, 'Ha', 'part.done')).to.equal('')
    for (const { all } of [parts, whole]) expect(all).to.have.lengthOf(2)
  })

  it('gives a part that begins as the one before it', () => {
    const parts = partsOf([0, 'A'])
    expect(said(parts, 0, 'A')).to.equal('')
    expect(said(parts, 1, 'AB')).to.equal('AB')
  })

  it('takes pieces for those of the part that was announced before them', () => {
    for (const pieces of [['Hello'], ['Hel', 'lo']]) {
      const parts = partsOf([0, ''], ...pieces.map((piece, at) => [at + 1, piece] as const))
      expect(said(parts, 0, 'Hello!')).to.equal('!')
      expect(said(parts, 0, 'Hello!', 'part.done')).to.equal('')
    }
  })

  it('gives a part that has been announced and begins as a piece elsewhere', () => {
    const parts = partsOf([0, 'A'])
    parts.part('content', 1, false)
    expect(said(parts, 1, 'AB')).to.equal('AB')
  })

  it('goes on with a part behind its whole text', () => {
    const parts = partsOf([0, 'cod'])
    expect(said(parts, 0, 'cod')).to.equal('')
    expect(parts.part('content', 0, false).add('ex')).to.equal('ex')
    expect(settled(parts, 'codex!')).to.equal('!')
  })

  it('adds nothing of a text that is poorer than its pieces, or tidied', () => {
    expect(settled(partsOf([0, 'Hello'], [0, '!']), '!')).to.equal('')
    expect(settled(partsOf([0, 'Hello '], [1, '!']), '!')).to.equal('')
    expect(settled(partsOf([0, 'hello']), 'Hello')).to.equal('')
  })

  it('takes time that grows with the number of pieces', () => {
    const pieces = Array.from({ length: 100_000 }, (_, index) => [index, 'a'] as const)
    const parts = partsOf(...pieces)
    const start = performance.now()
    expect(said(parts, pieces.length, 'a'.repeat(pieces.length))).to.equal('')
    expect(performance.now() - start).to.be.below(10_000)
  })
})

describe('textOfPart', () => {
  it('takes text in an item of reasoning for reasoning, and in an item of a gateway for nothing (LiteLLM)', () => {
    expect(textOfPart('message', 'output_text')).to.deep.equal(['content', 'text'])
    expect(textOfPart(undefined, 'output_text')).to.deep.equal(['content', 'text'])
    expect(textOfPart('reasoning', 'output_text')).to.deep.equal(['reasoning', 'text'])
    expect(textOfPart('mcp_tools_fetched', 'output_text')).to.equal(undefined)
  })
})

describe('partsIn', () => {
  it('takes a text, or a part, where a list belongs', () => {
    const part = { type: 'output_text', text: 'a' }
    for (const list of ['a', part, [part]]) expect(partsIn(list)[0]).to.deep.include(part)
    for (const list of [undefined, null, '', [null, 1]]) expect(partsIn(list)).to.deep.equal([])
  })
})

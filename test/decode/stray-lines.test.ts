import { expect } from 'chai'
import { StrayLines } from '#lib/decode/stray-lines.js'

const chunk = '{"choices":[{"delta":{}}]}'

describe('StrayLines', () => {
  for (const [line, stray] of [
    ['error: {"message":"no"}', { kind: 'error', text: '{"message":"no"}' }],
    ['Error: no', { kind: 'error', text: 'no' }],
    [chunk, { kind: 'data', text: chunk }],
    [`Data: ${chunk}`, { kind: 'data', text: chunk }],
    [`  data: ${chunk}`, { kind: 'data', text: chunk }],
    [`ata: ${chunk}`, { kind: 'field', text: chunk }],
    ['[DONE]', { kind: 'data', text: '[DONE]' }],
    ['x-id: 7', { kind: 'nothing' }],
    ['ping', { kind: 'nothing' }],
    ['some words', { kind: 'nothing' }]
  ] as const) {
    it(`says that ${line} is ${stray.kind}`, () => {
      expect(new StrayLines().add(line, true)).to.deep.equal(stray)
    })
  }

  for (const [text, kind] of [
    ['some words\nof text', 'text'],
    ['<a href="x">{"</a>', 'text'],
    ['ent":"lost"}}]}', 'damaged'],
    ['{"choices":[{"delta":', 'damaged'],
    ['{\n"choices":[]}', 'data'],
    ['', 'nothing']
  ] as const) {
    it(`says that lines are ${kind}: ${JSON.stringify(text)}`, () => {
      const lines = new StrayLines()
      for (const line of text.split('\n')) lines.add(line, true)
      expect(lines.take(true, true).kind).to.equal(kind)
      expect(lines.isEmpty).to.equal(true)
    })
  }

  it('takes a line at the end for the beginning of a field', () => {
    for (const line of ['da', 'event', 'retr']) {
      const lines = new StrayLines()
      lines.add(line, true)
      expect(lines.take(true, true).kind, line).to.equal('nothing')
    }
  })
})

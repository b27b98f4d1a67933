import { expect } from 'chai'
import { StrayLines } from '#lib/decode/stray-lines.js'

const chunk = '{"choices":[{"delta":{}}]}'

const linesOf = (maxEventSize = 1_000_000) => new StrayLines(maxEventSize)

describe('StrayLines', () => {
  for (const [line, stray] of [
    ['error: {"message":"no"}', { kind: 'error', text: '{"message":"no"}' }],
    ['Error: no', { kind: 'error', text: 'no' }],
    [chunk, { kind: 'data', text: chunk }],
    [`Data: ${chunk}`, { kind: 'data', text: chunk }],
    [`  data: ${chunk}`, { kind: 'data', text: chunk }],
    [`ata: ${chunk}`, { kind: 'data', text: chunk }],
    ['x-meta: {"a":1}', { kind: 'nothing' }],
    ['[DONE]', { kind: 'data', text: '[DONE]' }],
    ['x-id: 7', { kind: 'nothing' }],
    ['ping', { kind: 'nothing' }],
    ['some words', { kind: 'nothing' }]
  ] as const) {
    it(`says that ${line} is ${stray.kind}`, () => {
      expect(linesOf().add(line, true)).to.deep.equal(stray)
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
      const lines = linesOf()
      for (const line of text.split('\n')) lines.add(line, true)
      expect(lines.take(true, true).kind).to.equal(kind)
      expect(lines.isEmpty).to.equal(true)
    })
  }

  it('takes a line at the end for the beginning of a field', () => {
    for (const line of ['da', 'event', 'retr']) {
      const lines = linesOf()
      lines.add(line, true)
      expect(lines.take(true, true).kind, line).to.equal('nothing')
    }
  })

  for (const [line, kind] of [
    ['ent":"lost"}}]}', 'damaged'],
    ['Note: lost"}}]}', 'damaged'],
    ['ata: {"choices":[{"delta":', 'damaged'],
    ['x-meta: {"a":1}', 'text'],
    ['alt-svc: h3=":443"; ma=86400', 'text'],
    ['<a href="x">{"</a>', 'text'],
    ['PHP Warning:  foreach() argument must be of type "array", null given', 'text'],
    ['Loaded model "llama", ready', 'text'],
    ["(node:1) ExperimentalWarning: 'a', 'b'", 'text'],
    ['some words', 'text']
  ] as const) {
    it(`says that ${line} is ${kind} before the first event`, () => {
      const lines = linesOf()
      expect(lines.add(line, false).kind).to.equal('nothing')
      expect(lines.take(false, false).kind).to.equal(kind)
    })
  }

  for (const line of [
    'alt-svc: h3=":443"; ma=86400',
    'link: <x>; rel="y", <z>; rel="w"',
    "llama: loaded 'a', 'b'"
  ]) {
    it(`takes no notice of ${line} behind an event, which is a field of an unknown name`, () => {
      const lines = linesOf()
      expect(lines.add(line, true).kind).to.equal('nothing')
      expect(lines.take(true, true).kind).to.equal('nothing')
    })
  }

  it('says that a chunk under a damaged name is data before the first event, too', () => {
    expect(linesOf().add(`ata: ${chunk}`, false)).to.deep.equal({ kind: 'data', text: chunk })
  })

  it('keeps lines of any length, and no more of them than an event may have', () => {
    const lines = linesOf(200_000)
    for (const letter of ['a', 'b']) lines.add(letter.repeat(100_000), true)
    expect(lines.take(true, true)).to.deep.equal({
      kind: 'text',
      text: `${'a'.repeat(100_000)}\n${'b'.repeat(100_000)}`
    })
    lines.add('a'.repeat(200_000), true)
    expect(() => lines.add('b', true))
      .to.throw()
      .with.property('code', 'CS_ERR_EVENT_TOO_LARGE')
  })
})

import { expect } from 'chai'
import { arrayStart, firstStart, objectStart } from '#lib/collect/json-text/json-start.js'

describe('arrayStart', () => {
  for (const [text, atLineStart, within] of [
    ['[{', 'json', 'json'],
    ['[ "a', 'json', 'json'],
    ['[[[{', 'json', 'json'],
    ['[1, 2', 'json', 'prose'],
    ['[1]\n', 'json', 'prose'],
    ['[1] said', 'prose', 'prose'],
    ['[1]', 'unknown', 'prose'],
    ['[ ] to do', 'prose', 'prose'],
    ['[]\n', 'json', 'prose'],
    ['[]```', 'json', 'prose'],
    ['[true,', 'json', 'prose'],
    ['[tr', 'unknown', 'prose'],
    ['[true story]', 'prose', 'prose'],
    ['[here](there)', 'prose', 'prose'],
    ['[2024-01-01]', 'prose', 'prose'],
    ['[', 'unknown', 'unknown'],
    ['[ \n', 'unknown', 'unknown']
  ] as const) {
    it(`takes ${JSON.stringify(text)} for ${atLineStart} at the beginning of a line, for ${within} within`, () => {
      expect(arrayStart(text, true, false)).to.equal(atLineStart)
      expect(arrayStart(text, false, false)).to.equal(within)
    })
  }

  it('decides when no more comes', () => {
    expect(arrayStart('[1]', true, true)).to.equal('json')
    expect(arrayStart('[]', true, true)).to.equal('json')
    expect(arrayStart('[tr', true, true)).to.equal('prose')
    expect(arrayStart('[', true, true)).to.equal('prose')
  })

  it('does not wait for ever behind white space', () => {
    expect(arrayStart(`[${' '.repeat(2000)}`, true, false)).to.equal('prose')
    expect(arrayStart(`[1${' '.repeat(2000)}`, true, false)).to.equal('json')
    expect(arrayStart(`[]${' '.repeat(2000)}`, true, false)).to.equal('json')
  })
})

describe('firstStart', () => {
  for (const [text, first, last] of [
    ['[1]', 'unknown', 'json'],
    ['[1] said', 'prose', 'prose'],
    ['[', 'unknown', 'json'],
    ['[tr', 'unknown', 'json'],
    ['[note', 'unknown', 'prose'],
    ['[note]', 'prose', 'prose'],
    ['[a, b] [{"c":1}]', 'prose', 'prose'],
    ['[a: {"b":1}', 'unknown', 'prose'],
    ['[None, {', 'unknown', 'prose'],
    ['[None, {"', 'json', 'json'],
    ['[[None, ["', 'json', 'json'],
    ['[/* c */ {"', 'json', 'json'],
    ['[\n  // c', 'json', 'json'],
    ['{', 'unknown', 'unknown'],
    ['{a', 'unknown', 'prose'],
    ['{a}', 'prose', 'prose'],
    ['{{a: 1', 'prose', 'prose'],
    ['{a:', 'json', 'json'],
    ['{größe :', 'json', 'json'],
    [`{'a b':`, 'json', 'json'],
    ['{ /', 'unknown', 'prose'],
    ['{ /*', 'json', 'json'],
    ['{\r\n  a', 'json', 'json']
  ] as const) {
    it(`takes ${JSON.stringify(text)} for ${first}, for ${last} when no more comes`, () => {
      expect(firstStart(text, false)).to.equal(first)
      expect(firstStart(text, true)).to.equal(last)
    })
  }

  it('does not wait for ever for the end of a note', () => {
    expect(firstStart(`[${'note '.repeat(500)}`, false)).to.equal('prose')
    expect(firstStart(`{${'a'.repeat(2000)}`, false)).to.equal('prose')
  })
})

describe('objectStart', () => {
  for (const [text, atLineStart, within] of [
    ['{"', 'json', 'json'],
    ['{ "', 'json', 'json'],
    ['{}', 'json', 'prose'],
    ['{name}', 'prose', 'prose'],
    ['{', 'unknown', 'unknown']
  ] as const) {
    it(`takes ${JSON.stringify(text)} for ${atLineStart} at the beginning of a line, for ${within} within`, () => {
      expect(objectStart(text, true)).to.equal(atLineStart)
      expect(objectStart(text, false)).to.equal(within)
    })
  }
})

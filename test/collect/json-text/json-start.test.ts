import { expect } from 'chai'
import { JsonStart, proseLength, type Start } from '#lib/collect/json-text/json-start.js'

/** What the bracket of a text begins, read at once and character by character. */
function startOf(
  text: string,
  { isLineStart = true, isPure = false, isBehindJson = false, isLast = false }
): Start {
  const [whole, piecewise] = [[text], text.split('')].map(pieces => {
    const start = new JsonStart(text[0] as string, { isLineStart, isPure, isBehindJson })
    for (const piece of pieces) {
      const found = start.read(piece)
      if (found !== 'unknown') return found
    }
    return isLast ? start.end() : 'unknown'
  })
  expect(piecewise).to.equal(whole)
  return whole as Start
}

describe('JsonStart at a bracket', () => {
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
      expect(startOf(text, {})).to.equal(atLineStart)
      expect(startOf(text, { isLineStart: false })).to.equal(within)
    })
  }

  it('decides when no more comes', () => {
    expect(startOf('[1]', { isLast: true })).to.equal('json')
    expect(startOf('[]', { isLast: true })).to.equal('json')
    expect(startOf('[tr', { isLast: true })).to.equal('prose')
    expect(startOf('[', { isLast: true })).to.equal('prose')
  })

  it('waits through white space of any length', () => {
    const space = ' '.repeat(100_000)
    for (const [text, start] of [
      [`[${space}`, 'unknown'],
      [`[${space}1]\n`, 'json'],
      [`[1${space},`, 'json'],
      [`[]${space}\n`, 'json'],
      [`[]${space}to do`, 'prose']
    ] as const)
      expect(startOf(text, {})).to.equal(start)
  })

  it('takes a number that is longer than any in prose for JSON', () => {
    expect(startOf(`[${'1'.repeat(2000)}`, {})).to.equal('json')
  })
})

describe('JsonStart before any prose', () => {
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
      expect(startOf(text, { isPure: true })).to.equal(first)
      expect(startOf(text, { isPure: true, isLast: true })).to.equal(last)
    })
  }

  it('does not wait for ever for the end of a note', () => {
    expect(startOf(`[${'note '.repeat(500)}`, { isPure: true })).to.equal('prose')
    expect(startOf(`{${'a'.repeat(2000)}`, { isPure: true })).to.equal('prose')
  })
})

describe('JsonStart at a brace', () => {
  for (const [text, atLineStart, within] of [
    ['{"', 'json', 'json'],
    ['{ "', 'json', 'json'],
    ['{}', 'json', 'prose'],
    ['{name}', 'prose', 'prose'],
    ['{{"a":1}}', 'prose', 'prose'],
    ['{\n{"a":1}', 'prose', 'prose'],
    ['{', 'unknown', 'unknown']
  ] as const) {
    it(`takes ${JSON.stringify(text)} for ${atLineStart} at the beginning of a line, for ${within} within`, () => {
      expect(startOf(text, {})).to.equal(atLineStart)
      expect(startOf(text, { isLineStart: false })).to.equal(within)
    })
  }

  it('takes an empty object behind JSON for JSON', () => {
    expect(startOf('{}', { isLineStart: false, isBehindJson: true })).to.equal('json')
  })

  it('waits through white space of any length', () => {
    expect(startOf(`{${' '.repeat(100_000)}"`, { isLineStart: false })).to.equal('json')
  })
})

describe('proseLength', () => {
  for (const [text, atLineStart, within] of [
    ['[[ [x', 4, 4],
    ['[ \n [x', 5, 2],
    ['{{[a', 3, 3],
    ['{ {a', 1, 1]
  ] as const) {
    it(`is ${atLineStart} for ${JSON.stringify(text)} at the beginning of a line, ${within} within`, () => {
      expect(proseLength(text, true)).to.equal(atLineStart)
      expect(proseLength(text, false)).to.equal(within)
    })
  }
})

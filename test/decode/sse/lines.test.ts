import { expect } from 'chai'
import fc from 'fast-check'
import { LineSplitter } from '#lib/decode/sse/lines.js'
import { cutAt, inPiecesOf, places } from '../../pieces.js'

/** The lines that say something, of a text whose blank lines and comments say nothing. */
function tellingLinesOf(pieces: Iterable<string>): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter(
    line => lines.push(line),
    () => true
  )
  for (const piece of pieces) splitter.feed(piece)
  return lines
}

function linesOf(pieces: Iterable<string>): { lines: string[]; last: string } {
  const lines: string[] = []
  const splitter = new LineSplitter(line => lines.push(line))
  for (const piece of pieces) splitter.feed(piece)
  return { lines, last: splitter.end() }
}

describe('LineSplitter', () => {
  for (const [name, lineEnd] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r']
  ]) {
    it(`ends lines at ${name}`, () => {
      const text = ['one', '', 'two', ''].join(lineEnd)
      expect(linesOf([text])).to.deep.equal({ lines: ['one', '', 'two'], last: '' })
      expect(linesOf(text)).to.deep.equal({ lines: ['one', '', 'two'], last: '' })
    })
  }

  it('ends lines at each kind of line end in one text', () => {
    expect(linesOf(['a\r\rb\n\rc\r\n\r\nd\n\ne\r\n\n']).lines).to.deep.equal([
      'a',
      '',
      'b',
      '',
      'c',
      '',
      'd',
      '',
      'e',
      ''
    ])
  })

  it('takes a CRLF that is cut in two for one line end', () => {
    expect(linesOf(['a\r', '\nb\r', '', '\n', '\nc\r', 'd']).lines).to.deep.equal(['a', 'b', '', 'c'])
  })

  it('calls back for a line that ends in CR without waiting for a LF', () => {
    const lines: string[] = []
    new LineSplitter(line => lines.push(line)).feed('a\r')
    expect(lines).to.deep.equal(['a'])
  })

  it('drops one leading byte order mark, not two, and none further in', () => {
    expect(linesOf(['\uFEFF\uFEFFa\n\uFEFFb\n']).lines).to.deep.equal(['\uFEFFa', '\uFEFFb'])
    expect(linesOf(['', '\uFEFF', '\uFEFF', 'a\n']).lines).to.deep.equal(['\uFEFFa'])
  })

  for (const [name, character] of [
    ['U+2028', '\u2028'],
    ['U+2029', '\u2029'],
    ['U+0085', '\u0085'],
    ['a vertical tab', '\v'],
    ['a form feed', '\f']
  ]) {
    it(`does not end a line at ${name}`, () => {
      expect(linesOf([`a${character}b\n`]).lines).to.deep.equal([`a${character}b`])
    })
  }

  it('gives the last line when it has no line end', () => {
    expect(linesOf(['a\nb', 'c'])).to.deep.equal({ lines: ['a'], last: 'bc' })
    expect(linesOf([])).to.deep.equal({ lines: [], last: '' })
  })

  it('joins a line that comes a character at a time', () => {
    const line = 'é'.repeat(5000)
    expect(linesOf(inPiecesOf(`${line}\n${line}`, 1))).to.deep.equal({ lines: [line], last: line })
  })

  it('counts the bytes of the line that has not ended', () => {
    const splitter = new LineSplitter(() => {})
    expect(splitter.carriedBytes).to.equal(0)
    splitter.feed('\uFEFFa\nbé')
    expect(splitter.carriedBytes).to.equal(3)
    splitter.feed('€😀')
    expect(splitter.carriedBytes).to.equal(10)
    splitter.feed('\n')
    expect(splitter.carriedBytes).to.equal(0)
  })

  it('counts four bytes for a surrogate pair that is cut in two', () => {
    const splitter = new LineSplitter(() => {})
    for (const piece of inPiecesOf('😀\u{1F30A}', 1)) splitter.feed(piece)
    expect(splitter.carriedBytes).to.equal(8)
  })

  it('gives the same lines however the text is cut', () => {
    const text = fc.string({ unit: fc.constantFrom('\r', '\n', 'a', 'b', '\uFEFF', '\u2028', '😀') })
    fc.assert(
      fc.property(text, places, (whole, cuts) => {
        const lines = whole.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
        const last = lines.pop()
        expect(linesOf(cutAt(whole, cuts))).to.deep.equal({ lines, last })
      }),
      { numRuns: 1000 }
    )
  })

  for (const [name, idle] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
    ['the same comment', ': keep-alive\n\n'],
    ['the same comment with CRLF', ': keep-alive\r\n\r\n'],
    ['a bare colon', ':\n\n'],
    ['two comments in turn', ':one\n: another one\n\n\n'],
    ['a comment with a separator of paragraphs', ':a\u2029b\n\n'],
    ['a comment of a thousand characters', `:${'x'.repeat(1000)}\n`]
  ] as const) {
    it(`skips idle lines up to the line that says something: ${name}`, () => {
      for (const times of [1, 2, 5, 31, 64, 65, 300, 5000]) {
        const text = `${idle.repeat(times)}data\n${idle.repeat(times)}\uFEFF:a\n${idle.repeat(times)}`
        expect(tellingLinesOf([text])).to.deep.equal(['data', '\uFEFF:a'])
        expect(tellingLinesOf([text.slice(0, 1), text.slice(1)]).filter(isTelling)).to.deep.equal([
          'data',
          '\uFEFF:a'
        ])
      }
    })
  }

  it('skips comments that are all different', () => {
    const comments = Array.from({ length: 2000 }, (_, at) => `: ping ${at * at}\n\n`).join('')
    expect(tellingLinesOf([`${comments}a\n${comments}b\n`])).to.deep.equal(['a', 'b'])
  })

  it('calls back for a comment of more than 1024 characters, so that it is measured', () => {
    const long = `:${'x'.repeat(1024)}`
    for (const idle of ['', ':\n\n'.repeat(300), Array.from({ length: 300 }, (_, at) => `:${at}\n`).join('')])
      expect(tellingLinesOf([`${idle}${long}\n${idle}a\n`])).to.deep.equal([long, 'a'])
  })

  it('finds the lines among idle ones however these repeat and the text is cut', () => {
    const part = fc.tuple(
      fc.array(
        fc.constantFrom('\n', '\r', '\r\n', ':\n', ': ok\n\n', ': é\r\n', ':\r', `:${'-'.repeat(500)}\n`),
        {
          maxLength: 6
        }
      ),
      fc.integer({ min: 1, max: 200 }),
      fc.constantFrom('', 'a\n', 'data: b\r\n', ' \n', ';\r', '€\n')
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), places, (parts, cuts) => {
        const text = parts.map(([idle, times, line]) => idle.join('').repeat(times) + line).join('')
        const lines = text.split(/\r\n|\r|\n/).filter(isTelling)
        expect(tellingLinesOf([text])).to.deep.equal(lines)
        expect(tellingLinesOf(cutAt(text, cuts)).filter(isTelling)).to.deep.equal(lines)
      }),
      { numRuns: 500 }
    )
  })
})

function isTelling(line: string): boolean {
  return line !== '' && !line.startsWith(':')
}

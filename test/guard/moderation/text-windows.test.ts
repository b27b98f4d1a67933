import { expect } from 'chai'
import fc from 'fast-check'
import { TextWindows } from '#lib/guard/moderation/text-windows.js'
import { cutAt, places } from '../../pieces.js'

function windowsOf(pieces: readonly string[], size: number, overlap = 0) {
  const windows = new TextWindows(size, overlap)
  const found = pieces.flatMap(piece => windows.add(piece))
  const rest = windows.end()
  return rest ? [...found, rest] : found
}

function textsOf(pieces: readonly string[], size: number, overlap = 0): string[] {
  return windowsOf(pieces, size, overlap).map(({ text }) => text)
}

describe('TextWindows', () => {
  for (const { name, text, size, overlap = 0, wanted } of [
    {
      name: 'behind sentences',
      text: 'One is. Two is. Three is.',
      size: 18,
      wanted: ['One is. Two is. ', 'Three is.']
    },
    {
      name: 'behind words where no sentence ends',
      text: 'one two three four',
      size: 10,
      wanted: ['one two ', 'three four']
    },
    {
      name: 'in the middle where there is no word',
      text: 'abcdefghij',
      size: 4,
      wanted: ['abcd', 'efgh', 'ij']
    },
    { name: 'not within a surrogate pair', text: 'abc😀def', size: 4, wanted: ['abc', '😀de', 'f'] },
    {
      name: 'with the end of the window before',
      text: 'One. Two. Three. Four.',
      size: 12,
      overlap: 5,
      wanted: ['One. Two. ', 'Two. Three. Four.']
    },
    {
      name: 'behind sentences without spaces between words',
      text: '私は猫です。名前はまだ無い。どこで生れたか。',
      size: 16,
      wanted: ['私は猫です。名前はまだ無い。', 'どこで生れたか。']
    },
    { name: 'at the end alone, where it all fits', text: 'One. Two.', size: 100, wanted: ['One. Two.'] },
    { name: 'nowhere, where there is nothing', text: '', size: 10, wanted: [] }
  ] as { name: string; text: string; size: number; overlap?: number; wanted: string[] }[]) {
    it(`cuts ${name}, wherever the pieces are cut`, () => {
      expect(textsOf([text], size, overlap)).to.deep.equal(wanted)
      expect(textsOf(text.split(''), size, overlap)).to.deep.equal(wanted)
    })
  }

  it('cuts in places that depend on the text alone, and leaves nothing out', () => {
    const parts = fc.constantFrom('a', 'word ', 'End. ', '\n', '😀', '。', '  ', 'Dr. ')
    fc.assert(
      fc.property(
        fc.array(parts, { maxLength: 40 }).map(texts => texts.join('')),
        places,
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 10 }),
        (text, cuts, size, overlap) => {
          const once = windowsOf([text], size, overlap)
          expect(windowsOf(cutAt(text, cuts), size, overlap)).to.deep.equal(once)
          let end = 0
          for (const window of once) {
            expect(window.start).to.equal(end)
            end = window.end
            expect(end - window.start).to.be.within(1, Math.max(size, 2))
            const known = Math.min(overlap, window.start)
            expect(window.text.length - (end - window.start)).to.be.within(known, known + 1)
            expect(text.slice(0, end).endsWith(window.text)).to.equal(true)
          }
          expect(end).to.equal(text.length)
        }
      ),
      { numRuns: 1000 }
    )
  })

  it('gives what there is when it is asked to, and goes on from there', () => {
    const windows = new TextWindows(100, 3)
    windows.add('some text')
    expect(windows.end()).to.deep.equal({ text: 'some text', start: 0, end: 9 })
    expect(windows.end()).to.equal(undefined)
    windows.add(' more')
    expect(windows.end()).to.deep.equal({ text: 'ext more', start: 9, end: 14 })
  })
})

import { Readable } from 'node:stream'
import { expect } from 'chai'
import { type CutBy, rechunk, toChunks, toText } from 'completion-streams'
import fc from 'fast-check'
import { TextCutter } from '#lib/encode/text-cutter.js'
import { all, delta, run } from '../answers.js'

const texts = {
  Chinese: '你好，世界。我们去吃饭！你想吃什么？北京烤鸭，还是火锅……都可以。',
  Japanese: 'こんにちは、世界。東京は大きな都市です。「どこへ行きますか？」と彼は聞いた。',
  Thai: 'สวัสดีชาวโลก ฉันไปโรงเรียนทุกวัน วันนี้อากาศดีมาก น้ำใจ',
  Arabic: 'مرحبا بالعالم! كيف حالك؟ أنا بخير، شكرًا. هٰذَا كِتَابٌ.',
  Hindi: 'नमस्ते दुनिया। आप कैसे हैं? मैं ठीक हूँ। क्षत्रिय स्त्री।',
  German: 'Grüß Gott, Herr Dr. Müller! Am 3. Oktober, z. B. um 9.30 Uhr, kommt Prof. Schmidt. Gut?',
  English:
    'Dr. Smith said "No." He left at 3.5 p.m.\r\nJ. R. R. Tolkien, e.g. in No. 5, wrote it.\n\nWhy? I\'m not sure…',
  emoji: '👨‍👩‍👧‍👦 and 🇩🇪🇫🇷🇯🇵 and 👍🏽 and 🏴󠁧󠁢󠁥󠁮󠁧󠁿 e\u0301e\u0301 ❤️‍🔥 1️⃣2️⃣. Ok! 🤷🏻‍♀️'
}
const ways: CutBy[] = ['word', 'line', 'sentence', /[,;。]\s*/, /e/]
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** The places of a text at which a cluster ends. */
function endsOf(text: string): Set<number> {
  return new Set([...graphemes.segment(text)].map(({ index, segment }) => index + segment.length))
}

function cut(by: CutBy, longest: number, pieces: readonly string[]): string[] {
  const cutter = new TextCutter(by, longest)
  const found: string[] = []
  for (const piece of pieces) {
    found.push(...cutter.add(piece))
    expect(cutter.held).to.be.at.most(Math.max(longest, 40))
  }
  return [...found, ...cutter.end()]
}

function piecesOf(text: string, places: readonly number[]): string[] {
  const ends = [...new Set(places.map(place => place % (text.length + 1))), text.length].sort((a, b) => a - b)
  return ends.map((end, n) => text.slice(ends[n - 1] ?? 0, end)).filter(piece => piece !== '')
}

describe('rechunk', () => {
  for (const [language, text] of Object.entries(texts)) {
    it(`gives the same text at every cut, and cuts no cluster: ${language}`, () => {
      const ends = endsOf(text)
      fc.assert(
        fc.property(
          fc.array(fc.nat(1000), { maxLength: 20 }),
          fc.constantFrom(...ways),
          fc.constantFrom(5, 17, 60, 1000),
          (places, by, longest) => {
            const found = cut(by, longest, piecesOf(text, places))
            expect(found.join('')).to.equal(text)
            let at = 0
            for (const piece of found) {
              expect(piece).not.to.equal('')
              at += piece.length
              expect(ends.has(at), `${JSON.stringify(piece)} ends within a cluster`).to.equal(true)
              // A cluster that is longer by itself stays whole.
              expect(piece.length).to.be.at.most(Math.max(longest, 40))
            }
          }
        ),
        { numRuns: 300 }
      )
    })

    it(`gives the same pieces, however the text is cut: ${language}`, () => {
      for (const by of ways) {
        for (const longest of [1, 3, 5, 8, 17, 60, 1000]) {
          const whole = cut(by, longest, [text])
          expect(cut(by, longest, text.split('')), `${by}, ${longest}`).to.deep.equal(whole)
        }
      }
    })
  }

  it('gives the same pieces of a text of many languages, however it is cut and however short they are', () => {
    const parts = fc.constantFrom(
      ...['a', 'B', '1', ' ', '.', '. ', '! ', '\n', '\r', '你好', '，', 'สวัสดี', 'e\u0301', '👨‍👩‍👧‍👦', '🇩🇪'],
      ...["'", 'Dr.', 'word', '\u2028', 'क्ष', 'カタカナ', '\ud83d', '한국', '3.5', ' The', ', ']
    )
    fc.assert(
      fc.property(
        fc.array(parts, { maxLength: 60 }).map(parts => parts.join('')),
        fc.array(fc.nat(1000), { maxLength: 20 }),
        fc.constantFrom(...ways),
        fc.constantFrom(1, 3, 5, 8, 17, 60, 1000),
        (text, places, by, longest) => {
          const whole = cut(by, longest, [text])
          expect(whole.join('')).to.equal(text)
          expect(cut(by, longest, piecesOf(text, places))).to.deep.equal(whole)
          expect(cut(by, longest, text.split(''))).to.deep.equal(whole)
        }
      ),
      { numRuns: 2000 }
    )
  })

  it('cuts no flag of a long row of them, and no long row of joined emoji', () => {
    for (const text of [
      ...['', 'a', 'ab', 'abc'].map(before => before + '🇩🇪'.repeat(1000)),
      `${'一'.repeat(100)}${'👩\u200d'.repeat(450)}👧${'一'.repeat(1000)}`
    ]) {
      const ends = endsOf(text)
      for (const longest of [1001, 1502, 1503]) {
        let at = 0
        for (const piece of cut('word', longest, [text])) {
          at += piece.length
          expect(ends.has(at)).to.equal(true)
        }
      }
    }
  })

  it('cuts behind sentences, and not behind what only looks like their end', () => {
    expect(cut('sentence', 1000, [texts.English])).to.deep.equal([
      'Dr. Smith said "No." ',
      'He left at 3.5 p.m.\r\n',
      'J. R. R. Tolkien, e.g. in No. 5, wrote it.\n',
      '\n',
      'Why? ',
      "I'm not sure…"
    ])
    expect(cut('sentence', 1000, [texts.German])).to.deep.equal([
      'Grüß Gott, Herr Dr. Müller! ',
      'Am 3. Oktober, z. B. um 9.30 Uhr, kommt Prof. Schmidt. ',
      'Gut?'
    ])
    expect(cut('sentence', 1000, [texts.Chinese])).to.have.length(4)
    expect(cut('sentence', 1000, [texts.Hindi])).to.have.length(4)
  })

  it('cuts behind words with what follows them, also where no space does', () => {
    expect(cut('word', 1000, ['  Hello, wor', 'ld! It’s 3.5 (or so).'])).to.deep.equal([
      '  Hello, ',
      'world! ',
      'It’s ',
      '3.5 (',
      'or ',
      'so).'
    ])
    expect(cut('word', 1000, ['我们去吃饭。'])).to.deep.equal(['我们', '去', '吃饭。'])
  })

  it('cuts behind lines of every kind, and behind matches', () => {
    expect(cut('line', 1000, ['a\n', 'b\r', '\nc\rd\u2028e'])).to.deep.equal([
      'a\n',
      'b\r\n',
      'c\r',
      'd\u2028',
      'e'
    ])
    expect(cut(/;\s*/, 1000, ['a; ', ' b;c', ';'])).to.deep.equal(['a;  ', 'b;', 'c;'])
    // An expression that matches nothing cuts nothing; one with a memory of its own is used without it.
    expect(cut(/x*/, 1000, ['ab'])).to.deep.equal(['ab'])
    expect(cut(/b/gy, 1000, ['ab', 'ab', 'c'])).to.deep.equal(['ab', 'ab', 'c'])
  })

  it('gives a piece as soon as its end is sure, and holds no more than the longest', async () => {
    const cutter = new TextCutter('word', 20)
    expect(cutter.add('Hello ')).to.deep.equal([])
    expect(cutter.add('w')).to.deep.equal(['Hello '])
    expect(new TextCutter('line', 8).add('one two three four')).to.deep.equal(['one two ', 'three '])
    expect(new TextCutter('sentence', 4).add('aaaaaaaaaa')).to.deep.equal(['aaaa', 'aaaa'])
    // A cluster without an end is no writing.
    const pieces = new TextCutter('word', 10).add(`e${'\u0301'.repeat(5000)}`)
    expect(pieces.join('').length).to.be.greaterThan(3000)
    const emoji = new TextCutter('word', 1)
    emoji.add(`👍${'\u0301'.repeat(5000)}`)
    expect(emoji.held).to.be.lessThan(2000)
  })

  // Sizes for which a way that looks at all that is held for each piece would take many minutes.
  for (const [name, part, length] of [
    ['words', 'The quick brown fox jumps over the lazy dog, and then it sleeps. ', 200_000],
    ['words of Chinese', '你好', 100_000],
    ['words with spaces alone between', 'a ', 100_000],
    ['line ends', '\n', 100_000],
    ['flags', '🇩🇪', 100_000],
    ['one word', 'x', 200_000],
    ['numbers that end nothing', 'No. 1. ', 100_000],
    ['marks', '1! ', 100_000]
  ] as const) {
    const text = part.repeat(length / part.length)
    for (const longest of [1000, Number.POSITIVE_INFINITY]) {
      it(`is linear for ${name} in one piece, up to ${longest} characters each`, () => {
        for (const by of ways) {
          const cutter = new TextCutter(by, longest)
          expect([...cutter.add(text), ...cutter.end()].join('') === text, String(by)).to.equal(true)
        }
      })
    }
  }

  it('is linear for a text in short pieces', () => {
    for (const part of ['word ', '你好', '\n', 'xxxx']) {
      for (const by of ways) {
        const cutter = new TextCutter(by, Number.POSITIVE_INFINITY)
        let length = 0
        for (let n = 0; n < 25_000; n++) for (const piece of cutter.add(part)) length += piece.length
        expect(length + cutter.held).to.equal(25_000 * part.length)
      }
    }
  })

  it('is linear for lines in short pieces', () => {
    const cutter = new TextCutter('line', Number.MAX_SAFE_INTEGER)
    let count = 0
    for (let n = 0; n < 100_000; n++) count += cutter.add(n % 50 === 49 ? 'word\n' : 'word ').length
    expect(count).to.equal(1999)
  })

  it('lets go of a piece that has begun before a failure', async () => {
    const text = 'One sentence. Half a sent'
    for (const by of ['word', 'sentence'] as const) {
      const body = Readable.from([delta({ content: text })])
      const { items, error } = await run<string>(body, toChunks(), toText(), rechunk({ by }))
      expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
      expect(items.join('')).to.equal(text)
    }
  })

  it('works as a stage, refuses what is no text, and wrong options', async () => {
    expect(await all(Readable.from(['One two', ' three.']), rechunk())).to.deep.equal([
      'One ',
      'two ',
      'three.'
    ])
    const { error } = await run(Readable.from([Buffer.from('x')]), rechunk())
    expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
    expect(() => rechunk({ by: 'letter' as never })).to.throw(/by/)
    expect(() => rechunk({ longest: 0 })).to.throw(/longest/)
  })
})

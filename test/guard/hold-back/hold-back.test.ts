import { expect } from 'chai'
import fc from 'fast-check'
import { HoldBack, type Stretch } from '#lib/guard/hold-back/hold-back.js'
import { partialOf } from '#lib/guard/hold-back/partial-expression.js'
import { Pattern } from '#lib/guard/hold-back/pattern.js'
import { cutAt, places } from '../../pieces.js'

/** Expressions of every kind of syntax, with the longest match that each can have in the texts below. */
const expressions: readonly (readonly [RegExp, number])[] = [
  [/ab/, 2],
  [/abc|ab|a/, 3],
  [/a|ab|abc/, 3],
  [/a{2,4}/, 4],
  [/a{2,4}?/, 4],
  [/a{3}b?/, 4],
  [/(?:ab){1,3}c/, 7],
  [/(?:a|b){2,5}c/, 6],
  [/a.{0,3}c/, 5],
  [/a.{0,3}?c/, 5],
  [/a[^c]{1,4}c/, 6],
  [/a[\s\S]{1,3}b/, 5],
  [/[a-b]c[.\]-]/, 3],
  [/\bab\b/, 2],
  [/\Bab/, 2],
  [/ab\B/, 2],
  [/^a{1,2}/, 2],
  [/b{1,2}$/, 2],
  [/^b{1,3}$/m, 3],
  [/a(?=b)/, 1],
  [/a(?=bc)/, 2],
  [/a(?!b)/, 1],
  [/ab?(?!bc)/, 3],
  [/ab(?=cabc)/, 4],
  [/a(?!bcab)/, 4],
  [/(?<=abca)b/, 4],
  [/(?<=a)b/, 1],
  [/(?<=ab)c/, 3],
  [/(?<!a)b/, 1],
  [/(?<!ab)c/, 3],
  [/a(?=b\b)/, 3],
  [/a(?=b\B)/, 3],
  [/a(?=b$)/, 3],
  [/a(?=b$)/m, 3],
  [/a(?=b(?!c))/, 3],
  [/a(?!b\b)/, 3],
  [/a(?!b$)[ab]{1,3}/, 4],
  [/a(?!b(?!c))/, 3],
  [/a(?=b\w(?!(?<=b)))/, 4],
  [/\b(?!ab\b)[ab]{1,5}c/, 6],
  [/(?<=a(?=bca))b/, 3],
  [/(?<!a(?!bca))b/, 3],
  [/(?<=a\b)[^a]/, 2],
  [/(?<=^ab)c/, 2],
  [/ab(?=ca\b)/, 2],
  [/(a|b)\1/, 2],
  [/(a{1,2})c\1/, 5],
  [/(?<x>[ab])c\k<x>/, 3],
  [/AB/i, 2],
  [/[A-B]c/i, 2],
  [/a.c/s, 3],
  [/😀b/u, 3],
  [/a.c/u, 4],
  [/[😀a]{2,3}/u, 6],
  [/\u{1F600}/u, 2],
  [/\ud83d\ude00/u, 2],
  [/\ud83d\ude00/, 2],
  [/\p{L}\p{Emoji_Presentation}/u, 3],
  [withSets('[\\p{L}--c]{2}'), 2],
  [withSets('[[ab]&&[bc]]c'), 2],
  [/a\.b|\x61\]|\cJ/, 3],
  [/(?:a(?:b(?:c)?)?){2}/, 6],
  [/(?:(?:a|b)?c){1,3}/, 6],
  [/a(?:)b/, 2],
  [/a{|b}/, 2]
]

/** The compiler knows the flag `v` of later targets only. */
function withSets(source: string): RegExp {
  return new RegExp(source, 'v')
}

const text = fc
  .array(
    fc.constantFrom('a', 'b', 'c', 'A', 'B', ' ', '.', ']', '{', '}', '-', '\n', '😀', '\ud83d', '\ude00'),
    {
      maxLength: 24
    }
  )
  .map(characters => characters.join(''))

/** What the rules give for the whole text, by looking at each place with each rule, as the language itself matches. */
function marked(whole: string, rules: readonly RegExp[]): string {
  const sticky = rules.map(rule => new RegExp(rule.source, `${rule.flags.replace('g', '')}y`))
  let output = ''
  let place = 0
  while (place < whole.length) {
    let length = 0
    for (const [index, rule] of sticky.entries()) {
      rule.lastIndex = place
      const found = rule.exec(whole)
      // With the flag `u`, a place within a pair is taken for its beginning.
      if (!found || found.index < place) continue
      output += `<${index}:${found[0]}>`
      length = found[0].length
      break
    }
    if (length === 0) output += whole[place]
    place += length || 1
  }
  return output
}

/** How much of the end of a text may still become part of one of the strings, where nothing before it does. */
function lengthToHold(known: string, matches: readonly string[]): number {
  let place = 0
  while (place < known.length) {
    const rest = known.slice(place)
    const first = matches.findIndex(match => rest.startsWith(match) || match.startsWith(rest))
    const half = rest.length === 1 && rest >= '\ud800' && rest <= '\udbff'
    const match = matches[first]
    if (half || (match !== undefined && !rest.startsWith(match))) return rest.length
    // The half of a character at the end may be any character's.
    const open = match === undefined && /^.*[\ud800-\udbff]$/s.test(rest) && opens(rest.slice(0, -1), matches)
    if (open) return rest.length
    place += match?.length ?? 1
  }
  return 0
}

function opens(rest: string, matches: readonly string[]): boolean {
  return rest !== '' && matches.some(match => match.startsWith(rest) && match !== rest)
}

function shown(stretches: readonly Stretch[]): string {
  return stretches.map(({ text, rule }) => (rule === undefined ? text : `<${rule}:${text}>`)).join('')
}

function patternOf([match, longest]: readonly [string | RegExp, number]): Pattern {
  return new Pattern({ match, longest })
}

/** Expressions at random, with all that looks at the edges of a text inside all that looks ahead and behind. */
const { expression: source } = fc.letrec<{ expression: string; part: string; around: string }>(tie => ({
  expression: fc.oneof(
    { maxDepth: 4 },
    {
      weight: 4,
      arbitrary: fc.array(tie('part'), { minLength: 1, maxLength: 4 }).map(parts => parts.join(''))
    },
    {
      weight: 1,
      arbitrary: fc.array(tie('expression'), { minLength: 2, maxLength: 2 }).map(parts => parts.join('|'))
    }
  ),
  part: fc.oneof(
    { maxDepth: 4 },
    {
      weight: 5,
      arbitrary: fc.constantFrom('a', 'b', 'c', '[ab]', '\\w', '.', ' ', '[^a]', 'a+', 'b?', '\\w{1,3}?')
    },
    { weight: 3, arbitrary: fc.constantFrom('\\b', '\\B', '$', '^') },
    { weight: 4, arbitrary: tie('around') },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('(?:', '('), tie('expression'), fc.constantFrom('', '?', '*', '{1,2}', '+?'))
        .map(([opening, inside, quantifier]) => `${opening}${inside})${quantifier}`)
    }
  ),
  around: fc
    .tuple(fc.constantFrom('(?=', '(?!', '(?<=', '(?<!'), tie('expression'))
    .map(([opening, inside]) => `${opening}${inside})`)
}))

const randomExpression = fc
  .tuple(source, fc.constantFrom('', '', 'm', 'i', 'u', 'su'))
  .map(([source, flags]) => new RegExp(source, flags))
  .filter(expression => !partialOf(expression).canBeEmpty)

const words = fc
  .array(fc.constantFrom('a', 'a', 'b', 'b', 'c', ' ', '\n', 'A', '😀'), { maxLength: 12 })
  .map(characters => characters.join(''))

describe('HoldBack', () => {
  for (const expression of expressions) {
    it(`gives the matches that ${expression[0]} has in the whole text, wherever it is cut`, () => {
      fc.assert(
        fc.property(text, places, (whole, cuts) => {
          const holdBack = new HoldBack([patternOf(expression)])
          const wanted = marked(whole, [expression[0]])
          let output = ''
          for (const piece of cutAt(whole, cuts)) {
            output += shown(holdBack.add(piece))
            // What has left is never taken back.
            expect(wanted.startsWith(output)).to.equal(true)
          }
          expect(output + shown(holdBack.end())).to.equal(wanted)
        }),
        { numRuns: 300 }
      )
    })
  }

  it('gives the matches of any expression with edges in what it looks at, and their groups, wherever the text is cut', () => {
    fc.assert(
      fc.property(
        fc.array(words, { minLength: 8, maxLength: 8 }),
        places,
        randomExpression,
        (wholes, cuts, match) => {
          const holdBack = new HoldBack([new Pattern({ match, longest: 30 })])
          const everywhere = new RegExp(match.source, `${match.flags}g`)
          for (const whole of wholes) {
            const stretches = [...cutAt(whole, cuts).flatMap(piece => holdBack.add(piece)), ...holdBack.end()]
            expect(shown(stretches)).to.equal(marked(whole, [match]))
            const groups = stretches.filter(({ rule }) => rule === 0).map(stretch => stretch.groups)
            expect(groups).to.deep.equal([...whole.matchAll(everywhere)].map(([, ...groups]) => groups))
          }
        }
      ),
      { numRuns: 1000 }
    )
  })

  it('gives the same for any expression and any longest match wherever the text is cut, and holds no more than it sees', () => {
    fc.assert(
      fc.property(
        words,
        places,
        randomExpression,
        fc.integer({ min: 1, max: 4 }),
        (whole, cuts, match, longest) => {
          const give = (pieces: readonly string[]) => {
            const holdBack = new HoldBack([new Pattern({ match, longest })])
            let output = ''
            for (const piece of pieces) {
              output += shown(holdBack.add(piece))
              expect(holdBack.held).to.be.at.most(2 * longest + 2)
            }
            return output + shown(holdBack.end())
          }
          expect(give(cutAt(whole, cuts))).to.equal(give([...whole]))
        }
      ),
      { numRuns: 1000 }
    )
  })

  it('gives the leftmost match, and of several at one place that of the first rule, wherever the text is cut', () => {
    const rules = fc.array(fc.constantFrom(...expressions), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(text, places, rules, (whole, cuts, chosen) => {
        const holdBack = new HoldBack(chosen.map(patternOf))
        const stretches = cutAt(whole, cuts).flatMap(piece => holdBack.add(piece))
        expect(shown([...stretches, ...holdBack.end()])).to.equal(
          marked(
            whole,
            chosen.map(([expression]) => expression)
          )
        )
      }),
      { numRuns: 2000 }
    )
  })

  it('takes a longer match for its first characters, the same wherever the text is cut', () => {
    const greedy = fc.constantFrom(
      /a+/,
      /[ab]+c/,
      /\w+\b/,
      /a+?b/,
      /[ab]{2,9}\b/,
      /a+(?!b)/,
      /(?<=a+)b/,
      /\S+ /
    )
    fc.assert(
      fc.property(text, places, greedy, fc.integer({ min: 1, max: 5 }), (whole, cuts, match, longest) => {
        const give = (pieces: readonly string[]) => {
          const holdBack = new HoldBack([new Pattern({ match, longest })])
          return shown([...pieces.flatMap(piece => holdBack.add(piece)), ...holdBack.end()])
        }
        const once = give([whole])
        expect(give(cutAt(whole, cuts))).to.equal(once)
        for (const [, found = ''] of once.matchAll(/<0:(.*?)>/gs)) expect(found.length).to.be.at.most(longest)
      }),
      { numRuns: 3000 }
    )
  })

  it('holds exactly what may still become one of the strings', () => {
    const strings = fc.array(fc.constantFrom('ab', 'abc', 'bca', 'aab', 'c.', '😀b', 'aaaa'), {
      minLength: 1,
      maxLength: 3
    })
    fc.assert(
      fc.property(text, places, strings, (whole, cuts, matches) => {
        const holdBack = new HoldBack(matches.map(match => patternOf([match, match.length])))
        let known = ''
        for (const piece of cutAt(whole, cuts)) {
          holdBack.add(piece)
          known += piece
          expect(holdBack.held).to.equal(lengthToHold(known, matches))
        }
      })
    )
  })

  for (const { rule, before, held } of [
    { rule: ['END', 3], before: 'the E', held: 1 },
    { rule: ['END', 3], before: 'the EN', held: 2 },
    { rule: ['END', 3], before: 'the EM', held: 0 },
    { rule: ['END', 3], before: 'EEEN', held: 2 },
    { rule: [/\d{4}-\d{2}/, 7], before: 'in 2024', held: 4 },
    { rule: [/\d{4}-\d{2}/, 7], before: 'in 2024-', held: 5 },
    { rule: [/\d{4}-\d{2}/, 7], before: 'in 2024 ', held: 0 },
    { rule: [/\d{4}-\d{2}/, 7], before: 'in 20245', held: 4 },
    { rule: [/\bsk-\w{4,40}/, 43], before: 'a task-', held: 0 },
    { rule: [/\bsk-\w{4,40}/, 43], before: 'a sk', held: 2 },
    { rule: [/a(?=bc)/, 3], before: 'xa', held: 1 },
    { rule: [/a(?=bc)/, 3], before: 'xab', held: 2 },
    { rule: [/a(?=bc)/, 3], before: 'xabd', held: 0 },
    { rule: [/a(?=bc)/, 3], before: 'xabc', held: 0 },
    { rule: [/a(?=b\b)/, 3], before: 'xab', held: 2 },
    { rule: [/a(?=b\b)/, 3], before: 'xabc', held: 0 },
    { rule: [/a(?!b\b)/, 3], before: 'xab', held: 2 },
    { rule: [/a(?!b\b)/, 3], before: 'xabc', held: 0 },
    { rule: [/\bkey-(?!test\b)\w{1,20}/, 60], before: 'a key-te ', held: 0 },
    { rule: [/(?<=a(?=bcd))b/, 3], before: 'ab', held: 1 },
    { rule: [/(?<=a(?=bcd))b/, 3], before: 'abd', held: 0 }
  ] as const) {
    it(`holds ${held} characters of ${JSON.stringify(before)} for ${rule[0]}`, () => {
      const holdBack = new HoldBack([patternOf(rule)])
      holdBack.add(before)
      expect(holdBack.held).to.equal(held)
    })
  }

  it('gives a string the moment that it is whole', () => {
    const holdBack = new HoldBack([patternOf(['END', 3])])
    expect(shown(holdBack.add('the EN'))).to.equal('the ')
    expect(shown(holdBack.add('D'))).to.equal('<0:END>')
  })

  it('never parts a surrogate pair', () => {
    const holdBack = new HoldBack([patternOf(['END', 3])])
    expect(shown(holdBack.add('a\ud83d'))).to.equal('a')
    expect(holdBack.held).to.equal(1)
    expect(shown(holdBack.add('\ude00b'))).to.equal('😀b')
  })

  it('matches no half of a surrogate pair with the flag u', () => {
    const holdBack = new HoldBack([patternOf([/\ud83d/, 1]), patternOf([/😀/u, 2])])
    expect(shown([...holdBack.add('😀'), ...holdBack.end()])).to.equal('<0:\ud83d>\ude00')
  })

  it('begins another text behind the end', () => {
    const holdBack = new HoldBack([patternOf([/^a/, 1])])
    expect(
      shown([...holdBack.add('ba'), ...holdBack.end(), ...holdBack.add('a'), ...holdBack.end()])
    ).to.equal('ba<0:a>')
  })

  it('takes time that is linear in the text, also where much is held again and again', () => {
    const step = (length: number) => {
      let looks = 0
      const holdBack = new HoldBack([
        new Pattern({
          match: /x\w{0,60}!/,
          longest: 62,
          measure(found) {
            looks++
            return found.length
          }
        })
      ])
      for (let at = 0; at < length; at++) holdBack.add(at % 100 === 99 ? '!' : 'x')
      holdBack.end()
      expect(holdBack.held).to.equal(0)
      return looks
    }
    expect(step(20_000)).to.equal(2 * step(10_000))
  })
})

import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  accessKeys,
  cardNumbers,
  compose,
  emailAddresses,
  ibans,
  type RedactionRule,
  redact,
  toChunks,
  toText
} from 'completion-streams'
import { script } from 'completion-streams/testing'
import fc from 'fast-check'
import { all, ask, failureOf, run, serve, withFolder } from '../answers.js'
import { cutAt, inPiecesOf, places } from '../pieces.js'

async function redacted(pieces: readonly string[], rules: readonly RedactionRule[]): Promise<string> {
  return (await all<string>(Readable.from(pieces), redact(rules))).join('')
}

/** Every way to cut a text in three. */
function cuts(whole: string): string[][] {
  const all: string[][] = []
  for (let first = 0; first <= whole.length; first++)
    for (let second = first; second <= whole.length; second++)
      all.push([whole.slice(0, first), whole.slice(first, second), whole.slice(second)])
  return all
}

/** The compiler and the linter refuse such expressions as literals. */
function withoutUnicode(source: string): RegExp {
  return new RegExp(source)
}

describe('redact', () => {
  const secret: RedactionRule = { match: 'hunter2', replacement: '[password]' }
  const dates: RedactionRule = {
    match: /\d{4}-\d{2}-\d{2}/,
    longest: 10,
    replacement: found => found.replace(/\d/g, 'x')
  }

  it('replaces strings and expressions, at every cut', async () => {
    const whole = 'It is hunter2 since 2024-02-29, hunter.'
    for (const pieces of cuts(whole))
      expect(await redacted(pieces, [secret, dates])).to.equal('It is [password] since xxxx-xx-xx, hunter.')
  })

  for (const [match, pieces, wanted] of [
    [/\bkey-(?!test\b)\w{1,20}/, ['key-test', '99 key-live1 key-test'], '[x] [x] key-test'],
    [/\b(?!none\b)\w{1,30}@corp/, ['ask none', 'ssential@corp now'], 'ask [x] now'],
    [/(?!password: admin$)password: \w{1,30}/m, ['password: admin', 'istrator!'], '[x]!'],
    [/sec(?!ret\b)/, ['He said sec', 'ret', 's'], 'He said [x]rets'],
    [/(?<=a(?=bcd))b/, ['ab', 'cd'], 'a[x]cd'],
    [/(?<!a(?!bcd))b/, ['ab', 'cd'], 'a[x]cd'],
    [/x(?=ab\b)/, ['xab', 'c'], 'xabc'],
    [/x(?=ab$)/, ['xab', 'c'], 'xabc'],
    [/x(?=ab(?!c))/, ['xab', 'c'], 'xabc'],
    [/a(?=b\w(?!(?<=b)))/, ['xab', 'c'], 'x[x]bc'],
    // In old syntax, these are several characters.
    [withoutUnicode('x\\u{2}'), ['xu', 'u'], '[x]'],
    [withoutUnicode('\\p{L}'), ['p', '{L}'], '[x]'],
    [withoutUnicode('[\\u{a]b}'), ['{', 'b}'], '[x]'],
    [withoutUnicode('\\1411'), ['a', '1'], '[x]'],
    [withoutUnicode('x\\c{2}'), ['x\\', 'cc'], '[x]']
  ] as const) {
    it(`decides by what follows whether ${match} matches in ${JSON.stringify(pieces)}`, async () => {
      expect(await redacted(pieces, [{ match, longest: 60, replacement: '[x]' }])).to.equal(wanted)
      for (const cut of cuts(pieces.join('')))
        expect(await redacted(cut, [{ match, longest: 60, replacement: '[x]' }])).to.equal(wanted)
    })
  }

  it('emits what can be no match at once', async () => {
    const stage = redact([secret])
    const texts: string[] = []
    stage.on('data', text => texts.push(text))
    for (const piece of ['say h', 'unter', ' or hunt', 'er2'])
      await new Promise(resolve => stage.write(piece, resolve))
    expect(texts).to.deep.equal(['say ', 'hunter or ', '[password]'])
    expect(stage).to.include({ held: 0, redacted: 1 })
  })

  it('says how much it holds', async () => {
    const stage = redact([secret])
    await new Promise(resolve => stage.resume().write('say hunt', resolve))
    expect(stage.held).to.equal(4)
  })

  it('gives a replacement function the match and what its groups matched', async () => {
    const calls: unknown[] = []
    const names: RedactionRule = {
      match: /(\w)\w{0,20} (\w)(x)?\w{0,20}/,
      longest: 43,
      replacement(...call) {
        calls.push(call)
        return '?'
      }
    }
    expect(await redacted(['Ada Lovel', 'ace'], [names])).to.equal('?')
    expect(calls).to.deep.equal([['Ada Lovelace', ['A', 'L', undefined]]])
  })

  it('takes nothing in a replacement for special', async () => {
    expect(await redacted(['a hunter2'], [{ ...secret, replacement: '$& $1 $$' }])).to.equal('a $& $1 $$')
  })

  it('does not look for matches in what it has put in', async () => {
    const rules = [
      { match: 'a', replacement: 'bb' },
      { match: 'b', replacement: 'a' }
    ]
    expect(await redacted(['ab', 'ab'], rules)).to.equal('bbabba')
  })

  it('asks measure how much of what was found is a match', async () => {
    const even: RedactionRule = {
      match: /\d{1,9}/,
      longest: 9,
      measure: found => found.length & ~1,
      replacement: '#'
    }
    for (const pieces of cuts('1 12 123')) expect(await redacted(pieces, [even])).to.equal('1 # #3')
  })

  it("leaves the caller's expression as it was, whatever its flags and its place", async () => {
    const match = /\d/gy
    match.lastIndex = 7
    expect(await redacted(['a1', 'b2'], [{ match, longest: 1, replacement: '#' }])).to.equal('a#b#')
    expect(match.lastIndex).to.equal(7)
  })

  it('gives what the rules give for the whole text, of which no match ever leaves, at any cut of any text', () => {
    const rules = [emailAddresses, cardNumbers, ibans, accessKeys, secret, dates]
    const parts = fc.constantFrom(
      'jane.doe@example.com',
      'müller@exämple.de',
      '4111 1111 1111 1111',
      '4111111111111112',
      '378282246310005',
      'DE89 3704 0044 0532 0130 00',
      'GB82WEST12345698765432',
      '卡号4111111111111111です',
      '账号DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00',
      'jose\u0301@mu\u0308ller.de',
      'sk-abcdefghijklmnop1234',
      'AKIAIOSFODNN7EXAMPLE',
      'hunter2',
      'hunter',
      '2024-02-29',
      '20',
      ' ',
      '😀',
      'é',
      '@',
      '.',
      '-',
      '\n'
    )
    const secrets = [
      'jane.doe@',
      '4111 1111 1111 1111',
      '378282246310005',
      '0532 0130',
      'WEST1234',
      'mnop1234',
      'IOSFODNN7',
      'hunter2'
    ]
    return fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 12 }), places, async (texts, cuts) => {
        const whole = texts.join(' ')
        const once = await redacted([whole], rules)
        const items = await all<string>(Readable.from(cutAt(whole, cuts)), redact(rules))
        expect(items.join('')).to.equal(once)
        for (const secret of secrets) expect(once).to.not.include(secret)
      }),
      { numRuns: 400 }
    )
  })

  it('leaves the sources of this project, and its README, as they are', async () => {
    const root = join(import.meta.dirname, '../../..')
    for (const name of [
      'README.md',
      'lib/guard/hold-back/hold-back.ts',
      'lib/decode/chunk-parser.ts',
      'CHANGELOG.md'
    ]) {
      const whole = await readFile(join(root, name), 'utf8')
      const rules = [emailAddresses, cardNumbers, ibans, accessKeys]
      expect(await redacted(inPiecesOf(whole, 5), rules)).to.equal(whole)
    }
  })

  it('redacts an answer on its way from a server into a file', async () => {
    await using server = await serve({
      script: script('Write to jane.doe@example.com, or call. The key: hunter2.')
    })
    await withFolder(async folder => {
      const file = join(folder, 'answer.txt')
      await pipeline(
        ask(server),
        toChunks(),
        toText(),
        redact([emailAddresses, secret]),
        createWriteStream(file)
      )
      expect(await readFile(file, 'utf8')).to.equal(
        'Write to [e-mail address], or call. The key: [password].'
      )
    })
  })

  it('works inside compose, and has emitted all that came before a failure', async () => {
    await using server = await serve({
      script: script('ask hunter2 again hunter2'),
      faults: { cutAfter: { events: 4 } }
    })
    const stage = redact([{ match: 'hunter2', replacement: '#' }])
    const { items, error } = await run(compose(ask(server), toChunks(), toText(), stage))
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items.join('')).to.equal('ask # again')
  })

  it('fails with what a replacement throws, after all text before it', async () => {
    const failure = new Error('no')
    const replacement = () => {
      throw failure
    }
    const { items, error } = await run(
      Readable.from(['a hunter2 b']),
      redact([{ match: 'hunter2', replacement }])
    )
    expect([items, error]).to.deep.equal([['a '], failure])
  })

  it('fails with CS_ERR_INVALID_OPTION for a replacement function that returns no text', async () => {
    // @ts-expect-error: it must return a text
    const stage = redact([{ match: 'a', replacement: () => 1 }])
    expect((await run(Readable.from(['a']), stage)).error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
  })

  it('fails with CS_ERR_INVALID_CHUNK for chunks, and says what to write', async () => {
    const error = await failureOf(pipeline([Readable.from([{ choices: [] }]), redact([secret]).resume()]))
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
    expect(error.message).to.include('toText()')
  })

  for (const source of [
    '[\\p{L}--c]',
    '\\p{Emoji_Presentation}',
    '[\\\\q\\{]',
    '\\P{Script=Greek}',
    '\\p{Lu}'
  ]) {
    it(`takes ${source} with the flag v`, () => {
      redact([{ match: new RegExp(source, 'v'), longest: 5, replacement: '' }])
    })
  }

  const wrong: Record<string, unknown> = {
    'no rules': undefined,
    'an empty list': [],
    'a rule by itself': secret,
    'an empty match': [{ match: '', replacement: '' }],
    'a number for a match': [{ match: 1, replacement: '' }],
    'an expression without longest': [{ match: /a/, replacement: '' }],
    'longest: 0': [{ match: /a/, longest: 0, replacement: '' }],
    'longest: 1.5': [{ match: /a/, longest: 1.5, replacement: '' }],
    'longest: Infinity': [{ match: /a/, longest: Number.POSITIVE_INFINITY, replacement: '' }],
    'longest of another length than the text': [{ match: 'ab', longest: 3, replacement: '' }],
    'no replacement': [{ match: 'a' }],
    'a measure that is no function': [{ match: 'a', replacement: '', measure: 1 }],
    'an unknown key': [{ match: 'a', replacement: '', replace: 'b' }]
  }
  for (const expression of [
    /a*/,
    /a?/,
    /(?:)/,
    /\b/,
    /^/,
    /(?=a)/,
    /a|/,
    /(?:a*)+/,
    /(a?)\1/,
    /a{0}/,
    /(?<=a)/
  ]) {
    wrong[`${expression}, which can match nothing`] = [{ match: expression, longest: 5, replacement: '' }]
  }
  // The compiler knows the flag `v` of later targets only.
  for (const source of [
    '\\b[\\q{falcon|osprey}]\\b',
    '[\\q{abc|}]',
    '[a[b\\q{cd}]]',
    '[\\\\\\q{cd}]',
    'x\\p{RGI_Emoji}',
    '\\p{Emoji_Keycap_Sequence}',
    '[\\p{L}\\p{RGI_Emoji_Flag_Sequence}]',
    '[\\p{RGI_Emoji}--\\p{L}]'
  ]) {
    const match = new RegExp(source, 'v')
    wrong[`${match}, which matches several characters as one`] = [{ match, longest: 5, replacement: '' }]
  }
  for (const [name, rules] of Object.entries(wrong)) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => redact(rules))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

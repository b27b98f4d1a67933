import { Readable } from 'node:stream'
import { expect } from 'chai'
import {
  accessKeys,
  cardNumbers,
  emailAddresses,
  ibans,
  type RedactionRule,
  redact
} from 'completion-streams'
import { all } from '../answers.js'
import { inPiecesOf } from '../pieces.js'

const pem = `-----BEGIN RSA PRIVATE KEY-----\n${`${'MIIEaB+/'.repeat(8)}\n`.repeat(2)}aB3=\n-----END RSA PRIVATE KEY-----`

const cases: Record<string, { rule: RedactionRule; shown: string; found: string[]; passed: string[] }> = {
  emailAddresses: {
    rule: emailAddresses,
    shown: '[e-mail address]',
    found: [
      'jane@example.com',
      'jane.doe+news@mail.example.co.uk',
      "o'brien_1@example.org",
      'müller@exämple.de',
      '用户@例子.广告',
      'a@b.museum',
      'अजय@डाटा.भारत',
      'ผู้ใช้@ตัวอย่าง.ไทย',
      'jose\u0301@example.com',
      'info@mu\u0308ller.de',
      'نام\u200cها@مثال\u200cها.ایران',
      `${'a'.repeat(64)}@example.com`
    ],
    passed: [
      'jane@',
      '@example.com',
      'jane@localhost',
      'a @ b.com',
      'user@@example.com',
      'x@.com',
      'lodash@4.17.21',
      'react@19.0.0-rc.1',
      'root@10.0.0.1',
      'https://example.com/@jane.doe'
    ]
  },
  cardNumbers: {
    rule: cardNumbers,
    shown: '[card number]',
    found: [
      '4111111111111111',
      '4111 1111 1111 1111',
      '4111-1111-1111-1111',
      '3782 822463 10005',
      '6304000000000000',
      '4222222222222',
      '4111.1111.1111.1111',
      '3782.822463.10005',
      '6212345678901232',
      '5555\u00a05555\u00a05555\u00a04444',
      '4111\u202f1111\u202f1111\u202f1111',
      '4111\u20091111\u20091111\u20091111',
      '4111\u20071111\u20071111\u20071111',
      '4111\u30001111\u30001111\u30001111',
      '4111\u20111111\u20111111\u20111111',
      '4111\u20101111\u20101111\u20101111',
      '4111 - 1111 - 1111 - 1111',
      '4111\u20131111\u20131111\u20131111',
      '4111_1111_1111_1111',
      '4111  1111  1111  1111',
      '4111\u200b1111\u200b1111\u200b1111',
      '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1',
      '4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1',
      '3056 930902 5904',
      '6212 3456 7890 0000 003',
      '621234 5678900000003',
      '2223 0000 4841 0010',
      '2200 0000 0000 0004',
      '4１11 1111 1111 1111',
      '４１１１\u3000１１１１\u3000１１１１\u3000１１１１',
      '٤١١١ ١١١١ ١١١١ ١١١١',
      '४१११११११११११११११'
    ],
    passed: [
      '4111111111111112',
      '1234 5678 9012 3456',
      '0000 0000 0000 0000',
      '411111111111',
      '12345678901234567890',
      'x4111111111111111',
      'карта4111111111111111',
      'κάρτα4111111111111111',
      '٣4111111111111111',
      '卡号4111111111111112',
      '4111.1111.1111.1112',
      '41111111.11111111',
      '3.14159265358979',
      '2024-01-05 2024-02-16',
      '1 2 3 4 5 6 7 8 9 10 11 16',
      '2019 2020 2021 2038',
      '1700000000004',
      '1234567812345670',
      '9876 5432 1098 7658',
      '41 11 11 11 11 11 11 11',
      '12345678-4111-1111-1111-411111111111'
    ]
  },
  ibans: {
    rule: ibans,
    shown: '[IBAN]',
    found: [
      'DE89370400440532013000',
      'DE89 3704 0044 0532 0130 00',
      'GB82 WEST 1234 5698 7654 32',
      'gb82west12345698765432',
      'NO9386011117947',
      'MT84MALT011000012345MTLCAST001S',
      'FR14-2004-1010-0505-0001-3M02-606',
      'DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00',
      'DE89\u20113704\u20110044\u20110532\u20110130\u201100'
    ],
    passed: [
      'DE89370400440532013001',
      'DE8937040044053201300',
      'ZZ89370400440532013000',
      'XDE89370400440532013000',
      'яDE89370400440532013000',
      '账号DE89370400440532013001'
    ]
  },
  accessKeys: {
    rule: accessKeys,
    shown: '[key]',
    found: [
      'sk-abcdefghijklmnopqrst1234',
      'sk-proj-AbC_123-defghijklmnop',
      'sk-ant-api03-abcdefghijkl-mnop',
      `gsk_${'a1'.repeat(20)}`,
      `xai-${'a1'.repeat(20)}`,
      pem,
      pem.replace(/\n/g, '\\n'),
      ['sk', 'live', 'abcdefghijklmnop1234'].join('_'),
      'AKIAIOSFODNN7EXAMPLE',
      'ASIAIOSFODNN7EXAMPLE',
      `ghp_${'a1'.repeat(18)}`,
      `github_pat_${'a1'.repeat(20)}`,
      `glpat-${'a1'.repeat(10)}`,
      `npm_${'a1'.repeat(18)}`,
      `hf_${'a1'.repeat(17)}`,
      `AIza${'a1'.repeat(17)}b`,
      ['xoxb', '1234567890', 'abcdef'].join('-'),
      ['xoxp', '1234567890', '1234567890'].join('-'),
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P',
      'Bearer abcdefghijklmnopqrstuvwxyz012345==',
      'bearer 0123456789abcdef0123456789abcdef',
      'sk-abcdefghijklmnopqrstuvwxyzABCDEFGHIJ',
      'sk-proj-abcdefghijklmnopqrstuvwxyzABCDEFGHIJ_kl-m'
    ],
    passed: [
      'sk-',
      'sk-short1',
      'sk-learn-contributors-guide',
      'AKIA',
      'task-management-of-2024-and-more',
      'ghp_short',
      'Bearer of bad news',
      'eyJ.a.b',
      'gsk_short',
      '-----BEGIN PRIVATE KEY----- is how it begins',
      '-----BEGIN PUBLIC KEY-----'
    ]
  }
}

describe('ready-made rules', () => {
  for (const [name, { rule, shown, found, passed }] of Object.entries(cases)) {
    for (const secret of found) {
      it(`${name} replaces ${secret.replace(/\u00a0/g, ' ')}, alone and in a sentence, at every size of the pieces`, async () => {
        for (const [before, behind] of [
          ['', ''],
          ['Here: ', ' and more.'],
          ['(', ')'],
          ['"', '",\n']
        ]) {
          const whole = `${before}${secret}${behind}`
          for (let size = 1; size <= whole.length; size++) {
            const texts = await all<string>(Readable.from(inPiecesOf(whole, size)), redact([rule]))
            expect(texts.join('')).to.equal(`${before}${shown}${behind}`)
          }
        }
      })
    }

    for (const text of passed) {
      it(`${name} leaves ${text} as it is`, async () => {
        const whole = `So: ${text} and so on`
        const texts = await all<string>(Readable.from(inPiecesOf(whole, 3)), redact([rule]))
        expect(texts.join('')).to.equal(whole)
      })
    }
  }

  it('accessKeys replaces a private key of full size, and one that is cut', async () => {
    const body = `${'MIIEaB+/'.repeat(8)}\n`.repeat(80)
    const cut = `Here: -----BEGIN PRIVATE KEY-----\n${body}`
    for (const [whole, shown] of [
      [`${cut}-----END PRIVATE KEY-----\nKeep it.`, 'Here: [key]\nKeep it.'],
      [cut, 'Here: [key]']
    ] as const) {
      const texts = await all<string>(Readable.from(inPiecesOf(whole, 7)), redact([accessKeys]))
      expect(texts.join('')).to.equal(shown)
    }
  })

  for (const [rule, whole, shown] of [
    [cardNumbers, '卡号4111111111111111。', '卡号[card number]。'],
    [cardNumbers, 'カード番号は4111 1111 1111 1111です', 'カード番号は[card number]です'],
    [cardNumbers, 'ナンバー4111-1111-1111-1111です', 'ナンバー[card number]です'],
    [cardNumbers, '카드번호4111111111111111입니다', '카드번호[card number]입니다'],
    [cardNumbers, 'หมายเลข4111111111111111', 'หมายเลข[card number]'],
    [cardNumbers, 'ที่4111111111111111', 'ที่[card number]'],
    [cardNumbers, 'رقم4111111111111111', 'رقم[card number]'],
    [cardNumbers, 'Nº4111111111111111', 'Nº[card number]'],
    [ibans, '账号DE89370400440532013000。', '账号[IBAN]。'],
    [ibans, '口座はGB82 WEST 1234 5698 7654 32です', '口座は[IBAN]です']
  ] as const) {
    it(`finds a number straight behind a letter of a script without case: ${whole}, at every cut`, async () => {
      for (let first = 0; first <= whole.length; first++)
        for (let second = first; second <= whole.length; second++) {
          const pieces = [whole.slice(0, first), whole.slice(first, second), whole.slice(second)]
          const texts = await all<string>(Readable.from(pieces), redact([rule]))
          expect(texts.join('')).to.equal(shown)
        }
    })
  }

  for (const [rule, whole, shown] of [
    [emailAddresses, '`jane@example.com`', '`[e-mail address]`'],
    [emailAddresses, '**jane@example.com**', '**[e-mail address]**'],
    [emailAddresses, '_jane@example.com_', '_[e-mail address]_'],
    [emailAddresses, '|jane@example.com|', '|[e-mail address]|'],
    [emailAddresses, '?email=jane@example.com&a=b', '?email=[e-mail address]&a=b'],
    [emailAddresses, "'jane@example.com'", "'[e-mail address]'"],
    [emailAddresses, '- jane@example.com/joe@example.org', '- [e-mail address]/[e-mail address]'],
    [cardNumbers, '`4111111111111111`', '`[card number]`'],
    [cardNumbers, '_4111111111111111_', '_[card number]_'],
    [cardNumbers, '|4111 1111 1111 1111|', '|[card number]|'],
    [accessKeys, `**sk-${'a1'.repeat(12)}**`, '**[key]**'],
    [accessKeys, `_sk-${'a1'.repeat(12)}_`, '[key]'],
    [accessKeys, `__ghp_${'a1'.repeat(18)}__`, '[key]'],
    [accessKeys, '_AKIAIOSFODNN7EXAMPLE_', '[key]_'],
    [accessKeys, `OPENAI_KEY_sk-${'a1'.repeat(12)}`, 'OPENAI_KEY[key]']
  ] as const) {
    it(`leaves the marks around what it replaces: ${whole}, at every cut`, async () => {
      for (let cut = 0; cut <= whole.length; cut++) {
        const pieces = [whole.slice(0, cut), whole.slice(cut)]
        const texts = await all<string>(Readable.from(pieces), redact([rule]))
        expect(texts.join('')).to.equal(shown)
      }
    })
  }

  it('cardNumbers finds the card among other numbers', async () => {
    const whole = 'No. 2024 12 31: 4111 1111 1111 1111 123, 12/28; 1111 2222 4111 1111 1111 1111'
    const texts = await all<string>(Readable.from(inPiecesOf(whole, 4)), redact([cardNumbers]))
    expect(texts.join('')).to.equal('No. 2024 12 31: [card number] 123, 12/28; 1111 2222 [card number]')
  })
})

import { expect } from 'chai'
import { ChoiceText } from '#lib/chunk/choice-text.js'
import type { TextKind } from '#lib/chunk/fields.js'

function delta(fields: object, index = 0): object {
  return { choices: [{ index, delta: fields, finish_reason: null }] }
}

/** What is read off chunks, one entry for each, and one for the end. */
function read(chunks: readonly object[], kind: TextKind = 'content', choice = 0): string[] {
  const reader = new ChoiceText(choice, kind)
  return [...chunks.map(chunk => reader.read(chunk)), reader.end()]
}

const thought = { extra_content: { google: { thought: true } } }

describe('ChoiceText', () => {
  it('holds the first half of a surrogate pair until the second comes', () => {
    const chunks = ['a\ud83d', '\ude00b', '\ud83d', '', '\ude00'].map(content => delta({ content }))
    expect(read(chunks)).to.deep.equal(['a', '😀b', '', '', '😀', ''])
  })

  it('holds it across what says nothing of the choice', () => {
    const chunks = [
      delta({ content: '\ud83d' }),
      { choices: [], usage: {} },
      delta({ content: 'x' }, 1),
      delta({ content: '\ude00' })
    ]
    expect(read(chunks).join('')).to.equal('😀')
  })

  it('gives half of a pair when the other never comes', () => {
    expect(read([delta({ content: 'a\ud83d' }), delta({ content: 'b' })])).to.deep.equal(['a', '\ud83db', ''])
    expect(read([delta({ content: '\ud83d' })])).to.deep.equal(['', '\ud83d'])
  })

  it('reads what Gemini marks as thoughts as reasoning, and takes the tags off', () => {
    const chunks = [
      delta({ content: '<thought>first', ...thought }),
      delta({ content: ' <thought>', ...thought }),
      delta({ content: '</thought>Hi' }),
      delta({ content: '</thought>' })
    ]
    expect(read(chunks).join('')).to.equal('Hi</thought>')
    expect(read(chunks, 'reasoning').join('')).to.equal('first <thought>')
  })

  it('knows when only another choice came', () => {
    const reader = new ChoiceText(0, 'content')
    reader.read({ choices: [] })
    expect(reader.onlyOther).to.equal(undefined)
    reader.read(delta({ content: 'a' }, 3))
    reader.read({ choices: [{ index: 2 }, { index: 1 }] })
    expect(reader.onlyOther).to.equal(3)
    reader.read({ choices: [{ index: 2 }, { index: 0 }] })
    expect(reader.onlyOther).to.equal(undefined)
  })
})

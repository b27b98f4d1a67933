import { expect } from 'chai'
import * as library from 'completion-streams'
import { Choice, cases } from './choice.js'
import { compare } from './differential.js'

describe('random streams', () => {
  it('are read as JSON.parse reads their payloads, whatever their form and their cuts', async () => {
    const count = cases(100_000, 1500)
    expect(await compare(library, new Choice('differential'), count)).to.equal(undefined)
    console.log(`      ${count} streams`)
  })
})

import { expect } from 'chai'
import { LongRace } from '#lib/long-race.js'
import { failureOf } from './helpers.js'

describe('a long race', () => {
  it('settles like the one that is settled first', async () => {
    let lose = (_error: Error) => {}
    const race = new LongRace(
      new Promise<never>((_resolve, reject) => {
        lose = reject
      })
    )
    expect(await race.against(Promise.resolve(1))).to.equal(1)
    const failure = new Error('a failure')
    expect(await failureOf(race.against(Promise.reject(failure)))).to.equal(failure)
    const loss = new Error('a loss')
    const waiting = failureOf(race.against(new Promise(() => {})))
    lose(loss)
    expect(await waiting).to.equal(loss)
    // Over is over.
    expect(await failureOf(race.against(new Promise(() => {})))).to.equal(loss)
    expect(race.isOver).to.equal(true)
  })

  it('keeps nothing of what is over', async () => {
    const race = new LongRace(new Promise<never>(() => {}))
    await Promise.all(Array.from({ length: 1000 }, (_, place) => race.against(Promise.resolve(place))))
    expect(race.size).to.equal(0)
  })
})

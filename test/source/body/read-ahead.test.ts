import { Readable } from 'node:stream'
import { expect } from 'chai'
import { fromResponse } from 'completion-streams'
import { settle } from '../../answers.js'

const piece = Buffer.alloc(16 * 1024, ': comment\n')

/** A source whose body never ends, and that is read once. */
function open(highWaterMark?: number) {
  const body = new Readable({ read: () => void body.push(piece) })
  const source = fromResponse(body, highWaterMark === undefined ? {} : { highWaterMark })
  source.once('readable', () => {})
  return source
}

/** How much a source has read ahead when nothing moves any more. */
async function ahead(sources: readonly Readable[]): Promise<number[]> {
  for (let before = -1, now = 0; before !== now; ) {
    before = now
    await settle(200)
    now = sources.reduce((sum, { readableLength }) => sum + readableLength, 0)
  }
  return sources.map(({ readableLength }) => readableLength)
}

describe('what sources read ahead', () => {
  it('is 1 MiB for one, and a share of 64 MiB for each of many, but 64 KiB at least', async () => {
    const one = open()
    expect(await ahead([one])).to.deep.equal([1024 * 1024])
    const many = Array.from({ length: 255 }, () => open())
    const lengths = await ahead(many)
    expect(Math.max(...lengths.slice(128))).to.be.at.most(512 * 1024 + piece.length)
    expect(Math.min(...lengths)).to.be.at.least(64 * 1024)
    for (const source of [one, ...many]) source.destroy()
    await settle()
    const again = open()
    expect(await ahead([again])).to.deep.equal([1024 * 1024])
    again.destroy()
  })

  it('is what each was told, where it was', async () => {
    const sources = Array.from({ length: 100 }, () => open(200_000))
    for (const length of await ahead(sources)) expect(length).to.be.within(200_000, 200_000 + piece.length)
    for (const source of sources) source.destroy()
  })
})

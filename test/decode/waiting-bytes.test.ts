import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { toChunks, toEvents } from 'completion-streams'
import { turns } from '../helpers.js'
import { eventStream, inPiecesOf } from '../pieces.js'

const said = { choices: [{ index: 0, delta: { content: 'x'.repeat(1000) }, finish_reason: null }] }
const body = Buffer.from(eventStream(...Array.from({ length: 2000 }, () => said), '[DONE]'))

for (const [name, make] of Object.entries({ toEvents, toChunks })) {
  describe(`${name}, before a sink that takes nothing`, () => {
    for (const size of [65_536, 16_384, 1024]) {
      it(`lets no more than a read and 16 KB wait, in reads of ${size} bytes`, async () => {
        let taken = 0
        const source = Readable.from(inPiecesOf(body, size), { highWaterMark: 1 })
        source.on('data', (bytes: Buffer) => {
          taken += bytes.length
        })
        const sink = new Writable({ objectMode: true, highWaterMark: 1, write() {} })
        source.pipe(make()).pipe(sink)
        await turns(50)
        // Beside what waits: what is on its way behind it, sixteen records and those of one read.
        expect(taken).to.be.below(16_384 + 3 * size + 40_000)
      })

      it(`goes on as soon as it is taken, in reads of ${size} bytes`, async () => {
        let count = 0
        const sink = new Writable({
          objectMode: true,
          highWaterMark: 1,
          write(_item, _encoding, callback) {
            count++
            setImmediate(callback)
          }
        })
        await pipeline(Readable.from(inPiecesOf(body, size)), make(), sink)
        expect(count).to.equal(name === 'toChunks' ? 2000 : 2001)
      })
    }

    it('takes strings and bytes in turn', async () => {
      const pieces = inPiecesOf(body, 20_000).map((piece, n) => (n % 2 ? piece : piece.toString()))
      let count = 0
      await pipeline(Readable.from(pieces), make(), async source => {
        for await (const _ of source) {
          count++
          await turns(1)
        }
      })
      expect(count).to.be.at.least(2000)
    })
  })
}

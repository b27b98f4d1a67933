import { expect } from 'chai'
import { toChunks, toEvents } from 'completion-streams'
import { decoded, LargeBytes } from '#lib/decode/bytes/large-bytes.js'
import { inPiecesOf, outcomeOf } from '../../pieces.js'

const mebibyte = 2 ** 20

describe('LargeBytes', () => {
  it('gives what was added, once', () => {
    const large = new LargeBytes(20 * mebibyte)
    for (let n = 0; n < 10; n++) expect(large.add(Buffer.alloc(mebibyte, String(n)))).to.equal(true)
    expect(large.length).to.equal(10 * mebibyte)
    const text = large.take(decoded)
    expect(text).to.equal(Array.from({ length: 10 }, (_, n) => String(n).repeat(mebibyte)).join(''))
    expect(large.length).to.equal(0)
    expect(large.take(decoded)).to.equal('')
    large.add(Buffer.from('é'))
    expect(large.take(decoded)).to.equal('é')
  })

  it('takes no more than it may', () => {
    const large = new LargeBytes(3)
    expect(large.add(Buffer.from('abcd'))).to.equal(false)
    expect(large.add(Buffer.from('abc'))).to.equal(true)
    expect(large.add(Buffer.from('d'))).to.equal(false)
    expect(large.take(decoded)).to.equal('abc')
  })
})

describe('toChunks and toEvents, of an event of more than 16 MiB', () => {
  const content = 'é𝄞 tides '.repeat(1_300_000)
  const small = 'data: {"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}'
  const data = JSON.stringify({ choices: [{ index: 0, delta: { content } }] })
  const largeSize = Buffer.byteLength(`data: ${data}`)

  for (const end of ['\n', '\r\n', '\r']) {
    for (const size of end === '\n' ? [9999, 65_536] : [65_536]) {
      it(`read it whole, with ${JSON.stringify(end)} in reads of ${size} bytes`, async () => {
        const body = [small, '', `data: ${data}`, '', small, '', ''].join(end)
        const pieces = inPiecesOf(Buffer.from(body), size)
        const { items, error } = await outcomeOf<object>(pieces, toChunks())
        expect(error).to.equal(undefined)
        expect(items).to.have.length(3)
        expect(JSON.stringify(items[1]) === data).to.equal(true)
        const events = await outcomeOf<{ data: string }>(pieces, toEvents({ maxEventSize: largeSize }))
        expect(events.error).to.equal(undefined)
        expect(events.items[1]?.data === data).to.equal(true)
        expect(events.items).to.have.length(3)
      })
    }
  }

  it('fail with CS_ERR_EVENT_TOO_LARGE where it is larger than maxEventSize', async () => {
    for (const tail of ['\n\n', '']) {
      const pieces = inPiecesOf(Buffer.from(`${small}\n\ndata: ${data}${tail}`), 65_536)
      const { items, error } = await outcomeOf(pieces, toEvents({ maxEventSize: largeSize - 1 }))
      expect(items).to.have.length(1)
      expect(error?.code).to.equal('CS_ERR_EVENT_TOO_LARGE')
    }
  })

  it('tell of one that breaks off, with what there was', async () => {
    const pieces = inPiecesOf(Buffer.from(`${small}\n\ndata: ${data.slice(0, -5)}`), 65_536)
    const { error } = await outcomeOf(pieces, toChunks())
    expect(error?.code).to.equal('CS_ERR_TRUNCATED')
    expect(error?.residue === data.slice(0, -5)).to.equal(true)
  })

  it('replace what is no UTF-8 in it', async () => {
    const bytes = Buffer.concat([
      Buffer.from(`data: {"a":"${'x'.repeat(17_000_000)}`),
      Buffer.from([0xff]),
      Buffer.from('"}\n\n')
    ])
    const { items } = await outcomeOf<{ data: string }>(inPiecesOf(bytes, 65_536), toEvents())
    expect(items[0]?.data.endsWith('x\ufffd"}')).to.equal(true)
  })
})

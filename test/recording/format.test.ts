import { expect } from 'chai'
import fc from 'fast-check'
import { type Entry, entryOf, lineOf, looksRecorded } from '#lib/recording/format.js'

describe('the format of recordings', () => {
  it('keeps any bytes of a piece', () => {
    fc.assert(
      fc.property(fc.uint8Array(), bytes => {
        const entry = entryOf(lineOf({ kind: 'piece', at: 1, bytes }))
        expect(entry).to.deep.equal({ kind: 'piece', at: 1, bytes: Buffer.from(bytes) })
      })
    )
  })

  it('shows text as text, and a piece that is cut within a character in base64', () => {
    const euro = Buffer.from('data: €')
    expect(lineOf({ kind: 'piece', at: 1.23456, bytes: euro })).to.equal('{"at":1.235,"text":"data: €"}\n')
    expect(lineOf({ kind: 'piece', at: 2, bytes: euro.subarray(0, -1) })).to.equal(
      '{"at":2,"base64":"ZGF0YTog4oI="}\n'
    )
  })

  const entries: Entry[] = [
    { kind: 'beginning', began: '2026-11-26T12:00:00.000Z' },
    { kind: 'head', at: 0, status: 200, headers: { 'content-type': 'text/event-stream' } },
    { kind: 'end', at: 2, end: 'end' },
    { kind: 'end', at: 2, end: 'cut', error: { name: 'Error', message: 'gone', code: 'ECONNRESET' } }
  ]
  for (const entry of entries) {
    it(`reads what it wrote: ${lineOf(entry).trim()}`, () => {
      expect(entryOf(lineOf(entry))).to.deep.equal(entry)
    })
  }

  it('reads the beginning that a new process appended to a half line', () => {
    const entry = entryOf(`{"at":1,"text":"data: {\\"recording\\":{"recording":1,"began":"now"}`)
    expect(entry).to.deep.equal({ kind: 'beginning', began: 'now' })
  })

  it('skips blank lines, and lines of a kind that it does not know', () => {
    expect(entryOf('')).to.equal(undefined)
    expect(entryOf('{"at":1,"trailers":{}}')).to.equal(undefined)
  })

  for (const line of [
    'data: {}',
    '[1]',
    '{"at":-1,"text":""}',
    '{"text":"a"}',
    '{"recording":2}',
    'null',
    '{"at":1,"base64":"ZGF0*TogoII="}',
    '{"at":1,"base64":"ZGF0Y"}',
    '{"at":1e300,"text":"a"}'
  ]) {
    it(`fails with CS_ERR_INVALID_RECORDING for the line ${line}`, () => {
      expect(() => entryOf(line))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_RECORDING')
    })
  }

  it('knows the beginning of a recording', () => {
    expect(looksRecorded('{"recording":1')).to.equal(true)
    expect(looksRecorded('data: {"recording":1')).to.equal(false)
  })
})

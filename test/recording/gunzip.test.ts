import { once } from 'node:events'
import { Readable } from 'node:stream'
import { constants, createGzip, gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { CompletionError, replay } from 'completion-streams'
import { lineOf } from '#lib/recording/format.js'
import { unpacked } from '#lib/recording/gunzip.js'
import { run } from '../answers.js'

/** What comes of packed bytes, and what it fails with. */
async function unpack(packed: Uint8Array, size = packed.length): Promise<{ text: string; error?: unknown }> {
  const pieces: Uint8Array[] = []
  const blocks = Readable.from(
    Array.from({ length: Math.ceil(packed.length / size) }, (_, at) =>
      packed.subarray(at * size, (at + 1) * size)
    )
  )
  try {
    for await (const piece of unpacked(blocks)) pieces.push(piece)
  } catch (error) {
    return { text: Buffer.concat(pieces).toString(), error }
  }
  return { text: Buffer.concat(pieces).toString() }
}

/** Packed as `record` does it: every line is flushed. */
async function packedByLine(lines: readonly string[]): Promise<Buffer> {
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
  const found: Buffer[] = []
  gzip.on('data', piece => void found.push(piece))
  for (const line of lines) await new Promise(resolve => gzip.write(line, resolve))
  await once(gzip.end(), 'end')
  return Buffer.concat(found)
}

function damagedAt(packed: Uint8Array, at: number, bits = 0xff): Uint8Array {
  const copy = Buffer.from(packed)
  copy[at] = (copy[at] ?? 0) ^ bits
  return copy
}

const lines = [
  lineOf({ kind: 'beginning', began: '' }),
  ...Array.from({ length: 40 }, (_, at) =>
    lineOf({ kind: 'piece', at, bytes: Buffer.from(`piece ${at} of ${Math.sqrt(at)}\n`) })
  ),
  lineOf({ kind: 'end', at: 41, end: 'end' })
]
const whole = lines.join('')

describe('unpacked', () => {
  for (const size of [1, 100, 100_000]) {
    it(`gives what was packed, in blocks of ${size} bytes`, async () => {
      expect(await unpack(gzipSync(whole), size)).to.deep.equal({ text: whole })
    })
  }

  it('gives files one behind the other, and much that was packed into little', async () => {
    expect(await unpack(Buffer.concat([gzipSync('a'), gzipSync('b')]))).to.deep.equal({ text: 'ab' })
    const long = 'a'.repeat(20_000_000)
    expect((await unpack(gzipSync(long))).text).to.equal(long)
  })

  it('ignores zeros behind the end, as gzip itself does', async () => {
    for (const size of [1, 100_000])
      expect(await unpack(Buffer.concat([gzipSync(whole), Buffer.alloc(10_000)]), size)).to.deep.equal({
        text: whole
      })
  })

  it('gives all that there is of a file that was cut', async () => {
    const packed = await packedByLine(lines)
    let last = ''
    for (let length = 2; length < packed.length; length += 7) {
      const { text, error } = await unpack(packed.subarray(0, length))
      expect(error).to.equal(undefined)
      expect(whole.startsWith(text)).to.equal(true)
      expect(text.length).to.be.at.least(last.length)
      last = text
    }
    expect(last).to.equal(whole)
  })

  it('gives all that stands before the damage, byte by byte, and then fails', async () => {
    // A flushed block begins with its type, of which one is invalid.
    const before = await packedByLine(lines.slice(0, 20))
    const behind = before.subarray(0, before.length - 10)
    for (const size of [3, 100_000]) {
      const { text, error } = await unpack(Buffer.concat([behind, Buffer.from([0x07, 1, 2, 3])]), size)
      expect(text).to.equal(lines.slice(0, 20).join(''))
      expect(error).to.be.instanceOf(CompletionError)
      expect(error).to.have.property('code', 'CS_ERR_INVALID_RECORDING')
      expect(error).to.have.nested.property('cause.code', 'Z_DATA_ERROR')
    }
  })

  it('gives no end of a recording whose checksum is wrong', async () => {
    const packed = gzipSync(whole)
    const { text, error } = await unpack(damagedAt(packed, packed.length - 6))
    expect(text).to.equal(lines.slice(0, -1).join(''))
    expect(error).to.have.property('code', 'CS_ERR_INVALID_RECORDING')
  })

  it('fails with what its source fails with', async () => {
    const reason = new Error('the disk is gone')
    async function* source() {
      yield gzipSync(whole).subarray(0, 20)
      throw reason
    }
    const reading = (async () => {
      for await (const _piece of unpacked(source()));
    })()
    expect(await reading.catch(error => error)).to.equal(reason)
  })

  it('makes no replay whole that is not, wherever the file is damaged', async () => {
    for (const packed of [gzipSync(whole), await packedByLine(lines)]) {
      const good = (await run<Buffer>(replay(Readable.from([packed]), { speed: Infinity }))).items.join('')
      // The times in the head of gzip, and what it says of the system, may be anything.
      for (let at = 10; at < packed.length; at += 29) {
        const file = Readable.from([damagedAt(packed, at, 1 << (at % 8))])
        const { items, error } = await run<Buffer>(replay(file, { speed: Infinity }))
        if (error) expect(error).to.be.instanceOf(CompletionError)
        else expect(items.join('')).to.equal(good)
      }
    }
  })
})

import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect } from 'chai'
import { type Body, type BodyReader, nextPiece, readerOf } from '#lib/source/body/body.js'
import { allowNoComplaints, failureOf, turns, withFolder } from '../../helpers.js'

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

async function readAll(reader: BodyReader): Promise<string> {
  let text = ''
  for (let piece = await nextPiece(reader); piece !== undefined; piece = await nextPiece(reader)) {
    text += typeof piece === 'string' ? piece : Buffer.from(piece).toString()
  }
  return text
}

const bodies: Record<string, () => Body> = {
  'a Node stream': () => Readable.from(pieces('one ', 'two ', 'three')),
  // The DOM's type of a web stream and node's are one thing under two names.
  'a web stream': () => new Response('one two three').body as Body,
  'an async iterable': () => pieces('one ', 'two ', 'three')
}

describe('readerOf', () => {
  allowNoComplaints()

  for (const [name, body] of Object.entries(bodies)) {
    it(`reads ${name} to its end`, async () => {
      const reader = readerOf(body())
      expect(await readAll(reader)).to.equal('one two three')
    })

    it(`lets go of ${name} before, during and after a read, and twice`, async () => {
      const before = readerOf(body())
      before.cancel()
      before.cancel()
      const reader = readerOf(body())
      await nextPiece(reader)
      reader.cancel()
      reader.cancel(new Error('a reason'))
      const after = readerOf(body())
      await readAll(after)
      after.cancel()
      await turns(3)
    })
  }

  it('gives what a Node stream has buffered before it tells of its error', async () => {
    const body = new PassThrough()
    body.write('arrived')
    await turns(1)
    const reader = readerOf(body)
    const failure = new Error('died')
    body.destroy(failure)
    expect(String(await nextPiece(reader))).to.equal('arrived')
    expect(await failureOf(nextPiece(reader))).to.equal(failure)
  })

  it('tells of the error of a Node stream that failed before it was given', async () => {
    const failure = new Error('died')
    const body = new PassThrough().on('error', () => {})
    body.destroy(failure)
    await turns(1)
    expect(await failureOf(nextPiece(readerOf(body)))).to.equal(failure)
  })

  it('ends at once for a Node stream that was read to its end before', async () => {
    const body = Readable.from(['all'])
    await body.toArray()
    expect(await nextPiece(readerOf(body))).to.equal(undefined)
  })

  it('fails with CS_ERR_TRUNCATED when a Node stream is closed before its end', async () => {
    const body = new PassThrough()
    const reader = readerOf(body)
    const failure = failureOf(nextPiece(reader))
    body.destroy()
    expect((await failure).code).to.equal('CS_ERR_TRUNCATED')
  })

  it('fails with CS_ERR_TRUNCATED for a Node stream that was closed before it was given', async () => {
    const body = new PassThrough()
    body.destroy()
    await turns(1)
    expect((await failureOf(nextPiece(readerOf(body)))).code).to.equal('CS_ERR_TRUNCATED')
  })

  it('reads a file', () =>
    withFolder(async folder => {
      const path = join(folder, 'body.txt')
      await writeFile(path, 'on disk')
      expect(await readAll(readerOf(createReadStream(path)))).to.equal('on disk')
    }))

  it('rejects with what an async iterable throws', async () => {
    const failure = new Error('thrown')
    const next = () => Promise.reject(failure)
    const reader = readerOf({ [Symbol.asyncIterator]: () => ({ next }) })
    expect(await failureOf(nextPiece(reader))).to.equal(failure)
  })

  it('returns from an async iterable whose return fails, or that has none', async () => {
    const next = async () => ({ done: false as const, value: 'x' })
    const failing = {
      next,
      return() {
        throw new Error('will not return')
      }
    }
    for (const iterator of [failing, { next }]) {
      const reader = readerOf({ [Symbol.asyncIterator]: () => iterator })
      expect(await nextPiece(reader)).to.equal('x')
      reader.cancel()
      await turns(2)
    }
  })

  it('refuses what is no body with CS_ERR_INVALID_OPTION', () => {
    // A caller without a compiler may pass anything.
    expect(() => readerOf({} as Body))
      .to.throw()
      .with.property('code', 'CS_ERR_INVALID_OPTION')
  })
})

import { expect } from 'chai'
import type { Chunk } from 'completion-streams'
import fc from 'fast-check'
import { ChunkParser } from '#lib/decode/chunk-parser.js'
import { EventParser } from '#lib/decode/sse/event-parser.js'
import { ClientBytes } from '#lib/source/client-bytes.js'
import { endMark, finishEvent, textEvent } from '../helpers.js'
import { cutAt, places } from '../pieces.js'

/** What a client is given of a body, cut at places, and the chunks that were read of it. */
function givenOf(body: string, cuts: readonly number[] = []): { text: string; chunks: Chunk[] } {
  const given = new ClientBytes()
  const chunks: Chunk[] = []
  const options = { onInvalid: 'fail', onCut: 'pass', requireEnd: true, choices: 0, maxChoices: 9 } as const
  const parser = new ChunkParser(
    { ...options, maxEventSize: 1e6 },
    {
      onChunk(chunk) {
        chunks.push(chunk)
        given.addChunk(chunk)
      },
      onSkip() {}
    }
  )
  const out: Uint8Array[] = []
  const decoder = new TextDecoder()
  for (const bytes of cutAt(Buffer.from(body), cuts)) {
    for (const part of given.cut(bytes)) {
      parser.feed(decoder.decode(part.bytes, { stream: true }))
      given.add(part, { isFailing: false, isFollowed: false })
    }
    out.push(given.take() ?? Buffer.alloc(0))
  }
  parser.end()
  out.push(given.takeLast(true, parser.hasEndMark) ?? Buffer.alloc(0))
  return { text: Buffer.concat(out).toString(), chunks }
}

/** What a strict reader finds in it. */
function strictlyRead(text: string): unknown[] {
  const found: unknown[] = []
  const parser = new EventParser(1e6, {
    onEvent: data => void found.push(data === '[DONE]' ? data : JSON.parse(data))
  })
  parser.feed(text)
  return found
}

const json = (event: string) => event.slice('data: '.length).trimEnd()

const parts = [
  textEvent('Hé '),
  textEvent('😀'),
  textEvent('a').replaceAll('\n', '\r\n'),
  textEvent('b').replaceAll('\n', '\r'),
  textEvent('c').slice(0, -1),
  `${json(textEvent('d'))}\n`,
  `ata: ${json(textEvent('e'))}\n\n`,
  ': comment\n\n',
  'id: 5\n',
  'data: null\n\n',
  'event: ping\ndata: ping\n\n',
  'data: {}\n\n',
  'event: ping\n\n',
  'x-meta: 1\n',
  '\n'
]

describe('ClientBytes', () => {
  it('gives bytes as they are, however they are cut, where each event is one chunk', () => {
    const body = `: é\n\n${textEvent('Hé ')}id: 7\n${textEvent('😀')}\n${finishEvent}${endMark}`
    fc.assert(fc.property(places, cuts => givenOf(body, cuts).text === body))
  })

  it('gives a strict reader the chunks that were read, of any parts, however they are cut', () => {
    const bodies = fc.array(fc.constantFrom(...parts), { maxLength: 8 }).map(chosen => chosen.join(''))
    fc.assert(
      fc.property(bodies, places, (middle, cuts) => {
        const body = `${textEvent('Hi')}${middle}\n${finishEvent}${endMark}`
        const { text, chunks } = givenOf(body, cuts)
        expect(strictlyRead(text)).to.deep.equal([...chunks, '[DONE]'])
      }),
      { numRuns: 1000 }
    )
  })

  it('takes bytes that end within the name of an event', () => {
    const [first = '', second = ''] = ['a', 'b'].map(delta => {
      const type = 'response.output_text.delta'
      return `event: ${type}\ndata: ${JSON.stringify({ type, delta, item_id: 'm', output_index: 0 })}\n\n`
    })
    const end = `data: ${JSON.stringify({ type: 'response.completed', response: { status: 'completed' } })}\n\n`
    const body = first + second + end
    for (let cut = 0; cut < body.length; cut++) expect(givenOf(body, [cut]).text).to.equal(body)
    const unnamed = end + second.slice(0, 9)
    expect(new ClientBytes().cut(Buffer.from(unnamed)).map(({ isWhole }) => isWhole)).to.deep.equal([
      true,
      false
    ])
  })

  it('gives each event as soon as it is whole', () => {
    const given = new ClientBytes()
    const [first, second] = [textEvent('a'), textEvent('b')].map(event => Buffer.from(event))
    if (!first || !second) throw new Error('no events')
    for (const part of given.cut(Buffer.concat([first, second.subarray(0, 9)]))) {
      if (part.isWhole) given.addChunk(JSON.parse(json(part.bytes.toString())))
      given.add(part, { isFailing: false, isFollowed: false })
    }
    expect(Buffer.from(given.take() ?? []).toString()).to.equal(first.toString())
    expect(given.take()).to.equal(undefined)
  })
})

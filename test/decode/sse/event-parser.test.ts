import { expect } from 'chai'
import fc from 'fast-check'
import { EventParser, type ServerSentEvent, serverSentEvent } from '#lib/decode/sse/event-parser.js'
import { CompletionError } from '#lib/errors.js'
import { cutAt, inPiecesOf, places } from '../../pieces.js'

interface Parsed {
  events: ServerSentEvent[]
  last: ServerSentEvent | undefined
  code?: string
}

function parse(pieces: Iterable<string>, maxEventSize = Infinity): Parsed {
  const events: ServerSentEvent[] = []
  const parser = new EventParser(maxEventSize, {
    onEvent: (data, event, id) => events.push(serverSentEvent(data, event, id))
  })
  try {
    for (const piece of pieces) parser.feed(piece)
    return { events, last: parser.end() }
  } catch (error) {
    if (!(error instanceof CompletionError)) throw error
    return { events, last: undefined, code: error.code }
  }
}

/** The standard's algorithm (9.2.6), sentence by sentence, over a text that is there as a whole. */
function parseByTheStandard(text: string): Parsed {
  const events: ServerSentEvent[] = []
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  let data = ''
  let hasData = false
  let type = ''
  let id = ''
  const event = () => ({ data: data.slice(0, -1), ...(type && { event: type }), ...(id && { id }) })
  lines.forEach((line, number) => {
    const isUnfinished = number === lines.length - 1
    if (line === '') {
      if (isUnfinished) return
      if (hasData) events.push(event())
      data = ''
      hasData = false
      type = ''
    } else if (!line.startsWith(':')) {
      const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? []
      if (field === 'event') type = value
      if (field === 'id' && !value.includes('\0')) id = value
      if (field === 'data') {
        data += `${value}\n`
        hasData = true
      }
    }
  })
  return { events, last: hasData ? event() : undefined }
}

const wirePart = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\n\r\n') },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'data',
      'event',
      'id',
      'retry',
      'Data',
      'data ',
      ':',
      ': ',
      ' ',
      '\0',
      '\uFEFF'
    )
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 5 }) }
)
const wireText = fc.array(wirePart, { maxLength: 30 }).map(parts => parts.join(''))

describe('EventParser', () => {
  it('gives an event at its blank line, not before', () => {
    const datas: string[] = []
    const parser = new EventParser(Infinity, { onEvent: data => datas.push(data) })
    parser.feed('data: a\n')
    expect(datas).to.deep.equal([])
    parser.feed('\n')
    expect(datas).to.deep.equal(['a'])
  })

  it('joins data lines with LF, whatever ends them', () => {
    expect(parse(['data: a\r\ndata\rdata: b\n\n']).events).to.deep.equal([{ data: 'a\n\nb' }])
  })

  it('removes one space after the colon, not two, and no tab', () => {
    expect(
      parse(['data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n']).events.map(({ data }) => data)
    ).to.deep.equal(['a', 'a', ' a', '\ta'])
  })

  it('keeps colons and spaces within a value', () => {
    expect(parse(['data: a: b : \n\n']).events).to.deep.equal([{ data: 'a: b : ' }])
  })

  it('takes a field without a colon for one with an empty value', () => {
    expect(parse(['data\n\n', 'data\ndata\n\n']).events).to.deep.equal([{ data: '' }, { data: '\n' }])
  })

  it('gives the event its name, and the next one none', () => {
    expect(parse(['event: a\nevent: b\ndata: 1\n\ndata: 2\n\n']).events).to.deep.equal([
      { data: '1', event: 'b' },
      { data: '2' }
    ])
  })

  it('gives no event without data, and forgets its name', () => {
    expect(parse(['event: a\n\ndata: 1\n\n']).events).to.deep.equal([{ data: '1' }])
  })

  it('keeps the last id for the events behind it, until an empty one', () => {
    expect(parse(['id: 7\n\ndata: 1\n\ndata: 2\nid\n\n']).events).to.deep.equal([
      { data: '1', id: '7' },
      { data: '2' }
    ])
  })

  it('ignores an id that holds NUL', () => {
    expect(parse(['id: 7\nid: 8\0\ndata: 1\n\n']).events).to.deep.equal([{ data: '1', id: '7' }])
  })

  it('ignores comments, unknown fields, and names in other letters', () => {
    const text =
      ': OPENROUTER PROCESSING\n:\n:data: 0\nretry: 10\nfoo: 1\nDATA: 2\n data: 3\ndata : 4\ndata: 5\n\n'
    expect(parse([text]).events).to.deep.equal([{ data: '5' }])
  })

  it('calls back for lines that are no field of the standard, comments and blank lines apart', () => {
    const lines: string[] = []
    const parser = new EventParser(Infinity, { onEvent() {}, onStrayLine: line => lines.push(line) })
    parser.feed(': c\nretry: 1\nid: 1\nevent: e\ndata: d\nerror: {"a":1}\n<html>\n\n')
    expect(lines).to.deep.equal(['error: {"a":1}', '<html>'])
  })

  it('gives back an event that lacks its blank line at the end', () => {
    expect(parse(['id: 1\nevent: a\ndata: x\ndata: y']).last).to.deep.equal({
      data: 'x\ny',
      event: 'a',
      id: '1'
    })
    expect(parse(['data: x\n']).last).to.deep.equal({ data: 'x' })
    expect(parse(['event: a\n']).last).to.equal(undefined)
    expect(parse(['data: x\n\n']).last).to.equal(undefined)
  })

  it('parses as the standard has it, however the text is cut', () => {
    fc.assert(
      fc.property(wireText, places, (text, cuts) => {
        expect(parse(cutAt(text, cuts))).to.deep.equal(parseByTheStandard(text))
      }),
      { numRuns: 2000 }
    )
  })

  describe('maxEventSize', () => {
    // 5 + 7 + 15 bytes: line ends are not counted.
    const text = 'id: 1\nevent:x\ndata: é€😀\n\n'

    for (const size of [1, 2, 5, text.length]) {
      it(`accepts an event of exactly that many bytes in pieces of ${size}`, () => {
        const pieces = inPiecesOf(text + text, size)
        expect(parse(pieces, 27).events).to.have.length(2)
      })

      it(`fails with CS_ERR_EVENT_TOO_LARGE for one byte more in pieces of ${size}`, () => {
        const pieces = inPiecesOf(`data: before\n\n${text}`, size)
        const event = { data: 'before' }
        expect(parse(pieces, 26)).to.deep.equal({
          events: [event],
          last: undefined,
          code: 'CS_ERR_EVENT_TOO_LARGE'
        })
      })
    }

    it('names the limit in the error', () => {
      const parser = new EventParser(9, { onEvent() {} })
      expect(() => parser.feed('data: 1234'))
        .to.throw(CompletionError, 'larger than 9 bytes')
        .that.includes({ code: 'CS_ERR_EVENT_TOO_LARGE', limit: 9 })
    })

    it('refuses what is too large before its line has ended', () => {
      expect(parse(['data: ', '12345'], 10).code).to.equal('CS_ERR_EVENT_TOO_LARGE')
    })

    it('counts each event from its own beginning, and comments with none', () => {
      const events = 'data: 123\n\n'.repeat(100)
      const comments = ': 7890123\n'.repeat(100)
      expect(parse([events, comments, events], 9).events).to.have.length(200)
    })

    it('counts fields without data and unknown fields too', () => {
      expect(parse(['x\n'.repeat(11)], 10).code).to.equal('CS_ERR_EVENT_TOO_LARGE')
      expect(parse(['data\n'.repeat(3)], 10).code).to.equal('CS_ERR_EVENT_TOO_LARGE')
    })

    it('accepts and refuses the same however the text is cut', () => {
      fc.assert(
        fc.property(wireText, places, fc.integer({ min: 1, max: 40 }), (text, cuts, limit) => {
          expect(parse(cutAt(text, cuts), limit)).to.deep.equal(parse([text], limit))
        }),
        { numRuns: 2000 }
      )
    })
  })
})

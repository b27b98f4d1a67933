import { expect } from 'chai'
import { EventScanner } from '#lib/decode/sse/event-scanner.js'

function scannerOf(text: string, maxEventSize = Number.POSITIVE_INFINITY): EventScanner {
  const scanner = new EventScanner(maxEventSize)
  // Behind other bytes, as a room that is used again has them.
  const bytes = Buffer.from(text)
  scanner.load(Buffer.concat([bytes, Buffer.from('é\n\ndata: {}\n\n')]), bytes.length)
  return scanner
}

/** The names and the data of the events that are found, and what is left. */
function scan(scanner: EventScanner): { found: string[]; rest: string } {
  const found: string[] = []
  while (scanner.find()) {
    found.push(`${scanner.event}:${scanner.data()}`)
    scanner.take()
  }
  return { found, rest: scanner.bytes.read(scanner.at, scanner.bytes.length) }
}

describe('EventScanner', () => {
  for (const end of ['\n', '\r\n']) {
    it(`finds events whose lines end in ${JSON.stringify(end)}`, () => {
      const text = [`data: {"a":1}`, '', 'event: é', 'data: {"b":"漢"}', '', ''].join(end)
      expect(scan(scannerOf(text))).to.deep.equal({ found: [':{"a":1}', 'é:{"b":"漢"}'], rest: '' })
    })
  }

  for (const [text, found] of [
    ['data: {"a":1}\r\n\n', ':{"a":1}'],
    ['data: {"a":1}\n\r\n', ':{"a":1}'],
    ['event: a\r\ndata: {"a":1}\n\n', 'a:{"a":1}'],
    ['event: \ndata: {}\n\n', ':{}'],
    ['event:  a \ndata: {} \n\n', ' a :{} '],
    ['event: a: b\ndata: {"data: {}":": "}\n\n', 'a: b:{"data: {}":": "}'],
    ['data: {"a":"\u2028\u0085\ufeff\0"}\n\n', ':{"a":"\u2028\u0085\ufeff\0"}'],
    ['data: {no JSON\n\n', ':{no JSON']
  ] as const) {
    it(`finds the event in ${JSON.stringify(text)}`, () => {
      expect(scan(scannerOf(text))).to.deep.equal({ found: [found], rest: '' })
    })
  }

  for (const text of [
    'data: {"a":1}',
    'data: {"a":1}\n',
    'data: {"a":1}\r\n\r',
    'data: {"a":1}\n\r',
    'data: {"a":1}\n\rdata: {}\n\n',
    'data: {"a":1}\ndata: {"b":2}\n\n',
    'data: {"a":1}\nid: 1\n\n',
    'data:{"a":1}\n\n',
    'data: [DONE]\n\n',
    'data: null\n\n',
    'data: \n\n',
    ' data: {}\n\n',
    '\ndata: {}\n\n',
    ': comment\n\n',
    'id: 1\ndata: {}\n\n',
    'event:x\ndata: {}\n\n',
    'event: x\n\n',
    'event: x\rdata: {}\ndata: {}\n\n',
    'event: x',
    'data: {}\r\r',
    ''
  ]) {
    it(`leaves ${JSON.stringify(text)} to the parser`, () => {
      expect(scan(scannerOf(text))).to.deep.equal({ found: [], rest: text })
    })
  }

  it('gives the name, the data, and what stands before and behind it', () => {
    const scanner = scannerOf('data: {}\n\nevent: é\r\ndata: {"a":"漢"}\r\n\n')
    for (let count = 0; count < 2; count++) {
      scanner.take()
      expect(scanner.find()).to.equal(true)
    }
    expect([scanner.event, scanner.data()]).to.deep.equal(['é', '{"a":"漢"}'])
    expect([scanner.before(), scanner.behind()]).to.deep.equal(['event: é\r\ndata: ', '\r\n\n'])
  })

  it('begins anew with other bytes, and lets go of them', () => {
    const scanner = scannerOf('event: a\ndata: {"a":"plain"}\n\n: comment')
    expect(scan(scanner)).to.deep.equal({ found: ['a:{"a":"plain"}'], rest: ': comment' })
    const bytes = Buffer.from('data: {"a":"é"}\n\n')
    scanner.load(bytes, bytes.length)
    expect(scan(scanner)).to.deep.equal({ found: [':{"a":"é"}'], rest: '' })
    scanner.unload()
    expect([scanner.find(), scanner.isDone]).to.deep.equal([false, true])
  })

  it('tells of a CR within the data', () => {
    const [bare, crlf] = [scannerOf('data: {"a":1,\r"b":2}\n\n'), scannerOf('data: {"a":1}\r\n\r\n')]
    expect([bare.find(), bare.hasCarriageReturn()]).to.deep.equal([true, true])
    expect([crlf.find(), crlf.hasCarriageReturn()]).to.deep.equal([true, false])
  })

  for (const [limit, found] of [
    [44, []],
    [45, [':{"a":1}']]
  ] as const) {
    it(`finds ${found.length} events of 15 bytes where ${limit} are the limit`, () => {
      expect(scan(scannerOf('data: {"a":1}\n\n', limit)).found).to.deep.equal(found)
    })
  }

  it('takes what it does not find up to the next blank line, or to the last line end', () => {
    const scanner = scannerOf('id: é\n: c\n\ndata: {}\r\n\r\ndata: 1\r\ndata: 2\rdata')
    for (const taken of ['id: é\n: c\n\n', 'data: {}\r\n\r\n', 'data: 1\r\ndata: 2\r', undefined])
      expect(scanner.takeLines()?.toString()).to.equal(taken)
    expect(scanner.bytes.length - scanner.at).to.equal(4)
  })

  for (const [text, isBeginning] of [
    ['d', true],
    ['data: {"a":"é', true],
    ['ev', true],
    ['event: x\nda', true],
    ['event: x\r\ndata: {', false],
    ['e', false],
    ['error: {"message":"no"}', false],
    ['data: {}\n', false],
    ['data: {}\r', false],
    ['event: x\nerror: no', false],
    ['error: no\ndata: {', false],
    ['id: 1\ndata: {', false],
    ['event: x\n', false],
    [': comment', false],
    [`data: ${'x'.repeat(5000)}`, true]
  ] as const) {
    it(`takes ${JSON.stringify(text.slice(0, 30))} for ${isBeginning ? 'a' : 'no'} beginning of an event to wait for`, () => {
      const scanner = scannerOf(text)
      expect([scanner.find(), scanner.isBeginning()]).to.deep.equal([false, isBeginning])
    })
  }

  it('takes a beginning that is larger than an event may be for no beginning to wait for', () => {
    for (const [limit, isBeginning] of [
      [30, true],
      [29, false]
    ] as const) {
      const scanner = scannerOf('data: {"a"', limit)
      expect([scanner.find(), scanner.isBeginning()]).to.deep.equal([false, isBeginning])
    }
  })

  it('takes an event that was found, and not taken, for no beginning to wait for', () => {
    const scanner = scannerOf('data: {\n\ndata: {}\n\n')
    expect([scanner.find(), scanner.isBeginning()]).to.deep.equal([true, false])
  })

  it('knows of no beginning in bytes that it let go of', () => {
    const scanner = scannerOf('data: {')
    expect([scanner.find(), scanner.isBeginning()]).to.deep.equal([false, true])
    scanner.unload()
    expect([scanner.find(), scanner.isBeginning()]).to.deep.equal([false, false])
  })
})

describe('skipIdle', () => {
  const skipped = (text: string, maxEventSize = Number.POSITIVE_INFINITY): string => {
    const scanner = new EventScanner(maxEventSize)
    const bytes = Buffer.from(text)
    scanner.load(bytes, bytes.length)
    const isMoved = scanner.skipIdle()
    const rest = text.slice(scanner.at)
    expect(isMoved).to.equal(rest !== text)
    scanner.unload()
    return rest
  }

  for (const [text, rest] of [
    ['\n\r\n\n', ''],
    [': keep-alive\n\n:\r\ndata: {}\n\n', 'data: {}\n\n'],
    ['data: {}\n\n', 'data: {}\n\n'],
    ['\n: cut', ': cut'],
    ['\n\r', '\r'],
    [': a\rdata: {}\n', ': a\rdata: {}\n'],
    ['\n:', ':'],
    ['', '']
  ] as const) {
    it(`leaves ${JSON.stringify(rest)} of ${JSON.stringify(text)}`, () => {
      expect(skipped(text)).to.equal(rest)
    })
  }

  it('leaves a comment that may be too large', () => {
    expect(skipped(`\n: ${'x'.repeat(50)}\n`, 90)).to.equal(`: ${'x'.repeat(50)}\n`)
  })
})

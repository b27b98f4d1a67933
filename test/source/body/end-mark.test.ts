import { expect } from 'chai'
import fc from 'fast-check'
import { type CompletionEnd, EndMark } from '#lib/source/body/end-mark.js'

/** What the pieces give; those behind the end are not given any more, as by the sources. */
function findIn(pieces: Iterable<string | Uint8Array>): CompletionEnd | undefined {
  const mark = new EndMark()
  for (const piece of pieces) {
    const found = mark.find(typeof piece === 'string' ? Buffer.from(piece) : piece)
    if (found !== undefined) return found
  }
  return undefined
}

const text = 'data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n'

const ends = {
  '[DONE] and a blank line': ['data: [DONE]\n\n', ''],
  '[DONE] and one line end': ['data: [DONE]\n', '\n'],
  '[DONE] and CR': ['data: [DONE]\r', '\n\n'],
  '[DONE] and CRLF': ['data: [DONE]\r\n', '\n'],
  '[DONE] and nothing': ['data: [DONE]', '\n\n'],
  '[DONE] with CRLF': ['data: [DONE]\r\n\r\n', ''],
  '[DONE] with CR': ['data: [DONE]\r\r', ''],
  '[DONE] without a space': ['data:[DONE]\n\n', ''],
  '[DONE] with spaces round it': ['data:   [DONE]  \n\n', ''],
  '[DONE] under an event name': ['event: done\ndata: [DONE]\n\n', ''],
  'a terminal and one line end': ['event: response.completed\ndata: {"type":"response.completed"}\n', '\n'],
  'a terminal and nothing': ['data: {"type":"response.completed","response":{"output":["}\\""]}}', '\n\n'],
  'a terminal whose type is its last member, and CR': ['data: {"a":{},"type":"response.done"} \r', '\n\n'],
  'a terminal of many lines': ['event: response.done\ndata: {"a":\ndata: [{}\ndata: ,{}\ndata: ]}', '\n\n'],
  'a named response.completed': ['event: response.completed\ndata: {"type":"response.completed"}\n\n', ''],
  'a named response.incomplete': ['event: response.incomplete\ndata: {}\n\n', ''],
  'a named response.failed': ['event: response.failed\ndata: {}\n\n', ''],
  'a named response.cancelled': ['event: response.cancelled\ndata: {}\n\n', ''],
  'a response.done': ['event: response.done\ndata: {}\n\n', ''],
  'a type behind other members (keys in order)': [
    'data: {"response":{"output":[],"status":"completed"},"sequence_number":4,"type":"response.completed"}\n\n',
    ''
  ],
  'a type with spaces round it': ['data: { "type" : "response.completed", "response": {} }\n\n', ''],
  'a response.completed without a name': [
    `data: {"type":"response.completed","response":{"output":"${'x'.repeat(9999)}"}}\n\n`,
    ''
  ]
} as const

const noEnds = {
  'text that speaks of it': text,
  'a comment that speaks of it': ': data: [DONE]\n\n',
  'another field': 'id: [DONE]\n\n',
  'data that only begins with it': 'data: [DONE] and more\n\n',
  'another event of the Responses API': 'event: response.completed_item\ndata: {}\n\n',
  'another type of the Responses API': 'data: {"type":"response.output_text.delta"}\n\n',
  'a text that speaks of a terminal': 'data: {"delta":"\\"type\\":\\"response.completed\\""}\n\n',
  'a long line that ends like a mark': `data: ${'x'.repeat(200)}data: [DONE]\n\n`,
  'half of it': 'data: [DON',
  nothing: ''
}

describe('EndMark', () => {
  it('waits for the blank line of a terminal whose type stands in a later line of its data', () => {
    const event =
      'data: {\ndata: "type": "response.completed",\ndata: "response": {"output": [\ndata: {"type":"message"}\ndata: ]}}\n\n'
    for (let place = 1; place < event.length; place++) {
      const read = [event.slice(0, place), event.slice(place)]
      expect(findIn(read), `cut at ${place}`).to.deep.equal({ length: read[1]?.length, missing: '' })
    }
  })

  for (const [name, [end, missing]] of Object.entries(ends)) {
    it(`finds ${name}, and says which line ends are missing`, () => {
      expect(findIn([text + end])).to.deep.equal({ length: (text + end).length, missing })
    })

    it(`finds ${name} wherever the bytes are cut`, () => {
      const bytes = Buffer.from(text + end)
      fc.assert(
        fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), cuts => {
          const places = [0, ...cuts.sort((one, other) => one - other), bytes.length]
          const pieces = places.slice(1).map((to, at) => bytes.subarray(places[at], to))
          expect(findIn(pieces)).to.be.an('object')
        }),
        { numRuns: 50 }
      )
    })

    it(`finds ${name} byte by byte`, () => {
      expect(findIn([...Buffer.from(text + end)].map(byte => Buffer.of(byte)))).to.be.an('object')
    })
  }

  for (const [name, piece] of Object.entries(noEnds)) {
    it(`goes on behind ${name}`, () => {
      expect(findIn([piece, text])).to.equal(undefined)
    })
  }

  for (const [name, begun, rest] of [
    ['a terminal', 'data: {"type":"response.completed","response":{}', '}'],
    ['a terminal in the line of its name', 'event: response.completed\n', 'data: {}'],
    ['a terminal behind its first line', 'event: response.done\ndata: {\n', 'data: }']
  ] as const) {
    it(`waits for the rest of ${name}`, () => {
      expect(findIn([begun])).to.equal(undefined)
      expect(findIn([begun, rest])).to.deep.equal({ length: rest.length, missing: '\n\n' })
    })
  }

  it('waits for the blank line behind a terminal whose beginning is no longer known', () => {
    const event = `data: {"output":"${'x'.repeat(99)}","type":"response.completed"}`
    expect(findIn([event.slice(0, 90), event.slice(90)])).to.equal(undefined)
    expect(findIn([event.slice(0, 90), event.slice(90), '\n\n'])).to.deep.equal({ length: 2, missing: '' })
  })

  it('finds the end behind a line of megabytes', () => {
    const long = Buffer.alloc(1024 * 1024, 'x')
    expect(findIn(['data: ', long, long, long, '\ndata: [DONE]\n\n'])).to.deep.equal({
      length: 15,
      missing: ''
    })
  })

  const usage = 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
  for (const [name, rest, taken] of [
    ['usage', usage, usage],
    ['usage with CRLF', usage.replaceAll('\n', '\r\n'), usage.replaceAll('\n', '\r\n')],
    [
      'a cost and usage',
      `data: {"choices":[],"cost":"0"}\n\n${usage}`,
      `data: {"choices":[],"cost":"0"}\n\n${usage}`
    ],
    ['half of a usage', usage.slice(0, -20), ''],
    ['another completion', text, ''],
    ['usage and another completion', usage + text, ''],
    ['another mark', 'data: [DONE]\n\n', ''],
    ['a comment', ': bye\n\n', '']
  ] as const) {
    it(`counts ${taken === '' ? 'nothing' : 'all'} of ${name} behind the mark, in the same read, as its own`, () => {
      const body = `${text}data: [DONE]\n\n`
      expect(findIn([body + rest])).to.deep.equal({ length: body.length + taken.length, missing: '' })
    })
  }

  it('tells how many of the bytes belong to the completion', () => {
    expect(findIn([text, `data: [DONE]\n\n${text}`])).to.deep.equal({ length: 14, missing: '' })
  })
})

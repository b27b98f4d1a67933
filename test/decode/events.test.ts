import { Transform } from 'node:stream'
import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  CompletionError,
  type EventsOptions,
  type ServerSentEvent,
  toChunks,
  toEvents
} from 'completion-streams'
import fc from 'fast-check'
import { cutAt, inPiecesOf, outcomeOf, places } from '../pieces.js'

const mebibyte = 1024 * 1024

/** Each event in short. */
async function eventsOf(text: string | Uint8Array, options?: EventsOptions): Promise<ServerSentEvent[]> {
  const { items, error } = await outcomeOf([Buffer.from(text)], toEvents(options))
  if (error) throw error
  return items
}

describe('toEvents', () => {
  it('emits one event per blank line, with the name and the id where there are any', async () => {
    expect(
      await eventsOf('data: a\n\nevent: b\nid: 1\ndata: c\ndata: d\n\n: comment\n\ndata: e\n\n')
    ).to.deep.equal([{ data: 'a' }, { data: 'c\nd', event: 'b', id: '1' }, { data: 'e', id: '1' }])
  })

  for (const [name, lineEnd] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r']
  ] as const) {
    for (const size of [1, 2, 3, 1000]) {
      it(`reads ${name} line ends in pieces of ${size} bytes`, async () => {
        const bytes = Buffer.from(['data: 1', 'data: 2', '', 'data: 3', '', ''].join(lineEnd))
        const { items } = await outcomeOf(inPiecesOf(bytes, size), toEvents())
        expect(items).to.deep.equal([{ data: '1\n2' }, { data: '3' }])
      })
    }
  }

  for (const [name, line, event] of [
    [
      'an error in a line of its own',
      'error: {"message":"No"}',
      { event: 'error', data: '{"message":"No"}' }
    ],
    ['an error in a comment alone', 'event: error\n: gone', { event: 'error', data: 'gone' }],
    ['an error that is text', 'error: no', { event: 'error', data: 'no' }],
    ['a chunk without data:', '{"choices":[]}', { data: '{"choices":[]}' }],
    ['a chunk under a damaged name', 'ata: {"choices":[]}', { data: '{"choices":[]}' }],
    ['JSON of a gateway', '{"detail":"gone"}', { event: 'error', data: '{"detail":"gone"}' }],
    ['a text behind the events', 'upstream gone', { event: 'error', data: 'upstream gone' }]
  ] as const) {
    for (const end of ['', '\n', '\n\n']) {
      it(`makes an event of ${name}, with ${end.length} line ends`, async () => {
        const body = `data: 1\n\n${line}${end}`
        expect(await eventsOf(body)).to.deep.equal([{ data: '1' }, event])
        expect(await eventsOf(body, { unterminated: 'discard' })).to.deep.equal([{ data: '1' }])
      })
    }
  }

  it('emits an event before the JSON that stands behind its line', async () => {
    const [first, second, third] = ['{"choices":[],"id":1}', '{"choices":[],"id":2}', '{"choices":[],"id":3}']
    const events = await eventsOf(`data: ${first}\n${second}\ndata: ${third}\n\n`)
    expect(events.map(({ data }) => data)).to.deep.equal([first, second, third])
  })

  it('makes no event of other lines that are no fields', async () => {
    for (const line of [
      'x-id: 7',
      'x-meta: {"a":1}',
      'ping',
      'error: null',
      'da',
      ' data: 2',
      'words\n\ndata: 2\n'
    ])
      expect(await eventsOf(`data: 1\n\n${line}`), line).to.deep.equal(
        line.endsWith('\n') ? [{ data: '1' }, { data: '2' }] : [{ data: '1' }]
      )
  })

  it('makes no error of what stands behind [DONE]', async () => {
    expect(await eventsOf('data: 1\n\ndata: [DONE]\n\nbye')).to.deep.equal([
      { data: '1' },
      { data: '[DONE]' }
    ])
  })

  it('fails with CS_ERR_TRUNCATED where the input ends within JSON without data:', async () => {
    const { items, error } = await outcomeOf(['data: 1\n\n{"choices":[{"del'], toEvents())
    expect(items).to.deep.equal([{ data: '1' }])
    expect(error).to.include({ code: 'CS_ERR_TRUNCATED', residue: '{"choices":[{"del' })
  })

  it('gives toChunks the error that a gateway puts behind the events', async () => {
    for (const tail of ['error: {"message":"No"}\n\n', '{"error":{"message":"No"}}', 'No']) {
      const { error } = await outcomeOf(['data: {"choices":[]}\n\n', tail], toEvents(), toChunks())
      expect(error, tail).to.include({ code: 'CS_ERR_PROVIDER', message: 'provider reported an error: No' })
    }
  })

  it('skips blank lines and comments however they are cut', async () => {
    const parts = fc.constantFrom(
      '\n',
      '\r',
      '\r\n',
      ':\n',
      ': a\r',
      ': a\r\n\r\n',
      'data: 1\n\n',
      'data: 2\r\r',
      'id: 3\r\n'
    )
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 20 }), places, async (lines, cuts) => {
        const text = lines.join('')
        const whole = await outcomeOf([text.replace(/\r\n?/g, '\n')], toEvents())
        const cut = await outcomeOf(cutAt(text, cuts), toEvents())
        expect(cut.items).to.deep.equal(whole.items)
      })
    )
  })

  it('measures a comment that is longer than an event may be', async () => {
    const { error } = await outcomeOf([`\n:${'x'.repeat(5000)}\n`], toEvents({ maxEventSize: 4000 }))
    expect(error?.code).to.equal('CS_ERR_EVENT_TOO_LARGE')
  })

  it('drops one leading byte order mark, not two', async () => {
    expect(await eventsOf('\uFEFFdata: a\n\n')).to.deep.equal([{ data: 'a' }])
    expect(await eventsOf('\uFEFF\uFEFFdata: a\n\ndata: b\n\n')).to.deep.equal([{ data: 'b' }])
  })

  it('keeps U+2028, U+2029, U+0085 and U+FEFF in data', async () => {
    const data = 'a\u2028b\u2029c\u0085d\uFEFFe'
    expect(await eventsOf(`data:${data}\n\n`)).to.deep.equal([{ data }])
  })

  it('joins UTF-8 that is cut anywhere', async () => {
    const bytes = Buffer.from('data: é€😀\n\n')
    for (let place = 0; place <= bytes.length; place++) {
      const { items } = await outcomeOf(cutAt(bytes, [place]), toEvents())
      expect(items, `cut at ${place}`).to.deep.equal([{ data: 'é€😀' }])
    }
  })

  it('turns bytes that are no UTF-8 into U+FFFD', async () => {
    const bytes = [
      Buffer.from('data: a'),
      Buffer.from([0xff, 0xc3]),
      Buffer.from('b\n\ndata: '),
      Buffer.from([0xe2, 0x82])
    ]
    for (const pieces of [bytes, [Buffer.concat(bytes)], inPiecesOf(Buffer.concat(bytes), 1)]) {
      const { items } = await outcomeOf(pieces, toEvents())
      expect(items).to.deep.equal([{ data: 'a\uFFFD\uFFFDb' }, { data: '\uFFFD' }])
    }
  })

  it('takes strings, and any view of bytes', async () => {
    const bytes = new TextEncoder().encode('data: a\n\n')
    const view = new DataView(bytes.buffer)
    const { items } = await outcomeOf(['data: ', '\uD83D', '\uDE00\n\n', bytes, view], toEvents())
    expect(items).to.deep.equal([{ data: '😀' }, { data: 'a' }, { data: 'a' }])
  })

  it('emits nothing for an empty input', async () => {
    expect(await eventsOf('')).to.deep.equal([])
  })

  for (const data of ['a', '{"a":1}']) {
    for (const [form, inForm] of [
      ['bytes', Buffer.from],
      ['text', String]
    ] as const) {
      it(`emits the event ${data} as soon as its blank line has come (${form})`, async () => {
        const stage = toEvents()
        stage.write(inForm(`data: ${data}\n\ndata: b`))
        for await (const event of stage) {
          expect(event).to.deep.equal({ data })
          break
        }
        expect(stage.destroyed).to.equal(true)
      })
    }
  }

  it('emits the same events however the bytes are cut', async () => {
    const part = fc.oneof(
      {
        weight: 2,
        arbitrary: fc.constantFrom('\n', '\r', '\r\n', 'data:', 'data: ', 'id:1', 'event: e', '\uFEFF', '😀')
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) }
    )
    const body = fc
      .array(part, { maxLength: 30 })
      .map(parts => Buffer.concat(parts.map(item => Buffer.from(item))))
    await fc.assert(
      fc.asyncProperty(body, places, async (bytes, cuts) => {
        const uncut = await outcomeOf([bytes], toEvents())
        const { items, error } = await outcomeOf(cutAt(bytes, cuts), toEvents())
        expect(items).to.deep.equal(uncut.items)
        expect([error?.code, error?.residue]).to.deep.equal([uncut.error?.code, uncut.error?.residue])
      }),
      { numRuns: 300 }
    )
  })

  describe('unterminated', () => {
    for (const end of ['data: {"a":1}', 'data: {"a":1}\n', 'data: {"a":1}\r\n', 'data: {"a":1}\r']) {
      it(`emits an event that ends in ${JSON.stringify(end)}`, async () => {
        expect(await eventsOf(`data: 0\n\n${end}`)).to.deep.equal([{ data: '0' }, { data: '{"a":1}' }])
      })

      it(`discards an event that ends in ${JSON.stringify(end)} when told to`, async () => {
        expect(await eventsOf(`data: 0\n\n${end}`, { unterminated: 'discard' })).to.deep.equal([
          { data: '0' }
        ])
      })
    }

    for (const data of ['[DONE]', 'no', 'Overloaded', '']) {
      it(`emits ${JSON.stringify(data)}, which is no JSON that broke off`, async () => {
        expect(await eventsOf(`data: ${data}`)).to.deep.equal([{ data }])
      })
    }

    for (const residue of ['{"a":', '[{"a":1}', '[DONE {']) {
      it(`fails with CS_ERR_TRUNCATED, after the events before it, when the input ends in ${residue}`, async () => {
        const { items, error } = await outcomeOf([`data: 0\n\ndata: ${residue}`], toEvents())
        expect(items).to.deep.equal([{ data: '0' }])
        expect(error).to.include({ code: 'CS_ERR_TRUNCATED', residue })
      })

      it(`discards ${residue} when told to`, async () => {
        expect(await eventsOf(`data: ${residue}`, { unterminated: 'discard' })).to.deep.equal([])
      })
    }
  })

  describe('maxEventSize', () => {
    for (const size of [1, 64, 100_000]) {
      it(`emits an event of exactly that size, and fails with CS_ERR_EVENT_TOO_LARGE for one byte more (pieces of ${size})`, async () => {
        const pieces = (length: number) =>
          inPiecesOf(Buffer.from(`data: 0\n\ndata:${'é'.repeat(length)}\n\n`), size)
        const { items } = await outcomeOf(pieces(500), toEvents({ maxEventSize: 1005 }))
        expect(items).to.have.length(2)
        const { items: before, error } = await outcomeOf(pieces(500), toEvents({ maxEventSize: 1004 }))
        expect(before).to.deep.equal([{ data: '0' }])
        expect(error).to.include({ code: 'CS_ERR_EVENT_TOO_LARGE', limit: 1004 })
      })
    }

    it('is 64 MiB by default', async () => {
      const data = Buffer.alloc(mebibyte, 'x')
      const pieces = [Buffer.from('data:'), ...Array.from({ length: 63 }, () => data), data.subarray(5)]
      const { items } = await outcomeOf(pieces, toEvents())
      expect(items[0]?.data).to.have.length(64 * mebibyte - 5)
      const { error } = await outcomeOf([...pieces, Buffer.from('x')], toEvents())
      expect(error).to.include({ code: 'CS_ERR_EVENT_TOO_LARGE', limit: 64 * mebibyte })
    })

    it('may be Infinity', async () => {
      expect(await eventsOf('data: a\n\n', { maxEventSize: Infinity })).to.deep.equal([{ data: 'a' }])
    })
  })

  for (const options of [
    { maxEventSize: 0 },
    { maxEventSize: '1' },
    { unterminated: 'keep' },
    { unterminated: true }
  ]) {
    it(`throws CS_ERR_INVALID_OPTION for ${inspect(options)}`, () => {
      expect(() => toEvents(options as EventsOptions))
        .to.throw(CompletionError, `${Object.keys(options)[0]} is `)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const item of [{ data: 'a' }, 12, [Buffer.from('a')]]) {
    it(`fails with CS_ERR_INVALID_CHUNK for ${inspect(item)}, after the events before it`, async () => {
      const { items, error } = await outcomeOf(['data: 0\n\n', item], toEvents())
      expect(items).to.deep.equal([{ data: '0' }])
      expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
      expect(error?.message).to.match(/^toEvents takes bytes or strings, not /)
    })
  }

  it('is a Transform of node', () => {
    expect(toEvents()).to.be.instanceOf(Transform)
  })

  it('accepts and refuses bytes that are no UTF-8 the same however they are cut', async () => {
    const comment = Buffer.from(': c\n')
    const event = Buffer.concat([Buffer.from('data: {"a":"'), Buffer.alloc(20, 0xff), Buffer.from('"}\n\n')])
    for (const reads of [[comment, event], [Buffer.concat([comment, event])]]) {
      const { error } = await outcomeOf(reads, toEvents({ maxEventSize: 50 }))
      expect(error?.code).to.equal('CS_ERR_EVENT_TOO_LARGE')
    }
  })

  it('fails with CS_ERR_TRUNCATED for a whole completion that was cut, and shows none of it', async () => {
    const body = '{"object":"chat.completion","choices":[{"index":0,"message":{"content":"a secret'
    const { items, error } = await outcomeOf([Buffer.from(body)], toEvents())
    expect(items).to.deep.equal([])
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(`${inspect(error)} ${JSON.stringify(error)}`).to.not.include('secret')
    expect(error).to.have.property('residue', body)
  })
})

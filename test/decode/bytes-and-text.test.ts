import { expect } from 'chai'
import { type ChunksOptions, type EventsOptions, type Stage, toChunks, toEvents } from 'completion-streams'
import fc from 'fast-check'
import { cutAt, eventStream, inPiecesOf, outcomeOf, places } from '../pieces.js'

// Bytes are scanned for events that stand whole in them; text always goes through the parser. Both must tell the same.

/** Deltas, as they stand in JSON text. */
const deltas = [
  '""',
  '"a"',
  '" longer than twelve characters"',
  '"\\n"',
  '"\\u00e9 and é"',
  '"漢字"',
  '"漢字\\n\\n"',
  '"😀"',
  '"\u2028\u0085\ufeff"',
  '"data: {}"',
  '"\\ud83d"',
  '7',
  'null',
  '"broken',
  '"\\x"'
]

const chat = (delta: string, rest = '"finish_reason":null}]', id = 'c1') =>
  `{"id":"${id}","object":"chat.completion.chunk","created":17,"choices":[{"index":0,"delta":{"content":${delta}},${rest}}`
const spoken = (delta: string, at: string) =>
  `{"type":"response.output_text.delta","sequence_number":${at},"delta":${delta},"obfuscation":"x${at}"}`

const delta = fc.constantFrom(...deltas)
const count = fc.constantFrom('0', '1', '12', '1.50', '0.1234567890123456789', '1e3', '-4', '007')

/** Alike but for what tells an error, an end, or another completion. */
const telling = fc
  .tuple(
    fc.constantFrom('"c1"', '"c1"', '"c2"', '""', 'null'),
    fc.constantFrom('0', '0', '1'),
    delta,
    fc.constantFrom('null', 'null', '""', '"stop"'),
    fc.constantFrom('null', 'null', 'null', '""', '"no"')
  )
  .map(
    ([id, index, text, reason, error]) =>
      `{"id":${id},"choices":[{"index":${index},"delta":{"content":${text}},"finish_reason":${reason}}],"error":${error}}`
  )

/** Payloads that are alike, so that the parser comes to know them; and those that must not be taken for like. */
const payload = fc.oneof(
  { weight: 6, arbitrary: delta.map(text => chat(text)) },
  { weight: 6, arbitrary: telling },
  {
    weight: 1,
    arbitrary: delta.map(text => chat(text, '"finish_reason":null}],"usage":{"total_tokens":3}'))
  },
  { weight: 1, arbitrary: delta.map(text => chat(text, '"finish_reason":null}]', 'c2')) },
  { weight: 1, arbitrary: fc.tuple(delta, count).map(([text, at]) => spoken(text, at)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      chat('"end"', '"finish_reason":"stop"}]'),
      '{"choices":[],"usage":{"total_tokens":9}}',
      '{"type":"response.created","response":{"id":"r"}}',
      '{"type":"response.completed","response":{"id":"r"}}',
      '{"type":"response.failed","response":{"error":{"message":"no"}}}',
      '{"error":{"message":"overloaded","code":529}}',
      '{"error":null}',
      '{"object":"chat.completion","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}',
      '{"a":1,\r"b":2}',
      '{"a":1,',
      '{"a":1} \u00a0',
      '[DONE]',
      ' [DONE] ',
      'null',
      '',
      'words'
    )
  }
)
const lineEnd = fc.oneof({ weight: 6, arbitrary: fc.constant('\n') }, fc.constantFrom('\r\n', '\r'))
const lead = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  fc.constantFrom(
    'event: response.output_text.delta\n',
    'event: error\n',
    'event: é\n',
    'event: a\rb: c\n',
    'event:x\n',
    'id: 7\n',
    'id:\n',
    'retry: 10\n',
    ': comment\n',
    'data: 1\n',
    'error: {"message":"in a field"}\n',
    '\n',
    '\ufeff'
  )
)
const field = fc.oneof(
  { weight: 12, arbitrary: fc.constant('data: ') },
  fc.constantFrom('data:', 'data:  ', 'dat', 'DATA: ')
)
const event = fc
  .tuple(lead, field, payload, lineEnd, fc.oneof({ weight: 12, arbitrary: fc.constant(true) }, fc.boolean()))
  .map(([before, name, text, end, isClosed]) => before + name + text + end + (isClosed ? end : ''))
/** Mostly events of one shape, as a provider sends them. */
const stream = fc
  .tuple(
    fc.array(event, { minLength: 1, maxLength: 16 }),
    fc.constantFrom('', '\ufeff', 'data: {"choices":[]}\n\n')
  )
  .map(([events, start]) => Buffer.from(start + events.join('')))

/** Not in JSON: whether a chunk begins another completion. */
const opening = Symbol.for('completion-streams.opening')

async function told<Out>(pieces: readonly unknown[], stage: Stage<never, Out>): Promise<unknown> {
  const { items, error } = await outcomeOf(pieces, stage)
  const { code, message, residue, status } = error ?? {}
  const skipped = 'skipped' in stage ? stage.skipped : undefined
  const shown = items.map(item => `${JSON.stringify(item)}${opening in Object(item) ? ' opens' : ''}`)
  return { items: shown, code, message, residue, status, skipped }
}

/** Two bytes are no more than what one write of a socket may hold, and cut every line end. */
async function expectAlike(
  bytes: Buffer,
  cuts: readonly number[],
  create: () => Stage<never, unknown>
): Promise<void> {
  const wanted = await told([bytes.toString()], create())
  for (const pieces of [[bytes], cutAt(bytes, cuts), inPiecesOf(bytes, 2)]) {
    expect(await told(pieces, create())).to.deep.equal(wanted)
  }
}

const limits = fc.constantFrom(40, 150, 170, Number.POSITIVE_INFINITY)

describe('bytes and text', () => {
  it('give the same chunks and the same failure', async () => {
    const options: fc.Arbitrary<ChunksOptions> = fc.record({
      onInvalid: fc.constantFrom('fail', 'skip'),
      requireEnd: fc.boolean(),
      maxEventSize: limits
    })
    await fc.assert(
      fc.asyncProperty(stream, places, options, (bytes, cuts, chosen) =>
        expectAlike(bytes, cuts, () => toChunks(chosen))
      ),
      { numRuns: 1500 }
    )
  })

  it('give the same chunks where events are alike but for what tells', async () => {
    const payloads = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: delta.map(text => chat(text)) },
        { weight: 4, arbitrary: telling },
        { weight: 1, arbitrary: fc.constant('[DONE]') }
      ),
      { minLength: 4, maxLength: 24 }
    )
    await fc.assert(
      fc.asyncProperty(payloads, places, (all, cuts) => {
        const known = [chat('"a"'), chat('"b"'), chat('"c"')]
        return expectAlike(Buffer.from(eventStream(...known, ...all)), cuts, () =>
          toChunks({ onInvalid: 'skip' })
        )
      }),
      { numRuns: 500 }
    )
  })

  it('give the same events and the same failure', async () => {
    const options: fc.Arbitrary<EventsOptions> = fc.record({
      unterminated: fc.constantFrom('emit', 'discard'),
      maxEventSize: limits
    })
    await fc.assert(
      fc.asyncProperty(stream, places, options, (bytes, cuts, chosen) =>
        expectAlike(bytes, cuts, () => toEvents(chosen))
      ),
      { numRuns: 1000 }
    )
  })

  it('give the same chunks where bytes are no UTF-8', async () => {
    const garbage = fc
      .uint8Array({ maxLength: 6 })
      .filter(bytes => !bytes.some(byte => byte < 0x20 || byte === 0x22))
    await fc.assert(
      fc.asyncProperty(fc.array(garbage, { minLength: 3, maxLength: 6 }), places, (all, cuts) => {
        const [before = '', behind = ''] = chat('"#"').split('#')
        const events = all.map(bytes =>
          Buffer.concat([Buffer.from(`data: ${before}`), bytes, Buffer.from(`${behind}\n\n`)])
        )
        return expectAlike(Buffer.concat(events), cuts, () => toChunks({ onInvalid: 'skip' }))
      })
    )
  })
})

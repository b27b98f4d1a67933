import { expect } from 'chai'
import { type ChunksOptions, type EventsOptions, type Stage, toChunks, toEvents } from 'completion-streams'
import fc from 'fast-check'
import { cutAt, eventStream, inPiecesOf, outcomeOf, places } from '../pieces.js'

// Bytes are scanned for events that stand whole in them; text always goes through the parser. Both must tell the same.

/** Scalars, as they stand in JSON text: deltas, and what only a careless reader takes for one. */
const delta = fc.constantFrom(
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
  '"\\x"',
  '"a"\r',
  '"a" '
)
const count = fc.constantFrom('0', '1', '12', '1.50', '0.1234567890123456789', '1e3', '-4', '007')

const chat = (content: string, rest = '"finish_reason":null}]', id = 'c1') =>
  `{"id":"${id}","object":"chat.completion.chunk","created":17,"choices":[{"index":0,"delta":{"content":${content}},${rest}}`

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
    ([id, index, content, reason, error]) =>
      `{"id":${id},"choices":[{"index":${index},"delta":{"content":${content}},"finish_reason":${reason}}],"error":${error}}`
  )

/** Payloads that are alike, so that the parser comes to know them. */
const alike: readonly fc.Arbitrary<string>[] = [
  delta.map(content => chat(content)),
  telling,
  delta.map(content => chat(content, '"finish_reason":null}],"usage":{"total_tokens":3}')),
  delta.map(content => chat(content, '"finish_reason":"stop"}]')),
  fc
    .tuple(delta, count, count)
    .map(
      ([content, at, pad]) =>
        `{"id":"c1","created":${at},"choices":[{"index":0,"delta":{"content":${content}},"finish_reason":null}],"obfuscation":"${pad}"}`
    ),
  fc
    .tuple(delta, count)
    .map(
      ([content, at]) =>
        `{"choices":[{"finish_reason":null,"index":0,"delta":{"content":${content}}}],"created":17,"id":"c1","timings":{"predicted_n":${at},"predicted_ms":${at}}}`
    ),
  fc
    .tuple(delta, count)
    .map(
      ([content, at]) =>
        `{"type":"response.output_text.delta","sequence_number":${at},"delta":${content},"obfuscation":"x${at}"}`
    ),
  count.map(total => `{"id":"c1","choices":[],"usage":{"total_tokens":${total}}}`),
  count.map(at => `{"type":"response.created","sequence_number":${at},"response":{"id":"r"}}`)
]

/** Payloads that must not be taken for like the last one. */
const odd = fc.constantFrom(
  chat('"end"', '"finish_reason":"stop"}]'),
  chat('"beside an error"', '"finish_reason":null}],"error":{"message":"no","code":502}'),
  chat('"in a choice"', '"finish_reason":"error","error":{"message":"no"}}]'),
  chat('"another"', '"finish_reason":null}]', 'c2'),
  '{"choices":[],"usage":{"total_tokens":9}}',
  '{"type":"response.completed","response":{"id":"r"}}',
  '{"type":"response.incomplete","response":{"id":"r"}}',
  '{"type":"response.failed","response":{"error":{"message":"no"}}}',
  '{"type":"error","code":"no","message":"no"}',
  '{"error":{"message":"overloaded","code":529}}',
  '{"message":"bare","code":"no"}',
  '{"error":null}',
  '{"object":"chat.completion","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}',
  '{"a":1,\r"b":2}',
  '{"a":1,\ndata: "b":2}',
  '{"a":1,',
  '{"a":1} \u00a0',
  '{"a":1}\ufeff',
  '[DONE]',
  ' [DONE] ',
  'null',
  '',
  'words',
  ': keepalive',
  'ping',
  '{}',
  '{"type":"keepalive","sequence_number":3}',
  '{"cost":"0.1"}',
  '{"text":"of another form"}',
  '{"type":"content_block_delta","delta":{"text":"x"}}',
  '{"code":1001,"msg":"no"}',
  '{"choices":[],"cost":"0.1"}',
  '{"choices":[],"prompt_filter_results":[]}',
  '{"id":"c1","choices":null,"object":"chat.completion.chunk","base_resp":{"status_code":1008,"status_msg":"no"}}',
  chat('"failed"', '"finish_reason":"network_error"}]'),
  chat('"cut"', '"finish_reason":"length"}]'),
  chat('"null"', '"finish_reason":"null"}]'),
  chat('"other"', '"finish_reason":null}]').replace('"index":0', '"index":1'),
  chat('null,"refusal":"no"', '"finish_reason":null}]'),
  '{"type":"response.done","response":{"id":"r","status":"completed"}}',
  '{"type":"response.completed","response":{"id":"r","status":"failed","error":{"message":"no"}}}',
  '{"type":"response.created","response":{"id":"s"}}',
  '{"a":1}\ndata: {"choices":[],"usage":{"total_tokens":1}}',
  '[DONE]\ndata: [DONE]'
)

const name = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  fc.constantFrom('event: response.output_text.delta', 'event: error', 'event: é', 'event: ', 'event:x')
)
const lineEnd = fc.oneof({ weight: 6, arbitrary: fc.constant('\n') }, fc.constantFrom('\r\n', '\r'))
const field = fc.oneof(
  { weight: 12, arbitrary: fc.constant('data: ') },
  fc.constantFrom('data:', 'data:  ', 'dat', 'DATA: ')
)

function framed(name: string, field: string, payload: string, end: string): string {
  return `${name && name + end}${field}${payload}${end}${end}`
}

/** Events of one shape, as a provider sends them. */
const run = fc
  .tuple(fc.oneof(...alike.map(payload => fc.array(payload, { maxLength: 5 }))), name, lineEnd)
  .map(([payloads, ...[before, end]]) =>
    payloads.map(payload => framed(before, 'data: ', payload, end)).join('')
  )

const event = fc
  .tuple(name, field, fc.oneof(odd, ...alike), lineEnd)
  .map(([before, data, payload, end]) => framed(before, data, payload, end))

/** What may stand between events, or within one. */
const fragment = fc.constantFrom(
  'event: a\rb: c\n',
  'id: 7\n',
  'id:\n',
  'retry: 10\n',
  ': comment\n',
  'data: 1\n',
  'data: {"a":1}\n',
  'data: {"a":1}',
  'error: {"message":"in a field"}\n',
  'error: words\n',
  '{"error":{"message":"without a frame"}}\n',
  'words\n',
  '\n',
  '\r',
  '\r\n',
  '\ufeff',
  'd',
  'é'
)

const stream = fc
  .tuple(
    fc.constantFrom('', '\ufeff', 'data: {"choices":[]}\n\n'),
    fc.array(
      fc.oneof(
        { weight: 3, arbitrary: run },
        { weight: 3, arbitrary: event },
        { weight: 1, arbitrary: fragment }
      ),
      { minLength: 1, maxLength: 8 }
    )
  )
  .map(([start, parts]) => [start, ...parts].map(part => Buffer.from(part)))

/** Not in JSON: whether a chunk begins another completion. */
const opening = Symbol.for('completion-streams.opening')

async function told<Out>(pieces: readonly unknown[], stage: Stage<never, Out>): Promise<unknown> {
  const { items, error } = await outcomeOf(pieces, stage)
  const { code, message, residue, status } = error ?? {}
  const skipped = 'skipped' in stage ? stage.skipped : undefined
  const shown = items.map(item => `${JSON.stringify(item)}${opening in Object(item) ? ' opens' : ''}`)
  return { items: shown, code, message, residue, status, skipped }
}

/** Whether bytes tell what text does: as they are, all at once, cut anywhere, and cut everywhere. */
async function expectAlike(
  reads: readonly Uint8Array[],
  cuts: readonly number[],
  create: () => Stage<never, unknown>
): Promise<void> {
  const bytes = Buffer.concat(reads)
  const wanted = await told([bytes.toString()], create())
  for (const pieces of [reads, [bytes], cutAt(bytes, cuts), inPiecesOf(bytes, 1)]) {
    expect(await told(pieces, create())).to.deep.equal(wanted)
  }
}

type Form = 'bytes' | 'text' | 'both' | 'event'

/** An event as a stage may be given it. */
function piecesIn(form: Form, payload: string, cuts: readonly number[]): unknown[] {
  if (form === 'event') return [{ data: payload }]
  const text = eventStream(payload)
  if (form === 'text') return cutAt(text, cuts)
  if (form === 'bytes') return cutAt(Buffer.from(text), cuts)
  // By characters: a text in turn with bytes cannot be cut within one.
  return cutAt([...text], cuts).map((piece, n) => (n % 2 ? piece.join('') : Buffer.from(piece.join(''))))
}

/** Around the sizes of the events above, and far from them. */
const limits = fc.oneof(fc.integer({ min: 130, max: 180 }), fc.constantFrom(40, Number.POSITIVE_INFINITY))

/** Tries so many random streams, and parts of that for what needs fewer. Without a seed they are others each time. */
export function bytesAndText(runs: number, seed?: number): void {
  const tries = (share: number) => ({ numRuns: runs * share, ...(seed !== undefined && { seed }) })

  describe('bytes and text', () => {
    it('give the same chunks and the same failure', async () => {
      const options: fc.Arbitrary<ChunksOptions> = fc.record({
        onInvalid: fc.constantFrom('fail', 'skip'),
        requireEnd: fc.boolean(),
        maxEventSize: limits
      })
      await fc.assert(
        fc.asyncProperty(stream, places, options, (reads, cuts, chosen) =>
          expectAlike(reads, cuts, () => toChunks(chosen))
        ),
        tries(1)
      )
    })

    it('give the same chunks where events are alike but for what tells', async () => {
      const payloads = fc.array(
        fc.oneof(
          { weight: 4, arbitrary: delta.map(content => chat(content)) },
          { weight: 4, arbitrary: telling },
          { weight: 1, arbitrary: fc.constant('[DONE]') }
        ),
        { minLength: 4, maxLength: 24 }
      )
      await fc.assert(
        fc.asyncProperty(payloads, places, limits, (all, cuts, maxEventSize) => {
          const known = [chat('"a"'), chat('"b"'), chat('"c"')]
          const reads = [...known, ...all].map(payload => Buffer.from(eventStream(payload)))
          return expectAlike(reads, cuts, () => toChunks({ onInvalid: 'skip', onCut: 'fail', maxEventSize }))
        }),
        tries(0.4)
      )
    })

    it('give the same chunks where they take turns, and events with them', async () => {
      const payloads = fc.oneof(
        { weight: 4, arbitrary: delta.map(content => chat(content)) },
        { weight: 1, arbitrary: fc.constant('[DONE]') },
        { weight: 1, arbitrary: fc.oneof(odd, ...alike) }
      )
      const turn = fc.tuple(
        payloads.filter(payload => !/[\r\n]/.test(payload)),
        fc.constantFrom<Form>('bytes', 'text', 'both', 'event'),
        places
      )
      await fc.assert(
        fc.asyncProperty(fc.array(turn, { maxLength: 12 }), async turns => {
          const known = eventStream(chat('"a"'), chat('"b"'), chat('"c"'))
          const pieces = turns.flatMap(([payload, form, cuts]) => piecesIn(form, payload, cuts))
          const text = known + eventStream(...turns.map(([payload]) => payload))
          const wanted = await told([text], toChunks({ onInvalid: 'skip' }))
          const mixed = await told([Buffer.from(known), ...pieces], toChunks({ onInvalid: 'skip' }))
          expect(mixed).to.deep.equal(wanted)
        }),
        tries(0.6)
      )
    })

    it('give the same events and the same failure', async () => {
      const options: fc.Arbitrary<EventsOptions> = fc.record({
        unterminated: fc.constantFrom('emit', 'discard'),
        maxEventSize: limits
      })
      await fc.assert(
        fc.asyncProperty(stream, places, options, (reads, cuts, chosen) =>
          expectAlike(reads, cuts, () => toEvents(chosen))
        ),
        tries(0.6)
      )
    })

    it('give the same where bytes are no UTF-8', async () => {
      const garbage = fc
        .uint8Array({ maxLength: 6 })
        .filter(bytes => !bytes.some(byte => byte < 0x20 || byte === 0x22))
      const between = fc.oneof({ weight: 4, arbitrary: fc.constant(Buffer.alloc(0)) }, garbage)
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(between, garbage), { minLength: 3, maxLength: 6 }),
          places,
          async (all, cuts) => {
            const [before = '', behind = ''] = eventStream(chat('"#"')).split('#')
            const parts = all.flatMap(([stray, content]) => [stray, before, content, behind])
            const reads = parts.map(part => Buffer.from(part))
            await expectAlike(reads, cuts, () => toChunks({ onInvalid: 'skip' }))
            await expectAlike(reads, cuts, () => toEvents())
          }
        ),
        tries(0.2)
      )
    })
  })
}

import { expect } from 'chai'
import fc from 'fast-check'
import { ByteWindow } from '#lib/decode/bytes/byte-window.js'
import { PayloadParser } from '#lib/decode/json/payload.js'

/** A chunk as OpenAI sends it; the scalars are JSON texts. */
function chatChunk(content: string, obfuscation = '"Zk3"', created = '1759436810'): string {
  return `{"id":"chatcmpl-CMKB0u5q9","object":"chat.completion.chunk","created":${created},"model":"gpt-4o","choices":[{"index":0,"delta":{"content":${content}},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":${obfuscation}}`
}

/** What `JSON.parse` gives or throws, as text: the order of keys, `-0` and the class of an error included. */
function outcome(parse: (payload: string) => unknown, payload: string): string {
  try {
    return show(parse(payload))
  } catch (error) {
    return String(error)
  }
}

function show(value: unknown): string {
  if (Object.is(value, -0)) return '-0'
  if (typeof value !== 'object' || value === null)
    return typeof value === 'string' ? JSON.stringify(value) : String(value)
  if (Array.isArray(value)) return `[${value.map(show)}]`
  if (Object.getPrototypeOf(value) !== Object.prototype) return 'an object of another class'
  return `{${Reflect.ownKeys(value).map(key => `${JSON.stringify(key)}:${show(Reflect.get(value, key))}`)}}`
}

type Parse = (payload: string) => unknown

/** A parser of payloads that are texts by themselves. */
function inText(): Parse {
  const parser = new PayloadParser()
  return payload => parser.parse(payload)
}

/** A parser of payloads that stand as bytes among others. */
function inBytes(before: string): Parse {
  const parser = new PayloadParser()
  const bytes = new ByteWindow()
  return payload => {
    const buffer = Buffer.from(`${before}${payload}\n`)
    bytes.load(buffer, buffer.length)
    return parser.parseIn(bytes, Buffer.byteLength(before), buffer.length - 1)
  }
}

const places: Readonly<Record<string, () => Parse>> = {
  'in a text': inText,
  'in bytes': () => inBytes('data: '),
  'in bytes beside some that are not ASCII': () => inBytes(': é\ndata: ')
}

function expectParsedAlike(payloads: readonly string[]): void {
  for (const [place, createParser] of Object.entries(places)) {
    const parse = createParser()
    for (const payload of payloads) {
      // Half of a surrogate pair cannot be written in UTF-8.
      const sent = place === 'in a text' ? payload : Buffer.from(payload).toString()
      expect(outcome(parse, sent)).to.equal(outcome(JSON.parse, sent))
    }
  }
}

/** Every object and array in a value. */
function* containersOf(value: unknown): Generator<object> {
  if (typeof value !== 'object' || value === null) return
  yield value
  for (const member of Object.values(value)) yield* containersOf(member)
}

/** Scalars as they stand in JSON text, and near misses that do not belong there. */
const scalars = [
  '""',
  '" the"',
  '"exactly 12 c"',
  '"exactly 13 ch"',
  '"of many characters, all of them plain"',
  '"\\""',
  '"\\\\"',
  '"\\n\\u00e9\\ud83d\\ude00"',
  '"\\u0000"',
  '"\\u00000"',
  '"\\u0022"',
  '"\\b\\f\\n\\r\\t\\/"',
  '"a\\"b\\\\c\\\\"',
  '"sixteen bytes\\n,"',
  '"seventeen bytes\\n"',
  '"é’漢"',
  '"\ud83d"',
  '"\ude00 alone"',
  '"\u2028\u2029\u007f"',
  '"__proto__"',
  '"}],"',
  '"{\\"a\\":1}"',
  '0',
  '-0',
  '1',
  '9',
  '10',
  '-7',
  '123456789012345',
  '1234567890123456',
  '9007199254740993',
  '0.1',
  '-1.5e-7',
  '1e5',
  '1E+2',
  '1e400',
  '12.3456789012345678',
  '0.30000000000000004',
  'true',
  'false',
  'null'
]
const brokenScalars = [
  '01',
  '00',
  '-',
  '-01',
  '+1',
  '.5',
  '1.',
  '1.e1',
  '1e',
  '0x10',
  '1_000',
  '1 2',
  'NaN',
  'Infinity',
  '-Infinity',
  'nul',
  'True',
  'undefined',
  '',
  '"',
  '"""',
  '"a" "b"',
  '"a\\"',
  '"\\x41"',
  '"\\N"',
  '"\\é"',
  '"a\\\u0001"',
  '"\\u12"',
  '"\\u{41}"',
  '"tab\tin"',
  '"line\nfeed"',
  '"\u0000"',
  '"\u001f"',
  "'a'",
  '"a","content":',
  '"a"}',
  '{',
  '[',
  ',',
  ':'
]
/** Values that are no scalars, or more than one, though the text around them still fits. */
const intruders = [
  '{}',
  '[]',
  '{"a":1}',
  '["a"]',
  '"a","content":"b"',
  '"a","__proto__":{"b":1}',
  ' "a"',
  '"a" ',
  '"a"\n',
  '\ufeff"a"',
  '\u00a0"a"'
]

const scalar = fc.oneof(
  fc.constantFrom(...scalars),
  fc.string().map(text => JSON.stringify(text)),
  fc.string({ unit: fc.constantFrom(...'abc\\\\"nu/\u0007é') }).map(text => `"${text}"`),
  fc.string({ unit: 'binary' }).map(text => `"${text.replace(/["\\]/g, '')}"`),
  fc.double().map(number => JSON.stringify(number)),
  fc.integer().map(String),
  fc.bigInt({ min: 0n, max: 10n ** 20n }).map(String)
)
const anything = fc.oneof(
  { weight: 8, arbitrary: scalar },
  { weight: 1, arbitrary: fc.constantFrom(...brokenScalars, ...intruders) },
  { weight: 1, arbitrary: fc.json() }
)

/** Frames with `#` for holes, each with something that a careless template gets wrong. */
const frames: Record<string, string> = {
  'a hole in the middle': '{"a":{"b":#},"c":null}',
  'two holes side by side': '[#,#]',
  'a bare scalar': '#',
  'white space everywhere': ' {\n "a" :\t[ # ,\r\n# ] } ',
  'a hole that a duplicate overrides': '{"a":#,"a":"kept"}',
  'a hole that overrides a duplicate': '{"a":"lost","b":1,"a":#}',
  'an overridden object with a hole': '{"a":{"b":#},"a":{"b":"kept"}}',
  'holes under one name': '{"a":#,"a":#}',
  'a hole for a key': '{#:1,"b":2}',
  'a hole for a key, after white space': '{# :1,"b":#}',
  'a key named __proto__': '{"__proto__":#,"a":{"__proto__":{"b":#}}}',
  'keys that are array indexes': '{"b":#,"1":#,"0":{"a":#}}',
  'text that looks like a marker': '{"a":"\\u00000","b":#,"c":"\\u00001"}',
  'an overridden hole and text that looks like its marker': '{"a":#,"a":1,"b":"\\u00000"}',
  'text that repeats': '{"a":"","a":"","b":#,"a":"","a":""}',
  'a chat chunk': chatChunk('#', '#', '#'),
  'members of many names':
    '{"created":#,"sequence_number":#,"delta":#,"timings":{"predicted_n":#,"predicted_ms":#,"predicted_per_token_ms":#,"predicted_per_second":#}}',
  'usage on every chunk':
    '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":#,"total_tokens":#,"details":{"n":0}}}'
}

function fill(frame: string, values: readonly string[]): string {
  let next = 0
  return frame.replaceAll('#', () => values[next++ % values.length] as string)
}

describe('PayloadParser', () => {
  it('gives what JSON.parse gives for integers of 14 to 20 digits', () => {
    const integers = [...'456789'].flatMap(first =>
      ['4', '9', '5', '7'].map(digit => `${first}${digit.repeat(19)}`)
    )
    const cut = integers.flatMap(text => Array.from({ length: 7 }, (_, at) => text.slice(0, 14 + at)))
    expectParsedAlike(cut.map(integer => chatChunk('"a"', '"b"', integer)))
  })

  for (const [name, frame] of Object.entries(frames)) {
    it(`gives what JSON.parse gives, for ${name}`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.array(anything, { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 12 }),
          fills => {
            expectParsedAlike(['"x"', '"y"', ...fills].map(values => fill(frame, [values].flat())))
          }
        )
      )
    })
  }

  for (const hostile of [...scalars, ...brokenScalars, ...intruders]) {
    it(`gives what JSON.parse gives once ${JSON.stringify(hostile)} stands where the delta was`, () => {
      expectParsedAlike([chatChunk('"a"'), chatChunk('"b"'), chatChunk(hostile), chatChunk('"c"')])
      expectParsedAlike([chatChunk('1'), chatChunk('2'), chatChunk(hostile), chatChunk('3')])
    })
  }

  it('gives what JSON.parse gives for any change to a payload that it knows', () => {
    const known = [
      chatChunk('"a"'),
      chatChunk('"b"', '"Q"'),
      chatChunk('" the"', '"abcdefghijklmno"', '1759436811')
    ]
    const change = fc.record({
      at: fc.nat(known[2]?.length),
      remove: fc.nat(20),
      insert: fc.oneof(
        fc.constantFrom('', '"', '\\', ',', ':', '}', '{', ' ', '0', '\n', '\u0000', ...known),
        fc.string({ maxLength: 3 })
      )
    })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 10 }), changes => {
        const text = known[2] as string
        const changed = changes.map(
          ({ at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove)
        )
        expectParsedAlike([...known, ...changed, ...known])
      }),
      { numRuns: 300 }
    )
  })

  it('gives what JSON.parse gives for every beginning and every end of a payload that it knows', () => {
    const text = chatChunk('"c"')
    const cuts = Array.from(text, (_, at) => [text.slice(0, at), text.slice(at)]).flat()
    expectParsedAlike([chatChunk('"a"'), chatChunk('"b"'), ...cuts, text + text, `${text} `, text])
  })

  it('gives what JSON.parse gives for a delta that holds the text of a whole payload', () => {
    const text = chatChunk('"c"')
    expectParsedAlike([
      chatChunk('"a"'),
      chatChunk('"b"'),
      chatChunk(JSON.stringify(text)),
      chatChunk(`"${text}"`),
      text
    ])
  })

  it('gives what JSON.parse gives for payloads of many shapes in any order', () => {
    const values = Object.values(frames)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...values), anything, anything), { maxLength: 60 }),
        steps => {
          expectParsedAlike(steps.map(([frame, ...fills]) => fill(frame, fills)))
        }
      )
    )
  })

  it('gives what JSON.parse gives for any JSON, over and over', () => {
    fc.assert(
      fc.property(fc.json(), fc.json(), (first, second) => {
        expectParsedAlike([first, first, second, first, second, second])
      })
    )
  })

  it('gives what JSON.parse gives where half of a surrogate pair is part of what is alike', () => {
    const payload = (same: string, n: number) => `{"a":"${same}","b":${n}}`
    expectParsedAlike(['\ud83d', '\ud83d', '\ufffd', '\ud83d'].map(payload))
  })

  it('gives what JSON.parse gives when payloads come to be alike only after thousands that are not', () => {
    const unlike = Array.from({ length: 3000 }, (_, at) => `{"key${at}":{"n":${at}}}`)
    const alike = Array.from({ length: 5000 }, (_, at) =>
      chatChunk(JSON.stringify(String(at)), `"${at}"`, String(at))
    )
    expectParsedAlike([...unlike, ...alike, ...unlike])
  })

  for (const depth of [31, 32, 33, 1000, 2000]) {
    it(`gives what JSON.parse gives for ${depth} levels of nesting`, () => {
      for (const [open, close] of [
        ['[', ']'],
        ['{"a":', '}']
      ] as const) {
        const nest = (text: string) => open.repeat(depth) + text + close.repeat(depth)
        const parse = inText()
        for (const text of ['1', '"2"', '3', '3', 'null']) {
          const mine = [...nested(parse(nest(text)))]
          const plain = [...nested(JSON.parse(nest(text)))]
          expect(mine).to.deep.equal(plain)
        }
      }
    })
  }

  for (const length of [4000, 4096, 4097, 100_000]) {
    it(`gives what JSON.parse gives for payloads of ${length} characters`, () => {
      const pad = 'p'.repeat(length - chatChunk('"a"', '""').length)
      expectParsedAlike(['a', 'b', 'c', 'c', '\\'].map(delta => chatChunk(`"${delta}"`, `"${pad}"`)))
    })
  }

  for (const holes of [15, 16, 17, 40]) {
    it(`gives what JSON.parse gives for payloads that differ in ${holes} places`, () => {
      const payload = (n: number) =>
        JSON.stringify(Array.from({ length: holes }, (_, at) => ({ [`k${at}`]: n + at })))
      expectParsedAlike([1, 2, 3, 4, 0, -1].map(payload))
    })
  }

  for (const [place, createParser] of Object.entries(places)) {
    it(`hands out objects that share no part that can be changed, ${place}`, () => {
      const parse = createParser()
      const frame = '{"a":[],"b":[[1,{"c":#}],{}],"d":{"e":{"f":[]}},"__proto__":{"g":{}},"h":#}'
      const seen = new Set<object>()
      let expected = 0
      for (let at = 0; at < 20; at++) {
        const value = parse(fill(frame, [String(at), '"x"']))
        for (const container of containersOf(value)) {
          seen.add(container)
          expected++
        }
      }
      expect(seen.size).to.equal(expected)
    })

    it(`hands out objects that share no part that can be changed, however deep it lies, ${place}`, () => {
      const parse = createParser()
      const seen = new Set<object>()
      for (let at = 0; at < 6; at++) {
        for (const container of containersOf(parse(`{"a":${at},"b":${'['.repeat(100)}${']'.repeat(100)}}`)))
          seen.add(container)
      }
      expect(seen.size).to.equal(6 * 101)
    })

    it(`is not misled by what a caller does to the objects it was handed, ${place}`, () => {
      const parse = createParser()
      for (let at = 0; at < 10; at++) {
        const payload = chatChunk(`"${at}"`)
        const value = parse(payload)
        expect(show(value)).to.equal(show(JSON.parse(payload)))
        for (const container of containersOf(value)) {
          for (const key of Object.keys(container)) Reflect.set(container, key, 'spoilt')
          Reflect.set(container, 'added', 1)
        }
      }
    })

    it(`throws what JSON.parse throws, and goes on, ${place}`, () => {
      const parse = createParser()
      parse(chatChunk('"a"'))
      parse(chatChunk('"b"'))
      for (const broken of ['', '{', chatChunk('"c'), `${chatChunk('"c"')}}`, chatChunk('01')]) {
        expect(() => parse(broken)).to.throw(SyntaxError)
        expect(outcome(parse, broken)).to.equal(outcome(JSON.parse, broken))
        expect(show(parse(chatChunk('"d"')))).to.equal(show(JSON.parse(chatChunk('"d"'))))
      }
    })
  }

  it('keeps no parser waiting on another', () => {
    const [first, second] = [inText(), inText()]
    for (const delta of ['"a"', '"b"', '"c"', '"d"']) {
      expect(show(first(chatChunk(delta)))).to.equal(show(JSON.parse(chatChunk(delta))))
      expect(show(second(`[${delta}]`))).to.equal(`[${delta}]`)
    }
  })

  describe('asked for another payload like the last one', () => {
    const payload = (id: string, b: string) => `{"id":${id},"a":[{"b":${b}}]}`
    /** What is parsed again of a text, after payloads that differ in these ids. */
    const again = (ids: string[], text: string, maxLength = 4096, before = 'data: ') => {
      const parser = new PayloadParser(path => path.join('.') === 'a.0.b')
      for (const [at, id] of ids.entries()) parser.parse(payload(id, `"${at}"`))
      parser.expect({ before: () => before, behind: () => '\n\n' })
      const bytes = new ByteWindow()
      const buffer = Buffer.from(`x${text}`)
      bytes.load(buffer, buffer.length)
      const value = parser.parseAgain(bytes, 1, maxLength)
      return value === undefined ? 'nothing' : [show(value), parser.end - 1]
    }
    const event = `data: ${payload('1', '"é\\n"')}\n\n`

    it('gives what JSON.parse gives, and tells where all of it ends', () => {
      const wanted = show(JSON.parse(payload('1', '"é\\n"')))
      expect(again(['1', '1', '1'], `${event}more`)).to.deep.equal([wanted, Buffer.byteLength(event)])
    })

    for (const [name, holes] of [
      ['strings', ['" the"', '"a"', '"and more"']],
      ['a string with an escape', ['"\\""', '"\\\\"', '"\\n\\n"']],
      ['numbers', ['12', '0', '3.14159265358979']],
      ['words and other numbers', ['true', '-1E-5', '1e+5']]
    ] as const) {
      it(`gives nothing where its end is missing, of one with ${name}`, () => {
        const framed = ([a, b, c]: readonly string[], pad: string) =>
          `data: {"pad":"${pad}","a":${a},"b":[${b}],"c":${c}}\n\n`
        const parser = new PayloadParser(() => true)
        for (const at of ['1', '2', '3'])
          parser.parse(framed(['1', at, at], at).slice(6, -2).replace('"a":1', `"a":${at}`))
        parser.expect({ before: () => 'data: ', behind: () => '\n\n' })
        // Long enough for its end to be looked for.
        const all = Buffer.from(framed(holes, 'p'.repeat(200)))
        const bytes = new ByteWindow()
        for (let length = 0; length <= all.length; length++) {
          const wanted = length < all.length ? undefined : JSON.parse(all.toString().slice(6))
          // With nothing behind, and with what must not be read.
          for (const buffer of [Buffer.from(Uint8Array.from(all.subarray(0, length)).buffer), all]) {
            bytes.load(buffer, length, new DataView(buffer.buffer))
            expect(parser.parseAgain(bytes, 0, 4096)).to.deep.equal(wanted)
          }
        }
      })
    }

    it('gives nothing where what stood before the last one is no ASCII', () => {
      expect(again(['1', '1', '1'], `event: é\n${event}`, 4096, 'event: é\ndata: ')).to.equal('nothing')
      expect(again(['1', '1', '1'], `event: e\n${event}`, 4096, 'event: e\ndata: ')).to.not.equal('nothing')
    })

    for (const [name, ids, text, maxLength] of [
      ['another payload stands there', ['1', '1', '1'], event.replace('1', '2')],
      ['another text stands before it', ['1', '1', '1'], `id: 1\n${event}`],
      ['another text stands behind it', ['1', '1', '1'], event.replace('\n\n', '\ndata: 1\n\n')],
      ['it is longer than it may be', ['1', '1', '1'], event, 20],
      ['it differs in what matters', ['1', '2', '3'], event],
      ['the last one was the first of its kind', ['1'], event],
      ['the last one was parsed by JSON.parse', ['1', '1', '1', '"é"'], event]
    ] as const) {
      it(`gives nothing where ${name}`, () => {
        expect(again([...ids], text, maxLength)).to.equal('nothing')
      })
    }
  })
})

/** The way down a value of one member per level: recursion in a test would end where the depth is of interest. */
function* nested(value: unknown): Generator<unknown> {
  let level = value
  while (typeof level === 'object' && level !== null) {
    yield Array.isArray(level) ? 'array' : Object.keys(level).join()
    level = Object.values(level)[0]
  }
  yield level
}

import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type } from 'arktype'
import { expect } from 'chai'
import {
  type CompletionError,
  compose,
  type ElementsOptions,
  requestCompletion,
  type StandardSchema,
  toChunks,
  toElements,
  toText
} from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import fc from 'fast-check'
import * as valibot from 'valibot'
import { z } from 'zod'
import { clientOf } from '../helpers.js'

/** What came out, and what it failed with. */
interface Result {
  elements: unknown[]
  error?: CompletionError
}

async function read(pieces: Iterable<string>, options?: ElementsOptions): Promise<Result> {
  const elements: unknown[] = []
  const sink = new Writable({
    objectMode: true,
    write(element, _encoding, callback) {
      elements.push(element)
      callback()
    }
  })
  try {
    await pipeline(Readable.from(pieces), toElements(options), sink)
    return { elements }
  } catch (error) {
    return { elements, error: error as CompletionError }
  }
}

/** Reads a text at once, and in pieces of every length up to its own. */
async function readInAllPieces(text: string, options?: ElementsOptions): Promise<Result> {
  const whole = await read([text], options)
  for (let size = 1; size < text.length; size++) {
    const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
    const result = await read(pieces, options)
    expect(result.elements, `in pieces of ${size}`).to.deep.equal(whole.elements)
    expect(result.error?.code, `in pieces of ${size}`).to.equal(whole.error?.code)
    expect(result.error?.residue, `in pieces of ${size}`).to.equal(whole.error?.residue)
  }
  return whole
}

const texts: Record<string, { text: string; path?: string; gives: unknown[] }> = {
  'an array': {
    text: ' [1, "two", {"three": [3]}, true, -4.5e1]\n',
    gives: [1, 'two', { three: [3] }, true, -45]
  },
  'an empty array': { text: '[ ]', gives: [] },
  'an array with a comma behind its last element': { text: '[{"a":1},]', gives: [{ a: 1 }] },
  'a byte order mark': { text: '\uFEFF[1]', gives: [1] },
  'brackets and quotes within strings': {
    text: '["]", "\\"[", {"}": "\\\\"}]',
    gives: [']', '"[', { '}': '\\' }]
  },
  'a fence': { text: 'Here:\n```json\n[1,\n2]\n```\nDone.', gives: [1, 2] },
  'a fence of four marks': { text: '````jsonc\n[{"a":1}]\n````', gives: [{ a: 1 }] },
  'a fence of tildes': { text: '~~~\n{"a":1}\n~~~', gives: [{ a: 1 }] },
  'prose before and behind': {
    text: 'Sure! Here you are:\n\n[{"a":1}]\n\nAnything [else]? {}',
    gives: [{ a: 1 }]
  },
  'an array in the middle of a line': {
    text: 'The list is [{"a":1}, {"a":2}].',
    gives: [{ a: 1 }, { a: 2 }]
  },
  'a note, a link and a box in the prose': {
    text: 'As [1] says,\n[here](x):\n- [ ] one\n[or so]\n[{"a":1}]',
    gives: [{ a: 1 }]
  },
  'notes at the beginning of the text': {
    text: '[Smith, 2020] [note]: [see {x}, "y"] {name} is\n[ ] [{"a":1}]',
    gives: [{ a: 1 }]
  },
  'a note with JSON in it': { text: '[like {"a":1}] and {"a":2}', gives: [{ a: 1 }, { a: 2 }] },
  'a name in braces at the beginning of the text': { text: '{name}, here:\n{"a":1}', gives: [{ a: 1 }] },
  'a link at the beginning of the text': { text: '[here](x), {there}:\n["a"]', gives: ['a'] },
  'a list of sources': { text: '[1] Smith 2020\n[2] Jones\n{"a":1}', gives: [{ a: 1 }] },
  'lines of objects': { text: '{"a":1}\n{"a":2}\r\n\n{"a":3}', gives: [{ a: 1 }, { a: 2 }, { a: 3 }] },
  'lines with commas': { text: '{"a":1},\n{"a":2},\n', gives: [{ a: 1 }, { a: 2 }] },
  'objects without anything between': { text: '{"a":1}{"a":2}', gives: [{ a: 1 }, { a: 2 }] },
  'objects of which one is empty': { text: '{"a":1},{},{"c":3}', gives: [{ a: 1 }, {}, { c: 3 }] },
  'empty objects': { text: '{}{} {}\n{}', gives: [{}, {}, {}, {}] },
  'an empty object in the prose behind an object': { text: '{"a":1} and {}', gives: [{ a: 1 }] },
  'values of all kinds behind an object, with commas between': {
    text: '{"a":1}, [], [2, 3],[4], 5,"six, or \\"so\\"" ,true,-7',
    gives: [{ a: 1 }, [], [2, 3], [4], 5, 'six, or "so"', true, -7]
  },
  'arrays with commas between': { text: '[1], [2, 3],\n[4],[]', gives: [1, 2, 3, 4] },
  'prose behind an object and a comma': { text: '{"a":1}, 5 of [2], true story', gives: [{ a: 1 }] },
  'sources behind objects': { text: '{"a":1} [1]\n{"b":2}[2]\n', gives: [{ a: 1 }, { b: 2 }] },
  'an object behind a brace at the end of a line': { text: 'so: {\n{"a":1}', gives: [{ a: 1 }] },
  'names in double braces': { text: 'Put {{"a":1}} or {{{b}}}:\n{"a":1}', gives: [{ a: 1 }] },
  'lines of values, and prose that is open': { text: '1\n"two" and "three', gives: [1] },
  'lines of values': { text: '1\n"two",\ntrue\n[4]\n{"a":5}\n', gives: [1, 'two', true, [4], { a: 5 }] },
  'two arrays': { text: '[1]\nand\n[2, 3]', gives: [1, 2, 3] },
  'the array at a path': {
    text: '{"n":1,"items":[1,{"items":[9]}],"z":{}}',
    path: 'items',
    gives: [1, { items: [9] }]
  },
  'the array at a path of two names': {
    text: '{"rows":[0],"data":{"x":[[]],"rows":[{"a":1}],"y":"]"}}',
    path: 'data.rows',
    gives: [{ a: 1 }]
  },
  'the arrays at a path of several objects': {
    text: '{"items":[1]}\n{"items":[2]}',
    path: 'items',
    gives: [1, 2]
  },
  'prose and a fence round an object with a path': {
    text: 'Here [1]:\n```json\n{"items": [1]}\n```',
    path: 'items',
    gives: [1]
  },
  'a name with an escape': { text: '{"it\\u0065ms":[1]}', path: 'items', gives: [1] }
}

const failures: Record<
  string,
  { text: string; options?: ElementsOptions; code: string; gives?: unknown[]; residue?: string }
> = {
  'an empty text': { text: '', code: 'CS_ERR_INVALID_ELEMENT' },
  'white space': { text: ' \n', code: 'CS_ERR_INVALID_ELEMENT' },
  prose: { text: 'I cannot [do] that.', code: 'CS_ERR_INVALID_ELEMENT' },
  'an object without the path': {
    text: '{"a":1}',
    options: { path: 'items' },
    code: 'CS_ERR_INVALID_ELEMENT'
  },
  'an object at the path': {
    text: '{"items":{"a":1}}',
    options: { path: 'items' },
    code: 'CS_ERR_INVALID_ELEMENT'
  },
  'an element that is no JSON': {
    text: '[{"a":1},{"a":oops},{"a":3}]',
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [{ a: 1 }],
    residue: '{"a":oops}'
  },
  'a missing comma': { text: '[{"a":1} {"a":2}]', code: 'CS_ERR_INVALID_ELEMENT', gives: [{ a: 1 }] },
  'a null among the elements': {
    text: '[{"a":1},null,2]',
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [{ a: 1 }]
  },
  'a member beside the elements that is no JSON': {
    text: '{"items":[1],"n":oops}',
    options: { path: 'items' },
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [1]
  },
  'a list that begins with a comment': {
    text: ' [\n  // planets\n  {"name":"Venus"},\n  {"name":"Earth"},\n',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '//'
  },
  'a list of lists that begins with a comment': {
    text: '[ /* c */\n ["a",1],\n ["b",2]\n]',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '/*'
  },
  'a list of lists of numbers that begins with a comment': {
    text: '[ # c\n [1,2],\n [3,4]\n]',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '#'
  },
  'a list that begins with dots, in a fence': {
    text: '```json\n[\n  ...\n  {"a":1},',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '...'
  },
  'a list that begins with a word of Python': {
    text: '[None, {"a":1}, {"b":2},',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: 'None'
  },
  'a list that begins with a text in single quotes': {
    text: `['x', {"a":1}, {"b":2}]`,
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: `'x'`
  },
  'a list that begins with a number that is none': {
    text: '[+1, {"a":1}]',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '+1'
  },
  'a second list that begins with what is no JSON': {
    text: '[1,2]\n[None, {"a":1}]',
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [1, 2],
    residue: 'None'
  },
  'lines that begin with an object without quotes': {
    text: '{a:1}\n{"b":2}',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '{a:1}'
  },
  'lines among which is one in single quotes': {
    text: `{"a":1}\n{'b': 2}\n{"c":3}`,
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [{ a: 1 }],
    residue: `{'b': 2}`
  },
  'an object that begins with a comment': {
    text: '{\n  // planets\n  "items":[{"a":1}]\n}',
    code: 'CS_ERR_INVALID_ELEMENT',
    residue: '{\n  // planets\n  "items":[{"a":1}]\n}'
  },
  'an object with a path that begins without quotes': {
    text: '{x:1}\n{"items":[1]}',
    options: { path: 'items' },
    code: 'CS_ERR_INVALID_ELEMENT'
  },
  'an object without quotes behind a comma': {
    text: '{"a":1},{b:2},{"c":3}',
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: [{ a: 1 }],
    residue: '{b:2}'
  },
  'an end within a line that is a string': {
    text: '"a"\n"b',
    code: 'CS_ERR_TRUNCATED',
    gives: ['a'],
    residue: '"b'
  },
  'an end within a line that is a string, behind a number': {
    text: '1\n"a\\"',
    code: 'CS_ERR_TRUNCATED',
    gives: [1],
    residue: '"a\\"'
  },
  'an end within a line that is a word': {
    text: '{"a":1}\nfals',
    code: 'CS_ERR_TRUNCATED',
    gives: [{ a: 1 }],
    residue: 'fals'
  },
  'an end within a line that is a number': {
    text: '1\n2.5e',
    code: 'CS_ERR_TRUNCATED',
    gives: [1],
    residue: '2.5e'
  },
  'an end within a string behind a comma': {
    text: '{"a":1}, "b, c',
    code: 'CS_ERR_TRUNCATED',
    gives: [{ a: 1 }],
    residue: '"b, c'
  },
  'a text in quotes that is cut': { text: '"I cannot [do] that', code: 'CS_ERR_INVALID_ELEMENT' },
  'an end behind the bracket': { text: '[', code: 'CS_ERR_TRUNCATED', residue: '' },
  'an end within the first word': { text: '[\n  tru', code: 'CS_ERR_TRUNCATED', residue: 'tru' },
  'an end within an element': {
    text: '[{"a":1},{"a":',
    code: 'CS_ERR_TRUNCATED',
    gives: [{ a: 1 }],
    residue: '{"a":'
  },
  'an end before the array is closed': {
    text: '[{"a":1}',
    code: 'CS_ERR_TRUNCATED',
    gives: [{ a: 1 }],
    residue: ''
  },
  'an end behind a comma': { text: '[{"a":1},', code: 'CS_ERR_TRUNCATED', gives: [{ a: 1 }], residue: '' },
  'an end within a number': { text: '[1,23', code: 'CS_ERR_TRUNCATED', gives: [1], residue: '23' },
  'an end before the object is closed': {
    text: '{"items":[1]',
    options: { path: 'items' },
    code: 'CS_ERR_TRUNCATED',
    gives: [1],
    residue: ''
  },
  'an end within a line': {
    text: '{"a":1}\n{"a"',
    code: 'CS_ERR_TRUNCATED',
    gives: [{ a: 1 }],
    residue: '{"a"'
  },
  'an element that is too long': {
    text: '["short","much too long"]',
    options: { maxElementSize: 10 },
    code: 'CS_ERR_INVALID_ELEMENT',
    gives: ['short']
  }
}

describe('toElements', () => {
  for (const [name, { text, path, gives }] of Object.entries(texts)) {
    it(`reads ${name}, wherever the text is cut`, async () => {
      const { elements, error } = await readInAllPieces(text, path === undefined ? {} : { path })
      expect(error).to.equal(undefined)
      expect(elements).to.deep.equal(gives)
    })
  }

  for (const [name, { text, options, code, gives = [], residue }] of Object.entries(failures)) {
    it(`fails with ${code} for ${name}, behind all whole elements`, async () => {
      const { elements, error } = await readInAllPieces(text, options)
      expect(error?.code).to.equal(code)
      expect(error?.residue).to.equal(residue)
      expect(elements).to.deep.equal(gives)
    })
  }

  it('gives what JSON.parse gives for each element, wherever the text is cut', async () => {
    // A stream cannot carry null.
    const element = fc.jsonValue({ noUnicodeString: false }).filter(value => value !== null)
    await fc.assert(
      fc.asyncProperty(
        fc.array(element),
        fc.constantFrom(undefined, 1, '\t'),
        fc.array(fc.nat(40)),
        async (values, space, cuts) => {
          const text = JSON.stringify(values, null, space)
          const pieces: string[] = []
          let at = 0
          for (const cut of cuts) {
            pieces.push(text.slice(at, at + cut))
            at += cut
          }
          const { elements, error } = await read([...pieces, text.slice(at)].filter(piece => piece !== ''))
          expect(error).to.equal(undefined)
          expect(elements).to.deep.equal(JSON.parse(text))
        }
      )
    )
  })

  it('takes deep nesting, large numbers, __proto__, names that are repeated and halves of surrogate pairs as JSON.parse does', async () => {
    const depth = 100_000
    const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`
    const others = [
      '1e999',
      '123456789012345678901234567890',
      '-0',
      '{"__proto__":{"x":1}}',
      '{"a":1,"a":2}',
      '"\\ud83d"'
    ]
    const { elements, error } = await read([`[${deep},`, others.join(), ']'])
    expect(error).to.equal(undefined)
    expect(elements).to.have.lengthOf(7)
    expect(elements.slice(1)).to.deep.equal(others.map(text => JSON.parse(text)))
    expect(Object.is(elements[3], -0)).to.equal(true)
    expect(Object.keys(elements[4] as object)).to.deep.equal(['__proto__'])
  })

  const long = 400_000
  for (const [name, text, gives, options] of [
    ['objects with commas', '{"n":1},'.repeat(long / 8), long / 8],
    ['lines', '{"a":1}\n'.repeat(long / 8), long / 8],
    ['objects with a path', '{"items":[1]}\n'.repeat(long / 10), long / 10, { path: 'items' }],
    ['prose with brackets', `${'See [x] for {y}. '.repeat(long / 10)}\n{"a":1}`, 1],
    ['brackets', 'x [ '.repeat(long / 4), -1],
    ['brackets, each on its line', `x\n${'[\n'.repeat(long / 2)}x\n[1]`, 1],
    ['brackets behind what is no JSON', `[a,\n${'[\n'.repeat(long / 2)}x`, -1],
    ['braces', '{'.repeat(long), -1],
    ['arrays', '[1]\n'.repeat(long / 4), long / 4],
    ['numbers that begin arrays and are none', '[1 x\n'.repeat(long / 5), -1],
    ['white space in an array', `[${' '.repeat(long)}1${' '.repeat(long)}]`, 1],
    ['white space in an object', `{${' '.repeat(long)}"a":1}`, 1],
    ['a number', `[${'1'.repeat(long)}]`, 1]
  ] as const) {
    // Sizes for which a way that takes the square of the length, or a call for each bracket, would not do.
    it(`reads a long text of ${name}, in one piece and in characters`, async () => {
      for (const pieces of [[text], text.split('')]) {
        const { elements, error } = await read(pieces, options)
        if (gives === -1) expect(error?.code).to.be.oneOf(['CS_ERR_INVALID_ELEMENT', 'CS_ERR_TRUNCATED'])
        else expect(error).to.equal(undefined)
        expect(elements.length).to.equal(Math.max(gives, 0))
      }
    }).timeout(60_000)
  }

  for (const text of [
    `[${' '.repeat(1024)}1]`,
    `{${' '.repeat(1024)}"a":1}`,
    `[${'1'.repeat(1025)}]`,
    '['.repeat(1025) + ']'.repeat(1025),
    `x [${' '.repeat(1024)}{"a":1}]`
  ]) {
    it(`reads the JSON that begins with ${text.slice(0, 5)} and is long, wherever the text is cut`, async () => {
      for (const size of [1, 2, 3, 1000, 1024, 1025, 5000]) {
        const { elements, error } = await read(text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [])
        expect(error, `in pieces of ${size}`).to.equal(undefined)
        expect(elements, `in pieces of ${size}`).to.have.lengthOf(1)
      }
    })
  }

  it('does not wait without end for what a bracket begins', async () => {
    const text = `[${' '.repeat(10_000)}1]`
    for (const pieces of [[text], text.split('')]) {
      const { error } = await read(pieces, { maxElementSize: 100 })
      expect(error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
      expect(error?.limit).to.equal(100)
    }
  })

  it('emits the elements of a piece before a failure in it', async () => {
    const { elements, error } = await read([`${'{"n":1},'.repeat(3000)}{n:1}`])
    expect(error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
    expect(elements).to.have.lengthOf(3000)
  })

  it('gives the same of any text, wherever it is cut', async () => {
    const parts = fc.constantFrom(
      ...[
        '{"a":1}',
        '[1]',
        '[1, 2]',
        '{}',
        '[]',
        ',',
        ', ',
        ' ',
        '\n',
        '```json\n',
        'prose',
        '[note]',
        '{name}'
      ],
      ...[
        '{a:1}',
        '[None, {"a":1}]',
        '"str"',
        '"q',
        '12',
        '-',
        'tru',
        '{',
        '[',
        '}',
        ']',
        '{{',
        '// c',
        "'x'",
        ':'
      ]
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(parts, { maxLength: 8 }).map(parts => parts.join('')),
        fc.constantFrom({}, { path: 'a' }, { maxElementSize: 5 }),
        async (text, options) => {
          const [whole, characters] = [await read([text], options), await read(text.split(''), options)]
          expect(characters.elements).to.deep.equal(whole.elements)
          expect(characters.error?.code).to.equal(whole.error?.code)
          expect(characters.error?.residue).to.equal(whole.error?.residue)
        }
      ),
      { numRuns: 2000 }
    )
  })

  it('reads a text of brackets in linear time', async () => {
    const { error } = await read(Array.from({ length: 200_000 }, () => '[{'))
    expect(error?.code).to.be.oneOf(['CS_ERR_INVALID_ELEMENT', 'CS_ERR_TRUNCATED'])
  })

  it('emits each element before the next piece of text is read', async () => {
    const seen: string[] = []
    async function* pieces() {
      for (const piece of ['[{"a":1}', ',', '{"a":2}', ']']) {
        seen.push(piece)
        yield piece
      }
    }
    const source = Readable.from(pieces(), { highWaterMark: 1 })
    for await (const element of compose(source, toElements())) seen.push(JSON.stringify(element))
    expect(seen.indexOf('{"a":1}')).to.be.lessThan(seen.length - 1)
    expect(seen.filter(text => /^\{.*\}$/.test(text))).to.include('{"a":2}')
  })

  it('shows how a text begins that holds no JSON, but not in the message', async () => {
    const { error } = await read(['I cannot ', 'do that.'])
    expect(error?.beginning).to.equal('I cannot do that.')
    expect(error?.message).not.to.include('cannot')
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is no text', async () => {
    const error = await pipeline(Readable.from([{ choices: [] }]), toElements(), async source => {
      for await (const _ of source);
    }).catch(error => error)
    expect(error.code).to.equal('CS_ERR_INVALID_CHUNK')
    expect(error.message).to.include('toText()')
  })

  const schemas: Record<string, StandardSchema> = {
    zod: z.object({ n: z.number() }),
    valibot: valibot.object({ n: valibot.number() }),
    arktype: type({ n: 'number' }),
    'zod, asynchronous': z.object({ n: z.number() }).refine(async () => true),
    'valibot, asynchronous': valibot.objectAsync({
      n: valibot.pipeAsync(
        valibot.number(),
        valibot.checkAsync(async () => true)
      )
    })
  }

  for (const [name, schema] of Object.entries(schemas)) {
    it(`fails with CS_ERR_INVALID_ELEMENT, the issues and the index for what a schema of ${name} refuses`, async () => {
      const { elements, error } = await read(['[{"n":1},{"n":"two"},{"n":3}]'], { schema })
      expect(elements).to.deep.equal([{ n: 1 }])
      expect(error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
      expect(error?.index).to.equal(1)
      expect(error?.issues).to.have.lengthOf(1)
      expect(error?.message).not.to.include('two')
    })

    it(`counts and tells of what a schema of ${name} refuses with onInvalid: 'skip'`, async () => {
      const told: (number | undefined)[] = []
      const stage = toElements({ schema, onInvalid: 'skip', onSkip: error => void told.push(error.index) })
      const elements: unknown[] = []
      for await (const element of compose(Readable.from(['[{"n":1},{"n":"two"},oops,{"n":3}]']), stage))
        elements.push(element)
      expect(elements).to.deep.equal([{ n: 1 }, { n: 3 }])
      expect(told).to.deep.equal([1, 2])
      expect(stage.skipped).to.equal(2)
    })
  }

  it('leaves out what is no JSON also in the first place, and once only', async () => {
    for (const text of ['[None, {"a":1}]', '{a:1}\n{"a":1}']) {
      const stage = toElements({ onInvalid: 'skip' })
      const elements: unknown[] = []
      for await (const element of compose(Readable.from([...text]), stage)) elements.push(element)
      expect(elements).to.deep.equal([{ a: 1 }])
      expect(stage.skipped).to.equal(1)
    }
  })

  it('emits what the schema makes of an element, typed by it', async () => {
    const schema = z.object({ n: z.string() }).transform(({ n }) => Number(n))
    const numbers: number[] = []
    for await (const number of compose(Readable.from(['[{"n":"1"}]']), toElements({ schema })))
      numbers.push(number)
    expect(numbers).to.deep.equal([1])
  })

  it('fails with what a schema or onSkip throws', async () => {
    const reason = new Error('no')
    const schema: StandardSchema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate() {
          throw reason
        }
      }
    }
    expect((await read(['[1]'], { schema, onInvalid: 'skip' })).error).to.equal(reason)
    const onSkip = () => Promise.reject(reason)
    expect((await read(['[{"a":oops},1]'], { onInvalid: 'skip', onSkip })).error).to.equal(reason)
  })

  for (const [option, value] of [
    ['path', ''],
    ['path', 3],
    ['schema', {}],
    ['onInvalid', 'ignore'],
    ['onSkip', true],
    ['maxElementSize', 0]
  ] as const) {
    it(`throws CS_ERR_INVALID_OPTION for ${option}: ${JSON.stringify(value)}`, () => {
      expect(() => toElements({ [option]: value }))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  it('keeps the elements of an answer that is cut, from the request on', async () => {
    await using server = await serveCompletions({
      script: script('[{"id": 1}, {"id": 2}, {"id": 3}]', { interval: 0 }),
      faults: { cutAfter: { events: 8 } }
    })
    const elements: unknown[] = []
    const request = requestCompletion(clientOf(server), { model: 'm', messages: [] })
    const error = await pipeline(request, toChunks(), toText(), toElements(), async source => {
      for await (const element of source) elements.push(element)
    }).catch(error => error)
    expect(error.code).to.equal('CS_ERR_TRUNCATED')
    expect(elements).to.deep.include({ id: 1 })
    expect(elements.length).to.be.lessThan(3)
  })
})

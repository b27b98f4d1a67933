import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { type CompletionError, compose, type PartialsOptions, stage, toPartials } from 'completion-streams'

async function read(
  pieces: Iterable<string>,
  options?: PartialsOptions
): Promise<{ values: unknown[]; error?: CompletionError }> {
  const values: unknown[] = []
  try {
    await pipeline(Readable.from(pieces), toPartials(options), async source => {
      for await (const value of source) values.push(value)
    })
    return { values }
  } catch (error) {
    return { values, error: error as CompletionError }
  }
}

describe('toPartials', () => {
  it('emits the object as it grows, and the whole one last', async () => {
    const { values } = await read(['Here: {"a', '":"on', 'e","b":[1,', '22]}', ' Done.'], { every: 0 })
    expect(values).to.deep.equal([{}, { a: 'on' }, { a: 'one', b: [1] }, { a: 'one', b: [1, 22] }])
  })

  it('emits what grows at a path, once it is there', async () => {
    const { values } = await read(['{"x":1,', '"answer":{"steps":null', ',"steps":["a', 'b"]}}'], {
      path: 'answer.steps',
      every: 0
    })
    expect(values).to.deep.equal([['a'], ['ab']])
  })

  it('emits values of which each is its own', async () => {
    const { values } = await read(['{"a":{"b":[1,', '2,', '3]}}'], { every: 0 })
    for (const value of values as { a?: { b?: unknown[] } }[]) value.a?.b?.splice(0)
    expect(values).to.deep.equal([{ a: { b: [] } }, { a: { b: [] } }, { a: { b: [] } }])
  })

  it('emits no more often than asked for, and the whole one last', async () => {
    const text = JSON.stringify(Array.from({ length: 1000 }, (_, n) => n))
    const { values } = await read([...text], { every: 0, characters: 1000 })
    expect(values.length).to.be.within(3, 5)
    expect(values.at(-1)).to.deep.equal(JSON.parse(text))
  })

  it('emits the newest value though nothing comes behind it', async () => {
    const source = new Readable({ objectMode: true, read() {} })
    const values = compose(source, toPartials({ every: 20 }))[Symbol.asyncIterator]()
    source.push('{"a":"one')
    expect((await values.next()).value).to.deep.equal({ a: 'one' })
    source.push(' two')
    expect((await values.next()).value).to.deep.equal({ a: 'one two' })
    source.push('"}')
    source.push(null)
    let last: unknown
    for (let next = await values.next(); !next.done; next = await values.next()) last = next.value
    expect(last ?? { a: 'one two' }).to.deep.equal({ a: 'one two' })
  })

  it('fails with CS_ERR_TRUNCATED, behind the newest value, when the text ends before it', async () => {
    const { values, error } = await read(['{"a":"one"', ',"b":"t'], { every: 60_000 })
    expect(error?.code).to.equal('CS_ERR_TRUNCATED')
    expect(error?.residue).to.equal('{"a":"one","b":"t')
    expect(values.at(-1)).to.deep.equal({ a: 'one', b: 't' })
  })

  for (const [name, text, newest] of [
    ['a comma behind the last member', '{"a":"x","b":2,}', { a: 'x', b: 2 }],
    ['a name in single quotes', `{"a":"x",'b':2}`, { a: 'x' }],
    ['a text in single quotes, with a comma in it', `{"a":"x","b":'y, z'}`, { a: 'x' }],
    ['a comma in a list within', '{"a":"x","b":[1,]}', { a: 'x', b: [1] }],
    ['a comment', '{"a":"x", // so\n"b":2}', { a: 'x' }],
    ['a bracket of the other kind', '{"a":"x"]', { a: 'x' }],
    ['a line end in a text', '{"a":"x","b":"y\nz"}', { a: 'x', b: 'y' }],
    ['an escape that is none', '{"a":"x","b":"y\\z"}', { a: 'x', b: 'y' }],
    ['a number that is none', '{"a":"x","b":01}', { a: 'x' }],
    ['a list that begins with a comment', '[\n  // c\n  {"a":"x"}\n]', []],
    ['a list that begins with dots, and is cut', '```json\n[\n  ...\n  {"a":1},', []],
    ['a list that begins with a word of Python', '[None, {"a":1}]', []],
    ['an object without quotes, before one with', '{a:1}\n{"b":2}', {}],
    ['a second object', '{"a":"x"}\n{"b":2}', { a: 'x' }],
    ['a second object right behind it', '{"a":"x"}{"b":2}', { a: 'x' }],
    ['a second object that is empty', '{"a":"x"} {}', { a: 'x' }],
    ['a second list', '```\n[{"a":"x"}]\n```\n\n```\n[1]\n```', [{ a: 'x' }]]
  ] as const) {
    for (const pieces of [[text], text.split('')]) {
      it(`fails with CS_ERR_INVALID_ELEMENT, behind the newest value, for ${name}, in ${pieces.length} pieces`, async () => {
        const { values, error } = await read(pieces, { every: 60_000 })
        expect(error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
        expect(values.at(-1)).to.deep.equal(newest)
        if (name.startsWith('a second')) expect(error?.message).to.include('toElements')
      })
    }
  }

  it('takes brackets in the prose before the value', async () => {
    for (const text of ['[Smith, 2020] [note]: [1]', '[here](x), {there}: [1]', '```\n{name}: [1]']) {
      for (const pieces of [[`${text} {"a":2}`], `${text} {"a":2}`.split('')])
        expect((await read(pieces)).values.at(-1)).to.deep.equal({ a: 2 })
    }
  })

  it('takes a comma behind the last element, and prose with brackets behind the value', async () => {
    for (const text of [
      '[1,2 , ] and so on',
      '```json\n[1,\n2,\n]\n```\nSee [1], {this} and [that](there).'
    ]) {
      for (const pieces of [[text], text.split('')]) {
        const { values, error } = await read(pieces)
        expect(error).to.equal(undefined)
        expect(values.at(-1)).to.deep.equal([1, 2])
      }
    }
  })

  it('reads a long text, number or name in short pieces in linear time', async () => {
    const long = 'x'.repeat(200_000)
    for (const text of [
      `{"a":"${long}"}`,
      `{"${long}":1}`,
      `[0,${long.replaceAll('x', '1')},2]`,
      `[${long.replaceAll('x', '1,')}2]`
    ]) {
      const { values } = await read(text.match(/.{1,4}/g) ?? [], { every: 60_000 })
      expect(values.at(-1)).to.deep.equal(JSON.parse(text))
    }
  })

  for (const [name, text] of [
    ['a space', `[${' '.repeat(200_000)}1]`],
    ['a brace and a space', `{${' '.repeat(200_000)}"a":1}`],
    ['a number', `[${'1'.repeat(1025)}]`],
    ['brackets', '['.repeat(1025) + ']'.repeat(1025)],
    ['brackets in prose', `${'See [x] for {y}. '.repeat(20_000)}\n{"a":1}`]
  ] as const) {
    it(`takes a value that begins behind many characters, with ${name}, in one piece and in characters`, async () => {
      for (const pieces of [[text], text.split('')]) {
        const { values, error } = await read(pieces, { every: 60_000 })
        expect(error).to.equal(undefined)
        expect(values.at(-1)).to.deep.equal(JSON.parse(text.slice(text.search(/[[{](?![xy])/))))
      }
    })
  }

  it('fails with CS_ERR_INVALID_ELEMENT, behind the newest value, for many values in one piece', async () => {
    const { values, error } = await read(['{"a":1}'.repeat(50_000)])
    expect(error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
    expect(values).to.deep.equal([{ a: 1 }])
  })

  it('emits the newest value before a failure of its source', async () => {
    for (const options of [{ every: 60_000 }, { characters: 1000 }]) {
      const broken = new Error('the connection died')
      const source = stage<string, string>({
        transform: (text, push) => push(text),
        flush() {
          throw broken
        }
      })
      const values: unknown[] = []
      const sink = new Writable({
        objectMode: true,
        write(value, _encoding, callback) {
          values.push(value)
          callback()
        }
      })
      const pieces = ['{"a":"one"', ',"b":"t', 'wo']
      const done = pipeline(Readable.from(pieces), source, toPartials(options), sink)
      expect(await done.catch(error => error)).to.equal(broken)
      expect(values.at(-1)).to.deep.equal({ a: 'one', b: 'two' })
    }
  })

  for (const [name, text] of Object.entries({
    'an empty text': ' ',
    prose: 'I [cannot].',
    'what is no JSON': '{"a" "b"}'
  })) {
    it(`fails with CS_ERR_INVALID_ELEMENT for ${name}`, async () => {
      expect((await read([text])).error?.code).to.equal('CS_ERR_INVALID_ELEMENT')
    })
  }

  it('fails with CS_ERR_INVALID_CHUNK for what is no text', async () => {
    const error = await pipeline(Readable.from([{ choices: [] }]), toPartials(), async source => {
      for await (const _ of source);
    }).catch(error => error)
    expect(error.code).to.equal('CS_ERR_INVALID_CHUNK')
  })

  for (const [option, value] of [
    ['path', ['a', 3]],
    ['every', -1],
    ['characters', 1.5]
  ] as const) {
    it(`throws CS_ERR_INVALID_OPTION for ${option}: ${JSON.stringify(value)}`, () => {
      expect(() => toPartials({ [option]: value }))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

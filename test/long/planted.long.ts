import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import type * as Library from 'completion-streams'
import { readBody } from './bodies.js'
import { Choice, cases } from './choice.js'
import { compare, numberText } from './differential.js'

/** Each is a small change to one file of the library, as a slip would make it. */
const bugs: Record<string, [file: string, from: string, to: string]> = {
  'objects that share what differs': [
    'decode/json/mold.js',
    'const copy = this.#spread(this.#object);',
    'const copy = this.#object;'
  ],
  'a member that is not filled': [
    'decode/json/mold.js',
    'for (let field = this.#fields; field; field = field.next)',
    'for (let field = this.#fields?.next; field; field = field.next)'
  ],
  'an escape that is not noticed': ['decode/json/scalar.js', 'hasEscape = true;', ''],
  'bytes taken for ASCII': ['decode/json/scalar.js', 'bits |= byte;', ''],
  'digits that are dropped': [
    'decode/json/decimal.js',
    'const sum = shifted + tail;',
    'const sum = shifted;'
  ],
  'a remainder that is dropped': [
    'decode/json/decimal.js',
    'const remainder = sum - product - lostIn(product, guess, divisor) + lost;',
    'const remainder = 0;'
  ],
  'a character that is cut': ['decode/splitter.js', 'if (isBetweenCharacters && endsCharacter)', 'if (true)'],
  'held bytes that are lost': ['decode/bytes/held-bytes.js', 'this.room.copy(room, 0, 0, this.length);', ''],
  'a line of data too few': ['decode/sse/event-parser.js', 'this.#joined.add(value);', ''],
  'a line feed that is a line of its own': [
    'decode/sse/lines.js',
    'if (!isLineFeed)\n                start = this.#behindLineFeed(text, start);',
    'if (!isLineFeed && text.charCodeAt(start) !== 10) start = start + 1;'
  ],
  'a template beyond the end of its bytes': [
    'decode/json/template.js',
    'const isMatch = matchEnd(this.#pieces, bytes, start, this.#values) === end;',
    'const isMatch = matchEnd(this.#pieces, bytes, start, this.#values) !== -1;'
  ],
  'a space that is not one': [
    'decode/sse/event-parser.js',
    "line[colon + 1] === ' ' ? colon + 2 : colon + 1",
    'colon + 2'
  ],
  'an end that is none': ['chunk/progress.js', 'get complete() {', 'get complete() { return true;'],
  'a finish that is not seen': [
    'chunk/progress.js',
    'if (seen === 0)',
    'if (true) return this.#ended; if (seen === 0)'
  ],
  'text of another choice': [
    'chunk/choice-text.js',
    'if (first && indexOf(first) === this.#choice)',
    'if (first)'
  ]
}

const event = (payload: object) => `data: ${JSON.stringify(payload)}\n\n`
const delta = (content: string, index = 0) =>
  event({ id: 'c', choices: [{ index, delta: { content }, finish_reason: null }] })
const finish = (index = 0) => event({ id: 'c', choices: [{ index, delta: {}, finish_reason: 'stop' }] })
/** Over many lines, of which each piece is decoded as it comes. */
const whole = (content: string) =>
  JSON.stringify({ id: 'c', choices: [{ index: 0, message: { content }, finish_reason: 'stop' }] }, null, 2)

/** What is wrong with a library: the random streams, and a few bodies of which it is known what they are. */
async function wrongWith(library: typeof Library): Promise<string | undefined> {
  // The same choices at all times: whether a bug is found is not a matter of luck.
  const found = await compare(library, new Choice('planted', 1), cases(3000, 300)).catch(
    error => `throws ${error}`
  )
  if (found) return found
  const known: [body: string, text: string, code: string | undefined][] = [
    [delta('a') + finish(), 'a', undefined],
    [delta('é') + finish(), 'é', undefined],
    [whole('é'), 'é', undefined],
    [delta('a'), 'a', 'CS_ERR_TRUNCATED'],
    [delta('a') + delta('b', 1) + finish() + finish(1), 'a', undefined],
    [delta('a') + delta('b', 1) + finish(), 'a', 'CS_ERR_TRUNCATED'],
    [delta('a') + delta('b') + delta('c').replace('}\n', '}}\n') + finish(), 'ab', 'CS_ERR_INVALID_CHUNK']
  ]
  for (const [body, text, code] of known) {
    const bytes = Buffer.from(body)
    for (const reads of [[bytes], [...bytes].map(byte => Buffer.of(byte))]) {
      const read = await readBody(library, reads)
      if (read.text !== text || read.code !== code) return `${read.code}, ${read.text}: ${body}`
    }
  }
  return wrongNumberOf(library)
}

/** A number that is read wrongly, among many with all the digits that a double holds. */
async function wrongNumberOf(library: typeof Library): Promise<string | undefined> {
  const choice = new Choice('numbers', 1)
  const numbers = Array.from({ length: 3000 }, () => numberText(choice))
  const events = numbers.map(number => `data: {"id":"c","n":${number},"choices":[]}\n\n`)
  const { chunks } = await readBody(library, [Buffer.from(events.join('') + delta('a') + finish())])
  const place = numbers.findIndex(
    (number, n) => (chunks[n] as { n?: number } | undefined)?.n !== Number(number)
  )
  return place === -1 ? undefined : `the number ${numbers[place]}`
}

describe('planted bugs', () => {
  const dist = join(import.meta.dirname, '../../../dist')
  const folder = join(import.meta.dirname, '../../planted')

  /** A copy of the library, in a place from which it finds what it imports. */
  async function copy(name: string): Promise<string> {
    const place = join(folder, name)
    await cp(dist, place, { recursive: true, filter: path => !path.endsWith('.map') })
    return place
  }

  async function load(place: string): Promise<typeof Library> {
    return await import(pathToFileURL(join(place, 'index.js')).href)
  }

  after(() => rm(folder, { recursive: true, force: true }))

  it('there are none as it stands', async () => {
    expect(await wrongWith(await load(await copy('none')))).to.equal(undefined)
  })

  for (const [place, [name, [file, from, to]]] of Object.entries(bugs).entries()) {
    it(`finds ${name}`, async () => {
      const copied = await copy(String(place))
      const code = await readFile(join(copied, file), 'utf8')
      expect(code.split(from), `${from} stands once in ${file}`).to.have.length(2)
      await writeFile(
        join(copied, file),
        code.replace(from, () => to)
      )
      expect(await wrongWith(await load(copied))).to.be.a('string')
    })
  }
})

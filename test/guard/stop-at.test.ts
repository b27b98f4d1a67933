import { createReadStream, createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  compose,
  fromResponse,
  type Outcome,
  redact,
  type Summary,
  stage,
  stopAt,
  tapSummary,
  tapUsage,
  tee,
  timeLimits,
  toChunks,
  toText,
  type Usage
} from 'completion-streams'
import { type CompletionServer, type Faults, script } from 'completion-streams/testing'
import fc from 'fast-check'
import {
  all,
  ask,
  endpoints,
  event,
  failureOf,
  GatedSink,
  run,
  serve,
  settle,
  withFolder
} from '../answers.js'
import { allowNoComplaints } from '../helpers.js'
import { cutAt, places } from '../pieces.js'

const answer = 'one two STOP three four five six seven'

/** A server that says the answer, and then never ends. */
function endless(faults: Faults = {}): Promise<CompletionServer> {
  return serve({ script: script(answer), faults: { stallAfter: { events: 6 }, ...faults } })
}

describe('stopAt', () => {
  allowNoComplaints()

  it('ends the text before the first of the strings, at every cut', () => {
    const parts = fc.constantFrom('a', 'b', 'ab', 'aab', 'ba', '😀', '\ud83d', ' ')
    const strings = fc.constantFrom(['ab'], ['aab', 'ab'], ['ab', 'aab'], ['b😀', 'aa'], 'ba')
    return fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 10 }), places, strings, async (texts, cuts, markers) => {
        const whole = texts.join('')
        const ends = [markers]
          .flat()
          .map(marker => whole.indexOf(marker))
          .filter(place => place >= 0)
        const stop = stopAt(markers)
        const items = await all<string>(Readable.from(cutAt(whole, cuts)), stop)
        expect(items.join('')).to.equal(whole.slice(0, Math.min(whole.length, ...ends)))
        expect(stop.stoppedAt === undefined).to.equal(ends.length === 0)
      }),
      { numRuns: 500 }
    )
  })

  it('ends a text that is longer than longest there, at every cut, and within no character', () => {
    const parts = fc.constantFrom('a', 'b', 'ab', '😀', 'é', '\ud83d', ' ')
    return fc.assert(
      fc.asyncProperty(
        fc.array(parts, { maxLength: 10 }),
        places,
        fc.constantFrom([], ['ab'], ['b😀', 'aa']),
        fc.integer({ min: 1, max: 8 }),
        async (texts, cuts, markers, longest) => {
          const whole = texts.join('')
          const ends = markers.map(marker => whole.indexOf(marker)).filter(place => place >= 0)
          const end = Math.min(whole.length, ...ends)
          const isWithin = /^[\ud800-\udbff][\udc00-\udfff]$/.test(whole.slice(longest - 1, longest + 1))
          const stop = stopAt(markers, { longest })
          const items = await all<string>(Readable.from(cutAt(whole, cuts)), stop)
          expect(items.join('')).to.equal(whole.slice(0, end > longest ? longest - Number(isWithin) : end))
          expect(items).not.to.include('')
          expect(stop.isCut).to.equal(end > longest)
          expect(stop.stoppedAt !== undefined).to.equal(end <= longest && ends.length > 0)
        }
      ),
      { numRuns: 500 }
    )
  })

  it('aborts the request of a text that is longer than longest, and tells the outcome stopped', async () => {
    await using server = await endless()
    let told: Summary | undefined
    const tap = tapSummary(summary => {
      told = summary
    })
    const stop = stopAt([], { longest: 9 })
    expect((await all(ask(server), toChunks(), tap, toText(), stop)).join('')).to.equal('one two S')
    expect(stop).to.include({ isCut: true, stoppedAt: undefined })
    expect(told).to.have.property('outcome', 'stopped')
    expect(await server.requests[0]?.over).to.include({ aborted: true, finished: false })
  })

  it('takes a text of just the longest length for whole', async () => {
    await using server = await serve({ script: script('one two') })
    const stop = stopAt([], { longest: 7 })
    expect((await all(ask(server), toChunks(), toText(), stop)).join('')).to.equal('one two')
    expect(stop.isCut).to.equal(false)
  })

  for (const endpoint of endpoints) {
    it(`aborts the request, and the file holds the text before (${endpoint})`, async () => {
      // The Responses API has three events before the text, and two for each choice of the others.
      await using server = await endless({ stallAfter: { events: endpoint === 'responses' ? 9 : 6 } })
      await withFolder(async folder => {
        const file = join(folder, 'answer.txt')
        const stop = stopAt(['STOP'])
        await pipeline(ask(server, endpoint), toChunks(), toText(), stop, createWriteStream(file))
        expect(await readFile(file, 'utf8')).to.equal('one two ')
        expect(stop.stoppedAt).to.equal('STOP')
        expect(await server.requests[0]?.over).to.include({ aborted: true, finished: false })
      })
    })
  }

  it('ends the answer of a server that would go on', async () => {
    await using server = await serve({ script: script(answer.repeat(1000), { interval: 20 }), speed: 1 })
    expect((await all(ask(server), toChunks(), toText(), stopAt('STOP'))).join('')).to.equal('one two ')
    expect(await server.requests[0]?.over).to.include({ aborted: true, finished: false })
  })

  const foreign = () =>
    new Transform({ objectMode: true, transform: (item, _encoding, callback) => callback(null, item) })
  const ways: Record<string, (server: CompletionServer) => NodeJS.ReadableStream> = {
    'all composed': server => compose(ask(server), toChunks(), toText(), stopAt('STOP')),
    'the source composed with toChunks': server =>
      compose(ask(server), toChunks()).pipe(toText()).pipe(stopAt('STOP')),
    'the stages composed': server => ask(server).pipe(compose(toChunks(), toText(), stopAt('STOP'))),
    'composed twice': server =>
      compose(compose(ask(server), toChunks()), compose(toText(), stopAt('STOP'), foreign())),
    'a stage of another library before it': server =>
      ask(server).pipe(toChunks()).pipe(foreign()).pipe(toText()).pipe(foreign()).pipe(stopAt('STOP')),
    'stages behind it': server =>
      ask(server)
        .pipe(toChunks())
        .pipe(toText())
        .pipe(stopAt('STOP'))
        .pipe(redact([{ match: 'zero', replacement: '' }])),
    'a response of fetch': server => {
      const body = JSON.stringify({
        model: 'm',
        stream: true,
        messages: [{ role: 'user', content: 'Hello?' }]
      })
      const response = fetch(`${server.url}/chat/completions`, { method: 'POST', body })
      return fromResponse(response).pipe(toChunks()).pipe(toText()).pipe(stopAt('STOP'))
    }
  }
  for (const [way, make] of Object.entries(ways)) {
    it(`aborts the request through ${way}`, async () => {
      await using server = await endless()
      expect((await all<string>(make(server))).join('')).to.equal('one two ')
      expect(await server.requests[0]?.over).to.include({ aborted: true, finished: false })
    })
  }

  it('lets the pipeline resolve through a composed source and a composed sink', async () => {
    await using server = await endless()
    const items = await all<string>(compose(ask(server), toChunks()), compose(toText(), stopAt('STOP')))
    expect(items.join('')).to.equal('one two ')
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })

  it('ends a loop over the text', async () => {
    await using server = await endless()
    let text = ''
    for await (const piece of compose(ask(server), toChunks(), toText(), stopAt('STOP'))) text += piece
    expect(text).to.equal('one two ')
    expect(await server.requests[0]?.over).to.have.property('aborted', true)
  })

  it('gives a slow sink all of the text before it', async () => {
    await using server = await endless()
    const sink = new GatedSink()
    const done = pipeline(ask(server), toChunks(), toText(), stopAt('STOP'), sink)
    let isOver = false
    done.then(() => {
      isOver = true
    })
    while (!isOver) {
      sink.take()
      await settle(5)
    }
    expect(sink.text).to.equal('one two ')
    expect(sink.writableFinished).to.equal(true)
  })

  it('aborts nothing while another reader of the same source goes on', async () => {
    await using server = await serve({ script: script(answer) })
    const source = ask(server)
    const other = new PassThrough()
    const whole = all<string>(other, toChunks(), toText())
    source.pipe(other)
    const items = await all<string>(source, toChunks(), toText(), stopAt('STOP'))
    expect(items.join('')).to.equal('one two ')
    expect((await whole).join('')).to.equal(answer)
    expect(await server.requests[0]?.over).to.have.property('finished', true)
  })

  it('reads a source that is not ours to its end, and drops what it gives', async () => {
    let reads = 0
    const source = Readable.from(
      (function* () {
        for (const word of answer.split(/(?<= )/)) {
          reads++
          yield word
        }
      })()
    )
    expect((await all<string>(source, stopAt('STOP'))).join('')).to.equal('one two ')
    expect(reads).to.equal(8)
  })

  it('reads a recorded file to the string', async () => {
    await withFolder(async folder => {
      const file = join(folder, 'recorded.sse')
      const delta = (content: string) => event({ choices: [{ index: 0, delta: { content } }] })
      // A recording that is cut off behind the string is no failure either.
      await writeFile(file, ['one ', 'ST', 'OP two'].map(delta).join(''))
      const items = await all<string>(createReadStream(file), toChunks(), toText(), stopAt('STOP'))
      expect(items).to.deep.equal(['one '])
    })
  })

  for (const [name, bytes] of Object.entries({
    'an error that the provider reports': 'data: {"error": {"message": "overloaded"}}\n\n',
    'malformed JSON': 'data: {"choices": [}\n\n',
    'a cut event': 'data: {"choices": [',
    'no end at all': ''
  })) {
    it(`tells nothing of what comes behind the string in the same read: ${name}`, async () => {
      const delta = (content: string) => event({ choices: [{ index: 0, delta: { content } }] })
      const body = delta('one ') + delta('STOP') + bytes
      await using server = await serve({ script: { writes: [{ bytes: body }] } })
      expect(await all(ask(server), toChunks(), toText(), stopAt('STOP'))).to.deep.equal(['one '])
      const cold = await run(Readable.from([body]), toChunks(), toText(), stopAt('STOP'))
      expect(cold).to.deep.equal({ items: ['one '] })
    })
  }

  it('tells nothing of a connection that dies behind the string', async () => {
    await using server = await serve({ script: script(answer), faults: { cutAfter: { events: 6 } } })
    expect((await all(ask(server), toChunks(), toText(), stopAt('STOP'))).join('')).to.equal('one two ')
  })

  it('tells nothing of a stage of its own before it that fails behind the string', async () => {
    const picky = stage<string, string>({
      transform(text, push) {
        if (text === 'bad') throw new Error('bad')
        push(text)
      },
      flush() {
        throw new Error('the end is bad')
      }
    })
    expect(await run(Readable.from(['a', 'STOP', 'b', 'bad', 'c']), picky, stopAt('STOP'))).to.deep.equal({
      items: ['a']
    })
  })

  it('still fails with what comes before the string', async () => {
    await using server = await serve({ script: script(answer), faults: { cutAfter: { events: 3 } } })
    const { items, error } = await run<string>(ask(server), toChunks(), toText(), stopAt('STOP'))
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items.join('')).to.equal('one two')
  })

  it('lets go of what may have become the string before a failure', async () => {
    const body = Readable.from([event({ choices: [{ index: 0, delta: { content: 'one STO' } }] })])
    const { items, error } = await run<string>(body, toChunks(), toText(), stopAt('STOP'))
    expect(error).to.have.property('code', 'CS_ERR_TRUNCATED')
    expect(items.join('')).to.equal('one STO')
  })

  it('still fails with what the sink fails with', async () => {
    await using server = await endless()
    const failure = new Error('full')
    const sink = new GatedSink()
    const done = failureOf(pipeline(ask(server), toChunks(), toText(), stopAt('STOP'), sink))
    while (!sink.writableLength) await settle(1)
    sink.destroy(failure)
    expect(await done).to.equal(failure)
  })

  describe('taps', () => {
    async function outcomes(server: CompletionServer, markers: string): Promise<Outcome[]> {
      const seen: Outcome[] = []
      const note = ({ outcome }: Summary) => void seen.push(outcome)
      await all(ask(server), toChunks(), tapSummary(note), toText(), stopAt(markers))
      return seen
    }

    it('before it are told the outcome stopped', async () => {
      await using server = await endless()
      expect(await outcomes(server, 'STOP')).to.deep.equal(['stopped'])
    })

    it('before it are told the outcome complete when the string does not come', async () => {
      await using server = await serve({ script: script(answer) })
      expect(await outcomes(server, 'HALT')).to.deep.equal(['complete'])
    })

    it('before it have no usage to tell', async () => {
      await using server = await endless()
      const usages: Usage[] = []
      await all(
        ask(server),
        toChunks(),
        tapUsage(usage => void usages.push(usage)),
        toText(),
        stopAt('STOP')
      )
      expect(usages).to.deep.equal([])
    })

    it('before it keep what came', async () => {
      await using server = await endless()
      const copy = new GatedSink()
      copy.open()
      await all(
        ask(server),
        toChunks(),
        toText(),
        tee(copy),
        timeLimits<string>({ idle: 60_000 }),
        stopAt('STOP')
      )
      expect(copy.text.startsWith('one two STOP')).to.equal(true)
      expect(copy.writableFinished).to.equal(true)
    })
  })

  it('emits the same text when the string is the first thing, and nothing is left', async () => {
    const stop = stopAt(['STOP'])
    expect(await all(Readable.from(['STOP', 'a']), stop)).to.deep.equal([])
  })

  it('fails with CS_ERR_INVALID_CHUNK for chunks', async () => {
    const { error } = await run(Readable.from([{ choices: [] }]), stopAt('STOP'))
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  it('says what to give where the list is empty', () => {
    expect(() => stopAt([])).to.throw(/^strings is an empty list: give a string, or a list of one or more/)
  })

  for (const options of [{ longest: 0 }, { longest: '9' }, { longest: Number.NaN }, { most: 9 }, null]) {
    it(`throws CS_ERR_INVALID_OPTION for the options ${JSON.stringify(options)}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => stopAt('STOP', options))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  for (const [name, strings] of Object.entries({
    nothing: undefined,
    'an empty list': [],
    'an empty string': '',
    'a list with an empty string': ['STOP', ''],
    'an expression': /STOP/,
    'an object': { strings: ['STOP'] }
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      // @ts-expect-error: what a program without types may give
      expect(() => stopAt(strings))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

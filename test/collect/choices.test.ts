import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip, createGzip, type Gzip } from 'node:zlib'
import { expect } from 'chai'
import { byChoice, toChunks } from 'completion-streams'
import { type Script, script } from 'completion-streams/testing'
import { ask, delta, endMark, failureOf, finish, GatedSink, serve, settle, withFolder } from '../answers.js'

const answers = ['one two three four five', 'un deux trois quatre cinq', 'eins zwei drei vier fünf']

/** Sinks that keep what they get, by the index of their choice. */
function sinks(options?: ConstructorParameters<typeof GatedSink>[0]): {
  all: GatedSink[]
  sinkOf: (index: number) => GatedSink
} {
  const all: GatedSink[] = []
  return {
    all,
    sinkOf(index) {
      const sink = new GatedSink(options)
      all[index] = sink
      return sink
    }
  }
}

/** A body in which the choices interleave. */
function interleaved(places: number[]): string[] {
  const last = Math.max(...places)
  return [
    ...places.map((index, place) => delta({ content: `${place} ` }, index)),
    ...Array.from({ length: last + 1 }, (_, index) => finish('stop', index)),
    endMark
  ]
}

describe('byChoice', () => {
  for (const endpoint of ['chat', 'completions'] as const) {
    it(`writes each answer to a file of its own (${endpoint})`, async () => {
      await using server = await serve({ script: script(answers) })
      await withFolder(async folder => {
        await pipeline(
          ask(server, endpoint),
          toChunks(),
          byChoice(index => createWriteStream(join(folder, `${index}.txt`)))
        )
        for (const [index, answer] of answers.entries())
          expect(await readFile(join(folder, `${index}.txt`), 'utf8')).to.equal(answer)
      })
    })
  }

  it('writes the answer of the Responses API to the sink of choice 0', async () => {
    await using server = await serve({ script: script('Hello there') })
    const { all, sinkOf } = sinks({ highWaterMark: 1000 })
    const done = pipeline(ask(server, 'responses'), toChunks(), byChoice(sinkOf))
    await settle()
    for (const sink of all) sink.open()
    await done
    expect(all.map(sink => sink.text)).to.deep.equal(['Hello there'])
  })

  it('sends interleaved choices each to its sink, in order', async () => {
    const { all, sinkOf } = sinks({ highWaterMark: 1000 })
    const sink = byChoice(index => {
      const made = sinkOf(index)
      made.open()
      return made
    })
    await pipeline(Readable.from(interleaved([2, 0, 0, 1, 1, 2, 2, 0])), toChunks(), sink)
    expect(all.map(({ text }) => text)).to.deep.equal(['1 2 7 ', '3 4 ', '0 5 6 '])
  })

  it('sends several choices of one chunk each to its sink', async () => {
    const choices = [
      { index: 0, delta: { content: 'a' }, finish_reason: 'stop' },
      { index: 1, delta: { content: 'b' }, finish_reason: 'stop' },
      null,
      { delta: { content: 'c' }, finish_reason: 'stop' }
    ]
    const texts: Record<number, string[]> = {}
    const sink = byChoice(index => {
      const pieces: string[] = []
      texts[index] = pieces
      return new Writable({
        decodeStrings: false,
        write(text, _encoding, callback) {
          pieces.push(text)
          callback()
        }
      })
    })
    await pipeline(Readable.from([`data: ${JSON.stringify({ choices })}\n\n`]), toChunks(), sink)
    expect(texts).to.deep.equal({ 0: ['ac'], 1: ['b'] })
  })

  for (const from of ['content', 'reasoning', 'refusal'] as const) {
    it(`takes the text from: '${from}'`, async () => {
      const said: Script = {
        choices: [
          {
            pieces: [
              { at: 0, reasoning: 'reasoning' },
              { at: 1, text: 'content' },
              { at: 2, refusal: 'refusal' }
            ]
          }
        ]
      }
      for (const endpoint of ['chat', 'responses'] as const) {
        await using server = await serve({ script: said })
        const sink = new GatedSink()
        sink.open()
        await pipeline(
          ask(server, endpoint),
          toChunks(),
          byChoice(() => sink, { from })
        )
        expect(sink.text, endpoint).to.equal(from)
      }
    })
  }

  it('ends the sink of a choice that says nothing', async () => {
    const { all, sinkOf } = sinks()
    await pipeline(Readable.from([finish('stop', 1), finish('stop', 0)]), toChunks(), byChoice(sinkOf))
    expect(all.map(sink => [sink.text, sink.writableFinished])).to.deep.equal([
      ['', true],
      ['', true]
    ])
  })

  it('finishes without a sink where there is no choice', async () => {
    const { all, sinkOf } = sinks()
    await pipeline(Readable.from([]), toChunks({ requireEnd: false }), byChoice(sinkOf))
    expect(all).to.deep.equal([])
  })

  it('takes no more than a sink that is full, and goes on when it has drained', async () => {
    const { all, sinkOf } = sinks()
    const done = pipeline(Readable.from(interleaved([0, 1, 0, 1, 0, 1])), toChunks(), byChoice(sinkOf))
    await settle()
    // Each sink holds what it was written and has not taken; nothing more is written meanwhile.
    expect(all.map(sink => sink.writableLength)).to.deep.equal([2])
    all[0]?.take()
    await settle()
    expect(all.map(sink => sink.writableLength)).to.deep.equal([0, 2])
    for (const sink of all) sink.open()
    await settle()
    for (const sink of all) sink.open()
    await done
    expect(all.map(sink => sink.text)).to.deep.equal(['0 2 4 ', '1 3 5 '])
  })

  it('waits for a full sink only when there is text for it', async () => {
    const { all, sinkOf } = sinks({ highWaterMark: 3 })
    const done = pipeline(Readable.from(interleaved([0, 1, 1, 1])), toChunks(), byChoice(sinkOf))
    await settle()
    // Choice 0 has room for one more, so choice 1 goes on until it is full itself.
    expect(all.map(sink => sink.writableLength)).to.deep.equal([2, 4])
    for (const sink of all) sink.open()
    await done
    expect(all.map(sink => sink.text)).to.deep.equal(['0 ', '1 2 3 '])
  })

  it('finishes only when all sinks have', async () => {
    const { all, sinkOf } = sinks({ highWaterMark: 1000 })
    let isDone = false
    const done = pipeline(Readable.from(interleaved([0, 1])), toChunks(), byChoice(sinkOf)).then(() => {
      isDone = true
    })
    await settle()
    all[0]?.open()
    await settle()
    expect(all.map(sink => sink.writableFinished)).to.deep.equal([true, false])
    expect(isDone).to.equal(false)
    all[1]?.open()
    await done
    expect(all.map(sink => sink.writableFinished)).to.deep.equal([true, true])
  })

  it('destroys all sinks with the error of the one that fails', async () => {
    const error = new Error('disk full')
    await using server = await serve({ script: script(answers) })
    const { all, sinkOf } = sinks({ highWaterMark: 1000 })
    const failing = new Writable({ write: (_text, _encoding, callback) => callback(error) })
    const done = pipeline(
      ask(server),
      toChunks(),
      byChoice(index => (index === 1 ? failing : sinkOf(index)))
    )
    expect(await failureOf(done)).to.equal(error)
    const opened = [...Object.values(all), failing]
    expect(opened.every(sink => sink.errored === error && !sink.writableFinished)).to.equal(true)
    expect(opened.length).to.be.at.least(2)
  })

  it('destroys all sinks with the error of one that fails to finish', async () => {
    const error = new Error('no space left')
    const slow = new GatedSink({ highWaterMark: 1000 })
    const failing = new Writable({
      write: (_text, _encoding, callback) => callback(),
      final: callback => callback(error)
    })
    const done = pipeline(
      Readable.from(interleaved([0, 1])),
      toChunks(),
      byChoice(index => (index === 1 ? failing : slow))
    )
    expect(await failureOf(done)).to.equal(error)
    expect(slow.errored).to.equal(error)
  })

  for (const when of ['while it is full', 'while it is idle', 'before it is written to']) {
    it(`fails when a sink is closed early, ${when}`, async () => {
      const { all, sinkOf } = sinks({ highWaterMark: when === 'while it is idle' ? 1000 : 1 })
      const source = new PassThrough()
      const done = failureOf(pipeline(source, toChunks(), byChoice(sinkOf)))
      source.write(
        when === 'before it is written to' ? delta({ role: 'assistant' }) : delta({ content: 'a' })
      )
      source.write(delta({ content: 'b' }, 1))
      await settle()
      all[0]?.destroy()
      source.write(delta({ content: 'c' }))
      expect(await done).to.have.property('code', 'ERR_STREAM_PREMATURE_CLOSE')
      expect(all.every(sink => sink.destroyed && !sink.writableFinished)).to.equal(true)
    })
  }

  it('fails when a file cannot be opened', async () => {
    await withFolder(async folder => {
      const done = pipeline(
        Readable.from(interleaved([0, 1])),
        toChunks(),
        byChoice(index => createWriteStream(join(folder, index === 1 ? 'no/such/folder' : '0.txt')))
      )
      expect(await failureOf(done)).to.have.property('code', 'ENOENT')
    })
  })

  for (const { what, faults, code } of [
    { what: 'is cut', faults: { cutAfter: { events: 12 } }, code: 'CS_ERR_TRUNCATED' },
    { what: 'reports an error', faults: { errorAfter: { events: 12 } }, code: 'CS_ERR_PROVIDER' }
  ]) {
    it(`has written all that came to slow sinks before it fails when the stream ${what}: ${code}`, async () => {
      await using server = await serve({ script: script(answers), faults })
      const { all, sinkOf } = sinks()
      const done = failureOf(pipeline(ask(server), toChunks(), byChoice(sinkOf)))
      let isOver = false
      done.then(() => {
        isOver = true
      })
      while (!isOver) {
        for (const sink of all) sink.take()
        await settle(3)
      }
      const error = await done
      expect(error).to.have.property('code', code)
      // Of 12 events the first three open the choices; the other nine are three pieces for each.
      expect(all.map(sink => sink.text)).to.deep.equal(['one two three', 'un deux trois', 'eins zwei drei'])
      expect(all.map(sink => sink.errored)).to.deep.equal([error, error, error])
    })
  }

  it('destroys its sinks when it is destroyed', async () => {
    const { all, sinkOf } = sinks()
    const sink = byChoice(sinkOf)
    sink.write({ choices: [{ index: 0, delta: { content: 'a' } }] })
    sink.destroy()
    await once(sink, 'close')
    expect(all.map(({ destroyed, writableFinished }) => ({ destroyed, writableFinished }))).to.deep.equal([
      { destroyed: true, writableFinished: false }
    ])
  })

  it('leaves what its sinks have to give to those who read it', async () => {
    const zips: Gzip[] = []
    const sink = byChoice(() => {
      const zip = createGzip()
      zips.push(zip)
      return zip
    })
    await pipeline(Readable.from(interleaved([0, 1])), toChunks(), sink)
    await settle()
    const texts = await Promise.all(zips.map(zip => text(zip.pipe(createGunzip()))))
    expect(texts).to.deep.equal(['0 ', '1 '])
  })

  it('fails when somebody else has ended a sink', async () => {
    const { all, sinkOf } = sinks()
    const source = new PassThrough()
    const done = failureOf(pipeline(source, toChunks(), byChoice(sinkOf)))
    source.write(delta({ role: 'assistant' }))
    await settle()
    all[0]?.end()
    await settle()
    source.write(delta({ content: 'a' }))
    expect(await done).to.have.property('code', 'ERR_STREAM_WRITE_AFTER_END')
  })

  it('lets several choices share a sink', async () => {
    const shared = new GatedSink({ highWaterMark: 1000 })
    shared.open()
    await pipeline(
      Readable.from(interleaved([0, 1, 0])),
      toChunks(),
      byChoice(() => shared)
    )
    expect(shared.text).to.equal('0 1 2 ')
  })

  it('fails with CS_ERR_INVALID_CHUNK when there are more choices than maxChoices', async () => {
    const { all, sinkOf } = sinks({ highWaterMark: 1000 })
    const sink = byChoice(sinkOf, { maxChoices: 2 })
    const body = [0, 4_294_967_295, 7].map(index => delta({ content: 'a' }, index))
    const done = failureOf(pipeline(Readable.from(body), toChunks(), sink))
    await settle()
    for (const sink of Object.values(all)) sink.open()
    const error = await done
    expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK', limit: 2 })
    expect(all[0]?.errored).to.equal(error)
    expect(Object.entries(all).map(([index, { text }]) => [index, text])).to.deep.equal([
      ['0', 'a'],
      ['4294967295', 'a']
    ])
  })

  it('fails with CS_ERR_INVALID_CHUNK for the 129th choice', async () => {
    const indexes = Array.from({ length: 129 }, (_, index) => index)
    const opened: number[] = []
    const sink = byChoice(index => {
      opened.push(index)
      return new PassThrough().resume()
    })
    const error = await failureOf(
      pipeline(Readable.from([...indexes.map(index => delta({ content: 'a' }, index))]), toChunks(), sink)
    )
    expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK', limit: 128 })
    expect(opened).to.have.lengthOf(128)
  })

  it('fails with CS_ERR_INVALID_CHUNK for what is no chunk', async () => {
    const error = await failureOf(
      pipeline(
        Readable.from([Buffer.from('data: {}')]),
        byChoice(() => new PassThrough())
      )
    )
    expect(error).to.have.property('code', 'CS_ERR_INVALID_CHUNK')
  })

  it('fails with what sinkOf throws', async () => {
    const error = new Error('no more sinks')
    const done = pipeline(
      Readable.from(interleaved([0])),
      toChunks(),
      byChoice(() => {
        throw error
      })
    )
    expect(await failureOf(done)).to.equal(error)
  })

  it('fails with CS_ERR_INVALID_OPTION when sinkOf gives no Writable', async () => {
    // @ts-expect-error: a name is no sink
    const sink = byChoice(() => 'answer.txt')
    const error = await failureOf(pipeline(Readable.from(interleaved([0])), toChunks(), sink))
    expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
  })

  for (const [name, make] of Object.entries({
    'no function': () => byChoice(new PassThrough() as never),
    'from: text': () => byChoice(() => new PassThrough(), { from: 'text' as never }),
    'maxChoices: 0': () => byChoice(() => new PassThrough(), { maxChoices: 0 })
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(make).to.throw().with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }

  it('leaves stdout open, and nothing on it', async () => {
    await using server = await serve({ script: script('Hello ') })
    const program = `
        import { pipeline } from 'node:stream/promises'
        import { byChoice, fromResponse, toChunks } from 'completion-streams'
        process.on('warning', warning => console.log(warning.name))
        const count = () => process.stdout.eventNames().reduce((sum, name) => sum + process.stdout.listenerCount(name), 0)
        const before = count()
        for (let turn = 0; turn < 12; turn++) {
          const [url, body] = process.argv.slice(1)
          const response = fetch(url, { method: 'POST', body })
          await pipeline(fromResponse(response), toChunks(), byChoice(() => process.stdout))
        }
        const turn = () => new Promise(resolve => setImmediate(resolve))
        for (let left = 5; left > 0; left--) await turn()
        console.log('open', count() - before)`
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '--eval',
      program,
      `${server.url}/chat/completions`,
      JSON.stringify({ stream: true })
    ])
    expect(stdout).to.equal(`${'Hello '.repeat(12)}open 0\n`)
  })
})

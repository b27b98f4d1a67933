import { PassThrough, Readable, Writable } from 'node:stream'
import { expect } from 'chai'
import { asSink, destroySink, endSink, isPrematureClose, watchSink } from '#lib/sink.js'
import { closed, failureOf, GatedSink, settle } from './answers.js'
import { turns } from './helpers.js'

function listenersOn(stream: Writable): number {
  return stream.eventNames().reduce((sum, name) => sum + stream.listenerCount(name), 0)
}

describe('asSink', () => {
  it('takes what can be written to', () => {
    const sink = new PassThrough()
    expect(asSink('destination', sink)).to.equal(sink)
    expect(asSink('destination', process.stdout)).to.equal(process.stdout)
  })

  for (const [name, value] of Object.entries({
    nothing: undefined,
    null: null,
    'a string': 'log.txt',
    'a Readable': Readable.from([]),
    'an object with write': { write: () => true }
  })) {
    it(`throws CS_ERR_INVALID_OPTION for ${name}`, () => {
      expect(() => asSink('destination', value as never))
        .to.throw(/^destination is /)
        .with.property('code', 'CS_ERR_INVALID_OPTION')
    })
  }
})

describe('endSink', () => {
  it('resolves when the sink has finished', async () => {
    const sink = new GatedSink({ highWaterMark: 1000 })
    sink.write('a')
    let isDone = false
    const done = endSink(sink).then(() => {
      isDone = true
    })
    await settle()
    expect(isDone).to.equal(false)
    sink.open()
    await done
    expect(sink.writableFinished).to.equal(true)
  })

  it('does not wait until a Duplex has been read', async () => {
    const sink = new PassThrough()
    sink.write('a')
    await endSink(sink)
    expect(sink.read().toString()).to.equal('a')
  })

  it('rejects with what the sink fails with', async () => {
    const error = new Error('disk full')
    const sink = new Writable({ final: callback => callback(error) })
    expect(await failureOf(endSink(sink))).to.equal(error)
  })

  for (const name of ['stdout', 'stderr'] as const) {
    it(`leaves ${name} open`, async () => {
      await endSink(process[name])
      expect(process[name].writableEnded).to.equal(false)
    })
  }
})

describe('destroySink', () => {
  it('destroys a sink with the error', async () => {
    const error = new Error('cut')
    const sink = new PassThrough().on('error', () => {})
    destroySink(sink, error)
    expect(sink.errored).to.equal(error)
  })

  it('destroys a sink without an error', async () => {
    const sink = new PassThrough()
    destroySink(sink, null)
    await closed(sink)
    expect(sink.errored).to.equal(null)
  })

  for (const name of ['stdout', 'stderr'] as const) {
    it(`leaves ${name} alone`, () => {
      destroySink(process[name], new Error('cut'))
      expect(process[name].destroyed).to.equal(false)
    })
  }
})

describe('watchSink', () => {
  for (const { what, end, code } of [
    { what: 'fails', end: (sink: Writable) => sink.destroy(new Error('disk full')), code: undefined },
    { what: 'is closed early', end: (sink: Writable) => sink.destroy(), code: 'ERR_STREAM_PREMATURE_CLOSE' }
  ]) {
    it(`tells when a sink ${what}`, async () => {
      const sink = new PassThrough()
      const failures: Error[] = []
      watchSink(sink, error => failures.push(error))
      end(sink)
      await closed(sink)
      expect(failures.map(error => 'code' in error && error.code)).to.deep.equal([code ?? false])
      expect(failures.map(isPrematureClose)).to.deep.equal([code !== undefined])
    })
  }

  it('tells of a sink that was closed before', async () => {
    const sink = new PassThrough()
    sink.destroy()
    await closed(sink)
    const failure = await new Promise<Error>(resolve => void watchSink(sink, resolve))
    expect(isPrematureClose(failure)).to.equal(true)
  })

  it('says nothing of a sink that finishes', async () => {
    const sink = new PassThrough().resume()
    const failures: Error[] = []
    watchSink(sink, error => failures.push(error))
    sink.end()
    await closed(sink)
    expect(failures).to.deep.equal([])
  })

  it('still listens to the error of a sink when the watch is over', async () => {
    const sink = new PassThrough()
    watchSink(sink, () => {})()
    sink.destroy(new Error('nobody listens'))
    await closed(sink)
    expect(sink.errored).to.have.property('message', 'nobody listens')
  })

  for (const name of ['stdout', 'stderr'] as const) {
    it(`leaves nothing on ${name} when the watch is over`, async () => {
      const before = listenersOn(process[name])
      const unwatch = watchSink(process[name], () => {})
      expect(listenersOn(process[name])).to.be.above(before)
      unwatch()
      await turns(5)
      expect(listenersOn(process[name])).to.equal(before)
    })
  }
})

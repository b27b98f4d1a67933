import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  completeEach,
  compose,
  drain,
  fromResponse,
  replay,
  requestCompletion,
  resume,
  toChunks,
  toText
} from 'completion-streams'
import { follow } from 'completion-streams/redis'
import { Redis } from 'ioredis'
import { allowNoComplaints, clientOf, completion, failureOf, question, turns } from '../helpers.js'

const client = clientOf({ url: 'http://127.0.0.1:1' })
/** Connects when it is first used, which it is not here. */
const redis = new Redis({ lazyConnect: true })

const sources: Record<string, (signal: AbortSignal) => Readable> = {
  requestCompletion: signal => requestCompletion(client, question, { signal }),
  'requestCompletion of candidates': signal => requestCompletion([{ client, params: question }], { signal }),
  resume: signal => resume(client, 'resp_1', { signal }),
  fromResponse: signal => fromResponse(new Response(completion(['Hi'])), { signal }),
  replay: signal => replay('/no/such/file', { signal }),
  follow: signal => follow<Uint8Array>(redis, 'answer-1', { signal }),
  compose: signal => compose(requestCompletion(client, question, { signal }), toChunks()),
  'compose in compose': signal =>
    compose(compose(requestCompletion(client, question, { signal }), toChunks()), toText()),
  "compose of a source of Node's": signal => compose(new Readable({ read() {}, signal }), toChunks()),
  completeEach: signal => completeEach(client, () => question, { signal })
}

describe('the signal of a source that nobody reads', () => {
  allowNoComplaints()

  for (const [name, make] of Object.entries(sources)) {
    it(`ends no process, and fails the pipeline that gets the source later: ${name}`, async () => {
      const controller = new AbortController()
      const source = make(controller.signal)
      controller.abort()
      // Mocha fails a test for an error event that nobody listens to.
      await turns(3)
      expect(source.destroyed).to.equal(true)
      expect(await failureOf(pipeline(source, drain()))).to.include({ name: 'AbortError', code: 'ABORT_ERR' })
    })
  }

  it('is told as an error event to who reads the source', async () => {
    const controller = new AbortController()
    const source = requestCompletion(client, question, { signal: controller.signal })
    let error: Error | undefined
    source
      .on('data', () => {})
      .on('error', failure => {
        error = failure
      })
    controller.abort()
    await turns(3)
    expect(error).to.have.property('name', 'AbortError')
    expect(source.listenerCount('error')).to.equal(1)
  })
})

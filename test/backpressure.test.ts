import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { compose, fromResponse, requestCompletion, toChunks, toEvents, toText } from 'completion-streams'
import { type ReceivedRequest, serveCompletions } from 'completion-streams/testing'
import { request as undiciRequest } from 'undici'
import { allowNoComplaints, clientOf, failureOf, question, textEvent, turns } from './helpers.js'

const mebibyte = 1024 * 1024
const event = Buffer.from(textEvent('x'.repeat(64 * 1024)))

function* writes(offered: number) {
  for (let sent = 0; sent < offered; sent += event.length) yield { bytes: event }
}

const post = { method: 'POST', body: '{}' } as const
const sources: Record<string, (url: string) => Readable> = {
  requestCompletion: url => requestCompletion(clientOf({ url }), question),
  'fromResponse of fetch': url => fromResponse(fetch(`${url}/chat/completions`, post)),
  'fromResponse of undici.request': url => fromResponse(undiciRequest(`${url}/chat/completions`, post)),
  'requestCompletion in compose': url =>
    compose(requestCompletion(clientOf({ url }), question), toEvents()).map(({ data }) => `data: ${data}\n\n`)
}

/** Resolves when the server has waited for its client for a thousand turns, in which it wrote nothing, or is done. */
async function untilStill(requests: readonly ReceivedRequest[]): Promise<number> {
  let written = -1
  for (let still = 0; still < 1000; still++) {
    await turns(1)
    const [request] = requests
    if (request?.waiting && request.bytesWritten === written) continue
    still = 0
    written = request?.bytesWritten ?? -1
    if (request?.finished) break
  }
  return written
}

describe('backpressure', () => {
  allowNoComplaints()

  for (const [name, open] of Object.entries(sources)) {
    it(`stops the socket under ${name} when the sink takes nothing`, async () => {
      await using server = await serveCompletions({ script: { writes: writes(256 * mebibyte) } })
      const controller = new AbortController()
      const sink = new Writable({ decodeStrings: false, write() {} })
      const { signal } = controller
      const failure = failureOf(pipeline(open(server.url), toChunks(), toText(), sink, { signal }))
      const written = await untilStill(server.requests)
      expect(written)
        .to.be.greaterThan(0)
        .and.lessThan(32 * mebibyte)
      controller.abort()
      expect(await failure).to.have.property('name', 'AbortError')
      expect(await server.requests[0]?.over).to.have.property('aborted', true)
    })
  }

  it('goes on when the sink does', async () => {
    await using server = await serveCompletions({ script: { writes: writes(64 * mebibyte) } })
    let resume = () => {}
    let length = 0
    const sink = new Writable({
      decodeStrings: false,
      write(text, _encoding, callback) {
        length += text.length
        resume = callback
      }
    })
    const failure = failureOf(
      pipeline(requestCompletion(clientOf(server), question), toChunks(), toText(), sink)
    )
    const written = await untilStill(server.requests)
    sink._write = (text, _encoding, callback) => {
      length += text.length
      callback()
    }
    resume()
    // What was sent has no end mark.
    expect((await failure).code).to.equal('CS_ERR_TRUNCATED')
    expect(written).to.be.lessThan(32 * mebibyte)
    expect(length).to.equal(Math.ceil((64 * mebibyte) / event.length) * 64 * 1024)
  })
})

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { type ResponseForm, respond } from 'completion-streams'
import { serve } from '../helpers.js'

const forms: readonly ResponseForm[] = ['events', 'lines', 'text']

describe('a reader that takes nothing of an answer that has failed', () => {
  it('is let go of in the time that is written down', async () => {
    const responses: ServerResponse[] = []
    await using server = await serve((incoming, outgoing) => {
      responses.push(outgoing)
      const [, as] = (incoming.url ?? '').split('/')
      const answer = async function* () {
        yield 'x'.repeat(20_000_000)
        throw new Error('the provider has gone')
      }
      pipeline(answer, respond(outgoing, { as: as as ResponseForm })).catch(() => {})
    })
    const sockets = forms.map(as => {
      const socket = connect(server.port, '127.0.0.1').pause()
      socket.write(`GET /${as} HTTP/1.1\r\nhost: x\r\n\r\n`)
      return socket
    })
    while (responses.length < forms.length) await new Promise(resolve => setImmediate(resolve))
    await Promise.all(responses.map(response => once(response, 'close')))
    expect(responses.map(({ destroyed }) => destroyed)).to.deep.equal([true, true, true])
    for (const socket of sockets) socket.destroy()
  })
})

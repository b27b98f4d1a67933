import { brotliCompressSync, deflateSync } from 'node:zlib'
import { expect } from 'chai'
import { entriesOfExchange } from '#lib/recording/exchanges.js'

/** The text of the pieces of an exchange. */
function bodyOf(file: unknown, index = 0): string {
  return entriesOfExchange(file, index)
    .map(entry => (entry.kind === 'piece' ? Buffer.from(entry.bytes).toString() : ''))
    .join('')
}

const har = (...responses: object[]) => ({
  log: { entries: responses.map(response => ({ request: {}, response })) }
})
const cassette = (...bodies: unknown[]) => ({
  interactions: bodies.map(body => ({
    request: { url: 'https://a/v1/completions' },
    response: { body, status: 200 }
  }))
})

describe('entriesOfExchange', () => {
  it('takes any exchange where none looks like a completion', () => {
    expect(bodyOf(har({ content: { text: 'a' } }, { content: { text: 'b' } }), 1)).to.equal('b')
  })

  it('takes an exchange for a completion by its content type', () => {
    const headers = [{ name: 'Content-Type', value: 'text/event-stream' }]
    expect(bodyOf(har({ content: { text: 'a' } }, { headers, content: { text: 'b' } }))).to.equal('b')
  })

  it('unpacks what is packed by any of the codings', () => {
    for (const { name, bytes } of [
      { name: 'br', bytes: brotliCompressSync('packed') },
      { name: 'deflate', bytes: deflateSync('packed') }
    ]) {
      const headers = [{ name: 'content-encoding', value: name }]
      const content = { encoding: 'base64', text: bytes.toString('base64') }
      expect(bodyOf(har({ headers, content }))).to.equal('packed')
    }
  })

  it('reads the bodies of cassettes as text, as base64, and in members of their own', () => {
    const base64 = Buffer.from('text').toString('base64')
    const file = cassette(
      'text',
      { base64_string: base64 },
      { string: base64, encoding: 'base64' },
      { string: 'text' }
    )
    for (const index of [0, 1, 2, 3]) expect(bodyOf(file, index)).to.equal('text')
    expect(bodyOf(cassette({}))).to.equal('')
  })

  it('takes base64 with line ends and without its padding', () => {
    expect(bodyOf(cassette({ base64_string: 'dGV4\ndHMh\n' }))).to.equal('texts!')
    expect(bodyOf(cassette({ base64_string: 'dGV4dA' }))).to.equal('text')
  })

  for (const [name, file] of Object.entries({
    'a HAR file': har({ content: { encoding: 'base64', text: 'dGV*dA==' } }),
    'a list of Polly': har({ content: { encoding: 'base64', text: '["dGV4dA=="' } }),
    'a cassette': cassette({ base64_string: 'dGV4d' }),
    'a cassette of text': cassette({ string: '!', encoding: 'base64' })
  })) {
    it(`fails with CS_ERR_INVALID_RECORDING for damaged base64 in ${name}`, () => {
      expect(() => bodyOf(file))
        .to.throw(/damaged/)
        .with.property('code', 'CS_ERR_INVALID_RECORDING')
    })
  }

  it('reads an exchange beside one that is damaged', () => {
    expect(bodyOf(cassette({ base64_string: '*' }, 'text'), 1)).to.equal('text')
  })

  it('takes a list that is none for an empty body', () => {
    expect(bodyOf(har({ content: { encoding: 'base64', text: '[]' } }))).to.equal('')
    expect(bodyOf(har({}))).to.equal('')
  })

  for (const file of [null, [], {}, { log: {} }, { log: { entries: [] } }, 'text']) {
    it(`fails with CS_ERR_INVALID_RECORDING for ${JSON.stringify(file)}`, () => {
      expect(() => entriesOfExchange(file, 0))
        .to.throw()
        .with.property('code', 'CS_ERR_INVALID_RECORDING')
    })
  }
})

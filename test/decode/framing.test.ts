import { expect } from 'chai'
import { toChunks } from 'completion-streams'
import { eventStream, outcomeOf } from '../pieces.js'
import { expectRead } from './ways.js'

function said(content: string): object {
  return { id: 'f', choices: [{ index: 0, delta: { content }, finish_reason: null }] }
}

const finish = { id: 'f', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const line = (payload: object) => JSON.stringify(payload)
const end = eventStream(finish, '[DONE]')

describe('toChunks of odd framing', () => {
  describe('keep-alives framed as data', () => {
    for (const [name, frame] of Object.entries({
      'a comment': 'data: : keepalive\n\n',
      'a comment without a space': 'data: :ok\n\n',
      'the word ping under its name': 'event: ping\ndata: ping\n\n',
      'a time under the name ping': 'event: ping\ndata: 2026-01-01T00:00:00Z\n\n',
      'JSON under the name keepalive': 'event: keepalive\ndata: {"elapsed":3}\n\n',
      'JSON under the name heartbeat': 'event: heartbeat\ndata: {"type":"heartbeat","n":1}\n\n',
      'JSON of the type keepalive': 'data: {"type":"keepalive","sequence_number":2}\n\n',
      'a word alone': 'data: keep-alive\n\n',
      'a word in brackets': 'data: [PING]\n\n',
      'a word in quotes': 'data: "ping"\n\n',
      'an empty object': 'data: {}\n\n'
    })) {
      it(`are skipped: ${name}`, async () => {
        const body = frame + eventStream(said('Hi')) + frame + eventStream(said('!')) + frame + end
        await expectRead(body, { text: 'Hi!' })
      })
    }

    for (const data of ['{oops', 'pong me later', ';', '{"a":}']) {
      it(`are not what malformed JSON is taken for: ${data}`, async () => {
        const body = `${eventStream(said('Hi'))}data: ${data}\n\n${end}`
        await expectRead(body, { text: 'Hi', code: 'CS_ERR_INVALID_CHUNK' })
      })
    }

    it('do not hide a chunk or an error under their name', async () => {
      await expectRead(`event: ping\n${eventStream(said('Hi'))}${end}`, { text: 'Hi' })
      const error = eventStream({ error: { message: 'No' } })
      await expectRead(`${eventStream(said('Hi'))}event: ping\n${error}`, {
        text: 'Hi',
        code: 'CS_ERR_PROVIDER'
      })
    })
  })

  describe('events parted by a single line end', () => {
    const lines = [said('One'), said(' two'), said(' three'), finish].map(line)
    const parted = (lineEnd: string) => [...lines, '[DONE]'].map(data => `data: ${data}${lineEnd}`).join('')

    for (const [name, lineEnd] of Object.entries({ LF: '\n', CRLF: '\r\n', CR: '\r' })) {
      it(`are read (${name})`, async () => {
        await expectRead(parted(lineEnd), { text: 'One two three' })
        await expectRead(parted(lineEnd).trimEnd(), { text: 'One two three' })
      })
    }

    it('are read where some have a blank line', async () => {
      await expectRead(
        parted('\n')
          .replace(/\n/, '\n\n')
          .replace(/two.*\n/, '$&\n'),
        {
          text: 'One two three'
        }
      )
    })

    it('are read with names (Responses)', async () => {
      const named = (type: string, more: object) => `event: ${type}\ndata: ${line({ type, ...more })}\n`
      const body =
        named('response.output_text.delta', { delta: 'Hi', item_id: 'm', output_index: 0 }) +
        named('response.output_text.delta', { delta: '!', item_id: 'm', output_index: 0 }) +
        named('response.completed', { response: { id: 'r', status: 'completed', output: [] } })
      await expectRead(body, { text: 'Hi!' })
    })

    it('are read with the error among them', async () => {
      const body = `data: ${lines[0]}\nevent: error\ndata: {"message":"No"}\n\n`
      await expectRead(body, { text: 'One', code: 'CS_ERR_PROVIDER' }, { events: false })
      await expectRead(`data: ${lines[0]}\ndata: {"error":{"message":"No"}}\ndata: [DONE]\n`, {
        text: 'One',
        code: 'CS_ERR_PROVIDER'
      })
    })

    it('are CS_ERR_TRUNCATED where the last one is cut', async () => {
      const body = `data: ${lines[0]}\ndata: ${lines[1]?.slice(0, 20)}`
      await expectRead(body, { text: 'One', code: 'CS_ERR_TRUNCATED' }, { events: false })
    })

    it('come as they are read', async () => {
      const chunks: object[] = []
      const stage = toChunks().on('data', chunk => chunks.push(chunk))
      stage.write(`data: ${lines[0]}\ndata: ${lines[1]}\n`)
      await new Promise(setImmediate)
      expect(chunks).to.deep.equal([said('One')])
      stage.destroy()
    })

    it('are not what a pretty-printed payload is taken for', async () => {
      const pretty = JSON.stringify(said('Hi'), null, 1).replaceAll('\n', '\ndata: ')
      await expectRead(`data: ${pretty}\n\n${end}`, { text: 'Hi' })
    })
  })

  describe('a chunk on a line of its own', () => {
    for (const [name, framed] of Object.entries({
      'without data:': line(said(' two')),
      'under Data:': `Data: ${line(said(' two'))}`,
      'under a damaged name': `ata: ${line(said(' two'))}`,
      'behind white space': `  data: ${line(said(' two'))}`,
      'over many lines': JSON.stringify(said(' two'), null, 2)
    })) {
      for (const between of ['\n\n', '\n']) {
        it(`is read ${name}, with ${between.length} line ends behind it`, async () => {
          const body = eventStream(said('One')) + framed + between + eventStream(said(' three')) + end
          await expectRead(body, { text: 'One two three' })
        })
      }
    }

    it('is read in the order of the lines', async () => {
      const body = `data: ${line(said('One'))}\n${line(said(' two'))}\ndata: ${line(said(' three'))}\n\n${end}`
      await expectRead(body, { text: 'One two three' })
    })

    it('is told of where it is damaged', async () => {
      const damaged = line(said('two')).slice(0, -3)
      const body = `${eventStream(said('One'))}${damaged}\n\n${eventStream(said(' three'))}${end}`
      await expectRead(body, { text: 'One', code: 'CS_ERR_INVALID_CHUNK' })
    })

    it('is CS_ERR_TRUNCATED where the input ends in it', async () => {
      const cut = line(said('two')).slice(0, -3)
      await expectRead(
        eventStream(said('One')) + cut,
        { text: 'One', code: 'CS_ERR_TRUNCATED' },
        { events: false }
      )
    })

    it('is not seen in a field that is unknown to the standard', async () => {
      const body = `${eventStream(said('One'))}x-meta: {"a":1}\nx-id: 7\n\n${end}`
      await expectRead(body, { text: 'One' })
    })

    it('is the end mark, or a keep-alive', async () => {
      await expectRead(`${eventStream(said('One'))}ping\n\n[DONE]\n`, { text: 'One' })
    })
  })

  describe('long lines that are no fields', () => {
    const long = 'x'.repeat(70_000)
    const one = eventStream(said('One'))
    const chunk = line(said(long))

    for (const [name, damaged] of Object.entries({
      'without its end': chunk.slice(0, -5),
      'without its beginning': chunk.slice(40)
    })) {
      it(`are told of: a chunk ${name}`, async () => {
        const body = `${one}${damaged}\n\n${eventStream(said(' two'))}${end}`
        await expectRead(body, { text: 'One', code: 'CS_ERR_INVALID_CHUNK' })
      })
    }

    it('are read: a chunk over many lines without data:', async () => {
      const body = `${one}${JSON.stringify(said(long), null, 1)}\n\n${eventStream(said(' two'))}${end}`
      await expectRead(body, { text: `One${long} two` })
    })

    for (const [name, events] of Object.entries({
      'an open answer': one,
      'a finished one': one + eventStream(finish)
    })) {
      it(`are CS_ERR_PROVIDER behind ${name}: a text`, async () => {
        await expectRead(`${events}upstream died ${long}`, {
          text: 'One',
          code: 'CS_ERR_PROVIDER',
          message: `provider reported an error: upstream died ${'x'.repeat(186)}…`
        })
      })
    }

    it('are CS_ERR_PROVIDER: an error over many lines', async () => {
      const error = JSON.stringify({ error: { message: 'boom', trace: long } }, null, 1)
      const message = 'provider reported an error: boom'
      await expectRead(one + error, { text: 'One', code: 'CS_ERR_PROVIDER', message })
    })

    it('are CS_ERR_INVALID_CHUNK: a page', async () => {
      const message = `the body is no event stream, it begins with: <html>${'x'.repeat(194)}`
      await expectRead(`<html>${long}`, { code: 'CS_ERR_INVALID_CHUNK', message }, { events: false })
    })

    it('are CS_ERR_EVENT_TOO_LARGE where they are larger than an event may be', async () => {
      const texts = Array.from({ length: 9 }, () => `${'some words '.repeat(900)}\n\n`)
      await expectRead(
        one + texts.join(''),
        { text: 'One', code: 'CS_ERR_EVENT_TOO_LARGE' },
        { events: false, maxEventSize: 80_000 }
      )
      await expectRead(
        one + texts.slice(0, 8).join(''),
        { text: 'One', code: 'CS_ERR_PROVIDER' },
        { events: false, maxEventSize: 80_000 }
      )
    })
  })

  describe('a line before the first event', () => {
    const damaged = line(said('x'.repeat(1000))).slice(40)

    it('is CS_ERR_INVALID_CHUNK where it is a damaged chunk', async () => {
      const body = `${damaged}\n\n${eventStream(said('Hi'))}${end}`
      await expectRead(body, { text: '', code: 'CS_ERR_INVALID_CHUNK' })
      await expectRead(`: ok\n\n${body}`, { text: '', code: 'CS_ERR_INVALID_CHUNK' })
    })

    it('is a chunk where only its name is damaged', async () => {
      await expectRead(`ata: ${line(said('Hi'))}\n\n${eventStream(said('!'))}${end}`, { text: 'Hi!' })
    })

    for (const [name, first] of Object.entries({
      'a time to wait': 'retry: 3000\n\n',
      'an id': 'id: {"a":\n',
      'a status in a comment': ': HTTP_STATUS/200\n',
      'a comment with JSON': ':{"ok":\n\n',
      'an unknown field': 'x-meta: "a", "b"\n\n',
      'an unknown field with JSON': 'x-meta: {"a":1}\n\n',
      'a word': 'ok\n\n',
      'byte order marks': '\uFEFF\uFEFF\n\n\n'
    })) {
      it(`is ignored where it is ${name}`, async () => {
        await expectRead(`${first}${eventStream(said('Hi'))}${end}`, { text: 'Hi' })
      })
    }
  })

  describe('lines of JSON', () => {
    const azure = { choices: [], prompt_filter_results: [{ prompt_index: 0 }] }
    for (const [name, first] of Object.entries({
      "Azure's filter results": line(azure),
      'a keep-alive': '{"type":"keepalive","sequence_number":1}',
      'an empty object': '{}',
      'a cost': '{"cost":0.01}',
      'an empty line': ''
    })) {
      it(`may begin with ${name}, and hold it anywhere`, async () => {
        const body = [first, line(said('Hi')), first, line(said('!')), line(finish), first].join('\n')
        await expectRead(body, { text: 'Hi!' })
      })
    }

    it('are CS_ERR_INVALID_CHUNK where no line is a chunk', async () => {
      const body = '{"level":30}\n{"level":40}\n'
      const message = 'the body is JSON, but no completion: {"level":30}'
      await expectRead(body, { code: 'CS_ERR_INVALID_CHUNK', message }, { events: false })
    })

    it('are CS_ERR_INVALID_CHUNK in the form of another API', async () => {
      const body = '{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'
      const { error } = await outcomeOf([body], toChunks())
      expect(error?.code).to.equal('CS_ERR_INVALID_CHUNK')
      expect(error?.message).to.include("Ollama's own API")
    })

    it('may come behind a comment', async () => {
      const body = `: connected\n\n${line(said('Hi'))}\n${line(finish)}\n`
      await expectRead(body, { text: 'Hi' })
    })
  })

  describe('a body that ends within the end mark', () => {
    for (let length = 1; length < 6; length++) {
      const body = `${eventStream(said('Hi'), finish)}data: ${'[DONE]'.slice(0, length)}`
      it(`is complete behind a finished answer (${length} characters)`, async () => {
        await expectRead(body, { text: 'Hi' })
      })
      it(`is CS_ERR_TRUNCATED before (${length} characters)`, async () => {
        const open = `${eventStream(said('Hi'))}data: ${'[DONE]'.slice(0, length)}`
        await expectRead(open, { text: 'Hi', code: 'CS_ERR_TRUNCATED' })
      })
    }
  })

  it('shows a text from outside without control characters', async () => {
    const page = '<h1>Bad gateway</h1>\u001b[31m\r\nlevel=info msg="all is well"'
    await expectRead(
      page,
      {
        code: 'CS_ERR_INVALID_CHUNK',
        message:
          'the body is no event stream, it begins with: <h1>Bad gateway</h1> [31m level=info msg="all is well"'
      },
      { events: false }
    )
  })

  it('gives 200 characters of a plain text behind the events', async () => {
    const body = `${eventStream(said('Hi'))}upstream gone ${'x'.repeat(500)}\n`
    const message = `provider reported an error: upstream gone ${'x'.repeat(186)}…`
    await expectRead(body, { text: 'Hi', code: 'CS_ERR_PROVIDER', message })
  })
})

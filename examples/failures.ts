/** What each failure looks like: the code to decide on, and the text that had arrived, which is never lost. */
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { requestCompletion, timeLimits, toChunks, toText } from 'completion-streams'
import { type Faults, type RawScript, script, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'

const answer = script('It was a dark and stormy night; the rain fell in torrents.')
const start = 'data: {"choices":[{"index":0,"delta":{"content":"It was"}}]}\n\n'
const raw = (bytes: string): RawScript => ({ writes: [{ bytes }] })

await show('the request is refused', answer, { status: 429 })
await show('an error in mid-stream', answer, { errorAfter: { events: 4 } })
await show('the connection dies', answer, { cutAfter: { events: 4 } })
await show('the body ends too early', raw(start))
await show('the model stalls', answer, { stallAfter: { events: 4 } })
await show('malformed JSON', raw(`${start}data: {"choices":[}\n\n`))
await show("a proxy's page", raw('<html>Bad Gateway</html>'))
await show('an event of 2 KB', raw(`${start}data: ${' '.repeat(2000)}\n\n`))

async function show(what: string, script: RawScript | typeof answer, faults: Faults = {}): Promise<void> {
  await using server = await serveCompletions({ script, faults, speed: Infinity })
  const client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
  const request = requestCompletion(client, {
    model: 'scripted',
    messages: [{ role: 'user', content: 'Go on' }]
  })
  let text = ''
  const sink = new Writable({
    write(piece, _encoding, callback) {
      text += piece
      callback()
    }
  })
  const failure = await pipeline(
    request,
    timeLimits({ idle: 1000 }),
    toChunks({ maxEventSize: 1000 }),
    toText(),
    sink
  ).catch(error => error)
  const name = failure?.code?.startsWith('CS_ERR_') ? failure.code : failure?.constructor.name
  console.log(`${what.padEnd(24)} ${name.padEnd(24)} ${JSON.stringify(text)}`)
}

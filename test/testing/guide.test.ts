import { expect } from 'chai'
import { type CompletionServer, countToHundred, serveCompletions } from 'completion-streams/testing'
import OpenAI from 'openai'
import { settle } from '#lib/testing/script.js'
import { eventsOf, jsonOf, payloadsOf, post } from './wire.js'

const count = 'Count to 100, with a comma between each number and no newlines. E.g., 1, 2, 3, ...'
const sum = "What's 1+1? Answer in one word."
const numbers = Array.from({ length: 100 }, (_, place) => place + 1)

const fromSum = {
  id: 'chatcmpl-9lMgfRSWPHcw51s6wxKT1YEO2CKpd',
  object: 'chat.completion.chunk',
  created: 1721075653,
  model: 'gpt-july-test',
  system_fingerprint: 'fp_e9b8ed65d2'
}
const sumChoices = [
  { delta: { role: 'assistant', content: '' }, finish_reason: null },
  { delta: { content: 'Two' }, finish_reason: null },
  { delta: { content: '.' }, finish_reason: null },
  { delta: {}, finish_reason: 'stop' }
].map(choice => [{ index: 0, logprobs: null, ...choice }])

const asks = (content: string): object => ({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content }],
  temperature: 0
})

describe("the guide's conversations", () => {
  let server: CompletionServer
  before(async () => {
    server = await serveCompletions({ speed: Infinity })
  })
  after(() => server.close())

  it('counts to 100 in a whole answer', async () => {
    expect(await jsonOf(post(server, asks(count)))).to.deep.equal({
      id: 'chatcmpl-9lMgdoiMfxVHPDNVCtvXuTWcQ2GGb',
      object: 'chat.completion',
      created: 1721075651,
      model: 'gpt-july-test',
      system_fingerprint: 'fp_e9b8ed65d2',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: numbers.join(', '), refusal: null },
          logprobs: null,
          finish_reason: 'stop'
        }
      ],
      usage: { prompt_tokens: 36, completion_tokens: 298, total_tokens: 334 }
    })
  })

  it('counts to 100 in 300 chunks', async () => {
    const chunks = await payloadsOf(post(server, { ...asks(count), stream: true }))
    const contents = chunks.map(chunk => chunk.choices[0].delta.content)
    expect(contents).to.deep.equal([
      '',
      '1',
      ...numbers.slice(1).flatMap(number => [',', ' ', `${number}`]),
      undefined
    ])
  })

  it('plays the count at the times that the guide prints', () => {
    const { choices, wholeAt } = settle(countToHundred, '', '')
    const [choice] = choices
    const pieces = choice?.pieces.map(piece => [piece.at, 'text' in piece ? piece.text : '']) ?? []
    expect(choice?.openAt).to.equal(1140)
    expect(pieces.slice(0, 8).map(([at]) => at)).to.deep.equal([
      1140, 1140, 1140, 1140, 1160, 1160, 1160, 1350
    ])
    const timeOf = (number: number): unknown => pieces.find(([, text]) => text === `${number}`)?.[0]
    const printed = { 2: 1140, 3: 1160, 4: 1350, 12: 1360, 13: 1450, 29: 1690, 30: 1800, 41: 1880, 52: 2040 }
    const later = {
      54: 2130,
      61: 2340,
      76: 2400,
      77: 2420,
      78: 2510,
      83: 2600,
      84: 2640,
      90: 2720,
      91: 2820,
      100: 2820
    }
    for (const [number, at] of Object.entries({ ...printed, ...later })) {
      expect(timeOf(Number(number)), `the time of ${number}`).to.equal(at)
    }
    // The guide's client saw some commas in one read and the space behind them in the next.
    expect(pieces.filter(([at, text], place) => text === ' ' && at !== pieces[place - 1]?.[0])).to.deep.equal(
      [
        [2040, ' '],
        [2130, ' '],
        [2400, ' '],
        [2420, ' '],
        [2510, ' '],
        [2520, ' '],
        [2600, ' '],
        [2640, ' ']
      ]
    )
    expect(choice?.finishAt).to.equal(2820)
    expect(wholeAt).to.equal(1880)
  })

  it('adds 1 and 1 chunk for chunk', async () => {
    const events = await eventsOf(post(server, { ...asks(sum), stream: true }))
    expect(events.pop()).to.equal('data: [DONE]')
    expect(events.map(event => JSON.parse(event.slice(6)))).to.deep.equal(
      sumChoices.map(choices => ({ ...fromSum, choices }))
    )
  })

  it('adds 1 and 1 with the usage on a last chunk without choices', async () => {
    const asked = { ...asks(sum), stream: true, stream_options: { include_usage: true } }
    expect(await payloadsOf(post(server, asked))).to.deep.equal([
      ...sumChoices.map(choices => ({ ...fromSum, choices, usage: null })),
      { ...fromSum, choices: [], usage: { prompt_tokens: 18, completion_tokens: 2, total_tokens: 20 } }
    ])
  })

  it('answers by the last message of the user, the prompt or the input', async () => {
    const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
    const parts = [{ type: 'text' as const, text: sum }]
    const chat = await client.chat.completions.create({
      model: 'm',
      messages: [
        { role: 'user', content: count },
        { role: 'assistant', content: 'No.' },
        { role: 'user', content: parts }
      ]
    })
    expect(chat.choices[0]?.message.content).to.equal('Two.')
    const legacy = await client.completions.create({ model: 'm', prompt: [sum] })
    expect(legacy.choices[0]?.text).to.equal('Two.')
    const byText = await client.responses.create({ model: 'm', input: sum })
    expect(byText.output_text).to.equal('Two.')
    const byMessages = await client.responses.create({ model: 'm', input: [{ role: 'user', content: sum }] })
    expect(byMessages.output_text).to.equal('Two.')
  })

  it('has sixty words for any other question', async () => {
    const { choices } = await jsonOf(post(server, asks('Hello?')))
    expect(choices[0].message.content.split(' ')).to.have.lengthOf(60)
  })
})

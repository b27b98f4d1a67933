import { once } from 'node:events'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  compose,
  drain,
  fromResponse,
  readCompletion,
  readText,
  toChunks,
  toText,
  webResponse
} from 'completion-streams'
import { allowNoComplaints, completion, type Failure, failureOf, serve } from '../../helpers.js'

const body = completion(['Hi'])
const wholeCompletion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }]
}
const head = { status: 200, statusText: 'OK', headers: {} }

/** What reading a response fails with, be it at the call or in the pipeline. */
function failureOfResponse(response: unknown): Promise<Failure> {
  return failureOf(
    (async () => pipeline(fromResponse(response as Response), toChunks(), toText(), drain()))()
  )
}

describe('fromResponse', () => {
  allowNoComplaints()

  for (const { name, response, message } of [
    {
      name: "a response of undici's whose body was read as text",
      response: { statusCode: 200, headers: {}, body },
      message: /^the body of the response is a string of \d+ characters: give its stream/
    },
    {
      name: "a response of got's that was read as bytes",
      response: { statusCode: 200, headers: {}, body: Buffer.from(body), rawBody: Buffer.from(body) },
      message: /^the body of the response is bytes: give its stream/
    },
    {
      name: "a response of got's that was read as JSON",
      response: { statusCode: 200, headers: {}, body: wholeCompletion },
      message: /^the body of the response is an object: give its stream/
    },
    {
      name: 'a response by its status whose body was read as text',
      response: { ...head, body },
      message: /^the body of the response is a string/
    },
    {
      name: 'a refused response whose body was read as text',
      response: { ...head, status: 429, body: '{"error":{}}' },
      message: /^the body of the response is a string/
    },
    {
      name: "a response of axios's",
      response: { ...head, data: Readable.from([body]), config: {}, request: {} },
      message: /^response is a response of axios: ask with responseType: 'stream', and give its data$/
    },
    {
      name: 'what withResponse() of the client gives',
      response: { data: {}, response: new Response(body), request_id: 'req_1' },
      message: /^response is what withResponse\(\) of the client gives: give the response in it/
    },
    {
      name: 'a whole completion',
      response: wholeCompletion,
      message: /^response is a whole completion: ask for it with stream: true/
    },
    {
      name: 'an array',
      response: [body],
      message: /^response is an array/
    }
  ]) {
    it(`fails with CS_ERR_INVALID_OPTION for ${name}, and shows nothing of it`, async () => {
      for (const given of [response, Promise.resolve(response), () => response]) {
        const error = await failureOfResponse(given)
        expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
        expect(error.message).to.match(message).and.not.include('Hi')
      }
    })
  }

  it('fails with CS_ERR_INVALID_OPTION for a request of http, and names its event', async () => {
    await using server = await serve((_incoming, outgoing) => void outgoing.end(body))
    const sent = request(server.url).end()
    const answered = once(sent, 'response')
    const error = await failureOfResponse(sent)
    expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    expect(error.message).to.equal(
      "response is a request: wait for its event 'response', and give what that brings"
    )
    const [response] = await answered
    await pipeline(fromResponse(response), toChunks(), drain())
  })

  it('fails with CS_ERR_INVALID_OPTION for a body that has a reader', async () => {
    for (const given of [(response: Response) => response, (response: Response) => response.body]) {
      const response = new Response(body)
      response.body?.getReader()
      const error = await failureOfResponse(given(response))
      expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
      expect(error.message).to.include('give a response whose body has not been read')
    }
  })

  it('fails with CS_ERR_INVALID_OPTION for a Node stream that was read to its end', async () => {
    const read = Readable.from([body])
    await pipeline(fromResponse(read), toChunks(), drain())
    const error = await failureOfResponse(read)
    expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
    expect(error.message).to.include('a source is used a second time')
  })

  it('takes an empty body for a truncated answer', async () => {
    for (const response of [
      { statusCode: 200, headers: {}, body: null },
      { ...head, body: null }
    ])
      expect(await failureOfResponse(response)).to.have.property('code', 'CS_ERR_TRUNCATED')
  })
})

describe('what is given as a source and is none', () => {
  const takers: Record<string, (source: never) => unknown> = {
    readText: source => readText(source),
    readCompletion: source => readCompletion(source),
    compose: async source => compose(source, toChunks()),
    webResponse: source => webResponse(source)
  }
  for (const [name, take] of Object.entries(takers)) {
    it(`is named by ${name}, with what to write instead`, async () => {
      for (const [source, message] of [
        [new Response(body), /is a response: give fromResponse\(response\)$/],
        [{ statusCode: 200, body: Readable.from([body]) }, /is a response: give fromResponse\(response\)$/],
        [Promise.resolve(new Response(body)), /is a promise: await it first$/],
        [wholeCompletion, /is a whole completion: ask for it with stream: true/],
        ['text', /is a string of 4 characters: give a stream/]
      ] as const) {
        const error = await failureOf(Promise.resolve(take(source as never)))
        expect(error).to.have.property('code', 'CS_ERR_INVALID_OPTION')
        expect(error.message).to.match(message)
      }
    })
  }
})

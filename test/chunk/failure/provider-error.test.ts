import { expect } from 'chai'
import { providerErrorIn, toProviderError } from '#lib/chunk/failure/provider-error.js'
import { CompletionError } from '#lib/errors.js'

interface Shape {
  name: string
  payload: object
  message: string
  facts: object
}

const shapes: Shape[] = [
  {
    name: 'a message beside a status that is false',
    payload: { status: false, message: 'boom' },
    message: 'boom',
    facts: {}
  },
  {
    name: 'a message beside an empty status',
    payload: { status: '', message: 'boom' },
    message: 'boom',
    facts: {}
  },
  {
    name: 'a message beside an empty code',
    payload: { message: 'boom', type: 'server_error', param: '', code: '' },
    message: 'boom',
    facts: { type: 'server_error' }
  },
  {
    name: 'a message beside an empty code and no choices',
    payload: { message: 'boom', type: 'server_error', code: '', choices: [] },
    message: 'boom',
    facts: { type: 'server_error' }
  },
  {
    name: 'errors beside an empty code',
    payload: { errors: ['boom'], code: '' },
    message: 'boom',
    facts: {}
  },
  {
    name: 'a message whose code is called error_code and empty',
    payload: { error_code: '', error_msg: 'boom' },
    message: 'boom',
    facts: {}
  },
  {
    name: 'a nested error (OpenAI)',
    payload: {
      error: {
        message: 'The model `gpt-9` does not exist',
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found'
      }
    },
    message: 'The model `gpt-9` does not exist',
    facts: { type: 'invalid_request_error', providerCode: 'model_not_found', param: 'model' }
  },
  {
    name: 'a nested error with its own status (Groq)',
    payload: { error: { message: 'Tool call validation failed', code: 'tool_use_failed', status_code: 400 } },
    message: 'Tool call validation failed',
    facts: { providerCode: 'tool_use_failed', status: 400 }
  },
  {
    name: 'an error beside choices (OpenRouter)',
    payload: {
      id: 'gen-1',
      error: { code: 502, message: 'Provider disconnected' },
      choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }]
    },
    message: 'Provider disconnected',
    facts: { providerCode: 502, status: 502 }
  },
  {
    name: 'an error within a choice (OpenRouter)',
    payload: {
      choices: [
        { index: 0, delta: {} },
        { index: 1, delta: {}, error: { code: 429, message: 'Slow down' } }
      ]
    },
    message: 'Slow down',
    facts: { providerCode: 429, status: 429 }
  },
  {
    name: 'an error beside choices, where a stream was stopped (Groq)',
    payload: {
      choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
      x_groq: { id: 'req_1', error: 'over capacity' }
    },
    message: 'over capacity',
    facts: {}
  },
  {
    name: 'errors beside no choices',
    payload: { object: 'chat.completion.chunk', choices: [], errors: [{ message: 'Model is down' }] },
    message: 'Model is down',
    facts: {}
  },
  {
    name: 'an exception by its name (Bedrock)',
    payload: { throttlingException: { message: 'Too many tokens' } },
    message: 'Too many tokens',
    facts: {}
  },
  ...['err', 'Error', 'exception'].map(name => ({
    name: `a text under the name ${name}`,
    payload: { [name]: 'It broke' },
    message: 'It broke',
    facts: {}
  })),
  {
    name: 'a bare error',
    payload: { message: 'Overloaded', type: 'server_error', code: 'busy' },
    message: 'Overloaded',
    facts: { type: 'server_error', providerCode: 'busy' }
  },
  {
    name: 'an error object (vLLM)',
    payload: { object: 'error', message: 'Too long', type: 'BadRequestError', param: null, code: 400 },
    message: 'Too long',
    facts: { type: 'BadRequestError', providerCode: 400, status: 400 }
  },
  {
    name: 'an error that is text (Ollama)',
    payload: { error: 'model not found' },
    message: 'model not found',
    facts: {}
  },
  {
    name: 'an error that only names its kind, beside a message',
    payload: { statusCode: 401, error: 'Unauthorized', message: 'Token expired' },
    message: 'Token expired',
    facts: { status: 401 }
  },
  {
    name: 'a flag beside a message',
    payload: { error: true, message: 'No capacity', code: '503' },
    message: 'No capacity',
    facts: { providerCode: '503', status: 503 }
  },
  {
    name: 'an array (Google)',
    payload: [
      { error: { code: 400, message: 'API key not valid', status: 'INVALID_ARGUMENT', details: [] } }
    ],
    message: 'API key not valid',
    facts: { type: 'INVALID_ARGUMENT', providerCode: 400, status: 400 }
  },
  {
    name: 'an error event (Responses)',
    payload: {
      type: 'error',
      code: 'rate_limit_exceeded',
      message: 'Rate limit reached',
      param: null,
      sequence_number: 3
    },
    message: 'Rate limit reached',
    facts: { providerCode: 'rate_limit_exceeded' }
  },
  {
    name: 'an error event with a nested error (Anthropic)',
    payload: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    message: 'Overloaded',
    facts: { type: 'overloaded_error' }
  },
  {
    name: 'response.failed',
    payload: {
      type: 'response.failed',
      response: {
        id: 'resp_1',
        status: 'failed',
        error: { code: 'server_error', message: 'The model failed' }
      }
    },
    message: 'The model failed',
    facts: { providerCode: 'server_error' }
  },
  {
    name: 'a detail that is text (FastAPI)',
    payload: { detail: 'Not Found' },
    message: 'Not Found',
    facts: {}
  },
  {
    name: 'a list of details (FastAPI)',
    payload: { detail: [{ loc: ['body', 'model'], msg: 'field required', type: 'missing' }] },
    message: 'field required',
    facts: { type: 'missing' }
  },
  {
    name: 'a message alone',
    payload: { message: 'Service unavailable' },
    message: 'Service unavailable',
    facts: {}
  },
  {
    name: 'a list of errors (Cloudflare)',
    payload: { success: false, result: null, errors: [{ code: 7003, message: 'No route' }] },
    message: 'No route',
    facts: { providerCode: 7003 }
  },
  { name: 'a list of texts', payload: { errors: ['Quota used up'] }, message: 'Quota used up', facts: {} },
  {
    name: 'an error without a message',
    payload: { error: { code: 'E42' } },
    message: 'E42',
    facts: { providerCode: 'E42' }
  },
  {
    name: 'a text beside an error_code (FastChat)',
    payload: { text: 'NETWORK ERROR', error_code: 50001 },
    message: 'NETWORK ERROR',
    facts: { providerCode: 50001 }
  },
  {
    name: 'an error_msg (Baidu)',
    payload: { error_code: 18, error_msg: 'Open api qps request limit reached', id: 'as-1' },
    message: 'Open api qps request limit reached',
    facts: { providerCode: 18 }
  },
  {
    name: 'a code and a msg',
    payload: { code: 1001, msg: 'Token expired', data: null, success: false },
    message: 'Token expired',
    facts: { providerCode: 1001 }
  },
  {
    name: 'base_resp in a chunk without choices (MiniMax)',
    payload: {
      id: 'm',
      object: 'chat.completion.chunk',
      choices: null,
      base_resp: { status_code: 1008, status_msg: 'insufficient balance' }
    },
    message: 'insufficient balance',
    facts: { providerCode: 1008 }
  },
  {
    name: 'base_resp beside choices (MiniMax)',
    payload: {
      choices: [{ index: 0, delta: { content: 'Hi' } }],
      base_resp: { status_code: 1027, status_msg: 'output sensitive' }
    },
    message: 'output sensitive',
    facts: { providerCode: 1027 }
  },
  {
    name: 'a detail that is an object',
    payload: { detail: { reason: 'quota', message: 'Quota used up' } },
    message: 'Quota used up',
    facts: {}
  },
  { name: 'a Message (AWS)', payload: { Message: 'Too many tokens' }, message: 'Too many tokens', facts: {} },
  {
    name: 'a __type (AWS)',
    payload: { __type: 'ThrottlingException', message: 'Rate exceeded' },
    message: 'Rate exceeded',
    facts: { type: 'ThrottlingException' }
  },
  {
    name: 'an errorMessage and an errorType (Lambda)',
    payload: { errorMessage: 'Task timed out', errorType: 'Sandbox.Timedout', requestId: 'r' },
    message: 'Task timed out',
    facts: { type: 'Sandbox.Timedout' }
  },
  {
    name: 'a faultstring (Apigee)',
    payload: {
      fault: { faultstring: 'Quota exceeded', detail: { errorcode: 'policies.ratelimit.QuotaViolation' } }
    },
    message: 'Quota exceeded',
    facts: { providerCode: 'policies.ratelimit.QuotaViolation' }
  },
  {
    name: 'a title and a status (RFC 9457)',
    payload: { type: 'about:blank', title: 'Service Unavailable', status: 503 },
    message: 'Service Unavailable',
    facts: { status: 503 }
  },
  {
    name: 'an object of errors',
    payload: { errors: { message: 'Bad model', code: 'E1' } },
    message: 'Bad model',
    facts: { providerCode: 'E1' }
  },
  {
    name: 'a header with a code (iFlytek)',
    payload: { header: { code: 10013, message: 'Input refused', sid: 's' } },
    message: 'Input refused',
    facts: { providerCode: 10013 }
  },
  {
    name: 'a code beside an empty list of choices',
    payload: { code: 10007, message: 'Engine busy', choices: [] },
    message: 'Engine busy',
    facts: { providerCode: 10007 }
  },
  {
    name: 'errors by the name of a parameter',
    payload: { errors: { model: ['is unknown'] } },
    message: 'is unknown',
    facts: {}
  },
  {
    name: 'an error within a Response (Tencent)',
    payload: { Response: { Error: { Code: 'AuthFailure', Message: 'Bad signature' }, RequestId: 'r' } },
    message: 'Bad signature',
    facts: { providerCode: 'AuthFailure' }
  },
  {
    name: 'success that is false',
    payload: { success: false, reason: 'none given' },
    message: 'no message given',
    facts: {}
  },
  {
    name: 'response.completed whose response has failed',
    payload: {
      type: 'response.completed',
      response: { status: 'failed', error: { code: 'server_error', message: 'It broke' } }
    },
    message: 'It broke',
    facts: { providerCode: 'server_error' }
  },
  {
    name: 'a message by the name of an error, in an envelope of nulls (DeepInfra)',
    payload: {
      id: 'x',
      choices: null,
      created: 0,
      object: null,
      error_type: 'BadRequestError',
      error_message: 'Too long'
    },
    message: 'Too long',
    facts: { type: 'BadRequestError' }
  },
  {
    name: 'a message by the name of an error in a chunk',
    payload: {
      object: 'chat.completion.chunk',
      choices: [],
      error_type: 'BadRequestError',
      error_message: 'Too long'
    },
    message: 'Too long',
    facts: { type: 'BadRequestError' }
  },
  {
    name: 'a message by the name of an error in a chunk without choices',
    payload: { object: 'chat.completion.chunk', error_message: 'Too long' },
    message: 'Too long',
    facts: {}
  },
  {
    name: 'no success in a chunk',
    payload: { choices: [], success: false, msg: 'Quota used up' },
    message: 'Quota used up',
    facts: {}
  },
  {
    name: 'a code in a chunk without usage',
    payload: { object: 'chat.completion.chunk', choices: [], message: 'died', code: 500, usage: null },
    message: 'died',
    facts: { providerCode: 500, status: 500 }
  },
  {
    name: 'an error within a delta',
    payload: { choices: [{ index: 0, delta: { error: { message: 'No', code: 429 } } }] },
    message: 'No',
    facts: { providerCode: 429, status: 429 }
  },
  {
    name: 'nothing but an error without a word',
    payload: { error: '' },
    message: 'no message given',
    facts: {}
  },
  {
    name: 'nothing but an error in which nothing is filled in',
    payload: { error: { message: '' } },
    message: 'no message given',
    facts: {}
  },
  {
    name: 'details',
    payload: { code: 400, details: 'No logprobs here' },
    message: 'No logprobs here',
    facts: { providerCode: 400, status: 400 }
  },
  {
    name: 'the status under its full name',
    payload: { error: { message: 'Overloaded', http_status_code: 429 } },
    message: 'Overloaded',
    facts: { status: 429 }
  },
  {
    name: 'response.error (new-api)',
    payload: {
      type: 'response.error',
      response: { error: { message: 'Bad', type: 'invalid_request_error', code: 'x' } }
    },
    message: 'Bad',
    facts: { type: 'invalid_request_error', providerCode: 'x' }
  },
  {
    name: 'response.error with a message of its own',
    payload: { type: 'response.error', message: 'Bad', code: 'x' },
    message: 'Bad',
    facts: { providerCode: 'x' }
  },
  {
    name: 'response.incomplete whose response has an error',
    payload: {
      type: 'response.incomplete',
      response: { status: 'incomplete', error: { code: 'server_error', message: 'It broke' } }
    },
    message: 'It broke',
    facts: { providerCode: 'server_error' }
  },
  {
    name: 'response.completed that has the fields of a response that has failed',
    payload: { type: 'response.completed', status: 'failed', error: null },
    message: 'no message given',
    facts: {}
  },
  {
    name: 'response.failed without an error',
    payload: { type: 'response.failed' },
    message: 'no message given',
    facts: {}
  }
]

const good: [name: string, payload: object][] = [
  [
    'a chunk',
    { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'error' } }] }
  ],
  ['a null error', { choices: [], error: null }],
  ['a false error', { choices: [], error: false }],
  ['an empty error', { choices: [], error: '' }],
  ['an error in which nothing is filled in', { choices: [], error: { message: '', type: '', code: null } }],
  ['an empty list of errors', { id: 'c', errors: [] }],
  ['an empty list of errors beside no choices', { choices: [], errors: [], stream_error: 'none' }],
  ['what else Groq says', { choices: [{ index: 0, delta: {} }], x_groq: { id: 'req_1', error: null } }],
  [
    'a message of an error that says that there is none',
    { choices: [], error_message: '', error_msg: 'success' }
  ],
  ['a null error within a delta', { choices: [{ index: 0, delta: { error: null } }] }],
  ['a null error alone', { error: null }],
  ['a null choice', { choices: [null] }],
  ['a null error within a choice', { choices: [{ index: 0, error: null }] }],
  ['a usage chunk', { id: 'c', usage: { total_tokens: 3 } }],
  ['a Responses event', { type: 'response.created', response: { id: 'resp_1', error: null } }],
  ['an incomplete response', { type: 'response.incomplete', response: { error: null } }],
  ['a message that is no text', { message: { role: 'assistant', content: 'hi' }, done: false }],
  ['a message beside the fields of a chunk', { object: 'chat.completion.chunk', message: 'warming up' }],
  ['an empty array', []],
  ['base_resp of status 0 (MiniMax)', { choices: [], base_resp: { status_code: 0, status_msg: '' } }],
  ['base_resp of status 0 alone', { base_resp: { status_code: 0, status_msg: 'success' } }],
  ['a source that is cited', [{ url: 'http://x', title: 'T' }]],
  ['the title of a conversation', { conversation_id: 'x', title: 'New chat' }],
  ['a message of success', { success: true, msg: 'ok' }],
  ['a message beside a status that is true', { status: true, message: 'ok' }],
  ['a message beside a status in words', { status: 'succeeded', message: 'done' }],
  ['a message beside a status of 200', { status: 200, message: 'OK' }],
  ['a message beside no error', { error: false, message: 'ok' }],
  ['a tool that failed (Responses)', { type: 'response.mcp_call.failed', error: { message: 'x' } }],
  [
    'an empty code beside an empty message',
    { id: 'c', object: 'chat.completion.chunk', code: '', message: '' }
  ],
  ['a code of 0 beside a msg', { code: 0, msg: 'success' }],
  ['a code of 0 beside choices (iFlytek)', { code: 0, message: 'Success', choices: [{ delta: {} }] }],
  ['a code that is ok', { code: 'ok', message: 'fine' }],
  ['a status of 200', { status: 200, data: {} }],
  ['a keep-alive with a message', { type: 'keepalive', message: 'still here' }],
  ['a code that the model writes', { type: 'response.code_interpreter_call_code.done', code: 'print(1)' }],
  [
    'response.completed in good order',
    { type: 'response.completed', response: { status: 'completed', error: null } }
  ],
  [
    'response.completed with the fields of a response in good order',
    { type: 'response.completed', status: 'completed', error: null, output: [] }
  ],
  ['a response that was cancelled', { type: 'response.cancelled', response: { status: 'cancelled' } }],
  ['a usage chunk with a code', { code: 7, message: 'm', choices: [], usage: { total_tokens: 1 } }]
]

function ownFacts(error: CompletionError): object {
  const { name, code, cause, ...facts } = { ...error }
  return facts
}

describe('providerErrorIn', () => {
  for (const { name, payload } of shapes) {
    it(`sees ${name}`, () => {
      expect(providerErrorIn(payload)).to.be.ok
    })
  }

  for (const [name, payload] of good) {
    it(`sees no error in ${name}`, () => {
      expect(providerErrorIn(payload)).to.equal(undefined)
    })
  }
})

describe('toProviderError', () => {
  for (const { name, payload, message, facts } of shapes) {
    it(`gives CS_ERR_PROVIDER with the facts of ${name}`, () => {
      const error = toProviderError(payload)
      expect(error).to.be.instanceOf(CompletionError)
      expect(error.code).to.equal('CS_ERR_PROVIDER')
      expect(error.message).to.equal(`provider reported an error: ${message}`)
      expect(ownFacts(error)).to.deep.equal(facts)
      expect(error.cause).to.equal(payload)
    })
  }

  it('gives CS_ERR_PROVIDER with the HTTP status before the one in the payload', () => {
    const error = toProviderError({ error: { message: 'No', code: 400 } }, { status: 502 })
    expect(error.status).to.equal(502)
    expect(error.providerCode).to.equal(400)
  })

  it('gives CS_ERR_PROVIDER with plain text as the message', () => {
    expect(toProviderError(' upstream timed out\n').message).to.equal(
      'provider reported an error: upstream timed out'
    )
  })

  it('gives CS_ERR_PROVIDER that names the status when there is nothing else to say', () => {
    expect(toProviderError({}, { status: 503 }).message).to.equal('provider reported an error: status 503')
  })

  it('gives CS_ERR_PROVIDER for a payload that is no object', () => {
    for (const payload of [null, undefined, 7, [], [[]], '']) {
      expect(toProviderError(payload).message).to.equal('provider reported an error: no message given')
    }
  })

  it('gives a message without control characters', () => {
    const error = toProviderError({ error: { message: 'No\u001b[2J\r\nlevel=info\u2028\u202e ok' } })
    expect(error.message).to.equal('provider reported an error: No [2J  level=info   ok')
  })

  it('shortens a message that is a page, and keeps the page as the cause', () => {
    const page = 'x'.repeat(100_000)
    const error = toProviderError(page)
    expect(error.message).to.have.length.below(1100)
    expect(error.cause).to.equal(page)
  })

  it('looks no further into a long text than its message goes, and shows no key that ends behind it', () => {
    const text = `${'x '.repeat(95)}sk-${'Ab1'.repeat(16)} ${'\n'.repeat(1_000_000)}end`
    const { message } = toProviderError(text)
    expect(message).to.match(/x \[key\] *…$/)
    expect(message).to.have.length(`provider reported an error: ${'x'.repeat(200)}…`.length)
  })

  it('survives an error nested deeper than the stack', () => {
    const depth = 100_000
    const nested = JSON.parse(`${'{"error":'.repeat(depth)}"deep"${'}'.repeat(depth)}`)
    expect(toProviderError(nested).code).to.equal('CS_ERR_PROVIDER')
    const lists = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    expect(providerErrorIn(lists)).to.equal(undefined)
    expect(toProviderError(lists).code).to.equal('CS_ERR_PROVIDER')
  })

  it("reads the error in the details of a response's status (Realtime API)", () => {
    const response = {
      status: 'failed',
      status_details: { type: 'failed', error: { type: 'server_error', message: 'no' } }
    }
    const error = toProviderError({ type: 'response.done', response })
    expect(error.message).to.include('no')
    expect(error.type).to.equal('server_error')
  })
})

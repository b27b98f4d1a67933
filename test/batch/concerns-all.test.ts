import { expect } from 'chai'
import OpenAI from 'openai'
import { concernsAll } from '#lib/batch/concerns-all.js'
import { toProviderError } from '#lib/chunk/failure/provider-error.js'

/** The error of the official client for a body. */
const refused = (status: number, body: object | string) =>
  OpenAI.APIError.generate(status, body as object, String(body), new Headers())

describe('what every row shares', () => {
  for (const [provider, status, error] of [
    ['OpenAI', 404, { message: 'The model `m` does not exist', code: 'model_not_found' }],
    [
      'the Responses API',
      400,
      { message: "The requested model 'm' does not exist.", code: 'model_not_found' }
    ],
    ['OpenAI, of a name with a blank', 400, { message: 'invalid model ID', code: null }],
    ['vLLM', 404, { message: 'The model `m` does not exist.', type: 'NotFoundError', code: 404 }],
    ['Ollama', 404, { message: 'model "m" not found, try pulling it first', type: 'not_found_error' }],
    ['Azure', 404, { code: 'DeploymentNotFound', message: 'The API deployment does not exist.' }],
    ['DeepSeek', 400, { message: 'Model Not Exist', type: 'invalid_request_error' }],
    ['OpenRouter', 400, { message: 'a/m:free is not a valid model ID', code: 400 }],
    ['Mistral', 400, { message: 'Invalid model: m', type: 'invalid_model', code: '1500' }],
    ['a gateway before Mistral', 400, { message: 'Invalid model: m' }],
    [
      'Perplexity',
      400,
      { message: "Invalid model 'm'. Permitted models can be found in the documentation at" }
    ],
    [
      'LiteLLM',
      400,
      { message: '/chat/completions: Invalid model name passed in model=m. Call `/v1/models`' }
    ],
    ['GitHub Models', 400, { message: 'Unknown model: m', code: 'unknown_model' }],
    ['Bedrock', 400, { message: 'The provided model identifier is invalid.' }],
    ['Zhipu', 400, { message: '模型不存在，请检查模型代码。', code: '1211' }],
    ['FastAPI', 422, { message: "Model 'm' not found" }],
    ['Google, of a key', 400, { message: 'API key not valid. Please pass a valid API key.', code: 400 }],
    ['a key', 401, { message: 'no' }],
    ['a balance', 402, { message: 'no' }],
    ['a key without permission', 403, { message: 'You have no access to this project' }],
    ['an account', 403, { message: 'Your account has been flagged for unusual activity' }],
    ['a quota', 429, { message: 'pay', code: 'insufficient_quota' }]
  ] as const) {
    it(`is a failure with ${status} of ${provider}: ${error.message}`, () => {
      expect(concernsAll(refused(status, { error }))).to.equal(true)
      expect(concernsAll(toProviderError({ error }, { status }))).to.equal(true)
    })
  }

  it('is a wrong address, whatever answers there', () => {
    expect(concernsAll(OpenAI.APIError.generate(404, undefined, '<html>', new Headers()))).to.equal(true)
  })

  for (const [status, error] of [
    [
      400,
      { message: "This model's maximum context length is 8192 tokens.", code: 'context_length_exceeded' }
    ],
    [400, { message: 'Invalid value for content: The model `m` does not exist', param: 'messages' }],
    [400, { message: 'Invalid model output: the text of the row did not parse' }],
    [400, { message: 'The model produced invalid content. Consider modifying your prompt' }],
    [400, { message: 'The model of the car in your text does not exist', code: 'invalid_prompt' }],
    [400, { message: 'Bad text: "Ford T is not a valid model ID"' }],
    [422, { message: 'messages.0.content: unknown model: Ford T' }],
    [403, { message: 'Your input was flagged', code: 403 }],
    [403, { message: 'no', metadata: { reasons: ['violence'], flagged_input: 'a row' } }],
    [403, { message: 'openai/m requires moderation. Your input was flagged for "violence".' }],
    [403, { message: 'Your request was rejected by our safety system', code: 'content_policy_violation' }],
    [403, { message: 'Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_DATA_LEAKAGE' }],
    [429, { message: 'slowly', code: 'rate_limit_exceeded' }],
    [500, { message: 'model m not found' }]
  ] as const) {
    it(`is no failure with ${status} of a row's own: ${JSON.stringify(error)}`, () => {
      expect(concernsAll(refused(status, { error }))).to.equal(false)
      expect(concernsAll(toProviderError({ error }, { status }))).to.equal(false)
    })
  }

  it('is nothing that is no error', () => {
    for (const value of [undefined, null, 'no', 1, {}, new Error('Model Not Exist')])
      expect(concernsAll(value)).to.equal(false)
  })
})

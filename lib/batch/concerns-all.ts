import { CompletionError, isErrorLike } from '../errors.js'
import { isUsedUp } from '../failure/retryable.js'

/** What may be read off an error: of this library, of the official client, or of another one. */
interface LooseError {
  readonly status?: unknown
  readonly code?: unknown
  readonly type?: unknown
  readonly providerCode?: unknown
  readonly message?: unknown
  /** The provider's `error`, as the official client keeps it. */
  readonly error?: unknown
  readonly cause?: unknown
}

/** Codes and types for a model that does not exist or a key that is wrong, with whatever status. */
const sharedCode =
  /^(?:model_?not_?(?:found|exists?|available)|(?:invalid|unknown)_model(?:_name)?|DeploymentNotFound|invalid_api_key|API_KEY_INVALID)$/i

/** The name of a model in a message. */
const name = '[`\'"]?[\\w.:/@+~-]{1,200}[`\'"]?'

/**
 * How messages begin that say of a request with status 400 or 422 that its model does not exist:
 *
 * - "Model Not Exist" (DeepSeek), "Model does not exist. Please check it carefully." (SiliconFlow)
 * - "The requested model 'm' does not exist." (the Responses API, Hugging Face), "model 'm' not found" (Cohere, LM Studio)
 * - "Invalid model: m" (Mistral), "Invalid model 'm'. Permitted models can be found in …" (Perplexity), "invalid model ID"
 *   (OpenAI, for a name with a blank), "/chat/completions: Invalid model name passed in model=m" (LiteLLM)
 * - "Unknown model: m" (GitHub Models), "m is not a valid model ID" (OpenRouter), "The provided model identifier is invalid."
 *   (Bedrock), "模型不存在，请检查模型代码。" (Zhipu)
 * - "API key not valid. Please pass a valid API key." (Google, which has no 401)
 *
 * Only at the beginning, since what a provider quotes of a row stands further behind; and with no more than one word for the
 * name, since models are spoken of in other errors too ("This model's maximum context length is …").
 */
const unknownModel = new RegExp(
  [
    `(?:the )?(?:requested |specified |provided )?model:? (?:${name} )?(?:does not exist|not exist|(?:is |was )?not found|identifier is invalid)\\b`,
    `invalid model(?: name| id| identifier)?(?:: ?${name}(?:$|[.,;] |\\.$)| [\`'"]${name}| passed in model=|\\.?$)`,
    `unknown model:? ${name}(?:\\.|,|$)`,
    `${name} is not a valid model(?: id| name)?\\b`,
    '模型不存在',
    'API key not valid\\b'
  ]
    .map(form => `^(?:\\d{3} )?(?:provider reported an error: )?(?:litellm\\.\\w+: |/\\S+: )?${form}`)
    .join('|'),
  'i'
)

/**
 * How a provider says that it refused what stands in the request, with 403: "Your input was flagged" (OpenRouter), "Content
 * violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_…" (xAI), `content_policy_violation`, `content_filter`.
 */
const refusedInput =
  /moderation|\b(?:input|prompt|content|message|request|text)s? (?:was|were|has been|have been|is|are) flagged|flagged[_ ](?:input|content)|content[_ ](?:policy|filter)|safety[_ ](?:system|filter|check|polic|reason|violation)|usage guidelines/i

/**
 * Whether every row would fail with the same: the key, the balance, the address, the model. A hundred thousand such records
 * help nobody.
 */
export function concernsAll(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const loose: LooseError = error
  if (isUsedUp(loose)) return true
  const codes = [loose.code, loose.type, loose.providerCode]
  if (codes.some(value => typeof value === 'string' && sharedCode.test(value))) return true
  switch (statusOf(error)) {
    case 401:
    case 402:
    // An address without an endpoint, or a model that nobody has there.
    case 404:
      return true
    case 403:
      return !isOfInput(loose)
    case 400:
    case 422:
      return unknownModel.test(messageOf(error))
    default:
      return false
  }
}

export function statusOf(error: unknown): number | undefined {
  const { status } = (error ?? {}) as LooseError
  return typeof status === 'number' ? status : undefined
}

/** Whether a request was refused for what stands in it. */
function isOfInput(error: LooseError): boolean {
  const said = [error.code, error.type, error.providerCode, messageOf(error)]
  if (said.some(value => typeof value === 'string' && refusedInput.test(value))) return true
  const payload = error instanceof CompletionError ? error.cause : error.error
  return [payload, partOf(payload, 'error')].some(level => {
    const metadata = partOf(level, 'metadata')
    return ['flagged_input', 'reasons'].some(name => partOf(metadata, name) !== undefined)
  })
}

function messageOf(error: unknown): string {
  return isErrorLike(error) ? error.message : ''
}

function partOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

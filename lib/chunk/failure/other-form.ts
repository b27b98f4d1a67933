/** Another API's way to stream: what its payloads are told by, and what to write instead. */
interface OtherForm {
  readonly is: (payload: Loose) => boolean
  readonly name: string
  readonly advice: string
}

type Loose = Readonly<Record<string, unknown>>

const compatible = "ask for its OpenAI-compatible endpoint, which ends in '/chat/completions'"

const anthropic = /^(message|content_block)_(start|delta|stop)$/
const cohere = /^(content|message|tool-call|citation)-(start|delta|end)$|^tool-plan-delta$/
const aiSdk =
  /^(start|finish|abort)(-step)?$|^(text|reasoning|tool-input)-(start|delta|end|available)$|^(tool-output-available|step-start|tool-call-delta)$/
const mistral = /^(conversation\.response|message\.output|tool\.execution|agent\.handoff|function\.call)\b/

const forms: readonly OtherForm[] = [
  {
    name: "Anthropic's Messages API",
    advice: compatible,
    is: ({ type, content, role }) =>
      anthropic.test(word(type)) || (type === 'message' && role !== undefined && Array.isArray(content))
  },
  {
    name: "Google's Gemini API",
    advice: "ask for its OpenAI-compatible endpoint, '/v1beta/openai/chat/completions'",
    is: ({ candidates, usageMetadata }) => Array.isArray(candidates) || isLoose(usageMetadata)
  },
  {
    name: "Cohere's API",
    advice: "ask for its OpenAI-compatible endpoint, '/compatibility/v1/chat/completions'",
    is: ({ type, event_type }) => cohere.test(word(type)) || typeof event_type === 'string'
  },
  {
    name: "Ollama's own API",
    advice: "ask for '/v1/chat/completions', not '/api/chat' or '/api/generate'",
    is: ({ done, message, response }) =>
      typeof done === 'boolean' && (isLoose(message) || typeof response === 'string')
  },
  {
    name: "the AI SDK's own stream",
    advice: 'read the completion where the server reads it, before the AI SDK has rewritten it',
    is: ({ type }) => aiSdk.test(word(type))
  },
  {
    name: "Bedrock's Converse API",
    advice: compatible,
    is: payload =>
      ['messageStart', 'contentBlockDelta', 'contentBlockStart', 'messageStop'].some(name => name in payload)
  },
  {
    name: "Text Generation Inference's own API",
    advice: "ask for '/v1/chat/completions', not '/generate_stream'",
    is: ({ token, generated_text }) => isLoose(token) && generated_text !== undefined
  },
  {
    name: "DashScope's own API",
    advice: "ask for its OpenAI-compatible endpoint, '/compatible-mode/v1/chat/completions'",
    is: ({ output, request_id }) =>
      isLoose(output) && !Array.isArray(output) && typeof request_id === 'string'
  },
  {
    name: "Mistral's Conversations API",
    advice: "ask for '/v1/chat/completions'",
    is: ({ type }) => mistral.test(word(type))
  },
  {
    name: "OpenAI's Assistants API",
    advice: "ask for '/v1/chat/completions' or '/v1/responses'",
    is: ({ object }) => /^thread\b/.test(word(object))
  },
  {
    name: 'a LangChain stream',
    advice: 'read the completion where LangChain reads it',
    is: ({ lc, event, ops }) =>
      lc === 1 || /^on_\w+_(start|stream|end)$/.test(word(event)) || Array.isArray(ops)
  }
]

/** Members in which other APIs, and logs, hold text. */
const textMembers: ReadonlySet<string> = new Set([
  'text',
  'content',
  'delta',
  'output',
  'output_text',
  'completion',
  'answer',
  'response',
  'result',
  'token',
  'parts',
  'generated_text',
  'tool_calls'
])

/**
 * What another API's payload is, and what to ask its server for; undefined for what is not known. To be asked of what
 * has no choices and is no Responses event: DashScope and Anthropic report usage, too.
 */
export function otherFormOf(payload: object): string | undefined {
  // Members of data from outside may be anything.
  const form = forms.find(({ is }) => is(payload as Loose))
  return form && `it is in the form of ${form.name}: ${form.advice}`
}

/** The same for lines of text: the data stream of the AI SDK puts a letter or a digit before each part. */
export function otherFormOfText(text: string): string | undefined {
  const isDataStream = /^(?:[0-9a-k]:["{[].*(?:\r?\n|$))/.test(text)
  return isDataStream
    ? "it is in the form of the AI SDK's data stream: read the completion before the AI SDK has rewritten it"
    : undefined
}

/** Whether what is no chunk may be a part of an answer all the same. */
export function mayHoldText(payload: object): boolean {
  if (Array.isArray(payload))
    return payload.some(item => isLoose(item) && !Array.isArray(item) && mayHoldText(item))
  return Object.entries(payload).some(([name, value]) => textMembers.has(name) && isFilled(value))
}

/** What a member says, if that is text: an object may have a member `toString` that is no function. */
function word(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function isFilled(value: unknown): boolean {
  return isLoose(value) ? Object.keys(value).length > 0 : typeof value === 'string' && value !== ''
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null
}

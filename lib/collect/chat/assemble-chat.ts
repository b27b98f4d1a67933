import { ChoiceText } from '../../chunk/choice-text.js'
import { finishReasonOf, indexOf, type LooseChoice } from '../../chunk/fields.js'
import { isThought, reasoningText } from '../../chunk/text.js'
import { JoinedText } from '../joined-text.js'
import { isObject, MergedFields, type PieceFields, type Pieces } from '../merged-fields.js'
import { MessageContent } from './message-content.js'
import { ReasoningList } from './reasoning-list.js'
import { FunctionCall, ToolCallList } from './tool-call-list.js'

/**
 * What is not a field of a whole choice: the delta, the usage that belongs to the completion, Together's second
 * copy of the text, and Perplexity's `message`, which repeats the answer so far.
 */
const notKept: ReadonlySet<string> = new Set(['index', 'delta', 'message', 'text', 'usage'])

/** Base64 that arrives in pieces: of one text, cut anywhere, or each encoded by itself, with padding at its end. */
class JoinedBase64 extends JoinedText {
  override get value(): string {
    const text = super.value
    // A decoder stops at the first padding.
    if (!/=[^=]/.test(text)) return text
    const parts = text.match(/[^=]+=*/g) ?? []
    return Buffer.concat(parts.map(part => Buffer.from(part, 'base64'))).toString('base64')
  }
}

const audioFields: PieceFields = new Map([
  ['data', () => new JoinedBase64()],
  ['transcript', () => new JoinedText()]
])

/**
 * The fields of a delta that come in pieces. A text that is not named here, such as `role` or Groq's `channel`,
 * is the same whole text whenever it comes; a list, such as `annotations`, is the next part of a list.
 */
const deltaFields: PieceFields = new Map<string, () => Pieces>([
  ['content', () => new MessageContent()],
  ['refusal', () => new JoinedText()],
  ['reasoning', () => new MessageContent(reasoningText)],
  ['reasoning_content', () => new MessageContent(reasoningText)],
  ['reasoning_text', () => new MessageContent(reasoningText)],
  ['thinking', () => new MessageContent(reasoningText)],
  ['reasoning_details', () => new ReasoningList()],
  ['thinking_blocks', () => new ReasoningList()],
  ['tool_calls', () => new ToolCallList()],
  ['function_call', () => new FunctionCall()],
  ['executed_tools', () => new ExecutedTools()],
  ['audio', () => new MergedFields({ pieces: audioFields })]
])

/** One choice of a chat completion, from the choices of its chunks. */
export class ChatChoice {
  readonly #fields = new MergedFields({ except: notKept })
  readonly #message = new MergedFields({ pieces: deltaFields })

  #thoughts: { content: ChoiceText; reasoning: ChoiceText } | undefined

  add(choice: LooseChoice): void {
    const { delta, text } = choice
    this.#fields.add(choice)
    if (isObject(delta) && (this.#thoughts || isThought(delta))) return this.#addThinking(choice, delta)
    this.#message.add(delta)
    if (typeof delta === 'string') this.#message.set('content', delta)
    // A text beside the delta is the same text again, unless the delta has none.
    else if (!isObject(delta) || isEmpty(delta.content)) this.#message.set('content', text)
  }

  /** Gemini marks the content that is what it thinks; in a message that is `reasoning_content`. */
  #addThinking(choice: LooseChoice, delta: Record<string, unknown>): void {
    const { content: _, ...rest } = delta
    this.#message.add(rest)
    const index = indexOf(choice)
    this.#thoughts ??= {
      content: new ChoiceText(index, 'content'),
      reasoning: new ChoiceText(index, 'reasoning')
    }
    const chunk = { choices: [choice] }
    this.#message.set('content', this.#thoughts.content.read(chunk))
    this.#message.set('reasoning_content', this.#thoughts.reasoning.read(chunk))
  }

  toObject(index: number): Record<string, unknown> {
    const fields = this.#fields.value
    const { role, ...message } = this.#message.value
    return {
      logprobs: null,
      ...fields,
      finish_reason: finishReasonOf(fields) ?? null,
      index,
      // SGLang sends `null` for the role, MiniMax `''`.
      message: { role: role || 'assistant', content: null, refusal: null, ...message }
    }
  }
}

/** The tools that Groq runs itself. It sends each one twice: when it starts, and again with the output. */
class ExecutedTools implements Pieces {
  readonly #tools = new Map<unknown, MergedFields>()

  add(tools: unknown): void {
    if (!Array.isArray(tools)) return
    for (const tool of tools) {
      const index: unknown = tool?.index ?? this.#tools.size
      const known = this.#tools.get(index) ?? new MergedFields({ lists: 'replace' })
      this.#tools.set(index, known)
      known.add(tool)
    }
  }

  get value(): Record<string, unknown>[] {
    return [...this.#tools.values()].map(({ value }) => value)
  }
}

function isEmpty(content: unknown): boolean {
  return !content || (Array.isArray(content) && content.length === 0)
}

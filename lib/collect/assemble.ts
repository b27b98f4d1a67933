import {
  choicesOf,
  indexOf,
  isResponsesEvent,
  type LooseChoice,
  type LooseChunk,
  usageOf
} from '../chunk/fields.js'
import type { WholeCompletion } from '../chunk/whole.js'
import { ChatChoice } from './chat/assemble-chat.js'
import { TextChoice } from './legacy/assemble-completion.js'
import { isObject, MergedFields } from './merged-fields.js'
import { ResponseAssembler } from './responses/assemble-response.js'

/**
 * What is not a field of a whole completion as it stands: what is put together otherwise, and the random text
 * by which OpenAI (`obfuscation`) and Mistral (`p`) hide the length of each chunk.
 */
const notKept: ReadonlySet<string> = new Set([
  'id',
  'object',
  'created',
  'choices',
  'usage',
  'obfuscation',
  'p'
])

/**
 * Puts one completion together from its chunks: the object that the same request without `stream: true` would
 * have returned. Fields of a provider's own are kept, at all levels. Time is linear in the length of the
 * completion, memory holds the result and little more, and no chunk is changed.
 */
export class CompletionAssembler {
  readonly #choices = new Map<number, ChatChoice | TextChoice>()
  readonly #fields = new MergedFields({ except: notKept, lists: 'replace' })
  #response: ResponseAssembler | undefined
  #isChat = true
  #id: unknown
  #created: unknown
  #usage: unknown

  add(chunk: object): void {
    const { type, id, created, usage } = chunk as LooseChunk & { created?: unknown }
    if (typeof type === 'string' && choicesOf(chunk).length === 0) {
      // Events of other types, such as `ping` or `keepalive`, are not of the completion.
      if (isResponsesEvent(chunk)) this.#addEvent(chunk, type)
      return
    }
    this.#fields.add(chunk)
    // The first id: Groq's compound models give almost every chunk one of its own. Azure opens with '' and 0.
    this.#id ||= id
    this.#created = created || (this.#created ?? created)
    this.#usage = usageOf(chunk) ?? this.#usage ?? usage
    for (const choice of choicesOf(chunk)) if (isObject(choice)) this.#addChoice(choice, chunk)
  }

  /**
   * The completion as far as it has come. A choice that did not finish has the finish reason null, which the
   * published types do not know.
   */
  result(): WholeCompletion {
    // The chunks come from outside: that they make up the published types is the provider's promise.
    return (this.#response?.result() ?? this.#fromChoices()) as WholeCompletion & Record<string, unknown>
  }

  #addEvent(event: object, type: string): void {
    this.#response ??= new ResponseAssembler()
    // Every field of an event is read as unknown there.
    this.#response.add(event as Record<string, unknown>, type)
  }

  #addChoice(choice: LooseChoice, chunk: LooseChunk): void {
    const index = indexOf(choice)
    let known = this.#choices.get(index)
    if (!known) {
      this.#isChat = !isTextChoice(choice, chunk)
      known = this.#isChat ? new ChatChoice() : new TextChoice()
      this.#choices.set(index, known)
    }
    known.add(choice)
  }

  #fromChoices(): Record<string, unknown> {
    const choices = [...this.#choices].sort(([one], [other]) => one - other)
    const completion: Record<string, unknown> = {
      id: this.#id,
      object: this.#isChat ? 'chat.completion' : 'text_completion',
      created: this.#created,
      ...this.#fields.value,
      choices: choices.map(([index, choice]) => choice.toObject(index))
    }
    if (this.#usage !== undefined) completion.usage = this.#usage
    return completion
  }
}

/**
 * Whether a choice is one of the legacy API. Mistral's completions have deltas without a text: it answers as for a chat.
 * `splitThinking` puts a delta beside the text.
 */
function isTextChoice({ delta, text }: LooseChoice, { object }: LooseChunk): boolean {
  if (isObject(delta))
    return text != null && (object === 'text_completion' || (object === undefined && !('content' in delta)))
  return typeof delta !== 'string' && (text != null || object === 'text_completion')
}

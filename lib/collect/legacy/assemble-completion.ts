import { finishReasonOf, type LooseChoice } from '../../chunk/fields.js'
import { choiceText, contentText } from '../../chunk/text.js'
import { JoinedText } from '../joined-text.js'
import { isObject, MergedFields, type PieceFields } from '../merged-fields.js'

/** What is not a field of a whole choice: the usage belongs to the completion, and a delta repeats the text. */
const notKept: ReadonlySet<string> = new Set(['index', 'delta', 'usage'])

const textFields: PieceFields = new Map([
  ['text', () => new JoinedText()],
  ['reasoning_content', () => new JoinedText()]
])

/**
 * One choice of a legacy completion, from the choices of its chunks. The lists in its `logprobs` (`tokens`,
 * `token_logprobs`, `top_logprobs`, `text_offset`) go on from chunk to chunk. The legacy API has no name for reasoning,
 * which stands in deltas beside the text: it is kept under the name that it has in a chat.
 */
export class TextChoice {
  readonly #fields = new MergedFields({ except: notKept, pieces: textFields })

  add(choice: LooseChoice): void {
    const { text, delta } = choice
    // Workers AI reads its own tokens as JSON, so that a number comes as one.
    this.#fields.add(typeof text === 'string' ? choice : { ...choice, text: contentText(text) })
    if (!isObject(delta)) return
    if (!text) this.#fields.set('text', delta.content)
    const reasoning = choiceText(choice, 'reasoning')
    if (reasoning !== '') this.#fields.set('reasoning_content', reasoning)
  }

  toObject(index: number): Record<string, unknown> {
    const fields = this.#fields.value
    return { text: '', logprobs: null, ...fields, index, finish_reason: finishReasonOf(fields) ?? null }
  }
}

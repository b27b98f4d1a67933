import { JoinedText } from '../joined-text.js'
import { isObject, MergedFields, type PieceFields, type Pieces } from '../merged-fields.js'

/** The fields in which a piece of reasoning has its text: OpenRouter's two, and LiteLLM's. */
const textFields: PieceFields = new Map(
  ['text', 'summary', 'thinking'].map(name => [name, () => new JoinedText()])
)

/**
 * The `reasoning_details` of a message (OpenRouter), or its `thinking_blocks` (LiteLLM): every delta brings a
 * piece of text, and a whole answer has one entry for all pieces of a kind.
 *
 * A piece continues the entry of its index and type, or the last entry if that is of its type where there is no
 * index. What has no text is an entry of its own, such as encrypted reasoning. A signature closes its entry.
 */
export class ReasoningList implements Pieces {
  readonly #entries: unknown[] = []
  readonly #open = new Map<string, MergedFields>()

  add(items: unknown): void {
    if (Array.isArray(items)) for (const item of items) this.#addItem(item)
  }

  get value(): unknown[] {
    return this.#entries.map(entry => (entry instanceof MergedFields ? entry.value : entry))
  }

  #addItem(item: unknown): void {
    if (!isObject(item) || !isText(item)) {
      this.#entries.push(item)
      return
    }
    const { index, type } = item
    const hasIndex = typeof index === 'number'
    const key = `${hasIndex ? index : ''} ${typeof type === 'string' ? type : ''}`
    const known = this.#open.get(key)
    const isNext = hasIndex || known === this.#entries.at(-1)
    const entry = known && isNext && isOpenTo(item, known) ? known : new MergedFields({ pieces: textFields })
    entry.add(item)
    if (entry === known) return
    this.#open.set(key, entry)
    this.#entries.push(entry)
  }
}

/** Whether an item is a piece of text. The last piece of a signed text may be the signature alone. */
function isText(item: Record<string, unknown>): boolean {
  return 'signature' in item || textsOf(item).length > 0
}

/** Whether a piece can continue an entry: not if it has another id, nor behind the signature. */
function isOpenTo(piece: Record<string, unknown>, entry: MergedFields): boolean {
  const id = entry.get('id')
  if (id && piece.id && piece.id !== id) return false
  return !entry.get('signature') || textsOf(piece).every(text => text === '')
}

function textsOf(item: Record<string, unknown>): unknown[] {
  return [...textFields.keys()].map(name => item[name]).filter(text => typeof text === 'string')
}

import { Part, type PartList } from '../../chunk/responses/response-parts.js'
import { deltaText, eventText } from '../../chunk/text.js'
import { JoinedText } from '../joined-text.js'

/** An event of the Responses API, or what is in it, as data from outside: any field may be missing, or of another type. */
export type LooseEvent = Readonly<Record<string, unknown>>

export interface TextOfPart {
  list: PartList
  type: string
  field: string
}

/** The events that bring the text of a part in pieces, without `.delta` or `.done`. */
export const partTexts: ReadonlyMap<string, TextOfPart> = new Map([
  ['response.output_text', { list: 'content', type: 'output_text', field: 'text' }],
  ['response.text', { list: 'content', type: 'output_text', field: 'text' }],
  ['response.refusal', { list: 'content', type: 'refusal', field: 'refusal' }],
  ['response.reasoning_text', { list: 'content', type: 'reasoning_text', field: 'text' }],
  ['response.reasoning', { list: 'content', type: 'reasoning_text', field: 'text' }],
  ['response.reasoning_summary_text', { list: 'summary', type: 'summary_text', field: 'text' }]
])

/** A part of an item's `content` or `summary`. */
export class ResponsePart extends Part {
  readonly #type: string
  readonly #text = new JoinedText()
  readonly #logprobs: unknown[] = []
  readonly annotations: unknown[] = []
  #fields: Record<string, unknown> = {}

  constructor(list: PartList, index: number, type: string) {
    super(list, index, false)
    this.#type = type
  }

  get text(): string {
    return this.#text.value
  }

  /** Takes the part as it is when it is added, and again when it is done. */
  open(part: Record<string, unknown>): void {
    this.#fields = part
    if (isFilled(part.annotations)) this.annotations.length = 0
    if (isFilled(part.logprobs)) this.#logprobs.length = 0
  }

  addDelta(event: LooseEvent): void {
    const { delta, logprobs } = event
    this.add(typeof delta === 'string' ? delta : deltaText(event, fieldOf({ type: this.#type })))
    if (Array.isArray(logprobs)) for (const logprob of logprobs) this.#logprobs.push(logprob)
  }

  override add(delta: string): string {
    this.#text.add(delta)
    return super.add(delta)
  }

  /** Some providers tidy the text at the end; vLLM may have its last token only, of which nothing else is to be taken. */
  override addRest(text: string, length?: number): string {
    const rest = super.addRest(text, length)
    if (rest === '' && text !== '' && length === undefined && !this.text.includes(text))
      this.#text.replace(text)
    return rest
  }

  override join(parts: readonly this[]): void {
    super.join(parts)
    for (const part of parts) {
      this.#text.add(part.text)
      for (const annotation of part.annotations) this.annotations.push(annotation)
      for (const logprob of part.#logprobs) this.#logprobs.push(logprob)
    }
  }

  toObject(): Record<string, unknown> {
    const part: Record<string, unknown> = { type: this.#type, ...this.#fields }
    if (part.type === 'output_text') part.annotations ??= []
    return this.#filled(part)
  }

  /** Whether a part that was said whole has all that came of it. */
  isAsGiven(given: LooseEvent): boolean {
    const { annotations, logprobs } = given
    return (
      textIn(given) === this.text &&
      (this.annotations.length === 0 || isFilled(annotations)) &&
      (this.#logprobs.length === 0 || isFilled(logprobs))
    )
  }

  /** The part where its item was said whole. */
  toWhole(given: LooseEvent): Record<string, unknown> {
    return this.#filled({ ...given })
  }

  #filled(part: Record<string, unknown>): Record<string, unknown> {
    const { text } = this
    const field = fieldOf(part)
    if (text !== '' || this.length > 0) part[field] = text
    else if (field in part) part[field] = textIn(part)
    if (this.annotations.length > 0 && !isFilled(part.annotations))
      part.annotations = this.annotations.slice()
    if (this.#logprobs.length > 0 && !isFilled(part.logprobs)) part.logprobs = this.#logprobs.slice()
    return part
  }
}

/** The types of the parts that have a text. */
export const textTypes: ReadonlySet<string> = new Set([...partTexts.values()].map(({ type }) => type))

/** SGLang calls the text of an answer `text`. */
export function typeOf({ type }: LooseEvent): string {
  return typeof type === 'string' && type !== 'text' ? type : 'output_text'
}

function fieldOf({ type }: LooseEvent): string {
  return type === 'refusal' ? 'refusal' : 'text'
}

export function textIn(part: LooseEvent): string {
  const known = textTypes.has(typeOf(part))
  return known ? eventText(part[fieldOf(part)]) : ''
}

export function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}

/** Places are data from outside: they are sorted by, and never used as indexes. */
export function byPlace(one: unknown, other: unknown): number {
  return typeof one === 'number' && typeof other === 'number' ? one - other : 0
}

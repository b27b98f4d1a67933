import { closesResponse, isTerminal, responseOf, responseStatusOf, usageOf } from '../../chunk/fields.js'
import { type NamedItem, ResponseItems } from '../../chunk/responses/response-items.js'
import {
  type DeltaPlace,
  isAt,
  type PartList,
  partsIn,
  placeIn
} from '../../chunk/responses/response-parts.js'
import { isObject } from '../merged-fields.js'
import { itemTexts, ResponseItem } from './response-item.js'
import {
  byPlace,
  isFilled,
  type LooseEvent,
  partTexts,
  type ResponsePart,
  textIn,
  typeOf
} from './response-part.js'

const annotationEvent = 'response.output_text.annotation'

/** The events about a part as a whole, without `.added` or `.done`, and the list that it is in. */
const partEvents: ReadonlyMap<string, PartList> = new Map<string, PartList>([
  ['response.content_part', 'content'],
  ['response.reasoning_summary_part', 'summary']
])

/**
 * A response of the Responses API, from its events.
 *
 * The terminal event carries it. What the terminal lacks is taken from the events before, so that nothing is missing here that
 * the readers of text and calls have given: the ChatGPT backend sends it without an output, SGLang without the calls, and
 * vLLM with the last token as the text.
 */
export class ResponseAssembler {
  readonly #items = new ResponseItems(
    () => new ResponseItem(),
    (own, item) => own.fits(item)
  )
  /** The output of the terminal, and the item that each of it is. */
  #output: readonly (readonly [given: unknown, item: NamedItem<ResponseItem>])[] = []
  /** How many items came before the terminal. */
  #streamed = 0
  #response: Record<string, unknown> | undefined
  #usage: unknown
  #isTerminated = false
  /** Whether it has come to an end of its own. */
  #isOver = false
  #last: DeltaPlace<ResponsePart> | undefined

  add(event: LooseEvent, type: string): void {
    this.#usage = usageOf(event) ?? this.#usage
    if (this.#last && isAt(this.#last, event, type)) {
      this.#last.part.addDelta(event)
      return
    }
    this.#last = undefined
    const response = responseOf(event)
    if (response) {
      const isEnd = closesResponse(event)
      this.#isTerminated ||= isEnd
      this.#isOver ||= isTerminal(event) && responseStatusOf(event) !== 'incomplete'
      const isPartly = isEnd && (response === event || response.id === undefined)
      this.#response = isPartly ? this.#with(response, event) : (response as Record<string, unknown>)
      if (this.#isTerminated && isFilled(response.output)) this.#take(response.output)
      return
    }
    const dot = type.lastIndexOf('.')
    const [name, step] = [type.slice(0, dot), type.slice(dot + 1)]
    if (name === 'response.output_item') this.#addItem(event, type, step)
    else this.#addPiece(event, type, name, step === 'delta')
  }

  /** Some gateways close a response with a few of its fields, or in an event that has them itself: the others are as before. */
  #with(response: object, event: LooseEvent): Record<string, unknown> {
    const { type, sequence_number, response: none, ...fields } = response as Record<string, unknown>
    return { ...this.#response, ...fields, status: responseStatusOf(event) }
  }

  #addItem(event: LooseEvent, type: string, step: string): void {
    if (step === 'added') this.#items.of(event, type).own.open(event.item)
    else if (step === 'done') this.#items.of(event, type).own.close(event.item)
  }

  #addPiece(event: LooseEvent, type: string, name: string, isDelta: boolean): void {
    const itemText = itemTexts.get(name)
    if (itemText) return this.#items.of(event, type).own.addText(itemText, event, isDelta)
    const partText = partTexts.get(name)
    if (partText) {
      const part = this.#items.of(event, type).own.addPartText(partText, event, isDelta ? undefined : type)
      if (isDelta) this.#last = placeIn(event, type, part)
      return
    }
    const list = partEvents.get(name)
    if (list) this.#items.of(event, type).own.addPart(list, event, type)
    else if (name === annotationEvent) this.#items.of(event, type).own.addAnnotation(event)
  }

  /** Takes the output of a terminal. */
  #take(output: unknown): void {
    if (!Array.isArray(output)) return
    this.#streamed = this.#items.all.length
    const items = this.#items.ofOutput(output)
    this.#output = items.map((item, index) => [output[index], item])
    for (const [given, { own }] of this.#output) own.close(given)
  }

  result(): Record<string, unknown> {
    const known = this.#response ?? {}
    const response: Record<string, unknown> = { id: '', object: 'response', ...known }
    const items = this.#items.all
    response.output = items.length > 0 ? this.#outputOf(this.#isOver) : (known.output ?? [])
    if (this.#usage !== undefined) response.usage = this.#usage
    if (!this.#isTerminated && items.length > 0) {
      response.status = items.every(({ isDone }) => isDone) ? 'completed' : 'incomplete'
    }
    return withOutputText(response)
  }

  /** The items of the terminal, with those that it leaves out where they came. */
  #outputOf(isOver: boolean): unknown[] {
    const inTerminal = new Set(this.#output.map(([, item]) => item))
    const left = this.#items.all.filter(
      item => !inTerminal.has(item) && (inTerminal.size === 0 || !item.own.isEmpty)
    )
    left.sort((one, other) => byPlace(one.index, other.index))
    const output: unknown[] = []
    for (const [given, item] of this.#output) {
      const isStreamed = item.number < this.#streamed
      while (isStreamed && left[0] && left[0].number < item.number)
        output.push(objectOf(left.shift(), isOver))
      output.push(isObject(given) ? item.own.toWhole(given, item) : given)
    }
    return [...output, ...left.map(item => objectOf(item, isOver))]
  }
}

function objectOf(item: NamedItem<ResponseItem> | undefined, isOver: boolean): unknown {
  return item?.own.toObject(item, isOver)
}

/**
 * Adds the text of all messages in one, as the official client does. It is no part of the API's own object, and
 * would say all text twice in a log: so it can be read, but is not enumerated. OpenRouter has the field, and sends
 * it empty.
 */
function withOutputText(response: Record<string, unknown>): Record<string, unknown> {
  if (typeof response.output_text === 'string') {
    response.output_text ||= outputText(response.output)
    return response
  }
  return Object.defineProperty(response, 'output_text', {
    configurable: true,
    get: () => outputText(response.output)
  })
}

function outputText(output: unknown): string {
  const texts: string[] = []
  for (const item of Array.isArray(output) ? output : []) {
    if (item?.type !== 'message') continue
    for (const part of partsIn(item.content)) {
      if (typeOf(part) === 'output_text') texts.push(textIn(part))
    }
  }
  return texts.join('')
}

import type { Addition, WrittenItems, WrittenKind } from './additions.js'
import {
  choicesOf,
  indexOf,
  isResponsesEvent,
  type LooseChoice,
  type LooseResponse,
  responseOf
} from './fields.js'
import { jsonOf } from './json.js'

type Loose = Readonly<Record<string, unknown>>
type Item = WrittenItems['all'][number]

const none: readonly Addition[] = []

/**
 * What else a chunk shows than the texts of `additionsOf`, which is to be called first and gave `known`: what a model writes
 * for the provider's own tools, the results of these, citations, and the alternatives in log probabilities. New tools come
 * every few months, so that no list of their fields would be whole: of events, items and parts it is every text, at any
 * depth, but for words such as ids, types, statuses and names, and what is encoded. They are one text each, of which a part
 * is no chunk.
 */
export function otherTextsOf(
  chunk: object,
  known: readonly Addition[],
  items: WrittenItems
): readonly Addition[] {
  const choices = choicesOf(chunk)
  if (choices.length > 0) {
    if (!choices.some(hasOthers)) return none
    const seen = textsIn(known)
    return choices.filter(hasOthers).flatMap(choice => choiceTexts(choice, seen))
  }
  if (!isResponsesEvent(chunk)) return none
  const event = chunk as Loose & { type: string }
  // What nearly all events are: a piece of a text that is known.
  const isKnownPiece = known.length > 0 && event.type.endsWith('.delta') && event.delta !== undefined
  if (isKnownPiece && !isFilled(event.logprobs)) return none
  return new EventTexts(event, known, items).read(isKnownPiece)
}

function hasOthers(choice: LooseChoice): boolean {
  if (!isLoose(choice)) return false
  const { delta, logprobs } = choice as { delta?: unknown; logprobs?: unknown }
  return isLoose(logprobs) || (isLoose(delta) && isFilled(delta.annotations))
}

function choiceTexts(choice: LooseChoice, seen: ReadonlySet<string>): Addition[] {
  const { delta, logprobs } = choice as { delta?: Loose | null; logprobs?: unknown }
  const index = indexOf(choice)
  const of = { lane: `${index}`, choice: index }
  const found = [addition(of, 'annotations', 'content', annotationsText(delta?.annotations))]
  if (isLoose(logprobs))
    found.push(
      ...logprobTexts(of, 'content', chosenIn(logprobs.content), seen),
      ...logprobTexts(of, 'refusal', chosenIn(logprobs.refusal), seen),
      ...logprobTexts(of, 'content', chosenInLists(logprobs), seen)
    )
  return found.filter(isFilledText)
}

/** The events that bring sound, encoded. */
const audio: ReadonlySet<string> = new Set(['audio', 'output_audio'])

/** The other texts of one event. */
class EventTexts {
  readonly #event: Loose & { type: string }
  readonly #items: WrittenItems
  readonly #known: readonly Addition[]
  readonly #seen: ReadonlySet<string>
  readonly #found: Addition[] = []
  /** The item of the event. It is asked for only where there is a text: to ask makes one. */
  readonly #ofEvent = (): Item => this.#items.of(this.#event, this.#event.type)

  constructor(event: Loose & { type: string }, known: readonly Addition[], items: WrittenItems) {
    this.#event = event
    this.#known = known
    this.#seen = textsIn(known)
    this.#items = items
  }

  read(isKnownPiece: boolean): readonly Addition[] {
    const { item, part, response: _nested, annotation, logprobs, error, ...own } = this.#event
    const response = responseOf(this.#event)
    const place = placeIn(own)
    if (isFilled(logprobs)) this.#addLogprobs(this.#ofEvent, place, logprobs)
    if (isKnownPiece) return this.#found
    // What stands beside a whole response is the provider's account of it (Copilot).
    if (response) this.#addResponse(response)
    else this.#addOwn(place, own)
    // What is of another form than the API says is a text as any other.
    for (const [name, value] of Object.entries({ item, part, annotation }))
      if (!isLoose(value)) this.#add(this.#ofEvent, name, 'content', this.#textBelow(value), {})
    if (isLoose(annotation))
      this.#add(this.#ofEvent, `annotations ${place}`, 'content', annotationsText([annotation]), {})
    if (isLoose(part)) this.#addPart(this.#ofEvent, place, part)
    if (isLoose(item)) this.#addItem(this.#ofEvent, item)
    return this.#found
  }

  /** What stands in the event itself: a piece of a text that is not known, and all that else is there. */
  #addOwn(place: string, { delta, ...own }: Loose): void {
    const { type } = this.#event
    const name = type.slice('response.'.length, type.lastIndexOf('.'))
    const kind = name.startsWith('reasoning') ? 'reasoning' : 'arguments'
    const lane = `${name} ${place}`
    if (!type.endsWith('.delta'))
      return this.#add(this.#ofEvent, lane, kind, this.#textBelow([own, delta]), { isWhole: true })
    const alone = (part: string) => ({ ...this.#event, delta: part })
    if (!audio.has(name) && this.#known.length === 0)
      this.#add(this.#ofEvent, lane, kind, pieceText(delta), { isOpen: true, alone })
    this.#add(this.#ofEvent, `${lane} other`, kind, this.#textBelow(own), {})
  }

  #addResponse({ output, output_text }: LooseResponse): void {
    const given = Array.isArray(output) ? output.filter(isLoose) : []
    const items = given.length > 0 ? this.#items.ofOutput(given) : []
    for (const [place, item] of items.entries()) this.#addItem(() => item, given[place] ?? {})
    if (typeof output_text !== 'string' || this.#seen.has(output_text)) return
    // Some gateways give the whole answer once more, as the official client does.
    const answer = this.#known.map(({ kind, text }) => (kind === 'content' ? text : '')).join('')
    if (output_text === answer || output_text === '') return
    const of = { lane: 'response', choice: 0 }
    this.#found.push(addition(of, 'output_text', 'content', output_text, { isWhole: true }))
  }

  #addItem(item: () => Item, given: Loose): void {
    const { content, summary, result, ...rest } = given
    // What others said is not the model's: LiteLLM lists the tools that it has fetched so.
    if (otherRoles.has(given.role)) {
      ofOthers.add(item())
      return
    }
    const kind = ofItems.get(given.type) ?? 'arguments'
    const own: Record<string, unknown> = { ...rest }
    // The picture itself, encoded.
    if (given.type !== 'image_generation_call') own.result = result
    for (const [list, parts] of Object.entries({ content, summary })) {
      if (!Array.isArray(parts)) own[list] = parts
      else {
        own[list] = parts.filter(part => !isLoose(part))
        for (const [index, part] of parts.entries())
          if (isLoose(part)) this.#addPart(item, `${list} ${index}`, part, kind)
      }
    }
    this.#add(item, 'other', kind, this.#textBelow(own), { isWhole: true })
  }

  #addPart(
    item: () => Item,
    place: string,
    { annotations, logprobs, ...own }: Loose,
    ofItem: WrittenKind = 'content'
  ): void {
    const kind = ofParts.get(own.type) ?? ofItem
    if (isFilled(logprobs)) this.#addLogprobs(item, place, logprobs, true)
    const whole = { isWhole: true }
    this.#add(item, `annotations ${place}`, 'content', annotationsText(annotations), whole)
    this.#add(item, `other ${place}`, kind, this.#textBelow(own), whole)
  }

  #addLogprobs(item: () => Item, place: string, logprobs: unknown, isWhole = false): void {
    const of = { lane: `item ${item().number}`, choice: 0 }
    const isAll = isWhole || !this.#event.type.endsWith('.delta')
    this.#found.push(
      ...logprobTexts(of, `content ${place}`, chosenIn(logprobs), this.#seen, isAll).filter(isFilledText)
    )
  }

  #add(item: () => Item, name: string, kind: WrittenKind, text: string, how: How): void {
    if (text === '') return
    const of = item()
    if (!ofOthers.has(of))
      this.#found.push(addition({ lane: `item ${of.number}`, choice: 0 }, name, kind, text, how))
  }

  #textBelow(value: unknown): string {
    return textsBelow(value)
      .filter(text => !this.#seen.has(text))
      .join('\n')
  }
}

/** The roles of those who speak to the model. */
const otherRoles: ReadonlySet<unknown> = new Set(['system', 'developer', 'user'])

/** The items that they are said to write. The events of their parts do not say so. */
const ofOthers = new WeakSet<Item>()

const ofItems: ReadonlyMap<unknown, WrittenKind> = new Map<unknown, WrittenKind>([
  ['message', 'content'],
  ['reasoning', 'reasoning']
])

const ofParts: ReadonlyMap<unknown, WrittenKind> = new Map<unknown, WrittenKind>([
  ['refusal', 'refusal'],
  ['reasoning_text', 'reasoning'],
  ['summary_text', 'reasoning']
])

/** Which part an event is about, or which other piece of an item that the API counts. */
function placeIn(event: Loose): string {
  let place = ''
  for (const [name, index] of Object.entries(event)) {
    if (typeof index !== 'number' || !name.endsWith('_index')) continue
    if (name !== 'output_index' && name !== 'annotation_index')
      place += `${place && ' '}${name.slice(0, -'_index'.length)} ${index}`
  }
  return place
}

/** How a text is looked at. */
interface How {
  isWhole?: boolean
  /** Whether more of it is to come. */
  isOpen?: boolean
  alone?: Addition['alone']
}

function addition(
  { lane, choice }: { lane: string; choice: number },
  name: string,
  kind: WrittenKind,
  text: string,
  { isWhole = false, isOpen = false, alone }: How = {}
): Addition {
  return { lane: `${lane} ${name}`, kind, choice, text, isWhole, isClosed: !isOpen, alone }
}

/** The tokens that the model has chosen, and those that it has not. */
interface Chosen {
  tokens: string
  others: string
}

/** The tokens are looked at where they are another text than that of the chunk. */
function logprobTexts(
  of: { lane: string; choice: number },
  name: string,
  { tokens, others }: Chosen,
  seen: ReadonlySet<string>,
  isWhole = false
): Addition[] {
  const kind = name === 'refusal' ? 'refusal' : 'content'
  const how = { isWhole, isOpen: true }
  return [
    addition(of, `tokens ${name}`, kind, seen.has(tokens) ? '' : tokens, how),
    addition(of, `alternatives ${name}`, kind, others, how)
  ]
}

function chosenIn(logprobs: unknown): Chosen {
  const chosen: Chosen = { tokens: '', others: '' }
  for (const { token, top_logprobs: top } of looseIn(logprobs)) {
    chosen.tokens += plain(token)
    for (const other of looseIn(top)) if (other.token !== token) chosen.others += lineOf(plain(other.token))
  }
  return chosen
}

/** In the legacy API, the alternatives are the names of numbers. */
function chosenInLists({ tokens, top_logprobs: top }: Loose): Chosen {
  const chosen: Chosen = { tokens: '', others: '' }
  const list = Array.isArray(tokens) ? tokens : []
  for (const token of list) chosen.tokens += plain(token)
  for (const [place, others] of (Array.isArray(top) ? top : []).entries())
    if (isLoose(others))
      for (const token of Object.keys(others)) if (token !== list[place]) chosen.others += lineOf(token)
  return chosen
}

/** Each citation ends with a line, so that those of a list are what they were one by one. */
function annotationsText(annotations: unknown): string {
  const list = Array.isArray(annotations) ? annotations : [annotations]
  return list.map(annotation => lineOf(textsBelow(annotation).join('\n'))).join('')
}

function lineOf(text: string): string {
  return text === '' ? '' : `${text}\n`
}

/** A piece of a text that is not known: some servers parse what it is made of. */
function pieceText(delta: unknown): string {
  if (typeof delta === 'object' && delta !== null) return jsonOf('a delta', delta)
  return typeof delta === 'string' || typeof delta === 'number' ? String(delta) : ''
}

/** The names of what is no text but a word that says which, or how. */
const ofWords: ReadonlySet<string> = new Set([
  'id',
  'type',
  'object',
  'status',
  'role',
  'name',
  'namespace',
  'phase',
  'server_label',
  'execution',
  'created_by',
  'format',
  'size',
  'quality',
  'background',
  'output_format'
])

/** The names of what is encoded, of what fills an event to hide its length, and of the definitions of tools, which the caller gave. */
const notRead: ReadonlySet<string> = new Set([
  'encrypted_content',
  'partial_image_b64',
  'fingerprint',
  'obfuscation',
  'tools'
])

/** The names of what the model or the caller may fill with names of its own. */
const ofAnyNames: ReadonlySet<string> = new Set(['arguments', 'input', 'env', 'attributes'])

const encoded = /^data:(?:image|audio|video)\/[\w.+-]+;base64,[\w+/=-]*$/

/** All texts in a value, in their order, but for what is none. JSON can be nested deeper than a stack goes. */
function textsBelow(value: unknown): string[] {
  const found: string[] = []
  const open = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next === 'string') {
      if (next !== '' && !encoded.test(next)) found.push(next)
    } else if (Array.isArray(next)) {
      for (let place = next.length - 1; place >= 0; place--) open.push(next[place])
    } else if (isLoose(next)) {
      for (const [name, field] of Object.entries(next).reverse()) {
        if (notRead.has(name) || isWord(name, field)) continue
        const isObject = typeof field === 'object' && field !== null
        open.push(isObject && ofAnyNames.has(name) ? jsonOf('a field of a chunk', field) : field)
      }
    }
  }
  return found
}

/** Whether a field says which or how: in one word, so that no sentence hides under such a name. */
function isWord(name: string, field: unknown): boolean {
  return (ofWords.has(name) || name.endsWith('_id')) && typeof field === 'string' && !/\s/.test(field)
}

function textsIn(known: readonly Addition[]): ReadonlySet<string> {
  return new Set(known.map(({ text }) => text))
}

function isFilledText({ text }: Addition): boolean {
  return text !== ''
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}

function looseIn(list: unknown): Loose[] {
  return Array.isArray(list) ? list.filter(isLoose) : []
}

function plain(text: unknown): string {
  return typeof text === 'string' ? text : ''
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

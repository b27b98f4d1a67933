import {
  choicesOf,
  closesResponse,
  finishReasonOf,
  indexOf,
  type LooseChoice,
  type LooseChunk,
  type LooseDelta
} from '../../chunk/fields.js'
import { keepOpening, Progress } from '../../chunk/progress.js'
import { type NamedItem, ResponseItems } from '../../chunk/responses/response-items.js'
import { keepResumed } from '../../chunk/responses/resumed.js'
import { choiceText, contentText } from '../../chunk/text.js'
import type { Pattern } from '../hold-back/pattern.js'
import { type Run, ThinkingText } from './thinking-text.js'

type Loose = Readonly<Record<string, unknown>>

/** A text at hand. */
interface OpenText {
  readonly text: ThinkingText
  /** A chunk of it, for what is held when no other comes. */
  last: Loose | undefined
}

/** The text of a part of a response. */
interface OpenPart extends OpenText {
  readonly item: NamedItem<object>
  readonly place: number
}

/** Makes of chunks whose text holds tags the chunks of a server that knows them. */
export class ThinkingChunks {
  readonly #pattern: Pattern
  readonly #startsOpen: boolean
  readonly #progress = new Progress()
  readonly #choices = new Map<number, OpenText>()
  readonly #items = new ResponseItems<object>(() => ({}))
  /** By the number of the item, and the place in it. */
  readonly #parts = new Map<string, OpenPart>()
  /** The last delta of a response, and its part: the next one nearly always goes on with it. */
  #lastDelta: { readonly event: Loose; readonly part: OpenPart } | undefined

  constructor(pattern: Pattern, startsOpen: boolean) {
    this.#pattern = pattern
    this.#startsOpen = startsOpen
  }

  /** How many characters are held. */
  get held(): number {
    let held = 0
    for (const { text } of this.#choices.values()) held += text.held
    for (const { text } of this.#parts.values()) held += text.held
    return held
  }

  add(chunk: object): object[] {
    const rest = this.#progress.add(chunk) ? this.end() : []
    const { type } = chunk as LooseChunk
    if (choicesOf(chunk).length > 0) return [...rest, ...this.#addChoices(chunk)]
    if (typeof type !== 'string') return [...rest, chunk]
    const events = this.#addEvent(chunk as Loose, type)
    const [first] = events
    if (first && first !== chunk) keepResumed(chunk, first)
    return [...rest, ...events]
  }

  /** What is held when no more comes. The next chunk begins another completion. */
  end(): object[] {
    const rest = [...this.#choices].flatMap(([index, { text, last }]) =>
      last ? text.end().map(run => choiceChunk(last, index, run)) : []
    )
    rest.push(...this.#endOfParts())
    this.#choices.clear()
    this.#items.clear()
    return rest
  }

  /** What is held of the part of an item, of all its parts, or of all parts of a response. */
  #endOfParts(item?: NamedItem<object>, place?: number): object[] {
    this.#lastDelta = undefined
    const rest: object[] = []
    for (const part of this.#parts.values()) {
      if (item !== undefined && part.item !== item) continue
      if (place !== undefined && part.place !== place) continue
      const { text, last } = part
      if (last) rest.push(...text.end().map(run => this.#deltaEvent(last, part, run)))
    }
    if (item === undefined) this.#parts.clear()
    return rest
  }

  #addChoices(chunk: object): object[] {
    const before: object[] = []
    let isChanged = false
    const choices = choicesOf(chunk).map(choice => {
      if (typeof choice !== 'object' || choice === null) return choice
      const parted = this.#partChoice(chunk as Loose, choice, before)
      if (parted !== choice) isChanged = true
      return parted
    })
    const all = isChanged ? [...before, { ...chunk, choices }] : [...before, chunk]
    const [first] = all
    if (first && first !== chunk) keepOpening(chunk, first)
    return all
  }

  /** Leaves the last run of a choice in it, and adds a chunk for each run before that. */
  #partChoice(chunk: Loose, choice: LooseChoice, before: object[]): LooseChoice {
    const index = indexOf(choice)
    const content = choiceText(choice, 'content')
    const open = this.#choiceOf(index)
    const { text } = open
    if (content === '' && choiceText(choice, 'reasoning') !== '') text.addReasoning()
    const runs = content === '' ? [] : text.add(content)
    const isEnd = finishReasonOf(choice) !== undefined
    // Text before a tool call, or the end, has come to its end.
    if (isEnd || hasToolCall(choice)) addRuns(runs, text.end())
    if (text.held > 0) open.last = chunk
    const plain = this.#withPlainMessage(choice, text, isEnd)
    const [only] = runs
    if (
      content === ''
        ? runs.length === 0
        : runs.length === 1 && only?.kind === 'content' && only.text === content
    )
      return plain
    // A chunk that had no text, such as that of the finish reason, gets none.
    const last = content === '' ? undefined : runs.pop()
    const role = runs.length > 0 ? roleOf(choice) : undefined
    for (const [place, run] of runs.entries())
      before.push(choiceChunk(chunk, index, run, place === 0 ? role : undefined))
    if (content === '') return plain
    return withRun(role === undefined ? plain : withoutRole(plain), last)
  }

  #choiceOf(index: number): OpenText {
    const known = this.#choices.get(index)
    if (known) return known
    const open = { text: new ThinkingText(this.#pattern, this.#startsOpen), last: undefined }
    this.#choices.set(index, open)
    return open
  }

  /** Perplexity repeats the whole answer so far beside each delta: without what is held, unless the answer ends. */
  #withPlainMessage(choice: LooseChoice, { startsOpen }: ThinkingText, isEnd: boolean): LooseChoice {
    const { message } = choice as LooseChoice & { message?: unknown }
    if (!isLoose(message) || typeof message.content !== 'string') return choice
    const text = new ThinkingText(this.#pattern, startsOpen)
    const runs = text.add(message.content)
    if (isEnd) runs.push(...text.end())
    return withValue(choice, 'message', withValue(message, 'content', textOfRuns(runs, 'content')))
  }

  #addEvent(event: Loose, type: string): object[] {
    if (type === 'response.output_text.delta' || type === 'response.text.delta')
      return this.#addDelta(event, type)
    const place = numberOf(event.content_index)
    switch (type) {
      case 'response.output_text.done':
      case 'response.text.done':
        return [...this.#endOfParts(this.#itemOf(event, type), place), this.#withoutThinking(event, 'text')]
      case 'response.content_part.added':
      case 'response.content_part.done':
        return [
          ...this.#endOfParts(this.#itemOf(event, type), place),
          withValue(event, 'part', this.#partWithoutThinking(event.part))
        ]
      case 'response.output_item.added':
      case 'response.output_item.done':
        return [
          ...this.#endOfParts(this.#itemOf(event, type)),
          withValue(event, 'item', this.#itemWithoutThinking(event.item))
        ]
      default: {
        const isEnd = closesResponse(event)
        const rest = isEnd ? this.#endOfParts() : []
        const { response } = event
        let whole = event
        if (isLoose(response)) whole = withValue(event, 'response', this.#responseApart(response))
        else if (isEnd) whole = this.#responseApart(event)
        if (isEnd) this.#items.isOver = true
        return [...rest, whole]
      }
    }
  }

  #addDelta(event: Loose, type: string): object[] {
    const delta = event.delta ?? event.text
    if (typeof delta !== 'string' || delta === '') return [event]
    const part = this.#partOf(event, type)
    const runs = part.text.add(delta)
    if (part.text.held > 0) part.last = event
    const [only] = runs
    if (runs.length === 1 && only?.kind === 'content' && only.text === delta) return [event]
    if (runs.length === 0) return [this.#deltaEvent(event, part, { kind: 'content', text: '' })]
    return runs.map(run => this.#deltaEvent(event, part, run))
  }

  #partOf(event: Loose, type: string): OpenPart {
    if (this.#lastDelta && isSamePlace(this.#lastDelta.event, event)) return this.#lastDelta.part
    const item = this.#itemOf(event, type)
    const place = numberOf(event.content_index)
    const key = `${item.number} ${place}`
    let part = this.#parts.get(key)
    if (!part) {
      part = { item, place, text: new ThinkingText(this.#pattern, this.#startsOpen), last: undefined }
      this.#parts.set(key, part)
    }
    this.#lastDelta = { event, part }
    return part
  }

  #itemOf(event: Loose, type: string): NamedItem<object> {
    if (this.#items.isOver) this.#items.clear()
    return this.#items.of(event, type)
  }

  /** An event that brings a run: what the model thinks belongs to an item of its own, as it does from OpenAI. */
  #deltaEvent(event: Loose, { item }: OpenPart, { kind, text }: Run): object {
    const { text: _whole, logprobs, output_index, item_id, ...rest } = event
    if (kind === 'content') return { ...rest, item_id, output_index, delta: text, logprobs: [] }
    return {
      ...rest,
      type: 'response.reasoning_text.delta',
      item_id: this.#thinkingIdOf(item),
      content_index: 0,
      delta: text
    }
  }

  /** The id of what an item thinks has the place of the item, and its number too where another is said to be there. */
  #thinkingIdOf(item: NamedItem<object>): string {
    const place = placeOf(item)
    const isFirst = this.#items.all.find(other => placeOf(other) === place) === item
    return isFirst ? `thinking_${place}` : `thinking_${place}_${item.number}`
  }

  /** A response with what the model thinks in items of their own, behind all others, which keep their places. */
  #responseApart(response: Loose): Loose {
    const { output, output_text: text } = response
    if (!Array.isArray(output) || output.length === 0) return this.#textApart(response, text)
    const items = this.#items.ofOutput(output)
    const thoughts = output.flatMap((given, place) => {
      const [item, text] = [items[place], this.#thinkingOf(given)]
      return item === undefined || text === '' ? [] : [reasoningItem(this.#thinkingIdOf(item), text)]
    })
    const others = mapped(output, item => this.#itemWithoutThinking(item))
    const apart = withValue(response, 'output', thoughts.length > 0 ? [...others, ...thoughts] : others)
    return this.#withoutThinking(apart, 'output_text')
  }

  /** A response without items. What the model thinks in its text is new only where no item has come at all. */
  #textApart(response: Loose, text: unknown): Loose {
    const thinking = typeof text === 'string' ? this.#ofWhole(text, 'reasoning') : ''
    const isNew = thinking !== '' && this.#items.all.length === 0
    const apart = isNew ? { ...response, output: [reasoningItem('thinking_0', thinking)] } : response
    return this.#withoutThinking(apart, 'output_text')
  }

  #itemWithoutThinking(item: unknown): unknown {
    if (!isLoose(item) || !Array.isArray(item.content)) return item
    return withValue(
      item,
      'content',
      mapped(item.content, part => this.#partWithoutThinking(part))
    )
  }

  #partWithoutThinking(part: unknown): unknown {
    return isLoose(part) && isAnswer(part) ? this.#withoutThinking(part, 'text') : part
  }

  #withoutThinking(holder: Loose, field: string): Loose {
    const text = holder[field]
    return typeof text === 'string' ? withValue(holder, field, this.#ofWhole(text, 'content')) : holder
  }

  #thinkingOf(item: unknown): string {
    if (!isLoose(item) || !Array.isArray(item.content)) return ''
    return item.content
      .map(part =>
        isLoose(part) && isAnswer(part) && typeof part.text === 'string'
          ? this.#ofWhole(part.text, 'reasoning')
          : ''
      )
      .join('')
  }

  /** The text of one kind in a whole text. */
  #ofWhole(whole: string, kind: Run['kind']): string {
    const text = new ThinkingText(this.#pattern, this.#startsOpen)
    return textOfRuns([...text.add(whole), ...text.end()], kind)
  }
}

/** SGLang calls the text of an answer `text`. */
function isAnswer({ type }: Loose): boolean {
  return type === 'output_text' || type === 'text'
}

function textOfRuns(runs: readonly Run[], kind: Run['kind']): string {
  return runs.map(run => (run.kind === kind ? run.text : '')).join('')
}

function addRuns(runs: Run[], more: readonly Run[]): void {
  for (const run of more) {
    const last = runs.at(-1)
    if (last?.kind === run.kind) last.text += run.text
    else runs.push(run)
  }
}

/** A chunk with nothing but a run of one choice, and what the chunk that it came with says of the completion. */
function choiceChunk(chunk: Loose, index: number, run: Run, role?: unknown): object {
  const { usage, ...head } = chunk
  const isLegacy = choicesOf(chunk).some(choice => typeof choice?.text === 'string')
  const choice: LooseChoice = isLegacy
    ? { index, text: '' }
    : { index, delta: role === undefined ? {} : ({ role } as LooseDelta) }
  return { ...head, choices: [{ ...withRun(choice, run), finish_reason: null }] }
}

/** A choice with a run in the place of its content. */
function withRun(choice: LooseChoice, run: Run | undefined): LooseChoice {
  const content = run?.kind === 'content' ? run.text : ''
  const reasoning = run?.kind === 'reasoning' ? run.text : ''
  const changed: LooseChoice = { ...choice }
  if (typeof choice.text === 'string') changed.text = content
  // Where there is only text, as in the legacy API, a delta is made for what has no place beside it.
  if (choice.delta == null && reasoning === '') return changed
  const delta: LooseDelta = typeof choice.delta === 'object' ? { ...choice.delta } : {}
  if (choice.delta != null)
    delta.content = Array.isArray(delta.content) ? withoutText(delta.content, content) : content
  if (reasoning !== '') {
    const own = typeof delta.reasoning_content === 'string' ? delta.reasoning_content : ''
    delta.reasoning_content = own + reasoning
  }
  changed.delta = delta
  return changed
}

/** The parts of a content, with one text in the place of all. */
function withoutText(parts: readonly unknown[], text: string): unknown[] {
  const others = parts.filter(part => contentText([part]) === '')
  return text === '' ? others : [...others, { type: 'text', text }]
}

function roleOf({ delta }: LooseChoice): unknown {
  return typeof delta === 'object' && delta !== null && 'role' in delta ? delta.role : undefined
}

function withoutRole(choice: LooseChoice): LooseChoice {
  if (typeof choice.delta !== 'object' || choice.delta === null) return choice
  const { role, ...delta } = choice.delta as LooseDelta & { role?: unknown }
  return { ...choice, delta }
}

function hasToolCall({ delta }: LooseChoice): boolean {
  if (typeof delta !== 'object' || delta === null) return false
  const { tool_calls: calls, function_call: call } = delta
  return Array.isArray(calls) ? calls.length > 0 : call != null
}

function reasoningItem(id: string, text: string): object {
  return {
    id,
    type: 'reasoning',
    status: 'completed',
    summary: [],
    content: [{ type: 'reasoning_text', text }]
  }
}

function placeOf({ index, number }: NamedItem<object>): number {
  return index ?? number
}

function isSamePlace(one: Loose, other: Loose): boolean {
  return (
    one.output_index === other.output_index &&
    one.item_id === other.item_id &&
    one.content_index === other.content_index
  )
}

/** The same object where it has the value already. */
function withValue<Holder extends object>(holder: Holder, field: string, value: unknown): Holder {
  return (holder as Loose)[field] === value ? holder : { ...holder, [field]: value }
}

/** The same list where nothing changes. */
function mapped(list: readonly unknown[], change: (item: unknown) => unknown): readonly unknown[] {
  const changed = list.map(change)
  return changed.every((item, place) => item === list[place]) ? list : changed
}

function numberOf(index: unknown): number {
  return typeof index === 'number' ? index : 0
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

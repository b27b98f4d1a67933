import {
  choicesOf,
  finishReasonOf,
  indexOf,
  isTerminal,
  type LooseChoice,
  type LooseChunk,
  type LooseDelta
} from '../chunk/fields.js'
import { keepOpening, Progress } from '../chunk/progress.js'
import { keepResumed } from '../chunk/resumed.js'
import { choiceText, contentText } from '../chunk/text.js'
import type { Pattern } from './pattern.js'
import { type Run, ThinkingText } from './thinking-text.js'

type Loose = Readonly<Record<string, unknown>>

/** Makes of chunks whose text holds tags the chunks of a server that knows them. */
export class ThinkingChunks {
  readonly #pattern: Pattern
  readonly #startsOpen: boolean
  readonly #progress = new Progress()
  /** The texts at hand: of each choice, or of each part of a response. */
  readonly #texts = new Map<number | string, ThinkingText>()
  /** For each of them a chunk of its own, for what is held when no other comes. */
  readonly #last = new Map<number | string, Loose>()

  constructor(pattern: Pattern, startsOpen: boolean) {
    this.#pattern = pattern
    this.#startsOpen = startsOpen
  }

  /** How many characters are held. */
  get held(): number {
    let held = 0
    for (const text of this.#texts.values()) held += text.held
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
    const rest = [...this.#texts.keys()].flatMap(key => this.#restOf(key))
    this.#texts.clear()
    this.#last.clear()
    return rest
  }

  /** What is held of the parts of a response whose keys begin so. */
  #endOf(beginning: string): object[] {
    return [...this.#texts.keys()]
      .filter(key => typeof key === 'string' && key.startsWith(beginning))
      .flatMap(key => this.#restOf(key))
  }

  #restOf(key: number | string): object[] {
    const runs = this.#texts.get(key)?.end() ?? []
    const last = this.#last.get(key)
    if (!last) return []
    return runs.map(run => (typeof key === 'number' ? choiceChunk(last, key, run) : deltaEvent(last, run)))
  }

  #textOf(key: number | string): ThinkingText {
    const known = this.#texts.get(key)
    if (known) return known
    const text = new ThinkingText(this.#pattern, this.#startsOpen)
    this.#texts.set(key, text)
    return text
  }

  #addChoices(chunk: object): object[] {
    const before: object[] = []
    let isChanged = false
    const choices = choicesOf(chunk).map(choice => {
      if (typeof choice !== 'object' || choice === null) return choice
      const key = indexOf(choice)
      const text = choiceText(choice, 'content')
      const known = this.#textOf(key)
      if (text === '' && choiceText(choice, 'reasoning') !== '') known.addReasoning()
      const runs = text === '' ? [] : known.add(text)
      // Text before a tool call, or the end, has come to its end.
      if (finishReasonOf(choice) !== undefined || hasToolCall(choice)) addRuns(runs, known.end())
      if (known.held > 0) this.#last.set(key, chunk as Loose)
      const [only] = runs
      if (
        text === '' ? runs.length === 0 : runs.length === 1 && only?.kind === 'content' && only.text === text
      )
        return choice
      // A chunk that had no text, such as that of the finish reason, gets none.
      const last = text === '' ? undefined : runs.pop()
      const role = runs.length > 0 ? roleOf(choice) : undefined
      for (const [place, run] of runs.entries())
        before.push(choiceChunk(chunk as Loose, key, run, place === 0 ? role : undefined))
      if (text === '') return choice
      isChanged = true
      return withRun(role === undefined ? choice : withoutRole(choice), last)
    })
    const all = isChanged ? [...before, { ...chunk, choices }] : [...before, chunk]
    const [first] = all
    if (first && first !== chunk) keepOpening(chunk, first)
    return all
  }

  #addEvent(event: Loose, type: string): object[] {
    const key = `${event.output_index ?? 0} ${event.content_index ?? 0}`
    switch (type) {
      case 'response.output_text.delta': {
        if (typeof event.delta !== 'string' || event.delta === '') return [event]
        const text = this.#textOf(key)
        const runs = text.add(event.delta)
        if (text.held > 0) this.#last.set(key, event)
        const [only] = runs
        if (runs.length === 1 && only?.kind === 'content' && only.text === event.delta) return [event]
        if (runs.length === 0) return [{ ...event, delta: '', logprobs: [] }]
        return runs.map(run => deltaEvent(event, run))
      }
      case 'response.output_text.done': {
        return [...this.#endOf(key), this.#withField(event, 'text')]
      }
      case 'response.content_part.done':
        return [...this.#endOf(key), { ...event, part: this.#withoutThinking(event.part) }]
      case 'response.output_item.done':
        return [
          ...this.#endOf(`${event.output_index ?? 0} `),
          { ...event, item: this.#itemWithoutThinking(event.item) }
        ]
      default:
        if (!isTerminal(event) || !isLoose(event.response)) return [event]
        return [...this.end(), { ...event, response: this.#responseApart(event.response) }]
    }
  }

  /** A response with what the model thinks in items of their own, behind all others, which keep their places. */
  #responseApart(response: Loose): Loose {
    const { output } = response
    if (!Array.isArray(output)) return response
    const thoughts = output.flatMap((item, place) => {
      const text = this.#thinkingOf(item)
      return text === '' ? [] : [reasoningItem(place, text)]
    })
    if (thoughts.length === 0) return response
    const apart = {
      ...response,
      output: [...output.map(item => this.#itemWithoutThinking(item)), ...thoughts]
    }
    return typeof response.output_text === 'string' ? this.#withField(apart, 'output_text') : apart
  }

  #itemWithoutThinking(item: unknown): unknown {
    if (!isLoose(item) || !Array.isArray(item.content)) return item
    return { ...item, content: item.content.map(part => this.#withoutThinking(part)) }
  }

  #withoutThinking(part: unknown): unknown {
    return isLoose(part) && part.type === 'output_text' ? this.#withField(part, 'text') : part
  }

  #withField(holder: Loose, field: string): Loose {
    const text = holder[field]
    return typeof text === 'string' ? { ...holder, [field]: this.#ofWhole(text, 'content') } : holder
  }

  #thinkingOf(item: unknown): string {
    if (!isLoose(item) || !Array.isArray(item.content)) return ''
    return item.content
      .map(part =>
        isLoose(part) && part.type === 'output_text' && typeof part.text === 'string'
          ? this.#ofWhole(part.text, 'reasoning')
          : ''
      )
      .join('')
  }

  /** The text of one kind in a whole text. */
  #ofWhole(whole: string, kind: Run['kind']): string {
    const text = new ThinkingText(this.#pattern, this.#startsOpen)
    return [...text.add(whole), ...text.end()].map(run => (run.kind === kind ? run.text : '')).join('')
  }
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

/** An event that brings a run: what the model thinks belongs to an item of its own, as it does from OpenAI. */
function deltaEvent(event: Loose, { kind, text }: Run): object {
  const { text: _whole, logprobs, output_index, item_id, ...rest } = event
  if (kind === 'content')
    return { ...rest, type: 'response.output_text.delta', item_id, output_index, delta: text, logprobs: [] }
  const place = typeof output_index === 'number' ? output_index : 0
  return {
    ...rest,
    type: 'response.reasoning_text.delta',
    item_id: thinkingId(place),
    content_index: 0,
    delta: text
  }
}

function reasoningItem(place: number, text: string): object {
  return {
    id: thinkingId(place),
    type: 'reasoning',
    status: 'completed',
    summary: [],
    content: [{ type: 'reasoning_text', text }]
  }
}

function thinkingId(place: number): string {
  return `thinking_${place}`
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

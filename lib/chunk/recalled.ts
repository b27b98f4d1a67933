import { additionsOf, type WrittenItems, writtenItems } from './additions.js'
import { isTerminal } from './fields.js'
import { ResponseText } from './response-text.js'
import type { EventsBefore } from './resumed.js'

/** Reads the events of a response that its reader has, for the stages that get what comes behind them. */
export class Recalled implements EventsBefore {
  readonly texts: Readonly<Record<'content' | 'refusal' | 'reasoning', ResponseText>> = {
    content: new ResponseText('content'),
    refusal: new ResponseText('refusal'),
    reasoning: new ResponseText('reasoning')
  }
  readonly items: WrittenItems = writtenItems()
  readonly done: Set<unknown> = new Set()
  readonly lanes: Set<string> = new Set()

  add(event: object, type: string): void {
    for (const text of Object.values(this.texts)) text.read(event, type)
    for (const { kind, lane } of additionsOf(event, this.items))
      if (kind === 'arguments') this.lanes.add(lane)
    const { item, response } = event as { item?: unknown; response?: { output?: unknown } | null }
    if (type === 'response.output_item.done') this.#addDone(item)
    else if (isTerminal(event) && Array.isArray(response?.output))
      response.output.forEach(this.#addDone, this)
  }

  #addDone(item: unknown): void {
    if (typeof item === 'object' && item !== null) this.done.add(itemId(item))
  }
}

/** By what an item is known again, a call by the id that its result goes under. */
export function itemId(item: object): unknown {
  const { call_id, id } = item as { call_id?: unknown; id?: unknown }
  return call_id || id
}

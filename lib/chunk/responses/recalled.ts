import { additionsOf, type WrittenItems, writtenItems } from '../additions.js'
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
  readonly lanes: Set<string> = new Set()

  add(event: object, type: string): void {
    for (const text of Object.values(this.texts)) text.read(event, type)
    for (const { kind, lane } of additionsOf(event, this.items))
      if (kind === 'arguments') this.lanes.add(lane)
  }
}

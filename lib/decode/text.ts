import { Transform } from 'node:stream'
import { type Chunk, checkChunk, type TextKind, textOf } from '../chunk/fields.js'
import { failInOrder } from '../fail-in-order.js'
import { checkIndex, checkOneOf } from '../options.js'
import type { Stage } from '../stage.js'

export type { TextKind } from '../chunk/fields.js'

export interface TextOptions {
  /** Which of several answers (`n` > 1): the index of its choice. Default: 0. */
  choice?: number
  /** Which kind of text: the answer, a refusal, or the model's reasoning. Default: `content`. */
  from?: TextKind
}

/**
 * Reads chunks and emits strings, one for each delta that holds any text of the kind asked for. The same for
 * all three APIs; in the Responses API there is only choice 0.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` when what it is given is no chunk.
 */
export function toText({ choice = 0, from = 'content' }: TextOptions = {}): Stage<Chunk, string> {
  checkIndex('choice', choice)
  checkOneOf('from', from, ['content', 'refusal', 'reasoning'])

  return new Transform({
    objectMode: true,
    transform(chunk: unknown, _encoding, callback) {
      const text = typeof chunk === 'object' && chunk !== null ? textOf(chunk, choice, from) : ''
      if (text !== '') this.push(text)
      else {
        // Asked only now, since it takes as long: what holds such text is a chunk.
        try {
          checkChunk('toText', chunk)
        } catch (error) {
          return failInOrder(this, error)
        }
      }
      callback()
    }
  })
}

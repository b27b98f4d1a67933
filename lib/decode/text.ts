import { Transform } from 'node:stream'
import { ChoiceText } from '../chunk/choice-text.js'
import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk, TextKind } from '../chunk/fields.js'
import { CompletionError } from '../errors.js'
import { failInOrder } from '../fail-in-order.js'
import { checkIndex, checkOneOf, settled } from '../options.js'
import { type Stage, usedOnce } from '../stage.js'

export type { TextKind } from '../chunk/fields.js'

/** The options of `toText`. */
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
 * Half of a surrogate pair, which a server may cut between two deltas, is held until the next text. What a Responses
 * event says again is emitted once; where no delta brought it, it is emitted when it comes. To a reader that comes back
 * (`resume`, `follow`), nothing is emitted again that came before.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` when what it is given is no chunk, when content is filled but cannot be read, and
 * when no chunk was of the choice that was asked for, though one was of another.
 *
 * @example
 * await pipeline(request, toChunks(), toText(), createWriteStream('answer.txt'))
 */
export function toText(options?: TextOptions): Stage<Chunk, string> {
  const { choice, from } = settled('toText', options, { choice: 0, from: 'content' as TextKind })
  checkIndex('choice', choice)
  checkOneOf('from', from, ['content', 'refusal', 'reasoning'])

  const reader = new ChoiceText(choice, from)

  return usedOnce(
    'toText',
    new Transform({
      objectMode: true,
      transform(chunk: unknown, _encoding, callback) {
        try {
          const text = typeof chunk === 'object' && chunk !== null ? reader.read(chunk) : ''
          if (text !== '') this.push(text)
          // The check runs only here, because it is as slow as reading the text; what holds such text is a chunk.
          else checkChunk('toText', chunk)
        } catch (error) {
          return failInOrder(this, error, callback)
        }
        callback()
      },
      flush(callback) {
        const rest = reader.end()
        if (rest !== '') this.push(rest)
        const { onlyOther } = reader
        if (onlyOther === undefined) callback()
        else failInOrder(this, choiceMissing(choice, onlyOther), callback)
      }
    })
  )
}

/** Some servers count their choices from 1, or count the chunks; an empty answer would be taken for the model's. */
function choiceMissing(choice: number, other: number): CompletionError {
  const message = `no chunk was of choice ${choice}, but of choice ${other}: if that is the answer, ask for it with toText({ choice: ${other} })`
  return new CompletionError('CS_ERR_INVALID_CHUNK', message)
}

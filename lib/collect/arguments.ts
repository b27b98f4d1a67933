import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { CompletionError } from '../errors.js'
import { checkIndex, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { ArgumentsText } from './arguments-text.js'

/** The options of `toArguments`. */
export interface ArgumentsOptions {
  /** Which of several answers (`n` > 1): the index of its choice. Default: 0. */
  choice?: number
}

/**
 * Reads chunks and emits the arguments of the answer's tool call as they are written: strings, one for each delta. For
 * structured output by a function call, in all three APIs; put `toElements` or `toPartials` behind it.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` for what is no chunk, for a piece that cannot be read, for a second tool call, whose
 * arguments would run into those of the first, when there was none, and at the end of a call whose pieces have said its
 * arguments again.
 *
 * @example
 * const request = requestCompletion(client, { ...question, tools, tool_choice: 'required' })
 * for await (const item of compose(request, toChunks(), toArguments(), toElements({ path: 'items' }))) console.log(item)
 */
export function toArguments(options?: ArgumentsOptions): Stage<Chunk, string> {
  const { choice } = settled('toArguments', options, { choice: 0 })
  checkIndex('choice', choice)
  const reader = new ArgumentsText(choice)
  return stage<Chunk, string>({
    name: 'toArguments',
    transform(chunk, push) {
      checkChunk('toArguments', chunk)
      const text = reader.read(chunk)
      if (text !== '') push(text)
    },
    flush(push) {
      const text = reader.end()
      if (text !== '') push(text)
      if (reader.hasCall) return
      const message = 'the model called no function: ask with tool_choice, or read its text with toText()'
      throw new CompletionError('CS_ERR_INVALID_CHUNK', message)
    }
  })
}

import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { Progress } from '../chunk/progress.js'
import type { WholeCompletion } from '../chunk/whole.js'
import { type NoOptions, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { CompletionAssembler } from './assemble.js'

export type { WholeCompletion } from '../chunk/whole.js'

/**
 * Reads chunks and emits whole completions: for each completion in the input, the object that the same request
 * without `stream: true` would have returned, a `ChatCompletion`, a `Completion` or a `Response`. Fields of a
 * provider's own are kept.
 *
 * A completion is emitted when the next one begins or the input ends: not at all when the stream fails before. With a type
 * (`toCompletion<OpenAI.ChatCompletion>()`) the caller says which API was asked.
 *
 * A response is that of its terminal event, with what was streamed and is missing there. Fails with `CS_ERR_INVALID_CHUNK` for
 * what is no chunk, and for text or arguments that are filled and cannot be read.
 *
 * @example
 * for await (const { choices } of compose(request, toChunks(), toCompletion<OpenAI.ChatCompletion>())) console.log(choices)
 */
export function toCompletion<Whole extends WholeCompletion = WholeCompletion>(
  options?: NoOptions
): Stage<Chunk, Whole> {
  settled('toCompletion', options, {})
  const progress = new Progress()
  let assembler: CompletionAssembler | undefined

  // Which API was asked, and so what the completion is, is the caller's word.
  const result = (assembler: CompletionAssembler) => assembler.result() as Whole

  return stage({
    name: 'toCompletion',
    transform(chunk, push) {
      checkChunk('toCompletion', chunk)
      if (progress.add(chunk) && assembler) {
        push(result(assembler))
        assembler = undefined
      }
      assembler ??= new CompletionAssembler()
      assembler.add(chunk)
    },
    flush(push) {
      if (assembler) push(result(assembler))
      assembler = undefined
    }
  })
}

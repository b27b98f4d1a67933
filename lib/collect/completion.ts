import { type Chunk, checkChunk } from '../chunk/fields.js'
import { Progress } from '../chunk/progress.js'
import type { WholeCompletion } from '../chunk/whole.js'
import { type Stage, stage } from '../stage.js'
import { CompletionAssembler } from './assemble.js'

export type { WholeCompletion } from '../chunk/whole.js'

/**
 * Reads chunks and emits whole completions: for each completion in the input, the object that the same request
 * without `stream: true` would have returned, a `ChatCompletion`, a `Completion` or a `Response`. Fields of a
 * provider's own are kept.
 *
 * A completion is emitted when the next one begins or the input ends: not at all when the stream fails before.
 */
export function toCompletion(): Stage<Chunk, WholeCompletion> {
  const progress = new Progress()
  let assembler: CompletionAssembler | undefined

  return stage({
    transform(chunk, push) {
      checkChunk('toCompletion', chunk)
      if (progress.add(chunk) && assembler) {
        push(assembler.result())
        assembler = undefined
      }
      assembler ??= new CompletionAssembler()
      assembler.add(chunk)
    },
    flush(push) {
      if (assembler) push(assembler.result())
      assembler = undefined
    }
  })
}

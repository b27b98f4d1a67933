import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { Progress } from '../chunk/progress.js'
import { type NoOptions, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { ToolCallAssembler } from './chat/tool-call-assembler.js'
import type { ToolCall } from './chat/tool-call-list.js'

export type { ToolCall } from './chat/tool-call-list.js'

/**
 * Reads chunks and emits each tool call once, as soon as it is whole: when the next one starts, or its choice
 * finishes. A call that is cut off, by a length limit, a content filter or the end of the input, is not emitted;
 * where a choice ends without a finish reason, a call is taken for whole if its arguments are JSON.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` for what is no chunk, and for a piece of arguments that cannot be read.
 *
 * @example
 * for await (const { name, arguments: text } of compose(request, toChunks(), toToolCalls())) console.log(name, text)
 */
export function toToolCalls(options?: NoOptions): Stage<Chunk, ToolCall> {
  settled('toToolCalls', options, {})
  const progress = new Progress()
  let assembler = new ToolCallAssembler()

  function end(push: (call: ToolCall) => void): void {
    for (const call of assembler.end()) push(call)
    assembler = new ToolCallAssembler()
  }

  return stage({
    name: 'toToolCalls',
    transform(chunk, push) {
      checkChunk('toToolCalls', chunk)
      if (progress.add(chunk)) end(push)
      for (const call of assembler.add(chunk)) push(call)
    },
    flush: end
  })
}

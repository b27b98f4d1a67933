import { Readable } from 'node:stream'
import { type Chunk, type ToolCall, toText, toToolCalls } from 'completion-streams'
import type { Script } from 'completion-streams/testing'
import { all } from './answers.js'

/** An answer of several items, whose pieces are all alike, so that the end of one is also that of many others. */
export const alike: Script = {
  choices: [
    {
      pieces: [
        ...Array.from({ length: 5 }, () => ({ at: 0, reasoning: 'hm ' })),
        ...Array.from({ length: 12 }, () => ({ at: 0, text: 'ha ' })),
        { at: 0, toolCall: { id: 'call_a', name: 'f', arguments: '{"a":' } },
        { at: 0, toolCall: { arguments: '1}' } },
        { at: 0, toolCall: { index: 1, id: 'call_b', name: 'g', arguments: '{}' } },
        ...Array.from({ length: 10 }, () => ({ at: 0, refusal: 'no ' })),
        ...Array.from({ length: 3 }, () => ({ at: 0, text: 'ha ' }))
      ]
    }
  ]
}

/** What the stages that read text and calls make of chunks. */
export interface Readings {
  content: string
  reasoning: string
  refusal: string
  calls: string
}

export async function readingsOf(chunks: readonly Chunk[]): Promise<Readings> {
  const textOf = async (from: 'content' | 'reasoning' | 'refusal') =>
    (await all<string>(Readable.from(chunks), toText({ from }))).join('')
  const calls = await all<ToolCall>(Readable.from(chunks), toToolCalls())
  return {
    content: await textOf('content'),
    reasoning: await textOf('reasoning'),
    refusal: await textOf('refusal'),
    calls: calls.map(({ id, arguments: text }) => `${id}${text} `).join('')
  }
}

/** The readings of two parts of an answer, one behind the other. */
export function joined(before: Readings, rest: Readings): Readings {
  return {
    content: before.content + rest.content,
    reasoning: before.reasoning + rest.reasoning,
    refusal: before.refusal + rest.refusal,
    calls: before.calls + rest.calls
  }
}

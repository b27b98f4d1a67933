import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { checkBoolean, invalid, settled } from '../options.js'
import { emittingHeld, type Stage, stage } from '../stage.js'
import { ThinkingChunks } from './thinking/thinking-chunks.js'
import { tagPattern } from './thinking/thinking-text.js'

/** The options of `splitThinking`. */
export interface ThinkingOptions {
  /** The names of the tags. Default: `think`, `thinking`, `thought` and `reasoning`. */
  tags?: readonly string[]
  /**
   * Whether the answer begins within a tag, since the template of the model opens it in the prompt, so that only the closing
   * tag comes. Default: false.
   */
  startsOpen?: boolean
}

/** The stage that `splitThinking` returns. */
export interface ThinkingStage extends Stage<Chunk, Chunk> {
  /** How many characters are held back at the moment, since they may become part of a tag. */
  readonly held: number
}

/**
 * Reads chunks and emits them with what stands between tags such as `<think>` and `</think>` in the content as
 * reasoning: `toText()` then gives the answer alone, `toText({ from: 'reasoning' })` what the model thinks, and
 * `toCompletion()` both. The tags themselves are of neither.
 *
 * Tags may be cut anywhere, and stand in several choices at once. Their case, and blanks before `>`, do not count. Nested
 * ones count as one, a tag that is never closed holds to the end. A closing tag that closes nothing, and what only looks
 * like a tag, goes on as it was. White space is kept.
 *
 * In chat chunks reasoning stands in `delta.reasoning_content`. The legacy API has no place for it: there it stands in a
 * `delta` beside an empty `text`, and `toCompletion` gives it as `reasoning_content` beside the `text`. In the Responses API
 * it becomes `response.reasoning_text.delta` of an item of its own (`thinking_0` for that of the first item), which stands
 * behind all others in the response at the end. What repeats whole texts is without it: the events of the Responses API,
 * and the `message` that Perplexity sends beside each delta. All other fields of a chunk are kept, and so is the order of
 * finish reasons, usage and tool calls. Text that is held goes before a tool call and before the finish reason.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` when what it is given is no chunk.
 *
 * @example
 * await pipeline(request, toChunks(), splitThinking(), toText(), createWriteStream('answer.txt'))
 */
export function splitThinking(options?: ThinkingOptions): ThinkingStage {
  const { tags, startsOpen } = settled('splitThinking', options, {
    tags: ['think', 'thinking', 'thought', 'reasoning'] as readonly string[],
    startsOpen: false
  })
  checkBoolean('startsOpen', startsOpen)
  if (!Array.isArray(tags) || tags.length === 0) throw invalid('tags', tags, 'a list of names')
  for (const tag of tags) {
    if (typeof tag !== 'string' || !/^[\w-]+$/.test(tag))
      throw invalid('one of tags', tag, 'a name without its brackets: letters, digits, hyphens')
  }
  const chunks = new ThinkingChunks(tagPattern(tags), startsOpen)

  function flush(push: (chunk: Chunk) => void): void {
    for (const made of chunks.end()) push(made as Chunk)
    counted.held = 0
  }

  const splitting = stage<Chunk, Chunk>({
    name: 'splitThinking',
    transform(chunk, push) {
      checkChunk('splitThinking', chunk)
      // What is made of a chunk has all of its fields.
      for (const made of chunks.add(chunk)) push(made as Chunk)
      counted.held = chunks.held
    },
    flush
  })
  const counted = Object.assign(emittingHeld(splitting, flush), { held: 0 })
  return counted
}

import { additionsOf, endsOf, writtenItems } from '../chunk/additions.js'
import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { Progress } from '../chunk/progress.js'
import { CompletionError } from '../errors.js'
import { checkIndex, invalid, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { RepetitionDetector } from './repetition-detector.js'

/** The options of `guardRepetition`. */
export interface RepetitionOptions {
  /** The longest stretch that is looked for, in characters (UTF-16 code units). Default: 300. */
  period?: number
  /**
   * How many times in a row the stretch comes before the stream fails. Default: 8 times, and so often that all of them
   * together have 1,500 characters, which rules of hyphens and tables of noughts have not.
   */
  times?: number
}

const defaultTimes = 8

/**
 * How many characters the repetitions have together, where `times` is not given. Measured on some 950 texts: sources,
 * licences, manuals and tables. The longest honest repetition in them, a table of benchmarks, has 255.
 */
const defaultCharacters = 1500

/**
 * Passes chunks, or text, on unchanged, and fails with `CS_ERR_REPETITION` when the model repeats itself: when the same
 * stretch of up to `period` characters comes `times` times in a row. In chunks, each text is watched by itself: those of
 * each choice, of reasoning, refusals and the arguments of each tool call. What has come until then is passed on.
 *
 * The time for each character, and the memory for each text, are bounded by `period`.
 *
 * Fails with `CS_ERR_INVALID_CHUNK`, too, when what it is given is neither text nor a chunk, or holds a text that cannot be
 * read.
 *
 * @example
 * await pipeline(request, toChunks(), guardRepetition<Chunk>(), toText(), createWriteStream('answer.txt'))
 */
export function guardRepetition<Item extends string | Chunk = string | Chunk>(
  options?: RepetitionOptions
): Stage<Item, Item> {
  const { period, times } = settled('guardRepetition', options, {
    period: 300,
    times: undefined as number | undefined
  })
  checkIndex('period', period)
  if (period < 1 || period > 100_000)
    throw invalid('period', period, 'a number of characters from 1 to 100000')
  if (times !== undefined && !(Number.isInteger(times) && times > 1))
    throw invalid('times', times, 'a whole number over one')

  const detectors = new Map<string, RepetitionDetector>()
  const progress = new Progress()
  const items = writtenItems()

  function watch(lane: string, text: string): void {
    let detector = detectors.get(lane)
    if (!detector) {
      detector = new RepetitionDetector(
        period,
        times ?? defaultTimes,
        times === undefined ? defaultCharacters : 0
      )
      detectors.set(lane, detector)
    }
    const loop = detector.add(text)
    if (!loop) return
    const message = `the model repeats itself: the same ${loop.period} characters came ${loop.times} times in a row`
    throw new CompletionError('CS_ERR_REPETITION', message, { period: loop.period, times: loop.times })
  }

  function watchChunk(chunk: Chunk): void {
    if (progress.add(chunk)) {
      detectors.clear()
      items.clear()
    }
    for (const { lane, text, isWhole } of additionsOf(chunk, items)) if (!isWhole) watch(lane, text)
    for (const end of endsOf(chunk, items)) {
      for (const lane of detectors.keys()) if (lane.startsWith(end)) detectors.delete(lane)
    }
  }

  return stage<Item, Item>({
    name: 'guardRepetition',
    transform(item, push) {
      if (typeof item !== 'string') checkChunk('guardRepetition', item)
      // What has come is passed on before the failure.
      push(item)
      if (typeof item === 'string') watch('', item)
      else watchChunk(item)
    }
  })
}

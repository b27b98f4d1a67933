import { checkText } from '../chunk/failure/foreign.js'
import { checkLimit, invalid, settled } from '../options.js'
import { emittingHeld, type Stage, stage } from '../stage.js'
import { markStop } from '../stopping.js'
import { HoldBack } from './hold-back/hold-back.js'
import { Pattern } from './hold-back/pattern.js'

/** The options of `stopAt`. */
export interface StopOptions {
  /**
   * The longest text, in characters (UTF-16 code units); a longer one is ended there, or a character before, where that
   * would be within a surrogate pair. Default: `Infinity`, no limit.
   */
  longest?: number
}

/** The stage that `stopAt` returns. */
export interface StopStage extends Stage<string, string> {
  /** The string at which the text was ended; undefined where none came. */
  readonly stoppedAt: string | undefined
  /** Whether the text was ended since it is longer than `longest`. */
  readonly isCut: boolean
}

/**
 * Reads text and ends it before the first of these strings, wherever they are cut: what may still become one is held,
 * everything before that goes on at once. Of several at one place the first in the list counts.
 *
 * With `longest`, a text that is longer is ended there; then the list may be empty.
 *
 * That is no failure: what comes before goes to the sink, which then finishes, and the pipeline resolves. The
 * sources of this library (`requestCompletion`, `fromResponse`) end at once and abort their request, also through
 * composed streams and stages of other libraries; any other source, and one that is read by an async generator, is read
 * to its end, and what it gives is dropped. What fails before the stage from then on is nobody's loss, and not told.
 *
 * Taps before it see what came until then: `tapSummary` tells the outcome `stopped`, unless all had come already, and
 * `tapUsage` has no usage to tell, since the provider reports it at the end. Taps behind it see a text that ends.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` when what it is given is no text.
 *
 * @example
 * await pipeline(request, toChunks(), toText(), stopAt(['\n\nUser:', '<|end|>'], { longest: 2000 }), createWriteStream('answer.txt'))
 */
export function stopAt(strings: string | readonly string[], options?: StopOptions): StopStage {
  const { longest } = settled('stopAt', options, { longest: Number.POSITIVE_INFINITY })
  checkLimit('longest', longest)
  const markers = typeof strings === 'string' ? [strings] : strings
  if (!Array.isArray(markers) || (markers.length === 0 && longest === Number.POSITIVE_INFINITY))
    throw invalid('strings', strings, 'a string, or a list of one or more; with longest, it may be empty')
  for (const marker of markers) {
    if (typeof marker !== 'string' || marker === '')
      throw invalid('one of strings', marker, 'a text that is not empty')
  }
  const holdBack = new HoldBack(markers.map(match => new Pattern({ match, longest: match.length })))
  const listeners: (() => void)[] = []
  let isStopped = false
  /** How many characters may still come. */
  let left = longest

  function emit(stretches: ReturnType<HoldBack['add']>, push: (text: string) => void): void {
    for (const { text, rule } of stretches) {
      if (rule !== undefined) return stop({ stoppedAt: text })
      if (text.length > left) {
        const end = endBefore(text, left)
        if (end > 0) push(text.slice(0, end))
        return stop({ isCut: true })
      }
      left -= text.length
      push(text)
    }
  }

  function stop(why: Partial<Pick<StopStage, 'stoppedAt' | 'isCut'>>): void {
    isStopped = true
    Object.assign(found, why)
    // The sink need not wait for what is before this stage to end.
    stopping.push(null)
    for (const listener of listeners) listener()
  }

  function flush(push: (text: string) => void): void {
    if (!isStopped) emit(holdBack.end(), push)
  }

  const stopping = stage<string, string>({
    name: 'stopAt',
    transform(text, push) {
      if (isStopped) return
      checkText('stopAt', text)
      emit(holdBack.add(text), push)
    },
    flush
  })
  markStop(stopping, {
    get isStopped() {
      return isStopped
    },
    onStop: listener => void listeners.push(listener)
  })
  const found = Object.assign(emittingHeld(stopping, flush), {
    stoppedAt: undefined as string | undefined,
    isCut: false
  })
  return found
}

/** The last place up to some place at which a text may be cut: not within a surrogate pair. */
function endBefore(text: string, place: number): number {
  const end = Math.floor(place)
  const isWithinPair = /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(Math.max(end - 1, 0), end + 1))
  return end > 0 && isWithinPair ? end - 1 : end
}

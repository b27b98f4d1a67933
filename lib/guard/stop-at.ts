import { checkText } from '../chunk/failure/foreign.js'
import { invalid } from '../options.js'
import { emittingHeld, type Stage, stage } from '../stage.js'
import { markStop } from '../stopping.js'
import { HoldBack } from './hold-back/hold-back.js'
import { Pattern } from './hold-back/pattern.js'

/** The stage that `stopAt` returns. */
export interface StopStage extends Stage<string, string> {
  /** The string at which the text was ended; undefined where none came. */
  readonly stoppedAt: string | undefined
}

/**
 * Reads text and ends it before the first of these strings, wherever they are cut: what may still become one is held,
 * everything before that goes on at once. Of several at one place the first in the list counts.
 *
 * That is no failure: what comes before the string goes to the sink, which then finishes, and the pipeline resolves. The
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
 * await pipeline(request, toChunks(), toText(), stopAt(['\n\nUser:', '<|end|>']), createWriteStream('answer.txt'))
 */
export function stopAt(strings: string | readonly string[]): StopStage {
  const markers = typeof strings === 'string' ? [strings] : strings
  if (!Array.isArray(markers) || markers.length === 0)
    throw invalid('strings', strings, 'a string, or a list of one or more')
  for (const marker of markers) {
    if (typeof marker !== 'string' || marker === '')
      throw invalid('one of strings', marker, 'a text that is not empty')
  }
  const holdBack = new HoldBack(markers.map(match => new Pattern({ match, longest: match.length })))
  const listeners: (() => void)[] = []
  let isStopped = false

  function emit(stretches: ReturnType<HoldBack['add']>, push: (text: string) => void): void {
    for (const { text, rule } of stretches) {
      if (rule === undefined) push(text)
      else return stop(text)
    }
  }

  function stop(marker: string): void {
    isStopped = true
    found.stoppedAt = marker
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
  const found = Object.assign(emittingHeld(stopping, flush), { stoppedAt: undefined as string | undefined })
  return found
}

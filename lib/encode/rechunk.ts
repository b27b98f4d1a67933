import { checkText } from '../chunk/failure/foreign.js'
import { checkLimit, invalid, settled } from '../options.js'
import { emittingHeld, type Stage, stage } from '../stage.js'
import { type CutBy, TextCutter } from './text-cutter.js'

export type { CutBy } from './text-cutter.js'

/** The options of `rechunk`. */
export interface RechunkOptions {
  /**
   * Where the text is cut: behind each word with the marks and spaces that follow it, behind each line, behind each sentence,
   * or behind each match of a regular expression. Default: `word`.
   */
  by?: CutBy
  /**
   * The longest piece, and the most that is held, in characters as JavaScript counts them. A longer one is cut behind a
   * space, or between two characters. `Infinity` for no limit; what is longer than 1000 characters by then may wait for an
   * eighth more before its end is seen. Default: 1000.
   */
  longest?: number
}

/**
 * Reads text and emits the same text in other pieces: word by word for a display, sentence by sentence for speech or
 * translation, line by line for a log. The pieces joined are the text; nothing is added or lost, whatever the language. A
 * piece goes on as soon as its end is known, and what is left when the text ends or breaks off.
 *
 * Words and sentences are those of Unicode (`Intl.Segmenter`), of languages without spaces too; "Dr.", "e.g." and the
 * like do not end a sentence. No piece ends within a grapheme cluster, such as a flag or a letter with its accents. The pieces
 * are the same wherever the text was cut on its way, unless a regular expression matches more where more text has come, such
 * as `/a.*b/`.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` when what it is given is no text.
 *
 * @example
 * for await (const sentence of compose(request, toChunks(), toText(), rechunk({ by: 'sentence' }))) console.log(sentence)
 */
export function rechunk(options?: RechunkOptions): Stage<string, string> {
  const { by, longest } = settled('rechunk', options, { by: 'word' as CutBy, longest: 1000 })
  const isKnown = ['word', 'line', 'sentence'].includes(by as string)
  if (!isKnown && Object.prototype.toString.call(by) !== '[object RegExp]')
    throw invalid('by', by, "'word', 'line', 'sentence' or a regular expression")
  checkLimit('longest', longest)
  const cutter = new TextCutter(by, Math.max(1, Math.floor(longest)))
  const flush = (push: (piece: string) => void) => {
    for (const piece of cutter.end()) push(piece)
  }
  const cutting = stage<string, string>({
    name: 'rechunk',
    transform(text, push) {
      checkText('rechunk', text)
      for (const piece of cutter.add(text)) push(piece)
    },
    flush
  })
  return emittingHeld(cutting, flush)
}

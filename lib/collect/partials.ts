import { clearTimeout, setTimeout } from 'node:timers'
import { CompletionError } from '../errors.js'
import { checkIndex, settled, show } from '../options.js'
import { emittingHeld, type Stage, stage } from '../stage.js'
import { PartialValue } from './json-text/partial-value.js'
import { beginningLength, pathOf } from './json-text/path.js'

/** The options of `toPartials`. */
export interface PartialsOptions {
  /** The names that lead to the value to be shown, such as `answer.steps`. Default: none, all of it. */
  path?: string | readonly string[]
  /** Milliseconds from one snapshot to the next, at least; 0 for one per piece of text that changes it. Default: 50. */
  every?: number
  /** Characters of text from one snapshot to the next, at least. Default: 0. */
  characters?: number
}

/**
 * Reads text that is a JSON object or array, or has one in it, and emits what it is so far, as it grows: for who shows it
 * before it is whole. A string is there as far as it has come; a number, a word or a name only when it is whole; never
 * half of an escape or of a character. Each snapshot is a value of its own. The last one is the whole value, or all that
 * came of it before a failure. Where there is nothing at the path yet, or `null`, nothing is emitted.
 *
 * A snapshot costs as much as `JSON.parse` of all the text so far, so the rate of snapshots (`every`, `characters`) is what
 * a long text costs. Where the text begins, prose round it, fences, and a comma behind the last element are as for
 * `toElements`.
 *
 * Fails, after the newest snapshot has been taken, with `CS_ERR_TRUNCATED` when the text ends before the value does, and
 * with `CS_ERR_INVALID_ELEMENT` for what is no JSON, for a text without any, and for one with another object or array behind
 * the first: those are for `toElements`.
 *
 * @example
 * for await (const { steps = [] } of compose(request, toChunks(), toText(), toPartials<{ steps?: string[] }>())) console.log(steps.length)
 */
export function toPartials<Value = unknown>(options?: PartialsOptions): Stage<string, Value> {
  const { path, every, characters } = settled<Required<PartialsOptions>>('toPartials', options, {
    path: [],
    every: 50,
    characters: 0
  })
  const names = pathOf(path)
  checkIndex('every', every)
  checkIndex('characters', characters)

  const partial = new PartialValue()
  let beginning = ''
  let lastTime = Number.NEGATIVE_INFINITY
  let lastLength = 0
  let lastSize = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Emits what waits for its time. */
  let late: (() => void) | undefined

  function emit(push: (value: Value) => void): void {
    clearTimeout(timer)
    timer = undefined
    lastTime = performance.now()
    lastLength = partial.length
    lastSize = partial.size
    const value = valueAt(names, snapshotOf(partial))
    // What the value at the path is, is the caller's word.
    if (value !== undefined && value !== null) push(value as Value)
  }

  const partials = stage<string, Value>({
    name: 'toPartials',
    transform(text, push) {
      if (typeof text !== 'string') throw notText(text)
      if (beginning.length < beginningLength) beginning += text.slice(0, beginningLength - beginning.length)
      late ??= () => {
        if (partial.size !== lastSize) emitLate(push)
      }
      partial.feed(text)
      checkText(push)
      if (partial.size === lastSize || partial.length - lastLength < characters) return
      const wait = lastTime + every - performance.now()
      if (wait <= 0) emit(push)
      // The newest text is shown even if nothing more comes.
      else timer ??= setTimeout(late, wait).unref()
    },
    flush(push) {
      partial.end()
      if (!partial.hasBegun)
        throw invalidElement(
          beginning.trim() === '' ? 'the text is empty' : 'the text holds no JSON: see `beginning`',
          beginning
        )
      checkText(push)
      emitNewest(push)
      if (partial.isWhole) return
      throw new CompletionError('CS_ERR_TRUNCATED', 'the text ended within its JSON', {
        residue: partial.residue
      })
    },
    destroy() {
      clearTimeout(timer)
    }
  })

  // A failure of the source waits until the newest text is shown.
  return emittingHeld(partials, () => late?.())

  function emitNewest(push: (value: Value) => void): void {
    if (partial.size !== lastSize) emit(push)
  }

  /** Throws when the text goes on in what is not of the value, after what came before. */
  function checkText(push: (value: Value) => void): void {
    if (!partial.isInvalid && !partial.hasSecond) return
    emitNewest(push)
    throw invalidElement(
      partial.isInvalid
        ? 'what the text holds is no JSON: see `beginning`'
        : 'the text holds more than one JSON value: toElements reads several',
      beginning
    )
  }

  /** An error here is ignored: the same text fails again with the next piece or at the end, where it can be reported. */
  function emitLate(push: (value: Value) => void): void {
    try {
      emit(push)
    } catch {
      lastSize = 0
    }
  }

  function snapshotOf(partial: PartialValue): unknown {
    try {
      return partial.snapshot()
    } catch {
      throw invalidElement('what the text holds is no JSON: see `beginning`', beginning)
    }
  }
}

function valueAt(names: readonly string[], value: unknown): unknown {
  let found = value
  for (const name of names) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = (found as Record<string, unknown>)[name]
  }
  return found
}

function invalidElement(message: string, beginning: string): CompletionError {
  return new CompletionError('CS_ERR_INVALID_ELEMENT', message, { beginning })
}

function notText(item: unknown): CompletionError {
  return new CompletionError(
    'CS_ERR_INVALID_CHUNK',
    `toPartials takes text, not ${show(item)}: put toText() before it`
  )
}

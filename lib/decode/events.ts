import { isFailureName } from '../chunk/failure/provider-error.js'
import { CompletionError } from '../errors.js'
import { checkLimit, checkOneOf, settled, show } from '../options.js'
import type { Bytes, Stage } from '../stage.js'
import { isPayload, lastDataOf } from './event-data.js'
import { splitter } from './splitter.js'
import { EventParser, type ServerSentEvent, serverSentEvent } from './sse/event-parser.js'
import type { EventScanner } from './sse/event-scanner.js'
import { StrayEvents } from './stray-events.js'

export type { ServerSentEvent } from './sse/event-parser.js'

/** The options of `toEvents`. */
export interface EventsOptions {
  /**
   * The largest event, in bytes of its lines; `Infinity` for no limit. Images and audio travel as events of
   * several megabytes. Default: 67108864 (64 MiB).
   */
  maxEventSize?: number
  /**
   * What becomes of what servers send outside of the grammar: a last event that lacks its blank line (Azure, llama.cpp and
   * several gateways end that way), an error in a line `error: …`, or in a comment under the name `error`, JSON in a line
   * without `data:`, a text behind the events. `emit` makes events of it; an error gets the name `error`. `discard` ignores
   * it, as the standard says.
   * Default: `emit`.
   */
  unterminated?: 'emit' | 'discard'
}

/** 64 MiB: without a limit a broken server fills the memory, a small one breaks images. */
export const defaultMaxEventSize: number = 64 * 1024 * 1024

/**
 * Reads the bytes of a `text/event-stream` and emits its events by the grammar of the HTML standard (9.2.6),
 * but for what servers send outside of it, which `unterminated: 'discard'` ignores.
 *
 * Fails with `CS_ERR_EVENT_TOO_LARGE` when an event is larger than `maxEventSize`; with `CS_ERR_TRUNCATED` when
 * the input ends within the JSON text of an event, of which the error's `residue` is what there was, but not for one that
 * ends within the mark `[DONE]`, with which nothing is lost; and with `CS_ERR_INVALID_CHUNK` when what it is given is no bytes.
 *
 * @example
 * for await (const { event, data } of compose(request, toEvents())) console.log(event, data)
 */
export function toEvents(options?: EventsOptions): Stage<Bytes, ServerSentEvent> {
  const { maxEventSize, unterminated } = settled<Required<EventsOptions>>('toEvents', options, {
    maxEventSize: defaultMaxEventSize,
    unterminated: 'emit'
  })
  checkLimit('maxEventSize', maxEventSize)
  checkOneOf('unterminated', unterminated, ['emit', 'discard'])

  return splitter('toEvents', maxEventSize, emit => {
    const strays = new StrayEvents(maxEventSize, emit)
    const add = (event: ServerSentEvent) => {
      strays.lastFramed = event
      emit(event)
    }
    const onEvent = (data: string, event: string, id: string) => {
      strays.take(false)
      add(serverSentEvent(data, event, id))
    }
    // An error may be told in a comment alone (NVIDIA Dynamo).
    const onBareEvent = (event: string, comment: string) => {
      if (isFailureName(event)) onEvent(comment, event, parser.lastEventId)
    }
    const isStrict = unterminated === 'discard'
    const handlers = isStrict
      ? { onEvent }
      : { onEvent, onBareEvent, onStrayLine: (line: string) => strays.add(line), isWhole: isPayload }
    const parser = new EventParser(maxEventSize, handlers)
    const skipsIdle = (scanner: EventScanner) => {
      if (scanner.isDone || !scanner.skipIdle()) return false
      parser.begin()
      return true
    }
    const endWith = (last: ServerSentEvent) => {
      strays.take(false)
      const { whole, residue } = lastDataOf(last.data)
      if (last.data === '' || whole !== undefined) add({ ...last, data: whole ?? '' })
      if (residue !== undefined)
        throw new CompletionError('CS_ERR_TRUNCATED', 'the input ended within an event', { residue })
    }
    return {
      get isBetweenEvents() {
        return strays.isEmpty && parser.isBetweenEvents
      },
      scan(scanner) {
        do {
          while (scanner.find() && !scanner.hasCarriageReturn()) {
            const data = scanner.data()
            scanner.take()
            parser.begin()
            add(serverSentEvent(data, scanner.event, parser.lastEventId))
          }
        } while (skipsIdle(scanner))
      },
      feed: text => parser.feed(text),
      take(item) {
        throw new CompletionError(
          'CS_ERR_INVALID_CHUNK',
          `toEvents takes bytes or strings, not ${show(item)}`
        )
      },
      end() {
        const last = parser.end()
        if (isStrict) return
        if (last) endWith(last)
        strays.take(true)
      }
    }
  })
}

import { Writable } from 'node:stream'
import { type IdTaker, markIdTaker } from '../event-id.js'
import { failInOrder } from '../fail-in-order.js'
import { AbortError } from '../failure/abort-error.js'
import { checkOneOf } from '../options.js'
import { usedOnce } from '../stage.js'
import { failureOf } from './failure-body.js'
import type { Outlet } from './outlet.js'
import { checkForm, type ResponseForm, streamHeaders, writerOf } from './response-writer.js'
import { comment, Heartbeat } from './sse.js'

/** The options of `respond`. */
export interface RespondOptions {
  /**
   * How the answer goes out: `events` (chunks, text or events as an event stream), `text` (text as it is) or `lines` (each
   * object as a line of JSON). Default: `events`.
   */
  as?: ResponseForm
  /** With `events`: after so many milliseconds without anything, a comment is sent behind the head. Default: never. */
  heartbeat?: number
  /**
   * What happens when the reader leaves: the pipeline fails with an abort at once, which aborts the request, or when the
   * answer has been read to its end, so that the taps have its usage. Default: `abort`.
   */
  whenGone?: 'abort' | 'drain'
}

export const respondDefaults: Required<RespondOptions> = {
  as: 'events',
  heartbeat: Number.POSITIVE_INFINITY,
  whenGone: 'abort'
}

/** The sink behind `respond` and `webResponse`: what it is given goes out through the outlet. */
export function responseSink(
  taker: string,
  outlet: Outlet,
  { as, heartbeat, whenGone }: Required<RespondOptions>
): Writable {
  checkForm(as, heartbeat)
  checkOneOf('whenGone', whenGone, ['abort', 'drain'])
  const told: IdTaker = {}
  const writer = writerOf(taker, as, told)
  const beat = new Heartbeat(heartbeat, () => {
    if (!isWriting && !outlet.isUnopened) outlet.write(comment, () => {})
  })
  let isGone = false
  let isWriting = false
  let isEnded = false
  let goOn = () => {}

  /** Writes the head before the first part of the body: until then, a failure is a status of its own. */
  function openOnce(): void {
    if (outlet.isUnopened) outlet.open(200, { 'content-type': writer.contentType, ...streamHeaders })
  }

  /** Answers a request by HEAD, before the source is asked for anything: nobody would read the answer. */
  function answerHead(): void {
    if (isEnded) return
    isEnded = true
    openOnce()
    outlet.end(() => {})
    sink.destroy(new AbortError('a request by HEAD is answered without a body'))
  }

  function fail(error: Error): void {
    if (isGone || isEnded) return
    const { status, headers, body } = failureOf(error)
    if (outlet.isUnopened) {
      outlet.open(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
      outlet.write(JSON.stringify(body), () => {})
      return outlet.endFailed()
    }
    const last = writer.fail(body)
    if (last === undefined) return outlet.cut(error)
    outlet.write(last, () => {})
    outlet.endFailed()
  }

  const sink = new Writable({
    objectMode: true,
    write(item: unknown, _encoding, callback) {
      if (outlet.isHeadOnly) return answerHead()
      if (isGone) return callback()
      let text: string
      try {
        text = writer.write(item)
      } catch (error) {
        return failInOrder(sink, error)
      }
      beat.again()
      if (text === '') return callback()
      openOnce()
      isWriting = true
      goOn = () => {
        goOn = () => {}
        isWriting = false
        callback()
      }
      outlet.write(text, () => goOn())
    },
    final(callback) {
      beat.stop()
      if (isGone) return callback(gone(outlet))
      const last = writer.end()
      // A browser that comes back for what is behind the last id stops coming only at this status (WHATWG HTML, 9.2.3).
      const isReturning = outlet.isReturning || told.isReturning === true
      if (outlet.isUnopened && last === '' && isReturning) outlet.open(204, {})
      openOnce()
      const end = () => {
        goOn = () => {}
        callback(isGone ? gone(outlet) : null)
      }
      // The reader may leave while the last of it is on its way.
      goOn = end
      if (last !== '') outlet.write(last, () => {})
      outlet.end(() => {
        isEnded = !isGone
        goOn()
      })
    },
    destroy(error, callback) {
      beat.stop()
      if (!isEnded) fail(error ?? new AbortError('the response was destroyed before its end'))
      callback(error)
    }
  })
  if (as === 'events') markIdTaker(sink, told)
  // A pipeline that is being made listens for its failure only when its pipes are laid.
  if (outlet.isHeadOnly) sink.once('pipe', () => process.nextTick(answerHead))
  outlet.onGone(() => {
    if (isEnded || isGone) return
    isGone = true
    beat.stop()
    if (whenGone === 'abort') sink.destroy(gone(outlet))
    else goOn()
  })
  return usedOnce(taker, sink)
}

function gone({ isOver }: Outlet): AbortError {
  const message = isOver
    ? 'the response is over already: it was ended before the answer began'
    : 'the reader has left before the end of the answer'
  return new AbortError(message)
}

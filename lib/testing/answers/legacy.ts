import { idFor, type Piece, type SettledChoice, type SettledScript } from '../script.js'
import { momentsOf } from './chat.js'
import type { TimedEvent } from './timed-event.js'

/** The events of a streamed completion of the legacy API. What is no text has no place in it. */
export function* legacyEvents(script: SettledScript, asksUsage: boolean): Generator<TimedEvent> {
  const head = headOf(script)
  const usage = asksUsage ? script.usage : null
  const noUsage = usage && { usage: null }
  const offsets = new Map<SettledChoice, number>()
  for (const moment of momentsOf(script)) {
    const { at, choice } = moment
    const { index, finish_reason } = choice
    if (moment.does === 'finish') {
      yield {
        at,
        data: { ...head, choices: [{ text: '', index, logprobs: null, finish_reason }], ...noUsage }
      }
    } else if (moment.does === 'say' && 'text' in moment.piece) {
      const { text } = moment.piece
      const offset = offsets.get(choice) ?? 0
      offsets.set(choice, offset + text.length)
      const logprobs = logprobsOf([moment.piece], offset)
      yield { at, data: { ...head, choices: [{ text, index, logprobs, finish_reason: null }], ...noUsage } }
    }
  }
  if (usage) yield { at: script.finishAt, data: { ...head, choices: [], usage } }
}

/** The completion that answers the same request without `stream: true`. */
export function wholeLegacy(script: SettledScript): object {
  const { usage } = script
  return {
    ...headOf(script),
    choices: script.choices.map(({ index, pieces, finish_reason }) => ({
      text: pieces.map(piece => ('text' in piece ? piece.text : '')).join(''),
      index,
      logprobs: logprobsOf(pieces, 0),
      finish_reason
    })),
    ...(usage && { usage })
  }
}

function headOf({ id, created, model, system_fingerprint, fields }: SettledScript): object {
  return {
    id: idFor(id, 'cmpl-'),
    object: 'text_completion',
    created,
    model,
    ...(system_fingerprint !== undefined && { system_fingerprint }),
    ...fields
  }
}

/** The legacy API has a list per property of the tokens, and counts from the start of the text where each begins. */
function logprobsOf(pieces: readonly Piece[], offset: number): object | null {
  const logprobs = {
    tokens: [] as string[],
    token_logprobs: [] as number[],
    top_logprobs: [] as Record<string, number>[],
    text_offset: [] as number[]
  }
  for (const piece of pieces) {
    if (!('text' in piece)) continue
    let tokenOffset = offset
    for (const { token, logprob, top_logprobs } of piece.logprobs ?? []) {
      logprobs.tokens.push(token)
      logprobs.token_logprobs.push(logprob)
      logprobs.top_logprobs.push(Object.fromEntries(top_logprobs.map(top => [top.token, top.logprob])))
      logprobs.text_offset.push(tokenOffset)
      tokenOffset += token.length
    }
    offset += piece.text.length
  }
  return logprobs.tokens.length > 0 ? logprobs : null
}

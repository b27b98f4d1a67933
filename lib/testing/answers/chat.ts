import { idFor, type Piece, type SettledChoice, type SettledScript, toolCallsOf } from '../script.js'
import type { TimedEvent } from './timed-event.js'

/** What a choice does at one moment. */
export type Moment = { at: number; choice: SettledChoice } & (
  | { does: 'open' }
  | { does: 'say'; piece: Piece }
  | { does: 'finish' }
)

/** All choices of a script in the order of their times; at the same time, in the order of the choices. */
export function momentsOf({ choices }: SettledScript): Moment[] {
  const moments = choices.flatMap((choice): Moment[] => [
    { at: choice.openAt, choice, does: 'open' },
    ...choice.pieces.map((piece): Moment => ({ at: piece.at, choice, does: 'say', piece })),
    { at: choice.finishAt, choice, does: 'finish' }
  ])
  return moments.sort((one, other) => one.at - other.at)
}

/** The events of a streamed chat completion. */
export function* chatEvents(script: SettledScript, asksUsage: boolean): Generator<TimedEvent> {
  const head = headOf(script, 'chat.completion.chunk')
  const usage = asksUsage ? script.usage : null
  const noUsage = usage && { usage: null }
  for (const moment of momentsOf(script)) {
    yield { at: moment.at, data: { ...head, choices: [chunkChoice(moment)], ...noUsage } }
  }
  if (usage) yield { at: script.finishAt, data: { ...head, choices: [], usage } }
}

/** The chat completion that answers the same request without `stream: true`. */
export function wholeChat(script: SettledScript): object {
  const { usage } = script
  return {
    ...headOf(script, 'chat.completion'),
    choices: script.choices.map(choice => ({
      index: choice.index,
      message: messageOf(choice),
      logprobs: wholeLogprobs(choice),
      finish_reason: choice.finish_reason
    })),
    ...(usage && { usage })
  }
}

function headOf(script: SettledScript, object: string): object {
  const { created, model, system_fingerprint, service_tier, fields } = script
  return {
    id: idFor(script.id, 'chatcmpl-'),
    object,
    created,
    model,
    ...(service_tier !== undefined && { service_tier }),
    ...(system_fingerprint !== undefined && { system_fingerprint }),
    ...fields
  }
}

function chunkChoice(moment: Moment): object {
  const { choice } = moment
  const { index } = choice
  switch (moment.does) {
    case 'open':
      return { index, delta: choice.opening, logprobs: openingLogprobs(choice), finish_reason: null }
    case 'say':
      return { index, delta: deltaOf(moment.piece), logprobs: logprobsOf(moment.piece), finish_reason: null }
    case 'finish':
      return { index, delta: {}, logprobs: null, finish_reason: choice.finish_reason }
  }
}

function deltaOf(piece: Piece): object {
  if ('text' in piece) return { content: piece.text }
  if ('refusal' in piece) return { refusal: piece.refusal }
  if ('reasoning' in piece) return { reasoning_content: piece.reasoning }
  const { index = 0, id, name, arguments: part = '' } = piece.toolCall
  if (id === undefined && name === undefined)
    return { tool_calls: [{ index, function: { arguments: part } }] }
  return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: part } }] }
}

/** What the deltas of a choice add up to. A whole message always has both, `content` and `refusal`. */
function messageOf({ opening, pieces }: SettledChoice): object {
  const texts = pieces.flatMap(piece => ('text' in piece ? piece.text : []))
  const refusals = pieces.flatMap(piece => ('refusal' in piece ? piece.refusal : []))
  const thoughts = pieces.flatMap(piece => ('reasoning' in piece ? piece.reasoning : []))
  const calls = toolCallsOf(pieces)
  return {
    content: null,
    refusal: null,
    ...opening,
    ...(texts.length > 0 && { content: texts.join('') }),
    ...(refusals.length > 0 && { refusal: refusals.join('') }),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.join('') }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: text }) => ({
        id,
        type: 'function',
        function: { name, arguments: text }
      }))
    })
  }
}

function logprobsOf(piece: Piece): object | null {
  if (!('logprobs' in piece)) return null
  return 'text' in piece
    ? { content: piece.logprobs, refusal: null }
    : { content: null, refusal: piece.logprobs }
}

/** OpenAI opens a choice with empty lists, of the kind that will follow. */
function openingLogprobs(choice: SettledChoice): object | null {
  const whole = wholeLogprobs(choice)
  return whole && { content: whole.content && [], refusal: whole.refusal && [] }
}

function wholeLogprobs({
  hasLogprobs,
  pieces
}: SettledChoice): Record<'content' | 'refusal', unknown[] | null> | null {
  if (!hasLogprobs) return null
  const content = pieces.flatMap(piece => ('text' in piece ? (piece.logprobs ?? []) : []))
  const refusal = pieces.flatMap(piece => ('refusal' in piece ? (piece.logprobs ?? []) : []))
  return { content: content.length > 0 ? content : null, refusal: refusal.length > 0 ? refusal : null }
}

/** The answer of all cases, in pieces that are easily told from each other, and not all in ASCII. */
const words = Array.from({ length: 120 }, (_, place) => `word${place} \ud83d\ude00 `)

const event = (payload: object): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', ...payload })}\n\n`

const events = [
  ...words.map(content => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
  event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  'data: [DONE]\n\n'
]

export const text: string = words.join('')
export const body: Buffer = Buffer.from(events.join(''))

/** The length of the body up to where all choices have finished. */
const finishedAt = body.length - Buffer.byteLength(events.at(-1) ?? '')

/** Whether so many bytes of the body are a whole answer. */
export function isFinished(length: number): boolean {
  return length >= finishedAt
}

/** Whether so many bytes of the body end with an event that is whole but for the blank line behind it, or are a whole answer. */
export function isFinishedButForLineEnds(length: number): boolean {
  return length >= finishedAt - 2
}

/** Whether so many bytes of the body hold the end mark: until then, more may come. */
export function isMarked(length: number): boolean {
  return length >= body.length - 2
}

/** The longest beginning of the body, up to a length, that is no whole answer. */
export function unfinished(length: number): Buffer {
  return body.subarray(0, Math.min(length, finishedAt - 300))
}

/** How many events are whole within so many bytes of the body. */
function eventsWithin(length: number): number {
  let at = 0
  const past = events.findIndex(event => {
    at += Buffer.byteLength(event)
    return at > length
  })
  return past === -1 ? events.length : past
}

/** The text of the events that are whole within so many bytes of the body. */
export function textWithin(length: number): string {
  return words.slice(0, eventsWithin(length)).join('')
}

/** The events that are whole within so many bytes of the body, of those with text, and behind them an error of the provider's. */
export function failedWithin(length: number): Buffer {
  const whole = events.slice(0, Math.min(eventsWithin(length), words.length))
  return Buffer.from(`${whole.join('')}${event({ error: { message: 'overloaded' } })}`)
}

import { isKeepAliveText } from '../chunk/keep-alive.js'

export const endMark = '[DONE]'

/** What there is of a last event without its blank line: what is whole of its data, and what broke off. */
export interface LastData {
  readonly whole?: string
  readonly residue?: string
}

/**
 * Takes apart the data of a last event without its blank line. Whole is JSON that parses, or no JSON. The beginning of
 * the end mark, or of a `null`, is nothing: nothing of a completion is lost with it. Of events that a single line end
 * parts, only the last one is cut.
 */
export function lastDataOf(data: string): LastData {
  const payload = data.trim()
  if ([endMark, 'null'].some(word => word !== payload && word.startsWith(payload))) return {}
  const isWhole = isPayload(data) || !/^[{[]/.test(payload) || payloadsIn(data) !== undefined
  if (isWhole) return { whole: data }
  const end = data.lastIndexOf('\n')
  if (end === -1 || !(isPayload(data.slice(0, end)) || payloadsIn(data.slice(0, end))))
    return { residue: data }
  const last = lastDataOf(data.slice(end + 1))
  return last.whole === undefined ? { whole: data.slice(0, end), ...last } : { whole: data }
}

/** Whether the data so far is a payload of its own, so that another line of data cannot go on with it. */
export function isPayload(data: string): boolean {
  const payload = data.trim()
  return payload === endMark || (/^[{[]/.test(payload) && parsed(payload) !== undefined)
}

/**
 * The payloads in the data of an event that is no JSON, but each line of which is: some servers put a single line end
 * between their events, which makes one event of all of them. Undefined for any other data.
 */
export function payloadsIn(data: string): string[] | undefined {
  if (!data.includes('\n')) return undefined
  const payloads: string[] = []
  for (let start = 0; start < data.length; ) {
    const lineFeed = data.indexOf('\n', start)
    const end = lineFeed === -1 ? data.length : lineFeed
    const line = data.slice(start, end).trim()
    start = end + 1
    if (isKeepAliveText(line)) continue
    if (!isPayload(line)) return undefined
    payloads.push(line)
  }
  return payloads
}

/** The value of a JSON text; undefined for what is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Where a piece of bytes is cut, and whether an event ends there. */
export interface Cut {
  readonly end: number
  readonly isEvent: boolean
}

/**
 * Where the events in a piece of an event stream end: behind a line end that follows directly on another, each of which is LF,
 * CR or CRLF (WHATWG HTML, 9.2.5). The last cut is the end of the piece.
 */
export function* eventEnds(bytes: Uint8Array): Iterable<Cut> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  let end = 0
  for (const { index } of text.matchAll(/(?<=\n)[\r\n]|(?<=\r)\r/g)) {
    end = index + 1
    yield { end, isEvent: true }
  }
  if (end < text.length) yield { end: text.length, isEvent: false }
}

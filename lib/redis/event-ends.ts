/** A piece of bytes, and whether an event ends with it. */
export interface Piece {
  readonly begin: number
  readonly end: number
  readonly isEvent: boolean
}

/**
 * Where the events in a piece of an event stream end: behind a line end that follows directly on another, each of which is LF,
 * CR or CRLF (WHATWG HTML, 9.2.5); or where a line of JSON ends, and another one begins.
 */
export function* eventEnds(bytes: Uint8Array): Iterable<Piece> {
  // In this encoding each byte is one character.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  let begin = 0
  for (const { index } of text.matchAll(/(?<=\n)[\r\n]|(?<=\r)\r|(?<=\}\r?)\n(?=\{|$)/g)) {
    const end = index + 1
    yield { begin, end, isEvent: true }
    begin = end
  }
  if (begin < text.length) yield { begin, end: text.length, isEvent: false }
}

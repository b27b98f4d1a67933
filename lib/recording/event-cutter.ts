const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Cuts the bytes of an event stream behind each blank line, and says at which byte each event begins. */
export class EventCutter {
  #parts: Uint8Array[] = []
  #lineLength = 0
  /** Whether the event at hand has a line: blank lines before one belong to it. */
  #hasLine = false
  #isBehindReturn = false
  /** Whether the event is over, but for a line feed that may follow its last carriage return. */
  #isEnding = false

  /** At which byte of the body what is held begins. */
  offset = 0

  /** What has come behind the last blank line. */
  get rest(): Uint8Array {
    return Buffer.concat(this.#parts)
  }

  /** Takes the next bytes; gives the events that end in them, with the place of each. */
  add(bytes: Uint8Array): { offset: number; bytes: Uint8Array }[] {
    const events: { offset: number; bytes: Uint8Array }[] = []
    let from = 0
    const cut = (end: number) => {
      const event = Buffer.concat([...this.#parts, bytes.subarray(from, end)])
      events.push({ offset: this.offset, bytes: event })
      this.offset += event.length
      this.#parts = []
      this.#hasLine = this.#isEnding = false
      from = end
    }
    for (const [place, byte] of bytes.entries()) {
      if (this.#isEnding) cut(byte === lineFeed ? place + 1 : place)
      if (byte === lineFeed && this.#isBehindReturn) this.#isBehindReturn = false
      else if (byte === lineFeed || byte === carriageReturn) {
        this.#isBehindReturn = byte === carriageReturn
        const isBlank = this.#lineLength === 0
        this.#lineLength = 0
        if (!isBlank) this.#hasLine = true
        else if (this.#hasLine && this.#isBehindReturn) this.#isEnding = true
        else if (this.#hasLine) cut(place + 1)
      } else {
        this.#isBehindReturn = false
        this.#lineLength++
      }
    }
    if (from < bytes.length) this.#parts.push(bytes.subarray(from))
    return events
  }
}

/** The events of a body, each with its blank line; what has none at the end is the last one. */
export function eventsIn(body: Uint8Array): Uint8Array[] {
  const cutter = new EventCutter()
  const events = cutter.add(body).map(({ bytes }) => bytes)
  const { rest } = cutter
  return rest.length > 0 ? [...events, rest] : events
}

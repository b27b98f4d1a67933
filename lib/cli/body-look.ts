import { isUtf8 } from 'node:buffer'
import { choicesOf, indexOf, isResponsesEvent } from '../chunk/fields.js'
import { EventCutter } from '../recording/event-cutter.js'
import type { End, Entry } from '../recording/format.js'

/** How much of a body is kept to tell what it is, in characters. */
const longestBeginning = 2048

/** Looks at a body beside its reader: where its events begin, and what the chunks alone do not show. */
export class BodyLook {
  readonly #cutter = new EventCutter()
  readonly #choices = new Set<number>()
  #iterator: AsyncIterator<Entry> | Iterator<Entry> | undefined

  /** At which byte the newest event begins that the reader was given. */
  eventAt = 0
  bytes = 0
  beginning = ''
  hasMark = false
  isResponses = false
  /** At which byte the first event begins that holds bytes which are no UTF-8. */
  undecodedAt: number | undefined
  end: End | undefined

  /** The entries with a piece for each event, so that a failure is known by its place; the end of the body may lack its blank line. */
  async *eventByEvent(entries: AsyncIterable<Entry> | Iterable<Entry>): AsyncGenerator<Entry> {
    const iterator =
      Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator]()
    this.#iterator = iterator
    let at = 0
    let last: Entry | undefined
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      const entry = next.value
      if (entry.kind === 'end') last = this.end = entry
      else if (entry.kind !== 'piece') yield entry
      else {
        at = entry.at
        for (const { offset, bytes } of this.#take(entry.bytes)) {
          this.eventAt = offset
          yield { kind: 'piece', at, bytes }
        }
      }
    }
    const { rest, offset } = this.#cutter
    this.eventAt = offset
    if (rest.length > 0) yield { kind: 'piece', at, bytes: rest }
    if (last) yield last
  }

  /** Looks at what the reader did not get, since it had failed. */
  async finish(): Promise<void> {
    for (let next = await this.#iterator?.next(); next && !next.done; next = await this.#iterator?.next()) {
      if (next.value.kind === 'piece') this.#take(next.value.bytes)
      else if (next.value.kind === 'end') this.end = next.value
    }
    const { rest, offset } = this.#cutter
    this.#seek(rest, offset)
  }

  add(chunk: object): void {
    if (isResponsesEvent(chunk)) this.isResponses = true
    for (const choice of choicesOf(chunk)) if (choice) this.#choices.add(indexOf(choice))
  }

  /** The choices that were seen, by their index. */
  get choices(): number[] {
    return [...this.#choices].sort((one, other) => one - other)
  }

  /** Whether anything stands behind the last blank line. */
  get endsWithinEvent(): boolean {
    return this.#cutter.rest.length > 0
  }

  get isPage(): boolean {
    return /^\s*<(?:!doctype|html|head|body|\?xml)/i.test(this.beginning)
  }

  get isJson(): boolean {
    return /^\s*[{[]/.test(this.beginning)
  }

  #take(bytes: Uint8Array): { offset: number; bytes: Uint8Array }[] {
    this.bytes += bytes.length
    if (this.beginning.length < longestBeginning)
      this.beginning = (this.beginning + Buffer.from(bytes).toString('utf8')).slice(0, longestBeginning)
    const events = this.#cutter.add(bytes)
    for (const { bytes, offset } of events) this.#seek(bytes, offset)
    return events
  }

  #seek(event: Uint8Array, offset: number): void {
    if (!isUtf8(event) && !isCutUtf8(event)) this.undecodedAt ??= offset
    if (/(?:^|[\r\n])data: *\[DONE\]/.test(Buffer.from(event).toString('latin1'))) this.hasMark = true
  }
}

/** Whether bytes are UTF-8 but for their end, which is within a character. */
function isCutUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}

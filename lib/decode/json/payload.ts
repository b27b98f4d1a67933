import { ByteWindow } from '../bytes/byte-window.js'
import { checkDensity } from './density.js'
import { flat, type IsIndifferent, Template } from './template.js'

/** Chunks that share most of their text are small. This bounds what a template holds. */
const maxPayloadLength = 4096
/** Chunks of two kinds in turn, and the odd ones between. */
const maxShapes = 4
/**
 * Learning takes the time of some twenty parses, so each attempt doubles the number of payloads until the next, up to
 * this, and a hit takes a little off it again. Where nothing repeats, that costs a percent or two.
 */
const maxPause = 4096
const hitShortensPause = 1 / 32
/** A template that does not fit costs time too: after a few misses, none is tried until the next attempt to learn. */
const maxMisses = 8

/** The text of a payload, or a template once another one like it has come. */
type Shape = string | Template

/** What knows the texts before and after a payload. */
export interface Surroundings {
  before(): string
  behind(): string
}

/**
 * `JSON.parse` for the payloads of one stream, which share all but small parts: the delta, a counter, a clock, the
 * random string that OpenAI pads its chunks with. Gives what `JSON.parse` gives, or throws what it throws; that is what
 * reads all payloads that no template fits, unless their values would take more than an event may. Keeps no text of more
 * than 4096 characters.
 */
export class PayloadParser {
  readonly #isIndifferent: IsIndifferent
  readonly #maxEventSize: number
  #shapes: readonly Shape[] = []
  /** What made the object handed out last, unless `JSON.parse` did. */
  #last: Template | undefined
  #misses = 0
  #pause = 0
  #wait = 0

  constructor(isIndifferent: IsIndifferent = () => false, maxEventSize: number = Number.POSITIVE_INFINITY) {
    this.#isIndifferent = isIndifferent
    this.#maxEventSize = maxEventSize
  }

  parse(payload: string): unknown {
    const bytes = this.#mayMatch(payload.length) ? encoded(payload) : undefined
    return this.#match(bytes, 0, bytes?.length ?? 0) ?? this.#parse(payload)
  }

  /** Parses a payload where it stands. */
  parseIn(bytes: ByteWindow, start: number, end: number): unknown {
    const mayMatch = this.#mayMatch(end - start)
    return this.#match(mayMatch ? bytes : undefined, start, end) ?? this.#parse(bytes.read(start, end))
  }

  /** Asks between what the payload stands that was parsed last, for `parseAgain` to look for another one like it. */
  expect(surroundings: Surroundings): void {
    if (this.#last?.isIndifferent) this.#last.setFrame(surroundings.before(), surroundings.behind())
  }

  /**
   * Parses a payload like the last one, if one stands here, between the same texts: the object is, but for scalars in
   * indifferent places, equal to the one handed out last. Undefined otherwise.
   */
  parseAgain(bytes: ByteWindow, start: number, maxLength: number): unknown {
    return this.#last?.parseFramed(bytes, start, maxLength)
  }

  /** Where the payload that `parseAgain` has read ends, and what stands behind it. */
  get end(): number {
    return this.#last?.end ?? -1
  }

  /** Whether templates are to be tried with a payload. */
  #mayMatch(length: number): boolean {
    if (length > maxPayloadLength) return false
    if (this.#wait > 0) this.#wait--
    return this.#wait === 0 || this.#misses < maxMisses
  }

  #match(bytes: ByteWindow | undefined, start: number, end: number): unknown {
    this.#last = undefined
    if (!bytes) return
    for (let index = 0; index < this.#shapes.length; index++) {
      const shape = this.#shapes[index] as Shape
      if (typeof shape === 'string') continue
      const value = shape.parse(bytes, start, end)
      if (value === undefined) continue
      this.#last = shape
      if (this.#misses > 0) this.#misses--
      if (this.#pause > 0) this.#pause = Math.max(this.#pause - hitShortensPause, 0)
      return value
    }
  }

  #parse(payload: string): unknown {
    checkDensity(payload, this.#maxEventSize)
    const value = JSON.parse(payload)
    if (payload.length > maxPayloadLength) return value
    this.#misses = Math.min(this.#misses + 2, maxMisses)
    if (this.#wait > 0) return value
    this.#wait = Math.ceil(this.#pause)
    this.#pause = Math.min(this.#pause * 2 + 1, maxPause)
    const shapes = learned(this.#shapes, payload, this.#isIndifferent)
    if (shapes[0] instanceof Template && shapes[0] !== this.#shapes[0]) this.#misses = 0
    this.#shapes = shapes
    return value
  }
}

/** The shapes with a payload that `JSON.parse` has read. The first one is the template that it made, if it made one. */
function learned(shapes: readonly Shape[], payload: string, isIndifferent: IsIndifferent): readonly Shape[] {
  for (const shape of shapes) {
    const text = typeof shape === 'string' ? shape : shape.text
    const template = Template.of(text, payload, isIndifferent)
    if (!template) continue
    const first: Shape[] = [template]
    return first.concat(shapes.filter(other => other !== shape))
  }
  // At the back and the first to go, so that odd chunks do not drive out what serves.
  return shapes.slice(0, maxShapes - 1).concat(flat(payload))
}

/** Where texts are matched that came as such. */
const room: ByteWindow = new ByteWindow()
// As UTF-8, a character takes up to three bytes; half of a pair that takes four is one as well.
room.load(Buffer.allocUnsafeSlow(3 * maxPayloadLength), 3 * maxPayloadLength)
const encoder = new TextEncoder()

/** The bytes of a text of up to `maxPayloadLength` characters, until the next one; undefined if they would not be all of it. */
function encoded(text: string): ByteWindow | undefined {
  const { written } = encoder.encodeInto(text, room.buffer)
  // Half of a surrogate pair would be replaced.
  if (written !== text.length && !text.isWellFormed()) return
  room.length = written
  return room
}

import { type BodyReader, nextPiece, type Piece } from '../source/body/body.js'
import { bodyReader } from '../source/response/response-parts.js'
import type { Head } from './exchange.js'

/** A body as a response has it. */
export interface ReadableBody extends BodyReader {
  readonly isBegun: boolean
}

/** What a response says of itself. */
export interface ResponseFacts extends Head {
  readonly url: string
  readonly redirected: boolean
  readonly type: Response['type']
}

/** Lets go of a body, and with it of its connection, when nobody can read it any more. */
const forgotten = new FinalizationRegistry<ReadableBody>(body => body.cancel())

/** What reads a body, in all versions of Node. */
const readings = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']

/**
 * A response as `fetch` gives it, but for what is behind it: the web stream of its body is made when somebody asks for it.
 * The sources of this library do not, and read the body as it comes.
 */
export function directResponse(facts: ResponseFacts, source: ReadableBody | null): Response {
  const { headers } = facts
  let inner = source ? undefined : new (platformResponse())(null, { headers })
  /** Whether a source of this library had begun to read the body when its stream was made. */
  let isTaken = false

  /** The same as a response of the platform's, which does the rest. */
  function whole(): Response {
    if (inner || !source) return inner as Response
    const stream = streamOf(source)
    inner = new (platformResponse())(stream, { headers })
    forgotten.unregister(source)
    isTaken = source.isBegun
    // That source goes on whatever becomes of the stream.
    if (isTaken) stream.getReader()
    else forgotten.register(stream, source, source)
    return inner
  }

  // Once there is a stream, a copy of the response may be what has begun to read.
  const isUsed = () => (inner ? isTaken || inner.bodyUsed : source?.isBegun === true)
  const response = withFacts(facts, whole, isUsed)
  if (!source) return response
  forgotten.register(response, source, source)
  const read = () => {
    // Once there is a web stream, it alone reads the body.
    if (inner) return undefined
    // Who reads it need not keep the response.
    forgotten.unregister(source)
    return source
  }
  return Object.defineProperty(response, bodyReader, { get: read })
}

let platform: typeof Response | undefined

/**
 * The platform's own class. Frameworks put one of theirs in its place, as Hono does for Node, which reads a body at other times; this
 * is what all of them inherit. Asked here, not where this file is loaded: to name `Response` makes Node load its fetch,
 * which takes as long as the library.
 */
function platformResponse(): typeof Response {
  platform ??= Response.error().constructor as typeof Response
  return platform
}

/** A response that says what is true of an exchange, and has the body of another response. */
function withFacts(facts: ResponseFacts, whole: () => Response, isUsed: () => boolean): Response {
  const { status, statusText, headers, url, redirected, type } = facts
  const response = new (platformResponse())(null, { headers })
  const ok = status >= 200 && status <= 299
  for (const [name, value] of Object.entries({ status, statusText, ok, url, redirected, type }))
    Object.defineProperty(response, name, { value })
  for (const name of readings.filter(name => name in response))
    Object.defineProperty(response, name, { value: () => Reflect.get(whole(), name).call(whole()) })
  const clone = () => {
    const copy = whole().clone()
    return withFacts(
      facts,
      () => copy,
      () => copy.bodyUsed
    )
  }
  return Object.defineProperties(response, {
    body: { get: () => whole().body },
    bodyUsed: { get: isUsed },
    clone: { value: clone }
  })
}

/** Reads nothing before it is read. A stream of bytes, as the bodies of `fetch` are. */
function streamOf(source: ReadableBody): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      let piece: Piece | undefined
      do piece = await nextPiece(source)
      while (piece?.length === 0)
      // A copy, since a stream of bytes takes away the memory that it is given, and many pieces lie in one.
      if (piece) return controller.enqueue(new Uint8Array(piece as Uint8Array))
      controller.close()
      controller.byobRequest?.respond(0)
    },
    cancel(reason) {
      // What waits for the stream to be forgotten holds the source. An error that is made here may hold the stream, by the
      // frames of its stack: then none of them would ever be.
      forgotten.unregister(source)
      source.cancel(reason)
    }
  })
}

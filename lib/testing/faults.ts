/**
 * A place in an answer: `'request'` is behind the request, before the headers; the others count what was sent
 * of the body. `{ events: 0 }` and `{ bytes: 0 }` are behind the headers. The end mark is an event, a comment is
 * none; a whole answer is one event; a raw script counts its writes as events.
 */
export type Place = 'request' | { events: number } | { bytes: number }

/**
 * How an error is reported within a stream:
 *
 * - `data`: `data: {"error":{…}}`, the common form
 * - `event`: the same under `event: error` (Groq)
 * - `bare-event`: `event: error`, and the error's fields without an `error` round them
 * - `field`: `error: {…}`, a field name that the grammar ignores (llama.cpp)
 * - `responses-error`: the `error` event of the Responses API
 * - `responses-failed`: its `response.failed` event
 */
export type ErrorShape = 'data' | 'event' | 'bare-event' | 'field' | 'responses-error' | 'responses-failed'

/** An error as a provider reports it. */
export interface ReportedError {
  /** Default `'The server had an error while processing your request.'`. */
  message?: string
  /** Default `'server_error'`. */
  type?: string
  /** Default null. */
  param?: string | null
  /** Default `'server_error'`. */
  code?: string | number | null
}

/** An answer that is an HTTP error. */
export interface StatusFault {
  /** The HTTP status, such as 429 or 503. */
  code: number
  /** Only the first so many requests that the server receives get it. Default: all. */
  times?: number
  /** Sent as `retry-after`, in seconds; fractions are allowed. Default: no such header. */
  retryAfter?: number
  /** The body: an object is sent as JSON, a string as plain text. Default: an error object as OpenAI sends it. */
  body?: object | string
}

/** Comments that show that the server lives. */
export interface KeepAlive {
  /** What stands behind the colon and a space. Default `'keep-alive'`. */
  text?: string
  /**
   * Also send one after so many milliseconds without anything else, while a stream stalls or is held open too.
   * Real milliseconds, whatever the server's speed. Default: none but those before each event.
   */
  every?: number
}

/** The ways in which an answer misbehaves. They may be combined. */
export interface Faults {
  /** Destroys the socket there, once all that was written has left. */
  cutAfter?: Place
  /** Sends nothing more from there on, and holds the socket open. */
  stallAfter?: Place
  /** Reports an error in a stream after so many events; the stream then ends, without an end mark unless `endMark` is true. */
  errorAfter?: { events: number; shape?: ErrorShape; error?: ReportedError }
  /** Answers with an HTTP error. */
  status?: number | StatusFault
  /** Whether `[DONE]` closes a stream of the chat and legacy APIs; the Responses API has none. Default true. */
  endMark?: boolean
  /** Holds the socket open when all is sent, and does not end the body. Default false. */
  holdOpen?: boolean
  /** Cuts the body into writes of so many bytes, each sent before the next one is written. Default: one write per event. */
  bytesPerWrite?: number
  /** The line end of the events. Default `'\n'`. */
  lineEnd?: '\n' | '\r\n' | '\r'
  /** Comments before every event of a stream, the first one included. */
  comments?: boolean | string | KeepAlive
  /** Answers whole although a stream was asked for. Default false. */
  ignoreStream?: boolean
  /** Sent as `content-type`. Default: what the answer is. */
  contentType?: string
}

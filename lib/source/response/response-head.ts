/** Registered, so that a source and a stage from two copies of the library find each other. */
const responseHead = Symbol.for('completion-streams.responseHead')

/** The head of the response that a source reads. */
export interface HeadOfResponse {
  readonly status: number
  /** As the client gives them: `Headers`, or an object. */
  readonly headers: unknown
  /** When it came, by `performance.now()`. */
  readonly at: number
}

/** Says of a source what head its response has. */
export function tellHead(source: object, head: HeadOfResponse): void {
  Object.defineProperty(source, responseHead, { value: head })
}

/** What was said of a source; undefined while its response has not come, and for streams that have none. */
export function headOf(source: object | undefined): HeadOfResponse | undefined {
  return (source as { readonly [responseHead]?: HeadOfResponse } | undefined)?.[responseHead]
}

/** An abort as Node reports it: by its name and code, which `tapSummary` and others go by. */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor(message = 'The operation was aborted', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
  }
}

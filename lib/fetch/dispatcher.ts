/**
 * What undici's dispatchers are known by: an `Agent`, a `ProxyAgent`, an `EnvHttpProxyAgent`, one with interceptors; of
 * undici 6, 7 or 8.
 */
export interface DispatcherLike {
  // A method, not a function: what a dispatcher takes differs from version to version.
  /** Sends a request, and tells a handler what comes of it. */
  dispatch(options: never, handler: never): boolean
}

/** A request as a dispatcher takes it. */
export interface DispatchedRequest {
  readonly origin: string
  readonly path: string
  readonly method: string
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: string | Uint8Array | null
}

/** What a dispatcher of undici 7 or 8 gives to those who listen to it. */
export interface Controller {
  pause(): void
  resume(): void
  abort(reason: unknown): void
}

/** Who listens to a dispatcher. Undici 6 calls the methods of the first part, 7 and 8 those of the second. */
export interface DispatchHandler {
  onConnect(abort: (reason: unknown) => void): void
  onHeaders(status: number, headers: Uint8Array[], resume: () => void, statusText: string): boolean
  onData(bytes: Uint8Array): boolean
  onComplete(): void
  onError(error: unknown): void

  onRequestStart(controller: Controller): void
  onResponseStart(
    controller: Controller,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    statusText?: string
  ): void
  onResponseData(controller: Controller, bytes: Uint8Array): void
  onResponseEnd(controller: Controller): void
  onResponseError(controller: Controller | undefined, error: unknown): void
}

/** The place where undici keeps the dispatcher of the global `fetch`, also the one that its `setGlobalDispatcher` has set. */
const ofFirstInterface = Symbol.for('undici.globalDispatcher.1')
const ofSecondInterface = Symbol.for('undici.globalDispatcher.2')

/** The dispatcher that the global `fetch` uses. Undefined where that is not undici's, as in Bun and Deno. */
export function globalDispatcher(): DispatcherLike | undefined {
  // Node loads its undici with the first look at one of its classes.
  void globalThis.Headers
  const places = globalThis as { [ofFirstInterface]?: DispatcherLike; [ofSecondInterface]?: DispatcherLike }
  const first = places[ofFirstInterface]
  // Since version 8, the first place holds one that stands for the second, without HTTP/2.
  return Number.parseInt(process.versions.undici ?? '', 10) >= 8
    ? (places[ofSecondInterface] ?? first)
    : first
}

/** Hands a request to a dispatcher. Whatever goes wrong, its handler is told. */
export function dispatch(
  dispatcher: DispatcherLike,
  request: DispatchedRequest,
  handler: DispatchHandler
): void {
  try {
    // The type leaves open what a dispatcher takes; both are what all versions take.
    dispatcher.dispatch(request as never, handler as never)
  } catch (error) {
    handler.onError(error)
  }
}

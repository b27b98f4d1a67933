import { AsyncResource } from 'node:async_hooks'
import { type BodyFailure, type BodyReader, type BodyTaker, nobody } from '../source/body/body.js'
import { onAbort } from '../source/on-abort.js'
import type { Controller, DispatchHandler } from './dispatcher.js'

/** What comes before the body. */
export interface Head {
  readonly status: number
  readonly statusText: string
  readonly headers: Headers
}

/** How many bytes are kept for a reader that has not begun, or has paused, before the server has to wait. */
const mostKept = 64 * 1024

/**
 * One request and its response. The pieces of the body go from the dispatcher to the taker in the turn in which they come,
 * with no stream between the two.
 */
export class Exchange implements BodyReader, DispatchHandler {
  taker: BodyTaker = nobody
  /** Whether somebody has begun to read the body. */
  isBegun = false
  /** Rejects with what `fetch` rejects with. */
  readonly head: Promise<Head>
  #settleHead: { resolve(head: Head): void; reject(error: unknown): void } | undefined
  // A connection serves many requests. What a taker does belongs to its own, and not to the one that opened the connection.
  readonly #context = new AsyncResource('DirectFetch')
  #release: () => void = () => {}
  #abort: ((reason: unknown) => void) | undefined
  #goOn: (() => void) | undefined
  #kept: Uint8Array[] = []
  #keptSize = 0
  #isFlowing = false
  #isGiving = false
  #isHeld = false
  #isOver = false
  #failure: BodyFailure | undefined

  constructor(signal?: AbortSignal | null) {
    this.head = new Promise((resolve, reject) => {
      this.#settleHead = { resolve, reject }
    })
    if (signal) this.#release = onAbort(signal, () => this.#stop(signal.reason))
  }

  resume(): void {
    this.isBegun = true
    this.#isFlowing = true
    if (!this.#isGiving) this.#give()
  }

  pause(): void {
    this.#isFlowing = false
  }

  cancel(reason?: unknown): void {
    this.#kept = []
    this.#keptSize = 0
    this.#stop(reason ?? new DOMException('This operation was aborted', 'AbortError'))
  }

  /** Gives what was kept, and then the end, or lets the server go on. */
  #give(): void {
    this.#isGiving = true
    while (this.#isFlowing && this.#kept.length > 0) {
      const piece = this.#kept.shift() as Uint8Array
      this.#keptSize -= piece.length
      this.taker.take(piece)
    }
    this.#isGiving = false
    if (!this.#isFlowing) return
    if (this.#isOver) return this.#tellEnd()
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#goOn?.()
  }

  #tellEnd(): void {
    this.#isFlowing = false
    const { taker } = this
    this.taker = nobody
    taker.over(this.#failure)
  }

  /** Takes a piece from the dispatcher. Returns whether more may come. */
  #take(piece: Uint8Array): boolean {
    if (this.#isOver) return true
    if (this.#isFlowing && !this.#isGiving) {
      this.#isGiving = true
      this.#context.runInAsyncScope(this.taker.take, this.taker, piece)
      this.#isGiving = false
      // What took the piece may have aborted the request.
      if (this.#isOver && this.#isFlowing) this.#tellEnd()
    } else {
      this.#kept.push(piece)
      this.#keptSize += piece.length
    }
    this.#isHeld = !this.#isFlowing && this.#keptSize >= mostKept
    return !this.#isHeld
  }

  #begin(abort: (reason: unknown) => void): void {
    // The signal may have aborted while the request waited for a connection.
    if (this.#failure) abort(this.#failure.error)
    else this.#abort = abort
  }

  #tellHead(head: Head): void {
    this.#settleHead?.resolve(head)
    this.#settleHead = undefined
  }

  #end(failure?: BodyFailure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure = failure
    this.#release()
    if (failure) this.#settleHead?.reject(failure.error)
    if (this.#isFlowing && !this.#isGiving) this.#context.runInAsyncScope(this.#give, this)
  }

  #stop(reason: unknown): void {
    if (this.#isOver) return
    this.#end({ error: reason })
    this.#abort?.(reason)
  }

  onConnect(abort: (reason: unknown) => void): void {
    this.#begin(abort)
  }

  onHeaders(status: number, fields: Uint8Array[], resume: () => void, statusText: string): boolean {
    // What comes before the real head, such as 103, is skipped.
    if (status < 200) return true
    this.#goOn = resume
    const headers = new Headers()
    const texts = fields.map(field => Buffer.from(field).toString('latin1'))
    for (let index = 0; index < texts.length; index += 2)
      headers.append(texts[index] as string, texts[index + 1] as string)
    this.#tellHead({ status, statusText, headers })
    return true
  }

  onData(piece: Uint8Array): boolean {
    return this.#take(piece)
  }

  onComplete(): void {
    this.#end()
  }

  onError(cause: unknown): void {
    const message = this.#settleHead ? 'fetch failed' : 'terminated'
    this.#end({ error: new TypeError(message, { cause }) })
  }

  onRequestStart(controller: Controller): void {
    this.#begin(reason => controller.abort(reason))
  }

  onResponseStart(
    controller: Controller,
    status: number,
    fields: Readonly<Record<string, string | string[] | undefined>>,
    statusText = ''
  ): void {
    if (status < 200) return
    this.#goOn = () => controller.resume()
    const headers = new Headers()
    for (const [name, value = []] of Object.entries(fields))
      for (const one of [value].flat()) headers.append(name, asBytes(one))
    this.#tellHead({ status, statusText, headers })
  }

  onResponseData(controller: Controller, piece: Uint8Array): void {
    if (!this.#take(piece)) controller.pause()
  }

  onResponseEnd(): void {
    this.#end()
  }

  onResponseError(_controller: Controller | undefined, error: unknown): void {
    this.onError(error)
  }
}

/** The first versions of undici 7 read headers as UTF-8. Here a header is bytes, one for each character. */
function asBytes(value: string): string {
  return /[^\0-\xff]/.test(value) ? Buffer.from(value).toString('latin1') : value
}

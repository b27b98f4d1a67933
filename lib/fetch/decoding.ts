import { type Duplex, pipeline } from 'node:stream'
import * as zlib from 'node:zlib'
import { type BodyFailure, type BodyReader, type BodyTaker, nobody, readerOf } from '../source/body/body.js'

/** Bytes of the checksum and the length at the end of a gzip body. */
const gzipTrailer = 8

/** A longer list of codings is an attack: each of them may multiply the bytes. */
const mostCodings = 5

/** The codings of a body, in the order in which they are to be undone; none where one is not known, as in `fetch`. */
export function codingsOf(headers: Headers): string[] {
  const codings = (headers.get('content-encoding') ?? '').toLowerCase().split(',')
  const names = codings.map(coding => coding.trim()).reverse()
  if (names.length > mostCodings) {
    const message = `too many content-encodings in response: ${names.length}, maximum allowed is ${mostCodings}`
    throw new Error(message)
  }
  return names.every(name => decoders.has(name)) ? names : []
}

// As `fetch` and curl do: what is decoded so far is given away at once, and an end without its checksum is none of the
// decoder's failures. Many servers send such bodies, and browsers take them.
const zlibOptions = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH }
const brotliOptions = {
  flush: zlib.constants.BROTLI_OPERATION_FLUSH,
  finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH
}

const decoders: ReadonlyMap<string, (first: Uint8Array) => Duplex> = new Map([
  ['gzip', () => zlib.createGunzip(zlibOptions)],
  ['x-gzip', () => zlib.createGunzip(zlibOptions)],
  ['deflate', inflaterOf],
  ['br', () => zlib.createBrotliDecompress(brotliOptions)],
  ...zstd()
])

/** Some servers send `deflate` without the header that it should have (RFC 9110, 8.4.1.2). */
function inflaterOf(first: Uint8Array): Duplex {
  const hasHeader = ((first[0] ?? 0) & 0x0f) === 0x08
  return hasHeader ? zlib.createInflate(zlibOptions) : zlib.createInflateRaw(zlibOptions)
}

/** Since Node 22.15. */
function zstd(): [string, () => Duplex][] {
  const { createZstdDecompress: create } = zlib as { createZstdDecompress?: () => Duplex }
  return create ? [['zstd', () => create()]] : []
}

/**
 * The size of what may be the end of a gzip body, its checksum and its length (RFC 1952, 2.3.1): zlib drops what it has
 * decoded in the same call where those are wrong. The last byte of the length is 0 for all bodies below 16 MB, and is not
 * that of bytes which were flushed.
 */
function trailerSizeOf(piece: Uint8Array, coding: string | undefined): number {
  const mayEnd = coding?.endsWith('gzip') && piece.length > gzipTrailer && piece[piece.length - 1] === 0
  return mayEnd ? gzipTrailer : 0
}

/** Decodes what another reader gives. When that fails, what had come before is given first. */
export class DecodingReader implements BodyReader {
  taker: BodyTaker = nobody
  isBegun = false
  readonly #encoded: BodyReader
  readonly #codings: readonly string[]
  #first: Duplex | undefined
  #decoded: BodyReader | undefined
  #isFlowing = false
  #failure: BodyFailure | undefined

  constructor(encoded: BodyReader, codings: readonly string[]) {
    this.#encoded = encoded
    this.#codings = codings
    encoded.taker = { take: piece => this.#decode(piece as Uint8Array), over: failure => this.#end(failure) }
  }

  resume(): void {
    this.isBegun = true
    this.#isFlowing = true
    if (this.#decoded) this.#decoded.resume()
    else this.#encoded.resume()
  }

  pause(): void {
    this.#isFlowing = false
    this.#decoded?.pause()
  }

  cancel(reason?: unknown): void {
    this.#encoded.cancel(reason)
    this.#decoded?.cancel(reason)
  }

  #decode(piece: Uint8Array): void {
    this.#first ??= this.#begin(piece)
    const trailerSize = trailerSizeOf(piece, this.#codings[0])
    let rest = piece
    if (trailerSize > 0) {
      rest = piece.subarray(-trailerSize)
      this.#first.write(piece.subarray(0, -trailerSize))
    }
    if (!this.#first.write(rest)) this.#encoded.pause()
  }

  /** An empty body has no decoder: it would miss the beginning. */
  #begin(piece: Uint8Array): Duplex {
    const chain = this.#codings.map(name => (decoders.get(name) as (first: Uint8Array) => Duplex)(piece))
    const [first, last] = [chain[0] as Duplex, chain.at(-1) as Duplex]
    first.on('drain', () => this.#encoded.resume())
    // What one of them fails with, the last one fails with.
    if (chain.length > 1) pipeline(chain, () => {})
    this.#decoded = readerOf(last)
    this.#decoded.taker = {
      take: decoded => this.taker.take(decoded),
      over: failure => this.#finish(failure)
    }
    if (this.#isFlowing) this.#decoded.resume()
    return first
  }

  #end(failure?: BodyFailure): void {
    this.#failure = failure
    if (this.#first) this.#first.end()
    else this.taker.over(failure)
  }

  #finish(failure?: BodyFailure): void {
    if (failure) this.#encoded.cancel(failure.error)
    // The end of a body that was cut may look like damage. That it was cut is the reason.
    const own = failure && { error: new TypeError('terminated', { cause: failure.error }) }
    this.taker.over(this.#failure ?? own)
  }
}

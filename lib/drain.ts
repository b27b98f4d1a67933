import { Writable } from 'node:stream'

/**
 * A sink that takes everything and keeps nothing, for pipelines that exist for their taps: without a sink nobody reads what
 * the last stage emits, and a pipeline stops as soon as its buffers are full.
 *
 * @example
 * await pipeline(request, toChunks(), tapUsage(usage => console.log(usage)), drain())
 */
export function drain(): Writable {
  return new Writable({ objectMode: true, write: (_item, _encoding, callback) => callback() })
}

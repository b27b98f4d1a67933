import { readFileSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CompletionError, Stage } from 'completion-streams'
import fc from 'fast-check'

/** The bytes of a stream in the manner of a provider's. */
export function fixture(name: string): Buffer {
  // From build/test, where this is compiled to.
  return readFileSync(new URL(`../../test/fixtures/${name}.sse`, import.meta.url))
}

/** What has a length and can be cut: bytes or text. */
type Cuttable<Whole> = { readonly length: number; slice(start: number, end?: number): Whole }

export function inPiecesOf<Whole extends Cuttable<Whole>>(whole: Whole, size: number): Whole[] {
  const pieces: Whole[] = []
  for (let start = 0; start < whole.length; start += size) pieces.push(whole.slice(start, start + size))
  return pieces
}

/** Cuts at any places; two in one place give an empty piece. */
export function cutAt<Whole extends Cuttable<Whole>>(whole: Whole, places: readonly number[]): Whole[] {
  const ends = places.map(place => place % (whole.length + 1)).sort((a, b) => a - b)
  return [...ends, whole.length].map((end, n) => whole.slice(ends[n - 1] ?? 0, end))
}

/** Places to cut at, for `cutAt`. */
export const places: fc.Arbitrary<number[]> = fc.array(fc.nat(2000), { maxLength: 12 })

/** The event stream that carries these payloads, each as an event of its own. */
export function eventStream(...payloads: (object | string | null)[]): string {
  return payloads
    .map(payload => `data: ${typeof payload === 'string' ? payload : JSON.stringify(payload)}\n\n`)
    .join('')
}

export interface Outcome<Out> {
  items: Out[]
  error?: CompletionError
}

/** What comes out of a pipeline of stages that is given these pieces, and what it fails with. */
export async function outcomeOf<Out>(
  pieces: Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: [...NodeJS.ReadWriteStream[], Stage<never, Out>]
): Promise<Outcome<Out>> {
  const items: Out[] = []
  const sink = new Writable({
    objectMode: true,
    write(item: Out, _encoding, callback) {
      items.push(item)
      callback()
    }
  })
  try {
    await pipeline([Readable.from(pieces), ...stages, sink])
    return { items }
  } catch (error) {
    // The tests look at its code: an error of another class has none.
    return { items, error: error as CompletionError }
  }
}
